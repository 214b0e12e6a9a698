"""`./run status`: print what a run would do and why, from the reasons that a dry run reports."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.mistakes import refuse_mistakes
from dicomzarr.commands.launcher.options import results_as_config
from dicomzarr.commands.launcher.processes import say
from dicomzarr.commands.run.command import call_snakemake, snakemake_command
from dicomzarr.commands.status.mask_names import NO_MASKS, lines_of, unnamed_masks
from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.notes import RESTORED

# One line per value of `reason`; the other keys of a reason are the fields of its line.
LINES = {
    "first_run": "first run: {count} entries in the source",
    "source_new": "source: {count} entries are new",
    "source_changed": "source: {count} entries changed (size, time or inode; equal content extracts nothing)",
    "source_gone": "source: {count} entries are gone",
    "source_moved": "source: the configured folders changed",
    "made_otherwise": "results: {rule} was made with another configuration or code ({count})",
    "lost": "results: files or records of {rule} are missing or damaged ({count})",
    "readable": "source: files that could not be read are readable now ({count} steps or batches)",
    "paranoid": "paranoid: every file is read again ({count})",
    "job": "jobs: {job} ({count}), since {cause}",
    "jobs_unknown": "jobs: not known with this version of Snakemake; snakemake -n lists them",
    "read_only": "results: not writable from here, so that a run would refuse to start",
}
# One phrase per value of `why`: the cause for which a job is due.
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
    """Print what a run would do and why, and propose names for masks that have none.

    Masks without a name are no reason for a run. Their labels, which may identify people, are printed for whoever may
    read the private tables.

    Returns
    -------
    int
        0 if there is nothing to do, 2 if there is something, 1 if a run would refuse to start.
    """
    as_json = "--json" in arguments
    arguments = results_as_config([argument for argument in arguments if argument != "--json"])
    refuse_mistakes(arguments, Path.cwd())
    command = [*snakemake_command(arguments, Path.cwd()), "--dry-run"]
    with tempfile.TemporaryDirectory() as folder:
        answer, printed, place = (Path(folder) / name for name in ("reasons.json", "printed.txt", "results.txt"))
        answers = {"DICOMZARR_STATUS": str(answer), "DICOMZARR_RESULTS": str(place)}
        with open(printed, "wb") as output:
            status = call_snakemake(command, Path.cwd(), output=output, **answers)
        reasons = json.loads(answer.read_text(encoding="utf-8")) if files.exists(answer) else None
        if reasons is None or (status and not any(reason["reason"] == "read_only" for reason in reasons)):
            text = printed.read_text(encoding="utf-8", errors="replace")
            say("\n".join(line for line in text.splitlines() if line.startswith("Error: ")) or text)
            return 1
        notes = [line for line in printed.read_text("utf-8", "replace").splitlines() if line.startswith(RESTORED)]
        say("\n".join(notes)) if notes else None
        results = Path(os.fsdecode(place.read_bytes())) if files.exists(place) else None
    table = Results(results or Path()).mask_names
    unnamed = unnamed_masks(table) if results else NO_MASKS
    if as_json:
        content = {"pending": bool(reasons), "reasons": reasons, "unnamed_masks": unnamed.as_json()}
        json_output.show(content)
    else:
        print("\n".join(map(line_of, reasons)) or "Nothing to do")
        print("".join(f"{line}\n" for line in lines_of(unnamed, table)), end="")
    return 2 if reasons else 0


def line_of(reason: Mapping[str, Any]) -> str:
    """Return the line for a reason."""
    line = LINES[reason["reason"]].format(**reason, cause=CAUSES.get(reason.get("why", ""), "Snakemake requires it"))
    return re.sub(r"\b1 entries", "1 entry", re.sub(r"\b1 entries are", "1 entry is", line))
