"""Number of subjects by split, modality, label and number of series, with small numbers suppressed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dicomzarr.stages.render_report.tables import Array, by_modality

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


def balance(arrays: Sequence[Array], small_cells: int) -> list[BalanceLine]:
    """Return the number of subjects of each modality and each label in each split.

    Parameters
    ----------
    arrays : sequence of Array
    small_cells : int
        Values of a label with fewer subjects than this are counted as one group. Smaller numbers are suppressed, and
        so are numbers from which they would follow.
    """
    splits = splits_of(arrays)
    groups: list[tuple[str, str]] = []
    counts: list[list[int]] = []

    def add(kind: str, names: Sequence[str], group_of: Sequence[int]) -> None:
        """Add a line for each of `names`, of one `kind`; `group_of` holds for each array the index of its name."""
        groups.extend((name, kind) for name in names)
        counts.extend(_subjects(arrays, group_of, len(names), splits))

    add("", ["all"], [0] * len(arrays))
    modalities = {name: number for number, name in enumerate(by_modality(arrays))}
    add("modality", list(modalities), [modalities[array.modality] for array in arrays])
    for label in sorted({name for array in arrays for name, _ in array.labels}):
        add(label, *_values(arrays, label, small_cells))
    shown = _suppressed(counts, [kind for _, kind in groups], small_cells)
    return [BalanceLine(name, kind, tuple(row)) for (name, kind), row in zip(groups, shown, strict=True)]


def by_group(lines: Sequence[BalanceLine]) -> dict[str, list[BalanceLine]]:
    """Return the lines of each kind."""
    return {kind: [line for line in lines if line.kind == kind] for kind in dict.fromkeys(line.kind for line in lines)}


def open_labels(lines: Sequence[BalanceLine]) -> list[str]:
    """Return the labels none of whose numbers is suppressed: only these may be shown for each array."""
    kinds = by_group(lines)
    return [
        kind for kind, rows in kinds.items() if kind not in ("", "modality") and min(min(r.subjects) for r in rows) >= 0
    ]


def _subjects(arrays: Sequence[Array], group_of: Sequence[int], groups: int, splits: Sequence[str]) -> list[list[int]]:
    """Return the number of subjects of each group in each split and, if there are several splits, in all."""
    seen: list[dict[str, set[str]]] = [{split: set() for split in splits} for _ in range(groups)]
    for array, group in zip(arrays, group_of, strict=True):
        seen[group][array.split or NO_SPLIT].add(array.subject_id)
    rows = [[len(by_split[split]) for split in splits] for by_split in seen]
    if len(splits) > 1:
        for row, by_split in zip(rows, seen, strict=True):
            row.append(len(set().union(*by_split.values())))
    return rows


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


def value_of(array: Array, label: str) -> str:
    """Return the value of a label of an array, `NO_LABEL` where it has none."""
    return dict(array.labels).get(label) or NO_LABEL


def _values(arrays: Sequence[Array], label: str, small_cells: int) -> tuple[list[str], list[int]]:
    """Return the values of a label as names of groups, and for each array the number of its group.

    Common values are sorted; then follow all rare values as one group, then arrays without a label.
    """
    values = [value_of(array, label) for array in arrays]
    subjects: dict[str, set[str]] = {}
    for array, value in zip(arrays, values, strict=True):
        subjects.setdefault(value, set()).add(array.subject_id)
    unlabelled = [NO_LABEL] if NO_LABEL in subjects else []
    common = sorted(name for name, of in subjects.items() if len(of) >= small_cells and name != NO_LABEL)
    rare = [name for name in subjects if name not in {*common, NO_LABEL}]
    groups = [*([name] for name in common), *([rare] if rare else []), *([name] for name in unlabelled)]
    names = [*common, *([OTHERS] if rare else []), *unlabelled]
    number_of = {value: number for number, group in enumerate(groups) for value in group}
    return names, [number_of[value] for value in values]


@dataclass(frozen=True, slots=True)
class PatientBar:
    """Number of patients with `least` to `most` series; both are the same in most bars."""

    least: int
    most: int
    patients: int


def patients_by_series(arrays: Sequence[Array], small_cells: int = 1) -> list[PatientBar]:
    """Return a histogram of the patients by their number of series; a bar never stands for fewer than `small_cells`.

    Neighbouring numbers are combined until each bar is large enough. Nothing is returned where all patients together
    are too few.
    """
    series: dict[str, set[str]] = {}
    for array in arrays:
        if array.subject_id:
            series.setdefault(array.subject_id, set()).add(array.series_id)
    bars: list[PatientBar] = []
    waiting: list[tuple[int, int]] = []
    for number, patients in sorted(Counter(len(ids) for ids in series.values()).items()):
        waiting.append((number, patients))
        if sum(patients for _, patients in waiting) >= small_cells:
            bars.append(_bar(waiting))
            waiting = []
    if waiting and bars:
        last = bars.pop()
        bars.append(PatientBar(last.least, waiting[-1][0], last.patients + sum(patients for _, patients in waiting)))
    return bars


def _bar(numbers: Sequence[tuple[int, int]]) -> PatientBar:
    return PatientBar(numbers[0][0], numbers[-1][0], sum(patients for _, patients in numbers))
