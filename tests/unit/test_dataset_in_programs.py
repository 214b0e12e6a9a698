"""What a user's program does with a dataset: loops, indices, volumes that are handed to other processes, types."""

from __future__ import annotations

import ast
import copy
import multiprocessing
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_masks import MadeUpMask, add_masks
from made_up_volumes import MadeUp, write

from dicomzarr import dataset as reading
from dicomzarr.dataset import DicomZarrDataset, Volume

SHAPE = (3, 4, 5)
# Equal in size and not compressed: a chunk of one, with its checksum, fits at the place of that of the other.
FIRST, SECOND = (np.full(SHAPE, value, "<i2") for value in (100, 200))


@pytest.fixture
def dataset(tmp_path: Path) -> DicomZarrDataset:
    return DicomZarrDataset(write(tmp_path, [MadeUp("zyx", each, compression="none") for each in (FIRST, SECOND)]))


# ---- Loops and indices


@pytest.mark.parametrize("error", [IndexError, StopIteration, KeyError])
def test_an_error_of_a_transform_ends_no_loop_as_if_it_were_complete(
    dataset: DicomZarrDataset, error: type[Exception]
) -> None:
    def transform(sample: dict[str, Any]) -> Any:
        if sample["image"][0, 0, 0] == 200:
            raise error("of the transform")
        return sample

    transformed = DicomZarrDataset(dataset.folder, transform=transform)
    found = []
    with pytest.raises((error, RuntimeError)):  # a generator turns StopIteration into RuntimeError (PEP 479)
        for sample in transformed:
            found.append(sample)
    assert len(found) == 1


def test_a_loop_has_all_samples_in_the_order_of_rows_t_and_z(tmp_path: Path) -> None:
    voxels = np.arange(2 * 3 * 4 * 5, dtype="<i2").reshape(2, 3, 4, 5)
    folder = write(tmp_path, [MadeUp("tzyx", voxels), MadeUp("zyx", FIRST)])
    slices = DicomZarrDataset(folder, sample="slice")
    expected = [*voxels.reshape(6, 4, 5), *FIRST]
    assert len(slices) == len(expected) == 9
    for found in (list(slices), [slices[i] for i in range(9)], [slices[np.int64(i - 9)] for i in range(9)]):
        assert all(np.array_equal(each["image"], frame) for each, frame in zip(found, expected, strict=True))


@pytest.mark.parametrize("index", [2, -3, 10**9])
def test_an_index_beyond_the_end_says_how_many_there_are(dataset: DicomZarrDataset, index: int) -> None:
    with pytest.raises(IndexError, match=f"^there is no sample {index}: the dataset has 2 samples$"):
        dataset[index]
    with pytest.raises(IndexError, match=f"^there is no volume {index}: the dataset has 2 volumes$"):
        dataset.volume(index)


@pytest.mark.parametrize("index", [slice(0, 1), [0, 1], 1.0, "0", None])
def test_an_index_of_another_type_is_refused_with_what_to_do(dataset: DicomZarrDataset, index: Any) -> None:
    with pytest.raises(TypeError, match=r"^the index of a sample is a whole number; found .*one by one"):
        dataset[index]
    with pytest.raises(TypeError, match="^the index of a volume is a whole number; found "):
        dataset.volume(index)


# ---- Volumes


def _first_value(volume: Volume) -> int:
    return int(volume.read()[0, 0, 0])


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_volumes_that_are_handed_to_other_processes_are_read_there(dataset: DicomZarrDataset, method: str) -> None:
    """An open file has a number, which is that of another file in another process, or of none."""
    volumes = [dataset.volume(0), dataset.volume(1)]
    with multiprocessing.get_context(method).Pool(1) as pool:
        for _ in range(3):
            assert pool.map(_first_value, volumes, chunksize=1) == [100, 200]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda volume: pickle.loads(pickle.dumps(volume))])
def test_a_copy_of_a_volume_that_goes_takes_no_file_along(
    dataset: DicomZarrDataset, copied: Callable[[Volume], Volume]
) -> None:
    volume = dataset.volume(0)
    other = copied(volume)
    assert _first_value(other) == 100
    del other
    second = Volume(dataset.volume(1)._folder)  # would get the number of a file that was closed
    assert (_first_value(volume), _first_value(second)) == (100, 200)


def test_a_volume_that_is_handed_on_has_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "data", [MadeUp("zyx", FIRST)])
    monkeypatch.chdir(folder)
    volume = Volume(Path("images.zarr") / DicomZarrDataset(".").rows[0]["array"])
    monkeypatch.chdir(tmp_path)
    assert _first_value(pickle.loads(pickle.dumps(volume))) == 100


@pytest.mark.parametrize("times", [1, 3, 99])
def test_an_image_that_is_replaced_while_it_is_opened_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Else the rescale of one image would be applied to the voxels of another."""
    slopes = [[slope, 0.0] for slope in (1.0, 2.0)]
    folders = [
        write(tmp_path / str(number), [MadeUp("zyx", voxels, {"rescale": slope})])
        for number, (voxels, slope) in enumerate(zip((FIRST, SECOND), slopes, strict=True))
    ]
    dataset = DicomZarrDataset(folders[0], rescale=True)
    images = [folder / "images.zarr" / dataset.rows[0]["array"] for folder in folders]
    opened, calls = reading._opened_file, []

    def exchange_and_open(path: Path) -> Any:
        if len(calls) < times:
            calls.append(path)
            for source, target in ((0, tmp_path / "aside"), (1, images[0]), (tmp_path / "aside", images[1])):
                (images[source] if isinstance(source, int) else source).rename(target)
        return opened(path)

    monkeypatch.setattr(reading, "_opened_file", exchange_and_open)
    if times == 99:
        with pytest.raises(ValueError, match=f"{dataset.rows[0]['array']}: a run replaces the image again and again"):
            dataset[0]
    else:
        assert set(dataset[0]["image"].flat) == {400.0}
        assert len(calls) == times


@pytest.mark.parametrize("step", [2, -1, 3])
def test_a_step_is_refused_and_not_ignored(dataset: DicomZarrDataset, step: int) -> None:
    with pytest.raises(ValueError, match="^a region has slices of step 1"):
        dataset.volume(0).read((slice(None, None, step), slice(None), slice(None)))


@pytest.mark.parametrize("region", [(slice(1),), (0, slice(1), slice(1)), slice(1), (...,), 5, "zyx"])
def test_a_region_of_another_form_is_refused_by_a_message_that_shows_it(dataset: DicomZarrDataset, region: Any) -> None:
    with pytest.raises(TypeError, match=r"one for each of the axes z, y, x, such as \(slice\(0, 3\), slice\(0, 4\), "):
        dataset.volume(0).read(region)


@pytest.mark.parametrize("part", [slice(-2, None), slice(1, 99), slice(5, 2), slice(2, 2), slice(None), slice(-9, 2)])
def test_ends_of_a_region_are_those_of_numpy(tmp_path: Path, part: slice) -> None:
    voxels = np.arange(60, dtype="<i2").reshape(SHAPE)
    volume = DicomZarrDataset(write(tmp_path, [MadeUp("zyx", voxels)])).volume(0)
    region = (part, slice(None), part)
    assert np.array_equal(volume.read(region), voxels[region])


def test_a_mask_that_an_image_lacks_is_no_mask_that_lost_a_file(dataset: DicomZarrDataset) -> None:
    folder = Path(str(dataset.folder))
    add_masks(folder, [MadeUpMask(0, name, np.ones(SHAPE, np.uint8)) for name in ("liver", "tumour")])
    volume = dataset.volume(0)
    with pytest.raises(FileNotFoundError, match="the image has no mask 'spleen': those on its grid are liver, tumour;"):
        volume.mask("spleen")
    shutil.rmtree(folder / "images.zarr" / dataset.rows[0]["array"] / "labels" / "liver" / "0")
    with pytest.raises(FileNotFoundError, match="No such file"):
        volume.mask("liver")


# ---- The file


def test_the_map_at_the_top_names_the_sections_and_what_is_public_in_each() -> None:
    text = Path(reading.__file__).read_text()
    rows = re.findall(r"^([^=\s].{23})  (\S.*)$", text.split("=\n")[1], re.M)
    parts = re.split(r"^# ---- (.*)$", text, flags=re.M)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert [title.strip() for title, _ in rows] == list(sections)
    for title, words in rows:
        shown = re.findall(r"^(?:def|class) ([a-z]\w*)", sections[title.strip()], re.M | re.I)
        if not title.startswith("Inside"):
            assert set(shown) - {"place_of"} <= set(re.findall(r"`(\w+)`", words)), title


def test_no_function_is_longer_than_60_lines() -> None:
    nodes = ast.walk(ast.parse(Path(reading.__file__).read_text()))
    functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions.items()}
    assert len(lengths) > 80 and {name: length for name, length in lengths.items() if length > 60} == {}


# ---- Types


PROGRAM = """
from __future__ import annotations

from pathlib import Path
from typing import Any

from dataset import DicomZarrDataset, Sample, Select, Volume, channel_xyz, load_images, masks, open_dataset, volumes


def train(results: Path) -> int:
    select = Select(modality=["CT", "MR"], min_shape={"z": 4}, where=lambda row: row["split"] != "test")
    sample = Sample(kind="patch", patch={"z": 4, "y": 8}, window=[40, 400], foreground=1, masks="liver")
    dataset = DicomZarrDataset(results, select, sample, split="train")
    for epoch in range(2):
        dataset.set_epoch(epoch)
        for each in dataset:
            print(each["image"].shape)
    first: dict[str, Any] = dataset[0]
    volume: Volume = dataset.volume(0)
    voxels = volume.mask("liver").read((slice(0, 1), slice(None), slice(None)))
    values, affine = channel_xyz(first)
    row: dict[str, str] = open_dataset("https://example.org/x", sample="slice").rows[0]
    print(volumes(results).groupby("modality").size(), masks(str(results)), dataset.groups(), affine.shape, row)
    return len(list(dataset)) + len(load_images(results)) + int(values.size) + voxels.size + len(volume.shape)
"""


def test_mypy_accepts_a_program_beside_the_copied_file(tmp_path: Path) -> None:
    """In its strict form, without the types of pandas and numcodecs, and without the rest of the project."""
    shutil.copy(reading.__file__, tmp_path / "dataset.py")
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "empty.ini").write_text("[mypy]\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=empty.ini", "--cache-dir=cache", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
