"""What is in folders: contents of files, and what changes when they are written again."""

from __future__ import annotations

from pathlib import Path

from dicomzarr.source import open_file
from dicomzarr.source.row import StatKey

LOCKS = {"run.lock", "jobs.lock"}


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def state_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return inode, time of change and content of everything below a folder, by path; a lock is no result."""
    state = {}
    for path in folder.rglob("*"):
        if path.name not in LOCKS:
            status = path.lstat()
            time = 0 if path.name == "private" else status.st_mtime_ns  # it changes when a lock is created
            state[str(path.relative_to(folder))] = (status.st_ino, time, path.read_bytes() if path.is_file() else b"")
    return state


def stat_key(path: Path) -> StatKey:
    """Return what the inventory has of a file."""
    return open_file.stat_key(path.stat())


def state_of_array_files(results: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return the state of each file of the series, by path; not of the list of all, which is rewritten."""
    files = {path: state for path, state in state_of(results / "dataset/images.zarr").items() if "/" in path}
    return {path: state for path, state in files.items() if state[2]}


def state_of_arrays(results: Path) -> dict[str, tuple[int, int]]:
    """Return properties of the folder of each series that change when its arrays are rebuilt."""
    folders = [path for path in (results / "dataset/images.zarr").iterdir() if path.is_dir()]
    return {path.name: (path.stat().st_ino, path.stat().st_ctime_ns) for path in folders}
