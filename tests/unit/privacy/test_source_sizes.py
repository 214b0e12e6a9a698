"""The size of source files as it is shared: whole kB, rounded up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.privacy.source_sizes import UNIT, shared_size


@given(st.integers(min_value=0, max_value=10**15))
def test_it_is_the_next_multiple_of_1000_bytes(size: int) -> None:
    shared = shared_size(size)
    assert UNIT == 1_000 and shared % UNIT == 0 and size <= shared < size + UNIT


@pytest.mark.parametrize(("size", "shared"), [(0, 0), (1, 1_000), (1_000, 1_000), (1_001, 2_000), (187_640, 188_000)])
def test_examples(size: int, shared: int) -> None:
    assert shared_size(size) == shared
