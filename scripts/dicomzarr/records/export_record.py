"""Where exports lie, which of them stand, and how they go: what the main process and other rules need to know.

`results/exports/<folder>/` holds, by series, what a rule made; the record of a series says which files, with sizes and
digests, and drives the work. `export.json` is written last: where it is, the export is whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.system import digested_json, files
from dicomzarr.system.results_folder import Results

SUMMARY = "export.json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of export.

    Attributes
    ----------
    rule : str
        The rule that makes it.
    folder : str
        Its folder below `exports/`.
    suffix : str
        Of what a series becomes there: a folder, or one file.
    lossy : bool
        Values are not those of the array.
    """

    rule: str
    folder: str
    suffix: str = ""
    lossy: bool = False


PNG = Kind("export_png", "png")
PREVIEW = Kind("export_preview", "preview_lossy", lossy=True)
NPZ = Kind("export_npz", "npz", ".npz")
NIFTI = Kind("export_nifti", "nifti")
KINDS = (PNG, PREVIEW, NPZ, NIFTI)


def folder_of(results: Results, kind: Kind) -> Path:
    """Return the folder of a kind of export."""
    return results.exports / kind.folder


def home_of(results: Results, kind: Kind, series_id: str) -> Path:
    """Return the folder, or the file, that a series becomes."""
    return folder_of(results, kind) / f"{series_id}{kind.suffix}"


def record_of(results: Results, kind: Kind) -> Path:
    """Return the record of the rule."""
    return results.records / f"{kind.rule}.json"


def recorded(results: Results, kind: Kind) -> Iterator[Path]:
    """Yield the records of the series."""
    yield from sorted((results.records / kind.rule).glob("*/*.json"))


def stands(results: Results, kind: Kind, record: Mapping[str, Any]) -> bool:
    """Return whether every file that the record of a series names is there with its size."""
    folder = os.fspath(folder_of(results, kind))
    try:
        return all(os.lstat(f"{folder}/{said['file']}").st_size == said["bytes"] for said in record["files"])
    except (OSError, KeyError, TypeError):
        return False


def asked(arguments: Sequence[str]) -> list[Kind]:
    """Return the kinds of export that a command line names."""
    return [kind for kind in KINDS if any(kind.rule in argument for argument in arguments)]


def lost(results: Results, kind: Kind) -> list[Path]:
    """Return the records of the series of which a file is missing or cut."""
    found = []
    for path in recorded(results, kind):
        try:
            standing = stands(results, kind, digested_json.read_record(path))
        except (OSError, ValueError):
            standing = False
        if not standing:
            found.append(path)
    return found


def open_again(results: Results, kind: Kind) -> None:
    """Say that an export is not whole: its summary and the record of its rule go."""
    (folder_of(results, kind) / SUMMARY).unlink(missing_ok=True)
    record_of(results, kind).unlink(missing_ok=True)


def remove(results: Results, kind: Kind, series_id: str) -> None:
    """Take a series out of an export, its record last, so that an interrupted removal is done again."""
    record, home = results.series_record(kind.rule, series_id), home_of(results, kind, series_id)
    if not (record.exists() or home.exists()):
        return
    open_again(results, kind)
    files.remove_tree(home)
    record.unlink(missing_ok=True)


def retire(results: Results) -> int:
    """Take out of every export what the dataset no longer holds; return how many series that were.

    A patient who is withdrawn must not stay in an export until somebody asks for that export again.
    """
    gone = 0
    for kind in KINDS:
        for path in recorded(results, kind):
            if not (results.images / path.stem).is_dir():
                remove(results, kind, path.stem)
                gone += 1
    return gone
