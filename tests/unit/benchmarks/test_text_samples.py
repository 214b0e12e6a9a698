"""Samples to train on: made-up text over backgrounds, with labels at its place, the same for the same seed."""

# ruff: noqa: E402 - without cv2 the imports below fail, and the whole file is skipped
from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import ROOT

TRAINING = "needs the environment of envs/text_network.lock: benchmarks/text_network/README.md"
cv2 = pytest.importorskip("cv2", reason=TRAINING)
nibabel = pytest.importorskip("nibabel", reason=TRAINING)
sys.path.insert(0, str(ROOT))

from benchmarks.text_network import backgrounds, drawings, samples, sheet, texts
from benchmarks.text_network.labels import ANY, CELL, CELLS, LONG, SIDE, Labels, Place
from benchmarks.text_network.made_up import made_up

Decoy = Callable[[np.random.Generator, np.ndarray], np.ndarray]

needs_fonts = pytest.mark.skipif(not shutil.which("fc-list"), reason="needs fc-list of fontconfig")


def frames() -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [random.random(shape).astype(np.float16) for shape in ((100, 300), (256, 256), (60, 50), (500, 400))]


def hershey(text: str) -> texts.Text:
    """Return a text as OpenCV writes it: the same on every machine."""
    mask = np.zeros((40, 300), np.uint8)
    cv2.putText(mask, text, (5, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
    rows, columns = np.nonzero(mask)
    return texts.Text(mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1], len(text))


LONG_TEXTS = [hershey(text) for text in ("DOE^JOHN", "1961-03-12", "ID: 4711")]
SHORT_TEXTS = [hershey(text) for text in ("R", "L", "7", "RL")]


def batch(seed: int, count: int = 60) -> samples.Sample:
    return samples.batch(np.random.default_rng(seed), frames(), LONG_TEXTS + SHORT_TEXTS, count)


def test_shapes_and_values() -> None:
    images, labels, weights = batch(1)
    assert images.shape == (60, 1, SIDE, SIDE) and labels.shape == weights.shape == (60, 2, CELLS, CELLS)
    assert {part.dtype for part in (images, labels, weights)} == {np.dtype(np.float32)}
    assert np.isfinite(images).all() and images.min() >= samples.DARKEST and images.max() <= samples.BRIGHTEST
    assert {*np.unique(labels)} == {0, 1}
    assert {*np.unique(weights)} == {0, 1}
    assert (labels[:, LONG] <= labels[:, ANY]).all()
    with_text = labels[:, ANY].any(axis=(1, 2))
    assert 0.3 < with_text.mean() < 0.9  # CLEAN is 0.4
    with_long = labels[:, LONG].any(axis=(1, 2))
    assert 0 < with_long.sum() < with_text.sum()


def test_one_seed_gives_the_same_samples() -> None:
    for one, same, other in zip(batch(1, 20), batch(1, 20), batch(2, 20), strict=True):
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()


def test_short_texts_are_not_labelled_as_long_ones() -> None:
    _, labels, weights = samples.batch(np.random.default_rng(1), frames(), SHORT_TEXTS, 60)
    assert labels[:, ANY].any() and not labels[:, LONG].any()
    assert (weights[:, LONG] * labels[:, ANY]).any()


def test_text_is_painted_where_it_is_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one grey, all that differs from it beyond noise is text, its box and its outline."""
    monkeypatch.setattr(samples, "background", lambda random, frames: np.full((SIDE, SIDE), 0.4, np.float32))
    monkeypatch.setattr(samples, "_stored", lambda random, image: image)
    random, written = np.random.default_rng(5), 0
    for _ in range(60):
        (image,), labels, weights = samples.sample(random, frames(), LONG_TEXTS)
        different = np.abs(image - 0.4) > 0.1
        cells = different.reshape(CELLS, CELL, CELLS, CELL).any(axis=(1, 3))
        counts = weights[ANY] > 0
        assert not (cells & counts & (labels[ANY] == 0))[:-2, :-2].any()  # boxes reach 6 pixels: in the cells around
        if labels[ANY].any():
            written += 1
            assert cells[(labels[ANY] > 0) & counts].mean() > 0.5
    assert written > 20


def test_a_text_at_a_known_place() -> None:
    image, labels = np.full((SIDE, SIDE), 0.4, np.float32), Labels()
    mask = LONG_TEXTS[0].mask
    place = Place(40, 20, 40 + mask.shape[0], 20 + mask.shape[1])
    samples.paint(np.random.default_rng(0), image, mask, place)
    labels.mark(place, LONG_TEXTS[0].characters)
    rows, columns = np.nonzero(image != np.float32(0.4))
    assert abs(rows.min() - place.top) <= 6 and abs(columns.max() - place.right) <= 7
    assert labels.text[LONG, 10 : place.bottom // CELL, 5 : place.right // CELL].all()


def test_invisible_texts_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that was painted in the grey of its background: nobody can be asked to find it."""
    monkeypatch.setattr(samples, "background", lambda random, frames: np.full((SIDE, SIDE), 0.4, np.float32))
    monkeypatch.setattr(samples, "paint", lambda random, image, mask, place: None)
    _, labels, weights = samples.batch(np.random.default_rng(1), frames(), LONG_TEXTS, 60)
    assert labels.any() and not weights[labels > 0].any()


def test_a_text_is_cut_off_at_the_edge_of_the_image() -> None:
    random, characters = np.random.default_rng(1), []
    for _ in range(200):
        labels = Labels()
        for mask, place in samples.write(random, np.zeros((SIDE, SIDE), np.float32), labels, LONG_TEXTS):
            assert mask.shape == (place.bottom - place.top, place.right - place.left)
            assert 0 <= place.top < place.bottom <= SIDE and 0 <= place.left < place.right <= SIDE
            characters.append(mask.size)
    assert min(characters) < min(text.mask.size for text in LONG_TEXTS)


def test_made_up_backgrounds_differ_and_have_no_gaps() -> None:
    random = np.random.default_rng(1)
    images = [made_up(random, SIDE) for _ in range(60)]
    assert {image.shape for image in images} == {(SIDE, SIDE)} and all(np.isfinite(image).all() for image in images)
    assert len({image.tobytes() for image in images}) == 60


@pytest.mark.parametrize("decoy", drawings.DECOYS)
def test_decoys_leave_no_gaps_and_are_the_same_for_the_same_seed(decoy: Decoy) -> None:
    image = np.random.default_rng(2).random((SIDE, SIDE)).astype(np.float32)
    before = image.copy()
    one, same = ([decoy(random, image) for _ in range(20)] for random in (np.random.default_rng(1) for _ in range(2)))
    assert all(changed.shape == (SIDE, SIDE) and np.isfinite(changed).all() for changed in one)
    assert sum((changed != image).any() for changed in one) > 10  # a few lie outside the image
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(image, before)


def test_streaks_of_speckle_are_longer_than_high_and_what_is_outside_is_darker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "chance", lambda random, share: False)  # not turned
    random, image = np.random.default_rng(1), np.full((SIDE, SIDE), 0.5, np.float32)
    for _ in range(20):
        changed = drawings._streaks_of_speckle(random, image)
        inside = changed != np.float32(0.5) * np.float32(0.3)
        assert (np.diff(inside.sum(axis=1)) >= -1).all()  # wider downwards, until an edge of the image cuts it off
        steps = [np.abs(np.diff(np.where(inside, changed, 0), axis=axis)).mean() for axis in (0, 1)]
        assert changed.min() >= 0 and changed.max() <= np.float32(1.3) and (steps[0] > steps[1] or inside.mean() < 0.2)


def test_implants_are_brighter_pieces_on_an_image_that_stays() -> None:
    random, image = np.random.default_rng(1), np.full((SIDE, SIDE), 0.2, np.float32)
    shares = []
    for _ in range(40):
        changed = drawings._implants(random, image)
        assert (changed >= image).all() and changed.max() <= 1.4 + 1e-5
        shares.append((changed > image).mean())
    assert 0 < np.mean(shares) < 0.3


def test_a_sheet_shows_samples_beside_their_labels() -> None:
    images, labels, weights = batch(1, 7)
    picture = sheet.sheet(images, labels, weights)
    step = SIDE + sheet.GAP
    assert picture.shape == (2 * step, 10 * step) and picture.dtype == np.uint8
    cells = picture[step : step + SIDE : CELL, 3 * step : 3 * step + SIDE : CELL]  # of the last sample
    np.testing.assert_array_equal(cells == 255, labels[6, LONG] > 0)
    np.testing.assert_array_equal(cells == sheet.SHORT, (labels[6, ANY] > 0) & (labels[6, LONG] == 0))


# ---- Texts


def test_words_of_every_script_are_as_long_as_they_should_be() -> None:
    random = np.random.default_rng(1)
    seen = set()
    for _ in range(2000):
        text, script = texts.words(random)
        seen.add(script)
        assert len(text) >= 3 or script in ("han", "korean"), text  # two of those may be a name with a number behind
        assert 1 <= len(texts.short_words(random)) <= 2
    assert seen == set(texts.SHARES) == set(texts.WORDS)


def test_small_sizes_of_fonts_are_more_frequent_than_by_ratio() -> None:
    random = np.random.default_rng(1)
    sizes = np.array([texts.size_of_font(random) for _ in range(4000)])
    assert (sizes.min(), texts.LARGEST_SMALL) == (texts.SMALLEST, 16) and 40 < sizes.max() < texts.LARGEST
    by_ratio = np.log(17 / 8) / np.log(44 / 8)  # sizes are rounded down, so 16 reaches to 17
    expected = 0.45 + 0.55 * by_ratio
    assert abs((sizes <= 16).mean() - expected) < 0.03


@needs_fonts
def test_texts_are_the_same_for_the_same_seed() -> None:
    try:
        fonts = texts.fonts()
    except RuntimeError as error:
        pytest.skip(str(error))
    one, same = (list(texts.made_texts(np.random.default_rng(1), fonts, 40)) for _ in range(2))
    for left, right in zip(one, same, strict=True):
        assert left.characters == right.characters
        np.testing.assert_array_equal(left.mask, right.mask)
        assert min(left.mask.shape) >= texts.LOWEST and max(left.mask.shape) <= texts.WIDEST
    paths = {font.path for script in fonts.values() for font in script}
    held = {font.path for script in ("latin", "greek") for font in texts.fonts(held_back=True)[script]}
    assert not any(name in path for path in paths for name in ("Courier", "Hack")) and not held & paths


# ---- Backgrounds of packages


def write_dicom(path: Path, modality: str, frames_of: np.ndarray) -> None:
    """Write a DICOM file of some frames, with no more than is needed to decode it."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.Modality, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = modality, 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames_of.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = frames_of.astype("<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def test_images_of_packages_are_read_in_one_order_and_those_with_text_left_out(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    frames_of = random.integers(0, 4000, (20, 64, 60))
    write_dicom(tmp_path / "b" / "many.dcm", "MR", frames_of)
    write_dicom(tmp_path / "b" / "ultrasound.dcm", "US", frames_of)
    write_dicom(tmp_path / "a" / "tests" / "one.dcm", "CT", frames_of[:1])
    (tmp_path / "c").mkdir()
    voxels = random.integers(0, 4000, (50, 60, 70)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "c" / "volume.nii.gz")
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "c" / "labels.nii")
    pictures = tmp_path / backgrounds.PICTURES
    pictures.mkdir(parents=True)
    for name in ("moon.png", "page.png"):
        cv2.imwrite(str(pictures / name), random.integers(0, 255, (60, 60, 3)))
    named = list(backgrounds._named_frames(tmp_path))
    order = ["a"] + ["b"] * backgrounds.MOST_FRAMES
    order += ["c"] * 3 * (backgrounds.SLICES_OF_LABELS + backgrounds.SLICES) + ["scikit-image"] * 2
    assert [package for package, _ in named] == order
    again = backgrounds.read_frames(tmp_path)
    assert [frame.tobytes() for _, frame in named] == [frame.tobytes() for frame in again]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="fetch.sh"):
        backgrounds.read_frames(tmp_path)


@pytest.mark.parametrize("shape", [(40, 100), (100, 40, 3)])
def test_small_images_are_left_out(shape: tuple[int, ...]) -> None:
    assert backgrounds.prepared(np.random.default_rng(1).random(shape)) is None


def test_images_with_nothing_in_them_are_left_out() -> None:
    assert backgrounds.prepared(np.full((100, 100), 7, np.int16)) is None


def test_images_are_scaled_as_the_detector_does() -> None:
    image = np.random.default_rng(1).integers(-1000, 3000, (100, 120)).astype(np.int16)
    frame = backgrounds.prepared(image)
    assert frame is not None and frame.dtype == np.float16 and frame.shape == (100, 120)
    low, high = np.percentile(image[::2, ::2], (backgrounds.DARK, backgrounds.BRIGHT))
    np.testing.assert_allclose(frame, (image - low) / (high - low), atol=2e-3)


def test_large_images_are_reduced() -> None:
    frame = backgrounds.prepared(np.random.default_rng(1).random((2000, 1000)))
    assert frame is not None and frame.shape == (1600, 800)
