"""What the networks that find text shall answer: where text is, how long it is, and what does not count."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import ROOT

from dicomzarr.burned_in import networks

sys.path.insert(0, str(ROOT))

from benchmarks.text_network.labels import ANY, CELL, CELLS, LONG, SIDE, Labels, Place, can_be_seen


def test_cells_are_those_of_the_detector() -> None:
    assert CELL == networks.CELL and SIDE % networks.STEP == 0


@pytest.mark.parametrize("place", [Place(40, 60, 56, 140), Place(0, 0, 12, 192), Place(20, 180, 148, 192)])
def test_text_is_labelled_where_it_is(place: Place) -> None:
    labels = Labels()
    labels.mark(place, characters=8)
    expected = np.zeros((CELLS, CELLS), np.bool_)
    expected[place.top // CELL : place.bottom // CELL, place.left // CELL : place.right // CELL] = True
    for channel in (ANY, LONG):
        np.testing.assert_array_equal(labels.text[channel] == 1, expected)
        assert (labels.weight[channel][expected] == 1).all()


def test_cells_that_a_text_touches_by_one_pixel_are_not_labelled() -> None:
    labels = Labels()
    labels.mark(Place(39, 59, 57, 141), characters=8)  # one pixel more each way than ten cells by four and a half
    rows, columns = np.nonzero(labels.text[ANY])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 13, 15, 34)


@pytest.mark.parametrize(("height", "around"), [(12, 1), (40, 2)])
def test_cells_around_text_do_not_count(height: int, around: int) -> None:
    labels = Labels()
    labels.mark(Place(40, 60, 40 + height, 140), characters=8)
    expected = np.ones((CELLS, CELLS), np.float32)
    expected[10 - around : 10 + height // CELL + around, 15 - around : 35 + around] = 0
    expected[10 : 10 + height // CELL, 15:35] = 1
    np.testing.assert_array_equal(labels.weight, np.stack([expected, expected]))


@pytest.mark.parametrize("characters", [1, 2])
def test_short_texts_are_no_finding_of_the_second_channel(characters: int) -> None:
    labels = Labels()
    labels.mark(Place(40, 60, 56, 80), characters)
    assert labels.text[ANY, 10:14, 15:20].all() and not labels.text[LONG].any()
    assert (labels.weight[LONG, 10:14, 15:20] == 1).all()


def test_either_answer_is_right_for_what_is_left_of_a_long_text() -> None:
    labels = Labels()
    labels.mark(Place(40, 172, 56, 192), characters=2.3)
    assert labels.text[ANY, 10:14, 43:].all() and not labels.text[LONG].any()
    assert not labels.weight[LONG, 10:14, 43:].any()


def test_the_smallest_text_has_a_cell() -> None:
    for top in range(CELL):
        labels = Labels()
        labels.mark(Place(20 + top, 20 + top, 22 + top, 22 + top), characters=3)
        assert labels.text[LONG].sum() >= 1


def test_a_line_below_another_takes_no_label_from_it() -> None:
    labels = Labels()
    labels.mark(Place(40, 60, 52, 140), characters=8)
    labels.mark(Place(56, 60, 68, 140), characters=8)
    assert labels.text[LONG, 10:13, 15:35].all() and labels.text[LONG, 14:17, 15:35].all()


def written(contrast: float, noise: float) -> tuple[np.ndarray, np.ndarray, Place]:
    """Return an image with stripes for text, their mask, and where they are."""
    place = Place(40, 60, 60, 100)
    mask = np.zeros((20, 40), np.uint8)
    mask[:, ::4] = mask[:, 1::4] = 255
    image = np.random.default_rng(0).normal(0.5, noise, (SIDE, SIDE)).astype(np.float32)
    image[40:60, 60:100] += contrast * (mask > 0)
    return image, mask, place


@pytest.mark.parametrize("sign", [1, -1])
def test_text_that_nobody_can_see_does_not_count(sign: int) -> None:
    assert can_be_seen(*written(sign * 0.3, 0.01))
    assert not can_be_seen(*written(sign * 0.05, 0.01))  # too little contrast
    assert not can_be_seen(*written(sign * 0.1, 0.5))  # too much noise
    labels, (_, _, place) = Labels(), written(0, 0)
    labels.mark(place, characters=8)
    labels.leave_out(place)
    assert not (labels.weight * labels.text).any()
    assert labels.weight[:, 0, 0].all()  # elsewhere nothing changes
