"""One run over hostile files: each gets an acceptable reason, good files are exact, no canary leaves `private/`."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from blake3 import blake3
from canaries import leaks, pattern
from conftest import FULL, REASON, ROOT
from good_traps import TEXTS, text_tags
from hostile import write
from ordinary import WITHOUT_CAPABILITIES
from traps import PWNED, Traps

NOBODY = 65534
KEY = "k" * 32
SECONDS = 10  # of processor time that one file may take
MIB = 1 << 20
# The largest process of the run, and its exit code.
PEAK = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("PEAK", json.dumps([code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


@dataclass
class Trapped:
    """A run over the traps."""

    folder: Path
    traps: Traps
    code: int
    is_ordinary: bool  # whether file permissions applied to it
    peak: float  # MiB of the largest process
    output: str

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def table(self, name: str) -> list[dict[str, str]]:
        with open(self.results / name, newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))


def may_run(user: int) -> bool:
    """Return whether a user can read this project and start this Python."""
    command = [sys.executable, "-c", "import sys; open(sys.argv[1]); import snakemake", str(ROOT / "Snakefile")]
    try:
        return not subprocess.call(command, user=user, group=user, extra_groups=[], cwd="/", stderr=subprocess.DEVNULL)
    except PermissionError:
        return False


def run_as(user: int | None, folder: Path, wrapper: Sequence[str] = ()) -> Trapped:
    """Write the hostile files and run the workflow on them; for another user this process must be root."""
    traps = write(folder / "source")
    config: dict[str, Any] = {"source": "source", "results": "results"}
    config |= {"burned_in": "keep", "burned_in_reason": REASON}
    config["batch"] = {"series": 200, "megabytes": 10_000}  # a few jobs
    config["limits"] = {"seconds": SECONDS}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    credentials: dict[str, Any] = {}
    if user is not None:
        subprocess.run(["chown", "-hR", f"{user}:{user}", folder], check=True)
        credentials = {"user": user, "group": user, "extra_groups": []}
    environment = os.environ | {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary"), "DICOMZARR_KEY": KEY}
    environment |= {"XDG_CACHE_HOME": str(folder / "home"), "MPLCONFIGDIR": str(folder / "home")}
    command = [*wrapper, sys.executable, "-c", PEAK, sys.executable, "-m", "snakemake"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--configfile", "config.yaml"]
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False, **credentials
    )
    printed, _, peak = run.stdout.rpartition("PEAK ")
    code, kilobytes = json.loads(peak)
    is_ordinary = bool(wrapper) or user is not None or os.geteuid() != 0
    return Trapped(folder, traps, code, is_ordinary, kilobytes / 1024, printed + run.stderr)


@pytest.fixture(scope="module", params=["this user", "ordinary user"])
def trapped(request: pytest.FixtureRequest) -> Iterator[Trapped]:
    """Return the run of this user, or of an ordinary user where this is root; the long form runs both.

    The latter is another user if it can read this checkout and start this Python, else root without capabilities.
    """
    user, wrapper = None, []
    if request.param == "this user" and os.geteuid() == 0 and not FULL:
        pytest.skip("root: the run as an ordinary user is enough; DICOMZARR_TEST_FULL=1 does both")
    if request.param == "ordinary user":
        if os.geteuid() != 0:
            pytest.skip("not root: the run as an ordinary user is the other one")
        if may_run(NOBODY):
            user = NOBODY
        else:
            wrapper = [sys.executable, "-c", WITHOUT_CAPABILITIES]
    folder = Path(tempfile.mkdtemp(prefix="dicomzarr-traps-"))  # other users cannot read pytest's own
    folder.chmod(0o755)
    try:
        yield run_as(user, folder, wrapper)
    finally:
        for closed in (folder / "source" / "entries").glob("*"):
            if closed.is_dir() and not closed.is_symlink():
                closed.chmod(0o755)
        shutil.rmtree(folder)


def test_there_are_many_hostile_files_and_canaries(trapped: Trapped) -> None:
    traps = trapped.traps
    assert traps.hostile >= 200 and len(traps.voxels) >= 30 and len(traps.canaries) > 1000
    planted = {vr for _, vr in text_tags()}
    assert planted == TEXTS and len(text_tags()) > 1000


def test_the_run_succeeds_in_little_memory(trapped: Trapped) -> None:
    assert trapped.code == 0, trapped.output[-3000:]
    assert trapped.peak < 1024


def test_every_path_has_an_acceptable_reason(trapped: Trapped) -> None:
    rows = {row["path"]: row["reason"] for row in trapped.table("private/files.csv")}
    expected = dict(trapped.traps.expected)
    if trapped.is_ordinary:  # it cannot read the entries of a closed folder
        del expected["entries/closed/file"]
        expected["entries/closed"] = frozenset({"unreadable_folder"})
        closed = [path for path in expected if re.fullmatch(r"entries/(unreadable|listed( |%20)only/file)", path)]
        assert len(closed) == 2
        expected |= dict.fromkeys(closed, frozenset({"unreadable_file"}))
    assert set(rows) == set(expected)
    unexpected = {
        path: (rows[path], sorted(reasons)) for path, reasons in expected.items() if rows[path] not in reasons
    }
    assert not unexpected
    assert "internal_error" not in rows.values()


def test_every_good_file_is_exact(trapped: Trapped) -> None:
    frames = {row["path"]: row for row in trapped.table("private/frames.csv")}
    for path, voxels in trapped.traps.voxels.items():
        row = frames[path]
        stored = zarr.open_array(str(trapped.results / "dataset/images.zarr" / row["array"] / "0"), mode="r")[...]
        assert isinstance(stored, np.ndarray)
        expected = np.moveaxis(voxels, -1, 0) if voxels.ndim == 3 else voxels
        assert stored.dtype == expected.dtype and row["t"] == row["z"] == ""
        np.testing.assert_array_equal(stored, expected)


def test_no_canary_leaves_the_private_folder(trapped: Trapped) -> None:
    folder = trapped.folder
    digests = []
    for path in trapped.traps.voxels:
        content = (trapped.traps.source / path).read_bytes()
        digests += [hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha1", "sha256")]
        digests.append(blake3(content).hexdigest())
    outside = [folder / "results", folder / ".snakemake", folder / "home", folder / "temporary"]
    assert not leaks(outside, trapped.results / "private", tuple(digests))
    assert not pattern().search(trapped.output.encode())
    private = trapped.results / "private"
    assert len(leaks([private], Path("/nowhere"))) > 3  # the search works
    assert {path.stat().st_mode & 0o077 for path in [private, *private.rglob("*")] if not path.is_symlink()} == {0}


def test_no_planted_code_ran_and_no_file_was_written_elsewhere(trapped: Trapped) -> None:
    folder = trapped.folder
    assert not [path for path in folder.rglob("*") if path.name == PWNED]
    assert {path.name for path in folder.iterdir()} == {
        *("source", "outside", "results", ".snakemake", "config.yaml", "home", "temporary")
    }


def test_no_file_took_long(trapped: Trapped) -> None:
    """No file reached the time limit, after which its process is killed, and no job took long."""
    rows = trapped.table("private/files.csv")
    assert not [row["path"] for row in rows if row["reason"] == "timeout"]
    seconds = {}
    for table in (trapped.results / "benchmarks").rglob("*.tsv"):
        heads, row = (line.split("\t") for line in table.read_text().splitlines())
        if (value := row[heads.index("cpu_time")]) != "NA":  # the job was shorter than Snakemake took to look at it
            seconds[table.name] = float(value)
    assert seconds and max(seconds.values()) < 300  # also on a slow machine
