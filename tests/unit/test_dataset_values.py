"""The values that the reader gives: rescaled, windowed, mirrored or coloured as the standard says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_volumes import MadeUp, write
from read_datasets import dataset_of, ints

from dicomzarr.dataset import DicomZarrDataset
from dicomzarr.pixels import display

# ---- Regions


def test_rescale_of_the_volume_and_of_each_frame(tmp_path: Path) -> None:
    voxels = ints(2, 3, 4, 5)
    pairs = [[1.0 + i, -10.0 * i] for i in range(6)]
    shared, each = MadeUp("tzyx", voxels, {"rescale": [2.0, -1024.0]}), MadeUp("tzyx", voxels, {"rescale": pairs})
    many = np.array([[1.0, float(i)] for i in range(600)])
    beside = MadeUp("zyx", np.zeros((600, 2, 2), "<i2"), {"rescale": {"array": "rescale"}}, beside={"rescale": many})
    folder = write(tmp_path, [shared, each, beside])
    whole = DicomZarrDataset(folder, rescale=True)
    assert whole[0]["image"].dtype == np.float32
    assert np.array_equal(whole[0]["image"], voxels * 2.0 - 1024)
    expected = np.stack([f * s + i for f, (s, i) in zip(voxels.reshape(6, 4, 5), pairs, strict=True)])
    assert np.array_equal(whole[1]["image"], expected.reshape(voxels.shape))
    assert np.array_equal(whole[2]["image"][:, 0, 0], np.arange(600))
    slices = DicomZarrDataset(folder, rescale=True, sample="slice")
    assert all(np.array_equal(slices[6 + i]["image"], expected[i]) for i in range(6))
    assert slices[12 + 567]["image"][1, 1] == 567


def test_frames_without_a_rescale_are_refused_unless_told_what_to_do(tmp_path: Path) -> None:
    voxels = ints(2, 2, 4, 5)
    pairs = [[2.0, -1000.0], None, [None, None], [0.5, 7.0]]
    beside = np.array([[np.nan if n % 7 == 0 else 1.0, float(n)] for n in range(600)])
    many = MadeUp("zyx", np.zeros((600, 2, 2), "<i2"), {"rescale": {"array": "rescale"}}, beside={"rescale": beside})
    other = MadeUp("tzyx", voxels, {"rescale": [1.0, 5.0], "window": [40.0, 400.0]})
    folder = write(tmp_path, [MadeUp("tzyx", voxels, {"rescale": pairs, "window": [40.0, 400.0]}), many, other])
    for options in ({"rescale": True}, {"window": True}, {"window": (40, 400)}):
        refusing = DicomZarrDataset(folder, **options)  # type: ignore[arg-type]
        for number in (0, 1) if "rescale" in options else (0,):
            with pytest.raises(ValueError, match=r"some frames have no rescale: exclude .* missing_rescale='nan'"):
                refusing[number]
        assert refusing[2]["image"].dtype == np.float32
    slices = DicomZarrDataset(folder, rescale=True, sample="slice")  # frames that have one are read
    assert np.array_equal(slices[0]["image"], voxels[0, 0] * 2.0 - 1000)
    assert np.array_equal(slices[3]["image"], voxels[1, 1] * 0.5 + 7) and slices[4 + 8]["image"][0, 0] == 8
    for number in (1, 2, 4, 4 + 7):
        with pytest.raises(ValueError, match="some frames have no rescale"):
            slices[number]
    unknown = np.full((4, 5), np.nan)
    for missing, second, third in (("nan", unknown, unknown), ("stored", voxels[0, 1], voxels[1, 0])):
        told = DicomZarrDataset(folder, rescale=True, missing_rescale=missing)
        expected = [voxels[0, 0] * 2.0 - 1000, second, third, voxels[1, 1] * 0.5 + 7]
        image = told[0]["image"]
        assert np.array_equal(image, np.stack(expected).reshape(2, 2, 4, 5), equal_nan=True)
        assert image.dtype == np.float32 and np.array_equal(told[2]["image"], voxels + 5.0)
        assert np.array_equal(np.isnan(told[1]["image"][:, 0, 0]), (np.arange(600) % 7 == 0) & (missing == "nan"))
        assert told[1]["image"][8, 1, 1] == 8 and (missing == "nan" or told[1]["image"][14, 1, 1] == 0)
    assert np.array_equal(DicomZarrDataset(folder)[0]["image"], voxels)  # stored values need no rescale
    with pytest.raises(ValueError, match="error, nan or stored"):
        DicomZarrDataset(folder, rescale=True, missing_rescale="zero")


def test_an_image_whose_header_states_half_of_a_rescale_is_refused(tmp_path: Path) -> None:
    """No frame has a pair, so that there is no attribute `rescale`: the flag tells it from an image without any."""
    stored, flags = ints(2, 4, 5), {"flags": ["rescale_incomplete"]}
    lut = {"modality_lut": {"first": -1000, "bits": 16, "values": [7, 7]}}
    facts: list[dict[str, object]] = [flags, {"flags": []}, flags | lut, flags | {"dose_grid_scaling": 2.0}]
    folder = write(tmp_path, [MadeUp("zyx", stored, each) for each in facts])
    for options in ({"rescale": True}, {"window": (40, 400)}):
        dataset = DicomZarrDataset(folder, **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="some frames have no rescale"):
            dataset[0]
        assert all(np.isfinite(dataset[number]["image"]).all() for number in (1, 2, 3))
    values = [DicomZarrDataset(folder, rescale=True, missing_rescale=way)[0]["image"] for way in ("nan", "stored")]
    assert np.isnan(values[0]).all() and np.array_equal(values[1], stored)


def test_a_slope_of_zero_gives_the_intercept(tmp_path: Path) -> None:
    volume = MadeUp("yx", ints(4, 5), {"rescale": [0.0, -1024.0]})
    assert (dataset_of(tmp_path, volume, rescale=True)[0]["image"] == -1024).all()


def test_frames_without_a_window_are_refused(tmp_path: Path) -> None:
    windows = [[40.0, 400.0], None]
    folder = write(tmp_path, [MadeUp("zyx", ints(2, 4, 5), {"window": windows})])
    with pytest.raises(ValueError, match="some frames states no window"):
        DicomZarrDataset(folder, window=True)[0]
    assert DicomZarrDataset(folder, window=True, sample="slice")[0]["image"].max() <= 1
    assert DicomZarrDataset(folder, window=(40, 400))[0]["image"].max() <= 1


def test_modality_lut_and_dose(tmp_path: Path) -> None:
    lut = {"first": 10, "bits": 16, "values": [5, 7, 9]}
    stored = np.array([[0, 10, 11, 12, 200]], "<u2")
    dose = MadeUp("yx", np.array([[70000, 3]], "<u4"), {"dose_grid_scaling": 0.001})
    dataset = DicomZarrDataset(write(tmp_path, [MadeUp("yx", stored, {"modality_lut": lut}), dose]), rescale=True)
    assert dataset[0]["image"].tolist() == [[5, 5, 7, 9, 9]]
    assert dataset[1]["image"].tolist() == [[70.0, 0.003]]


def test_the_window_is_that_of_the_standard(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2.1: c = 2048, w = 4096 gives x <= 0: lowest, x > 4095: highest, else a line in between."""
    stored = np.array([[-5, 0, 1365, 2730, 4095, 5000]], "<i2")
    volume = MadeUp("yx", stored, {"window": [2048.0, 4096.0], "rescale": [1.0, 0.0]})
    folder = write(tmp_path, [volume, MadeUp("yx", stored, {"rescale": [1.0, -100.0]})])
    by_header = DicomZarrDataset(folder, window=True)
    assert np.allclose(by_header[0]["image"], [[0, 0, 1 / 3, 2 / 3, 1, 1]], atol=1e-6)
    with pytest.raises(ValueError, match="states no window"):
        by_header[1]
    step = write(tmp_path / "step", [MadeUp("yx", stored, {"window": [1365.5, 1.0], "rescale": [1.0, 0.0]})])
    assert DicomZarrDataset(step, window=True)[0]["image"].tolist() == [[0, 0, 0, 1, 1, 1]]


FUNCTIONS = {  # as PS3.3 C.11.2.1.2.1, C.11.2.1.3.2 and C.11.2.1.3.1 state them, for y from 0 to 1
    "LINEAR": lambda x, c, w: np.clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1),
    "LINEAR_EXACT": lambda x, c, w: np.clip((x - c) / w + 0.5, 0, 1),
    "SIGMOID": lambda x, c, w: 1 / (1 + np.exp(-4 * (x - c) / w)),
}


@pytest.mark.parametrize("dtype", ["<i2", "<u2", "<f4"])
def test_the_window_has_the_function_of_the_header(tmp_path: Path, dtype: str) -> None:
    stored = np.arange(0, 3000, 125).reshape(4, 2, 3).astype(dtype)
    rescale, narrow, wide = [0.0005, 0.0], [0.75, 1.0], [0.75, 5.0]
    exact, sigmoid, linear = ({"window_function": name} for name in ("LINEAR_EXACT", "SIGMOID", "LINEAR"))
    each = {"window": [narrow, wide, wide, [0.5, 0.25]], "window_function": ["LINEAR_EXACT", "SIGMOID", "LINEAR", None]}
    facts = [{"window": narrow, **exact}, {"window": narrow, **sigmoid}, {"window": wide, **linear}, each]
    folder = write(tmp_path, [MadeUp("zyx", stored, {"rescale": rescale, **one}) for one in facts])
    images = [sample["image"] for sample in DicomZarrDataset(folder, window=True)]
    values = stored.astype(float) * 0.0005
    for image, name, window in zip(images, ("LINEAR_EXACT", "SIGMOID", "LINEAR"), (narrow, narrow, wide), strict=False):
        assert np.allclose(image, FUNCTIONS[name](values, *window), atol=1e-5)
        assert np.allclose(display.windowed(values, *window, name), image, atol=1e-5)
    for z, name in enumerate(("LINEAR_EXACT", "SIGMOID", "LINEAR", "LINEAR_EXACT")):  # LINEAR has no width below 1
        assert np.allclose(images[3][z], FUNCTIONS[name](values[z], *each["window"][z]), atol=1e-5)  # type: ignore[misc]
    assert len(np.unique(images[0])) > 4


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
def test_a_window_of_ones_own_reaches_from_its_lower_to_its_upper_end(tmp_path: Path, dtype: str) -> None:
    """Whatever the unit and the type: values of 0 to 1 have windows of a width below 1, too."""
    stored = np.array([[-160, 0, 40, 140, 240, 300]], dtype)
    folder = write(tmp_path, [MadeUp("yx", stored, {"rescale": [0.0025, 0.0]}), MadeUp("yx", stored)])
    for number, window in ((0, (0.1, 1.0)), (0, (0.1, 0.5)), (1, (40, 400))):
        values = stored * 0.0025 if number == 0 else stored
        expected = np.clip((values - (window[0] - window[1] / 2)) / window[1], 0, 1)
        assert np.allclose(DicomZarrDataset(folder, window=window)[number]["image"], expected, atol=1e-6)
    for wrong in ((40, 0), (40, -1), (40,)):
        with pytest.raises(ValueError, match="a width above 0"):
            DicomZarrDataset(folder, window=wrong)


def test_a_window_of_colour_is_refused(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, MadeUp("cyx", ints(3, 4, 5, dtype="|u1"), {"photometric": "RGB"}), window=(40, 400))
    with pytest.raises(ValueError, match="for grey values"):
        dataset[0]
    assert len(DicomZarrDataset(tmp_path, window=(40, 400), where=lambda row: "c" not in row["axes"])) == 0


def test_monochrome1_is_mirrored_in_the_range_of_bits_stored(tmp_path: Path) -> None:
    dark = {"photometric": "MONOCHROME1", "bits_stored": 12}
    unsigned, signed = np.array([[0, 1, 4095]], "<u2"), np.array([[-2048, 0, 2047]], "<i2")
    window = MadeUp("yx", unsigned, dark | {"window": [2048.0, 4096.0]})
    folder = write(tmp_path, [window, MadeUp("yx", signed, dark), MadeUp("yx", unsigned, {"bits_stored": 12})])
    inverted = DicomZarrDataset(folder, invert=True)
    assert inverted[0]["image"].tolist() == [[4095, 4094, 0]] and inverted[0]["image"].dtype == np.uint16
    assert inverted[1]["image"].tolist() == [[2047, -1, -2048]]
    assert inverted[2]["image"].tolist() == [[0, 1, 4095]]
    assert DicomZarrDataset(folder)[0]["image"].tolist() == [[0, 1, 4095]]
    assert np.allclose(DicomZarrDataset(folder, invert=True, window=True)[0]["image"], [[1, 4094 / 4095, 0]])


def test_palette_colours_on_request(tmp_path: Path) -> None:
    table = {"first": 1, "bits": 8, "red": [1, 2, 3], "green": [4, 5, 6], "blue": [7, 8, 9]}
    volume = MadeUp("tyx", np.array([[[0, 1]], [[2, 9]]], "|u1"), {"photometric": "PALETTE COLOR", "palette": table})
    folder = write(tmp_path, [volume])
    assert DicomZarrDataset(folder)[0]["image"].shape == (2, 1, 2)
    sample = DicomZarrDataset(folder, rgb=True)[0]
    assert sample["axes"] == "tcyx" and sample["image"].dtype == np.uint8
    assert sample["image"].tolist() == [[[[1, 1]], [[4, 4]], [[7, 7]]], [[[2, 3]], [[5, 6]], [[8, 9]]]]


def test_a_palette_counts_for_palette_images_alone(tmp_path: Path) -> None:
    values = np.arange(12, dtype="|u1").reshape(3, 4)
    table = {"first": 0, "bits": 8, "red": [0], "green": [0], "blue": [0]}
    grey = MadeUp("yx", values, {"photometric": "MONOCHROME2", "palette": table})
    without = MadeUp("yx", values, {"photometric": "PALETTE COLOR"})
    dataset = DicomZarrDataset(write(tmp_path, [grey, without]), rgb=True)
    assert dataset[0]["axes"] == "yx" and dataset[0]["image"].tolist() == values.tolist()
    with pytest.raises(ValueError, match="states no palette"):
        dataset[1]
