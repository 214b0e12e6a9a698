"""Read the tables of the dataset into value objects, and compute sums of them."""

from __future__ import annotations

import csv
import functools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

OUTCOMES = ("extracted", "skipped", "quarantined", "ignored")
FIXED = "splits.fixed"  # the lists of splits, in the column `label`
RARE = "rare"  # replaces modalities with few subjects
_KINDS_OF_ONE_MODALITY = {"dose", "parametric_map", "segmentation", "tiles"}
_WORST = ("fail", "warn", "pass")  # any other verdict counts as a failure


@dataclass(frozen=True, slots=True)
class Outcome:
    """Number of entries of the source with one outcome and reason."""

    outcome: str
    reason: str
    files: int


@dataclass(frozen=True, slots=True)
class Depth:
    """A row of ``depth.csv``. Values are stored values; None is an empty cell."""

    bits_stored: int | None
    bits_used: int | None
    observed_min: float | None
    observed_max: float | None
    read_back: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Size:
    """A row of ``size.csv``. Bytes are sums over all files of the volume; None is an empty cell."""

    frames_expected: int | None
    source_bytes: int | None
    stored_bytes: int | None
    missing_slices: int
    verdict: str


class Array(NamedTuple):
    """A row of ``volumes.csv`` with its rows of the two checks, None if a check has none.

    A named tuple: a dataset has many, and one is created three times faster than a frozen dataclass.
    """

    array: str
    series_id: str
    study_id: str
    subject_id: str
    split: str
    modality: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    bits_stored: int | None
    photometric: str
    spacing: tuple[str, ...]  # by spatial axis, an empty text where it is unknown; nothing where none is known
    frames: int
    source_bytes: int
    stored_bytes: int
    flags: tuple[str, ...]
    pixel_digest: str  # only of arrays whose pixels occur under another subject
    labels: tuple[tuple[str, str], ...]
    depth: Depth | None
    size: Size | None
    masks_absent: tuple[str, ...] = ()  # names of expected masks that the image lacks although it was examined
    kind: str = ""
    why: str = ""  # why its frames are one array

    @property
    def verdict(self) -> str:
        """The worse of the two verdicts; ``fail`` if one is missing."""
        return _worse(self.depth.verdict if self.depth else "", self.size.verdict if self.size else "")

    @property
    def plane(self) -> tuple[int, int]:
        """Rows and columns of one plane, (0, 0) if the shape is unknown."""
        return (self.shape[-2], self.shape[-1]) if len(self.shape) > 1 else (0, 0)


@dataclass(frozen=True, slots=True)
class Joining:
    """Counts of one label, or of the lists of splits: series with it, without, in conflict; unmatched lines."""

    label: str
    matched: int
    unlabelled: int
    conflicts: int
    unmatched: int

    @property
    def is_list(self) -> bool:
        """Whether these are the lists of ``splits.fixed``, which need not name every patient."""
        return self.label == FIXED


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything that the page shows, except masks and pictures."""

    arrays: tuple[Array, ...]
    outcomes: tuple[Outcome, ...]
    burned_in: tuple[tuple[str, int], ...] = ()  # files not extracted by policy: kind of risk, count
    joinings: tuple[Joining, ...] = ()
    faces: tuple[tuple[str, int], ...] = ()  # the same of `faces: skip`

    def files(self, outcome: str) -> int:
        """Return how many entries of the source ended with `outcome`."""
        return sum(row.files for row in self.outcomes if row.outcome == outcome)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over arrays: of the dataset, or of one modality."""

    arrays: int
    series: int
    studies: int
    subjects: int
    frames: int
    source_bytes: int
    stored_bytes: int


def worst(verdicts: Iterable[str]) -> str:
    """Return the worst verdict; anything outside the vocabulary counts as ``fail``."""
    return _WORST[min((_WORST.index(v) if v in _WORST else 0 for v in verdicts), default=2)]


@functools.lru_cache(maxsize=256)
def _worse(*verdicts: str) -> str:
    return worst(verdicts)


def whole(text: str | None) -> int | None:
    """Return the whole number of a cell, None if it has none."""
    try:
        return int(text or "")
    except ValueError:
        return None


def number(text: str | None) -> float | None:
    """Return the finite number of a cell, None if it has none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table, an empty text for each empty cell."""
    columns = header_of(path)
    for cells in _complete(path):
        yield dict(zip(columns, cells, strict=False))


def header_of(path: Path) -> list[str]:
    """Return the names of the columns of a table; nothing of an empty one."""
    with open(path, newline="", encoding="utf-8", errors="replace") as stream:
        return next(csv.reader(stream), [])


def cells_of(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row in these columns: two or more, an empty text for each empty cell.

    Parameters
    ----------
    path : Path
        Of a table.
    names : sequence of str
    optional : sequence of str
        Columns that follow them, whose cells are empty where the table lacks the column.

    Raises
    ------
    KeyError
        If a table with rows lacks one of `names`.

    Notes
    -----
    Three times faster than `rows_of`: a table of a large dataset has a row for each of many arrays.
    """
    columns = header_of(path)
    place = {name: number for number, name in enumerate(columns)}
    rows = _complete(path)
    for first in rows:
        get = itemgetter(*(place[name] for name in names), *(place.get(name, len(columns)) for name in optional))
        yield get(first)
        yield from map(get, rows)


def _complete(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each row, one for each column and, at the end, an empty one for columns that there are not."""
    with open(path, newline="", encoding="utf-8", errors="replace") as stream:
        rows = csv.reader(stream)
        width = len(next(rows, []))
        for cells in rows:
            if cells:
                if len(cells) != width:
                    cells = (cells + [""] * width)[:width]
                cells.append("")
                yield cells


@functools.lru_cache(maxsize=1 << 16)
def _depth(
    bits_stored: str, bits_used: str, observed_min: str, observed_max: str, read_back: str, verdict: str
) -> Depth:
    return Depth(whole(bits_stored), whole(bits_used), number(observed_min), number(observed_max), read_back, verdict)


@functools.lru_cache(maxsize=1 << 16)
def _size(frames_expected: str, source_bytes: str, stored_bytes: str, missing_slices: str, verdict: str) -> Size:
    return Size(
        whole(frames_expected),
        whole(source_bytes),
        whole(stored_bytes),
        whole(missing_slices) or 0,
        verdict,
    )


# What cells become. Cells of large tables repeat: equal ones share one value, and are interpreted once.
_shared = functools.lru_cache(maxsize=1 << 16)


@_shared
def _axes(cell: str) -> str:
    return "".join(axis for axis in cell if axis in "tczyx")


@_shared
def _shape(cell: str) -> tuple[int, ...]:
    return tuple(int(part) for part in cell.split("x") if part.isdigit())


@_shared
def _spacing(cell: str) -> tuple[str, ...]:
    return tuple(cell.split("x")) if cell else ()


@_shared
def _words(cell: str) -> tuple[str, ...]:
    return tuple(cell.split())


@_shared
def _flags(*cells: str) -> tuple[str, ...]:
    return tuple(sorted({flag for words in cells for flag in words.split()}))


_DEPTH = ("bits_stored", "bits_used", "observed_min", "observed_max", "read_back", "verdict")
_SIZE = ("frames_expected", "source_bytes", "stored_bytes", "missing_slices", "verdict")
_VOLUMES = (
    "array",
    "series_id",
    "study_id",
    "subject_id",
    "split",
    "modality",
    "axes",
    "shape",
    "dtype",
    "bits_stored",
    "photometric",
    "spacing_mm",
    "frames",
    "source_bytes",
    "stored_bytes",
    "flags",
    "pixel_digest",
)
_KEY = ("array", "flags")
_LATER_VOLUMES = ("masks_absent", "kind", "why")  # columns that datasets of older versions lack


def _arrays(dataset: Path) -> Iterator[Array]:
    """Yield the rows of ``volumes.csv`` with their rows of the two checks."""
    reports = dataset / "reports"
    depths = {
        name: (_depth(*cells), flags) for name, flags, *cells in cells_of(reports / "depth.csv", (*_KEY, *_DEPTH))
    }
    sizes = {name: (_size(*cells), flags) for name, flags, *cells in cells_of(reports / "size.csv", (*_KEY, *_SIZE))}
    table = dataset / "volumes.csv"
    labels = sorted({column for column in header_of(table) if column.startswith("label_")})
    label_names = [label[6:] for label in labels]
    values: dict[Any, Any] = {}
    share = values.setdefault  # one object for equal values, to save memory
    for row in cells_of(table, _VOLUMES, (*_LATER_VOLUMES, *labels)):
        (array, series_id, study_id, subject_id, split, modality, axes, shape, dtype, bits_stored, photometric) = row[
            :11
        ]
        (spacing, frames, source_bytes, stored_bytes, flag_words, digest, absent, kind, why, *of_labels) = row[11:]
        depth, depth_flags = depths.pop(array, (None, ""))
        size, size_flags = sizes.pop(array, (None, ""))
        flags = _flags(flag_words, depth_flags, size_flags)
        named = tuple(zip(label_names, of_labels, strict=True))
        yield Array(
            array=array,
            series_id=series_id,
            study_id=share(study_id, study_id),
            subject_id=share(subject_id, subject_id),
            split=share(split, split),
            modality=share(modality, modality) or "unknown",
            axes=_axes(axes),
            shape=_shape(shape),
            dtype=share(dtype, dtype),
            bits_stored=whole(bits_stored),
            photometric=share(photometric, photometric),
            spacing=_spacing(spacing),
            frames=whole(frames) or 0,
            source_bytes=whole(source_bytes) or 0,
            stored_bytes=whole(stored_bytes) or 0,
            flags=flags,
            pixel_digest=digest if "same_pixels_elsewhere" in flags else "",
            labels=share(named, named),
            depth=depth,
            size=size,
            masks_absent=_words(absent),
            kind=share(kind, kind),
            why=share(why, why),
        )


def read_tables(dataset: Path, small_cells: int = 1) -> Tables:
    """Read the tables of a dataset folder.

    Parameters
    ----------
    dataset : Path
        The folder that holds ``volumes.csv`` and ``reports/``.
    small_cells : int
        Modalities with fewer subjects than this become one, `RARE`.

    Returns
    -------
    Tables
        Arrays are sorted by name, outcomes by rank and number of files.

    Raises
    ------
    KeyError
        If a table lacks a column of the contract.
    """
    reports, arrays = dataset / "reports", list(_arrays(dataset))
    lines = rows_of(reports / "outcomes.csv")
    outcomes = [Outcome(row["outcome"], row["reason"], whole(row["files"]) or 0) for row in lines]
    rank = {name: place for place, name in enumerate(OUTCOMES)}
    outcomes.sort(key=lambda row: (rank.get(row.outcome, len(rank)), -row.files, row.reason))
    policy = [*rows_of(reports / "policy.csv")]
    burned_in, faces = (
        tuple((row["kind"], whole(row["files"]) or 0) for row in policy if row["policy"] == name)
        for name in ("burned_in", "faces")
    )
    arrays = _without_small_cells(arrays, small_cells)
    joinings = _joinings(reports / "labels.csv")
    return Tables(tuple(sorted(arrays, key=lambda array: array.array)), tuple(outcomes), burned_in, joinings, faces)


def _joinings(path: Path) -> tuple[Joining, ...]:
    by_label: dict[str, Counter[str]] = {}
    for row in rows_of(path) if path.is_file() else ():
        by_label.setdefault(row["label"], Counter())[row["finding"]] += whole(row["series"]) or 0
    return tuple(
        Joining(
            label=label,
            matched=counts["matched"],
            unlabelled=counts["images_unlabelled"],
            conflicts=counts["label_conflicts"],
            unmatched=counts["labels_unmatched"] + counts["fixed_unmatched"],
        )
        for label, counts in sorted(by_label.items(), key=lambda item: (item[0] == FIXED, item[0]))
    )


def _without_small_cells(arrays: list[Array], small_cells: int) -> list[Array]:
    rare = {name for name, members in by_modality(arrays).items() if max(totals(members).subjects, 1) < small_cells}
    return [_combined(array) if array.modality in rare else array for array in arrays]


def _combined(array: Array) -> Array:
    """Return an array whose modality is `RARE`, without a kind that only one modality has."""
    tells = array.kind in _KINDS_OF_ONE_MODALITY
    return array._replace(modality=RARE, kind="" if tells else array.kind, why="" if tells else array.why)


def totals(arrays: Iterable[Array]) -> Totals:
    """Return the sums over arrays."""
    rows = list(arrays)
    return Totals(
        arrays=len(rows),
        series=len({row.series_id for row in rows}),
        studies=len({row.study_id for row in rows if row.study_id}),
        subjects=len({row.subject_id for row in rows if row.subject_id}),
        frames=sum(row.frames for row in rows),
        source_bytes=sum(row.source_bytes for row in rows),
        stored_bytes=sum(row.stored_bytes for row in rows),
    )


def by_modality(arrays: Iterable[Array]) -> dict[str, list[Array]]:
    """Return the arrays by modality: the modality with most arrays first, equal numbers by name."""
    groups: dict[str, list[Array]] = {}
    for array in arrays:
        groups.setdefault(array.modality, []).append(array)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def attention_first(array: Array) -> tuple[int, str, str]:
    """Return the key that sorts failures first, then warnings, then modalities by name."""
    return (_WORST.index(array.verdict), array.modality, array.array)


def flag_counts(arrays: Iterable[Array]) -> list[tuple[str, int]]:
    """Return each flag with the number of arrays that have it, most frequent first."""
    counts = Counter(flag for array in arrays for flag in array.flags)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
