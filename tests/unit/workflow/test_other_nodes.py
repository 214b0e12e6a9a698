"""Jobs on other nodes: what they ask for, and what they must not be told."""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path
from typing import Any

import pytest

from dicomzarr.vocabulary.errors import ConfigProblem, UserError
from dicomzarr.workflow import job_resources
from dicomzarr.workflow.remote_config import refuse_key_in_commands, refuse_private_values
from dicomzarr.workflow.snakemake_quirks import other_nodes

CT = {"bytes": 1_000_000_000, "work": 1_000_000_000, "largest": 10**8, "frame": 524_288, "files": 1900, "series": 10}
CT |= {"masks": 0}
SLIDE = CT | {"frame": 200_000_000}


def test_memory_grows_with_the_largest_frame_the_threads_the_masks_and_the_attempt() -> None:
    memory = job_resources.batch_megabytes
    assert memory(CT, 1, 768, 1) < 1000  # 130 MiB and two frames were measured, and Snakemake twice
    assert memory(SLIDE, 1, 768, 1) > memory(CT, 1, 768, 1) + 6 * 199
    assert memory(SLIDE, 4, 768, 1) - memory(SLIDE, 1, 768, 1) > 3 * 6 * 199
    assert memory(SLIDE | {"frame": 10**12}, 1, 768, 1) < 700 + 64 + 6 * 256 + 100  # no larger frame is decoded
    assert memory(CT | {"masks": 1}, 1, 768, 1) == memory(CT, 1, 768, 1) + 100
    assert memory(CT, 1, 768, 1, objects=True) > memory(CT, 1, 768, 1) + 256 * 1.05  # MiB of copies are retained
    large = CT | {"frame": 4096 * 4096}
    assert memory(large, 4, 768, 1, looks=True) > memory(large, 4, 768, 1) + 4 * 345  # were measured in the child
    assert [memory(CT, 1, 768, attempt) // memory(CT, 1, 768, 1) for attempt in (1, 2, 3)] == [1, 2, 3]


def test_time_grows_with_the_work_of_decoding_and_the_attempt() -> None:
    minutes = job_resources.batch_minutes
    measured = 5  # s of one core for 1 GB of CT, extracted and checked (docs/scaling.md)
    assert minutes(CT, "balanced", 0.01, 1) * 60 > 20 * measured
    assert minutes(CT | {"work": 13 * 10**9}, "balanced", 0.01, 1) >= minutes(CT, "balanced", 0.01, 1) + 20
    assert minutes(CT, "balanced", 1.0, 1) > minutes(CT, "balanced", 0.0, 1)
    assert minutes(CT, "small", 0.01, 1) > minutes(CT, "balanced", 0.01, 1) + 5
    assert minutes(CT, "balanced", 0.01, 1, looks=True) * 60 > 10 * (measured + 2000 * 0.02)  # 2,000 frames
    assert minutes(CT, "balanced", 0.01, 3) == 3 * minutes(CT, "balanced", 0.01, 1)


def test_jobs_over_all_files_grow_with_the_inventory() -> None:
    ten_million = 10**7 * job_resources.BYTES_OF_A_ROW
    # 1.1 GiB were measured for a plan of ten million files.
    assert 2000 < job_resources.index_megabytes(ten_million, 8, 1) < 16_000
    assert job_resources.index_megabytes(0, 1, 2) == 2 * job_resources.index_megabytes(0, 1, 1) < 2000
    assert 60 < job_resources.index_minutes(ten_million, 8, 1) < 24 * 60
    assert job_resources.tables_minutes(0, 1) == 30 < job_resources.tables_minutes(ten_million, 1) < 24 * 60
    assert job_resources.tables_megabytes(0, 8, 1) < job_resources.tables_megabytes(ten_million, 8, 1)


def test_listing_archives_counts_by_their_bytes(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.jsonl"
    assert job_resources.archive_minutes(inventory, 1) == 30
    rows = [["a/export.TAR.gz", "file", 3 * 10**12], ["a/b.dcm", "file", 10**13], ["c.zip", "file", 3 * 10**9]]
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(["{}", *(json.dumps([*row, 1, 2, 3], separators=(",", ":")) for row in rows)]))
    assert job_resources.archive_minutes(other, 1) == 30 + 1001


# ---- threads


@pytest.mark.parametrize(
    ("nodes", "partition", "given", "expected"),
    [
        ("all* 4\nall* 64\nfat 2", "", None, 4),
        ("all* 4\nfat 2\nfat 3", "'fat'", None, 2),
        ("all* 64\nall* 96", "", None, 8),
        ("all 3\nfat 64", "", None, 3),
        ("all* 4", "", 16, 16),
        ("slurm_load_partitions: Unable to contact", "", None, None),
    ],
)
def test_no_job_asks_for_more_cores_than_the_smallest_node_has(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    nodes: str,
    partition: str,
    given: int | None,
    expected: int | None,
) -> None:
    sinfo = tmp_path / "sinfo"
    sinfo.write_text(f"#!/bin/sh\ncat <<END\n{nodes}\nEND\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    defaults = {"slurm_partition": types.SimpleNamespace(raw=partition)} if partition else None
    settings = types.SimpleNamespace(max_threads=given, default_resources=defaults)
    workflow = types.SimpleNamespace(resource_settings=settings)
    other_nodes.limit_threads_to_nodes(workflow, "")
    assert settings.max_threads == given
    other_nodes.limit_threads_to_nodes(workflow, "slurm")
    assert settings.max_threads == expected


@pytest.mark.parametrize(
    ("commands", "partition", "says"),
    [
        ({"sinfo": "echo all*", "sbatch": ""}, "", ""),
        ({"sinfo": "echo all*"}, "", "the command sbatch of Slurm is not on PATH"),
        ({"sbatch": ""}, "", "Slurm does not answer (FileNotFoundError)"),
        ({"sinfo": "echo 'sinfo: fatal: no such host' >&2; exit 1", "sbatch": ""}, "", "(sinfo: fatal: no such host)"),
        ({"sinfo": "exit 1", "sbatch": ""}, "'fat'", ""),
    ],
)
def test_a_slurm_that_cannot_be_reached_is_named_before_the_plugin_waits_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: dict[str, str], partition: str, says: str
) -> None:
    for name, script in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    defaults = {"slurm_partition": types.SimpleNamespace(raw=partition)} if partition else None
    workflow = types.SimpleNamespace(resource_settings=types.SimpleNamespace(default_resources=defaults))
    parsed = {"slurm_partition_config": dataclasses.MISSING}  # as the plugin's parser has it where it is not given
    other_nodes.refuse_unreachable_slurm(workflow, parsed, "cluster-generic")
    if not says:
        other_nodes.refuse_unreachable_slurm(workflow, parsed, "slurm")
        return
    with pytest.raises(UserError) as refused:
        other_nodes.refuse_unreachable_slurm(workflow, parsed, "slurm")
    assert says in str(refused.value) and "login node" in str(refused.value)


# ---- the configuration


@pytest.mark.parametrize(
    ("given", "is_module", "refused"),
    [
        ({"source": "/data/wren"}, False, "source"),
        ({"labels": [{"file": "wren.csv"}]}, False, "labels"),
        ({"splits": {"fixed": {"test": "wren.csv"}}}, False, "splits"),
        ({"masks": {"names": {"liver": ["wren"]}}}, False, "masks"),
        ({"card": {"title": "wren"}}, False, "card"),
        ({"burned_in_reason": "wren"}, False, "burned_in_reason"),
        ({"nnunet": {"dataset": "Dataset001_Wren"}}, False, "nnunet"),
        ({"compression": "fast", "levels": 2, "confirm_drop": "true", "limits": {"seconds": 9}}, False, ""),
        ({"batch": {"series": 2}, "report": {"pictures": False}, "results": "out"}, False, ""),
        ({"images": {"source": "/data/wren"}}, True, "source"),
        ({"source": "of the other workflow"}, True, ""),
    ],
)
def test_a_text_on_the_command_line_is_refused_for_jobs_elsewhere(
    given: dict[str, Any], is_module: bool, refused: str
) -> None:
    config = {"source": "/data/wren", "labels": [], "results": "out"}
    refuse_private_values(given, config, "", is_module=is_module)
    if not refused:
        refuse_private_values(given, config, "slurm", is_module=is_module)
        return
    with pytest.raises(ConfigProblem, match=f"{refused!r}.*--configfile") as problem:
        refuse_private_values(given, config, "slurm", is_module=is_module)
    assert "wren" not in str(problem.value).lower()


def test_the_key_is_never_written_into_commands() -> None:
    refuse_key_in_commands({"DICOMZARR_KEY"}, "")
    refuse_key_in_commands({"HOME"}, "cluster-generic")
    with pytest.raises(UserError, match="would write the key into job scripts"):
        refuse_key_in_commands({"DICOMZARR_KEY"}, "cluster-generic")
    with pytest.raises(UserError, match="--envvars AWS_SECRET_ACCESS_KEY: .* would write the credentials into job"):
        refuse_key_in_commands({"AWS_SECRET_ACCESS_KEY", "HOME"}, "cluster-generic")


@pytest.mark.snakemake
def test_what_an_executor_says_of_a_group_of_jobs_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    from snakemake.jobs import GroupJob
    from snakemake.logging import logger

    said: list[str] = []
    monkeypatch.setattr(GroupJob, "log_error", lambda *_, **__: said.append("as before"))
    monkeypatch.setattr(logger, "error", said.append)
    other_nodes.say_why_groups_fail()
    GroupJob.log_error(object(), "sbatch failed: no such partition", aux_logs=[])
    GroupJob.log_error(object())
    assert said == ["as before", "sbatch failed: no such partition", "as before"]
