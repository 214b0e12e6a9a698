"""`./run verify`: read every byte of the dataset again, and rebuild what is damaged where that is asked for."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dicomzarr.commands.processes import say
from dicomzarr.commands.snakemake import TARGETS, call_snakemake, refuse_mistyped, run_snakemake, snakemake_command
from dicomzarr.system.project import ROOT


def run_verify(arguments: Sequence[str]) -> int:
    """Read every byte of the dataset again.

    Returns
    -------
    int
        0 where all is as recorded, else 1; with --repair, the exit status of the run that rebuilds what is not.
    """
    as_json, repair = "--json" in arguments, "--repair" in arguments
    arguments = [argument for argument in arguments if argument not in ("--json", "--repair")]
    refuse_mistyped(arguments, Path.cwd())
    rule = "repair_dataset" if repair else "verify_dataset"
    command = ["snakemake", rule, "--snakefile", str(ROOT / "verify.smk"), "--quiet", "all"]
    command += snakemake_command([word for word in arguments if word not in TARGETS], ROOT)[1:]
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "verdict.json"
        status = call_snakemake(command, Path.cwd(), DICOMZARR_VERDICT=str(answer))
        if status or not answer.exists():
            return status or 1
        found = json.loads(answer.read_text(encoding="utf-8"))
    lines = found.pop("lines")
    print(json.dumps(found, sort_keys=True) if as_json else "\n".join(lines), flush=True)
    if found["good"]:
        return 0
    if not repair:
        say("To rebuild what is damaged or missing, and nothing else: ./run verify --repair, same arguments")
        return 1
    return run_snakemake(arguments)
