"""NPZ: each series is an archive that `numpy.load` reads without pickle. Equal arrays give equal bytes.

It holds for each volume `<id>`, the stored values, `<id>_attributes`, the attributes as JSON text, and `<id>__<mask>`
for each mask.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from blake3 import blake3

from dicomzarr.stages.export.masks import Mask
from dicomzarr.stages.export.masks import of_array as masks_of
from dicomzarr.stages.export.tables import Exported, array_row, file_row
from dicomzarr.stages.export.verified_arrays import Array, DamagedArray, as_json

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that ZIP can represent
_BLOCK = 1 << 22


def attributes_of(array: Array, masks: Sequence[Mask]) -> dict[str, Any]:
    """Return the attribute `dicomzarr` of an image as JSON values, with `axes`, the name of the array and the masks."""
    attributes: dict[str, Any] = as_json(array.facts)
    of_masks = {"masks": {mask.folder: mask.attributes() for mask in masks}} if masks else {}
    return attributes | {"array": array.name, "axes": array.axes} | of_masks


def _npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _pieces(array: Array) -> Iterator[bytes]:
    """Yield the volume as a .npy file, block by block."""
    yield _npy_header(array.dtype, array.shape)
    for block, _ in array.blocks():
        yield block.tobytes()


def _pieces_of_mask(mask: Mask) -> Iterator[bytes]:
    """Yield a mask as a .npy file, block by block."""
    yield _npy_header(np.dtype("|u1"), mask.shape)
    for block in mask.blocks():
        yield block.tobytes()


def _text(text: str) -> bytes:
    """Return a text as a .npy file: a zero-dimensional array, little-endian."""
    value = np.array(text, dtype=f"<U{max(len(text), 1)}")
    return _npy_header(value.dtype, ()) + value.tobytes()


def _add(archive: zipfile.ZipFile, name: str, pieces: Iterator[bytes], level: int) -> str:
    """Write a member of an archive and return the BLAKE3 of its content."""
    member = zipfile.ZipInfo(name, EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    member.external_attr, member.create_system = 0o644 << 16, 3
    digest = blake3()
    with archive.open(member, "w", force_zip64=True) as stream:
        for piece in pieces:
            digest.update(piece)
            stream.write(piece)
    return digest.hexdigest()


def _digest_of(stream: IO[bytes]) -> str:
    digest = blake3()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def export_series(arrays: list[Array], store: Path, level: int) -> Exported:
    """Write a series as one archive below `store`; the parameters are those of `tables.ExportSeries`."""
    series_id = arrays[0].name.split("/")[0]
    path = store / f"{series_id}.npz"
    digests: dict[str, dict[str, str]] = {}
    with zipfile.ZipFile(path, "w", compresslevel=level or None) as archive:
        for array in arrays:
            masks = masks_of(array)
            attributes = json.dumps(attributes_of(array, masks), sort_keys=True, allow_nan=False)
            digests[array.name] = {
                name: _add(archive, name, pieces, level)
                for name, pieces in (
                    (f"{array.volume_id}.npy", _pieces(array)),
                    (f"{array.volume_id}_attributes.npy", iter([_text(attributes)])),
                    *((f"{mask.stem}.npy", _pieces_of_mask(mask)) for mask in masks),
                )
            }
    exported = Exported()
    with zipfile.ZipFile(path) as archive:
        for array in arrays:
            for name, digest in digests[array.name].items():
                with archive.open(name) as stream:
                    if _digest_of(stream) != digest:
                        raise DamagedArray(array.name)
            size = sum(archive.getinfo(name).compress_size for name in digests[array.name])
            bits = 8 * array.dtype.itemsize
            exported.arrays.append(array_row(array, files=1, exported_bytes=size, bit_depth=bits))
    exported.files.append(file_row(path, store, series_id))
    return exported
