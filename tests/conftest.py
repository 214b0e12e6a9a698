"""Shared fixtures: the real Snakemake in a temporary folder, the open corpus, the launcher."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from forks import Forks, compiled
from hypothesis import HealthCheck, Phase, settings

from dicomzarr.commands.launcher.environment import DEV, PLAIN, Environment, stamp_of
from dicomzarr.system.stop_signals import STOPPING

# Property tests use new examples on a developer's machine, and the same ones each time in CI, half as many. A test that
# must fail, for a planted bug, needs no smallest example.
_PHASES = [
    phase for phase in Phase if phase not in (Phase.shrink, Phase.explain) or "DICOMZARR_PLANTED" not in os.environ
]
settings.register_profile(
    "dicomzarr",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine draws slowly, too
    derandomize=bool(os.environ.get("CI")),
    max_examples=50 if os.environ.get("CI") else 100,
    phases=_PHASES,
)
settings.load_profile("dicomzarr")

for _size in ("COLUMNS", "LINES"):  # the help fits its lines to them
    os.environ.pop(_size, None)

# Programs that tests start heed the usual signals, also where the tests were started with nohup, or with & in a script.
for _number in STOPPING:
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"
CHECKER = ROOT.parent / "shared" / "check_contract.py"
REASON = "published test images"
FULL = bool(os.environ.get("DICOMZARR_TEST_FULL"))  # the long forms: see CONTRIBUTING.md
SNAKEMAKE = "scripts/dicomzarr/commands/run/snakemake_process.py"  # what `./run` starts


def in_ci(count: int, values: Sequence[Any]) -> Sequence[Any]:
    """Return the first values of a parameter, for CI; all of them for the long forms."""
    return values if FULL else values[:count]


@dataclass
class Run:
    """The output and the results of a run of the workflow."""

    process: subprocess.CompletedProcess[str]
    results: Path

    @property
    def output(self) -> str:
        return self.process.stdout + self.process.stderr

    @property
    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self.output

    def jobs(self, rule: str) -> int:
        """Return the number of finished jobs of a rule, from the output of Snakemake."""
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
        """Return the number of series that the last jobs of all batches extracted."""
        records = (self.results / "private" / "records" / "extract_batch").glob("*.json")
        return sum(json.loads(path.read_text())["counts"]["extracted"] for path in records)


@dataclass
class Workflow:
    """A folder in which the real Snakemake runs."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    project: Path = ROOT
    forks: Forks | None = None  # starts processes quickly; not used for a copy of the project
    timeout: int = 600  # s

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def sealed(self) -> dict[str, Any]:
        """Return the content of dataset.json."""
        return json.loads((self.results / "dataset" / "dataset.json").read_text())

    def write_config(self, **config: Any) -> dict[str, Any]:
        """Write a config file made of the defaults of the tests and `config`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        written = {"source": "source", "results": "results", **self.config, **config}
        written = {"burned_in": "keep", "burned_in_reason": REASON, **written}
        (self.folder / "config.yaml").write_text(yaml.safe_dump(written))
        return written

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake as `./run` does, with the existing config file, in a new session."""
        options = ["--snakefile", str(self.project / "Snakefile"), "--configfile", "config.yaml", *arguments]
        inherited = {key: value for key, value in os.environ.items() if key != "DICOMZARR_KEY"}
        variables = {**inherited, **self.environment, **environment}
        if self.forks and self.project == ROOT:  # a copy of the project has other code than was imported
            output = self.folder / "output.txt"
            self.forks.start(options, self.folder, variables, output)
            return subprocess.CompletedProcess(options, self.forks.wait(), "", output.read_text(errors="replace"))
        return subprocess.run(
            [sys.executable, "-P", str(self.project / SNAKEMAKE), *options],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
            start_new_session=True,
        )

    def killed(self, after: float, *arguments: str) -> None:
        """Start a run in a new session; after `after` seconds, kill all of its processes."""
        options = ["--snakefile", str(self.project / "Snakefile"), "--configfile", "config.yaml", *arguments]
        environment = os.environ | self.environment
        if self.forks and self.project == ROOT:
            group = self.forks.start(options, self.folder, environment, self.folder / "output.txt")
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            self.forks.wait()
            return
        process = subprocess.Popen(
            [sys.executable, "-P", str(self.project / SNAKEMAKE), *options],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(after)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def run(self, *arguments: str, cores: int = 2, ok: bool = True, **config: Any) -> Run:
        """Run `snakemake` with a config file made of the defaults of the tests and `config`."""
        written = self.write_config(**config)
        process = self.snakemake(*(["--cores", str(cores)] if cores else []), *arguments)
        run = Run(process, self.folder / str(written["results"]))
        if ok and process.returncode:
            pytest.fail(f"snakemake exited with {process.returncode}:\n{run.output[-6000:]}")
        return run


def leftovers(results: Path) -> list[Path]:
    """Return the temporary files in a results folder."""
    return [p for p in results.rglob("*") if p.name.endswith(".partial") or "temporary" in p.parts[:-1]]


@pytest.fixture
def workflow(tmp_path: Path, warm: Forks | None) -> Workflow:
    """An empty folder for runs of the workflow, with a fixed key, so that ids are equal in all tests.

    Processes are forked from a warm one; tests of the start itself set `forks` to None.
    """
    return Workflow(tmp_path, environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preloaded library that makes system calls fail."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    library = tmp_path_factory.mktemp("shim") / "faults.so"
    return compiled(ROOT / "tests" / "support" / "faults.c", library, "-shared", "-fPIC", "-ldl")


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Forks | None]:
    """The process starter of the long tests; None for the short ones, whose processes start as usual."""
    if not FULL:
        yield None
        return
    with Forks(tmp_path_factory.mktemp("forks"), request.getfixturevalue("shim")) as started:
        yield started


@pytest.fixture(scope="session")
def warm(forks: Forks | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks | None]:
    """The process starter of tests with many runs: see `forks.py`.

    None without gcc: processes then start as usual, which takes several times as long.
    """
    if forks or not shutil.which("gcc"):
        yield forks
        return
    with Forks(tmp_path_factory.mktemp("warm")) as started:
        yield started


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The open corpus; skips the test if it is not beside the checkout."""
    if not (CORPUS / "expected.json").exists():
        pytest.skip("the open corpus is not here (../shared/corpus)")
    return CORPUS


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment for the launcher that links to the one of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    linked = Environment(folder)
    for lock in (PLAIN, DEV):
        linked.stamp(lock).write_text(stamp_of(lock))
    (folder / ".dicomzarr").touch()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / name).symlink_to(Path(sys.prefix) / name)
    return folder


Launch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def launch(environment: Path) -> Launch:
    def start(
        workflow: Workflow, word: str, *arguments: str, config: bool = True, before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        command = [*before, sys.executable, str(ROOT / "run"), *([word] if word else []), *arguments]
        command += ["--configfile", "config.yaml", "--cores", "2"] if config else []
        settings = {**os.environ, **workflow.environment, "DICOMZARR_VENV": str(environment)}
        done = subprocess.run(command, cwd=workflow.folder, env=settings, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return start
