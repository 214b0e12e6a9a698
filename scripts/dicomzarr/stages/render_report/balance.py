"""How patients are dealt over splits, modalities and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dicomzarr.stages.render_report.tables import Array, by_modality

NO_SPLIT, NO_LABEL, OTHERS = "all", "without a label", "other values"
UNDER, WITHHELD = -1, -2  # stand for a number that is not told: it is small, or a small one would follow from it


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """Subjects of one group in each split and, where there are several, in all; or `UNDER` or `WITHHELD`."""

    group: str
    kind: str
    subjects: tuple[int, ...]


def splits_of(arrays: Iterable[Array]) -> list[str]:
    """Return the names of the splits, in the order of their names."""
    return sorted({array.split or NO_SPLIT for array in arrays})


def balance(arrays: Sequence[Array], small_cells: int = 1) -> list[BalanceLine]:
    """Return how many subjects of each modality and each label there are in each split.

    Parameters
    ----------
    arrays : sequence of Array
    small_cells : int
        Values of a label with fewer subjects than this stand together; smaller numbers are not told, nor what they
        would follow from.
    """
    splits = splits_of(arrays)

    def count(members: Sequence[Array]) -> list[int]:
        by_split = [len({a.subject_id for a in members if (a.split or NO_SPLIT) == split}) for split in splits]
        return [*by_split, len({a.subject_id for a in members})] if len(splits) > 1 else by_split

    groups = [("all", "", list(arrays))]
    groups += [(name, "modality", members) for name, members in by_modality(arrays).items()]
    for label in sorted({name for array in arrays for name, _ in array.labels}):
        groups += [(value, label, members) for value, members in _by_value(arrays, label, small_cells)]
    told = _told([count(members) for _, _, members in groups], [kind for _, kind, _ in groups], small_cells)
    return [BalanceLine(name, kind, tuple(row)) for (name, kind, _), row in zip(groups, told, strict=True)]


def _told(counts: list[list[int]], kinds: Sequence[str], small_cells: int) -> list[list[int]]:
    """Return the table with small numbers hidden, and with others wherever a sum would give a small one away.

    A row adds up to its last number, and the groups of a kind to the first row, if each subject is in one of them: that
    is the worst case. A sum with one hidden number hides another one, the smallest.
    """
    told = [[UNDER if 0 < n < small_cells else n for n in row] for row in counts]
    columns = range(len(counts[0]))
    sums = [[(i, j) for j in columns] for i in range(len(counts))] if len(columns) > 1 else []
    for kind in dict.fromkeys(kinds[1:]):
        sums += [[(0, j), *((i, j) for i, each in enumerate(kinds) if each == kind)] for j in columns]
    again = True
    while again:
        again = False
        for cells in sums:
            left = [(i, j) for i, j in cells if told[i][j] > 0]
            if sum(told[i][j] < 0 for i, j in cells) == 1 and left:
                i, j = min(left, key=lambda cell: counts[cell[0]][cell[1]])
                told[i][j], again = WITHHELD, True
    return told


def _by_value(arrays: Sequence[Array], label: str, small_cells: int) -> list[tuple[str, list[Array]]]:
    found: dict[str, list[Array]] = {}
    for array in arrays:
        found.setdefault(dict(array.labels).get(label) or NO_LABEL, []).append(array)
    common = {v: m for v, m in found.items() if v == NO_LABEL or len({a.subject_id for a in m}) >= small_cells}
    rest = [array for value, members in found.items() if value not in common for array in members]
    ordered = sorted((value, members) for value, members in common.items() if value != NO_LABEL)
    ordered += [(OTHERS, rest)] if rest else []
    return ordered + ([(NO_LABEL, common[NO_LABEL])] if NO_LABEL in common else [])
