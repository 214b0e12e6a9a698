"""Verdicts on the depth of an array: how many bits its values need."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomzarr.stages.check_batch.verdicts import bits_used

VALUES = st.integers(-(1 << 63), (1 << 63) - 1)


@given(VALUES, VALUES)
@example(-2048, -2048)
@example(-1024, -1023)
def test_signed_values_fit_into_the_bits_that_they_use_and_into_no_fewer(one: int, other: int) -> None:
    low, high = sorted((one, other))

    def fits(bits: int) -> bool:
        return bits > 0 and -(1 << (bits - 1)) <= low and high < 1 << (bits - 1)

    bits = bits_used(low, high, signed=True)
    assert fits(bits) and not fits(bits - 1)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_an_array_of_one_value_never_needs_more_bits_than_its_type_has(dtype: str) -> None:
    limits = np.iinfo(dtype)
    for value in (int(limits.min), int(limits.max)):
        assert bits_used(value, value, signed=dtype[0] == "i") <= limits.bits
