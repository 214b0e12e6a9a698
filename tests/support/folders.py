"""What is in folders: contents of files, and what changes when they are written again."""

from __future__ import annotations

from pathlib import Path

from dicomzarr.source import open_file
from dicomzarr.source.row import StatKey


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stat_key(path: Path) -> StatKey:
    """Return what the inventory has of a file."""
    return open_file.stat_key(path.stat())


def state_of_arrays(results: Path) -> dict[str, tuple[int, int]]:
    """Return properties of the folder of each series that change when its arrays are rebuilt."""
    folders = [path for path in (results / "dataset/images.zarr").iterdir() if path.is_dir()]
    return {path.name: (path.stat().st_ino, path.stat().st_ctime_ns) for path in folders}
