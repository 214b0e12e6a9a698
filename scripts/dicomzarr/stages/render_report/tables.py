"""Read the tables of the dataset into value objects, and compute sums of them."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value", bound=Hashable)

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
    frames_written: int | None
    source_bytes: int | None
    stored_bytes: int | None
    missing_slices: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Array:
    """A row of ``volumes.csv`` with its rows of the two checks, None if a check has none."""

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
    spacing: tuple[str, ...]
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
        return worst(check.verdict if check else "" for check in (self.depth, self.size))

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
    with open(path, newline="", encoding="utf-8", errors="replace") as stream:
        rows = csv.reader(stream)
        columns = next(rows, [])
        missing = [""] * len(columns)
        for cells in rows:
            if cells:
                yield dict(zip(columns, cells + missing if len(cells) < len(columns) else cells, strict=False))


def _depth(row: dict[str, str]) -> Depth:
    return Depth(
        whole(row["bits_stored"]),
        whole(row["bits_used"]),
        number(row["observed_min"]),
        number(row["observed_max"]),
        row["read_back"],
        row["verdict"],
    )


def _size(row: dict[str, str]) -> Size:
    return Size(
        whole(row["frames_expected"]),
        whole(row["frames_written"]),
        whole(row["source_bytes"]),
        whole(row["stored_bytes"]),
        whole(row["missing_slices"]) or 0,
        row["verdict"],
    )


class _Interned:
    """Share one object among equal values, to save memory: the cells of large tables repeat."""

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}

    def __call__(self, value: Value) -> Value:
        """Return the first value that was equal."""
        shared: Value = self._values.setdefault(value, value)
        return shared


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
    reports, interned = dataset / "reports", _Interned()
    depths = {row["array"]: (interned(_depth(row)), interned(row["flags"])) for row in rows_of(reports / "depth.csv")}
    sizes = {row["array"]: (interned(_size(row)), interned(row["flags"])) for row in rows_of(reports / "size.csv")}
    arrays = []
    labels: list[str] | None = None
    for row in rows_of(dataset / "volumes.csv"):
        if labels is None:
            labels = sorted(column for column in row if column.startswith("label_"))
        name = row["array"]
        depth, depth_flags = depths.pop(name, (None, ""))
        size, size_flags = sizes.pop(name, (None, ""))
        flags = {flag for words in (row["flags"], depth_flags, size_flags) for flag in words.split()}
        arrays.append(
            Array(
                array=name,
                series_id=row["series_id"],
                study_id=interned(row["study_id"]),
                subject_id=interned(row["subject_id"]),
                split=interned(row["split"]),
                modality=interned(row["modality"] or "unknown"),
                axes=interned("".join(axis for axis in row["axes"] if axis in "tczyx")),
                shape=interned(tuple(int(part) for part in row["shape"].split("x") if part.isdigit())),
                dtype=interned(row["dtype"]),
                bits_stored=whole(row["bits_stored"]),
                photometric=interned(row["photometric"]),
                spacing=interned(tuple(part for part in row["spacing_mm"].split("x") if part)),
                frames=whole(row["frames"]) or 0,
                source_bytes=whole(row["source_bytes"]) or 0,
                stored_bytes=whole(row["stored_bytes"]) or 0,
                flags=interned(tuple(sorted(flags))),
                pixel_digest=row["pixel_digest"] if "same_pixels_elsewhere" in flags else "",
                labels=interned(tuple([(key[6:], row[key]) for key in labels])),
                depth=depth,
                size=size,
                masks_absent=interned(tuple(row.get("masks_absent", "").split())),
                kind=interned(row.get("kind", "")),
                why=interned(row.get("why", "")),
            )
        )
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
    return replace(array, modality=RARE, kind="" if tells else array.kind, why="" if tells else array.why)


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
