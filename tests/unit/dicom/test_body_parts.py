"""Values of Body Part Examined that exclude a head."""

from __future__ import annotations

import re

import pytest

from dicomzarr.dicom import body_parts, head_words


@pytest.mark.parametrize("text", ["CHEST", "chest", "Abdomen ", "ABDOMEN_PELVIS", "KNEE", "Thorax", "CHEST\\ABDOMEN"])
def test_parts_without_a_head(text: str) -> None:
    assert body_parts.excludes_head(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "HEAD", "NECKCHEST", "SHOULDER", "HAND", "WHOLEBODY", "SPINE", "?", "CHEST\\", "CHEST\\HEAD", "CHESTS"],
)
def test_all_other_values_exclude_nothing(text: str) -> None:
    assert not body_parts.excludes_head(text)


def test_no_term_of_the_list_names_a_head() -> None:
    assert all(re.fullmatch("[A-Z]{1,16}", term) for term in body_parts.WITHOUT_HEAD)
    assert not [term for term in body_parts.WITHOUT_HEAD if head_words.names_head(term)]
