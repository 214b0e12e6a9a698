"""Nothing of ours or of the scheduler holds the main process back after its last job."""

from __future__ import annotations

import subprocess
import sys

from conftest import ROOT

SCRIPTS = ROOT / "scripts"
# A timer that would hold the process for longer than this test may take.
PROGRAM = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from dicomzarr.workflow.leaving import let_go
threading.Timer(600, print, ["the timer went off"]).start()
let_go()
"""


def test_a_timer_does_not_hold_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(SCRIPTS)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
