"""The library that runs the networks tells nobody that it does: hosts with patients are no place for telemetry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT
from waiting import HANG

_LOOK = (
    "import numpy; from dicomzarr.burned_in.networks import probabilities;"
    "probabilities('first', numpy.zeros((64, 64), numpy.float32));"
    "import os; print(*{os.readlink(f'/proc/self/fd/{name}').partition(':')[0] for name in os.listdir('/proc/self/fd')"
    " if os.path.exists(f'/proc/self/fd/{name}')})"
)


def test_looking_for_text_starts_no_telemetry(tmp_path: Path) -> None:
    """Without a stop, it keeps an id of the machine and a queue of events in these folders, which it sends."""
    folders = {name: tmp_path / name for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for folder in folders.values():
        folder.mkdir()
    # It sends nothing where it knows a machine of CI.
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = kept | {name: str(folder) for name, folder in folders.items()}
    environment |= {"PYTHONPATH": str(ROOT / "scripts"), "ORT_DISABLE_TELEMETRY": "0"}
    command = [sys.executable, "-c", _LOOK]
    shown = subprocess.run(
        command, check=True, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=HANG
    ).stdout
    assert "socket" not in shown
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_one_module_alone_starts_that_library() -> None:
    folders = [ROOT / name for name in ("scripts", "benchmarks", "examples")]
    statement = re.compile(r"^ *(?:import|from) onnxruntime\b", re.MULTILINE)
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    assert [path.name for path in paths if statement.search(path.read_text("utf-8"))] == ["networks.py"]
