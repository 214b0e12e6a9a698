"""A queue of jobs as a cluster has one: each job starts in a process of its own, with nothing of the main process."""

from __future__ import annotations

import json
import stat
from pathlib import Path

SUBMIT = """#!/bin/sh
# What a user's `sbatch` or `qsub` does: start the script elsewhere, and print a number. The environment does not travel
# but for the key, which the user lets the queue copy.
script="$1"
{prelude}
set -- HOME="$HOME" PATH="$PATH" DICOMZARR_KEY="$DICOMZARR_KEY"
env -i "$@" setsid sh "{folder}/start" "$script" < /dev/null > "{folder}/$$.log" 2>&1 &
echo $$
"""
START = """#!/bin/sh
cp "$1" "{folder}/$$.$(basename "$1")"  # from now on it is in the queue, whatever happens to who submitted it
while [ -e "{folder}/closed" ]; do sleep 0.1; done
sh "$1"
echo $? >> "{folder}/ended"
"""


class Queue:
    """A folder with the commands of a queue, what was submitted, and what each job printed.

    Parameters
    ----------
    folder : Path
        Where the queue's own folder is made.
    prelude : str
        Shell code that runs before a job is submitted; `$script` is its script.
    """

    def __init__(self, folder: Path, prelude: str = "") -> None:
        self.folder = folder / "queue"
        self.folder.mkdir(parents=True)
        for name, text in (("submit", SUBMIT), ("start", START)):
            path = self.folder / name
            path.write_text(text.replace("{folder}", str(self.folder)).replace("{prelude}", prelude))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def options(self) -> list[str]:
        """Return the options with which Snakemake uses this queue."""
        return [
            *("--executor", "cluster-generic", "--cluster-generic-submit-cmd", str(self.folder / "submit")),
            *("--jobs", "2", "--seconds-between-status-checks", "1"),
        ]

    def scripts(self) -> list[str]:
        """Return the scripts of all jobs that were submitted."""
        return [path.read_text() for path in sorted(self.folder.glob("*.snakejob.*.sh"))]

    def threads(self) -> list[int]:
        """Return how many threads each job asked for."""
        properties = [script.splitlines()[1].removeprefix("# properties = ") for script in self.scripts()]
        return [json.loads(line)["threads"] for line in properties]

    def printed(self) -> str:
        """Return what all jobs printed."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def ended(self) -> list[int]:
        """Return the exit statuses of the jobs that have ended."""
        path = self.folder / "ended"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def close(self) -> None:
        """Let jobs wait in the queue."""
        (self.folder / "closed").touch()

    def open(self) -> None:
        """Start the jobs that wait, and those to come."""
        (self.folder / "closed").unlink()
