"""What surrounds the work of a rule: its log, its record, and errors that leak nothing.

A record in `private/records/` drives the work: a rule's outputs with their sizes and digests, so that the scan can tell
whether they are still there. Its projection in `dataset/provenance/` says what was done, without clock, host or path.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dicomzarr.records import rule_record
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.system import digested_json, files, locks, run_token
from dicomzarr.system.results_folder import Results
from dicomzarr.system.safe_messages import error_location, os_error_message, silence_libraries
from dicomzarr.vocabulary import errors
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.rules import RULES, SEALED

# A job multiplies no matrices: a thread of OpenBLAS, which Snakemake asks for, would spin for a tenth of a second when
# numpy is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"


DAMAGED = (
    "what an earlier step wrote is damaged and was taken back; run the same command again: it is made anew. If this "
    "comes again, check the disk"
)

log = logging.getLogger("dicomzarr")


@dataclasses.dataclass
class Step:
    """What a script hands back: `result` is a dataclass or a mapping of JSON values."""

    result: Any = None


def name_of(rule: str) -> str:
    """Return our name of a rule, which another workflow may have given a prefix or a suffix (`use rule * as dz_*`)."""
    ours = [known.name for known in RULES if known.name in rule]
    return max(ours, key=len, default=rule)


def _refuse_damage(snakemake: Any, results: Results) -> None:
    """Refuse inputs that are no longer as an earlier step wrote them; their record is taken back.

    The scan compares sizes alone. A job of a batch reads a plan, whose digest is a param, and records, which tell
    their damage themselves.

    Raises
    ------
    UserError
        If there are any: the next run makes them anew.
    """
    if snakemake.wildcards:
        return
    wanted = {os.path.relpath(path, results.root) for path in snakemake.input}
    damaged = False
    for path in results.records.glob("*.json"):
        try:
            said = digested_json.read_record(path)["claims"]
        except FileNotFoundError:
            continue  # of a job that runs beside this one
        for name in wanted & said.keys():
            if files.sha256_of(results.root / name) != said[name][1]:
                revoke(results, path, Revocation.DAMAGED)
                damaged = True
    if damaged:
        raise UserError(DAMAGED)


@contextlib.contextmanager
def step(snakemake: Any) -> Iterator[Step]:
    """Run a script's work: log to the rule's log, hold the jobs lock, write the records last.

    Parameters
    ----------
    snakemake : snakemake.iocontainers.Snakemake
        The object that Snakemake gives to a script. An output named `record` receives the private record, one named
        `provenance` its shareable projection.

    Notes
    -----
    Nothing is touched, not even a log, before it is clear that the job belongs to the current run.

    A seal of the dataset goes before the work begins: while a run is under way, and after one that was interrupted,
    nothing calls the dataset whole.

    An error ends the process with exit code 1 and one line, on the terminal and in the log: a `UserError` with its
    text; anything else by its type and the lines of this project it passed. Texts of other exceptions may quote a
    header or a path and are never shown.
    """
    silence_libraries()
    # Tables of a million rows are no garbage: looking through them again and again takes a tenth of a job.
    gc.set_threshold(50_000, 20, 100)
    results, rule = Results(Path(snakemake.config["results"])), name_of(snakemake.rule)
    handler: logging.Handler = logging.NullHandler()
    log.addHandler(logging.NullHandler())
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        with locks.job(results.private):
            run_token.check(results.private, run_token.LATENCY)
            handler = _log_to(str(snakemake.log[0]))
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            log.addHandler(handler)
            log.info("%s starts", rule)
            current = Step()
            if rule in SEALED:
                revoke(results, results.records / "seal_dataset.json", Revocation.SEAL_BROKEN)
                revoke(results, results.sealed, Revocation.SEAL_BROKEN)
                _refuse_damage(snakemake, results)
            yield current
            run_token.check(results.private)
            outputs = {name: str(path) for name, path in snakemake.output.items()}
            rule_record.write(rule, outputs, dict(snakemake.params.items()), results, current.result)
            log.info("%s ends", rule)
    except run_token.Superseded as error:
        print(f"{rule}: {error}", file=sys.stderr, flush=True)  # the log is the newer run's
        raise SystemExit(1) from None
    except UserError as error:
        _give_up(rule, str(error))
    except errors.Damaged as error:
        if error.path.is_relative_to(results.root):
            revoke(results, error.path, Revocation.DAMAGED)
        _give_up(rule, DAMAGED)
    except OSError as error:
        _give_up(rule, f"{os_error_message(error)} ({error_location(error)})")
    except KeyboardInterrupt:
        _give_up(rule, "interrupted; run the same command again to go on")
    except Exception as error:
        _give_up(rule, f"internal error, {error_location(error)}; please open an issue with this line")
    finally:
        gc.freeze()  # the process ends behind this: it need not look for garbage once more
        log.removeHandler(handler)
        with contextlib.suppress(OSError):  # a full disk: said already
            handler.close()


def _log_to(path: str) -> logging.Handler:
    """Return what writes a log; nothing does where the disk does not let it, since the work may still succeed."""
    try:
        return logging.FileHandler(path, mode="w", encoding="utf-8")
    except OSError:
        return logging.NullHandler()


def _give_up(rule: str, text: str) -> None:
    log.error("%s: %s", rule, text)
    print(f"{rule}: {text}", file=sys.stderr, flush=True)
    raise SystemExit(1)
