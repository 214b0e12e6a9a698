"""Search the content of one file of a results folder or a dataset: its place decides how it is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dicomzarr.privacy import export_readers
from dicomzarr.privacy.identifiers import MIN_WEIGHT
from dicomzarr.privacy.scanner import MIN_WEIGHT_IN_PIXELS, Leak, Scanner
from dicomzarr.privacy.table_blocks import CHECKSUMS, WHOLE, NoTable, Share, search_table

RECORDS = ".snakemake/metadata/"  # JSON without the suffix; mostly the same for every job
_MAX_PIECE = 256 << 20  # bytes of a file that are searched at once
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

_GROUP_OF_SERIES = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/zarr\.json")
_VOLUME_ID = re.compile(r"[0-9a-f]{8}")
VOLUME = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}")
# Whatever follows the id of a volume is its mask, a name of the vocabulary, or a suffix.
_EXPORTED = re.compile(
    r"results/exports/(?:png|preview_lossy|nifti)/[0-9a-f]{16}/[0-9a-f]{8}(?:(?:__[a-z0-9_]+)?\.nii\.gz|\.json)?"
)
PICTURE = re.compile(r"results/dataset/reports/pictures/[0-9a-f]{16}/[0-9a-f]{8}(\.thumb)?\.jpg")
# Series, volume, array (a level of the image has a number, a small array beside it a name), and the index of the chunk;
# no other file of a Zarr store matches.
# A mask has its voxels and an index of them, which the check compares with the mask.
_VOXELS = re.compile(
    r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}/(\d+|labels/[a-z0-9_]+/(\d+|foreground))/c(/\d+)*"
)
_SMALL_ARRAY = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}/[a-z_]+/c(/\d+)*")


def search_file(
    scanner: Scanner,
    path: str,
    place: str,
    clean_blocks: frozenset[str] = frozenset(),
    share: Share = WHOLE,
    *,
    with_voxels: bool,
) -> tuple[Leak | None, list[str] | None]:
    """Search the content of a file.

    Parameters
    ----------
    scanner : Scanner
        With the identifiers.
    path : str
        Of the file; a link is not followed.
    place : str
        Its path as a run has it, beginning with ``results/`` or ``.snakemake/``: it decides how the file is read.
    clean_blocks : frozenset of str
        Digests of the blocks of a table that are clean.
    share : Share
        Blocks of a table to search; of `is_table` alone.
    with_voxels : bool
        Search the voxels of images, masks and exports too, decompressed.

    Returns
    -------
    leak : Leak or None
        The first finding.
    blocks : list of str or None
        Digests of the blocks of a clean table.
    """
    name = os.path.basename(path)
    if read := export_readers.reader_of(place):
        return search_parts(scanner, read(Path(path), with_voxels)), None
    if is_table(place):
        return _search_rows(scanner, path, clean_blocks, share, place == CHECKSUMS)
    if _SMALL_ARRAY.fullmatch(place):
        return scanner.array(Path(path)), None
    if _GROUP_OF_SERIES.fullmatch(place):
        return scanner.content(_without_volumes(Path(path)), name), None
    if not is_voxels(place):
        return search_content(scanner, path, "record.json" if place.startswith(RECORDS) else name), None
    return _search_pixels(scanner, path) if with_voxels else None, None


def is_table(place: str) -> bool:
    """Whether a file is searched in blocks of rows, which several processes can share."""
    return place == CHECKSUMS or (place.endswith(".csv") and export_readers.reader_of(place) is None)


def has_id_as_name(place: str) -> bool:
    """Return whether a place is a volume, or its picture or export: its name is an id, of which some are numbers."""
    return bool(VOLUME.fullmatch(place) or PICTURE.fullmatch(place) or _EXPORTED.fullmatch(place))


def _search_rows(
    scanner: Scanner, path: str, clean_blocks: frozenset[str], share: Share, checksums: bool
) -> tuple[Leak | None, list[str] | None]:
    """Search the new or changed blocks of a table; where one has a finding, search all, for the number of its line."""
    try:
        has_leak, blocks = search_table(scanner, Path(path), clean_blocks, share, checksums=checksums)
    except NoTable:
        return search_content(scanner, path, os.path.basename(path)), None
    if has_leak:
        return search_content(scanner, path, os.path.basename(path)) or Leak("value_in_file"), None
    return None, blocks


def search_content(scanner: Scanner, path: str, name: str) -> Leak | None:
    """Search the content of a file, in pieces.

    Parameters
    ----------
    scanner : Scanner
        With the identifiers.
    path : str
        Of the file; a link is not followed.
    name : str
        Decides how the content is parsed, see `Scanner.content`.

    Returns
    -------
    Leak or None
        The first finding.
    """
    with open(os.open(path, _OPEN), "rb") as stream:
        while data := stream.read(_MAX_PIECE):
            if leak := scanner.content(data, name):
                return leak
    return None


def search_parts(scanner: Scanner, parts: Iterator[export_readers.Part]) -> Leak | None:
    """Search the parts of an exported file; voxels need a longer finding, as in the arrays."""
    for part in parts:
        for start in range(0, len(part.data), _MAX_PIECE):
            data = part.data[start : start + _MAX_PIECE]
            if leak := scanner.content(data, part.name, MIN_WEIGHT_IN_PIXELS if part.voxels else MIN_WEIGHT):
                return Leak(leak.code)  # a binary file has no lines
    return None


def _search_pixels(scanner: Scanner, path: str) -> Leak | None:
    """Search the voxels of a shard, chunk by chunk, as its array decodes them."""
    import zarr

    parts = Path(path).parts
    depth = len(parts) - 1 - parts[::-1].index("c")
    array: Any = zarr.open_array(str(Path(*parts[:depth])), mode="r")
    sizes = array.shards or array.chunks
    starts = [int(part) * size for part, size in zip(parts[depth + 1 :], sizes, strict=True)]
    ends = [min(start + size, whole) for start, size, whole in zip(starts, sizes, array.shape, strict=True)]
    first, *rest = map(range, starts, ends)
    for begin in first[:: array.chunks[0]]:
        region = (
            slice(begin, min(begin + array.chunks[0], first.stop)),
            *(slice(axis.start, axis.stop) for axis in rest),
        )
        if leak := scanner.content(array[region].tobytes(), "", MIN_WEIGHT_IN_PIXELS):
            return Leak(leak.code)  # voxels have no lines
    return None


def _without_volumes(path: Path) -> bytes:
    """Return the metadata of a series without the names of its volumes, which may look like a date."""
    data = path.read_bytes()
    for entry in sorted(os.scandir(path.parent), key=lambda entry: entry.name):
        if _VOLUME_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            data = data.replace(f'"{entry.name}"'.encode(), b'""')
    return data


def is_voxels(place: str) -> bool:
    """Whether a file is a shard of an image or a mask: compressed voxels, which are verified against decoded pixels."""
    return bool(_VOXELS.fullmatch(place))
