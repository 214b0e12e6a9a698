"""Number of subjects by split, modality and label, with small numbers suppressed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicomzarr.stages.render_report.tables import Array, by_modality

if TYPE_CHECKING:
    import pandas

NO_SPLIT, NO_LABEL, OTHERS = "all", "without a label", "other values"
UNDER, WITHHELD = -1, -2  # in place of suppressed numbers: small ones, and those from which a small one would follow


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """Numbers of subjects of one group in each split and, if there are several, in all; or `UNDER` or `WITHHELD`."""

    group: str
    kind: str
    subjects: tuple[int, ...]


def splits_of(arrays: Iterable[Array]) -> list[str]:
    """Return the names of the splits, sorted."""
    return sorted({array.split or NO_SPLIT for array in arrays})


def balance(arrays: Sequence[Array], small_cells: int = 1) -> list[BalanceLine]:
    """Return the number of subjects of each modality and each label in each split.

    Parameters
    ----------
    arrays : sequence of Array
    small_cells : int
        Values of a label with fewer subjects than this are counted as one group. Smaller numbers are suppressed, and
        so are numbers from which they would follow.
    """
    splits, table = splits_of(arrays), _table(arrays)
    groups: list[tuple[str, str]] = []
    counts: list[list[int]] = []

    def add(kind: str, names: Sequence[str], group: pandas.Series) -> None:
        """Add a line for each of `names`, of one `kind`; `group` holds for each array the index of its name."""
        groups.extend((name, kind) for name in names)
        counts.extend(_subjects(table.assign(group=group), len(names), splits))

    add("", ["all"], table["modality"].map(lambda _: 0))
    add("modality", *_numbered(table["modality"], list(by_modality(arrays))))
    for label in sorted({name for array in arrays for name, _ in array.labels}):
        add(label, *_values(table, label, small_cells))
    shown = _suppressed(counts, [kind for _, kind in groups], small_cells)
    return [BalanceLine(name, kind, tuple(row)) for (name, kind), row in zip(groups, shown, strict=True)]


def _subjects(table: pandas.DataFrame, groups: int, splits: Sequence[str]) -> list[list[int]]:
    """Return the number of subjects of each group in each split and, if there are several splits, in all."""
    sizes = table.drop_duplicates(["group", "split", "subject"]).groupby(["group", "split"]).size()
    by_split = sizes.unstack(fill_value=0).reindex(index=range(groups), columns=splits, fill_value=0)
    if len(splits) > 1:
        by_split["in all"] = table.drop_duplicates(["group", "subject"]).groupby("group").size()
    return [[int(number) for number in row] for row in by_split.to_numpy()]


def _numbered(values: pandas.Series, names: Sequence[str]) -> tuple[list[str], pandas.Series]:
    return list(names), values.map({name: number for number, name in enumerate(names)})


def _table(arrays: Sequence[Array]) -> pandas.DataFrame:
    """Return a row for each array: its subject, split, modality, and its labels as ``label_…``."""
    import pandas  # slow to import, and needed only for datasets with splits or labels

    facts = [(a.subject_id, a.split or NO_SPLIT, a.modality) for a in arrays]
    table = pandas.DataFrame(facts, columns=["subject", "split", "modality"], dtype=object)
    labels = [dict(array.labels) for array in arrays]
    for label in sorted({name for array_labels in labels for name in array_labels}):
        table[f"label_{label}"] = [array_labels.get(label) or NO_LABEL for array_labels in labels]
    return table


def _suppressed(counts: list[list[int]], kinds: Sequence[str], small_cells: int) -> list[list[int]]:
    """Return the table with small numbers replaced, and others wherever a sum would disclose a small one.

    A row adds up to its last number. In the worst case, that each subject is in one group of a kind, the groups add up
    to the first row. Where a sum has a single suppressed number, its smallest other number is suppressed too.

    Parameters
    ----------
    counts : list of list of int
        A row for each group, a column for each split and, if there are several, their sum.
    kinds : sequence of str
        The kind of each row; the first row holds all subjects.
    small_cells : int
        Numbers from 1 to below this are small.
    """
    shown = [[UNDER if 0 < n < small_cells else n for n in row] for row in counts]
    columns = range(len(counts[0]))
    sums = [[(i, j) for j in columns] for i in range(len(counts))] if len(columns) > 1 else []
    for kind in dict.fromkeys(kinds[1:]):
        sums += [[(0, j), *((i, j) for i, kind_of_row in enumerate(kinds) if kind_of_row == kind)] for j in columns]
    changed = True
    while changed:
        changed = False
        for cells in sums:
            visible = [(i, j) for i, j in cells if shown[i][j] > 0]
            if sum(shown[i][j] < 0 for i, j in cells) == 1 and visible:
                i, j = min(visible, key=lambda cell: counts[cell[0]][cell[1]])
                shown[i][j], changed = WITHHELD, True
    return shown


def _values(table: pandas.DataFrame, label: str, small_cells: int) -> tuple[list[str], pandas.Series]:
    """Return the values of a label as names of groups, and for each array the number of its group.

    Common values are sorted; then follow all rare values as one group, then arrays without a label.
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
