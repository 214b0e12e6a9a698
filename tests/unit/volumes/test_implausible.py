"""Numbers that a frame cannot have are dropped with a flag, and legitimate ones never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.volumes.implausible import without_implausible
from dicomzarr.volumes.model import Frame

DATE = 20031117.0
FRAME = Frame(
    source=0, number=0, frames_in_file=1, content="", sop_instance_uid="", sop_class_uid="", modality="CT",
    image_type=(), rows=2, columns=2, samples=1, dtype="<i2", photometric="MONOCHROME2", bits_stored=16,
    causes={"echo_time_ms": 4.6, "instance_number": DATE, "acquisition_time_s": DATE, "dimension_1": DATE},
    constants={"slice_thickness_mm": 2.5}, rescale=(1.0, -1024.0), window=((40.0, 400.0), (600.0, 1500.0)),
    real_world=(1.0, 0.0), flags=("gap",),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"window": ((DATE, 400.0),)}, {"window": ()}),
        ({"window": ((40.0, 400.0), (40.0, DATE))}, {"window": ((40.0, 400.0),)}),
        ({"window": ((47110815.0, 400.0),)}, {"window": ()}),  # far beyond 16 bits
        ({"window": ((9011939.0, 400.0),)}, {"window": ()}),  # 09011939, a day
        ({"rescale": (1.0, 6081948.0)}, {"rescale": None}),
        ({"rescale": (1.0, DATE)}, {"rescale": None}),
        ({"rescale": (DATE, 0.0)}, {"rescale": None}),
        ({"rescale": (1.0, -47110815.0)}, {"rescale": None}),
        ({"rescale": (47110815.0, 0.0)}, {"rescale": None}),
        ({"rescale": (1908193.0, 0.0)}, {"rescale": None}),
        ({"real_world": (1.0, -DATE)}, {"real_world": None}),
        ({"real_world": (491510000016.0, 0.0)}, {"real_world": None}),  # a phone number
        ({"real_world": (1.0, 491510000016.0)}, {"real_world": None}),
        ({"real_world": (1.0, 9011939.0), "dtype": "<f4"}, {"real_world": None, "dtype": "<f4"}),
        ({"constants": {"a": DATE, "b": 1.0}}, {"constants": {"b": 1.0}}),
        ({"causes": {"echo_time_ms": DATE, "echo_number": DATE}}, {"causes": {"echo_number": DATE}}),
        ({"causes": {"b_value": DATE, "b_vector_x": 1.0}}, {"causes": {"b_vector_x": 1.0}}),
    ],
)
def test_an_implausible_number_is_dropped_and_flagged(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    frame = without_implausible(replace(FRAME, **changes))
    flags = ["gap", "implausible_number", *(["rescale_incomplete"] if "rescale" in expected else [])]
    assert frame == replace(FRAME, **changes | expected, flags=tuple(flags))


@given(
    center=st.floats(-(2.0**17), 2.0**17),
    width=st.floats(0, 2.0**17),
    slope=st.floats(-1e6, 1e6),
    intercept=st.floats(-(2.0**17), 2.0**17),
)
def test_numbers_of_16_bit_data_are_kept(center: float, width: float, slope: float, intercept: float) -> None:
    frame = replace(FRAME, window=((center, width),), rescale=(slope, intercept))
    assert without_implausible(frame) is frame


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "<u4", "bits_stored": 32, "window": ((2.0**31, 2.0**32),), "rescale": (1.0, -(2.0**31))},
        {"dtype": "<f4", "bits_stored": 32, "window": ((123456789.0, 987654321.0),)},
        {"rescale": (1000.0, 0.0), "window": ((32767500.0, 65535000.0),)},  # PET in Bq/ml
        {"rescale": (2e-5, 0.0)},
        {"real_world": (1e6, 0.0), "rescale": (2.5e6, -1e9)},  # units that differ by powers of ten
        {"rescale": None, "window": (), "real_world": None},
    ],
)
def test_large_numbers_that_their_data_can_have_are_kept(changes: dict[str, Any]) -> None:
    frame = replace(FRAME, **changes)
    assert without_implausible(frame) is frame
