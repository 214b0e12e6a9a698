"""`./run diff` between datasets with different pseudonym keys."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from dicomzarr.commands.diff import Rows, Side, compare, lines, main, read
from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.vocabulary.errors import UserError


def side(key: str, rows: Rows) -> Side:
    sealed: dict[str, Any] = {"digest": key, "seal": key, "key_check": key, "counts": {}, "config": {}, "software": {}}
    return Side(sealed, rows)


def dataset(key: int, volumes: list[tuple[str, int]], **more: str) -> Side:
    """Return a dataset with a volume for each (pixel digest, source bytes); ids depend on the key alone."""
    ids = random.Random(key)
    rows = {}
    for digest, source_bytes in volumes:
        array = f"{ids.getrandbits(64):016x}/0"
        row = {"array": array, "series_id": array[:16], "study_id": "", "subject_id": f"{ids.getrandbits(64):016x}"}
        row |= {"frames": "1", "source_bytes": str(source_bytes), "stored_bytes": "9", "pixel_digest": digest}
        rows[array] = row | more
    return side(str(key), rows)


@pytest.mark.parametrize("seed", range(20))
def test_arrays_with_equal_pixels_are_matched_by_equal_rows(seed: int) -> None:
    volumes = [("aa", size) for size in range(5)] + [("bb", 7), ("cc", 7), ("cc", 7)]
    shuffled = random.Random(seed).sample(volumes, len(volumes))
    found = compare(dataset(1, volumes), dataset(2 + seed, shuffled))
    assert found["volumes"] == {"added": [], "retired": [], "grown": {}, "changed": {}, "rewritten": 0}
    documented = {name.removesuffix("[]") for name, _ in FORMS["diff"]}
    assert documented == {*found} - {"volumes"} | {f"volumes.{kind}" for kind in found["volumes"]}


def test_the_rest_of_equal_pixels_is_changed_added_or_retired() -> None:
    old, new = dataset(1, [("aa", 1), ("aa", 2), ("bb", 1)]), dataset(2, [("aa", 2), ("aa", 3), ("aa", 2)])
    found = compare(old, new)["volumes"]
    assert sorted(column["source_bytes"] for column in found["changed"].values()) == [["1", "2"]]
    assert len(found["added"]) == len(found["retired"]) == 1
    assert [new.volumes[array]["source_bytes"] for array in found["added"] if new.volumes] == ["3"]


def test_a_column_that_only_one_dataset_has_is_a_change_of_every_volume() -> None:
    volumes = [("aa", size) for size in range(4)]
    found = compare(dataset(1, volumes), dataset(2, volumes[::-1], label_kind="benign"))["volumes"]
    assert list(found["changed"].values()) == [{"label_kind": [None, "benign"]}] * 4


def test_masks_that_came_went_or_changed_are_named(tmp_path: Path) -> None:
    sealed = {"digest": "d", "seal": "s", "key_check": "k", "counts": {}, "config": {}, "software": {}}
    masks = {"old": {"liver": "11", "tumour": "22"}, "new": {"liver": "33", "spleen": "44"}}
    for name, digests in masks.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").write_text(json.dumps(sealed | {"digest": name}))
        (tmp_path / name / "volumes.csv").write_text("array,frames,stored_bytes,pixel_digest\na/1,1,9,aa\na/2,1,9,bb\n")
        rows = "".join(f"a/1,{mask},{digest}\n" for mask, digest in digests.items())
        (tmp_path / name / "masks.csv").write_text("array,mask,pixel_digest\n" + rows)
    found = compare(read(tmp_path / "old"), read(tmp_path / "new"))["volumes"]
    expected = {"mask liver": ["11", "33"], "mask spleen": [None, "44"], "mask tumour": ["22", None]}
    assert found["changed"] == {"a/1": expected}


def test_what_publish_wrote_is_its_latest_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sealed = {"digest": "d", "seal": "s", "key_check": "k", "counts": {}, "config": {}, "software": {}}
    for name in ("v/0a", "v/0b", "here/dataset"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "dataset.json").write_text(json.dumps(sealed | {"digest": name[-1]}))
    (tmp_path / "here/dataset/dataset.json").write_text(json.dumps(sealed | {"digest": "b"}))
    (tmp_path / "latest.json").write_text('{"path": "v/0b"}')
    assert main([str(tmp_path), str(tmp_path / "here")]) == 0
    (tmp_path / "latest.json").write_text('{"path": "v/0a"}')
    assert main([str(tmp_path), str(tmp_path / "here")]) == 1
    (tmp_path / "latest.json").write_text('{"path": "../elsewhere"}')
    for old, words in (
        (str(tmp_path), "names no version"),
        ("https://x.org/d", "found a URL, needed is a folder"),
        (str(tmp_path / "v"), "is no finished dataset; needed is a dataset folder with its dataset.json, a results f"),
    ):
        with pytest.raises(UserError, match=words):
            main([old, str(tmp_path / "here")])


def test_a_line_shows_where_long_values_differ() -> None:
    flags, digest = "assumed_bits_stored assumed_unsigned detector_spacing", "0123456789abcdef"
    old = dataset(1, [("a", 1)], flags=flags, pixel_digest=digest * 4, why="one frame")
    new = dataset(1, [("a", 1)], flags=f"{flags} gap", pixel_digest="f" * 64, why="one frame")
    old.sealed["config"] |= {"pictures": True, "splits": {"fractions": {"test": 0.2, "train": 0.8}, "seed": 3}}
    new.sealed["config"] |= {"pictures": False}
    changed, *config, _ = lines(compare(old, new))
    assert "flags …or_spacing -> …or_spacing gap" in changed
    assert "pixel_digest 0123456789abcdef -> ffffffffffffffff" in changed
    assert config == [
        "config   pictures: true -> false",
        'config   splits: {"fractions": {"test": 0.2, "train": 0.8… -> nothing',
    ]
