"""The frame of every job: its log, its record, and error messages without identity.

A record in `private/records/` claims the outputs of a rule with their sizes and digests; the next run compares the
claims with what is on disk. Its projection in `dataset/provenance/` holds no time, host or path.
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
from dicomzarr.source import restored
from dicomzarr.system import digested_json, files, locks, run_token, shortage
from dicomzarr.system.results_folder import Results
from dicomzarr.system.safe_messages import error_location, os_error_message, silence_libraries
from dicomzarr.vocabulary import errors
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.rules import BATCH_RULES, DATASET_RULES, RULES, SEALED, readers_of

# Jobs multiply no matrices. Snakemake sets this variable to the threads of the job, and each thread of OpenBLAS would
# spin for a tenth of a second when numpy is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
# A library in Rust that runs out of memory prints where, for which it takes memory: it would wait for itself for ever.
os.environ["RUST_BACKTRACE"] = "0"


DAMAGED = (
    "a file that an earlier step wrote is damaged; its record was deleted: run the same command again to rebuild it. "
    "If this happens again, check the disk"
)

log = logging.getLogger("dicomzarr")


@dataclasses.dataclass
class Step:
    """The result of a script: a dataclass or a mapping of JSON values."""

    result: Any = None


def name_of(rule: str) -> str:
    """Return the name of a rule without the prefix or suffix that another workflow gave it (`use rule * as dz_*`)."""
    matching = [known.name for known in RULES if known.name in rule]
    return max(matching, key=len, default=rule)


def _refuse_damage(snakemake: Any, results: Results) -> None:
    """Compare the digests of a job's inputs with the records that claim them; revoke the records of damaged inputs.

    The main process compares sizes only. Jobs of batches are left out: the digest of their plan is a param, and a
    record holds its own digest.

    Raises
    ------
    UserError
        If an input is damaged; the next run rebuilds it.
    """
    if snakemake.wildcards:
        return
    input_names = {os.path.relpath(path, results.root) for path in snakemake.input}
    damaged = False
    for path in results.records.glob("*.json"):
        try:
            claimed = digested_json.read_record(path)["claims"]
        except FileNotFoundError:
            continue  # a job that runs at the same time deleted it
        for name in input_names & claimed.keys():
            if files.sha256_of(results.root / name) != claimed[name][1]:
                revoke(results, path, Revocation.DAMAGED)
                damaged = True
    if damaged:
        raise UserError(DAMAGED)


def _has_lost_input(results: Results, rule: str) -> bool:
    """Return whether a record of what a rule reads is gone: another reader found damage before this one looked."""
    written = [name for name in DATASET_RULES if rule in readers_of(name)]
    return not all(files.exists(results.records / f"{name}.json") for name in written)


def _revoke_readers(snakemake: Any, results: Results, rule: str) -> None:
    """Revoke the records of the jobs that read what this one is about to write; of batches, that of the same batch.

    In this run Snakemake starts these jobs again anyway. If the run ends before, the next one might not: where older
    results were put back, Snakemake remembers that those jobs have read this very content.
    """
    for reader in readers_of(rule):
        name = f"{reader}/{snakemake.wildcards.batch}" if reader in BATCH_RULES else reader
        revoke(results, results.records / f"{name}.json", Revocation.INPUT_CHANGED)


@contextlib.contextmanager
def step(snakemake: Any) -> Iterator[Step]:
    """Run the work of a script: log to the rule's log, hold the jobs lock, write the records last.

    Parameters
    ----------
    snakemake : snakemake.iocontainers.Snakemake
        The object that Snakemake gives to a script. The output `record` receives the private record, the output
        `provenance` its shareable projection.

    Yields
    ------
    Step
        The script sets its `result`, which enters the record.

    Notes
    -----
    No file is written, not even the log, before it is certain that the job belongs to the current run.

    The seal of the dataset is deleted before the work begins: during a run, and after an interrupted one, the dataset
    is not marked as complete.

    An error ends the process with exit code 1 and one line, on the terminal and in the log. A `UserError` is shown
    with its text. Any other exception is shown by its type and the lines of this project in its traceback, since its
    text may quote a header or a path.
    """
    silence_libraries()
    # The garbage collector would visit tables of a million rows again and again: a tenth of a job's time.
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
            restored.use(results.restored)
            current = Step()
            if rule in SEALED:
                revoke(results, results.records / "seal_dataset.json", Revocation.SEAL_BROKEN)
                revoke(results, results.sealed, Revocation.SEAL_BROKEN)
                files.remove_tree(results.checksums)
                _refuse_damage(snakemake, results)
            _revoke_readers(snakemake, results, rule)
            yield current
            run_token.check(results.private)
            outputs = {name: str(path) for name, path in snakemake.output.items()}
            rule_record.write(rule, outputs, dict(snakemake.params.items()), results, current.result)
            log.info("%s ends", rule)
    except run_token.Superseded as error:
        print(f"{rule}: {error}", file=sys.stderr, flush=True)  # the log belongs to the newer run
        raise SystemExit(1) from None
    except UserError as error:
        _fail(rule, str(error))
    except errors.Damaged as error:
        if error.path.is_relative_to(results.root):
            revoke(results, error.path, Revocation.DAMAGED)
        _fail(rule, DAMAGED)
    except shortage.Shortage as lack:
        _fail(rule, str(lack))
    except OSError as error:
        _fail(rule, shortage.described(error) or f"{os_error_message(error)} ({error_location(error)})")
    except KeyboardInterrupt:
        _fail(rule, "interrupted; run the same command again to continue")
    except Exception as error:
        if lacking := shortage.described(error):
            _fail(rule, lacking)
        if _has_lost_input(results, rule):
            _fail(rule, DAMAGED)
        _fail(rule, f"internal error, {error_location(error)}; please open an issue with this line")
    finally:
        gc.freeze()  # the process ends after this: no last garbage collection
        log.removeHandler(handler)
        with contextlib.suppress(OSError):  # a full disk: already reported
            handler.close()


def _log_to(path: str) -> logging.Handler:
    """Return the handler of a log file; one that writes nothing if the disk is full, since the job may succeed."""
    try:
        return logging.FileHandler(path, mode="w", encoding="utf-8")
    except OSError:
        return logging.NullHandler()


def _fail(rule: str, text: str) -> None:
    log.error("%s: %s", rule, text)
    print(f"{rule}: {text}", file=sys.stderr, flush=True)
    raise SystemExit(1)
