"""Text in many languages is found: turned by 90°, inverted, light on light; short texts and scale bars are not."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import ROOT, in_ci
from numpy.typing import NDArray

sys.path.insert(0, str(ROOT))

from benchmarks.burned_in import meets
from benchmarks.text_in_pixels import phantoms
from benchmarks.text_in_pixels.drawing import place_text
from benchmarks.text_in_pixels.fonts import SCRIPTS, built_in, installed, made_up_text

from dicomzarr.burned_in.scan import Box, Still, control, look

FONTS_OF_EACH = 4
Mask = NDArray[np.float32]


def boxes_of(found: tuple[Box, ...]) -> list[tuple[int, int, int, int]]:
    return [(box.top, box.left, box.bottom, box.right) for box in found]


def text(words: str, size: int = 24) -> Mask:
    """Return words in the font that comes with Pillow."""
    return built_in()[0].draw(words, size, True)


def on(
    modality: str, mask: Mask, contrast: float = 1.0, polarity: str = "light on dark", place: str = "corner"
) -> tuple:
    """Return an image of a modality with a text, and the box of the text."""
    for number in range(10):
        made = place_text(
            phantoms.phantom(modality, 5, number), mask, contrast, polarity, place, np.random.default_rng(0)
        )
        if made is not None:
            return made
    raise AssertionError("no image has such a place")


def missed(frame: NDArray, box: tuple[int, int, int, int]) -> bool:
    return not meets(boxes_of(look(frame)), box)


# ---- Languages


@pytest.mark.parametrize("rotation", in_ci(2, [0, 90, 270]))
@pytest.mark.parametrize("script", SCRIPTS)
def test_text_of_each_script_is_found(script: str, rotation: int) -> None:
    fonts = installed(script)
    if not fonts:
        pytest.skip(f"no font of this machine has the characters of {script}")
    random = np.random.default_rng(3)
    lost = []
    for font in fonts[:: max(1, len(fonts) // FONTS_OF_EACH)]:
        words = made_up_text(script, random)
        mask = np.rot90(font.draw(words, 24, True), rotation // 90)
        for modality in ("CT", "MR"):
            if missed(*on(modality, mask)):
                lost.append((font.name, words, modality))
    assert lost == []


@pytest.mark.parametrize("name", [font.name for font in built_in()])
def test_text_in_fonts_that_need_no_file_is_found(name: str) -> None:
    font = next(font for font in built_in() if font.name == name)
    for script in ("Latin", "digits"):
        words = made_up_text(script, np.random.default_rng(4))
        assert not missed(*on("CT", font.draw(words, 24, True))), words


@pytest.mark.parametrize("modality", phantoms.MADE_UP)
@pytest.mark.parametrize("polarity", ["light on dark", "inverted"])
@pytest.mark.parametrize("size", [16, 36])
def test_text_is_found_inverted_too(modality: str, polarity: str, size: int) -> None:
    assert not missed(*on(modality, text("MOLINARI ANNA", size), 0.75, polarity))


def test_light_text_on_light_background_is_found() -> None:
    mask = text("Kestrel, Jonas", 20)
    frame, (top, left, bottom, right) = on("CR", mask, 0.4, "light on light", "over anatomy")
    around = frame[top:bottom, left:right][mask < 0.1]
    assert np.median(around) > (float(frame.min()) + float(frame.max())) / 2
    assert not missed(frame, (top, left, bottom, right))


def test_text_over_anatomy_is_found() -> None:
    assert not missed(*on("CT", text("ID 4711882", 20), 0.75, "light on dark", "over anatomy"))


# ---- What is no finding


@pytest.mark.parametrize("modality", [modality for modality in phantoms.MADE_UP if modality != "US"])
def test_images_without_text_are_clean(modality: str) -> None:
    for number in range(2):
        assert look(phantoms.phantom(modality, 6, number)) == ()


def test_few_ultrasound_images_without_text_have_a_finding() -> None:
    """Speckle resembles small letters: of 150 images, about one in five has a finding (docs/data-policy.md)."""
    assert sum(look(phantoms.phantom("US", 6, number)) != () for number in range(8)) <= 3


@pytest.mark.parametrize(("modality", "words"), [("CT", "L"), ("CT", "R"), ("CT", "12"), ("CR", "R")])
def test_one_or_two_characters_are_no_finding(modality: str, words: str) -> None:
    frame, box = on(modality, text(words, 28))
    assert not meets(boxes_of(look(frame, allow_short=2)), box)


def test_a_scale_bar_is_no_finding() -> None:
    frame = phantoms.phantom("CT", 5, 0)
    frame[100:401, 490] = frame.max()
    for number, row in enumerate(range(100, 401, 15)):
        frame[row, 490 - (12 if number % 5 == 0 else 6) : 490] = frame.max()
    assert not meets(boxes_of(look(frame, allow_short=2)), (100, 478, 401, 491))


def test_a_single_letter_is_a_finding_if_none_is_allowed() -> None:
    frame, box = on("CT", text("R", 32))
    assert meets(boxes_of(look(frame, allow_short=0)), box)


def test_the_control_holds() -> None:
    assert control() is True


# ---- Any frame


def test_equal_frames_give_equal_boxes() -> None:
    frame, _ = on("CT", text("MOLINARI ANNA"))
    first = look(frame)
    assert first
    assert first == look(frame.copy()) == look(np.asfortranarray(frame)) == look(frame)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64", ">i2"])
def test_text_is_found_in_each_type_of_value(dtype: str) -> None:
    frame, box = on("MR", text("MOLINARI ANNA"))
    scaled = (frame.astype(np.float64) - frame.min()) / np.ptp(frame)
    if np.dtype(dtype).kind == "f":
        values = (scaled * 3000 - 1000).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        values = (scaled * (0.9 * limits.max - 0.5 * limits.min) + 0.5 * limits.min).astype(dtype)
    before = values.copy()
    assert not missed(values, box)
    assert np.array_equal(values, before), "look changes the frame"


def test_coloured_text_is_found() -> None:
    frame, box = on("US", text("MOLINARI ANNA"))
    grey = np.repeat(frame[..., None], 3, 2)
    assert not missed(grey, box)
    yellow = phantoms.phantom("US", 5, 0)[..., None].repeat(3, 2)
    mask = text("Kestrel, Jonas") > 0.5
    yellow[8 : 8 + mask.shape[0], 200 : 200 + mask.shape[1]][mask] = (255, 220, 0)
    assert not missed(yellow, (8, 200, 8 + mask.shape[0], 200 + mask.shape[1]))


SHAPES = [(1, 1), (1, 7), (7, 1), (1, 100_000), (30_000, 3), (2, 2), (8, 8), (16, 16), (13, 517), (1500, 1501)]


@pytest.mark.parametrize("shape", [*SHAPES, (1, 1, 3), (9, 1, 3), (64, 65, 3), (64, 65, 1), (40, 40, 4)])
@pytest.mark.parametrize("kind", ["constant", "noise"])
def test_frames_of_any_shape_raise_nothing_and_boxes_lie_inside(shape: tuple[int, ...], kind: str) -> None:
    random = np.random.default_rng(0)
    frame = np.full(shape, 7, np.uint16) if kind == "constant" else random.integers(0, 4096, shape, np.uint16)
    for allow_short in (0, 2):
        found = look(frame, allow_short=allow_short)
        if kind == "constant":
            assert found == ()
        check_inside(found, shape)


@pytest.mark.parametrize("values", [np.nan, np.inf, -np.inf, np.finfo(np.float32).max, np.finfo(np.float32).min])
def test_values_that_are_no_numbers_raise_nothing(values: float) -> None:
    for place in (slice(None), slice(10, 20), slice(10, 11)):
        frame = np.random.default_rng(0).normal(size=(64, 80)).astype(np.float32)
        frame[place] = values
        check_inside(look(frame), frame.shape)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "uint32"])
def test_extremes_of_a_type_raise_nothing(dtype: str) -> None:
    limits = np.iinfo(dtype)
    frame = np.where(np.arange(64 * 80).reshape(64, 80) % 7 == 0, limits.max, limits.min).astype(dtype)
    check_inside(look(frame), frame.shape)


def check_inside(found: tuple[Box, ...], shape: tuple[int, ...]) -> None:
    for box in found:
        assert 0 <= box.top < box.bottom <= shape[0] and 0 <= box.left < box.right <= shape[1], box
        assert all(type(edge) is int for edge in box[:4]), box


@pytest.mark.parametrize("place", ["corner", "over anatomy"])
def test_boxes_of_text_lie_inside_the_frame(place: str) -> None:
    for size in (8, 24, 60):
        for polarity in ("light on dark", "inverted"):
            frame, _ = on("MR", text("DOE JOHN", size), 0.9, polarity, place)
            check_inside(look(frame), frame.shape)


# ---- What does not move


def test_text_that_stays_while_the_image_moves_is_found() -> None:
    mask = text("MOLINARI ANNA", 20)
    still, random = Still(), np.random.default_rng(1)
    for _ in range(6):
        frame = random.integers(0, 256, (200, 320)).astype(np.uint8)
        frame[20 : 20 + mask.shape[0], 30 : 30 + mask.shape[1]][mask > 0.5] = 255
        still.add(frame)
        if still.frames == 1:
            assert still.look() == ()
    found = still.look()
    assert meets(boxes_of(found), (20, 30, 20 + mask.shape[0], 30 + mask.shape[1]))
    check_inside(found, (200, 320))
