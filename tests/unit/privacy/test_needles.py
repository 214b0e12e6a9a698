"""The search for the names of a list: in each form, without a record of the run, and never with the name."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from dicomzarr.commands.audit import command as audit
from dicomzarr.privacy import needles, positive_control, scanner
from dicomzarr.vocabulary.errors import UserError

NAME = "Quastenflosser^Ottilie"
LIST = f"Wildfremd Niemand\n\n{NAME}\nAnna\n---\n1.2.840.10008.1.2.1\n19370203\n"
IMAGE = "images.zarr/0123456789abcdef/01234567"


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text(LIST)
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A dataset folder without private/, of one array."""
    folder = tmp_path / "copy"
    array = zarr.create_array(str(folder / IMAGE / "0"), shape=(1, 64, 64), chunks=(1, 64, 64),
                              shards=(1, 64, 64), dtype="u1")  # fmt: skip
    array[:] = 7
    (folder / "volumes.csv").write_text("array,frames\n0123456789abcdef/01234567,19370203\n")
    return folder


def search(names: Path, folder: Path) -> needles.Found:
    return needles.NeedleSearch(needles.read_needles(names), frozenset(), with_voxels=True).run(folder)


def hits(names: Path, folder: Path) -> list[tuple[str, str, int, int]]:
    return [(hit.place, hit.code, hit.line, hit.needle) for hit in search(names, folder).hits]


def test_nothing_is_found_in_a_clean_copy(names: Path, copy: Path) -> None:
    found = search(names, copy)
    assert not found.hits and not found.unread and found.files == 3


@pytest.mark.parametrize("form", sorted({*positive_control.FORMS} - {"exports", "number", "name", "voxels"}))
def test_a_name_is_found_in_each_form(form: str, names: Path, copy: Path) -> None:
    suffix, data = positive_control._planted(NAME.encode())[form]
    (copy / "reports").mkdir()
    (copy / "reports" / f"a.{suffix}").write_bytes(data)
    ((place, code, _, needle),) = hits(names, copy)
    assert (place, needle) == (f"reports/a.{suffix}", 3)
    hashes, plain = {"md5", "sha1", "sha256", "blake3"}, {"plain", "upper", "csv", "json", "utf-16", "binary"}
    expected = "hash_of_value" if form in hashes else "value_in_file" if form in plain else "value_encoded"
    assert code == expected or form == "json-escaped"


def test_a_name_is_found_in_compressed_voxels(names: Path, copy: Path) -> None:
    array = zarr.open_array(str(copy / IMAGE / "0"))
    noise = np.random.default_rng(1).choice(np.frombuffer(b"etaoin ", np.uint8), 4096 - len(NAME))
    array[:] = np.concatenate([np.frombuffer(NAME.encode(), np.uint8), noise]).reshape(1, 64, 64)
    chunk = f"{IMAGE}/0/c/0/0/0"
    assert NAME.encode() not in (copy / chunk).read_bytes()
    assert hits(names, copy) == [(chunk, "value_in_file", 0, 3)]
    quick = needles.NeedleSearch(needles.read_needles(names), frozenset(), with_voxels=False)
    assert not quick.run(copy).hits


def test_names_of_files_folders_and_targets_of_links_are_searched_and_not_shown(names: Path, copy: Path) -> None:
    (copy / "by Quastenflosser" / "Anna").mkdir(parents=True)
    (copy / "by Quastenflosser" / "Anna" / "note.txt").write_text("x\nNiemand Wildfremd\n")
    os.symlink("/data/quastenflosser/ottilie", copy / "link")
    assert hits(names, copy) == [
        ("(entry 1 by name)", "value_in_name", 0, 3),
        ("(entry 1 by name)/(entry 1 by name)/note.txt", "value_in_file", 2, 1),
        ("link", "value_in_name", 0, 3),
    ]


def test_what_links_lead_to_is_searched_or_reported(names: Path, copy: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"  # as in a cache of a hub for datasets: each file is a link
    (blobs / "images").mkdir(parents=True)
    (blobs / "1").write_text("niemand wildfremd")
    (blobs / "images" / "zarr.json").write_text('{"a": "niemand wildfremd"}')
    os.symlink(blobs / "1", copy / "note.txt")
    os.symlink(copy, copy / "round")
    os.symlink("/dev/zero", copy / "device")
    shutil.rmtree(copy / "images.zarr")
    os.symlink(blobs / "images", copy / "images.zarr")
    search = needles.NeedleSearch(needles.read_needles(names), frozenset(), with_voxels=True)
    found = search.run(copy)
    assert [(hit.place, hit.needle) for hit in found.hits] == [("images.zarr/zarr.json", 1), ("note.txt", 1)]
    assert found.in_part == (("round", "linked_folder"),) and found.unread == ("device",)


def test_each_name_in_a_file_is_reported_with_its_line(names: Path, copy: Path) -> None:
    (copy / "note.csv").write_text(f"a,b\n1,{NAME}\n2,niemand wildfremd\n3,born 19370203\n")
    assert hits(names, copy) == [("note.csv", "value_in_file", at, n) for at, n in ((2, 3), (3, 1), (4, 7))]
    (copy / "note.csv").write_text("size\n19370203\n")
    assert [(code, needle) for _, code, _, needle in hits(names, copy)] == [("value_in_file", 7)]
    (copy / "note.csv").unlink()
    (copy / "a.json").write_text('{"attributes": {"dicomzarr": {"window": [19370203.0, 1.0]}}}')
    assert hits(names, copy) == [("a.json", "number_in_file", 1, 7)]


def test_a_name_that_cannot_be_searched_is_reported_by_its_line(names: Path) -> None:
    assert {needle.line: needle.not_searched for needle in needles.read_needles(names)} == {
        1: "", 3: "", 4: "too_short", 5: "no_words", 6: "standard_uid", 7: "",
    }  # fmt: skip


def test_a_name_that_was_removed_is_not_searched(names: Path) -> None:
    names.write_text("XXXXXXXX\n9999-12-31\n99991231\n00000 00000\nXXXXX^Meier\n")
    found = [needle.not_searched for needle in needles.read_needles(names)]
    assert found == ["placeholder"] * 4 + [""]


@pytest.mark.parametrize("written", ["1937-03-12", "19370312", "12.03.1937", "12/3/1937", "3/12/1937"])
def test_a_date_is_found_in_each_order_and_with_each_separator(written: str, names: Path, copy: Path) -> None:
    names.write_text(f"{written}\n")
    note = copy / "note.txt"
    for text in ("1937-03-12T10:00", "b. 19370312", "12.03.1937", "12. 3. 1937", "03/12/1937 ", "(1937/3/12)"):
        note.write_text(f"{text}\n")
        assert hits(names, copy) == [("note.txt", "value_in_file", 1, 1)], text
    note.write_text("1937-03-13, 1937-04-12, 2.3.1937, 112.3.1937, 12.3.19371, 1.2.840.1937.3.1")
    assert not hits(names, copy)


def test_a_number_in_groups_is_found_with_and_without_them(names: Path, copy: Path) -> None:
    for number in ("+41 79 123 45 67", "756.1234.5678.97", "12-345-678"):
        names.write_text(f"{number}\n")
        for text in (f"at {number}, once", "".join(filter(str.isdigit, number))):
            (copy / "note.txt").write_text(text)
            assert hits(names, copy) == [("note.txt", "value_in_file", 1, 1)]
    for short in ("1 2 3", "12-345", "12.5"):
        names.write_text(short)
        assert needles.read_needles(names)[0].not_searched == "too_short"


@pytest.mark.parametrize("data", [LIST.encode("utf-16"), b"\xef\xbb\xbf" + LIST.replace("\n", "\r\n").encode()])
def test_lists_of_other_systems_keep_their_lines(data: bytes, names: Path) -> None:
    names.write_bytes(data)
    assert [needle.line for needle in needles.read_needles(names)] == [1, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("data", [b"", b"\n \n", b"M\xfcller\n", b"PK\x03\x04\0\0"])
def test_what_is_no_list_is_refused(data: bytes, names: Path) -> None:
    names.write_bytes(data)
    with pytest.raises(UserError, match="--needles"):
        needles.read_needles(names)


def test_a_results_folder_is_searched_without_its_private_folder(names: Path, copy: Path) -> None:
    results = copy.parent / "results"
    (results / "private").mkdir(parents=True)
    (results / "private/files.csv").write_text(NAME)
    copy.rename(results / "dataset")
    assert not hits(names, results)
    (results / "dataset" / "private").mkdir()
    (results / "dataset" / "private" / "note").write_text(NAME)
    assert hits(names, results) == [("dataset/private/note", "value_in_file", 1, 3)]


def test_a_file_that_cannot_be_read_is_not_passed_over(
    names: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / IMAGE / "0/c/0/0/0").write_bytes(b"damaged")
    assert search(names, copy).unread == (f"{IMAGE}/0/c/0/0/0",)
    assert audit.run_audit(["--needles", str(names), "--dataset", str(copy)]) == 2
    assert f"not read: {IMAGE}/0/c/0/0/0" in capsys.readouterr().out


def test_a_pipe_is_not_opened_and_odd_names_are_printable(names: Path, copy: Path) -> None:
    os.mkfifo(copy / "pipe")
    (copy / os.fsdecode(b"a\n\x1b[2J\xff.txt")).write_text(NAME)
    found = search(names, copy)
    encoded = copy / base64.b16encode(b"Quastenflosser").decode()
    encoded.mkdir()
    (encoded / "note").write_text(NAME)
    assert ("(entry 1 by name)/note", "value_in_file", 1, 3) in hits(names, copy)
    assert found.unread == ("pipe",)
    assert [hit.place for hit in found.hits] == ["a%0A%1B[2J%FF.txt"]


def test_exit_codes_and_no_name_in_what_is_printed(names: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["--needles", str(names), "--dataset", str(copy)]
    assert audit.run_audit(call) == 0
    assert "4 of 6" not in (clean := capsys.readouterr().out) and "3 of 6 names searched in 3 files" in clean
    assert clean.endswith(": none of them found\n")
    assert "not searched: line 4 of the list: too_short" in clean
    (copy / "Quastenflosser.txt").write_bytes(base64.b64encode(b"seen by Ottilie Quastenflosser, Anna, 19370203"))
    for arguments in (call, [*call, "--json"]):
        assert audit.run_audit(arguments) == 1
        printed = capsys.readouterr()
        for word in ("quastenflosser", "ottilie", "anna", "19370203", "wildfremd"):
            assert word not in (printed.out + printed.err).lower()
    answer = json.loads(printed.out)
    assert answer["found"] and {(hit["code"], hit["needle"]) for hit in answer["hits"]} == {
        ("value_in_name", 3), ("value_encoded", 3), ("value_encoded", 7),
    }  # fmt: skip
    assert answer["not_searched"][0] == {"line": 4, "reason": "too_short"}
    for wrong in (["--dataset", str(copy)], ["--needles", str(names), "--dataset", "nowhere"], ["--needles", "no.txt"]):
        with pytest.raises(UserError):
            audit.run_audit(wrong)


def test_a_word_of_this_project_is_searched_and_marked(names: Path, copy: Path) -> None:
    names.write_text("frames\nFrames Quastenflosser\n")
    search = needles.NeedleSearch(needles.read_needles(names, {"frames"}), {"frames"}, with_voxels=False)
    (hit,) = search.run(copy).hits
    assert (hit.place, hit.needle, hit.own_word) == ("volumes.csv", 1, True)
    assert {field.name for field in dataclasses.fields(hit)} == {"place", "code", "line", "needle", "own_word"}


def test_a_search_that_misses_a_planted_value_says_nothing_about_the_dataset(
    names: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner, "inflated", lambda *_: iter(()))
    with pytest.raises(UserError, match="does not find a planted value"):
        audit.run_audit(["--needles", str(names), "--dataset", str(copy)])
