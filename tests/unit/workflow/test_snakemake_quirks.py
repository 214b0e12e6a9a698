"""Uses of Snakemake's undocumented internals."""

from __future__ import annotations

import os
import types
from pathlib import Path

import pytest
from conftest import ROOT

from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow.snakemake_quirks import assumed_files, command_line, tested_versions
from dicomzarr.workflow.snakemake_quirks.command_line import Purpose, all_options, common_options
from dicomzarr.workflow.snakemake_quirks.planned_jobs import cause_of, planned_jobs


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--cores 2", Purpose.BUILD),
        ("--cores 2 --config source=-n", Purpose.BUILD),
        ("--cores 2 --forcerun extract_batch", Purpose.BUILD),
        ("--cores 2 --touch", Purpose.BUILD),
        ("--cores 2 --report page.html --report-after-run", Purpose.BUILD),
        ("-n", Purpose.DRY),
        ("--dry-r", Purpose.DRY),
        ("--dryrun --quiet", Purpose.DRY),
        ("--dag", Purpose.DRY),
        ("--rulegraph", Purpose.DRY),
        ("--summary", Purpose.DRY),
        ("-D", Purpose.DRY),
        ("--list-params-changes", Purpose.DRY),
        ("--sdm conda --conda-create-envs-only", Purpose.DRY),
        ("--list-conda-envs", Purpose.DRY),
        ("--delete-all-output -n --cores 1", Purpose.DRY),
        ("--list", Purpose.OTHER),
        ("-l", Purpose.OTHER),
        ("--list-ru", Purpose.OTHER),
        ("--lt", Purpose.OTHER),
        ("--list-target-rules", Purpose.OTHER),
        ("--lint", Purpose.OTHER),
        ("--report page.html", Purpose.OTHER),
        ("--unlock", Purpose.OTHER),
    ],
)
def test_the_purpose_follows_from_snakemakes_own_parser(
    arguments: str, expected: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    parsed = command_line.options(arguments.split())
    assert parsed and command_line.purpose(parsed) is expected


def test_the_purpose_of_an_unknown_command_line_is_to_build() -> None:
    parsed = command_line.options(["--no-such-option", "-x"])
    assert parsed == {} and command_line.purpose(parsed) is Purpose.BUILD


@pytest.mark.parametrize("option", ["--archive all.tar.gz", "--generate-unit-tests", "--generate-unit-tests=here"])
def test_private_files_are_copied_nowhere(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake would put the list of the source into an archive, and into the data of unit tests."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="Snakemake would copy files of private/"):
        command_line.refuse_unusable(command_line.options(option.split()))
    command_line.refuse_unusable(command_line.options(["--cores", "2", "--report", "page.html"]))


def test_what_no_cwl_runner_could_run_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="--export-cwl: not possible here"):
        command_line.refuse_unusable(command_line.options(["--export-cwl", "flow.cwl", "--cores", "2"]))
    command_line.refuse_unusable(command_line.options(["--cores", "2"]))


def test_names_of_a_source_below_the_working_folder_are_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("work/dicom", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "work/linked").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(ROOT)
    parsed = command_line.options(["--list-untracked"])
    others = command_line.options(["--list-input-changes"])
    monkeypatch.chdir(tmp_path / "work")
    for source in (b"dicom", b".", b"..", os.fsencode(tmp_path / "work/dicom")):
        with pytest.raises(UserError, match="would print the name of every file of the source"):
            command_line.refuse_names(parsed, [b"linked", source])
        command_line.refuse_names(others, [source])
    command_line.refuse_names(parsed, [b"linked", b"../elsewhere", b"s3://bucket/prefix"])


def test_with_another_version_internals_are_not_used_and_a_note_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tested_versions, "version", lambda: "10.0.0")
    assert not assumed_files.assume_files(object(), [], {})
    tested_versions.note_if_untested()
    assert "note: Snakemake 10.0.0 was not tested" in capsys.readouterr().err


# ---- Which jobs a dry run would start


@pytest.mark.snakemake
def test_the_cause_of_a_job_follows_from_snakemakes_reason() -> None:
    from snakemake import jobs

    due = jobs.Reason()
    assert cause_of(due) == ""  # due, for a cause that is not in the table
    due.updated_input_run.add("a")
    due.updated_input.add("a")
    assert cause_of(due) is None  # only another job is the cause
    due.params_changed = True
    assert cause_of(due) == "params_changed"
    due.updated_input.add("b")
    assert cause_of(due) == "input_updated"
    due.missing_output.add("c")
    assert cause_of(due) == "output_missing"
    due.forced = True
    assert cause_of(due) == "forced"


@pytest.mark.parametrize(("dag", "reasons"), [(None, []), (object(), [{"reason": "jobs_unknown"}])])
def test_a_missing_dag_and_a_dag_of_another_version(dag: object, reasons: list[object]) -> None:
    assert planned_jobs(types.SimpleNamespace(dag=dag)) == reasons


@pytest.mark.snakemake
def test_the_options_of_snakemake_are_those_of_its_parser() -> None:
    options = set(all_options())
    assert {"--cores", "--configfile", "--dry-run", "-c", "--cluster-generic-submit-cmd"} <= options
    assert common_options() - {"--"} <= options and len(common_options()) > 100
