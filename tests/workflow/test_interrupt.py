"""Ctrl-C on a terminal while the real Snakemake starts: 130 as the README says, and no traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, Workflow
from dicoms import save_series
from waiting import HANG

ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize("after", [0.0, 0.1, 0.4, 0.8, 1.2, 1.6])
def test_ctrl_c_before_the_first_job(workflow: Workflow, environment: Path, after: float) -> None:
    save_series(workflow.source, "alpha", 3)
    workflow.write_config()
    keyboard, terminal = os.openpty()
    command = [sys.executable, str(ROOT / "run"), "-n", "--cores", "1", "--configfile", "config.yaml"]
    running = subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, *command],
        cwd=workflow.folder,
        env={**os.environ, **workflow.environment, "DICOMZARR_VENV": str(environment)},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        assert running.stdout and running.stdout.readline().startswith("+ snakemake ")
        time.sleep(after)
        os.write(keyboard, b"\x03")
        output = running.communicate(timeout=HANG)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        os.close(keyboard)
        os.close(terminal)
    assert "Traceback" not in output and "KeyboardInterrupt" not in output, output
    assert running.returncode == 130 or "This was a dry-run" in output, output
