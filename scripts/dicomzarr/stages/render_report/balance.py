"""How patients are dealt over splits, modalities and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicomzarr.stages.render_report.tables import Array, by_modality

if TYPE_CHECKING:
    import pandas

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
    splits, table = splits_of(arrays), _table(arrays)
    groups: list[tuple[str, str]] = []
    counts: list[list[int]] = []

    def add(kind: str, names: Sequence[str], group: pandas.Series) -> None:
        """Add a line for each name; `group` has the number of the name for each array."""
        groups.extend((name, kind) for name in names)
        counts.extend(_subjects(table.assign(group=group), len(names), splits))

    add("", ["all"], table["modality"].map(lambda _: 0))
    add("modality", *_numbered(table["modality"], list(by_modality(arrays))))
    for label in sorted({name for array in arrays for name, _ in array.labels}):
        add(label, *_values(table, label, small_cells))
    told = _told(counts, [kind for _, kind in groups], small_cells)
    return [BalanceLine(name, kind, tuple(row)) for (name, kind), row in zip(groups, told, strict=True)]


def _subjects(table: pandas.DataFrame, groups: int, splits: Sequence[str]) -> list[list[int]]:
    """Return the number of subjects of each group in each split and, where there are several splits, in all."""
    each = table.drop_duplicates(["group", "split", "subject"]).groupby(["group", "split"]).size()
    by_split = each.unstack(fill_value=0).reindex(index=range(groups), columns=splits, fill_value=0)
    if len(splits) > 1:
        by_split["in all"] = table.drop_duplicates(["group", "subject"]).groupby("group").size()
    return [[int(number) for number in row] for row in by_split.to_numpy()]


def _numbered(values: pandas.Series, names: Sequence[str]) -> tuple[list[str], pandas.Series]:
    return list(names), values.map({name: number for number, name in enumerate(names)})


def _table(arrays: Sequence[Array]) -> pandas.DataFrame:
    """Return a row for each array: its subject, split, modality, and its labels as ``label_…``."""
    import pandas  # of what imports this module few count anything

    facts = [(a.subject_id, a.split or NO_SPLIT, a.modality) for a in arrays]
    table = pandas.DataFrame(facts, columns=["subject", "split", "modality"], dtype=object)
    labels = [dict(array.labels) for array in arrays]
    for label in sorted({name for those in labels for name in those}):
        table[f"label_{label}"] = [those.get(label) or NO_LABEL for those in labels]
    return table


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


def _values(table: pandas.DataFrame, label: str, small_cells: int) -> tuple[list[str], pandas.Series]:
    """Return the values of a label, and for each array the number of its own one.

    They are in the order of their names; then those of few subjects, as one, then none.
    """
    values = table[f"label_{label}"]
    subjects = table.groupby(values)["subject"].nunique()
    common = sorted(value for value, number in subjects.items() if number >= small_cells and value != NO_LABEL)
    rare = [value for value in subjects.index if value not in {*common, NO_LABEL}]
    groups = [
        *([value] for value in common),
        *([rare] if rare else []),
        *([[NO_LABEL]] if NO_LABEL in subjects else []),
    ]
    names = [*common, *([OTHERS] if rare else []), *([NO_LABEL] if NO_LABEL in subjects else [])]
    return names, values.map({value: number for number, group in enumerate(groups) for value in group})
