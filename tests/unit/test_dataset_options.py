"""The options of the reader: two value objects, keywords in short, and errors that say what to do."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from epochs import digest, epoch
from made_up_masks import MadeUpMask, add_masks
from made_up_volumes import LABEL, MadeUp, write

from dicomzarr.dataset import DicomZarrDataset, Sample, Select, channel_xyz, load_images, masks, volumes

AFFINE = np.diag([0.5, 0.5, 3.0, 1.0]).tolist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cells = (
        {"split": "train", "modality": "CT", "flags": "gap incomplete", LABEL: "yes"},
        {"split": "train", "modality": "MR", "flags": "", LABEL: "no"},
        {"split": "test", "modality": "CT", "flags": "incomplete", LABEL: ""},
    )
    facts = ({"affine_lps": AFFINE}, {}, {"affine_lps": AFFINE, "rescale": [2.0, 1.0]})
    voxels = np.arange(2 * 3 * 4, dtype="<i2").reshape(2, 3, 4)
    return write(tmp_path, [MadeUp("zyx", voxels, f, c) for f, c in zip(facts, cells, strict=True)])


def numbers(dataset: DicomZarrDataset) -> list[int]:
    return [int(row["array"][:16], 16) for row in dataset.rows]


# ---- Values that no image has


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modality": "CTT"}, r"no image has modality 'CTT': did you mean 'CT'\? there are 'CT', 'MR'$"),
        ({"modality": ["CT", "US"]}, r"no image has modality 'US': there are 'CT', 'MR'$"),
        ({"split": "val"}, r"no image has split 'val': there are 'test', 'train'$"),
        ({"axes": "tzyx"}, r"no image has axes 'tzyx': did you mean 'zyx'\? there are 'zyx'$"),
        ({"labels": {LABEL: "maybe"}}, rf"no image has {LABEL} 'maybe': there are '', 'no', 'yes'$"),
        ({"labels": {"label_findings": "no"}}, rf"no column label_findings: did you mean '{LABEL}'\?"),
        (
            {"with_flags": ["incomplet"]},
            r"no image has flag 'incomplet': did you mean 'incomplete'\? there are 'gap', ",
        ),
        ({"shape": {"x": 512}}, r"no image has size along x '512': there are '4'$"),
    ],
)
def test_a_value_that_no_image_has_names_those_there_are(folder: Path, options: dict[str, Any], message: str) -> None:
    for dataset in (lambda: DicomZarrDataset(folder, **options), lambda: DicomZarrDataset(folder, Select(**options))):
        with pytest.raises(ValueError, match=message):
            dataset()


def test_a_column_without_any_value_says_so(tmp_path: Path) -> None:
    folder = write(tmp_path, [MadeUp("yx", np.zeros((2, 2), "<i2"), cells={"split": "", LABEL: ""})])
    with pytest.raises(ValueError, match=r"no image has split 'train': none has any; configure `splits` and start"):
        DicomZarrDataset(folder, split="train")
    with pytest.raises(ValueError, match=rf"no image has {LABEL} 'yes': none has any$"):
        DicomZarrDataset(folder, labels={LABEL: "yes"})


def test_a_long_list_of_values_is_cut(tmp_path: Path) -> None:
    images = [MadeUp("yx", np.zeros((2, 2), "<i2"), cells={LABEL: f"{n:02}"}) for n in range(30)]
    with pytest.raises(ValueError, match=r"there are '00', '01', .*'19' and 10 more$"):
        DicomZarrDataset(write(tmp_path, images), labels={LABEL: "x"})


def test_values_that_are_there_may_select_nothing_together(folder: Path) -> None:
    assert len(DicomZarrDataset(folder, split="test", modality="MR")) == 0
    assert numbers(DicomZarrDataset(folder, without_flags=["never_seen"])) == [0, 1, 2]
    assert numbers(DicomZarrDataset(folder, with_flags="incomplete", without_flags="gap")) == [2]


@pytest.mark.parametrize("none", [[], (), set[str]()])
def test_an_empty_choice_is_refused_since_it_would_select_nothing(none: Any) -> None:
    for name in ("split", "modality", "axes"):
        with pytest.raises(ValueError, match=rf"^{name} names no value, .* None selects all$"):
            Select(**{name: none})
    with pytest.raises(ValueError, match=rf"^{LABEL} names no value"):
        Select(labels={LABEL: none})
    assert Select(split=None, labels={LABEL: None}, with_flags=none, with_masks=none) == Select()


@pytest.mark.parametrize("option", ["with_flags", "without_flags", "without_mask_flags"])
def test_flags_joined_as_in_the_table_are_refused(option: str) -> None:
    """No image has such a flag, so that nothing would be left out."""
    for joined in ("gap incomplete", "gap,incomplete", "gap, incomplete", "Gap;incomplete"):
        needed = rf"^{option} takes flags one by one, in small letters: \['gap', 'incomplete'\], not '{joined}'$"
        with pytest.raises(ValueError, match=needed):
            Select(**{option: joined})
    with pytest.raises(ValueError, match=rf"^{option} takes flags .*: \['gap'\], not 'GAP'$"):
        Select(**{option: ["incomplete", "GAP"]})


def test_a_number_is_no_text_of_the_table(folder: Path) -> None:
    for options in ({"labels": {LABEL: 1}}, {"labels": {LABEL: [1, 2]}}, {"with_flags": [3]}):
        with pytest.raises(TypeError, match="is a text or a collection of texts, as in the tables: '1', not 1; found"):
            DicomZarrDataset(folder, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="^masks is a text .*; found None$"):
        Sample(masks=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="^labels maps columns to values, .*; found 'label_organ'$"):
        Select(labels="label_organ")  # type: ignore[arg-type]


# ---- Options that do not exist


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("modalty", r"no option 'modalty': did you mean 'modality'\?$"),
        ("mask", r"no option 'mask': did you mean 'masks'\?$"),
        ("patches", r"no option 'patches': did you mean 'patch'\?$"),
        ("kind", r"no option 'kind': it has axes, channel, .*sample, seed, select, .*window, with_flags, with_masks,"),
    ],
)
def test_an_unknown_option_names_the_nearest(folder: Path, option: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        DicomZarrDataset(folder, **{option: "CT"})


def test_other_objects_are_refused(folder: Path) -> None:
    with pytest.raises(TypeError, match=r"select is a Select\(…\), not dict"):
        DicomZarrDataset(folder, {"modality": "CT"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"sample is a Sample\(…\) or volume, slice or patch, not Select"):
        DicomZarrDataset(folder, sample=Select())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cube"}, "sample is volume, slice or patch"),
        ({"kind": "patch"}, "patch=… gives the size"),
        ({"patch": {"y": 3}}, "is needed for patches only"),
        ({"kind": "patch", "patch": {"c": 1}}, "patch has sizes along t, z, y and x"),
        ({"missing_rescale": "zero"}, "missing_rescale is error, nan or stored"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sample(**options)


def test_sizes_of_unknown_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="min_shape has sizes along t, c, z, y and x"):
        Select(min_shape={"Z": 16})


def test_sizes_without_axes_are_refused_by_a_message_that_shows_the_form() -> None:
    needed = r" names the axes, such as {'z': 16, 'y': 32, 'x': 32}; found \(16, 32, 32\)"
    with pytest.raises(TypeError, match=f"^patch{needed}"):
        Sample(kind="patch", patch=(16, 32, 32))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=f"^min_shape{needed}"):
        Select(min_shape=(16, 32, 32))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", None])
def test_numbers_that_cannot_be_are_refused_at_once_and_not_by_a_worker(folder: Path, number: Any) -> None:
    found = rf" takes whole numbers( from 1 on)?; found {number!r}"
    with pytest.raises((ValueError, TypeError), match=f"^patch{found}"):
        Sample(kind="patch", patch={"z": number, "y": 4})
    with pytest.raises((ValueError, TypeError), match=f"^patches_per_volume{found}"):
        Sample(kind="patch", patch={"y": 4}, patches_per_volume=number)
    if number != 0:
        with pytest.raises((ValueError, TypeError), match="^seed takes whole numbers"):
            Sample(seed=number)
        with pytest.raises((ValueError, TypeError), match="^epoch takes whole numbers"):
            DicomZarrDataset(folder, sample="patch", patch={"y": 2}).set_epoch(number)


class TorchType:
    """Stands for `torch.float32`: NumPy does not know it."""

    def __repr__(self) -> str:
        return "torch.float32"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *((name, text, "is True or False") for name in ("rescale", "channel", "rgb") for text in ("no", None, 2)),
        ("require_affine", "false", r"is True or False; found 'false'$"),
        ("invert", [], "is True or False"),
        ("dtype", TorchType(), r"is a type of numbers in NumPy, such as 'float32'; found torch\.float32$"),
        ("dtype", "floaty", "is a type of numbers in NumPy"),
        ("dtype", str, "is a type of numbers in NumPy"),
        ("where", "CT", r"is a function; found 'CT'$"),
        ("transform", [abs], "is a function; found"),
        ("foreground", "0.3", r"is a share of the patches, a number from 0 to 1; found '0\.3'$"),
        ("foreground", 1.5, "is a share of the patches"),
        ("foreground", None, "is a share of the patches"),
    ],
)
def test_options_of_another_type_are_refused_at_once(folder: Path, option: str, value: Any, message: str) -> None:
    """A text such as "no" would count as True; a wrong type would be found by a worker, with the first sample."""
    with pytest.raises((TypeError, ValueError), match=f"^{option} {message}"):
        DicomZarrDataset(folder, **{option: value})


def test_numbers_and_types_of_numpy_are_options(folder: Path) -> None:
    options: dict[str, Any] = {"rescale": np.True_, "channel": 1, "require_affine": np.False_, "dtype": np.dtype(">f4")}
    image = DicomZarrDataset(folder, **options)[2]["image"]
    assert (image.dtype, image.shape) == (np.dtype("float32"), (1, 2, 3, 4))
    assert Sample(kind="patch", patch={"y": 1}, masks="liver", foreground=np.float32(0.5)).foreground == 0.5


WINDOWS = [None, 400, "lung", "12", {40, 400}, (40,), (40, 0), (40, np.inf), (np.nan, 400), (np.nan, np.nan)]


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_that_cannot_be_is_refused_by_a_message_that_shows_the_form(window: Any) -> None:
    with pytest.raises(ValueError, match=r"^window is True, False or \(center, width\), two numbers .*; found "):
        Sample(window=window)


# ---- Objects and keywords


def test_a_keyword_changes_an_object(folder: Path) -> None:
    select, sample = Select(split="train", modality=["CT", "MR"]), Sample(rescale=True, dtype="f8")
    dataset = DicomZarrDataset(folder, select, sample, split="test", dtype="f4")
    assert numbers(dataset) == [2] and dataset[0]["image"].dtype == np.float32
    assert dataset.select == Select(split=["test"], modality=("CT", "MR"))
    assert dataset.sample == dataclasses.replace(sample, dtype="f4")
    assert select.split == ("train",)  # the object itself is as it was
    assert DicomZarrDataset(folder, sample="slice", rescale=True).sample == Sample(kind="slice", rescale=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        select.split = "val"  # type: ignore[misc]


def test_objects_are_pickled_and_shown(folder: Path) -> None:
    dataset = DicomZarrDataset(folder, Select(labels={LABEL: "yes"}), Sample(kind="patch", patch={"y": 2, "x": 2}))
    again = pickle.loads(pickle.dumps(dataset))
    assert (again.select, again.sample) == (dataset.select, dataset.sample)
    assert "patch={'y': 2, 'x': 2}" in repr(again.sample)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_function_that_selects_is_not_sent_to_workers(folder: Path, method: str) -> None:
    select = Select(where=lambda row: row["split"] == "train")
    dataset = DicomZarrDataset(folder, select)
    assert dataset.select is not None and dataset.select.where is select.where  # it may be used again
    again = pickle.loads(pickle.dumps(dataset))
    assert again.rows == dataset.rows and len(again) == len(dataset) > 0
    assert epoch(dataset, 2, method) == [digest(dataset[number]) for number in range(len(dataset))]


# ---- Affines


def test_images_with_an_affine_are_selected(folder: Path) -> None:
    assert numbers(DicomZarrDataset(folder, require_affine=True)) == [0, 2]
    assert numbers(DicomZarrDataset(folder, require_affine=True, where=lambda row: row["split"] == "test")) == [2]
    assert all(np.isfinite(sample["affine_ras"]).all() for sample in DicomZarrDataset(folder, require_affine=True))


def test_an_image_without_an_affine_is_not_resampled(folder: Path) -> None:
    dataset = DicomZarrDataset(folder, channel=True)
    assert channel_xyz(dataset[0])[0].shape == (1, 4, 3, 2)
    with pytest.raises(ValueError, match="has no affine, .* gives a constant image: .* require_affine=True"):
        channel_xyz(dataset[1])


# ---- Where an error is


@pytest.mark.parametrize("place", ["", "images.zarr", "volumes.csv", "private"])
def test_a_folder_without_a_dataset_is_refused_with_what_to_give(folder: Path, place: str) -> None:
    (folder / "private").mkdir()
    path = folder / place if place else folder / "nowhere"
    needed = "no dataset: it has neither volumes.csv nor dataset/volumes.csv. Give the results folder"
    for read in (DicomZarrDataset, volumes, masks, load_images):
        with pytest.raises(FileNotFoundError, match=f"{path.name}: {needed}"):
            read(path)


def test_an_error_of_a_sample_names_its_array(folder: Path) -> None:
    """A worker of a loader gives no other hint of it."""
    dataset = DicomZarrDataset(folder)
    first, last = (row["array"] for row in (dataset.rows[0], dataset.rows[2]))
    (folder / "images.zarr" / last / "0" / "c" / "0" / "0" / "0").write_bytes(b"")
    with pytest.raises(ValueError, match=f"^{last}: a chunk is damaged"):
        dataset[2]
    with pytest.raises(ValueError, match=f"^{first}: the header states no window"):
        DicomZarrDataset(folder, window=True)[0]


@pytest.mark.parametrize("cut", [0, 100])
@pytest.mark.parametrize("part", ["", "0"])
def test_metadata_that_were_cut_off_are_named(folder: Path, cut: int, part: str) -> None:
    dataset = DicomZarrDataset(folder)
    path = folder / "images.zarr" / dataset.rows[1]["array"] / part / "zarr.json"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=rf"{path} is damaged: \./run verify"):
        dataset[1]
    if not part:
        with pytest.raises(ValueError, match=rf"{path} is damaged: \./run verify"):
            DicomZarrDataset(folder, require_affine=True)


def test_what_a_transform_raises_is_not_changed(folder: Path) -> None:
    def transform(sample: dict[str, Any]) -> None:
        raise ValueError("of the caller")

    with pytest.raises(ValueError, match=r"^of the caller$"):
        DicomZarrDataset(folder, transform=transform)[0]


def test_a_sample_without_masks_has_none_to_transpose(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^the sample has no 'mask': .* masks=…"):
        channel_xyz(DicomZarrDataset(folder)[0], "mask")


# ---- Tables that are not what was written


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:30],  # within the header
        lambda text: text[: text.index("\n") + 40],  # within a row
        lambda text: text + "0000000000000009/00000000\n",  # a row without most of its cells
        lambda text: text.replace("\n", ",1\n", 3).replace(",1\n", "\n", 1),  # rows with a cell too many
        lambda text: "\ufeff" + text,  # as spreadsheets save it
        lambda text: text.replace(",", ";"),
        lambda text: text.replace("0", "\udcff", 1),  # a byte that is no UTF-8
    ],
)
@pytest.mark.parametrize("name", ["volumes.csv", "masks.csv"])
def test_a_table_that_was_cut_off_or_changed_is_named(tmp_path: Path, name: str, change: Callable[[str], str]) -> None:
    """Else images, or masks, would be missing from training unsaid."""
    voxels = np.arange(2 * 3 * 4, dtype="<i2").reshape(2, 3, 4)
    folder = write(tmp_path, [MadeUp("zyx", voxels)])
    add_masks(folder, [MadeUpMask(0, "liver", (voxels > 5).astype("u1"))])
    path = folder / name
    path.write_bytes(change(path.read_bytes().decode()).encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=rf"{path} is damaged, or was changed by another program: \./run verify"):
        DicomZarrDataset(folder, masks=["liver"])


@pytest.mark.parametrize("table", [volumes, masks])
def test_a_pandas_table_of_a_file_that_was_cut_off_is_refused(tmp_path: Path, table: Callable[[Path], Any]) -> None:
    voxels = np.arange(2 * 3 * 4, dtype="<i2").reshape(2, 3, 4)
    folder = write(tmp_path, [MadeUp("zyx", voxels)])
    add_masks(folder, [MadeUpMask(0, "liver", (voxels > 5).astype("u1"))])
    assert len(table(folder)) == 1
    path = folder / f"{table.__name__}.csv"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{path} is damaged"):
        table(folder)
