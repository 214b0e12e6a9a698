"""`./run explain` on a dataset made without Snakemake, whose files, ids and reasons are known."""

from __future__ import annotations

import hmac
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from conftest import ROOT
from dicoms import save_series
from from_scratch import KEY, digest_from_scratch

from dicomzarr.commands import array_ids, tables
from dicomzarr.commands.explain import facts as explanation
from dicomzarr.commands.explain import lines as explained_lines
from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.terminal.screen import Screen
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.rules import RULES
from dicomzarr.vocabulary.steps import STEPS

SAGITTAL = [0, 1, 0, 0, 0, -1]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two series: three slices and a copy of one; two axial slices and a sagittal one of other echo time."""
    folder = tmp_path_factory.mktemp("explained")
    source = folder / "source"
    save_series(source / "Wolf^Anna", "alpha", 3)
    first = sorted((source / "Wolf^Anna").iterdir())[0]
    shutil.copy(first, first.with_name("copy of Wolf.dcm"))
    save_series(source / "beta", "beta", 2, Modality="MR", EchoTime=14.0)
    save_series(source / "sagittal", "beta", 1, Modality="MR", EchoTime=95.0, ImageOrientationPatient=SAGITTAL,
                SOPInstanceUID="1.2.3.4")  # fmt: skip
    digest_from_scratch({"source": str(source), "burned_in": "keep", "burned_in_reason": "-"}, folder / "results")
    return folder / "results"


def keyed(path: Path) -> str:
    """Return the keyed digest of a file, as docs/provenance.md defines it."""
    return hmac.new(KEY.encode(), b"source\0" + blake3(path.read_bytes()).hexdigest().encode(), "sha256").hexdigest()


def arrays_of(root: Path, modality: str) -> list[str]:
    rows = tables.rows(root / "dataset" / "volumes.csv")
    return sorted((row["array"] for row in rows if row["modality"] == modality), key=lambda a: a)


def explained(root: Path, word: str) -> dict[str, Any]:
    return explanation.explain(root / "dataset", *array_ids.find(root / "dataset", word))


def run(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "dicomzarr.commands", "explain", *arguments],
        cwd=root.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_files_are_named_by_their_keyed_digests_and_the_rest_counted_by_reason(root: Path) -> None:
    (array,) = arrays_of(root, "CT")
    files = explained(root, array)["files"]
    slices = [path for path in (root.parent / "source" / "Wolf^Anna").iterdir() if "copy" not in path.name]
    assert sorted(files["digests"]) == sorted(map(keyed, slices)) and files["count"] == 3
    assert files["of_series"] == {"extracted": 3, "skipped": 1}
    (aside,) = files["set_aside"]
    assert (aside["outcome"], aside["reason"], aside["files"]) == ("skipped", "duplicate", 1)


def test_each_array_has_the_files_of_its_own_frames(root: Path) -> None:
    by_count = {found["files"]["count"]: found for found in (explained(root, a) for a in arrays_of(root, "MR"))}
    (sagittal,) = (root.parent / "source" / "sagittal").iterdir()
    assert by_count[1]["files"]["digests"] == [keyed(sagittal)]
    axial = sorted(map(keyed, (root.parent / "source" / "beta").iterdir()))
    assert sorted(by_count[2]["files"]["digests"]) == axial
    assert all(found["files"]["of_series"] == {"extracted": 3} for found in by_count.values())
    # And each says how the other differs.
    (other,) = by_count[1]["grouping"]["siblings"]
    assert other["array"] == by_count[2]["array"]
    assert other["differs"]["echo_time_ms"] == [95.0, 14.0] and other["differs"]["shape"] == ["16x12", "2x16x12"]
    assert other["differs"]["orientation_lps"] == [SAGITTAL, [1, 0, 0, 0, 1, 0]]
    assert by_count[1]["grouping"]["split_by"] and by_count[2]["grouping"]["kind"] == "volume"


def test_decoding_checks_and_steps(root: Path) -> None:
    (array,) = arrays_of(root, "CT")
    found = explained(root, array)
    assert found["decoding"]["transfer_syntaxes"] == [
        {"uid": "1.2.840.10008.1.2.1", "name": "Explicit VR Little Endian"}
    ]
    assert found["decoding"]["decoders"] == ["native"] and found["decoding"]["lossy"] is False
    assert found["checks"]["depth"]["read_back"] == "exact" and found["checks"]["size"]["frames_expected"] == "3"
    assert found["made_by"]["options"]["compression"] == "balanced" and not found["sealed"]
    steps = {link["step"]: link for link in found["chain"]}
    assert [*steps] == ["extract_batch", "check_batch"]  # without Snakemake, no other step wrote its summary
    assert steps["extract_batch"]["inputs"] == 4
    assert steps["check_batch"]["verdicts"] == {"depth": "pass", "read_back": "exact", "size": "pass"}
    shard = root / "dataset" / "images.zarr" / array / "zarr.json"
    sums = subprocess.run(["sha256sum", str(shard)], capture_output=True, text=True, check=True).stdout
    assert steps["extract_batch"]["outputs"]["zarr.json"] == sums.split()[0]


def test_paths_are_shown_on_request_alone(root: Path) -> None:
    (array,) = arrays_of(root, "CT")
    plain, private = run(root, array[:6], "--results", "results"), run(root, array[:6], "--private")
    assert (plain.returncode, private.returncode) == (0, 0)
    assert "Wolf" not in plain.stdout + plain.stderr and "did not finish" in plain.stderr
    assert "Wolf^Anna/copy of Wolf.dcm  (duplicate)" in private.stdout
    assert "keep them on site" in private.stderr and private.stdout.count("Wolf^Anna/") == 4
    assert max(map(len, plain.stdout.splitlines())) <= 80 and "\x1b" not in plain.stdout
    printed = json.loads(run(root, array, "--private", "--json").stdout)
    assert sorted(printed["files"]["paths"])[0].startswith("Wolf^Anna/") and len(printed["files"]["paths"]) == 3
    assert [each["reason"] for each in printed["files"]["set_aside_paths"]] == ["duplicate"]
    documented = {name.split("[")[0].split(".")[0] for name, _ in FORMS["explain"]}
    assert documented == {*printed}
    assert {f"files.{name}" for name in printed["files"]} == {
        name.removesuffix("[]") for name, _ in FORMS["explain"] if name.startswith("files.")
    }


def test_looking_changes_nothing_and_works_on_a_copy(root: Path, tmp_path: Path) -> None:
    def state(folder: Path) -> dict[str, tuple[int, int]]:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    before = state(root)
    (array,) = arrays_of(root, "CT")
    copy = tmp_path / "copy"
    shutil.copytree(root / "dataset", copy)
    of_copy = json.loads(run(root, array, "--dataset", str(copy), "--json").stdout)
    assert of_copy == json.loads(run(root, array, "--json").stdout)
    refused = run(root, array, "--dataset", str(copy), "--private")
    assert refused.returncode == 2 and "there is no private/" in refused.stderr
    assert state(root) == before
    published = tmp_path / "published"  # as ./run publish writes it
    shutil.copytree(copy, published / "versions" / "0123456789abcdef")
    (published / "latest.json").write_text('{"path": "versions/0123456789abcdef"}')
    assert json.loads(run(root, array, "--dataset", str(published), "--json").stdout) == of_copy


def test_ids_and_the_nearest(root: Path) -> None:
    dataset = root / "dataset"
    (array,) = arrays_of(root, "CT")
    row = next(row for row in tables.rows(dataset / "volumes.csv") if row["array"] == array)
    words = (array, array[:5], array[17:], f"images.zarr/{array}/", row["series_id"], row["subject_id"])
    assert {array_ids.find(dataset, word)[0] for word in words} == {array}
    wrong = array[:10] + ("0" if array[10] != "0" else "1") + array[11:]
    with pytest.raises(UserError, match=f"there is no array '{wrong}' in this dataset; the nearest is {array}"):
        array_ids.find(dataset, wrong)
    series = arrays_of(root, "MR")[0][:16]
    with pytest.raises(UserError, match=f"'{series}' names 2 arrays: {series}/.*Give more of the id"):
        array_ids.find(dataset, series)
    with pytest.raises(UserError, match=f"the array {array} has no mask 'liver': it has no masks"):
        array_ids.find(dataset, f"{array}/labels/liver")


def test_without_a_dataset_or_an_array(root: Path, tmp_path: Path) -> None:
    done = run(root, "abc", "--results", str(tmp_path))
    assert done.returncode == 1 and "run the workflow first" in done.stderr
    done = run(root, "abc", "--dataset", str(tmp_path))
    assert done.returncode == 1 and "it has no volumes.csv" in done.stderr
    done = run(root, "abc", "--dataset", "https://data.example.org/liver")
    assert done.returncode == 2 and "--dataset: found a URL, needed is a folder" in done.stderr
    (tmp_path / "latest.json").write_text("[]")
    done = run(root, "abc", "--dataset", str(tmp_path))
    assert done.returncode == 2 and "latest.json names no version" in done.stderr
    assert (run(root).returncode, "the array is missing" in run(root).stderr) == (2, True)


def test_colours_are_for_terminals(root: Path) -> None:
    found = explained(root, arrays_of(root, "CT")[0])
    lines = explained_lines.lines_of(found, Screen(80, True, True))
    assert any("\x1b[32mpass\x1b[0m: 13 of 16 bits used" in line for line in lines)
    plain = explained_lines.lines_of(found, Screen())
    assert [line for line in plain if "pass" in line and "Depth" in line] == [
        "  Depth            pass: 13 of 16 bits used, values "
        f"{found['checks']['depth']['observed_min']} to {found['checks']['depth']['observed_max']}"
    ]


def test_options_are_written_as_in_the_configuration(root: Path) -> None:
    found = explained(root, arrays_of(root, "CT")[0])
    found["made_by"]["config"] = {"pictures": True, "splits": {"fractions": {"test": 0.5}}}
    (line,) = [line for line in explained_lines.lines_of(found, Screen()) if line.startswith("  Dataset  ")]
    assert line.endswith("  pictures true, splits {fractions: {test: 0.5}}")


def test_every_step_of_a_sealed_dataset_has_its_words() -> None:
    assert {rule.name for rule in RULES if rule.sealed} | {"seal_dataset"} == {*STEPS}
