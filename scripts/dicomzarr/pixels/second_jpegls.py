"""A JPEG-LS decoder in Python, for cross-checks, written from ISO/IEC 14495-1 (ITU-T T.87) alone; slow.

The available JPEG-LS decoders all use the same library, so an independent one has to be written. Names follow annex A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.vocabulary.reasons import NotExtracted

# At 1 to 7 microseconds per sample, larger frames take too long for a cross-check.
SAMPLE_LIMIT = 1 << 21

_J = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15)


@dataclass(frozen=True, slots=True)
class Preset:
    """Preset coding parameters (C.2.4.1); 0 means the default."""

    maximum: int = 0
    t1: int = 0
    t2: int = 0
    t3: int = 0
    reset: int = 0


def decode(data: bytes) -> NDArray[Any]:
    """Decode a JPEG-LS stream.

    Parameters
    ----------
    data : bytes
        One frame.

    Returns
    -------
    ndarray of uint8 or uint16
        Shape (rows, columns) or (rows, columns, components).

    Raises
    ------
    NotExtracted
        `unsupported_pixel_layout` for what is not implemented: restart intervals, mapping tables, colour transforms,
        frames above `SAMPLE_LIMIT`; `decode_error` where the stream ends early.

    References
    ----------
    ISO/IEC 14495-1; DICOM PS3.5 8.2.3.
    """
    position, preset = 2, Preset()
    precision = rows = columns = components = 0
    planes: list[NDArray[Any]] = []
    while len(planes) < max(components, 1):
        marker = data[position + 1]
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == 0xF7:
            precision, components = body[0], body[5]
            rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            if rows * columns * components > SAMPLE_LIMIT:
                raise NotExtracted("unsupported_pixel_layout")
        elif marker == 0xF8 and body[0] == 1:
            preset = Preset(*(int.from_bytes(body[1 + 2 * i : 3 + 2 * i], "big") for i in range(5)))
        elif marker in (0xF8, 0xDD) or (marker == 0xE8 and body[:4] == b"mrfx"):
            raise NotExtracted("unsupported_pixel_layout")
        elif marker == 0xDA:
            scanned = body[0]
            near, interleave = body[1 + 2 * scanned], body[2 + 2 * scanned]
            bits, position = _bits(data, position)
            scan = _Scan(bits, precision, near, preset, rows, columns, scanned)
            planes += scan.by_sample() if interleave == 2 else scan.by_line()
    samples = np.stack(planes, axis=-1) if components > 1 else planes[0]
    return samples.astype(np.uint8 if precision <= 8 else np.uint16)


def _bits(data: bytes, start: int) -> tuple[str, int]:
    """Return a scan as a string of 0 and 1, stuffed bits removed (A.1), and the position of the next marker."""
    scan = np.frombuffer(data, np.uint8, offset=start)
    markers = np.flatnonzero((scan[:-1] == 0xFF) & (scan[1:] >= 0x80))
    if not len(markers):
        raise NotExtracted("decode_error")
    scan = scan[: int(markers[0])]
    keep = np.ones((len(scan), 8), bool)
    keep[1:, 0] = scan[:-1] != 0xFF
    bits = np.unpackbits(scan)[keep.ravel()] + np.uint8(ord("0"))
    return bits.tobytes().decode("ascii"), start + len(scan)


class _Scan:
    """The state of one scan (A.2.1) and the procedures that change it."""

    def __init__(
        self, bits: str, precision: int, near: int, preset: Preset, rows: int, columns: int, count: int
    ) -> None:
        self.bits, self.at = bits, 0
        self.rows, self.columns, self.count = rows, columns, count
        self.near = near
        self.maximum = maximum = preset.maximum or (1 << precision) - 1
        self.range = (maximum + 2 * near) // (2 * near + 1) + 1
        self.qbpp = (self.range - 1).bit_length()
        bpp = max(2, maximum.bit_length())
        self.limit = 2 * (bpp + max(8, bpp))
        self.reset = preset.reset or 64
        self.quantised = self._quantiser(preset)
        first = max(2, (self.range + 32) // 64)
        self.A, self.B, self.C, self.N = [first] * 367, [0] * 365, [0] * 365, [1] * 367
        self.Nn = [0, 0]
        self.run_index = [0] * count

    def _quantiser(self, preset: Preset) -> list[int]:
        """Return the region of each gradient from -maximum to maximum (A.3.3), thresholds by C.2.4.1.1.1."""
        maximum, near = self.maximum, self.near

        def clamp(value: int, low: int) -> int:
            return low if value > maximum or value < low else value

        if maximum >= 128:
            factor = (min(maximum, 4095) + 128) // 256
            base = (factor + 2 + 3 * near, 4 * factor + 3 + 5 * near, 17 * factor + 4 + 7 * near)
        else:
            factor = 256 // (maximum + 1)
            base = (max(2, 3 // factor + 3 * near), max(3, 7 // factor + 5 * near), max(4, 21 // factor + 7 * near))
        t1 = preset.t1 or clamp(base[0], near + 1)
        t2 = preset.t2 or clamp(base[1], t1)
        t3 = preset.t3 or clamp(base[2], t2)
        gradient = np.arange(-maximum, maximum + 1)
        size = np.searchsorted([near + 1, t1, t2, t3], np.abs(gradient), side="right")
        regions: list[int] = (np.sign(gradient) * size).tolist()
        return regions[maximum:] + regions[:maximum]  # so that negative gradients index from the end

    def by_line(self) -> list[NDArray[Any]]:
        """Decode one component, or several line by line (ILV 0 and 1)."""
        width = self.columns
        before = [[0] * (width + 2) for _ in range(self.count)]
        planes = [np.empty((self.rows, width), np.int32) for _ in range(self.count)]
        for row in range(self.rows):
            for component in range(self.count):
                above = before[component]
                above[width + 1] = above[width]
                line = [above[1]] + [0] * (width + 1)
                self._line(above, line, component)
                planes[component][row] = line[1 : width + 1]
                before[component] = line
        return planes

    def _line(self, above: list[int], line: list[int], component: int) -> None:
        near, quantised, width = self.near, self.quantised, self.columns
        x = 1
        while x <= width:
            a, b, c, d = line[x - 1], above[x], above[x - 1], above[x + 1]
            if abs(d - b) <= near and abs(b - c) <= near and abs(c - a) <= near:
                x = self._run([line], [above], x, component)
                if x <= width:
                    b = above[x]
                    line[x] = self._interruption(a, b, int(abs(a - b) <= near), component)
                    self._run_ended(component)
                    x += 1
            else:
                line[x] = self._regular(a, b, c, 81 * quantised[d - b] + 9 * quantised[b - c] + quantised[c - a])
                x += 1

    def by_sample(self) -> list[NDArray[Any]]:
        """Decode several components sample by sample (ILV 2); a run ends for all at once (B.3)."""
        near, quantised, width = self.near, self.quantised, self.columns
        before = [[0] * (width + 2) for _ in range(self.count)]
        planes = [np.empty((self.rows, width), np.int32) for _ in range(self.count)]
        for row in range(self.rows):
            lines = []
            for above in before:
                above[width + 1] = above[width]
                lines.append([above[1]] + [0] * (width + 1))
            x = 1
            while x <= width:
                around = [
                    (line[x - 1], above[x], above[x - 1], above[x + 1])
                    for line, above in zip(lines, before, strict=True)
                ]
                if all(abs(d - b) <= near and abs(b - c) <= near and abs(c - a) <= near for a, b, c, d in around):
                    x = self._run(lines, before, x, 0)
                    if x <= width:
                        for line, above, (a, _, _, _) in zip(lines, before, around, strict=True):
                            line[x] = self._interruption(a, above[x], 0, 0)
                        self._run_ended(0)
                        x += 1
                    continue
                for line, (a, b, c, d) in zip(lines, around, strict=True):
                    line[x] = self._regular(a, b, c, 81 * quantised[d - b] + 9 * quantised[b - c] + quantised[c - a])
                x += 1
            for plane, line in zip(planes, lines, strict=True):
                plane[row] = line[1 : width + 1]
            before = lines
        return planes

    def _golomb(self, k: int, limit: int) -> int:
        """Read a limited-length Golomb code (A.5.3)."""
        stop_bit = self.bits.find("1", self.at)
        if stop_bit < 0:
            raise NotExtracted("decode_error")
        zeros = stop_bit - self.at
        escaped = zeros >= limit - self.qbpp - 1
        size = self.qbpp if escaped else k
        self.at = stop_bit + 1 + size
        low = int(self.bits[stop_bit + 1 : self.at] or "0", 2)
        return low + 1 if escaped else (zeros << k) + low

    def _reconstruct(self, predicted: int, error: int) -> int:
        """Return the sample (A.4.5)."""
        value = predicted + error * (2 * self.near + 1)
        if value < -self.near:
            value += self.range * (2 * self.near + 1)
        elif value > self.maximum + self.near:
            value -= self.range * (2 * self.near + 1)
        return min(max(value, 0), self.maximum)

    def _regular(self, a: int, b: int, c: int, context: int) -> int:
        """Decode a sample in regular mode (A.4 to A.6)."""
        q, sign = (-context, -1) if context < 0 else (context, 1)
        low, high = (a, b) if a < b else (b, a)
        predicted = low if c >= high else high if c <= low else a + b - c
        predicted = min(max(predicted + sign * self.C[q], 0), self.maximum)
        n, total, bias, k = self.N[q], self.A[q], self.B[q], 0
        while n << k < total:
            k += 1
        mapped = self._golomb(k, self.limit)
        if self.near == 0 and k == 0 and 2 * bias <= -n:
            error = mapped >> 1 if mapped & 1 else -(mapped >> 1) - 1
        else:
            error = -((mapped + 1) >> 1) if mapped & 1 else mapped >> 1
        value = self._reconstruct(predicted, sign * error)
        bias += error * (2 * self.near + 1)
        total += abs(error)
        if n == self.reset:
            total, bias, n = total >> 1, bias >> 1, n >> 1
        n += 1
        if bias <= -n:
            bias = max(bias + n, 1 - n)
            self.C[q] = max(self.C[q] - 1, -128)
        elif bias > 0:
            bias = min(bias - n, 0)
            self.C[q] = min(self.C[q] + 1, 127)
        self.N[q], self.A[q], self.B[q] = n, total, bias
        return value

    def _run(self, lines: list[list[int]], above: list[list[int]], x: int, component: int) -> int:
        """Decode a run from column `x` (A.7.1); return the column where it was interrupted, or one past the line."""
        index, width, start = self.run_index[component], self.columns, x
        while True:
            if self.at >= len(self.bits):
                raise NotExtracted("decode_error")
            go_on = self.bits[self.at] == "1"
            self.at += 1
            if not go_on:
                size = _J[index]
                x += int(self.bits[self.at : self.at + size] or "0", 2)
                self.at += size
                break
            x += 1 << _J[index]
            if x <= width + 1:
                index = min(index + 1, 31)
            if x > width:
                x = width + 1
                break
        if x > width + 1:
            raise NotExtracted("decode_error")
        for line in lines:
            line[start:x] = [line[start - 1]] * (x - start)
        self.run_index[component] = index
        return x

    def _run_ended(self, component: int) -> None:
        self.run_index[component] = max(self.run_index[component] - 1, 0)

    def _interruption(self, a: int, b: int, kind: int, component: int) -> int:
        """Decode the sample that ends a run (A.7.2); `kind` is RItype."""
        q = 365 + kind
        n, k = self.N[q], 0
        total = self.A[q] + (n >> 1 if kind else 0)
        while n << k < total:
            k += 1
        mapped = self._golomb(k, self.limit - _J[self.run_index[component]] - 1)
        folded = mapped + kind
        odd = folded & 1
        error = (folded + odd) // 2
        if (k != 0 or 2 * self.Nn[kind] >= n) == bool(odd):
            error = -error
        if error < 0:
            self.Nn[kind] += 1
        self.A[q] += (mapped + 1 - kind) >> 1
        if n == self.reset:
            self.A[q] >>= 1
            self.Nn[kind] >>= 1
            n >>= 1
        self.N[q] = n + 1
        return self._reconstruct(a if kind else b, -error if not kind and a > b else error)
