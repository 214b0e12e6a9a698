"""Folders that the workflow and Snakemake make, and what else may be found in their place."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.rules import BATCH_RULES

FOLDERS = (
    "private", *(f"private/{name}" for name in ("records", "plans", "cache", "attempts", "progress", "labels")),
    *(f"private/{name}" for name in ("retired", "removed", "surplus")), "dataset", "dataset/images.zarr",
    "dataset/reports", "dataset/provenance", "logs", "benchmarks", "exports",
    *(f"{place}/{rule}" for place in ("private/records", "dataset/provenance", "logs", "benchmarks")
      for rule in BATCH_RULES),
)  # fmt: skip
FILES = (".csv", ".html", ".json", ".jsonl", ".lock", ".npy")  # no folder of ours has such a name
SNAKEMAKE = (
    ".snakemake", *(f".snakemake/{name}" for name in ("metadata", "incomplete", "locks", "log", "scripts")),
    *(f".snakemake/{name}" for name in ("auxiliary", "iocache", "shadow", "conda", "conda-archive", "singularity")),
)  # fmt: skip


def _clear_paths(folder: Path, names: Iterable[str]) -> None:
    """Remove files in the place of folders, and folders in the place of files; links may lead to the right one."""
    for path in (folder / name for name in names):
        if path.is_file() and not path.is_symlink():
            path.unlink()
            print("note: a file in the place of a folder was removed", file=sys.stderr)
        with os.scandir(path) if path.is_dir() else contextlib.nullcontext(()) as listing:
            wrong = [e.path for e in listing if e.name.endswith(FILES) and e.is_dir(follow_symlinks=False)]
        for inner in wrong:
            files.remove_tree(Path(inner))
            print("note: a folder in the place of a file was removed", file=sys.stderr)


def clear_paths_in(results: Results) -> None:
    """Clear the paths of a results folder; a folder that never was one is somebody's, and nothing in it is removed.

    Raises
    ------
    UserError
        If such a folder holds a file where results have a folder; with its name, which is one of `FOLDERS`.
    """
    if results.private.is_dir() or (results.dataset / "provenance").is_dir():
        _clear_paths(results.root, FOLDERS)
    elif strange := next((name for name in FOLDERS if (results.root / name).is_file()), ""):
        raise UserError(
            f"config key 'results': the folder is none of this workflow's and holds a file {strange!r}, where results "
            "have a folder; choose another folder, or move that file away"
        )


def clear_paths_of_snakemake() -> None:
    """Let Snakemake make the folder in which it keeps its notes; without it, Snakemake ends in a traceback.

    Raises
    ------
    UserError
        If that cannot be, since the current folder cannot be written.
    """
    try:
        _clear_paths(Path(), SNAKEMAKE)
        Path(SNAKEMAKE[0]).mkdir(exist_ok=True)
        writable = os.access(SNAKEMAKE[0], os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(
            "the current folder cannot be written, and Snakemake keeps its notes in .snakemake/ there: start from "
            "another folder, and name source, results and --configfile by their whole paths"
        )
