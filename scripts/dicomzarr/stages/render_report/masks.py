"""The tables of masks on the page: by name, by flag, and the mask files of which no mask was placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dicomzarr.stages.render_report.numbers import UNKNOWN, grouped
from dicomzarr.stages.render_report.tables import RARE, Array, number, rows_of, whole, worst
from dicomzarr.vocabulary.flags import MASK_FLAGS
from dicomzarr.vocabulary.reasons import REASONS

Number = TypeVar("Number", int, float)

UNNAMED = "without a name"
_MEANINGS = {
    "duplicate": "the same file, or another version of it, was placed",
    "mask_without_image": "its image is not in the dataset, or lies in another frame of reference",
    "mask_ambiguous": "several images fit, and it names none of them",
    "mask_unreadable": "it cannot be read as masks",
}


@dataclass(frozen=True, slots=True)
class Mask:
    """A row of ``masks.csv``."""

    array: str
    mask: str
    name: str
    kind: str
    algorithm: str
    voxels: int
    volume_ml: float | None
    flags: tuple[str, ...]
    read_back: str
    verdict: str

    @property
    def shown_name(self) -> str:
        """How the page calls it: its folder, or `RARE`."""
        return RARE if self.name == RARE else self.mask

    @property
    def path(self) -> str:
        """Where it is below ``images.zarr``; that of its image if its name is `RARE`."""
        return self.array if self.name == RARE else f"{self.array}/labels/{self.mask}"


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """Number of segmentations or structure sets with one outcome and reason."""

    kind: str
    outcome: str
    reason: str
    files: int

    @property
    def meaning(self) -> str:
        """What the reason means."""
        if not self.reason:
            return "its masks lie beside their image"
        known = REASONS.get(self.reason)
        return _MEANINGS.get(self.reason) or (known.meaning if known else "unknown reason code")


@dataclass(frozen=True, slots=True)
class Masks:
    """All masks of the dataset, those that were expected and are absent, and the files that hold masks.

    Attributes
    ----------
    rows : tuple of Mask
        By array and mask. The name is `RARE` if few subjects have a mask of that name.
    absent : tuple of (str, int)
        Names of expected masks, and the images that were examined and lack it; -1 if these are of few subjects.
    files : tuple of MaskFiles
    """

    rows: tuple[Mask, ...] = ()
    absent: tuple[tuple[str, int], ...] = ()
    files: tuple[MaskFiles, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.rows or self.files or self.absent)

    def of_arrays(self) -> dict[str, list[Mask]]:
        """Return the masks of each array."""
        masks: dict[str, list[Mask]] = {}
        for mask in self.rows:
            masks.setdefault(mask.array, []).append(mask)
        return masks


@dataclass(frozen=True, slots=True)
class NameLine:
    """A line of the table of masks by name; numbers are text where a range or an unknown is possible."""

    name: str
    images: int
    masks: int
    empty: int
    absent: str
    voxels: str
    volume: str
    kinds: str
    algorithms: str
    verdict: str


def read_masks(dataset: Path, arrays: Sequence[Array], small_cells: int = 1) -> Masks:
    """Read the tables of masks; nothing of a dataset without them.

    Parameters
    ----------
    dataset : Path
        The folder that holds ``masks.csv``, ``volumes.csv`` and ``reports/mask_files.csv``.
    arrays : sequence of Array
    small_cells : int
        Names that fewer subjects have become one, `RARE`.
    """
    table = dataset / "masks.csv"
    rows = [_mask(row) for row in rows_of(table)] if table.is_file() else []
    subjects = {array.array: array.subject_id or array.study_id for array in arrays}
    rare = _rare({(mask.name, subjects.get(mask.array, mask.array)) for mask in rows if mask.name}, small_cells)
    absent: dict[str, list[str]] = {}
    for array in arrays:
        for name in array.masks_absent:
            absent.setdefault(name, []).append(array.array)
    shown = [
        (name, len(images) if len({subjects[image] for image in images}) >= small_cells else -1)
        for name, images in sorted(absent.items())
        if name not in rare
    ]
    report = dataset / "reports" / "mask_files.csv"
    files = [
        MaskFiles(row["kind"], row["outcome"], row["reason"], whole(row["files"]) or 0)
        for row in (rows_of(report) if report.is_file() else ())
    ]
    files.sort(key=lambda row: (row.outcome != "placed", row.kind, -row.files, row.reason))
    named = (replace(mask, name=RARE) if mask.name in rare else mask for mask in rows)
    return Masks(tuple(named), tuple(shown), tuple(files))


def _mask(row: dict[str, str]) -> Mask:
    return Mask(
        array=row["array"],
        mask=row["mask"],
        name=row["name"],
        kind=row["kind"],
        algorithm=row["algorithm"],
        voxels=whole(row["voxels"]) or 0,
        volume_ml=number(row["volume_ml"]),
        flags=tuple(row["flags"].split()),
        read_back=row["read_back"],
        verdict=worst([row["verdict"]]),
    )


def _rare(pairs: Iterable[tuple[str, str]], small_cells: int) -> set[str]:
    subjects = Counter(name for name, _ in pairs)
    return {name for name, subjects_with in subjects.items() if subjects_with < small_cells}


def name_lines(masks: Masks, small_cells: int = 1) -> list[NameLine]:
    """Return the lines of the table of masks: the name of most images first, then rare names, then masks without one.

    Parameters
    ----------
    masks : Masks
    small_cells : int
        As for `read_masks`.
    """
    groups: dict[str, list[Mask]] = {name: [] for name, _ in masks.absent}
    for mask in masks.rows:
        groups.setdefault(mask.name or UNNAMED, []).append(mask)
    absent = dict(masks.absent)
    lines = [_name_line(name, members, absent.get(name), small_cells) for name, members in groups.items()]
    last = (RARE, UNNAMED)
    return sorted(lines, key=lambda line: (line.name in last and last.index(line.name) + 1, -line.images, line.name))


def _name_line(name: str, members: Sequence[Mask], absent: int | None, small_cells: int) -> NameLine:
    filled = [mask for mask in members if mask.voxels]
    volumes = [mask.volume_ml for mask in filled if mask.volume_ml is not None]
    algorithms = Counter(mask.algorithm.replace("_", "-") or "unknown" for mask in members)
    return NameLine(
        name=name,
        images=len({mask.array for mask in members}),
        masks=len(members),
        empty=len(members) - len(filled),
        absent=UNKNOWN if absent is None else f"under {small_cells}" if absent < 0 else grouped(absent),
        voxels=_span([mask.voxels for mask in filled], grouped),
        volume=_span(volumes, lambda volume: grouped(round(volume)) if volume >= 999.5 else f"{volume:.3g}"),
        kinds=" ".join(sorted({mask.kind for mask in members})) or UNKNOWN,
        algorithms=", ".join(f"{word} {grouped(times)}" for word, times in sorted(algorithms.items())) or UNKNOWN,
        verdict=worst(mask.verdict for mask in members),
    )


def _span(values: Sequence[Number], text: Callable[[Number], str]) -> str:
    """Return the smallest and the largest value as text."""
    ends = [text(min(values)), text(max(values))] if values else [UNKNOWN]
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]} – {ends[-1]}"


def mask_flags(masks: Masks) -> list[tuple[str, int, str]]:
    """Return each flag of masks with the number of masks that have it and its meaning, most frequent first."""
    counts = Counter(flag for mask in masks.rows for flag in mask.flags)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(flag, times, MASK_FLAGS.get(flag, "")) for flag, times in ranked]
