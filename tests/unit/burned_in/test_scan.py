"""Text is found where it is, at every scale, in every tile, in colours, and in what does not move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicomzarr.burned_in import control, networks, scan
from dicomzarr.burned_in.scan import Box, Still, look
from dicomzarr.vocabulary.errors import UserError
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

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
    [((255, 0, 0), (255, 255, 255)), ((0, 0, 255), (0, 0, 0)), ((255, 255, 0), (90, 90, 90)), ((200, 0, 0), (0, 0, 200))],
)
def test_coloured_text(ink: tuple[int, int, int], paper: tuple[int, int, int]) -> None:
    mask = text((200, 300), (80, 60), 18)[..., None]
    frame = np.array(paper) * (1 - mask) + np.array(ink) * mask
    assert look(frame.astype(np.uint8))


def test_text_of_grey_samples_is_found_as_in_grey() -> None:
    mask = text((200, 300), (80, 60), 18)
    grey = (image(200, 300) / 5 + 120 * mask).clip(0, 255).astype(np.uint8)
    assert look(grey) == look(np.stack([grey] * 3, axis=2)) == look(grey[..., None]) != ()


def test_what_does_not_move() -> None:
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
