"""Positive control of the privacy search: a made-up value is planted in each form that the search reads, and found.

A search that finds nothing proves something only if it would have found what was there.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicomzarr.privacy import export_readers
from dicomzarr.privacy.file_contents import search_content, search_file, search_parts
from dicomzarr.privacy.identifiers import hash_of_number, identifiers_of
from dicomzarr.privacy.scanner import Leak, Scanner
from dicomzarr.system import files

# Every form and what it means, in the order in which they are tried.
FORMS = {
    "plain": "text, as it is written",
    "upper": "text in other letter case",
    "csv": "a cell of a table",
    "json": "a string of JSON",
    "utf-16": "text of two bytes for each character",
    "binary": "text among bytes that are none",
    "base64": "base64",
    "hex": "hexadecimal digits",
    "path": "percent-encoded, as in URLs",
    "escaped": "escapes of Python",
    "json-escaped": "escapes of JSON",
    "html": "escapes of HTML",
    "list": "characters as a list of numbers in JSON",
    "gzip": "gzip",
    "zlib": "zlib, after other bytes",
    "bzip2": "bzip2",
    "xz": "xz",
    "zstd": "zstd",
    "blosc": "blosc, as in chunks of arrays",
    "zip": "a member of a zip archive",
    "nested": "base64 within gzip",
    "md5": "its plain MD5",
    "sha1": "its plain SHA-1",
    "sha256": "its plain SHA-256",
    "blake3": "its plain BLAKE3",
    "exports": "texts in PNG, NPZ and NIfTI files",
    "number": "a number of JSON",
    "name": "the name of a file",
    "voxels": "compressed voxels of an array",
}


@dataclass(frozen=True, slots=True)
class Control:
    """Keys of `FORMS` in which the planted value was found, and those in which it was missed."""

    found: tuple[str, ...]
    missed: tuple[str, ...]


def run(own: frozenset[str], folder: Path, *, with_voxels: bool) -> Control:
    """Plant a random value in each form, and search for it.

    Parameters
    ----------
    own : frozenset of str
        Words that are no finding, as in the search.
    folder : Path
        Takes the planted files; it is removed afterwards.
    with_voxels : bool
        Try the form ``voxels`` too; else it is in neither list.

    Returns
    -------
    Control
    """
    value = f"Canary{secrets.token_hex(6)}^Wren{secrets.token_hex(4)}".encode()
    number = secrets.randbelow(9 * 10**14) + 10**14
    scanner = Scanner(frozenset({*identifiers_of("PN", value), hash_of_number(number)}), own)
    files.make_private(folder)
    missed: dict[str, None] = {}
    try:
        tried = {form: FORMS[form] for form in FORMS if form != "voxels" or with_voxels}
        for form, leak in _searched(scanner, folder, value, number, with_voxels=with_voxels):
            if leak is None:
                missed[form] = None
    finally:
        files.remove_tree(folder)
    return Control(tuple(form for form in tried if form not in missed), tuple(missed))


def _searched(
    scanner: Scanner, folder: Path, value: bytes, number: int, *, with_voxels: bool
) -> Iterator[tuple[str, Leak | None]]:
    """Yield each form with what the search finds in it; a form may come several times."""
    for form, (suffix, data) in _planted(value).items():
        path = folder / f"{form}.{suffix}"
        path.write_bytes(data)
        yield form, search_content(scanner, str(path), path.name)
    for name, data in export_readers.planted(value).items():
        path = folder / name
        path.write_bytes(data)
        read = export_readers.reader_of(export_readers.EXPORTS + name)
        yield "exports", read and search_parts(scanner, read(path, False))
    numbers = json.dumps({"attributes": {"dicomzarr": {"window": [float(number), 1.0]}}}).encode()
    yield "number", scanner.content(numbers, "zarr.json")
    yield "name", scanner.name(f"series-{value.decode()}.csv")
    if with_voxels:
        place = _array_of(value, folder)
        yield "voxels", search_file(scanner, str(folder / place), f"results/dataset/{place}", with_voxels=True)[0]


def _planted(value: bytes) -> dict[str, tuple[str, bytes]]:
    """Return suffix and content of a file for each form in which a file can hold a value."""
    import imagecodecs
    from blake3 import blake3

    text = b"The value is " + value + b", in a sentence.\n"
    # A short text stays readable within xz, zstd and blosc: then it would be found without being decompressed.
    long = text + bytes(b"etaoin "[byte % 7] for byte in secrets.token_bytes(4096))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("inside.txt"), long, zipfile.ZIP_DEFLATED)
    plain = {
        "plain": text,
        "upper": text.upper(),
        "utf-16": text.decode().encode("utf-16"),
        "binary": bytes(range(32)) + text + bytes(range(128, 256)),
        "base64": base64.b64encode(text),
        "hex": text.hex().encode(),
        "path": b"".join(b"%%%02X" % byte for byte in value),
        "escaped": b"".join(b"\\x%02x" % byte for byte in value),
        "html": "".join(f"&#{byte};" for byte in value).encode(),
        "gzip": gzip.compress(long, mtime=0),
        "zlib": b"\0\1\2" + zlib.compress(long),
        "bzip2": bz2.compress(long),
        "xz": lzma.compress(long),
        "zstd": bytes(imagecodecs.zstd_encode(long)),
        "blosc": bytes(imagecodecs.blosc_encode(long, typesize=8, shuffle=1, compressor="zstd")),
        "zip": archive.getvalue(),
        "nested": gzip.compress(base64.b64encode(text), mtime=0),
        "md5": b'{"id":"' + hashlib.md5(value).hexdigest().encode() + b'"}',
        "sha1": hashlib.sha1(value).hexdigest().encode(),
        "sha256": hashlib.sha256(value).hexdigest().encode(),
        "blake3": blake3(value).hexdigest().encode(),
    }
    escaped = "".join(f"\\u{byte:04x}" for byte in value).encode()
    parsed = {
        "csv": ("csv", b"array,note\n1," + value + b"\n"),
        "json": ("json", json.dumps({"note": value.decode()}).encode()),
        "json-escaped": ("json", b'{"note": "' + escaped + b'"}'),
        "list": ("json", json.dumps({"values": [*text]}).encode()),
    }
    return {form: ("planted", data) for form, data in plain.items()} | parsed


def _array_of(value: bytes, folder: Path) -> str:
    """Write an array whose voxels are a value; return the path of its shard, as in a dataset."""
    import numpy as np
    import zarr

    image = f"images.zarr/{0:016x}/{0:08x}/0"
    voxels = np.frombuffer(value.ljust(64, b" "), np.uint8).reshape(1, 8, 8)
    array = zarr.create_array(str(folder / image), shape=voxels.shape, chunks=(1, 8, 8), shards=(1, 8, 8), dtype="u1")
    array[:] = voxels
    return f"{image}/c/0/0/0"
