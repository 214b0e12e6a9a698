"""The executor for Slurm: added to the commands that ask for it, in a folder that other commands do not see."""

from __future__ import annotations

from pathlib import Path

import pytest
from launched_project import Project

from dicomzarr.commands.launcher.environment import asks_for_slurm

pytestmark = pytest.mark.slow

# As much of an executor plugin as Snakemake's parser asks for.
PLUGIN = """
from dataclasses import dataclass, field
from snakemake_interface_executor_plugins.executors.base import AbstractExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

common_settings = CommonSettings(non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False)

@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    no_account: bool = field(default=False, metadata={"help": "no account"})

class Executor(AbstractExecutor):
    pass
"""


@pytest.mark.parametrize(
    ("arguments", "variables", "asks"),
    [
        (["--executor", "slurm"], {}, True),
        (["-e=slurm"], {}, True),
        (["--slurm-no-account"], {}, True),
        (["--profile", "mine"], {}, True),
        (["--workflow-profile=mine"], {}, True),
        ([], {"SNAKEMAKE_PROFILE": "mine"}, True),
        (["--cores", "2"], {}, False),
        (["--profile", "other"], {}, False),
        (["results/slurm_logs", "--configfile", "slurm.yaml"], {}, False),
        (["--config", "results=" + "x" * 5000], {}, False),
    ],
)
def test_which_commands_ask_for_slurm(
    arguments: list[str], variables: dict[str, str], asks: bool, tmp_path: Path
) -> None:
    for name, executor in (("mine", "slurm"), ("other", "local")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"cores: 2\nexecutor: {executor}\n")
    assert asks_for_slurm(arguments, variables, tmp_path) is asks


def test_it_is_installed_once_by_hash_and_seen_by_no_other_command(tmp_path: Path) -> None:
    project = Project(tmp_path).with_environment()
    folder = str(project.venv / "slurm")
    for _ in range(2):
        assert project.run("--executor", "slurm", "--jobs", "1").returncode == 0
    assert project.run("--cores", "1").returncode == 0
    (install,) = project.called("uv")
    assert str(project.root / "envs" / "slurm.lock") in install["arguments"]  # type: ignore[operator]
    assert {"--require-hashes", "--no-deps"} <= {*install["arguments"]}  # type: ignore[misc]
    paths = [call["env"]["PYTHONPATH"] for call in project.called("snakemake")]  # type: ignore[index]
    assert paths == [folder, folder, None]


def test_a_failed_installation_says_what_to_do_and_is_tried_again(tmp_path: Path) -> None:
    project = Project(tmp_path).with_environment()
    failed = project.run("--executor", "slurm", "--jobs", "1", UV_FAILS="1")
    assert failed.returncode == 2 and "slurm.lock could not be installed" in failed.stderr
    assert not list(project.venv.glob("slurm*")) and not project.called("snakemake")
    assert project.run("--executor", "slurm", "--jobs", "1").returncode == 0


def test_its_own_options_are_known_to_the_launcher(tmp_path: Path) -> None:
    project = Project(tmp_path).with_environment()
    assert project.run("--executor", "slurm", "--jobs", "1").returncode == 0
    package = project.venv / "slurm" / "snakemake_executor_plugin_slurm"
    package.mkdir()
    (package / "__init__.py").write_text(PLUGIN)
    assert project.run("--executor", "slurm", "--jobs", "1", "--slurm-no-account").returncode == 0
    wrong = project.run("--executor", "slurm", "--jobs", "1", "--slurm-no-acount")
    assert wrong.returncode == 2 and "the closest is '--slurm-no-account'" in wrong.stderr
