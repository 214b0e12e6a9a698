"""What the search by a list cannot read: kinds of files by their first bytes, and why a part was left out.

A search that says nothing about such a file would count it as clean.
"""

from __future__ import annotations

import re

from dicomzarr.dicom.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

# Why a file was not read to its end. Codes are in the JSON of `./run audit --needles`.
REASONS = {
    "archive": "an archive or a compression that is not read, such as 7z, RAR or LZ4: unpack it first",
    "encrypted": "encrypted, with or without a password that is known",
    "damaged": "compressed, and damaged, cut, or longer than is read at once (256 MiB)",
    "too_long": "compressed, and longer than 1 GiB once unpacked: the rest was left out",
    "too_deep": "packed within packed files more than three times: unpack it first",
    "pdf": "PDF: its words may be stored as numbers of letters; convert it to text first",
    "hdf5": "HDF5: its arrays may be compressed, or their bytes shuffled; export it as text first",
    "columns": "Parquet, Arrow, ORC or Avro: its columns may be compressed; export it as CSV first",
    "deflated_dicom": "a DICOM file whose data set is compressed",
    "linked_folder": "a link to a folder, which is not followed: search that folder by itself",
}
_STARTS = {
    b"7z\xbc\xaf\x27\x1c": "archive",
    b"Rar!\x1a\x07": "archive",
    b"\x04\x22\x4d\x18": "archive",  # LZ4
    b"\x5d\0\0": "archive",  # LZMA without xz
    b"LZIP": "archive",
    b"\x1f\x9d": "archive",  # compress
    b"\xff\x06\0\0sNaPpY": "archive",
    b"MSCF": "archive",
    b"-----BEGIN PGP MESSAGE": "encrypted",
    b"age-encryption.org/": "encrypted",
    b"Salted__": "encrypted",
    b"%PDF-": "pdf",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"PAR1": "columns",
    b"ARROW1": "columns",
    b"ORC": "columns",
    b"Obj\x01": "columns",
}
_START = re.compile(b"|".join(map(re.escape, _STARTS)))
_BINARY = ("archive", "columns")  # a text may begin with the same letters
_OFFICE, _PACKAGE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "EncryptedPackage".encode("utf-16-le")
_DEFLATED = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid.encode()
_BLOCK = 512  # of a tar


def reasons_of(data: bytes) -> set[str]:
    """Return why some of a file cannot be read, by its first bytes, and of a tar by those of its members."""
    reasons = {_reason_of(data)}
    at = 0
    while data[at + 257 : at + 262] == b"ustar":
        try:
            size = int(data[at + 124 : at + 136].rstrip(b"\0 ") or b"0", 8)
        except ValueError:
            break
        at += _BLOCK
        reasons.add(_reason_of(data[at : at + min(size, 2 * _BLOCK)]))
        at += -(-size // _BLOCK) * _BLOCK
    return reasons - {""}


def _reason_of(data: bytes) -> str:
    if found := _START.match(data):
        reason = _STARTS[found.group()]
        return "" if reason in _BINARY and b"\0" not in data[:4096] else reason
    if data.startswith(_OFFICE) and _PACKAGE in data:
        return "encrypted"
    return "deflated_dicom" if data[128:132] == b"DICM" and _DEFLATED in data[:1024] else ""
