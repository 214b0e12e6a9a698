"""What the tests share: the real Snakemake in a temporary folder, and made-up DICOM whose voxels are known."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"
CHECKER = ROOT.parent / "shared" / "check_contract.py"
REASON = "published test images"


@dataclass
class Run:
    """What a run of the workflow printed and left behind."""

    process: subprocess.CompletedProcess[str]
    results: Path

    @property
    def output(self) -> str:
        return self.process.stdout + self.process.stderr

    @property
    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self.output

    def jobs(self, rule: str) -> int:
        """Return how often a rule ran: each job ends with one such line."""
        return self.output.count(f"(Rule: {rule})")

    def table(self, name: str) -> list[dict[str, str]]:
        with open(self.results / name, newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    @property
    def sealed(self) -> dict[str, Any]:
        return json.loads((self.results / "dataset" / "dataset.json").read_text())

    def outcome(self) -> dict[str, tuple[str, str]]:
        return {row["path"]: (row["outcome"], row["reason"]) for row in self.table("private/files.csv")}

    def extracted_series(self) -> int:
        """Return how many series the last run of every batch extracted."""
        records = (self.results / "private" / "records" / "extract_batch").glob("*.json")
        return sum(json.loads(path.read_text())["counts"]["extracted"] for path in records)


@dataclass
class Workflow:
    """A folder in which the real Snakemake runs."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    project: Path = ROOT
    timeout: int = 600  # s

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def write_config(self, **config: Any) -> dict[str, Any]:
        """Write a config file made of the defaults of the tests and `config`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        chosen = {"source": "source", "results": "results", **self.config, **config}
        chosen = {"burned_in": "keep", "burned_in_reason": REASON, **chosen}
        (self.folder / "config.yaml").write_text(yaml.safe_dump(chosen))
        return chosen

    def run(self, *arguments: str, cores: int = 2, ok: bool = True, **config: Any) -> Run:
        """Run `snakemake` with a config file made of the defaults of the tests and `config`."""
        chosen = self.write_config(**config)
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.project / "Snakefile")]
        command += ["--cores", str(cores), "--configfile", "config.yaml", *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "DICOMZARR_KEY"} | self.environment
        process = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=self.timeout, check=False
        )
        run = Run(process, self.folder / str(chosen["results"]))
        if ok and process.returncode:
            pytest.fail(f"snakemake exited with {process.returncode}:\n{run.output[-6000:]}")
        return run


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """A fresh folder to run the workflow in, with a fixed key, so that ids can be compared between runs."""
    return Workflow(tmp_path, environment={"DICOMZARR_KEY": "k" * 32})


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The open corpus, where it lies beside the checkout."""
    if not (CORPUS / "expected.json").exists():
        pytest.skip("the open corpus is not here (../shared/corpus)")
    return CORPUS


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment for the launcher that is the one of these tests."""
    folder = tmp_path_factory.mktemp("environment")
    loader = SourceFileLoader("launcher", str(ROOT / "run"))
    spec = spec_from_loader("launcher", loader)
    assert spec
    launcher = module_from_spec(spec)
    loader.exec_module(launcher)
    for lock in (launcher.PLAIN, launcher.DEV):
        path, said = launcher.stamp(lock)
        (folder / path.name).write_text(said)
    (folder / ".dicomzarr").touch()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / name).symlink_to(Path(sys.prefix) / name)
    return folder


Launch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def launch(environment: Path) -> Launch:
    def start(workflow: Workflow, word: str, *arguments: str, config: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "run"), *([word] if word else []), *arguments]
        command += ["--configfile", "config.yaml", "--cores", "2"] if config else []
        settings = {**os.environ, **workflow.environment, "DICOMZARR_VENV": str(environment)}
        done = subprocess.run(command, cwd=workflow.folder, env=settings, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return start
