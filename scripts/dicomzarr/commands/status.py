"""`./run status`: what a run would do and why, as the main process of a dry run reports it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.commands.processes import say
from dicomzarr.commands.snakemake import call_snakemake, refuse_mistyped, snakemake_command

# A reason is an object with the key `reason`, which is one of these, and the keys that its line names.
LINES = {
    "first_run": "first run: {count} entries in the source",
    "source_new": "source: {count} entries are new",
    "source_changed": "source: {count} entries changed (size, time or inode; equal content extracts nothing)",
    "source_gone": "source: {count} entries are gone",
    "source_moved": "source: it lies elsewhere now",
    "made_otherwise": "results: {rule} was made with another configuration or code ({count})",
    "lost": "results: files or records of {rule} are missing or cut ({count})",
    "readable": "source: files that could not be read can be now ({count} steps or batches)",
    "paranoid": "paranoid: every file is read again ({count})",
    "job": "jobs: {job} ({count}), since {cause}",
    "jobs_unknown": "jobs: this version of Snakemake does not tell which are due; snakemake -n lists them",
    "read_only": "results: they cannot be written from here, so that a run would refuse to start; jobs are not listed",
}
# Why a job is due, by `why`.
CAUSES = {
    "forced": "the command line forces it",
    "output_missing": "its output is missing",
    "interrupted": "it was interrupted",
    "input_updated": "what it reads changed",
    "input_set_changed": "what it reads changed",
    "code_changed": "the code changed",
    "params_changed": "the configuration or the code changed",
    "software_changed": "the software changed",
}


def run_status(arguments: Sequence[str]) -> int:
    """Say what a run would do and why.

    Returns
    -------
    int
        0 where that is nothing, 2 where it is something, 1 if a run would refuse to start.
    """
    as_json = "--json" in arguments
    arguments = [argument for argument in arguments if argument != "--json"]
    refuse_mistyped(arguments, Path.cwd())
    command = [*snakemake_command(arguments, Path.cwd()), "--dry-run"]
    with tempfile.TemporaryDirectory() as folder:
        answer, printed = Path(folder) / "reasons.json", Path(folder) / "printed.txt"
        with open(printed, "wb") as output:
            status = call_snakemake(command, Path.cwd(), output=output, DICOMZARR_STATUS=str(answer))
        reasons = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else None
        if reasons is None or (status and not any(each["reason"] == "read_only" for each in reasons)):
            text = printed.read_text(encoding="utf-8", errors="replace")
            say("\n".join(line for line in text.splitlines() if line.startswith("Error: ")) or text)
            return 1
    if as_json:
        print(json.dumps({"pending": bool(reasons), "reasons": reasons}, sort_keys=True))
    else:
        print("\n".join(map(line_of, reasons)) or "Nothing to do")
    return 2 if reasons else 0


def line_of(reason: Mapping[str, Any]) -> str:
    """Return a reason in words."""
    line = LINES[reason["reason"]].format(**reason, cause=CAUSES.get(reason.get("why", ""), "Snakemake says so"))
    return re.sub(r"\b1 entries", "1 entry", re.sub(r"\b1 entries are", "1 entry is", line))
