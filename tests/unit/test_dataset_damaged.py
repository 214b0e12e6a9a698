"""The reader of a dataset that is damaged, or that another program has changed: an error, never other voxels."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from made_up_dataset import OUTCOMES, Made, ramp, write_dataset
from made_up_volumes import MadeUp
from read_datasets import AFFINE, dataset_of, ints

from dicomzarr import dataset as reading
from dicomzarr.dataset import DicomZarrDataset

# ---- Regions


@pytest.mark.parametrize("place", [5, -10])  # in the first chunk, in the index
def test_a_flipped_bit_is_noticed(tmp_path: Path, place: int) -> None:
    dataset = dataset_of(tmp_path, MadeUp("yx", ints(30, 30)))
    (shard,) = tmp_path.glob("images.zarr/*/*/0/c/0/0")
    data = bytearray(shard.read_bytes())
    data[place] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        dataset[0]


def test_a_missing_chunk_is_an_error(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, MadeUp("zyx", ints(3, 30, 30)))
    (shard,) = tmp_path.glob("images.zarr/*/*/0/c/0/0/0")
    data = bytearray(shard.read_bytes())
    index = len(data) - (3 * 16 + 4)  # offset and length of each chunk, and a crc32c
    data[index + 16 : index + 32] = b"\xff" * 16
    data[-4:] = google_crc32c.value(bytes(data[index:-4])).to_bytes(4, "little")
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="a chunk is missing"):
        dataset[0]
    assert DicomZarrDataset(tmp_path, sample="slice")[0]["image"].shape == (30, 30)


def test_an_array_of_another_writer_is_refused(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, MadeUp("yx", ints(30, 30)))
    array = str(tmp_path / "images.zarr" / dataset.rows[0]["array"] / "0")
    zarr.create_array(array, shape=(30, 30), dtype="i2", dimension_names="yx", overwrite=True)
    with pytest.raises(ValueError, match="did not write"):
        dataset[0]


FACTS: dict[str, Any] = {"rescale": [2.0, 1.0], "affine_lps": AFFINE, "window": [[10, 20]], "acquisition": {"b": 1}}


def places_in(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys and indices that lead to each value of JSON."""
    if above:
        yield above
    for key, each in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from places_in(each, (*above, key))


@pytest.mark.parametrize("path", ["zarr.json", "0/zarr.json"])
def test_metadata_with_a_wrong_value_is_an_error_that_names_it_or_reads_as_before(tmp_path: Path, path: str) -> None:
    """Every value left out, and of every other type: never an error of Python, never other voxels."""
    voxels = ints(4, 8, 9)
    dataset = dataset_of(tmp_path, MadeUp("zyx", voxels))
    array = dataset.rows[0]["array"]
    facts = tmp_path / "images.zarr" / array / "zarr.json"
    content = json.loads(facts.read_bytes())
    content["attributes"]["dicomzarr"] |= FACTS
    facts.write_text(json.dumps(content))
    file = tmp_path / "images.zarr" / array / path
    before = json.loads(file.read_bytes())
    outcomes = set()
    for place in places_in(before):
        for wrong in ("left out", None, "x", [], {}, -1, True, 10**9, ["x"], "object"):
            changed = copy.deepcopy(before)
            holder = functools.reduce(lambda value, key: value[key], place[:-1], changed)
            if wrong == "left out":
                del holder[place[-1]]
            else:
                holder[place[-1]] = wrong
            file.write_text(json.dumps(changed))
            for options in ({}, {"rescale": True, "missing_rescale": "stored"}, {"window": True}):
                try:
                    sample = DicomZarrDataset(tmp_path, **options)[0]  # type: ignore[arg-type]
                    assert options or np.array_equal(sample["image"], voxels), (place, wrong)
                    outcomes.add("read")
                except (ValueError, OSError) as error:
                    assert array in str(error), (place, wrong, error)
                    outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        (
            "zarr.json",
            {"attributes": {"ome": {}}},
            "zarr.json: needed is attributes.dicomzarr, an object; found nothing",
        ),
        (
            "0/zarr.json",
            {"shape": [3, "4"]},
            "0/zarr.json: needed is shape, a list of whole numbers from 1, one for",
        ),
        (
            "0/zarr.json",
            {"shape": [2, 4]},
            "0/zarr.json: needed is the shape 3x4, as volumes.csv states; found 2x4. A run has changed the image since",
        ),
        (
            "0/zarr.json",
            {"data_type": "object"},
            'floating point; found "object". Another program wrote or changed it',
        ),
        ("0/zarr.json", {"dimension_names": ["x"]}, 'dimension_names for an array of 2 axes; found ["x"]'),
        ("0/zarr.json", {"codecs": 3}, "needed is codecs, a list; found 3"),
        ("0/zarr.json", {"codecs": []}, "dicomzarr did not write this array: open it with zarr"),
    ],
)
def test_what_is_needed_of_metadata_is_said(tmp_path: Path, path: str, change: dict[str, Any], words: str) -> None:
    dataset = dataset_of(tmp_path, MadeUp("yx", ints(3, 4)))
    file = tmp_path / "images.zarr" / dataset.rows[0]["array"] / path
    file.write_text(json.dumps(json.loads(file.read_bytes()) | change))
    with pytest.raises(ValueError, match=re.escape(words)):
        dataset[0]


@pytest.mark.parametrize("table", ["volumes.csv", "masks.csv"])
def test_a_table_that_was_cut_off_at_the_end_of_a_row_is_refused(tmp_path: Path, table: str) -> None:
    folder = write_dataset(tmp_path / "d", [Made(array, "zyx", ramp(3, 4, 5)) for array in ("a/b", "c/d")], OUTCOMES)
    (folder / "masks.csv").write_text("array,mask,voxels,flags,bounding_box\na/b,liver,1,,\na/b,lung,1,,\n")
    readers = (reading.read_rows, reading.volumes) if table == "volumes.csv" else (reading.read_masks, reading.masks)
    sealed, path = folder / "dataset.json", folder / table
    sealed.write_text('{"counts": {"arrays": 2, "masks": 2}}')
    assert [len(read(folder)) for read in readers] == [2, 2]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    for read in readers:
        with pytest.raises(ValueError, match=f"{table}: found 1 row, needed are 2, as dataset.json counts; the table"):
            read(folder)
    for unknown in ("[]", '{"counts": {}}', "x", ""):  # of another version
        sealed.write_text(unknown)
        assert len(readers[0](folder)) == 1
    sealed.unlink()  # while a run changes the dataset
    assert len(readers[0](folder)) == 1


@pytest.mark.parametrize("lost", ["", "zarr.json", "0/zarr.json", "0/c/0/0/0"])
def test_an_image_that_is_gone_is_an_error_that_says_what_to_do(tmp_path: Path, lost: str) -> None:
    dataset = dataset_of(tmp_path, MadeUp("zyx", ints(3, 40, 50)))
    path = tmp_path / "images.zarr" / dataset.rows[0]["array"] / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    words = r"0{15}0/0{8}: a run has removed the image .* or a file was lost: \./run verify"
    with pytest.raises(FileNotFoundError, match=words) as raised:
        dataset[0]
    assert str(raised.value.filename).startswith(str(path))
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # as it comes from a worker
