"""The format of an image's array, from its header alone (PS3.3 C.7.6.3, PS3.5 section 8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.photometric import PHOTOMETRIC
from dicomzarr.dicom.transfer_syntaxes import DECODED, TransferSyntax
from dicomzarr.system import limits
from dicomzarr.vocabulary.reasons import NotExtracted

_EXTRACTED = [row for row in PHOTOMETRIC.values() if row.is_extracted]
_GREY = frozenset(row.name for row in _EXTRACTED if row.samples == 1)
_COLOUR = frozenset(row.name for row in _EXTRACTED if row.samples == 3)
SUBSAMPLED = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})  # as uncompressed data, which can be read


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The array of an image's frames, and the layout of its pixel cells in the file.

    Attributes
    ----------
    rows, columns, samples : int
        A frame is (rows, columns), or (rows, columns, 3) where samples is 3.
    dtype : str
        NumPy dtype, little-endian, such as ``<i2`` or ``|u1``.
    bits_allocated, bits_stored : int
        As in the header; for float pixel data both are the width of the float.
    signed : bool
        Pixel Representation (0028,0103).
    photometric, photometric_source : str
        Of the array (RGB after conversion) and of the header (0028,0004).
    frames : int
        Number of Frames (0028,0008), 1 where absent.
    lossy : bool
        The frames are lossily compressed in this file, or were before, according to the header. What a stream says
        takes precedence, see `decode_plan.is_lossy`.
    flags : tuple of str
        Flags of the header, sorted; see `dicomzarr.vocabulary.flags`.
    syntax : TransferSyntax
        Of the file.
    shift : int
        High Bit + 1 - Bits Stored: how far cells are shifted right (PS3.5 8.1.1).
    planar : bool
        Planar Configuration (0028,0006) is 1 and applies; to 4:2:2 only if `has_all_chroma`.
    swapped_bytes : bool
        Cells of fewer than 16 bits in big-endian words: bytes are swapped in pairs.
    lossy_header : str
        Lossy Image Compression (0028,2110): 00, 01, or another text.
    """

    rows: int
    columns: int
    samples: int
    dtype: str
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    photometric_source: str
    frames: int
    lossy: bool
    flags: tuple[str, ...]
    syntax: TransferSyntax
    shift: int = 0
    planar: bool = False
    swapped_bytes: bool = False
    lossy_header: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one frame."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def is_float(self) -> bool:
        """The samples are floating point numbers."""
        return self.dtype[1] == "f"

    @property
    def is_subsampled(self) -> bool:
        """Uncompressed samples are stored as Y1 Y2 CB CR (PS3.3 C.7.6.3.1.2)."""
        return self.samples == 3 and self.photometric_source in SUBSAMPLED

    def has_all_chroma(self, size: int, frames: int = 1) -> bool:
        """Return whether frames that are 4:2:2 according to the header are not, according to their length.

        Parameters
        ----------
        size : int
            Bytes of all frames, uncompressed.
        frames : int
            Number of frames that follow each other without padding.

        Returns
        -------
        bool
            All samples of all pixels have room, and nothing else. Then Planar Configuration (0028,0006) applies.
        """
        full = -(-self.frame_bits(False) * frames // 8)
        return self.is_subsampled and size in (full, full + full % 2)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame, padded to whole bytes."""
        return -(-self.frame_bits(self.is_subsampled) // 8)

    def frame_bits(self, subsampled: bool) -> int:
        """Bits of one uncompressed frame; frames follow each other without padding (PS3.5 8.1.1).

        Parameters
        ----------
        subsampled : bool
            The samples are stored as Y1 Y2 CB CR, two per pixel.

        Returns
        -------
        int
            Rows x columns x samples x Bits Allocated.
        """
        samples = 2 if subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated


def pixel_format(facts: ImageFacts) -> PixelFormat:
    """Return the format of an image's array.

    Parameters
    ----------
    facts : ImageFacts
        Of the header.

    Returns
    -------
    PixelFormat
        The same object for the same values, from a cache: the files of a series share them.

    Raises
    ------
    NotExtracted
        `unsupported_transfer_syntax`, `missing_attribute`, `invalid_attribute`, `unsupported_pixel_layout`,
        `missing_pixel_data` or `too_large`.

    References
    ----------
    DICOM PS3.3 C.7.6.3; PS3.5 8.
    """
    if "pixel" not in facts:
        raise NotExtracted("missing_pixel_data")
    if not facts.get("TransferSyntaxUID"):
        raise NotExtracted("missing_attribute")
    pixel = facts["pixel"]
    return _pixel_format(limits.current(), pixel["keyword"], pixel["vr"], *map(facts.get, _DECIDING))


# The attributes that decide, with keyword and VR of the pixel data element.
_DECIDING = (
    *("TransferSyntaxUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "LossyImageCompression"),
)


@lru_cache(maxsize=256, typed=True)
def _pixel_format(budget: limits.Limits, keyword: str, vr: str, *values: Any) -> PixelFormat:
    """Return the format for the values of `_DECIDING`, None where missing, within these limits."""
    present: dict[str, Any] = {name: value for name, value in zip(_DECIDING, values, strict=True) if value is not None}
    facts = cast(ImageFacts, present | {"pixel": {"keyword": keyword, "vr": vr}})
    syntax = DECODED.get(facts["TransferSyntaxUID"])
    if syntax is None:
        raise NotExtracted("unsupported_transfer_syntax")
    flags: set[str] = set()
    rows, columns = _positive(facts.get("Rows")), _positive(facts.get("Columns"))
    frames = facts.get("NumberOfFrames") or 1
    if frames < 1:
        raise NotExtracted("invalid_attribute", found=frames, needed=1)
    if frames > budget.frames:
        raise NotExtracted("too_large", found=frames, needed=budget.frames)
    samples, photometric = _colour_model(facts, flags)
    shift = 0
    if facts["pixel"]["keyword"] != "PixelData":
        allocated = stored = _float_bits(facts, syntax, samples)
        signed, dtype = True, f"<f{allocated // 8}"
    else:
        allocated, stored, shift = _bits(facts, syntax, samples, flags)
        signed = _signed(facts, allocated, flags)
        size = {1: 1, 12: 2}.get(allocated, allocated // 8)
        dtype = f"{'|' if size == 1 else '<'}{'i' if signed else 'u'}{size}"
    planar = False
    if samples == 3 and syntax.is_uncompressed:
        _check_uncompressed_colour(photometric, allocated, columns)
        # Of 4:2:2 it is 0 (PS3.3 C.7.6.3.1.3): another value counts where the length shows that all chroma is stored.
        planar = facts.get("PlanarConfiguration") == 1 if photometric in SUBSAMPLED else _planar(facts, flags)
    decoded = rows * columns * samples * int(dtype[2:])
    largest = budget.frame
    if decoded > largest:
        raise NotExtracted("too_large", found=decoded, needed=largest)
    return PixelFormat(
        rows=rows,
        columns=columns,
        samples=samples,
        dtype=dtype,
        bits_allocated=allocated,
        bits_stored=stored,
        signed=signed,
        photometric="RGB" if samples == 3 else photometric,
        photometric_source=photometric,
        frames=frames,
        lossy=_lossy(facts, syntax),
        flags=tuple(sorted(flags)),
        syntax=syntax,
        shift=shift,
        planar=planar,
        swapped_bytes=syntax.big_endian and allocated < 16 and facts["pixel"]["vr"] == "OW",
        lossy_header=facts.get("LossyImageCompression", ""),
    )


def _positive(value: int | None) -> int:
    if value is None:
        raise NotExtracted("missing_attribute")
    if value < 1:
        raise NotExtracted("invalid_attribute", found=value, needed=1)
    return value


def _colour_model(facts: ImageFacts, flags: set[str]) -> tuple[int, str]:
    """Return Samples per Pixel (0028,0002) and Photometric Interpretation (0028,0004) if they match."""
    photometric = facts.get("PhotometricInterpretation")
    samples = facts.get("SamplesPerPixel")
    if not photometric:
        if facts["pixel"]["keyword"] == "PixelData" or samples not in (None, 1):
            raise NotExtracted("missing_attribute")
        photometric = "MONOCHROME2"  # the only value allowed for float pixel data (PS3.3 C.7.6.24)
    if samples is None:
        samples = 3 if photometric in _COLOUR else 1
        flags.add("assumed_samples_per_pixel")
    if not (samples == 1 and photometric in _GREY) and not (samples == 3 and photometric in _COLOUR):
        raise NotExtracted("unsupported_pixel_layout")
    return samples, photometric


def _float_bits(facts: ImageFacts, syntax: TransferSyntax, samples: int) -> int:
    """Return the width of Float Pixel Data (7FE0,0008) or Double Float Pixel Data (7FE0,0009), never compressed."""
    width = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(facts["pixel"]["keyword"])
    if width is None or facts.get("BitsAllocated", width) != width or syntax.family != "native" or samples != 1:
        raise NotExtracted("unsupported_pixel_layout")
    return width


def _bits(facts: ImageFacts, syntax: TransferSyntax, samples: int, flags: set[str]) -> tuple[int, int, int]:
    """Return Bits Allocated, Bits Stored and the right shift that High Bit requires (PS3.5 8.1.1)."""
    allocated = facts.get("BitsAllocated")
    if allocated is None:
        raise NotExtracted("missing_attribute")
    stored = facts.get("BitsStored")
    if stored is None:
        stored = allocated
        flags.add("assumed_bits_stored")
    if not 1 <= stored <= allocated:
        raise NotExtracted("invalid_attribute", found=stored, needed=allocated)
    high = facts.get("HighBit", stored - 1)
    if stored == allocated and high != stored - 1:  # all bits are used, so the lowest of them is bit 0
        flags.add("high_bit_ignored")
        high = stored - 1
    if not stored - 1 <= high < allocated:
        raise NotExtracted("invalid_attribute", found=high, needed=stored - 1)
    packed = allocated in (1, 12)
    if allocated not in (1, 8, 12, 16, 32, 64) or (packed and samples != 1):
        raise NotExtracted("unsupported_pixel_layout", found=allocated)
    if allocated == 12 and syntax.family == "rle":  # RLE splits cells into whole bytes (PS3.5 G.2)
        raise NotExtracted("unsupported_pixel_layout", found=allocated)
    if high != stored - 1:
        flags.add("high_bit_shifted")
    return allocated, stored, high + 1 - stored


def _signed(facts: ImageFacts, allocated: int, flags: set[str]) -> bool:
    """Return whether Pixel Representation (0028,0103) is signed; up to 8 bits an absent value means unsigned."""
    representation = facts.get("PixelRepresentation")
    if representation is None:
        if allocated > 8:
            raise NotExtracted("missing_attribute")
        flags.add("assumed_unsigned")
        return False
    if representation not in (0, 1):
        raise NotExtracted("invalid_attribute", found=representation, needed=1)
    return representation == 1 and allocated > 1


def _planar(facts: ImageFacts, flags: set[str]) -> bool:
    """Return Planar Configuration (0028,0006), 0 where absent."""
    planar = facts.get("PlanarConfiguration")
    if planar is None:
        flags.add("assumed_planar_configuration")
        return False
    if planar not in (0, 1):
        raise NotExtracted("invalid_attribute", found=planar, needed=1)
    return planar == 1


def _check_uncompressed_colour(photometric: str, allocated: int, columns: int) -> None:
    """Raise for uncompressed colour that PS3.3 C.7.6.3.1.2 does not define."""
    if photometric in ("YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB"):
        raise NotExtracted("unsupported_pixel_layout")
    if photometric != "RGB" and allocated != 8:
        raise NotExtracted("unsupported_pixel_layout", found=allocated, needed=8)
    if photometric in SUBSAMPLED and columns % 2:
        raise NotExtracted("unsupported_pixel_layout", found=columns, needed=columns + 1)


def _lossy(facts: ImageFacts, syntax: TransferSyntax) -> bool:
    """Return whether values were lost; Lossy Image Compression (0028,2110) decides if the syntax allows both."""
    declared = facts.get("LossyImageCompression", "")
    if syntax.lossy is None:
        return declared != "00"
    return syntax.lossy or declared == "01"
