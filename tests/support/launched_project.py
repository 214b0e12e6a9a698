"""A copy of the project that is started as a user starts it, with stand-ins for uv and for what uv installs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

# What a stand-in does: it notes how it was called, and imitates as much of the real program as the launcher relies on.
STAND_IN = """
import json, os, pathlib, signal, sys, time
name, arguments = sys.argv[1], sys.argv[2:]
def wait(path):
    for _ in range(30000):
        if not path or os.path.exists(path):
            break
        time.sleep(0.01)
if name == "python" and arguments[:3] == ["-P", "-m", "dicomzarr.commands"]:
    os.execv(sys.executable, [sys.executable, *arguments])  # the commands are real
if name == "python" and "snakemake_process.py" in arguments[1]:
    name, arguments = "snakemake", arguments[2:]
if arguments[-1:] == ["dicomzarr.stages.check_privacy"] and not sys.stdin.read():
    sys.exit()
with open(os.environ["CALLS"], "a") as file:
    env = {key: os.environ.get(key) for key in ("PATH", "PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE")}
    print(json.dumps({"name": name, "arguments": arguments, "cwd": os.getcwd(), "env": env}), file=file)
if name == "uv":
    wait(os.environ.get("UV_WAITS_FOR"))
    if os.environ.get("UV_FAILS"):
        sys.exit("uv: no route to host")
    if arguments[0] == "venv":
        pathlib.Path(arguments[-1], "bin").mkdir(exist_ok=True)
    if "--target" in arguments:
        pathlib.Path(arguments[arguments.index("--target") + 1]).mkdir()
    for program in ("snakemake", "python") if arguments[0] == "pip" and "--target" not in arguments else ():
        path = pathlib.Path(arguments[arguments.index("--python") + 1]).with_name(program)
        path.write_text(pathlib.Path(os.environ["STAND_IN"], program).read_text())
        path.chmod(0o755)
if name == "python":
    wait(os.environ.get("PYTHON_WAITS_FOR"))
    if "PYTHON_EXITS" in os.environ:
        sys.exit(int(os.environ["PYTHON_EXITS"]))
if "dicomzarr.commands.demo.files" in arguments:
    pathlib.Path(arguments[-1]).mkdir(parents=True)
if name == "snakemake":
    answer = os.environ.get("DICOMZARR_STATUS")
    if answer and "REASONS" in os.environ:
        pathlib.Path(answer).write_text(os.environ["REASONS"])
        if "RESULTS_ARE" in os.environ:
            pathlib.Path(os.environ["DICOMZARR_RESULTS"]).write_text(os.environ["RESULTS_ARE"])
    print(os.environ.get("SNAKEMAKE_PRINTS", ""), end="", file=sys.stderr)
    if "SNAKEMAKE_WAITS" in os.environ:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        pathlib.Path("started").touch()
        if signal.sigwait({signal.SIGTERM, signal.SIGINT}) == signal.SIGTERM:
            os._exit(5)
        pathlib.Path("sigint").touch()
        os._exit(6)
    sys.exit(int(os.environ.get("SNAKEMAKE_EXITS", "0")))
"""
NO_CACHES = shutil.ignore_patterns("__pycache__")


class Project:
    """A copy of what the launcher needs, and a PATH that holds stand-ins alone."""

    def __init__(self, folder: Path, name: str = "project", python: str = sys.executable) -> None:
        self.root = folder / name
        self.python = python
        self.elsewhere = folder / "elsewhere"
        self.calls = folder / "calls.jsonl"
        self.stand_ins = folder / "stand-ins"
        self.bin = folder / "bin"
        for each in (self.elsewhere, self.stand_ins, self.bin):
            each.mkdir(parents=True)
        for part in ("commands", "dicom", "masks", "source", "system", "terminal", "vocabulary", "workflow"):
            shutil.copytree(ROOT / "scripts/dicomzarr" / part, self.root / "scripts/dicomzarr" / part, ignore=NO_CACHES)
        shutil.copytree(ROOT / "rules", self.root / "rules")
        shutil.copytree(ROOT / "profiles", self.root / "profiles")
        (self.root / "envs").mkdir()
        locks = ("requirements.lock", "requirements-dev.lock", "envs/slurm.lock", "envs/build.lock")
        for name in ("run", "Snakefile", "config.yaml", *locks, "scripts/dicomzarr/__init__.py"):
            shutil.copy(ROOT / name, self.root / name)
        (self.stand_ins / "stand_in.py").write_text(STAND_IN)
        for name in ("uv", "snakemake", "python"):
            self.write_stand_in(self.stand_ins / name)
        self.venv = self.root / ".venv"

    def write_stand_in(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\nexec '{self.python}' '{self.stand_ins / 'stand_in.py'}' {path.name} \"$@\"\n")
        path.chmod(0o755)

    def with_uv(self) -> Project:
        shutil.copy(self.stand_ins / "uv", self.bin / "uv")
        return self

    def with_environment(self) -> Project:
        self.with_uv()
        assert self.run("test").returncode == 0
        self.calls.unlink()
        return self

    def command(self, *arguments: str) -> list[str]:
        return [self.python, str(self.root / "run"), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in ("DICOMZARR_VENV", "PIP_FIND_LINKS")}
        return {**kept, "PATH": str(self.bin), "CALLS": str(self.calls), "STAND_IN": str(self.stand_ins), **more}

    def run(
        self, *arguments: str, cwd: Path | None = None, user: int | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.root,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def imported(self, *arguments: str, cwd: Path | None = None) -> list[str]:
        """Return the modules that a command and the Python processes that it starts import."""
        lines = self.run(*arguments, cwd=cwd, PYTHONPROFILEIMPORTTIME="1").stderr.splitlines()
        return [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]

    def called(self, name: str) -> list[dict[str, object]]:
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [call for call in map(json.loads, lines) if call["name"] == name]
