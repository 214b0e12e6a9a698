"""Text is found where it is, at every scale, in every tile, in colours, and in what does not move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicomzarr.burned_in import control, networks, scan
from dicomzarr.burned_in.scan import Box, Still, look
from dicomzarr.vocabulary.errors import UserError

NAME = "MUSTER ERIKA"


def image(rows: int, columns: int, seed: int = 0) -> NDArray[np.float64]:
    """Return a smooth made-up image with noise, values about 0 to 1,000."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    disc = 500 / (1 + np.exp((np.hypot(y - rows / 2, x - columns / 2) - min(rows, columns) / 3) / 4))
    return np.asarray(disc + random.normal(0, 12, (rows, columns)) + 100)


def text(shape: tuple[int, ...], place: tuple[int, int], size: int, words: str = NAME) -> NDArray[np.float64]:
    """Return words as a mask from 0 to 1; `place` is the row and column where they begin."""
    mask = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(mask).text((place[1], place[0]), words, 255, ImageFont.load_default(size))
    return np.asarray(mask, np.float64) / 255


def edges(mask: NDArray[np.float64]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask > 0.3)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def share(found: tuple[Box, ...], place: tuple[int, int, int, int]) -> float:
    """Return which share of a place the boxes cover."""
    covered = np.zeros((place[2] - place[0], place[3] - place[1]), bool)
    for box in found:
        top, left = max(box.top - place[0], 0), max(box.left - place[1], 0)
        covered[top : max(box.bottom - place[0], 0), left : max(box.right - place[1], 0)] = True
    return float(covered.mean())


@pytest.mark.parametrize("size", [12, 16, 24, 36, 60])
def test_boxes_lie_on_the_text(size: int) -> None:
    frame = image(768, 768)
    mask = text(frame.shape, (333, 120), size)
    found = look((frame + 500 * mask).astype(np.int16))
    assert share(found, edges(mask)) > 0.7
    inside = np.zeros(frame.shape, bool)
    for box in found:
        inside[box.top : box.bottom, box.left : box.right] = True
    top, left, bottom, right = edges(mask)
    assert inside.sum() < 3 * (bottom - top + 16) * (right - left + 16)


def test_a_frame_without_text_is_clean() -> None:
    for seed, shape in enumerate([(64, 64), (256, 256), (512, 512), (1100, 700)]):
        assert look(image(*shape, seed).astype(np.uint16)) == ()


@pytest.mark.parametrize("place", [(1015, 400), (400, 960), (1016, 1010)])
def test_text_across_the_edge_of_a_tile(place: tuple[int, int]) -> None:
    frame = image(1300, 1300)
    mask = text(frame.shape, place, 16)
    assert share(look((frame + 600 * mask).astype(np.int16)), edges(mask)) > 0.7


@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        ((255, 0, 0), (255, 255, 255)),
        ((0, 0, 255), (0, 0, 0)),
        ((255, 255, 0), (90, 90, 90)),
        ((200, 0, 0), (0, 0, 200)),
    ],
)
def test_coloured_text(ink: tuple[int, int, int], paper: tuple[int, int, int]) -> None:
    mask = text((200, 300), (80, 60), 18)[..., None]
    frame = np.array(paper) * (1 - mask) + np.array(ink) * mask
    assert look(frame.astype(np.uint8))


def stripes(seed: int) -> NDArray[np.int16]:
    """Return a made-up phantom with a row of bars of unequal brightness."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    frame = np.where(np.hypot(y - 128, x - 128) < 110, float(random.choice([500, 900])), 100.0)
    count, period, height = (int(random.integers(*limits)) for limits in ((5, 14), (3, 7), (6, 16)))
    width = max(1, period - int(random.integers(1, 3)))
    top, left = (int(random.integers(60, end)) for end in (180, 120))
    for bar in range(count):
        value = random.choice([100, 1200, 1500, 0]) + random.normal() * float(random.choice([0, 150]))
        frame[top : top + height, left + bar * period : left + bar * period + width] = value
    for axis in (0, 1):
        frame = (np.roll(frame, 1, axis) + 2 * frame + np.roll(frame, -1, axis)) / 4
    return (frame + random.normal(0, 8, frame.shape)).astype(np.int16)


@pytest.mark.parametrize("seed", [10, 107, 223, 373])
def test_stripes_are_no_text(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not look(stripes(seed))
    monkeypatch.setattr(scan, "_is_striped", lambda place: False)
    assert look(stripes(seed))  # else the test shows nothing


@pytest.mark.parametrize("size", [10, 12, 16, 24])
@pytest.mark.parametrize("contrast", [300, 500])
def test_faint_text_beside_a_bright_edge(size: int, contrast: int) -> None:
    mask = text((256, 256), (100, 60), size)
    top, left, bottom, right = edges(mask)
    frame = image(256, 256) / 4 + contrast * mask
    frame[bottom : bottom + 4] += 700
    assert share(look(frame.astype(np.int16)), (top, left, bottom, right)) > 0.3


@given(
    rows=arrays(np.float32, st.integers(8, 40), elements=st.floats(-1, 1, width=32)),
    columns=arrays(np.float32, st.integers(8, 160), elements=st.floats(-1, 1, width=32)),
    words=st.text("ABCDEFGHKLMNOPRSTUVWXYZ2345678", min_size=3, max_size=12),
    size=st.integers(8, 30),
)
def test_stripes_are_told_from_letters(
    rows: NDArray[np.float32], columns: NDArray[np.float32], words: str, size: int
) -> None:
    """Whatever a row or a column of the place has in common."""
    if min(np.ptp(rows), np.ptp(columns)) > 0.1:
        assert scan._is_striped(rows[:, None] + columns + rows[:, None] * columns)
    letters = text((48, 400), (6, 6), size, words).astype(np.float32)
    top, left, bottom, right = edges(letters)
    letters = letters[top - 4 : bottom + 4, left - 4 : right + 4]
    beside = np.resize(rows, letters.shape[0])[:, None] + np.resize(columns, letters.shape[1])
    assert not scan._is_striped(0.3 * letters + beside)


def test_text_of_grey_samples_is_found_as_in_grey() -> None:
    mask = text((200, 300), (80, 60), 18)
    grey = (image(200, 300) / 5 + 120 * mask).clip(0, 255).astype(np.uint8)
    assert look(grey) == look(np.stack([grey] * 3, axis=2)) == look(grey[..., None]) != ()


def test_text_that_noise_hides_in_each_frame_is_found_in_what_does_not_move() -> None:
    """Text that noise hides in each frame shows in the smallest and largest values of all."""
    still = Still()
    mask = text((256, 256), (120, 60), 16)
    random = np.random.default_rng(0)
    for number in range(40):
        frame = random.uniform(0, 700, (256, 256)) + 450 * mask
        if number == 0:
            still.add(frame)
            assert still.look() == ()  # one frame: nothing to compare
        else:
            still.add(frame)
    found = still.look()
    assert share(found, edges(mask)) > 0.7
    assert {box.by for box in found} == {"still"}


def test_numbers_that_are_none() -> None:
    frame = image(128, 128)
    frame[:9] = np.nan
    frame[9, 0], frame[9, 1] = np.inf, -np.inf
    assert look(frame.astype(np.float32)) == ()
    assert look(np.full((64, 64), np.nan, np.float32)) == ()


def test_weights_with_other_bytes_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    networks._session.cache_clear()
    monkeypatch.setitem(networks.WEIGHTS, "first", "0" * 64)
    with pytest.raises(UserError, match="first.onnx"):
        look(image(64, 64))
    networks._session.cache_clear()


def test_the_control_fails_with_a_detector_that_finds_nothing_or_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scan.control()
    monkeypatch.setattr(scan, "look", lambda frame: ())
    assert not scan.control()
    monkeypatch.setattr(scan, "look", lambda frame: (Box(0, 0, *frame.shape, "network"),))
    assert not scan.control()


def test_the_control_does_not_depend_on_fonts_of_the_machine() -> None:
    frame, (top, left, bottom, right) = control.written()
    assert 8 < bottom - top < 20 and 80 < right - left < 140
    assert (frame - control.clean()).max() > 1000


def test_detector_names_the_weights() -> None:
    assert all(digest[:8] in scan.DETECTOR for digest in networks.WEIGHTS.values())
    assert (Path(networks.__file__).parent / "weights/second.onnx").stat().st_size < 1_000_000
