"""Numbers in forms that DICOM does not allow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.dicom.decimals import read_nonstandard
from dicomzarr.dicom.plausible import RANGES, is_plausible


@pytest.mark.parametrize(
    ("text", "keyword", "expected"),
    [
        ("0,143", "", [0.143]),
        ("0,143\\0,143", "PixelSpacing", [0.143, 0.143]),
        ("12,5", "", [12.5]),
        (" -1,5 ", "", [-1.5]),
        ("1,2345", "", [1.2345]),
        (",5", "", [0.5]),
        ("1,5e-3", "", [0.0015]),
        ("1,500E2", "", [150.0]),
        # A comma before three digits may separate thousands, unless the value or the attribute says otherwise.
        ("1,234", "", None),
        ("-12,500\\3,25\\7", "ImagePositionPatient", [-12.5, 3.25, 7.0]),
        ("-120,500\\-85,250\\33,125", "ImagePositionPatient", [-120.5, -85.25, 33.125]),
        ("1,250\\1,250", "PixelSpacing", [1.25, 1.25]),
        ("1,250\\-2,500\\3,750", "ImagePositionPatient", None),
        ("1,234,5", "", None),
        ("1,234.5", "", None),
        ("1.5\\2,5", "", None),
        ("0,5 mm", "", None),
        # Empty parts at the end move no number; elsewhere it is not known which number is missing.
        ("0,5\\", "", [0.5]),
        ("1.5\\-2\\3.25\\", "ImagePositionPatient", [1.5, -2.0, 3.25]),
        ("1.5\\-2\\3.25\\ \\\0", "ImagePositionPatient", [1.5, -2.0, 3.25]),
        ("\\1.5", "", None),
        ("\\", "", None),
        ("1.5D+02", "", [150.0]),
        ("1d3", "", [1000.0]),
        ("1.5 mm", "", None),
        ("abc", "", None),
        ("nan", "", None),
        ("1e999", "", None),
        ("1_000", "", None),
        ("1\\\\1", "", None),
        ("\u0661,\u0665", "", None),
    ],
)
def test_decimals_in_other_forms_than_the_standard_has_are_read_or_unknown(
    text: str, keyword: str, expected: list[float] | None
) -> None:
    assert read_nonstandard(text.split("\\"), keyword) == expected


@given(st.floats(-1e6, 1e6), st.integers(4, 8))
def test_a_decimal_comma_with_many_digits_has_one_meaning(value: float, digits: int) -> None:
    text = f"{value:.{digits}f}"
    assert read_nonstandard([text.replace(".", ",")]) == [float(text)]


@given(st.lists(st.text("0123456789,.eEdD+- mx", max_size=9), max_size=4), st.sampled_from(["", *RANGES]))
def test_no_text_raises_and_results_are_finite(parts: list[str], keyword: str) -> None:
    numbers = read_nonstandard(parts, keyword)
    assert numbers is None or all(abs(number) < float("inf") for number in numbers)
    filled = [index for index, part in enumerate(parts, 1) if part.strip()]
    assert numbers is None or len(numbers) == filled[-1]


@given(st.lists(st.floats(-1e6, 1e6).map(str), min_size=1, max_size=6), st.lists(st.sampled_from(["", " ", "\0"])))
def test_empty_parts_at_the_end_change_no_number(parts: list[str], empty: list[str]) -> None:
    assert read_nonstandard([*parts, *empty]) == [float(part) for part in parts]


def test_numbers_that_an_attribute_cannot_have_are_implausible() -> None:
    assert is_plausible("DiffusionBValue", 3000) and not is_plausible("DiffusionBValue", 20031117)
    assert is_plausible("EchoTime", 0) and not is_plausible("EchoTime", -1)
    assert is_plausible("SpacingBetweenSlices", -4.4)
    assert is_plausible("InstanceNumber", 20031117)  # a counter has no bound: ranks replace it later
