"""`./run retrieve` from a real server, Debian's Orthanc: the dataset of the same files, resumed, without leaks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Launch, Workflow
from dicoms import ct_slice, save, save_series
from encoded_texts import hits
from faulty_pacs import HASTY
from forks import Forks
from orthanc_server import HOST, NO_PROXY, PASSWORD, USER, Orthanc
from pydicom.data import get_testdata_file
from waiting import wait_until

from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.retrieval.accounts import Accounts
from dicomzarr.retrieval.folder import Folder
from dicomzarr.retrieval.request_list import Line
from dicomzarr.retrieval.retrieve import Summary, retrieve
from dicomzarr.retrieval.server import Server, credentials

NAME, PATIENT, ACCESSION = "Zyxwolf^Canaria", "CANPID7719", "CANACC/5521&x=ü"
SERIES = 6  # made up
SLICES = 12


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files: made-up series, and compressed ones of pydicom."""
    folder = tmp_path_factory.mktemp("originals")
    for number in range(SERIES):
        values = {"PatientName": NAME, "PatientID": PATIENT, "SpecificCharacterSet": "ISO_IR 192"}
        values |= {"AccessionNumber": ACCESSION, "StudyDate": f"2011041{number}"} if number < 2 else {}
        save_series(folder / f"made up {number}", f"canary {number}", SLICES, **values)
    for name in ("JPEG2000.dcm", "SC_rgb_rle.dcm", "MR_small.dcm", "image_dfl.dcm", "rtdose.dcm", "reportsi.dcm"):
        shutil.copy(str(get_testdata_file(name, download=False)), folder / name)
    return folder


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, originals: Path) -> Iterator[Orthanc]:
    server = Orthanc(tmp_path_factory.mktemp("orthanc"))
    try:
        server.upload(sorted(originals.rglob("*.dcm")))
        yield server
    finally:
        server.stop()


def variables() -> dict[str, str]:
    return {**NO_PROXY, "DICOMWEB_USER": USER, "DICOMWEB_PASSWORD": PASSWORD}


def list_of(originals: Path) -> str:
    """Return a list that asks for all that the server has, in the ways that people ask."""
    from pydicom import dcmread

    found = [dcmread(path, stop_before_pixels=True) for path in sorted(originals.rglob("*.dcm"))]
    others = {str(each.StudyInstanceUID) for each in found if not each.get("AccessionNumber")}
    lines = ["AccessionNumber;PatientID;StudyInstanceUID;StudyDate;Comment"]
    lines += [f"{ACCESSION};{PATIENT};;2011-04-10/2011-04-30;first two"]
    return "\n".join([*lines, *(f";;{uid};;" for uid in sorted(others))])


def configure(folder: Path, orthanc: Orthanc, wanted: str) -> Workflow:
    workflow = Workflow(folder, environment={"DICOMZARR_KEY": "k" * 32, **variables()})
    workflow.write_config(dicomweb={"url": orthanc.url, "studies": "wanted.csv"})
    (folder / "wanted.csv").write_text(wanted)
    return workflow


def run_word(launch: Launch, workflow: Workflow, *arguments: str) -> subprocess.CompletedProcess[str]:
    return launch(workflow, "retrieve", *arguments, "--configfile", "config.yaml", config=False)


@pytest.mark.slow
@pytest.mark.snakemake
def test_the_dataset_is_that_of_the_files_and_nothing_leaks(
    tmp_path: Path, originals: Path, orthanc: Orthanc, launch: Launch, warm: Forks | None
) -> None:
    workflow = configure(tmp_path / "retrieved", orthanc, list_of(originals))
    refused = launch(workflow, "", "-n")  # the source does not exist yet
    assert refused.returncode == 2 and "Traceback" not in refused.stderr and "./run retrieve" in refused.stderr
    done = run_word(launch, workflow)
    assert done.returncode == 0, done.stdout + done.stderr
    sent = {path.read_bytes() for path in originals.rglob("*.dcm")}
    retrieved = [path for path in workflow.source.rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in retrieved} == sent and len(retrieved) == len(sent)
    assert {path.stat().st_mode & 0o777 for path in retrieved} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (workflow.source, *workflow.source.rglob("*/"))} >= {0o700}
    run = launch(workflow, "")
    assert run.returncode == 0, run.stderr
    local = Workflow(tmp_path / "local", {"source": str(originals)}, {"DICOMZARR_KEY": "k" * 32}, forks=warm).run()
    assert workflow.sealed()["digest"] == local.sealed["digest"]
    assert workflow.sealed()["counts"]["extracted"] >= SERIES * SLICES

    texts = [NAME, PATIENT, "CANACC", f"{HOST}:{orthanc.port}", PASSWORD, USER + ":"]
    texts += [str(ct_slice("canary 0", 0)[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID")]
    private = (workflow.results / "private", workflow.source)
    leaking = {}
    for path in workflow.folder.rglob("*"):
        if path.is_file() and path.name not in ("config.yaml", "wanted.csv") and not {*private} & {*path.parents}:
            found = hits(texts, os.fsencode(path.relative_to(workflow.folder)) + path.read_bytes())
            leaking |= {str(path.relative_to(workflow.folder)): found} if found else {}
    assert not leaking
    assert not hits(texts, "".join([done.stdout, done.stderr, run.stdout, run.stderr, refused.stderr]).encode())
    accounts = b"".join(path.read_bytes() for path in (workflow.results / "private").glob("retrieval*.csv"))
    assert texts[-1] in hits(texts, accounts) and not hits([PASSWORD, PATIENT, orthanc.root], accounts)


def retrieve_until_a_kill(workflow: Workflow, orthanc: Orthanc) -> None:
    """Kill the retrieval and the server once there is a file, and start the server again."""
    command = [sys.executable, "-m", "dicomzarr.commands", "retrieve", "--configfile", "config.yaml"]
    environment = {**os.environ, **variables(), "PYTHONPATH": str(ROOT / "scripts")}
    process = subprocess.Popen(command, cwd=workflow.folder, env=environment, start_new_session=True)
    wait_until(lambda: process.poll() is not None or any(workflow.source.rglob("*.dcm")), every=0.002)
    orthanc.signal(signal.SIGSTOP)  # in the middle of something
    time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    orthanc.stop()
    orthanc.start()


@pytest.mark.slow
def test_after_a_kill_and_a_restart_of_the_server_the_rest_is_retrieved(
    tmp_path: Path, originals: Path, orthanc: Orthanc, launch: Launch
) -> None:
    total = len(list(originals.rglob("*.dcm")))
    for number in range(20):
        workflow = configure(tmp_path / str(number), orthanc, list_of(originals))
        retrieve_until_a_kill(workflow, orthanc)
        kept = {path: path.stat().st_ino for path in workflow.source.rglob("*.dcm")}
        if len(kept) < total:  # else the kill came too late
            break
    assert 0 < len(kept) < total
    done = run_word(launch, workflow, "--json")
    summary = json.loads(done.stdout)
    assert done.returncode == 0 and summary["new"] == total - len(kept) and summary["retrieved"] == total
    after = {path: path.stat().st_ino for path in workflow.source.rglob("*") if path.is_file()}
    assert len(after) == total and kept.items() <= after.items()
    assert {*summary} == {name for names, _ in FORMS["retrieve"] for name in names.split(", ")}
    again = run_word(launch, workflow, "--json")
    assert (again.returncode, json.loads(again.stdout)["new"]) == (0, 0)


def test_a_wrong_password_is_one_line(tmp_path: Path, originals: Path, orthanc: Orthanc, launch: Launch) -> None:
    workflow = configure(tmp_path, orthanc, list_of(originals))
    workflow.environment["DICOMWEB_PASSWORD"] = "Zyxwrong"
    done = run_word(launch, workflow)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "does not accept the credentials (HTTP 401): set DICOMWEB_USER" in done.stderr
    assert not hits(["Zyxwrong", HOST, USER], done.stderr.encode())


def test_images_that_the_server_loses_are_missing_and_new_ones_are_found(
    tmp_path: Path, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in NO_PROXY.items():
        monkeypatch.setenv(name, value)
    slices = [ct_slice("canary late", index) for index in range(4)]
    study, (first, second, third, _) = slices[0].StudyInstanceUID, [each.SOPInstanceUID for each in slices]
    paths = [save(each, tmp_path / "added" / f"{index}.dcm") for index, each in enumerate(slices)]
    orthanc.upload(paths[:3])
    folder, server = Folder(tmp_path / "source"), Server(orthanc.url, credentials(variables()), HASTY)
    accounts, names = Accounts(tmp_path / "private"), server.instances

    def run() -> Summary:
        return retrieve(server, folder, accounts, [Line(2, study=study)], HASTY, lambda _: None, again=False)

    def names_then_deletion(*arguments: Any) -> list[str]:
        found = names(*arguments)
        orthanc.delete(second)
        return found

    try:
        with monkeypatch.context() as patch:
            patch.setattr(server, "instances", names_then_deletion)
            summary = run()
        assert (summary.retrieved, summary.missing, summary.is_complete) == (2, 1, False)
        assert {row.uid: row.reason for row in accounts.read(study).instances} == {
            first: "",
            second: "not_found",
            third: "",
        }
        orthanc.upload(paths[3:])
        summary = run()
        assert (summary.retrieved, summary.new, summary.grown_studies, summary.is_complete) == (3, 1, 1, True)
        files = {path.read_bytes() for path in folder.root.rglob("*.dcm")}
        assert files == {path.read_bytes() for path in (paths[0], paths[2], paths[3])}
        orthanc.lose(paths[0].read_bytes())  # from its disk: it goes on stating the image, and fails to list the series
        summary = run()
        assert summary.new == 0 and summary.left_over == 0
    finally:
        folder.close()
