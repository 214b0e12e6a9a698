"""Transfer syntaxes: encoding of the data set, family of the frame decoder, and cost of decoding.

References
----------
DICOM PS3.5 annex A, section 10; PS3.6 table A-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dicomzarr.vocabulary.allow_list import OTHER

Family = Literal["native", "uncompressed", "deflated", "rle", "jpeg", "jpegls", "jpeg2000", "htj2k", "jpegxl"]

# How many bytes of native pixel data take as long to extract and read back as one byte decoded from a compressed frame
# (docs/decisions/0044). For families that are not listed the size of the file counts.
COST: Mapping[Family, int] = {
    "rle": 2, "deflated": 2, "jpeg": 2, "jpegls": 5, "jpeg2000": 13, "htj2k": 3, "jpegxl": 12,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One transfer syntax.

    Attributes
    ----------
    uid, name : str
        As in PS3.6.
    family : str, optional
        Which decoder its frames need; `native` has no fragments. None if there is no decoder.
    lossy : bool, optional
        Whether compression changed values; None if the syntax permits both.
    implicit_vr : bool
        Elements are encoded without their VR.
    big_endian : bool
        Words are stored most significant byte first.
    deflated : bool
        The data set is compressed as a whole.
    """

    uid: str
    name: str
    family: Family | None
    lossy: bool | None = False
    implicit_vr: bool = False
    big_endian: bool = False
    deflated: bool = False

    @property
    def is_uncompressed(self) -> bool:
        """A frame holds its cells as native pixel data does, once it is located and inflated."""
        return self.family in ("native", "uncompressed", "deflated")


IMPLICIT_VR_LITTLE_ENDIAN: Final = TransferSyntax(
    "1.2.840.10008.1.2", "Implicit VR Little Endian", "native", implicit_vr=True
)
EXPLICIT_VR_LITTLE_ENDIAN: Final = TransferSyntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian", "native")
EXPLICIT_VR_BIG_ENDIAN: Final = TransferSyntax(
    "1.2.840.10008.1.2.2", "Explicit VR Big Endian", "native", big_endian=True
)
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = TransferSyntax(
    "1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", "native", deflated=True
)
_DECODED = (
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    TransferSyntax("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", "uncompressed"),
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    TransferSyntax("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", "deflated"),
    TransferSyntax("1.2.840.10008.1.2.5", "RLE Lossless", "rle"),
    TransferSyntax("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", "jpeg", lossy=True),
    TransferSyntax("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", "jpeg", lossy=True),
    TransferSyntax(
        "1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)", "jpeg", lossy=True
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)", "jpeg", lossy=True
    ),
    TransferSyntax("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", "jpeg"),
    TransferSyntax(
        "1.2.840.10008.1.2.4.70",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
        "jpeg",
    ),
    TransferSyntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", "jpegls"),
    TransferSyntax("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", "jpegls", lossy=None),
    TransferSyntax("1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", "jpeg2000"),
    TransferSyntax("1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", "jpeg2000", lossy=None),
    TransferSyntax("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", "htj2k"),
    TransferSyntax(
        "1.2.840.10008.1.2.4.202",
        "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        "htj2k",
    ),
    TransferSyntax("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", "htj2k", lossy=None),
    TransferSyntax("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", "jpegxl"),
    TransferSyntax("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", "jpegxl", lossy=True),
    TransferSyntax("1.2.840.10008.1.2.4.112", "JPEG XL", "jpegxl", lossy=None),
)
_NOT_DECODED = (
    ("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)"),
    ("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)"),
    ("1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)"),
    ("1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)"),
    ("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)"),
    ("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)"),
    ("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)"),
    ("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)"),
    ("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)"),
    ("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)"),
    ("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)"),
    ("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)"),
    ("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)"),
    ("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression"),
    ("1.2.840.10008.1.2.4.94", "JPIP Referenced"),
    ("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate"),
    ("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level"),
    ("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level"),
    ("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level"),
    ("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level"),
    ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    ("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    ("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    ("1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    ("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    ("1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    ("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    ("1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    ("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
    ("1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
    ("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1"),
    ("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1"),
    ("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced"),
    ("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate"),
)
TRANSFER_SYNTAXES: Mapping[str, TransferSyntax] = {syntax.uid: syntax for syntax in _DECODED} | {
    uid: TransferSyntax(uid, name, None, None, deflated=name.endswith(" Deflate")) for uid, name in _NOT_DECODED
}
DECODED: Mapping[str, TransferSyntax] = {syntax.uid: syntax for syntax in _DECODED}
# The pixels are on a server, of which the header has the URL (PS3.5 A.6).
JPIP: Final = frozenset(uid for uid, name in _NOT_DECODED if name.startswith("JPIP"))
# Cost of decoding the frames of a file, by transfer syntax UID; absent where the size of the file counts.
DECODING_COST: Mapping[str, int] = {
    syntax.uid: COST[syntax.family] for syntax in _DECODED if syntax.family and syntax.family in COST
}


def known_transfer_syntax(uid: str) -> str:
    """Return a transfer syntax UID that may leave `private/`.

    Parameters
    ----------
    uid : str
        From the header, which may hold any text.

    Returns
    -------
    str
        The UID if it is a key of `TRANSFER_SYNTAXES`, else `OTHER`.
    """
    return uid if uid in TRANSFER_SYNTAXES else OTHER
