"""What surrounds the work of a rule: its log, its record, and errors that leak nothing.

A record in `private/records/` drives the work: a rule's outputs with their sizes and digests, so that the scan can tell
whether they are still there. Its projection in `dataset/provenance/` says what was done, without clock, host or path.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dicomzarr import limits, locks, storage
from dicomzarr.errors import UserError
from dicomzarr.paths import Results

SCHEMA_VERSION = 1
# Packages whose version may change bytes of the dataset.
SOFTWARE = ("blake3", "google-crc32c", "imagecodecs", "numcodecs", "numpy", "pillow", "pydicom", "zarr")
# Parameters that may be shown: numbers and closed vocabularies of the configuration.
SHAREABLE = (
    "compression",
    "layout",
    "tolerance",
    "cross_check",
    "burned_in",
    "small_cells",
    "level",
    "labels",
    "splits",
    "code",
)

log = logging.getLogger("dicomzarr")


@dataclasses.dataclass
class Step:
    """What a script hands back: `result` is a dataclass or a mapping of JSON values."""

    result: Any = None


def software() -> dict[str, str]:
    """Return the versions of the packages that shape the data."""
    return {name: importlib.metadata.version(name) for name in SOFTWARE}


def software_versions() -> list[str]:
    """Return `software` as a list of ``name version``."""
    return [f"{name} {version}" for name, version in software().items()]


def quiet() -> None:
    """Silence what libraries say, since it may quote a header, and write no core dumps."""
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").disabled = True
    logging.raiseExceptions = False
    limits.dump_no_core()


def where(error: BaseException) -> str:
    """Return the type of an error and the lines of this project it passed, never its text."""
    places = [
        f"{Path(frame.filename).stem}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "dicomzarr" in frame.filename
    ]
    return f"{type(error).__name__} at {' < '.join(reversed(places[-6:])) or 'an unknown place'}"


def disk_trouble(error: OSError) -> str:
    """Return a sentence for an operating-system error that names neither file nor patient."""
    return f"the operating system says: {os.strerror(error.errno) if error.errno else type(error).__name__}"


def _plain(result: Any) -> Any:
    return dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result


def claims(results: Results, outputs: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return ``{path below results: [size, sha256]}`` of the files; the digest is empty for private ones."""
    made: dict[str, list[Any]] = {}
    for path in sorted(outputs.values()):
        name = os.path.relpath(path, results.root)
        shared = name.startswith("dataset" + os.sep)
        made[name] = [os.path.getsize(path), storage.sha256_of(Path(path)) if shared else ""]
    return made


def _write_records(snakemake: Any, results: Results, step: Step) -> None:
    named = {name: str(path) for name, path in snakemake.output.items()}
    shown = {key: value for key, value in sorted(dict(snakemake.params.items()).items()) if key in SHAREABLE}
    result = _plain(step.result) or {}
    if "provenance" in named:
        outputs = {
            name: storage.sha256_of(Path(path))
            for name, path in named.items()
            if name not in ("record", "provenance") and os.path.relpath(path, results.root).startswith("dataset")
        }
        projection = {
            "schema_version": SCHEMA_VERSION,
            "rule": snakemake.rule,
            "params": shown,
            "software": software(),
            "inputs": result.get("inputs", {}),
            "outputs": outputs | result.get("outputs", {}),
            "counts": result.get("counts", {}),
        }
        storage.write_atomically(Path(named["provenance"]), storage.canonical_json(projection))
    if "record" in named:
        made = {name: path for name, path in named.items() if name != "record"}
        record = {
            "schema_version": SCHEMA_VERSION,
            "rule": snakemake.rule,
            "claims": claims(results, made) | result.get("claims", {}),
            **{key: value for key, value in result.items() if key != "claims"},
        }
        storage.write_atomically(Path(named["record"]), storage.canonical_json(record), private=True)


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
    An error ends the process with exit code 1 and one line, on the terminal and in the log: a `UserError` with its
    text; anything else by its type and the lines of this project it passed. Texts of other exceptions may quote a
    header or a path and are never shown.
    """
    quiet()
    results = Results(Path(snakemake.config["results"]))
    handler = logging.FileHandler(str(snakemake.log[0]), mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    log.propagate = False
    try:
        with locks.job(results.private):
            log.info("%s starts", snakemake.rule)
            current = Step()
            yield current
            _write_records(snakemake, results, current)
            log.info("%s ends", snakemake.rule)
    except UserError as error:
        _give_up(snakemake.rule, str(error))
    except OSError as error:
        _give_up(snakemake.rule, f"{disk_trouble(error)} ({where(error)})")
    except KeyboardInterrupt:
        _give_up(snakemake.rule, "interrupted; run the same command again to go on")
    except Exception as error:
        _give_up(snakemake.rule, f"internal error, {where(error)}; please open an issue with this line")
    finally:
        log.removeHandler(handler)
        handler.close()


def _give_up(rule: str, text: str) -> None:
    log.error("%s: %s", rule, text)
    print(f"{rule}: {text}", file=sys.stderr, flush=True)
    raise SystemExit(1)
