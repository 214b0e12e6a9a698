"""Read the frames of an image, one at a time, exactly as stored.

Values are stored values: not rescaled, windowed or inverted, and missing bytes are never filled in. The steps are:
unpack the bytes into pixel cells (or decode a compressed frame), clear the unused bits, convert colour to RGB.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.pixels import decode_plan, decoders, unpack_bits
from dicomzarr.pixels.byte_source import FileSource, MemorySource, Source, open_source
from dicomzarr.pixels.encapsulation import FrameTable, frame_table
from dicomzarr.pixels.pixel_format import PixelFormat, pixel_format
from dicomzarr.system import shortage
from dicomzarr.vocabulary.reasons import NotExtracted

__all__ = [
    "CrossCheck",
    "DecodedFrame",
    "DecoderDisagreement",
    "FileSource",
    "FrameReader",
    "MemorySource",
    "PixelFormat",
    "Source",
    "is_sampled",
    "open_source",
    "pixel_format",
]


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame as it is stored in the dataset.

    Attributes
    ----------
    pixels : ndarray
        Shape (rows, columns) or (rows, columns, 3), C order, the little-endian dtype of the `PixelFormat`.
    decoder : str
        ``native``, or library and version, such as ``charls 2.4.3``.
    flags : tuple of str
        Flags of this frame, sorted.
    lossy : bool
        Values were lost by compression: of this frame, or before, according to the header.
    """

    pixels: NDArray[Any]
    decoder: str
    flags: tuple[str, ...] = ()
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """Result of the comparison with a second decoder.

    Attributes
    ----------
    outcome : str
        ``agreed``; ``refused`` where the second decoder cannot read the frame; ``none`` where there is no second
        decoder.
    decoder : str
        Name of the second decoder.
    """

    outcome: Literal["agreed", "refused", "none"]
    decoder: str = ""


class DecoderDisagreement(NotExtracted):
    """Two decoders give different pixels; `digests` are the SHA-256 of the two frames, hex."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__("decoder_disagreement")
        self.digests = (first, second)


class FrameReader:
    """Random access to the frames of one image, decoded on access.

    Parameters
    ----------
    source : Source
        Of the bytes, in which the offset of `facts["pixel"]` counts.
    facts : ImageFacts
        Of the header.
    form : PixelFormat, optional
        Of these facts, if the caller has it already.

    Attributes
    ----------
    format : PixelFormat
        Of the array.
    flags : tuple of str
        Flags of header and encapsulation, sorted; those of a frame are in its `DecodedFrame`.
    spare_frames : int
        Whole frames for which uncompressed pixel data has room behind the last one, be they padding or not.

    Raises
    ------
    NotExtracted
        On construction, where no frame can be read because of header, length or encapsulation.
    """

    def __init__(self, source: Source, facts: ImageFacts, form: PixelFormat | None = None) -> None:
        self.format = form = form or pixel_format(facts)
        self._source = source
        self._offset, self._length = facts["pixel"]["offset"], facts["pixel"]["length"]
        self._table: FrameTable | None = None
        self._subsampled = form.is_subsampled
        self._is_padded = False  # each frame to whole bytes
        self.spare_frames = 0
        flags = set(form.flags)
        if form.syntax.family == "native":
            flags |= self._check_length()
        else:
            self._table = frame_table(source, self._offset, self._length, form.frames, form.syntax.family)
            flags |= set(self._table.flags)
        # Cells are stored as in the array: a frame is read straight into it.
        self._direct = form.bits_allocated >= 8 and form.bits_allocated != 12
        self._direct &= not (form.planar or self._subsampled or form.swapped_bytes)
        self._size = math.prod(form.shape) * int(form.dtype[2:])  # bytes of a frame of the array
        self._is_grey = form.samples == 1 and not form.syntax.big_endian
        self.flags = tuple(sorted(flags))

    def like(self, source: Source, facts: ImageFacts, form: PixelFormat) -> FrameReader | None:
        """Return a reader of another file of the same layout, without checking the length again.

        Parameters
        ----------
        source : Source
            Of the other file.
        facts : ImageFacts
            Of its header.
        form : PixelFormat
            Of its facts.

        Returns
        -------
        FrameReader or None
            None where the files are not both native, of the same format and length, and equally long after the offset.
        """
        offset, length = facts["pixel"]["offset"], facts["pixel"]["length"]
        if self._table is not None or form is not self.format or length != self._length:
            return None
        if not {"surplus_bytes", "padded_frames", "uncertain_frames"}.isdisjoint(self.flags):
            return None  # what the surplus is depends on its bytes
        if source.size - offset != self._source.size - self._offset:
            return None
        other = FrameReader.__new__(FrameReader)
        other.__dict__.update(self.__dict__)
        other._source, other._offset = source, offset
        return other

    def __len__(self) -> int:
        return self.format.frames

    def __iter__(self) -> Iterator[DecodedFrame]:
        return (self[frame] for frame in range(len(self)))

    def __getitem__(self, frame: int) -> DecodedFrame:
        """Return one frame.

        Raises
        ------
        NotExtracted
            `truncated_pixel_data`, `decode_error`, `frame_size_mismatch`, `unsupported_pixel_layout` or `too_large`.
        """
        if not 0 <= frame < len(self):
            raise IndexError(frame)
        try:
            if self._table is None:
                return self._native(frame)
            data = self._table.read(self._source, frame)
            plan = decode_plan.make_plan(data, self.format)
            plane, flags = decode_plan.decode(data, self.format, plan, plan.decoder)
            lossy = decode_plan.is_lossy(self.format, plan.request.stream)
            return DecodedFrame(plane, plan.decoder.name(), tuple(sorted(flags)), lossy)
        except MemoryError:
            shortage.refuse()
            raise NotExtracted("too_large") from None

    def cross_check(self, frame: int, decoded: DecodedFrame) -> CrossCheck:
        """Decode a frame with a second decoder and compare.

        Parameters
        ----------
        frame : int
            Its number, from 0.
        decoded : DecodedFrame
            The frame as `__getitem__` returned it.

        Returns
        -------
        CrossCheck
            Whether a second decoder agreed, could not read the frame, or does not exist.

        Raises
        ------
        DecoderDisagreement
            Where both decode the frame and differ; by more than 1 if the stream is lossy.
        NotExtracted
            `truncated_pixel_data` where the data of a JPEG frame end before its last sample.
        """
        if self._table is None:
            return CrossCheck("none")
        data = self._table.read(self._source, frame)
        plan = decode_plan.make_plan(data, self.format)
        if plan.request.stream is not None and self.format.syntax.family == "jpeg":
            decode_plan.check_complete(plan.decoder, data, plan.request, decoders.run(plan.decoder, data, plan.request))
        if plan.second is None:
            return CrossCheck("none")
        name = plan.second.name()
        try:
            other, _ = decode_plan.decode(data, self.format, plan, plan.second)
        except NotExtracted:
            return CrossCheck("refused", name)
        if unpack_bits.largest_difference(decoded.pixels, other) > plan.tolerance:
            raise DecoderDisagreement(_digest(decoded.pixels), _digest(other))
        return CrossCheck("agreed", name)

    def _check_length(self) -> set[str]:
        """Compare the length of the pixel data with the length that the header requires; return flags."""
        form = self.format
        if self._length < 0:
            raise NotExtracted("bad_encapsulation")  # encapsulated pixel data in a native transfer syntax
        present = max(min(self._length, self._source.size - self._offset), 0)
        flags = set()
        if form.has_all_chroma(present, form.frames):
            self._subsampled = False
            flags.add("not_subsampled")
        needed = -(-form.frame_bits(self._subsampled) * form.frames // 8)
        if present < needed:
            raise NotExtracted("truncated_pixel_data", found=present, needed=needed)
        if form.bits_allocated == 1 and form.frames > 1 and form.frame_bits(False) % 8:
            flags |= self._check_padding(needed, present)
        if present > needed + needed % 2 and not self._is_padded:
            flags.add("surplus_bytes")
            bits = form.frame_bits(self._subsampled)
            self.spare_frames = (8 * present - bits * form.frames) // bits
            if self.spare_frames and not self._is_padding(needed, present):
                flags.add("surplus_frames")
        return flags

    def _check_padding(self, needed: int, present: int) -> set[str]:
        """Find out whether frames of bits are padded to whole bytes, each (decision 0182); return flags."""
        form = self.format
        size = form.frame_bytes
        padded = form.frames * size
        has_surplus = present > needed + needed % 2
        if present > padded + padded % 2:
            return set()
        if present < padded or form.swapped_bytes:
            return {"uncertain_frames"} if has_surplus else set()
        tail = self._source.read(self._offset + needed - 1, padded - needed + 1)
        used = (form.frame_bits(False) * form.frames - 1) % 8 + 1  # bits of its first byte that are those of frames
        has_rest = bool(tail[0] >> used or any(tail[1:]))
        if not (has_surplus or has_rest):
            return set()
        spare = 8 * size - form.frame_bits(False)
        ends = (self._source.read(self._offset + frame * size - 1, 1)[0] for frame in range(1, form.frames + 1))
        if any(end >> (8 - spare) for end in ends):
            return set()
        self._is_padded = has_surplus and has_rest
        return {"padded_frames" if self._is_padded else "uncertain_frames"}

    def _is_padding(self, start: int, end: int) -> bool:
        """Return whether all bytes of the pixel data from `start` to `end` are alike: 0 or 255."""
        step = 1 << 20
        first = self._source.read(self._offset + start, 1)[0]
        if first not in (0, 255):
            return False
        for position in range(start, end, step):
            data = np.frombuffer(self._source.read(self._offset + position, min(step, end - position)), np.uint8)
            if (data != first).any():
                return False
        return True

    def _native(self, frame: int) -> DecodedFrame:
        """Return one uncompressed frame."""
        form = self.format
        plane = self._read_cells(frame)
        plane, flags = unpack_bits.clear_unused_bits(plane, form)
        if form.samples == 3 and form.photometric_source.startswith("YBR"):
            plane = unpack_bits.to_rgb(plane, form.photometric_source)
        return DecodedFrame(plane, "native", flags, form.lossy)

    def _read_cells(self, frame: int) -> NDArray[Any]:
        """Read the pixel cells of a frame; in one read, where they are stored as in the array.

        The array of a large grey frame in memory is a view, not writable: it keeps the file, which is little larger.
        """
        form = self.format
        if self._direct:
            size, source = self._size, self._source
            if self._is_grey and source.size <= size + size // 8 and isinstance(source, MemorySource):
                cells = source.read(self._offset + frame * size, size).toreadonly()
                return np.frombuffer(cells, form.dtype).reshape(form.shape)
            plane = np.empty(form.shape, form.dtype)
            source.read_into(self._offset + frame * size, plane.data.cast("B"))
            if form.syntax.big_endian:
                plane.byteswap(inplace=True)
            return plane
        bits = 8 * form.frame_bytes if self._is_padded else form.frame_bits(self._subsampled)
        first, last = frame * bits // 8, -(-(frame + 1) * bits // 8)
        if not form.swapped_bytes:
            data = self._source.read(self._offset + first, last - first)
            return unpack_bits.unpack(data, frame * bits % 8, form, self._subsampled)
        # A frame may begin or end inside a 16-bit word, whose bytes big endian stores swapped (PS3.5 8.1.1).
        start = first - first % 2
        words = unpack_bits.swap_pairs(self._source.read(self._offset + start, last + last % 2 - start))
        return unpack_bits.unpack(words[first - start :], frame * bits % 8, form, self._subsampled)


def _digest(pixels: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def is_sampled(content_digest: str, frame: int, share: float) -> bool:
    """Return whether a frame is in the sample that is cross-checked; it depends on the data alone.

    Parameters
    ----------
    content_digest : str
        Of the file.
    frame : int
        Its number in the file, from 0.
    share : float
        Size of the sample, 0 to 1.

    Returns
    -------
    bool
        True for about this share of all frames.
    """
    digest = hashlib.blake2b(f"{content_digest}:{frame}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
