"""Folders of the workflow and of Snakemake: make sure that no file is in their place."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from dicomzarr.system import files
from dicomzarr.system.results_folder import FOLDERS, Results
from dicomzarr.vocabulary.errors import UserError

FILES = (".csv", ".html", ".json", ".jsonl", ".lock", ".npy")  # no folder of the results has such a name
SNAKEMAKE = (
    ".snakemake", *(f".snakemake/{name}" for name in ("metadata", "incomplete", "locks", "log", "scripts")),
    *(f".snakemake/{name}" for name in ("auxiliary", "iocache", "shadow", "conda", "conda-archive", "singularity")),
)  # fmt: skip


def first_there(folder: Path) -> Path:
    """Return a folder, or else the lowest of those above it that is there: a folder, or what lies in its place."""
    for path in (folder, *folder.parents):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # a name that is too long is another error
            os.lstat(path)
            return path
    return Path()


def _clear_paths(folder: Path, names: Iterable[str]) -> None:
    """Remove files in the place of folders, and what is in the place of files; links to a folder are left alone."""
    for path in (folder / name for name in names):
        if files.exists(path) and not (files.is_dir(path) or files.is_symlink(path)):
            path.unlink()
            print("note: a file in the place of a folder was removed", file=sys.stderr)
        with os.scandir(path) if files.is_dir(path) else contextlib.nullcontext(()) as listing:
            misplaced = [e.path for e in listing if _is_misplaced(e, is_of_file=e.name.endswith(FILES))]
        _remove_misplaced(misplaced)


def _is_misplaced(entry: os.DirEntry[str], *, is_of_file: bool) -> bool:
    """Return whether an entry is a folder with a name `is_of_file`, or a pipe, socket or device.

    Whoever reads a pipe waits for somebody who writes to it, for ever.
    """
    if entry.is_dir(follow_symlinks=False):
        return is_of_file
    return not (entry.is_file(follow_symlinks=False) or entry.is_symlink())


def _remove_misplaced(paths: Iterable[str]) -> None:
    for path in map(Path, paths):
        what = "folder" if files.is_dir(path) else "pipe, socket or device"
        files.remove_tree(path)
        print(f"note: a {what} in the place of a file was removed", file=sys.stderr)


def _clear_metadata() -> None:
    """Remove what is in the place of Snakemake's notes; those of long names are in folders that begin with @."""
    for place in (".snakemake/metadata", ".snakemake/incomplete"):
        with os.scandir(place) if os.path.isdir(place) else contextlib.nullcontext(()) as listing:
            misplaced = [e.path for e in listing if _is_misplaced(e, is_of_file=not e.name.startswith("@"))]
        _remove_misplaced(misplaced)


def clear_paths_in(results: Results) -> None:
    """Clear the paths of a results folder; in a folder that is not one, nothing is removed.

    Raises
    ------
    UserError
        If such a folder holds a file where the results need a folder. The message names it: one of `FOLDERS`.
    """
    if files.is_dir(results.private) or files.is_dir(results.dataset / "provenance"):
        _clear_paths(results.root, FOLDERS)
    elif blocking := next((name for name in FOLDERS if files.is_file(results.root / name)), ""):
        raise UserError(
            f"config key 'results': the folder was not made by this workflow and holds a file {blocking!r}, where the "
            "results need a folder; choose another folder, or move that file away"
        )


def clear_paths_of_snakemake() -> None:
    """Make sure that Snakemake can write `.snakemake/` in the current folder; otherwise it ends with a traceback.

    Raises
    ------
    UserError
        If the current folder is not writable.
    """
    try:
        _clear_paths(Path(), SNAKEMAKE)
        _clear_metadata()
        Path(SNAKEMAKE[0]).mkdir(exist_ok=True)
        writable = os.access(SNAKEMAKE[0], os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(
            "the current folder is not writable, and Snakemake needs to write .snakemake/ there: start from another "
            "folder, and give absolute paths for source, results and --configfile"
        )
