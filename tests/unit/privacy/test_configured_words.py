"""Words of the configuration that are remembered from run to run."""

from __future__ import annotations

from pathlib import Path

from dicomzarr.privacy.configured_words import numbers_in, remember, remembered, texts_in


def test_every_text_of_a_configuration_is_found() -> None:
    config = {"labels": [{"name": "finding", "values": ["Alpha", 1]}], "masks": {"names": {"liver": ["(?i)^Leber$"]}}}
    assert {"labels", "finding", "Alpha", "liver", "(?i)^Leber$"} <= {*texts_in(config)}
    assert [*texts_in(5)] == []


def test_every_long_number_of_a_configuration_is_found() -> None:
    config = {"splits": {"seed": 20240131, "fractions": {"train": 0.5}}, "labels": [{"range": [-12345678, 1234567]}]}
    assert {*numbers_in(config)} == {"20240131", "12345678"}


def test_words_are_only_added(tmp_path: Path) -> None:
    assert remembered(tmp_path) == frozenset()
    assert remember(tmp_path / "new", ["(?i)^Leber$", "ab"]) == {"leber"}
    assert remember(tmp_path / "new", ["Milz"]) == {"leber", "milz"}
    assert remembered(tmp_path / "new") == {"leber", "milz"}


def test_a_damaged_file_is_none_and_is_written_again(tmp_path: Path) -> None:
    remember(tmp_path, ["Leber"])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b"leber", b"meyer"))
    assert remembered(tmp_path) == frozenset()
    assert remember(tmp_path, ["Milz"]) == remembered(tmp_path) == {"milz"}
