"""What `./run` shows on terminals of 60 and 120 columns, in pipes, as JSON, if a run fails, and if it is stopped."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, Launch, Workflow
from dicoms import ct_slice, save, save_series
from terminals import Shown, run_on_terminal

STAGES = (
    "Manifest",
    "Headers",
    "Plan",
    "Extraction",
    "Read back",
    "Depth",
    "Size",
    "Tables",
    "Report",
    "Privacy",
    "Seal",
)
RUN = ("--cores", "2", "--configfile", "config.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, environment: Path) -> Iterator[tuple[Workflow, Shown]]:
    """A dataset of two series, and what its first run showed on a terminal of 60 columns."""
    workflow = Workflow(tmp_path_factory.mktemp("terminal"), environment={"DICOMZARR_KEY": "k" * 32})
    for name in ("alpha", "beta"):
        save_series(workflow.source / "Zyxwolf Anna" / name, name, 3, PatientName="Zyxwolf^Anna")
    (workflow.source / "Zyxwolf Anna" / "notes.txt").write_text("no DICOM")
    cut = save(ct_slice("cut", 0, PatientName="Zyxwolf^Anna"), workflow.source / "cut.dcm")
    cut.write_bytes(cut.read_bytes()[:-9])
    workflow.write_config()
    yield workflow, run_on_terminal(workflow, environment, *RUN, columns=60)


def fact(text: str, label: str) -> str:
    """Return the text of a row of the table at the end, whose further lines are indented."""
    match = re.search(rf"^{label} *(.*(?:\n  .*)*)", text, re.MULTILINE)
    assert match, text
    return " ".join(match[1].split())


def test_a_run_shows_one_line_a_stage_and_ends_with_the_table(built: tuple[Workflow, Shown]) -> None:
    workflow, shown = built
    assert shown.status == 0, shown.text
    assert shown.widest <= 60
    lines = shown.text.splitlines()
    assert [name for name in STAGES if sum(line.startswith(f"{name:<12}") for line in lines) != 1] == []
    assert len(lines) < 45  # Snakemake alone prints some 160
    assert re.search(r"^Extraction +3 series, .* (\d+ min )?[\d.]+ s$", shown.text, re.MULTILINE)
    numbers = dict(re.findall(r"^ *([a-z ]+?) +([\d,]+)$", shown.text, re.MULTILINE))
    assert {name: numbers[name] for name in ("files found", "extracted", "quarantined", "ignored", "arrays")} == {
        "files found": "8",
        "extracted": "6",
        "quarantined": "1",
        "ignored": "1",
        "arrays": "2",
    }
    assert fact(shown.text, "set aside") == "1 not DICOM 1 fewer bytes of pixel data than the header declares"
    assert "1 file quarantined: fewer bytes of pixel data than the header declares" in fact(shown.text, "attention")
    assert fact(shown.text, "changes") == "the first build"
    assert fact(shown.text, "report") == "results/dataset/reports/report.html"
    assert "./run report --configfile config.yaml" in fact(shown.text, "next step")
    log = workflow.folder / fact(shown.text, "log")
    assert "Building DAG of jobs" in log.read_text()
    assert "\x1b[1mExtraction" in shown.raw
    assert "zyxwolf" not in shown.raw.lower()


def test_a_run_with_nothing_to_do_says_so_as_text_and_as_json(built: tuple[Workflow, Shown], launch: Launch) -> None:
    workflow, _ = built
    idle = launch(workflow, "")
    assert idle.returncode == 0
    assert "Nothing to be done: the dataset is up to date" in idle.stdout
    assert fact(idle.stdout, "changes") == "nothing since the last build"
    assert "\x1b" not in idle.stdout + idle.stderr and max(map(len, idle.stdout.splitlines())) <= 80
    done = launch(workflow, "", "--json")
    content = json.loads(done.stdout)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert (content["status"], content["complete"], content["nothing_to_do"]) == (0, True, True)
    assert content["found"] == 8 and content["outcomes"]["extracted"] == 6 and content["arrays"] == 2
    assert [row["reason"] for row in content["set_aside"]] == ["not_dicom", "truncated_pixel_data"]
    assert content["seal"] == workflow.sealed()["seal"]
    assert content["changes"] is None and content["incomplete"] == []
    report = (workflow.results / "dataset/reports/report.html").read_text()
    assert content["findings"] and all(finding["title"] in report for finding in content["findings"])
    assert content["gate"]["quarantined"] == 1


def test_words_of_snakemake_come_back_where_they_are_asked_for(built: tuple[Workflow, Shown], launch: Launch) -> None:
    workflow, _ = built
    wordy = launch(workflow, "", "--verbose")
    assert "Building DAG of jobs" in wordy.stderr and "files found" in wordy.stdout
    before = {path: path.stat().st_mtime_ns for path in workflow.results.rglob("*") if "lock" not in path.name}
    dry = launch(workflow, "", "-n", "--forceall")
    assert "This was a dry-run" in dry.stdout + dry.stderr and "files found" not in dry.stdout
    refused = launch(workflow, "", "-n", "--json")
    assert (refused.returncode, json.loads(refused.stdout)["status"]) == (2, 2)
    after = {path: path.stat().st_mtime_ns for path in workflow.results.rglob("*") if "lock" not in path.name}
    assert before == after


def test_the_next_build_says_what_changed(built: tuple[Workflow, Shown], environment: Path, launch: Launch) -> None:
    workflow, _ = built
    save_series(workflow.source / "gamma", "gamma", 2)
    shown = run_on_terminal(workflow, environment, *RUN, columns=120, NO_COLOR="1")
    assert shown.status == 0, shown.text
    assert fact(shown.text, "changes").startswith("1 array added")
    assert "\x1b" not in shown.raw and shown.widest <= 100
    changes = json.loads((workflow.results / "private/changes.json").read_bytes())
    assert len(changes["volumes"]["added"]) == 1
    copy = workflow.results / "private/last_build"
    assert (copy / "volumes.csv").read_bytes() == (workflow.results / "dataset/volumes.csv").read_bytes()
    assert launch(workflow, "diff", "results/private/last_build", "results", config=False).returncode == 0
    assert {path.stat().st_mode & 0o777 for path in copy.iterdir()} == {0o600}
    assert "The last build changed: 1 array added" in launch(workflow, "report", "--no-open").stderr
    kept, facts = copy / "facts.json", (copy / "facts.json").read_bytes()
    kept.write_bytes(facts.replace(b'"bytes_out":', b'"bytes_oot":'))
    again = launch(workflow, "")
    assert fact(again.stdout, "bytes out") == fact(shown.text, "bytes out") and kept.read_bytes() == facts


def test_a_failed_stage_is_named_with_what_is_complete(built: tuple[Workflow, Shown], launch: Launch) -> None:
    workflow, _ = built
    exports = workflow.results / "exports"
    exports.mkdir()
    (exports / "png").write_text("a file where a folder should be")
    done = launch(workflow, "export_png", "--json")
    content = json.loads(done.stdout)
    assert (done.returncode, content["status"], content["complete"]) == (1, 1, True)
    assert [job["rule"] for job in content["failed"]] == ["export_png"]
    assert re.search(r"^export_png: .+", done.stderr, re.MULTILINE)  # the line of the job
    assert re.search(r"^PNG +failed; its log: results/logs/export_png.log", done.stderr, re.MULTILINE)
    (exports / "png").unlink()
    exported = json.loads(launch(workflow, "export_png", "--json").stdout)
    assert (exported["status"], exported["exports"]) == (0, {"export_png": "results/exports/png"})
    workflow.write_config(gate={"quarantined": 0})
    gate = launch(workflow, "")
    assert (gate.returncode, gate.stdout) == (1, "")
    assert "check_gate: the dataset is complete, but it has more findings" in gate.stderr
    assert "The dataset is complete, but this failed: Gate" in gate.stderr and "files found" in gate.stderr
    workflow.write_config()


def test_ctrl_c_leaves_a_tidy_terminal_and_says_how_to_continue(workflow: Workflow, environment: Path) -> None:
    for number in range(6):
        save_series(workflow.source / str(number), f"series-{number}", 3)
    workflow.write_config(batch={"series": 1, "megabytes": 512})
    shown = run_on_terminal(workflow, environment, *RUN, until=lambda raw: "Plan" in raw)
    assert shown.status == 130, shown.text
    assert "Traceback" not in shown.raw and "KeyboardInterrupt" not in shown.raw
    assert "Ending all jobs; run the same command again to continue" in shown.text
    assert "Headers" in fact(shown.text, "complete") and "Seal" in fact(shown.text, "not complete")
    assert "start the same command again" in fact(shown.text, "next step")


def test_a_source_without_an_image_is_a_success_that_says_so(workflow: Workflow, launch: Launch) -> None:
    """Also in a folder whose name is no UTF-8, as old shares have them."""
    workflow = replace(workflow, folder=workflow.folder / os.fsdecode(b"M\xfcller"))
    workflow.source.mkdir(parents=True)
    workflow.write_config()
    empty = launch(workflow, "")
    assert empty.returncode == 0, empty.stderr
    assert "The source is empty: there is nothing to extract" in empty.stdout
    assert "check `source`" in fact(empty.stdout, "next step")
    (workflow.source / "notes.txt").write_text("no DICOM")
    none = launch(workflow, "", "--json")
    content = json.loads(none.stdout)
    assert (none.returncode, content["complete"], content["found"], content["arrays"]) == (0, True, 1, 0)
    assert launch(workflow, "status").stdout == "Nothing to do\n"


def test_a_run_that_is_told_to_end_early_says_what_is_left(workflow: Workflow, launch: Launch) -> None:
    save_series(workflow.source, "alpha", 2)
    workflow.write_config()
    done = launch(workflow, "", "--until", "plan_batches")
    assert done.returncode == 0
    assert "The run ended where it was told to" in done.stdout
    assert "Extraction (0 of 1 batch done), Read back" in fact(done.stdout, "not complete")
    assert "files found" not in done.stdout
    broken = replace(workflow, config={"source": "nowhere"})
    broken.write_config()
    failed = launch(broken, "", "--json")
    content = json.loads(failed.stdout)
    assert (failed.returncode, content["status"], content["complete"]) == (2, 2, False)
    assert "config key 'source'" in failed.stderr


def test_plain_snakemake_is_as_it_was(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 2)
    run = workflow.run("--until", "discover_files")
    assert "Building DAG of jobs" in run.output and "(Rule: discover_files)" in run.output
    assert "Manifest" not in run.output


def test_a_logger_of_the_user_is_left_alone() -> None:
    code = "from dicomzarr.commands.run.command import shows_stages; print(shows_stages(['--logger', 'rich']))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "False\n"
