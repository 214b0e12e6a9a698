"""Values that lie at one position belong together, and to find them takes time in proportion to the positions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.volumes.interleaved import _values_of_rows


class Counted:
    """A value that counts how often it is looked up."""

    lookups = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        Counted.lookups += 1
        return self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted) and other.number == self.number


def linked(rows: list[list[int | None]]) -> list[set[int | None]]:
    """Return the values that belong together, by joining sets until nothing changes."""
    groups: list[set[int | None]] = []
    for row in rows:
        touched = [group for group in groups if group & set(row)]
        groups = [group for group in groups if group not in touched] + [set(row).union(*touched)]
    return groups


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=1, max_size=4), max_size=20))
def test_positions_have_one_value_if_their_values_are_linked(rows: list[list[int | None]]) -> None:
    found, groups = _values_of_rows(rows), linked(rows)
    for row, value in zip(rows, found, strict=True):
        (own,) = [group for group in groups if group & set(row)]
        assert {other == value for other, of in zip(found, rows, strict=True) if set(of) & own} == {True}
        assert value in own


def test_a_series_of_twice_the_length_takes_twice_the_work() -> None:
    def lookups(count: int, shared: int) -> int:
        before = Counted.lookups
        _values_of_rows([[Counted(row + column) for column in range(1 + shared)] for row in range(count)])
        return Counted.lookups - before

    for shared in (0, 1):
        assert lookups(2000, shared) < 2.2 * lookups(1000, shared) < 40_000
