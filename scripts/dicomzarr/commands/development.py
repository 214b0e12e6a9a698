"""`./run test`, `./run check` and `./run bench`: commands for developers."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from dicomzarr.commands.launcher.processes import call, say
from dicomzarr.commands.run.conclusion import NOTHING_TO_DO
from dicomzarr.system.project import ROOT, SCRIPTS
from dicomzarr.vocabulary.errors import UserError

NOT_QUICK = "not snakemake and not compiler and not browser and not slow"
CHECKS = (
    ("format", "ruff format --check ."),
    ("lint", "ruff check ."),
    ("types", "mypy"),
    ("format of the rules", "snakefmt --check Snakefile rules verify.smk"),
    ("lint of the rules", "snakemake --lint"),
    ("demo", ""),
    ("tests", "python -m pytest"),
)


def run_tests(arguments: Sequence[str]) -> int:
    """Run the tests; with --quick, the unit tests that need no Snakemake, compiler or browser and are not slow.

    Other arguments are passed to pytest; a path among them replaces `tests/unit`.
    """
    quick, others = "--quick" in arguments, [argument for argument in arguments if argument != "--quick"]
    if quick:
        has_path = any((ROOT / argument.split("::")[0]).exists() for argument in others)
        others = ["-m", NOT_QUICK, *([] if has_path else ["tests/unit"]), *others]
    return call(["python", "-m", "pytest", *others])


def run_bench(arguments: Sequence[str]) -> int:
    """Time whole runs against other tools, on generated corpora."""
    paths = os.pathsep.join([str(ROOT), str(SCRIPTS)])
    return call(["python", "-m", "benchmarks.bench", *arguments], Path.cwd(), PYTHONPATH=paths)


def run_check(arguments: Sequence[str]) -> int:
    """Run every check of CI, tests last; continue after a failure, so that one run reports all."""
    if arguments:
        raise UserError("./run check takes no arguments; ./run test takes arguments of pytest")
    failed = []
    for name, command in CHECKS:
        say(f"== {name}{command and ': ' + command}")
        if (call(command.split()) if command else check_demo()) != 0:
            failed.append(name)
    say(f"Failed: {', '.join(failed)}" if failed else "All checks passed")
    return 1 if failed else 0


def check_demo() -> int:
    """Run the demo twice, as a user would; the second run must have nothing to do."""
    demo = [sys.executable, str(ROOT / "run"), "demo"]
    if call(demo) != 0:
        return 1
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        status = call(demo, output=output)
        output.seek(0)
        printed = output.read().decode(errors="replace")
    print(printed, end="", flush=True)
    say(f"The second demo took {time.monotonic() - began:.1f} s")
    if status == 0 and NOTHING_TO_DO in printed:
        return 0
    say(f"The second demo did not print: {NOTHING_TO_DO}")
    return 1
