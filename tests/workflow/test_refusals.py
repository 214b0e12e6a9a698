"""A wrong configuration stops the run before any work, by a message that helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Workflow
from dicoms import save_series

WRONG: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"sourcee": "x"}, ("'sourcee' is not known", "did you mean 'source'")),
    ({"source": "nowhere"}, ("'source'", "/nowhere' does not exist")),
    ({"source": 7}, ("'source'", "found 7 (a number)", "a folder or s3://bucket/prefix, or a mapping")),
    ({"source": {"a/b": "source"}}, ("'source'",)),
    ({"source": {"one": "source", "two": "source"}}, ("'source'", "one folder lies inside another")),
    ({"results": "source/results"}, ("'results'", "inside the source")),
    ({"results": "."}, ("'source'", "inside the results")),
    ({"results": ""}, ("'results'",)),
    ({"results": "a{b}"}, ("'results'", "'{'")),
    ({"results": "~/results"}, ("'results'", "not expanded")),
    ({"source": "~/dicom"}, ("'source'", "not expanded")),
    ({"compression": "gzip"}, ("'compression'", "'gzip'", "balanced, fast, small, none")),
    ({"layout": 3}, ("'layout'", "slice, brick")),
    ({"burned_in": "maybe"}, ("'burned_in'", "skip, scan, keep")),
    ({"burned_in_reason": " "}, ("'burned_in_reason' is empty",)),
    ({"gate": {"quarantined": -1}}, ("'gate.quarantined'", "-1", "from 0")),
    ({"gate": {"quarantine": 0}}, ("'gate.quarantine' is not a finding", "did you mean 'quarantined'")),
    ({"gate": 1}, ("'gate'", "a mapping")),
    ({"spacing_tolerance": 0}, ("'spacing_tolerance'", "above 0")),
    ({"spacing_tolerance": "thin"}, ("'spacing_tolerance'", "'thin' (text)", "a number")),
    ({"batch": {"series": 0}}, ("'batch.series'", "from 1")),
    ({"limits": {"megabytes:700": None}}, ("'limits.megabytes:700' is not known", "a space after the colon")),
    ({"batch": {"serie": 1}}, ("'batch.serie' is not known", "did you mean 'series'")),
    (
        {"labels": [{"file": "no.csv", "by": "patient", "key": "PatientID", "columns": {"a": {"values": ["b"]}}}]},
        ("'labels.0'", "'no.csv' cannot be read"),
    ),
    ({"splits": {"fractions": {"train": 1}, "fixed": {"train": "no.csv"}}}, ("'splits.fixed.train'", "cannot be read")),
]


@pytest.mark.parametrize(
    ("wrong", "words"), WRONG, ids=[str(sorted(wrong)[0]) + str(i) for i, (wrong, _) in enumerate(WRONG)]
)
def test_a_wrong_key_is_named_before_any_work(
    workflow: Workflow, wrong: dict[str, Any], words: tuple[str, ...]
) -> None:
    save_series(workflow.source, "alpha", 1)
    run = workflow.run(ok=False, **wrong)
    assert run.process.returncode != 0
    for word in ("config key", *words):
        assert word in run.output
    assert "Traceback" not in run.output
    assert not workflow.results.exists()


def test_a_file_that_no_rule_writes_is_refused_before_any_folder_is_made(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 1)
    for target in ("/nowhere/x.csv", "results/dataset/x.csv", str(workflow.results / "dataset" / "x.csv")):
        run = workflow.run(target, ok=False)
        assert run.process.returncode == 1 and f"no rule writes '{target}'; name a rule, or a file" in run.output
        assert not workflow.results.exists()
    known = str(workflow.results / "dataset" / "volumes.csv")
    assert f"no rule writes '{known}'; write 'results/dataset/volumes.csv'" in workflow.run(known, ok=False).output
    workflow.run("results/dataset/volumes.csv")


def test_a_key_that_is_too_short_is_refused_before_any_folder_is_made(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 1)
    workflow.environment["DICOMZARR_KEY"] = "short"
    run = workflow.run(ok=False)
    assert run.process.returncode == 1 and "found 5 characters, needed 32 or more" in run.output
    assert not workflow.results.exists()


def test_config_on_the_command_line_works(workflow: Workflow, tmp_path: Path) -> None:
    save_series(tmp_path / "elsewhere", "alpha", 2)
    workflow.source.mkdir()
    run = workflow.run("--config", f"source={tmp_path / 'elsewhere'}", "results=other")
    assert (tmp_path / "other/dataset/dataset.json").exists()
    assert run.process.returncode == 0


def test_an_option_that_snakemake_would_drop_is_refused(workflow: Workflow) -> None:
    """Also in plain `snakemake`: with the last of the two alone, a layout or a policy would not be in force."""
    save_series(workflow.source, "alpha", 2)
    workflow.write_config()
    done = workflow.snakemake("--cores", "1", "--config", "layout=brick", "--config", "levels=2")
    assert done.returncode != 0 and not workflow.results.exists()
    assert "--config is there twice" in done.stderr and "Traceback" not in done.stderr


def test_several_sources_are_distinguished_by_their_labels(workflow: Workflow) -> None:
    save_series(workflow.folder / "one", "alpha", 2)
    save_series(workflow.folder / "two", "beta", 2)
    run = workflow.run(source={"first": "one", "second": "two"})
    assert {row["path"].split("/")[0] for row in run.table("private/manifest.csv")} == {"first", "second"}
    assert run.sealed["counts"]["extracted"] == 4


def test_an_empty_source_makes_an_empty_dataset(workflow: Workflow) -> None:
    workflow.source.mkdir(parents=True)
    run = workflow.run()
    assert run.sealed["counts"]["arrays"] == 0
    assert workflow.run().nothing_to_do


def test_no_file_of_a_foreign_results_folder_is_removed(workflow: Workflow) -> None:
    save_series(workflow.source, "s", 2)
    foreign = {workflow.results / "dataset": "a thesis", workflow.results / "exports" / "all.csv" / "one": "a table"}
    for path, text in foreign.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    run = workflow.run(ok=False)
    assert run.process.returncode == 1
    assert "config key 'results'" in run.output and "a file 'dataset'" in run.output and "Traceback" not in run.output
    assert {path: path.read_text() for path in foreign} == foreign


def test_a_gate_turns_a_finding_into_a_failure(workflow: Workflow) -> None:
    paths = save_series(workflow.source, "alpha", 3)
    paths[0].write_bytes(paths[0].read_bytes()[:-10])
    run = workflow.run(ok=False, gate={"quarantined": 0})
    assert run.process.returncode != 0
    assert "gate.quarantined: found 1, allowed 0" in run.output and "Traceback" not in run.output
    assert run.sealed["counts"]["arrays"] == 1  # the dataset is complete all the same
    assert workflow.run(ok=False, gate={"quarantined": 0}).process.returncode != 0
    assert workflow.run(gate={"quarantined": 1, "depth_fail": 0}).process.returncode == 0


def test_the_defaults_are_the_documented_keys(workflow: Workflow) -> None:
    root = workflow.project
    schema = yaml.safe_load((root / "schemas/config.schema.json").read_text())["properties"]
    assert set(yaml.safe_load((root / "config.yaml").read_text())) == set(schema)
