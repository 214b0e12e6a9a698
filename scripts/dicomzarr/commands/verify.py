"""`./run verify`: read every byte of the dataset again; with --repair, rebuild damage; with --dataset, read a copy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import BY_NAME, COPY, CORES, JSON, TARGETS
from dicomzarr.commands.launcher.mistakes import refuse_mistakes
from dicomzarr.commands.launcher.options import parse, results_as_config
from dicomzarr.commands.launcher.processes import say
from dicomzarr.commands.run.command import call_snakemake, run_snakemake, snakemake_command
from dicomzarr.system import files, signatures
from dicomzarr.system.project import ROOT
from dicomzarr.vocabulary.errors import UserError

_THREADS = 16  # requests at once to a server, which takes its time to answer each


def run_verify(arguments: Sequence[str]) -> int:
    """Read every byte of the dataset again and compare it with the records.

    Returns
    -------
    int
        0 if all files are as recorded, and the signature holds where --signers asks for it; else 1. With --repair, the
        exit status of the run that rebuilds the others.
    """
    if any(argument.split("=")[0] == COPY.name for argument in arguments):
        return verify_copy(arguments)
    as_json, repair = "--json" in arguments, "--repair" in arguments
    arguments = [argument for argument in arguments if argument not in ("--json", "--repair")]
    signers, arguments = signers_of(arguments)
    if repair and signers:
        raise UserError("--repair and --signers exclude each other: a repair may change what is signed")
    arguments = results_as_config(arguments)
    refuse_mistakes(arguments, Path.cwd())
    rule = "repair_dataset" if repair else "verify_dataset"
    command = ["snakemake", rule, "--snakefile", str(ROOT / "verify.smk"), "--quiet", "all"]
    command += snakemake_command([word for word in arguments if word not in TARGETS], ROOT)[1:]
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "verdict.json"
        status = call_snakemake(command, Path.cwd(), DICOMZARR_VERDICT=str(answer), DICOMZARR_SIGNERS=signers)
        if status or not files.exists(answer):
            return status or 1
        verdict = json.loads(answer.read_text(encoding="utf-8"))
    lines = verdict.pop("lines")
    is_due = repair and not verdict["good"]
    if not as_json:
        print("\n".join(lines), flush=True)
    elif not is_due:
        json_output.show(verdict)
    if verdict["good"]:
        return 0
    if not repair:
        if verdict["findings"] or verdict["unfinished"]:
            say("To rebuild only the damaged or missing files: ./run verify --repair, with the same arguments")
        return 1
    if not as_json:
        return run_snakemake(arguments)
    return run_snakemake([*arguments, JSON.name], show=lambda run: json_output.show({**verdict, "repair": run}))


def signers_of(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the absolute path that --signers names (empty without it), and the other arguments.

    Raises
    ------
    UserError
        If there is no such file, or no `ssh-keygen`: found before a large dataset is read.
    """
    rest, signers = list(arguments), ""
    for place, argument in enumerate(rest):
        name, has_value, value = argument.partition("=")
        if name == "--signers":
            following = [] if has_value else [word for word in rest[place + 1 : place + 2] if not word.startswith("-")]
            signers = value or "".join(following)
            if not signers:
                raise UserError("--signers: found nothing, needed is a FILE of allowed signers: docs/provenance.md")
            del rest[place : place + 1 + len(following)]
            signatures.check(b"", b"", Path(signers))
            return str(Path(signers).absolute()), rest
    return "", rest


def verify_copy(arguments: Sequence[str]) -> int:
    """Read every byte of a copy of a dataset and compare it with its own `checksums`; no configuration is read.

    Returns
    -------
    int
        0 if all files are as its seal states, else 1.
    """
    from dicomzarr.publishing import copies, verify_copy

    signers, arguments = signers_of(arguments)
    options = parse(BY_NAME["verify"], arguments)
    for name in options.values:
        if name not in (COPY.name, CORES.name, JSON.name):
            raise UserError(f"--dataset reads a copy alone, without configuration: leave out {name}")
    cores = options.last(CORES.name)
    if cores not in ("", "all") and not cores.isdigit():
        raise UserError(f"--cores: found {cores!r}, needed is a whole number from 1, or all")
    place = copies.find(options.last(COPY.name))
    threads = int(cores) if cores.isdigit() else _THREADS
    verdict = verify_copy.verify(place, threads, Path(signers) if signers else None)
    content = {name: getattr(verdict, name) for name in ("good", "files", "bytes", "findings", "unfinished")}
    content |= {"signature": verdict.signature.state, "signer": verdict.signature.signer}
    if options.has(JSON.name):
        json_output.show(content)
    else:
        print("\n".join(verdict.lines()), flush=True)
    if not verdict.is_listed:
        say("note: this place lists no files, so that surplus files were not looked for")
    return 0 if verdict.good else 1
