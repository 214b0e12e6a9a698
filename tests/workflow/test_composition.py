"""The workflow inside another workflow, and in an environment with Snakemake alone."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import ROOT, Workflow, in_ci
from dicoms import save_series

MODULE = f"""
configfile: "user.yaml"

module dicomzarr:
    snakefile: "{ROOT}/Snakefile"
    config: config["images"]

use rule * from dicomzarr as dz_*

rule train:
    default_target: True
    input:
        rules.dz_all.input,
        table=config["images"]["results"] + "/dataset/volumes.csv",
        source=config["images"]["source"],
    output: "model.txt"
    shell: "cp {{input.table}} {{output}}"
"""
INCLUDE = f"""
configfile: "user.yaml"

include: "{ROOT}/Snakefile"

rule train:
    default_target: True
    input:
        sealed=config["results"] + "/dataset/dataset.json",
        table=config["results"] + "/dataset/volumes.csv",
        source=config["source"],
    output: "model.txt"
    params: samples=config["samples"]
    shell: "cp {{input.table}} {{output}}"
"""


def snakemake(folder: Path, *arguments: str, before: tuple[str, ...] = (), **environment: str) -> str:
    process = subprocess.run(
        [sys.executable, *(before or ("-m", "snakemake")), "--cores", "2", *arguments],
        cwd=folder,
        env=os.environ | {"DICOMZARR_KEY": "k" * 32} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    return process.stdout + process.stderr


@pytest.mark.parametrize("statement", in_ci(1, ["module", "include"]))
def test_another_workflow_uses_the_rules(workflow: Workflow, statement: str) -> None:
    """With default values, a configuration of its own, and a target that depends on the dataset."""
    folder = workflow.folder
    for name in ("alpha", "beta"):
        save_series(workflow.source / name, name, 3)
    our_config = {"source": "source", "results": "out", "compression": "fast"}
    user_config = {"samples": ["a", "b"], **({"images": our_config} if statement == "module" else our_config)}
    (folder / "user.yaml").write_text(json.dumps(user_config))
    (folder / "Snakefile").write_text(textwrap.dedent(MODULE if statement == "module" else INCLUDE))
    prefix = "dz_" if statement == "module" else ""
    dry = snakemake(folder, "-n")
    assert f"{prefix}index_headers" in dry and not (folder / "out").exists()
    snakemake(folder)
    with open(folder / "model.txt", newline="") as table:
        assert len(list(csv.DictReader(table))) == 2
    sealed = json.loads((folder / "out/dataset/dataset.json").read_text())
    assert sealed["config"]["compression"] == "fast" and sealed["config"]["layout"] == "slice"
    assert (folder / "out/dataset/provenance/extract_batch").is_dir()
    assert "Nothing to be done" in snakemake(folder, f"{prefix}all")
    next((folder / "out/dataset/images.zarr").glob("*/*/0/c/0/0/0")).unlink()
    output = snakemake(folder, f"{prefix}all")
    assert output.count(f"(Rule: {prefix}extract_batch)") == 1 and output.count(f"(Rule: {prefix}index_headers)") == 0
    by_itself = workflow.run(compression="fast", burned_in="skip", burned_in_reason="", results="alone")
    assert by_itself.sealed["digest"] == json.loads((folder / "out/dataset/dataset.json").read_text())["digest"]


def test_a_clone_is_used_as_a_module_and_a_hosted_repository_is_refused(tmp_path: Path) -> None:
    """As in config/README.md. GitHub is a local repository here, by a setting of git that gives its address."""
    statement = re.findall(r"^```python\n(.*?)^```", (ROOT / "config/README.md").read_text(), re.M | re.S)[0]
    (tmp_path / "dicomzarr").symlink_to(ROOT)
    (tmp_path / "config.yaml").write_text("images: {source: source, results: out}")
    (tmp_path / "Snakefile").write_text(statement)
    save_series(tmp_path / "source", "alpha", 2)
    assert re.search(r"^train +1$", snakemake(tmp_path, "-n"), re.M)
    hosted = 'snakefile: github("OWNER/dicomzarr", path="Snakefile", tag="VERSION")'
    assert hosted in (ROOT / "config/README.md").read_text()
    (tmp_path / "Snakefile").write_text(statement.replace('snakefile: "dicomzarr/Snakefile"', hosted))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-C", str(tmp_path / "repository")]
    shutil.copytree(ROOT / "rules", tmp_path / "repository/rules")
    shutil.copy(ROOT / "Snakefile", tmp_path / "repository/Snakefile")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"], ["tag", "VERSION"]):
        subprocess.run([*git, *command], check=True)
    address = {"KEY_0": f"url.{tmp_path}/repository.insteadOf", "VALUE_0": "https://github.com/OWNER/dicomzarr"}
    variables = {f"GIT_CONFIG_{name}": value for name, value in {**address, "COUNT": "1"}.items()}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n"],
        cwd=tmp_path,
        env=os.environ | variables | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "clone the repository" in done.stdout and "ModuleNotFound" not in done.stdout


def test_one_workflow_can_build_two_datasets(workflow: Workflow) -> None:
    folder, modules = workflow.folder, []
    for name in ("one", "two"):
        # The folder has the name of the patient: it must not stand in the scripts of jobs.
        save_series(folder / f"{name}zephyr", name, 2, PatientName=f"{name}zephyr^Anna")
        config = {"source": f"{name}zephyr", "results": name}
        modules.append(f'module {name}:\n    snakefile: "{ROOT}/Snakefile"\n    config: {config}\n')
        modules.append(f"use rule * from {name} as {name}_*\n")
    # A rule of one is replaced: Snakemake reads its Snakefile once more.
    modules.append("use rule check_batch from one as one_check_batch with:\n    params: pictures=False\n")
    modules.append("rule both:\n    default_target: True\n    input: rules.one_all.input, rules.two_all.input\n")
    (folder / "Snakefile").write_text("\n".join(modules))
    assert snakemake(folder).count("this Snakemake profile lacks settings") == 1
    digests = {json.loads((folder / name / "dataset/dataset.json").read_text())["digest"] for name in ("one", "two")}
    assert len(digests) == 2 and "Nothing to be done" in snakemake(folder, "--omit-from", "both")
    drawn = [len(list((folder / name / "dataset/reports").glob("pictures/*"))) for name in ("one", "two")]
    assert drawn == [0, 1]


# ---- Snakemake alone

# Blocks imports of packages that `pip install snakemake` does not install, and starts Snakemake without the executor
# plugin for Slurm, which imports pandas.
ALONE = """
import json, os, pkgutil, runpy, sys

usual = pkgutil.iter_modules
pkgutil.iter_modules = lambda *paths: [module for module in usual(*paths) if "plugin_slurm" not in module.name]

blocked = set(json.loads(os.environ["BLOCKED"]))

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
sys.argv = ["snakemake", *sys.argv[1:]]
runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
"""
# Answers the commands that Snakemake gives conda before it builds a DAG; a dry run creates no environment.
CONDA = """#!/bin/sh
case "$*" in
  *--version*) echo "conda 25.1.0" ;;
  *config*) echo '{"get": {"channel_priority": "strict"}}' ;;
  *info*) echo '{"conda_prefix": "/nowhere", "conda_version": "25.1.0", "platform": "linux-64"}' ;;
esac
"""


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def dependencies(name: str, distributions: set[str]) -> set[str]:
    """Return the distributions that a distribution requires, and itself."""
    from packaging.requirements import Requirement

    if normalized(name) not in distributions:
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            return distributions
        distributions.add(normalized(name))
        for requirement in map(Requirement, needed):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                dependencies(requirement.name, distributions)
    return distributions


def test_snakemake_alone_builds_the_dag(workflow: Workflow) -> None:
    """`snakemake --sdm conda` reads the rules in the user's own environment, which has Snakemake and no more."""
    allowed = dependencies("snakemake", set())
    packages = importlib.metadata.packages_distributions()
    blocked = [package for package, names in packages.items() if not allowed.intersection(map(normalized, names))]
    blocked = [package for package in blocked if not package.startswith("snakemake")]
    assert {"orjson", "pandas", "zarr", "blake3", "pydicom", "numcodecs"} <= set(blocked)
    conda = workflow.folder / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text(CONDA)
    conda.chmod(0o755)
    (workflow.folder / "alone.py").write_text(ALONE)
    save_series(workflow.source / "alpha", "alpha", 3)
    workflow.write_config()
    environment = {"BLOCKED": json.dumps(blocked), "PATH": f"{conda.parent}:{os.environ['PATH']}"}
    arguments = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml", "--sdm", "conda", "-n"]
    fresh = snakemake(workflow.folder, *arguments, before=("alone.py",), **environment)
    assert "extract_batch" not in fresh and "index_headers" in fresh
    workflow.run()
    # With conda the software differs; without it there is nothing to do, also in this environment.
    with_conda = snakemake(workflow.folder, *arguments, before=("alone.py",), **environment)
    assert re.search(r"^index_headers +1$", with_conda, re.M)
    without = [argument for argument in arguments if argument not in ("--sdm", "conda")]
    assert "Nothing to be done" in snakemake(workflow.folder, *without, before=("alone.py",), **environment)
