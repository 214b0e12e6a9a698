"""The privacy search over a results folder: which files it reads, and what it reports."""

from __future__ import annotations

import base64
import errno
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image
from results_to_search import UID, results_to_search, search

from dicomzarr.privacy.bare_jpeg import is_bare_jpeg
from dicomzarr.privacy.identifiers import IDENTIFIERS, Gatherer, IdentifierFile, identifiers_of
from dicomzarr.privacy.scanner import Scanner
from dicomzarr.stages import check_privacy
from dicomzarr.system import json_files
from dicomzarr.system.path_text import encode_path
from dicomzarr.system.results_folder import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return results_to_search(tmp_path)


def test_only_new_and_changed_files_are_searched(results: Results) -> None:
    assert search(results) == 1
    assert search(results) == 0
    (results.root / "logs").mkdir()
    (results.root / "logs/a.log").write_text("nothing")
    assert search(results) == 1
    assert check_privacy.check_privacy(results, results.root.parent, "standard", "other code") == 2


def test_a_volume_is_searched_again_if_anything_in_it_changed(results: Results) -> None:
    folder = results.images / "0123456789abcdef" / "01234567"
    array = zarr.create_array(str(folder / "0"), shape=(2, 8, 8), dtype="u1")
    array[:] = 7
    assert (search(results), search(results)) == (3, 0)
    for change in (
        lambda: (folder / "0" / "zarr.json").write_text('{"a": "b"}'),
        lambda: (folder / "note").write_text("nothing"),
        (folder / "0" / "c" / "0" / "deep").mkdir,
        lambda: (folder / "note").rename(folder / "0" / "note"),
        (folder / "0" / "note").unlink,
    ):
        change()
        assert search(results) > 0
        assert search(results) == 0
    (folder / "0" / "c" / "0" / "deep" / "Zyxwolf").mkdir()
    for _ in range(2):
        with pytest.raises(
            check_privacy.PrivacyProblem, match="value_in_name in results/dataset/images.zarr/.*/c/0/deep/"
        ):
            search(results)
    (folder / "0" / "c" / "0" / "deep" / "Zyxwolf").rmdir()
    (folder / "0" / "zarr.json").write_text('{"a": "Zyxwolf"}')
    for _ in range(2):
        with pytest.raises(
            check_privacy.PrivacyProblem, match="value_in_file in results/dataset/images.zarr/.*/0/zarr.json"
        ):
            search(results)


def test_a_finding_names_the_place_and_is_found_again(results: Results) -> None:
    (results.dataset / "volumes.csv").write_text("array\nabc\nZyxwolf\n")
    for _ in range(2):
        with pytest.raises(check_privacy.PrivacyProblem) as caught:
            search(results)
        assert "value_in_file in results/dataset/volumes.csv, line 3" in str(caught.value)
        assert "zyxwolf" not in str(caught.value).lower()
    (results.dataset / "volumes.csv").write_text("array\nabc\n")
    assert search(results) == 1


def test_a_log_may_begin_its_lines_on_a_day_of_the_source(results: Results) -> None:
    (results.root / "logs").mkdir()
    log = results.root / "logs/a.log"
    log.write_text("1937-02-03 07:15:39,471 INFO a starts\n1937-02-03 07:15:39,472 INFO a ends\n")
    assert search(results) == 2
    log.write_text("1937-02-03 07:15:39,471 INFO a starts on 1937-02-03\n")
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/logs/a.log, line 1"):
        search(results)
    log.write_text(
        "1937-02-03 07:15:39,471 ERROR a leak in .snakemake/log/1937-02-03T071539.471000.snakemake.log, line 1\n"
    )
    assert search(results) == 1
    log.write_text("1937-02-03 07:15:39,471 ERROR a leak in 1937-02-03T071539.471000\n")
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/logs/a.log, line 1"):
        search(results)
    log.unlink()
    (results.dataset / "note.json").write_text('{"date": "1937-02-03"}')
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/note.json, line 1"):
        search(results)
    check_privacy.check_privacy(results, results.root.parent, "standard", "code", ["released 1937-02-03"])


@pytest.mark.parametrize("name", ["note.json", "note.csv", "note.txt"])
def test_a_number_that_the_configuration_publishes_is_no_leak(results: Results, name: str) -> None:
    note = results.dataset / name
    note.write_text({"json": '{"seed": 19370203}', "csv": "seed,a\n19370203,b\n", "txt": "seed 19370203"}[name[5:]])
    with pytest.raises(check_privacy.PrivacyProblem, match=f"_in_file in results/dataset/{name}"):
        search(results)
    check_privacy.check_privacy(results, results.root.parent, "standard", "code", ["19370203"])


@pytest.mark.parametrize(
    "place", ["0123456789abcdef", "0123456789abcdef/01234567", "0123456789abcdef/01234567/0/zarr.json"]
)
@pytest.mark.parametrize("top", ["images.zarr", "other"])
def test_extended_attributes_are_searched_again_once_they_are_set(results: Results, top: str, place: str) -> None:
    folder = results.dataset / top
    array = zarr.create_array(
        str(folder / "0123456789abcdef/01234567/0"), shape=(2, 8, 8), dtype="u1", chunks=(2, 8, 8)
    )
    array[:] = 7
    search(results)
    try:
        os.setxattr(folder / place, "user.origin", b"http://host/Zyxwolf")
    except OSError:
        pytest.skip("a file system without extended attributes")
    for _ in range(2):
        with pytest.raises(check_privacy.PrivacyProblem, match=f"value_in_xattr in results/dataset/{top}/{place}[^/]"):
            search(results)
    os.removexattr(folder / place, "user.origin")
    search(results)


def test_the_name_of_a_file_is_not_reported(results: Results) -> None:
    (results.dataset / "report Zyxwolf.txt").write_text("nothing")
    with pytest.raises(
        check_privacy.PrivacyProblem, match=r"value_in_name in results/dataset/ \(entry 1 by name\)"
    ) as caught:
        search(results)
    assert "zyxwolf" not in str(caught.value).lower()


def test_texts_of_the_configuration_are_no_leak(results: Results) -> None:
    (results.dataset / "volumes.csv").write_text("array,label_place\nabc,ponyhof\n")
    identifiers = IdentifierFile(results.private / "cache" / IDENTIFIERS, "code")
    identifiers.load()
    identifiers.add(list(identifiers_of("path", b"Ponyhof")))
    identifiers.save()
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/volumes.csv, line 2"):
        search(results)
    assert check_privacy.check_privacy(results, results.root.parent, "standard", "code", ["ponyhof"]) == 1
    check_privacy.search_afterwards(results, results.root.parent)
    with pytest.raises(check_privacy.PrivacyProblem):
        search(results)


def test_a_version_of_software_is_no_leak(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the source may be called after a day, as the version of a package is: 2031.4.17."""
    identifiers = IdentifierFile(results.private / "cache" / IDENTIFIERS, "code")
    identifiers.load()
    identifiers.add([number for day in (b"2031.4.17", b"2031.4.18") for number in identifiers_of("path", day)])
    identifiers.save()
    monkeypatch.setattr(check_privacy, "software", lambda: {"pydicom": "2031.4.17"})
    note = results.dataset / "record.json"
    note.write_text('{"software": ["pydicom 2031.4.17"]}')
    assert search(results) > 0
    note.write_text('{"software": ["pydicom 2031.4.18"]}')
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/record.json"):
        search(results)


def test_a_full_disk_is_no_fault_of_the_search(
    results: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "text", "/archive/patient-beta")

    monkeypatch.setattr(check_privacy, "search_afterwards", fails)
    assert check_privacy.main(io.BytesIO(os.fsencode(results.root))) == 1
    shown = capsys.readouterr().err
    assert "No space left on device" in shown and "issue" not in shown and "patient" not in shown


def test_other_files_among_the_arrays_are_searched(results: Results) -> None:
    series = results.images / "0123456789abcdef"
    (series / "19370203" / "0" / "c" / "0").mkdir(parents=True)
    (series / "19370203" / "0" / "c" / "0" / "0").write_bytes(b"Zyxwolf")  # the payload of an array, named by its id
    assert search(results) == 2
    for place in (results.images / "note", series / "c", series / "19370203/0/c/note", series / "19370203/0/note"):
        place.write_text("Zyxwolf")
        with pytest.raises(check_privacy.PrivacyProblem, match=r"value_in_file in results/dataset/images.zarr/"):
            search(results)
        place.unlink()
    (series / "19370203").rename(series / "18370203")
    assert search(results) == 1
    (results.images / "19370203").mkdir()
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_name in results/dataset/images.zarr/"):
        search(results)


def test_a_size_in_checksums_may_read_as_a_date_and_nothing_else_there_may(results: Results) -> None:
    row = "images.zarr/0123456789abcdef/19370203/{}/zarr.json\0{}\0" + "ab" * 32 + "\n"
    checksums = results.dataset / "checksums"
    checksums.write_text("".join(row.format(number, 19370203) for number in range(300)))
    assert search(results) == 2
    with checksums.open("a") as stream:
        stream.write(row.format("Zyxwolf", 7))
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/checksums"):
        search(results)


def test_a_series_may_list_a_volume_whose_id_reads_as_a_date_and_nothing_else(results: Results) -> None:
    series = results.images / "0123456789abcdef"
    (series / "19370203" / "0").mkdir(parents=True)
    group = {"attributes": {"ome": {"labels": ["19370203"], "version": "0.5"}}, "node_type": "group", "zarr_format": 3}
    (series / "zarr.json").write_bytes(json_files.canonical_json(group))
    search(results)
    for change in ({"labels": ["18370203", "19370203 "]}, {"name": "Zyxwolf"}, {"name": "of 19370203"}):
        group["attributes"] = {"ome": change}
        (series / "zarr.json").write_bytes(json_files.canonical_json(group))
        with pytest.raises(check_privacy.PrivacyProblem, match=r"in results/dataset/images.zarr/"):
            search(results)


def test_paths_of_the_source_are_allowed_only_in_files_of_snakemake(results: Results) -> None:
    root = b"/data/Zyxwolf/archive"
    results.inventory.write_bytes(json_files.canonical_json({"roots": {"": encode_path(root)}}))
    log = results.root.parent / ".snakemake" / "log"
    log.mkdir(parents=True)
    (log / "a.log").write_text(f"config: {root.decode()}")
    assert search(results) == 2
    # No job on another node is told the source.
    for place in ("slurm_logs/rule_check_privacy/7.log", "tmp.abc/snakejob.index_headers.3.sh"):
        path = log.parent / place
        path.parent.mkdir(parents=True)
        path.write_text(f"snakemake --config source={root.decode()}")
        with pytest.raises(check_privacy.PrivacyProblem, match=rf"value_in_file in .snakemake/{place}"):
            search(results)
        path.write_text(f"snakemake --directory {results.root.parent}")
        assert search(results) == 1
    (results.dataset / "a.log").write_text(f"config: {root.decode()}")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"value_in_file in results/dataset/a.log"):
        search(results)


def test_identifiers_of_other_code_search_everything_again(results: Results) -> None:
    assert (search(results), search(results)) == (1, 0)
    identifiers = IdentifierFile(results.private / "cache" / IDENTIFIERS, "other code")
    identifiers.add([1])
    identifiers.save()
    assert search(results) == 1


def test_a_run_without_its_search_is_searched_afterwards(results: Results) -> None:
    (results.root / "logs").mkdir()
    (results.root / "logs/index_headers.log").write_text("Zyxwolf")
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/logs/index_headers.log"):
        check_privacy.search_afterwards(results, results.root.parent)
    (results.private / "cache" / IDENTIFIERS).unlink()
    check_privacy.search_afterwards(results, results.root.parent)  # nothing was read: nothing to look for


def test_metadata_of_snakemake_is_searched(results: Results) -> None:
    metadata = results.root.parent / ".snakemake" / "metadata"
    metadata.mkdir(parents=True)
    (metadata / base64.b64encode(b"results/Zyxwolf.csv").decode()).write_text("{}")
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_name in .snakemake/metadata/"):
        search(results)


def test_voxels_are_searched_at_the_level_full(results: Results) -> None:
    folder = results.images / "0123456789abcdef" / "01234567"
    array = zarr.create_array(str(folder / "0"), shape=(4, 64, 64), shards=(4, 64, 64), chunks=(1, 64, 64), dtype="u1")
    voxels = np.random.default_rng(1).integers(0, 256, (4, 64, 64), dtype="u1")
    array[:] = voxels
    assert search(results, "full") > 0
    text = np.frombuffer(UID[:-1], "u1")
    voxels[3, 7, : len(text)] = text
    array[:] = voxels
    search(results)
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/images.zarr/.*/c/"):
        search(results, "full")


@pytest.mark.parametrize("blind", ["_encoded", "_bytes", "_text"])
def test_a_search_that_cannot_find_raises(results: Results, monkeypatch: pytest.MonkeyPatch, blind: str) -> None:
    monkeypatch.setattr(Scanner, blind, lambda *_: None)
    with pytest.raises(check_privacy.PrivacyProblem, match="does not find a planted value"):
        search(results)


def test_a_search_without_identifiers_raises(results: Results) -> None:
    (results.private / "cache" / IDENTIFIERS).unlink()
    with pytest.raises(check_privacy.PrivacyProblem, match="the header texts to search for are missing"):
        search(results)


def test_words_of_snakemake_are_no_leaks_where_it_writes(results: Results) -> None:
    gatherer = Gatherer()
    gatherer.add(b"Additional/Using/Building", [])
    identifiers = IdentifierFile(results.private / "cache" / IDENTIFIERS, "code")
    identifiers.load()
    identifiers.add(gatherer.take())
    identifiers.save()
    log = results.root.parent / ".snakemake" / "log"
    log.mkdir(parents=True)
    (log / "a.log").write_text("Building DAG of jobs... Using the additional storage")
    assert search(results) == 2
    (log / "a.log").write_text("Building DAG of jobs for Zyxwolf")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"value_in_file in .snakemake/log/a.log"):
        search(results)


def test_pictures_hold_pixels_alone(results: Results) -> None:
    folder = results.dataset / "reports" / "pictures" / "0123456789abcdef"
    folder.mkdir(parents=True)
    path = folder / "19370203.jpg"  # the id of a volume, not a date
    for size in ((40, 30), (40, 30, 3)):
        pixels = np.random.default_rng(1).integers(0, 255, size, np.uint8)
        Image.fromarray(pixels).save(path, quality=80, subsampling=0, optimize=True)
        assert is_bare_jpeg(str(path))
        search(results)
        assert search(results) == 0
    bare = path.read_bytes()
    text = b"Zyxwolf^Canaria"
    comment = bare[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + bare[2:]
    after_header = bare[:20] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + bare[20:]
    exif = Image.Exif()
    exif[0x010E] = text.decode()
    Image.fromarray(pixels).save(folder / "exif.jpg", exif=exif)
    with_exif = (folder / "exif.jpg").read_bytes()
    (folder / "exif.jpg").unlink()
    for data in (comment, after_header, bare + text, with_exif, text):
        path.write_bytes(data)
        assert not is_bare_jpeg(str(path))
        with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/reports/pictures/"):
            search(results)
    path.write_bytes(bare)
    (folder / "Zyxwolf.jpg").write_bytes(bare)
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_name"):
        search(results)


def test_a_folder_whose_name_is_a_finding_is_in_no_place(results: Results) -> None:
    for folder in (results.dataset / "Zyxwolf" / "deep", results.images / "0123456789abcdef" / "Zyxwolf"):
        folder.mkdir(parents=True)
        (folder / "note.txt").write_text("CANPID7719")
    with pytest.raises(check_privacy.PrivacyProblem) as caught:
        search(results)
    assert "zyxwolf" not in str(caught.value).lower()
    assert "value_in_file in results/dataset/ (below a name that is a finding)" in str(caught.value)
    assert "value_in_file in results/dataset/images.zarr/0123456789abcdef/ (below" in str(caught.value)


LOG = """
SNAKEMAKE
=========
  Host: {host}
  User: {user}
  Platform: Linux
  Command: snakemake --configfile {command}
  Snakefile: {folder}/Snakefile
  Base directory: {folder}
  Run directory: {folder}
  Working directory: /scratch

rule all:
    resources: mem_mb=100, tmpdir={folder}
    resources: tmpdir={folder}
"""


def test_a_patient_may_have_the_name_of_the_user_the_host_or_the_folder_of_the_command(results: Results) -> None:
    folder = results.root.parent / ".snakemake"
    (folder / "log").mkdir(parents=True)
    log = folder / "log" / "a.log"
    typed = {"command": "/home/zyxwolf/canaria.yaml", "folder": "/projects/Zyxwolf Canaria"}  # with -d elsewhere
    log.write_text(LOG.format(host="canpid7719", user="zyxwolf", **typed))
    search(results)
    elsewhere = LOG.format(host="x", user="zyxwolf", command="", folder="")
    for path, text in (
        (log, "input: zyxwolf\n"),
        (log, "    resources: tmpdir=/tmp, mem_mb=zyxwolf\n"),
        (folder / "b.log", elsewhere),
        (results.dataset / "a.txt", elsewhere),
    ):
        before = path.read_text() if path.exists() else ""
        path.write_text(before + text)
        with pytest.raises(check_privacy.PrivacyProblem, match=path.name):
            search(results)
        path.write_text(before)


def test_the_folders_of_temporary_files_and_of_a_workflow_may_have_a_name_of_the_source(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/scratch/zyxwolf")
    script = results.root.parent / ".snakemake" / "scripts" / "a.py"
    script.parent.mkdir(parents=True)
    script.write_text("folder = '/scratch/zyxwolf/x'\n")
    search(results)
    monkeypatch.setattr(sys, "path", [*sys.path, "/workflows/Zyxwolf Canaria"])  # of the main Snakefile
    script.write_text("import sys; sys.path.extend(['/workflows/Zyxwolf Canaria'])\n")
    search(results)
    script.write_text("folder = '/other/zyxwolf/x'\n")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"a\.py"):
        search(results)
