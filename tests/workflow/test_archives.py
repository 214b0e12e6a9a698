"""Archives in the source give the dataset of the same files unpacked; what changes in them costs its series alone."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from conftest import REASON, Launch, Run, Workflow
from dicoms import ct_slice, save, save_series, slice_pixels
from folders import files_of
from forks import Forks
from from_scratch import digest_from_scratch
from made_up_archives import RawZip, gz, pack, zip_of

SLICES = 4
KIND_OF = {"beta": "beta.zip", "gamma": "gamma.tgz", "delta": "delta.tar", "epsilon": "epsilon.tar.zst"}


def digest_of(source: Path, folder: Path) -> str:
    config = {"burned_in": "keep", "burned_in_reason": REASON, "source": str(source)}
    return digest_from_scratch(config, folder)


class Sources:
    """The same files twice: unpacked in a folder, and as the source of a workflow, partly in archives."""

    def __init__(self, folder: Path, workflow: Workflow) -> None:
        self.plain, self.workflow, self._count, self._folder = folder / "plain", workflow, 0, folder
        source = workflow.source
        for name in ("alpha", *KIND_OF):
            save_series(self.plain / name, name, SLICES)
        (self.plain / "beta" / "notes.txt").write_text("no DICOM\n" * 50)
        shutil.copy(self.plain / "alpha" / "03-0.dcm", self.plain / "beta" / "copy.dcm")  # inside and outside
        source.mkdir()
        shutil.copytree(self.plain / "alpha", source / "alpha")
        for name, archive in KIND_OF.items():
            pack({f"{name}/{path}": data for path, data in files_of(self.plain / name).items()}, source / archive)
        packed = source / "alpha" / "03-0.dcm"
        packed.with_name("03-0.dcm.gz").write_bytes(gz(packed.read_bytes()))
        packed.unlink()

    def digest_unpacked(self) -> str:
        """Return the digest of the files unpacked, in a folder."""
        self._count += 1
        return digest_of(self.plain, self._folder / f"scratch {self._count}")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Sources:
    folder = tmp_path_factory.mktemp("archives")
    workflow = Workflow(folder / "packed", environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
    workflow.folder.mkdir()
    made = Sources(folder, workflow)
    workflow.run()
    return made


@pytest.fixture
def first(sources: Sources) -> Run:
    return Run(None, sources.workflow.results)  # type: ignore[arg-type]


def test_the_dataset_is_that_of_the_unpacked_files(sources: Sources, first: Run) -> None:
    assert first.sealed["digest"] == sources.digest_unpacked()
    outcome = first.outcome()
    assert outcome["beta.zip!/beta/02-3.dcm"] == ("extracted", "")
    assert outcome["beta.zip!/beta/notes.txt"] == ("ignored", "not_dicom")
    twins = {outcome["beta.zip!/beta/copy.dcm"], outcome["alpha/03-0.dcm.gz!/03-0.dcm"]}
    assert twins == {("extracted", ""), ("skipped", "duplicate")}
    manifest = {row["path"] for row in first.table("private/manifest.csv")}
    assert manifest == {*outcome, *KIND_OF.values(), "alpha/03-0.dcm.gz"}
    archives = {
        row["archive"]: (row["outcome"], row["reason"], row["members"]) for row in first.table("private/archives.csv")
    }
    assert archives["beta.zip"] == ("ignored", "archive_listed", str(SLICES + 2)) and len(archives) == 5
    for name in ("beta", "gamma"):
        row = next(row for row in first.table("private/frames.csv") if f"/{name}/" in row["path"])
        array = zarr.open_array(str(first.results / "dataset/images.zarr" / row["array"] / "0"), mode="r")
        np.testing.assert_array_equal(array[...], np.stack([slice_pixels(name, index) for index in range(SLICES)]))
    assert not (first.results / "private/cache/archives").exists()  # decompressed tars


def test_only_what_changed_in_an_archive_is_extracted(sources: Sources) -> None:
    workflow, source, plain = sources.workflow, sources.workflow.source, sources.plain
    assert workflow.run().nothing_to_do
    os.utime(source / "beta.zip", ns=(1, 1))
    (source / "moved").mkdir()
    os.rename(source / "gamma.tgz", source / "moved" / "other name.tgz")
    run = workflow.run()
    assert run.extracted_series() == 0 and "moved/other name.tgz!/gamma/02-3.dcm" in run.outcome()
    digest = run.sealed["digest"]
    assert digest == sources.digest_unpacked()

    paranoid = workflow.run("--config", "paranoid=true")
    assert paranoid.extracted_series() == 0 and paranoid.sealed["digest"] == digest
    assert paranoid.jobs("discover_files") == 1

    save_series(plain / "zeta", "zeta", SLICES)
    with zipfile.ZipFile(source / "beta.zip", "a") as archive:
        for path, data in files_of(plain / "zeta").items():
            archive.writestr(f"zeta/{path}", data)
    run = workflow.run()
    assert run.extracted_series() == 1 and run.sealed["digest"] == sources.digest_unpacked()

    os.unlink(source / "delta.tar")
    shutil.rmtree(plain / "delta")
    run = workflow.run()
    assert run.sealed["digest"] == sources.digest_unpacked()
    assert run.sealed["counts"]["arrays"] == 5 and "delta.tar" not in str(run.table("private/archives.csv"))
    shutil.rmtree(source / "moved")
    os.unlink(source / "epsilon.tar.zst")
    os.unlink(source / "beta.zip")  # few files, but most of their members
    refused = workflow.run(ok=False)
    assert refused.process.returncode and "files of the last run are missing" in refused.output


def test_hostile_members_cost_themselves_and_no_name_leaves_the_private_folder(
    tmp_path: Path, warm: Forks | None, launch: Launch
) -> None:
    workflow = Workflow(tmp_path / "work", environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
    good = [save(ct_slice("good", index), tmp_path / f"{index}.dcm").read_bytes() for index in range(3)]
    workflow.source.mkdir(parents=True)
    raw = RawZip()
    raw.add(b"Quennell^Ottoline/0.dcm", good[0])
    raw.add(b"Quennell^Ottoline/1.dcm", good[1], crc=1)
    raw.add(b"Quennell^Ottoline/cut.dcm", good[2][:200] + b"\xff" * 9, size=len(good[2]))
    raw.add(b"../Quennell.dcm", good[2])
    raw.add(b"inner.zip", zip_of({"x": b"x"}), method=0)
    raw.add(b"named.zip", good[2])
    raw.add(b"Zebulon^Secret.dcm", b"x" * 99, flags=1, method=0)
    (workflow.source / "Brackenridge-ID77123.zip").write_bytes(raw.bytes())
    (workflow.source / "folder!").mkdir()
    shutil.copy(tmp_path / "0.dcm", workflow.source / "folder!" / "copy.dcm")
    (workflow.source / "is dicom.zip").write_bytes(good[1])
    (workflow.source / "Wilhelmina.tgz").write_bytes(gz(b"no tar" * 500))
    run = workflow.run()
    zipped = {path.partition("!/")[2]: value for path, value in run.outcome().items() if "!/" in path}
    assert zipped["Quennell^Ottoline/1.dcm"] == ("quarantined", "damaged_member")
    assert zipped["Quennell^Ottoline/cut.dcm"] == ("quarantined", "damaged_member")
    assert zipped["../Quennell.dcm"] == ("quarantined", "member_name")
    assert zipped["inner.zip"] == ("skipped", "nested_archive")
    assert zipped["named.zip"] == ("extracted", "")
    assert zipped["Zebulon^Secret.dcm"] == ("quarantined", "encrypted_member")
    outcome = run.outcome()
    assert outcome["is dicom.zip"] == ("extracted", "")
    assert outcome["Wilhelmina.tgz"] == ("quarantined", "unreadable_archive")
    assert {outcome["folder%21/copy.dcm"][0], zipped["Quennell^Ottoline/0.dcm"][0]} == {"extracted", "skipped"}
    assert workflow.run().nothing_to_do

    listed = launch(workflow, "files", "--reason", "member_name").stdout
    assert listed == "Brackenridge-ID77123.zip!/../Quennell.dcm\n"
    leaks = ["Brackenridge ID77123.zip", "Zebulon_Secret.dcm", "Wilhelmina.tgz", "Quennell^Ottoline"]
    for number, leak in enumerate(leaks):
        (workflow.results / "logs" / f"{number}.log").write_text(f"opened {leak}\n")
    found = launch(workflow, "")
    assert found.returncode
    assert [number for number in range(len(leaks)) if f"logs/{number}.log" in found.stderr] == [0, 1, 2, 3]


def test_archives_are_left_alone_if_the_configuration_says_so(tmp_path: Path, warm: Forks | None) -> None:
    workflow = Workflow(tmp_path, {"archives": {"content": "ignore"}}, {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    workflow.source.mkdir()
    (workflow.source / "a.zip").write_bytes(zip_of({"x.dcm": b"x"}))
    run = workflow.run()
    assert run.outcome() == {"a.zip": ("skipped", "archive")} and run.table("private/archives.csv") == []
