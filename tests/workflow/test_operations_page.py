"""The commands of docs/operations.md, in its order, in one folder; plain runs are forked, words are started."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT
from dicoms import save_series
from forks import Forks
from waiting import wait_until

from dicomzarr.commands.launcher.options import results_as_config
from dicomzarr.stages import verify_dataset
from dicomzarr.system.results_folder import Results

PAGE = (ROOT / "docs" / "operations.md").read_text()
# Stands for ./run: a run without a word is forked by the test, which is quicker; anything else is the real launcher.
RUN = """#!{python} -IS
import json, os, socket, sys
arguments = sys.argv[1:]
if not os.environ.get("RUNS") or not (arguments[0].startswith("-") or arguments[0] == "publish"):
    os.execv({python!r}, [{python!r}, {launcher!r}, *arguments])
link = socket.socket(socket.AF_UNIX)
link.connect(os.environ["RUNS"])
link.sendall(json.dumps(arguments).encode() + b"\\n")
answer = json.loads(link.makefile().readline())
print(answer["output"])
sys.exit(answer["status"])
"""


def sections() -> dict[str, list[str]]:
    """Return the commands of each section; a fenced block without a language holds commands, one a line."""
    found = {}
    for part in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        blocks = re.findall(r"^```\n(.*?)^```$", part, re.M | re.S)
        found[part.split("\n")[0]] = [line for block in blocks for line in block.splitlines()]
    return {heading: commands for heading, commands in found.items() if commands}


@contextmanager
def forked_runs(forks: Forks | None, folder: Path) -> Iterator[dict[str, str]]:
    """Serve runs on a socket; yield the variables with which `RUN` finds it."""
    if forks is None:
        yield {}
        return
    options = ["--snakefile", str(ROOT / "Snakefile")]
    with socket.socket(socket.AF_UNIX) as runs:
        runs.bind(str(folder / "runs"))
        runs.listen()

        def serve() -> None:
            while True:
                try:
                    link, _ = runs.accept()
                except OSError:
                    return
                with link, link.makefile() as stream:
                    arguments = results_as_config(json.loads(stream.readline()))  # as ./run does
                    forks.start([*options, *arguments], folder, PLAIN, folder / "output.txt")
                    status = forks.wait()
                    output = (folder / "output.txt").read_text(errors="replace")
                    link.sendall(json.dumps({"status": status, "output": output}).encode() + b"\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield {"RUNS": str(folder / "runs")}
        runs.shutdown(socket.SHUT_RDWR)
        thread.join()


class Folder:
    """The folder in which the commands of the page are run."""

    def __init__(self, folder: Path, environment: Path, runs: dict[str, str]) -> None:
        self.folder, self.published = folder, folder / "published"
        self.published.mkdir()
        self.variables = {**PLAIN, "DICOMZARR_VENV": str(environment), **runs}
        (folder / "run").write_text(RUN.format(python=sys.executable, launcher=str(ROOT / "run")))
        (folder / "run").chmod(0o755)
        (configuration,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
        (folder / "my.yaml").write_text(self.here(configuration))

    def here(self, text: str) -> str:
        return text.replace("/PUBLISHED", str(self.published))

    def do(self, heading: str) -> str:
        """Run the commands of a section and return what they printed; each must end as the page says."""
        printed = []
        for command in SECTIONS[heading]:
            expected = re.search(r"# .*\bexit code (\d)", command)
            done = subprocess.run(
                ["bash", "-c", self.here(command)],
                cwd=self.folder,
                env=self.variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == (int(expected[1]) if expected else 0), f"{command}\n{done.stdout}{done.stderr}"
            printed.append(done.stdout + done.stderr)
        return "\n".join(printed)

    def rows(self, results: str = "results") -> dict[str, dict[str, str]]:
        with open(self.folder / results / "dataset/volumes.csv", newline="") as stream:
            return {row["array"]: row for row in csv.DictReader(stream)}

    def holding(self, text: bytes) -> set[str]:
        """Return the files of the results and of Snakemake's folder that hold a text or have it in their path."""
        folders = [self.folder / "results", self.folder / ".snakemake", self.published]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        named = {path.relative_to(self.folder).as_posix(): path for path in files}
        return {name for name, path in named.items() if text in name.encode() + b"\n" + path.read_bytes()}


SECTIONS = sections()
PLAIN = {name: value for name, value in os.environ.items() if name not in ("DICOMZARR_KEY", "FORKS_SOCKET")}


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path, warm: Forks | None, environment: Path) -> None:
    for series in ("alpha", "beta", "gamma"):
        save_series(tmp_path / "incoming" / series, series, 3)
    with forked_runs(warm, tmp_path) as runs:
        folder = Folder(tmp_path, environment, runs)
        folder.do("Run")
        first = folder.rows()
        assert len(first) == 3
        assert folder.do("Release").count("0 damaged, 0 missing, 0 surplus") == 2  # the results, and what was published
        assert [name for name in folder.holding(min(first).encode()) if name.startswith("published/")]

        save_series(tmp_path / "incoming/delta", "delta", 3)
        printed = folder.do("Run again when files came")
        assert "source: 3 entries are new" in printed and printed.count("\nadded ") == 1
        (added,) = folder.rows().keys() - first.keys()
        assert f"added    {added}" in printed

        save_series(tmp_path / "incoming/late", "epsilon", 3)
        if warm:
            arguments = ["--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--configfile", "my.yaml"]
            arguments += ["--until", "extract_batch"]  # no new seal, if the kill comes late
            group = warm.start(arguments, tmp_path, PLAIN, tmp_path / "output.txt")
            wait_until(lambda: not (tmp_path / "results/dataset/dataset.json").exists())  # the first job removes it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            warm.wait()
            assert not (tmp_path / "results/dataset/dataset.json").exists()
        folder.do("Recover from an interruption")
        assert len(folder.rows()) == 5

        chunk = next((tmp_path / "results/dataset/images.zarr" / added).glob("0/c/*/*/*"))
        data = bytearray(chunk.read_bytes())
        data[len(data) // 2] ^= 1
        chunk.write_bytes(data)
        printed = folder.do("Repair damage")
        assert f"\ndamaged  images.zarr/{added}/0/c/0/0/0\n" in f"\n{printed}"
        assert verify_dataset.verify(Results(tmp_path / "results")).good

        assert "the same data: 0 added" in folder.do("Rebuild from scratch")

        before, files = folder.rows(), {f"beta/{path.name}" for path in (tmp_path / "incoming/beta").iterdir()}
        printed = folder.do("Retire a patient")
        assert {*re.findall(r'"path":"(.*?)"', printed)} == files and len(files) == 3
        (retired,) = before.keys() - folder.rows().keys()
        assert f"retired  {retired}" in printed
        assert not folder.holding(b"patient-beta") and not folder.holding(b"beta/")
        # The id of the series is left in the log of revoked records, and in what ./run keeps of its last build.
        left = {"results/private/revoked.jsonl", "results/private/last_build/volumes.csv"}
        assert folder.holding(retired.split("/")[0].encode()) <= left

        before = folder.rows()
        printed = folder.do("Rotate the key")
        after = folder.rows()
        assert "made with different keys" in printed and "the same volumes, but" in printed
        assert not any(folder.holding(array.split("/")[0].encode()) for array in before)  # published versions included
        assert sorted(row["pixel_digest"] for row in before.values()) == sorted(
            row["pixel_digest"] for row in after.values()
        )
    assert set(SECTIONS) == set(re.findall(r'folder\.do\("(.*?)"\)', Path(__file__).read_text()))
