"""Headers like those of scanners are read by their layout, and mean the same."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

import pytest
from conftest import FULL, ROOT
from header_mutations import mutated
from headers_by_layout import alone, as_before, by_layout, forget
from made_up_headers import EXPLICIT, IMPLICIT

sys.path.insert(0, str(ROOT))

from benchmarks.scanner_headers import Enhanced, Place, ct, mr


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    forget()
    yield
    forget()


def scanner_series(kind: str) -> Callable[[int, int], bytes]:
    pixels = bytes(64)
    if kind == "enhanced":
        enhanced = Enhanced(frames=12, slices=4)
        return lambda series, index: enhanced.file(Place(series, series, index), pixels)
    syntax = IMPLICIT if kind.endswith("implicit") else EXPLICIT
    header = mr(syntax=syntax) if kind.startswith("mr") else ct(syntax=syntax)
    return lambda series, index: header.file(Place(series // 3, series, index), pixels)


KINDS = ("mr", "mr implicit", "ct", "ct implicit", "enhanced")


@pytest.mark.parametrize("kind", KINDS)
def test_series_of_scanners_are_read_by_their_layout(kind: str) -> None:
    make = scanner_series(kind)
    for data in [make(0, index) for index in range(12)]:
        assert as_before(data) == alone(data)
    for data in [make(series, index) for series in range(1, 4) for index in range(9, 13)]:
        assert by_layout(data) == alone(data)


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_headers_of_scanners(kind: str) -> None:
    make, random_ = scanner_series(kind), random.Random(kind)
    for index in range(8):
        as_before(make(0, index))
    for turn in range(1500 if FULL else 150):
        data = make(turn // 40, 8 + turn)
        assert as_before(data) == alone(data)
        changed = mutated(data, random_, data.index(b"\xe0\x7f\x10\0") + 12)
        assert as_before(changed) == alone(changed), turn
