"""How patients are dealt over splits, modalities and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dicomzarr.report.tables import Array, by_modality

NO_SPLIT, NO_LABEL, OTHERS = "all", "without a label", "other values"


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """Subjects of one group in each split, and in all; None stands for a number from 1 up to the smallest told."""

    group: str
    kind: str
    subjects: tuple[int | None, ...]
    total: int | None


def splits_of(arrays: Iterable[Array]) -> list[str]:
    """Return the names of the splits, in the order of their names."""
    return sorted({array.split or NO_SPLIT for array in arrays})


def balance(arrays: Sequence[Array], small_cells: int = 1) -> list[BalanceLine]:
    """Return how many subjects of each modality and each label there are in each split.

    Parameters
    ----------
    arrays : sequence of Array
    small_cells : int
        Values of a label with fewer subjects than this stand together; smaller numbers are not told.
    """
    splits = splits_of(arrays)

    def line(group: str, kind: str, members: Sequence[Array]) -> BalanceLine:
        by_split = [{a.subject_id for a in members if (a.split or NO_SPLIT) == split} for split in splits]
        counts = [_told(len(found), small_cells) for found in by_split]
        return BalanceLine(group, kind, tuple(counts), _told(len({a.subject_id for a in members}), small_cells))

    lines = [line("all", "", arrays)]
    lines += [line(name, "modality", members) for name, members in by_modality(arrays).items()]
    for label in sorted({name for array in arrays for name, _ in array.labels}):
        lines += [line(value, label, members) for value, members in _by_value(arrays, label, small_cells)]
    return lines


def _told(number: int, small_cells: int) -> int | None:
    return None if 0 < number < small_cells else number


def _by_value(arrays: Sequence[Array], label: str, small_cells: int) -> list[tuple[str, list[Array]]]:
    found: dict[str, list[Array]] = {}
    for array in arrays:
        found.setdefault(dict(array.labels).get(label) or NO_LABEL, []).append(array)
    common = {v: m for v, m in found.items() if v == NO_LABEL or len({a.subject_id for a in m}) >= small_cells}
    rest = [array for value, members in found.items() if value not in common for array in members]
    ordered = sorted((value, members) for value, members in common.items() if value != NO_LABEL)
    ordered += [(OTHERS, rest)] if rest else []
    return ordered + ([(NO_LABEL, common[NO_LABEL])] if NO_LABEL in common else [])
