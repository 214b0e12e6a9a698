"""`./run diff`: compare two datasets: added, grown, changed and retired volumes, configuration and software."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.commands import tables
from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import BY_NAME
from dicomzarr.commands.launcher.options import folder_of_copy, parse
from dicomzarr.system import files
from dicomzarr.vocabulary.errors import UserError

NEW = Path("results") / "dataset"
Rows = dict[str, dict[str, str]]
# Columns of volumes.csv that depend on how bytes are stored.
_STORAGE = {"stored_bytes"}
# And those that depend on the pseudonym key.
_KEYED = {*_STORAGE, "array", "series_id", "study_id", "subject_id"}


class NoDataset(UserError):
    """A path is neither a dataset folder nor a dataset.json."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two datasets; `volumes` is None if only its dataset.json is there.

    A row of volumes.csv has, beside its columns, ``mask NAME`` with the pixel digest of each mask of the volume.
    """

    sealed: dict[str, Any]
    volumes: Rows | None


def read(path: Path) -> Side:
    """Return a dataset from its folder, its dataset.json, or a results folder.

    Raises
    ------
    NoDataset
        If there is none.
    """
    for folder in (path, path / "dataset"):
        if files.is_file(folder / "dataset.json"):
            path = folder / "dataset.json"
            break
    try:
        sealed = json.loads(path.read_bytes())
        if not {"digest", "seal", "key_check", "counts", "config", "software"} <= set(sealed):
            raise ValueError
    except (OSError, ValueError, TypeError):
        raise NoDataset(
            f"{str(path)!r} is no finished dataset; needed is a dataset folder with its dataset.json, a results "
            "folder, or one that ./run publish wrote to. A run that changes a dataset writes dataset.json last"
        ) from None
    table = path.with_name("volumes.csv")
    if path.name != "dataset.json" or not files.is_file(table):
        return Side(sealed, None)
    volumes = {row["array"]: row for row in tables.rows(table, ["array"])}
    for mask in tables.rows(path.with_name("masks.csv"), ["array", "mask", "pixel_digest"]):
        if mask["array"] in volumes:
            volumes[mask["array"]][f"mask {mask['mask']}"] = mask["pixel_digest"]
    return Side(sealed, volumes)


def _changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return ``{key: [old, new]}`` for each difference of two mappings; None means a missing key."""
    return {key: [old.get(key), new.get(key)] for key in sorted({*old, *new}) if old.get(key) != new.get(key)}


def _matched_by_pixels(old: Rows, new: Rows) -> tuple[Rows, Rows]:
    """Return the volumes of two datasets with different keys, under names that matching volumes share.

    Volumes match where their `pixel_digest` is equal. Where several have the same one, those with equal rows are
    matched first, then the rest in the order of their rows. Ids are not compared, since they depend on the key.
    """
    columns = sorted({key for row in old.values() for key in row} & {key for row in new.values() for key in row})
    compared = [column for column in columns if column not in _KEYED]

    def by_digest(volumes: Rows) -> dict[str, list[tuple[str, ...]]]:
        groups: dict[str, list[tuple[str, ...]]] = {}
        for array, row in volumes.items():
            groups.setdefault(row["pixel_digest"], []).append((*(row.get(column, "") for column in compared), array))
        return {digest: sorted(group) for digest, group in groups.items()}

    left, right = by_digest(old), by_digest(new)
    named_old: Rows = {}
    named_new: Rows = {}
    for digest in left.keys() | right.keys():
        groups = left.get(digest, []), right.get(digest, [])
        equal = Counter(row[:-1] for row in groups[0]) & Counter(row[:-1] for row in groups[1])
        for group, volumes, named in zip(groups, (old, new), (named_old, named_new), strict=True):
            for number, row in enumerate(_first(group, equal)):
                named[f"{digest} {number}"] = volumes[row[-1]]
    return named_old, named_new


def _first(group: Sequence[tuple[str, ...]], equal: Mapping[tuple[str, ...], int]) -> list[tuple[str, ...]]:
    """Return sorted rows with those that the other dataset has too in front; both datasets get the same order."""
    left = dict(equal)
    front, rest = [], []
    for row in group:
        if left.get(row[:-1], 0):
            left[row[:-1]] -= 1
            front.append(row)
        else:
            rest.append(row)
    return front + rest


def _volumes(old: Rows, new: Rows, same_key: bool) -> dict[str, Any]:
    left, right = (old, new) if same_key else _matched_by_pixels(old, new)
    changes: dict[str, Any] = {
        "added": sorted(right[name]["array"] for name in right.keys() - left.keys()),
        "retired": sorted(left[name]["array"] for name in left.keys() - right.keys()),
        "grown": {},
        "changed": {},
        "rewritten": 0,
    }
    hidden = _STORAGE if same_key else _KEYED
    for name in sorted(left.keys() & right.keys()):
        columns = _changed_keys(left[name], right[name])
        shown = {key: values for key, values in columns.items() if key not in hidden}
        if "pixel_digest" in shown and int(right[name]["frames"]) > int(left[name]["frames"]):
            changes["grown"][right[name]["array"]] = shown
        elif shown:
            changes["changed"][right[name]["array"]] = shown
        elif columns and same_key:
            changes["rewritten"] += 1
    return changes


def compare(old: Side, new: Side) -> dict[str, Any]:
    """Return the differences as a JSON value.

    Returns
    -------
    dict
        `same_data` and `same_seal` (equal digests), `same_key` (if not, volumes are matched by their pixels, since ids
        differ), `counts`, `config` and `software` as ``{key: [old, new]}``, and `volumes`: the arrays `added` and
        `retired`; `grown` (more frames than before) and `changed` with the columns of volumes.csv that differ;
        `rewritten`, the number of arrays of which only the stored size differs. `volumes` is None if a side is only a
        dataset.json and the digests differ.
    """
    same_key = old.sealed["key_check"] == new.sealed["key_check"]
    same_data = old.sealed["digest"] == new.sealed["digest"]
    volumes = None
    if old.volumes is not None and new.volumes is not None:
        volumes = _volumes(old.volumes, new.volumes, same_key)
    elif same_data:
        volumes = _volumes({}, {}, True)
    return {
        "same_data": same_data,
        "same_seal": old.sealed["seal"] == new.sealed["seal"],
        "same_key": same_key,
        "counts": _changed_keys(old.sealed["counts"], new.sealed["counts"]),
        "config": _changed_keys(old.sealed["config"], new.sealed["config"]),
        "software": _changed_keys(old.sealed["software"], new.sealed["software"]),
        "volumes": volumes,
    }


_LONGEST = 40  # characters of a value in a line
_BEFORE = 10  # of them, those before the first difference of long texts
_DIGEST = re.compile("[0-9a-f]{64}")


def _text(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text[:16] if _DIGEST.fullmatch(text) else text


def _shown(values: list[Any]) -> str:
    """Return two values as text; of long ones the part in which they differ."""
    old, new = map(_text, values)
    start = max(len(os.path.commonprefix([old, new])) - _BEFORE, 0) if max(len(old), len(new)) > _LONGEST else 0

    def cut(text: str) -> str:
        end = start + _LONGEST
        return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")

    return f"{cut(old)} -> {cut(new)}"


def lines(differences: Mapping[str, Any]) -> list[str]:
    """Return the differences as lines of text."""
    text = []
    volumes = differences["volumes"]
    if volumes is not None:
        text += [f"added    {array}" for array in volumes["added"]]
        for kind in ("grown", "changed"):
            for array, columns in volumes[kind].items():
                changes = ", ".join(f"{key} {_shown(values)}" for key, values in columns.items())
                text.append(f"{kind:<8} {array}  {changes}")
        text += [f"retired  {array}" for array in volumes["retired"]]
    else:
        text.append("volumes  not compared: that needs volumes.csv beside each dataset.json")
    if not differences["same_key"]:
        text.append("key      made with different keys: ids differ, volumes are matched by their pixels")
    for part in ("counts", "config", "software"):
        text += [f"{part:<8} {key}: {_shown(values)}" for key, values in differences[part].items()]
    data = "the same data" if differences["same_data"] else "different data"
    seal = "same seal" if differences["same_seal"] else "another seal"
    if volumes is not None:
        counts = [f"{len(volumes[kind])} {kind}" for kind in ("added", "grown", "changed", "retired")]
        data += ": " + ", ".join([*counts, f"{volumes['rewritten']} stored in other bytes"])
        if not differences["same_data"] and not any(volumes.values()):
            data = "the same volumes, but different tables, pictures or cards"
    return [*text, f"{data}; {seal}"]


def main(arguments: list[str]) -> int:
    """Compare two datasets; return 0 if their data is the same, 1 if it differs, 2 if one is missing.

    The tables of the source are part of the data: one more skipped file is a difference, even if all volumes are equal.
    """
    options = parse(BY_NAME["diff"], arguments)
    if not options.positional:
        raise UserError("the dataset to compare with is missing: ./run diff OLD. See ./run diff --help")
    old, new = (*(folder_of_copy(place, "diff") for place in options.positional), NEW)[:2]
    differences = compare(read(old), read(new))
    if options.has("--json"):
        json_output.show(differences)
    else:
        print("\n".join(lines(differences)))
    return 0 if differences["same_data"] else 1
