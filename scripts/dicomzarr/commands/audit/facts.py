"""What `./run audit` states about a finished results folder, from its tables and records alone."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.commands.tables import raw_rows as rows_of
from dicomzarr.dicom.image_risks import BURNED_IN_KINDS
from dicomzarr.privacy.identifiers import IDENTIFIERS, read_identifiers
from dicomzarr.privacy.positive_control import Control
from dicomzarr.privacy.search_cache import SEARCH_CACHE
from dicomzarr.stages.write_cards.columns import INTEGER, LABEL, NUMBER, TABLES, Column, Vocabularies, read_table
from dicomzarr.system import digested_json, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.attributes import OF_IMAGES, OF_MASKS, OF_OME

UNLISTED = "not on the list"
_MAX_EXAMPLE = 60  # characters
_MAX_VALUES = 12  # values of a vocabulary that are listed; of a longer one, how many


@dataclass(frozen=True, slots=True)
class Item:
    """An attribute or a column: where it can be, what values it may have, and one that it has in this dataset."""

    name: str
    allowed: str
    example: str
    is_listed: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """A group of fewer subjects than `small_cells`."""

    kind: str
    name: str
    subjects: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page states.

    Attributes
    ----------
    seal : str
        Of `dataset.json`.
    attributes, tables : mapping of str to sequence of Item
        By where they are: images, masks; by the path of a table.
    values : int
        Identifiers that the search looks for; 0 where the record is lost, or the source holds nothing.
    searched : int
        Files and folders that it found clean; 0 where the record is lost.
    level : str
        ``standard`` or ``full``; empty where the record is lost.
    control : Control
        Of a run of the positive control just now.
    burned_in, burned_in_reason : str
        Of the configuration.
    skipped : sequence of (kind, meaning, files)
        Images that were skipped since they may have text in their pixels.
    faces, face_subjects, arrays, subjects : int
        Arrays with the flag `face_risk` and their subjects; all arrays and subjects.
    faces_by_geometry : int
        Those of these arrays with the flag `face_by_geometry`.
    face_policy, face_reason : str
        ``faces`` and ``faces_reason`` of the configuration; the second is empty with ``skip``.
    faces_skipped : int
        Images that were left out since their series may show a face.
    small_cells : int
        Groups of fewer subjects are small.
    small : sequence of Group
    frames_looked : int
        Frames in which a detector looked for text, in the files of the series that have arrays.
    detectors : sequence of str
        Its versions.
    """

    seal: str
    attributes: Mapping[str, tuple[Item, ...]]
    tables: Mapping[str, tuple[Item, ...]]
    values: int
    searched: int
    level: str
    control: Control
    burned_in: str
    burned_in_reason: str
    skipped: tuple[tuple[str, str, int], ...]
    faces: int
    face_subjects: int
    arrays: int
    subjects: int
    small_cells: int
    small: tuple[Group, ...]
    unlisted: tuple[str, ...] = field(default=())
    faces_by_geometry: int = 0
    face_policy: str = "keep"
    face_reason: str = "not_assessed"
    faces_skipped: int = 0
    frames_looked: int = 0
    detectors: tuple[str, ...] = ()

    @property
    def is_searched(self) -> bool:
        """Whether the record of the search is there; a source without files has no values."""
        return bool(self.level)


def gather(results: Results, small_cells: int, control: Control) -> Facts:
    """Read the tables, the attributes and the records of a finished results folder.

    Raises
    ------
    OSError, ValueError, KeyError
        If the dataset is not finished, or damaged.
    """
    dataset = results.dataset
    sealed = json_files.read_json(results.sealed)
    attributes, tables = _attributes(results.images), _tables(dataset)
    volumes = [*rows_of(dataset / "volumes.csv", errors="strict")]
    with_face = [row for row in volumes if "face_risk" in row["flags"].split()]
    values, searched, level = _of_search(results.private / "cache")
    config = sealed["config"]
    frames_looked, detectors = _looked(dataset)
    unlisted = [
        f"{place}: {item.name}" for each in (attributes, tables) for place, items in each.items() for item in items
        if not item.is_listed
    ]  # fmt: skip
    return Facts(
        seal=sealed["seal"],
        attributes=attributes,
        tables=tables,
        values=values,
        searched=searched,
        level=level,
        control=control,
        burned_in=str(config.get("burned_in", "")),
        burned_in_reason=str(config.get("burned_in_reason", "")),
        skipped=_skipped(dataset),
        faces=len(with_face),
        face_subjects=len({row["subject_id"] for row in with_face}),
        arrays=len(volumes),
        subjects=len({row["subject_id"] for row in volumes}),
        small_cells=small_cells,
        small=_small(volumes, small_cells),
        unlisted=tuple(unlisted),
        faces_by_geometry=sum("face_by_geometry" in row["flags"].split() for row in with_face),
        face_policy=str(config.get("faces", "keep")),
        face_reason=str(config.get("faces_reason", "")),
        faces_skipped=sum(int(row["files"]) for row in _policy(dataset) if row["policy"] == "faces"),
        frames_looked=frames_looked,
        detectors=detectors,
    )


# ---- What is in the dataset


def _attributes(images: Path) -> dict[str, tuple[Item, ...]]:
    """Return the attributes of images and masks: all that may be there, and all that are."""
    lists = {"images": OF_IMAGES, "masks": OF_MASKS, "OME-Zarr": OF_OME}
    examples: dict[str, dict[str, Any]] = {place: {} for place in lists}
    for path in _groups(images):
        attributes = json.loads(path.read_bytes()).get("attributes", {})
        ours = examples["masks" if "labels" in path.relative_to(images).parts else "images"]
        for key, value in attributes.items():
            found = {"dicomzarr": ours, "ome": examples["OME-Zarr"]}.get(key)
            if found is None or not isinstance(value, dict):
                ours.setdefault(key, value)
                continue
            for name, content in value.items():
                found.setdefault(name, content)
    return {place: _items(lists[place], examples[place]) for place in lists}


def _groups(images: Path) -> Iterable[Path]:
    """Yield the metadata of all groups, in order; arrays have no attributes of their own."""
    for folder, folders, names in os.walk(images):
        if "zarr.json" not in names:
            continue
        path = Path(folder, "zarr.json")
        if json.loads(path.read_bytes()).get("node_type") == "array":
            folders.clear()
        else:
            folders.sort()
        yield path


def _items(allowed: Mapping[str, str], examples: Mapping[str, Any]) -> tuple[Item, ...]:
    return tuple(
        Item(name, allowed.get(name, UNLISTED), _shown(examples[name]) if name in examples else "", name in allowed)
        for name in sorted({*allowed, *examples})
    )


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_EXAMPLE else f"{text[: _MAX_EXAMPLE - 1]}…"


def _tables(dataset: Path) -> dict[str, tuple[Item, ...]]:
    """Return the columns of all tables that are there, with the first cell of each that is not empty."""
    known = {table.path: {column.name for column in table.columns} for table in TABLES}
    paths = sorted(path.relative_to(dataset).as_posix() for path in (*dataset.glob("*.csv"), *dataset.glob("*/*.csv")))
    found = {}
    for path in paths:
        columns = read_table(dataset, path, Vocabularies()).columns
        examples: dict[str, str] = {}
        for row in rows_of(dataset / path, errors="strict"):
            examples |= {name: cell for name, cell in row.items() if cell and name not in examples}
            if len(examples) == len(columns):
                break
        names = known.get(path, set())
        is_listed = {column.name: column.name in names or _is_label(path, column.name) for column in columns}
        found[path] = tuple(
            Item(
                column.name,
                _allowed(column) if is_listed[column.name] else UNLISTED,
                _shown(examples.get(column.name, "")),
                is_listed[column.name],
            )
            for column in columns
        )
    return found


def _is_label(path: str, name: str) -> bool:
    return path == "volumes.csv" and name.startswith(LABEL)


def _allowed(column: Column) -> str:
    """Return in words what the cells of a column may hold."""
    if column.name.startswith(LABEL):
        return "a value that the configuration lists for this label"
    if column.values:
        more = f"one of {len(column.values)} words, such as " if len(column.values) > _MAX_VALUES else ""
        return more + ", ".join(sorted(column.values)[: 3 if more else _MAX_VALUES])
    if column.kind in (INTEGER, NUMBER):
        low = "" if column.minimum is None else f" from {column.minimum:g}"
        high = "" if column.maximum is None else f" to {column.maximum:g}"
        return ("a whole number" if column.kind == INTEGER else "a number") + low + high
    if column.kind != "string":
        return "true or false"
    return _PATTERNS.get(column.pattern) or column.meaning


_PATTERNS = {"[0-9a-f]{16}": "a keyed id of 16 hex digits", "[0-9a-f]{64}": "a digest of pixels, 64 hex digits"}


# ---- What was searched for


def _of_search(cache: Path) -> tuple[int, int, str]:
    """Return how many identifiers are searched for, how many files and folders were clean, and the level."""
    try:
        values = len(read_identifiers(cache / IDENTIFIERS)[2])
        record = digested_json.read_record(cache / SEARCH_CACHE)
        layouts = [len(paths) for paths in record["layouts"]]
        searched = len(record["files"])
        for _, *rows in record["groups"].values():
            searched += sum(layouts[number] for row in rows for number in (row[1], *row[3::2]))
        return values, searched, str(record["version"][1])
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError):
        return 0, 0, ""


# ---- Risks that are left


def _policy(dataset: Path) -> list[dict[str, str]]:
    return [*rows_of(dataset / "reports" / "policy.csv", errors="strict")]


def _skipped(dataset: Path) -> tuple[tuple[str, str, int], ...]:
    return tuple(
        (row["kind"], BURNED_IN_KINDS.get(row["kind"], ""), int(row["files"]))
        for row in _policy(dataset)
        if row["policy"] == "burned_in"
    )


def _looked(dataset: Path) -> tuple[int, tuple[str, ...]]:
    """Return in how many frames a detector looked for text, and its versions: by the provenance of the extraction."""
    frames, detectors = 0, set()
    for path in sorted((dataset / "provenance" / "extract_batch").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if looked := json.loads(line).get("looked"):
                frames += looked["frames"]
                detectors.add(str(looked["detector"]))
    return frames, tuple(sorted(detectors))


def _small(volumes: Collection[Mapping[str, str]], small_cells: int) -> tuple[Group, ...]:
    """Return the groups of fewer subjects than `small_cells`: the whole, modalities, splits and values of labels."""
    subjects: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in volumes:
        subjects["all", ""].add(row["subject_id"])
        for kind, value in row.items():
            if value and (kind in ("modality", "split") or kind.startswith(LABEL)):
                subjects[kind, value].add(row["subject_id"])
    small = [(kind, name, len(each)) for (kind, name), each in sorted(subjects.items()) if len(each) < small_cells]
    return tuple(Group(*group) for group in small)
