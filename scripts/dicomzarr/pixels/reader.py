"""Exact frames of an image, one at a time: from a source of bytes and the facts of its header.

Values are stored values: nothing is rescaled, windowed or inverted, and nothing is made up. What happens to a frame:
bytes, then cells, then unused bits cleared, then (colour only) RGB; a compressed frame enters at the second step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.pixels import decode_plan, decoders, unpack_bits
from dicomzarr.pixels.byte_source import FileSource, MemorySource, Source, open_source
from dicomzarr.pixels.encapsulation import FrameTable, frame_table
from dicomzarr.pixels.palette import read_palette
from dicomzarr.pixels.pixel_format import PixelFormat, pixel_format
from dicomzarr.vocabulary.reasons import SetAside

__all__ = [
    "CrossCheck",
    "DecodedFrame",
    "DecoderDisagreement",
    "FileSource",
    "FrameReader",
    "MemorySource",
    "PixelFormat",
    "Source",
    "frames",
    "is_sampled",
    "open_source",
    "pixel_format",
    "read_palette",
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
        What was odd about this frame, sorted.
    """

    pixels: NDArray[Any]
    decoder: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """How a comparison with a second decoder came out.

    Attributes
    ----------
    outcome : str
        ``agreed``; ``refused`` where the second decoder cannot read the frame; ``none`` where there is no second.
    decoder : str
        Name of the second decoder.
    """

    outcome: Literal["agreed", "refused", "none"]
    decoder: str = ""


class DecoderDisagreement(SetAside):
    """Two decoders give different pixels; `digests` are the SHA-256 of what each gave, hex."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__("decoder_disagreement")
        self.digests = (first, second)


class FrameReader:
    """Random access to the frames of one image, decoded as they are asked for.

    Parameters
    ----------
    source : Source
        Of the bytes that `facts["pixel"]` counts in.
    facts : ImageFacts
        Of the header.
    form : PixelFormat, optional
        Of these facts, where the caller has it.

    Attributes
    ----------
    format : PixelFormat
        Of the array.
    flags : tuple of str
        What was odd about header and encapsulation, sorted; a frame's own flags come with the frame.

    Raises
    ------
    SetAside
        On construction, where header, length or encapsulation rule the image out as a whole.
    """

    def __init__(self, source: Source, facts: ImageFacts, form: PixelFormat | None = None) -> None:
        self.format = form = form or pixel_format(facts)
        self._source = source
        self._offset, self._length = facts["pixel"]["offset"], facts["pixel"]["length"]
        self._table: FrameTable | None = None
        self._subsampled = form.is_subsampled
        flags = set(form.flags)
        if form.syntax.family == "native":
            flags |= self._measure()
        else:
            self._table = frame_table(source, self._offset, self._length, form.frames, form.syntax.one_fragment)
            flags |= set(self._table.flags)
        # Cells lie in place and order: a frame is read straight into its array.
        self._direct = form.bits_allocated >= 8 and form.bits_allocated != 12
        self._direct &= not (form.planar or self._subsampled or form.swapped_bytes)
        self.flags = tuple(sorted(flags))

    def like(self, source: Source, facts: ImageFacts, form: PixelFormat) -> FrameReader | None:
        """Return a reader of another file whose pixels lie as in this one's, None where they do not.

        What this one found out then holds for that one too, and need not be measured again.
        """
        offset, length = facts["pixel"]["offset"], facts["pixel"]["length"]
        if self._table is not None or form is not self.format or length != self._length:
            return None
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
        SetAside
            `truncated_pixel_data`, `decode_error`, `frame_size_mismatch`, `unsupported_pixel_layout` or `too_large`.
        """
        if not 0 <= frame < len(self):
            raise IndexError(frame)
        try:
            if self._table is None:
                return self._native(frame)
            data = self._table.read(self._source, frame)
            how = decode_plan.plan(data, self.format)
            plane, flags = decode_plan.decode(data, self.format, how, how.decoder)
            return DecodedFrame(plane, how.decoder.name(), tuple(sorted(flags)))
        except MemoryError:
            raise SetAside("too_large") from None

    def cross_check(self, frame: int, decoded: DecodedFrame) -> CrossCheck:
        """Decode a frame again by another implementation and compare.

        Raises
        ------
        DecoderDisagreement
            Where both give an answer and the answers differ, by more than 1 if the stream is lossy.
        """
        if self._table is None:
            return CrossCheck("none")
        data = self._table.read(self._source, frame)
        how = decode_plan.plan(data, self.format)
        if how.second is None:
            return CrossCheck("none")
        name = how.second.name()
        if how.request.stream is not None and self.format.syntax.family == "jpeg":
            decode_plan.check_complete(how.decoder, data, how.request, decoders.run(how.decoder, data, how.request))
        try:
            other, _ = decode_plan.decode(data, self.format, how, how.second)
        except SetAside:
            return CrossCheck("refused", name)
        if unpack_bits.largest_difference(decoded.pixels, other) > how.tolerance:
            raise DecoderDisagreement(_digest(decoded.pixels), _digest(other))
        return CrossCheck("agreed", name)

    def _measure(self) -> set[str]:
        """Compare the bytes there are with the bytes that the header asks for; return flags."""
        form = self.format
        if self._length < 0:
            raise SetAside("bad_encapsulation")  # fragments under a syntax that knows none
        present = max(min(self._length, self._source.size - self._offset), 0)
        full = -(-form.frame_bits(False) * form.frames // 8)
        flags = set()
        if self._subsampled and present in (full, full + full % 2):
            self._subsampled = False
            flags.add("not_subsampled")
        needed = -(-form.frame_bits(self._subsampled) * form.frames // 8)
        if present < needed:
            raise SetAside("truncated_pixel_data", found=present, needed=needed)
        if present > needed + needed % 2:
            flags.add("surplus_bytes")
        return flags

    def _native(self, frame: int) -> DecodedFrame:
        """Return one uncompressed frame."""
        form = self.format
        plane = self._read_cells(frame)
        flags = unpack_bits.clear_unused_bits(plane, form)
        if form.samples == 3 and form.photometric_source.startswith("YBR"):
            plane = unpack_bits.to_rgb(plane, form.photometric_source)
        return DecodedFrame(plane, "native", flags)

    def _read_cells(self, frame: int) -> NDArray[Any]:
        """Read the cells of a frame: by one positioned read where they lie as the array wants them."""
        form = self.format
        if self._direct:
            plane = np.empty(form.shape, form.dtype)
            size = plane.nbytes
            self._source.read_into(self._offset + frame * size, plane.data.cast("B"))
            if form.syntax.big_endian:
                plane.byteswap(inplace=True)
            return plane
        bits = form.frame_bits(self._subsampled)
        first, last = frame * bits // 8, -(-(frame + 1) * bits // 8)
        if not form.swapped_bytes:
            data = self._source.read(self._offset + first, last - first)
            return unpack_bits.unpack(data, frame * bits % 8, form, self._subsampled)
        # A frame may begin or end inside a word (PS3.5 8.1.1 counts in words, which big endian stores swapped).
        even = first - first % 2
        words = unpack_bits.swap_pairs(self._source.read(self._offset + even, last + last % 2 - even))
        return unpack_bits.unpack(words[first - even :], frame * bits % 8, form, self._subsampled)


def _digest(pixels: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def frames(source: Source, facts: ImageFacts) -> Iterator[DecodedFrame]:
    """Yield each frame of an image once, in stored order."""
    yield from FrameReader(source, facts)


def is_sampled(content_digest: str, frame: int, share: float) -> bool:
    """Say whether a frame belongs to the share that is cross-checked; it depends on the data alone.

    Parameters
    ----------
    content_digest : str
        Of the file.
    share : float
        0 to 1.
    """
    digest = hashlib.blake2b(f"{content_digest}:{frame}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
