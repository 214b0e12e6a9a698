"""The record of a rule, and its shareable projection in `dataset/provenance/`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dicomzarr.system import digested_json, files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.system.software import software

SCHEMA_VERSION = 1


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


def _plain(result: Any) -> Any:
    return dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result


def claims(results: Results, outputs: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return ``{path below results: [size, sha256]}`` of the files."""
    return {
        os.path.relpath(path, results.root): [os.path.getsize(path), files.sha256_of(Path(path))]
        for path in sorted(outputs.values())
    }


def digests_of(params: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return a digest of each param of a rule or a job, functions left out: what a record was made with."""
    return {
        name: files.sha256_of_bytes(json_files.canonical_json(value))[:16]
        for name, value in params
        if not callable(value)
    }


def write(rule: str, outputs: Mapping[str, str], params: Mapping[str, Any], results: Results, answer: Any) -> None:
    """Write the shareable projection of a job, then its private record, as far as the rule declares them.

    Parameters
    ----------
    rule : str
        Name of the rule.
    outputs : mapping of str to str
        Paths of its outputs by name: `record` receives the private record, `provenance` the projection; both state
        sizes and digests of the others.
    params : mapping of str to object
        Params of the job.
    results : Results
    answer : dataclass, mapping or None
        What the script handed back: `counts`, `inputs`, `outputs` and `claims` are merged with what is known here.
    """
    result = _plain(answer) or {}
    if "provenance" in outputs:
        made = {
            name: files.sha256_of(Path(path))
            for name, path in outputs.items()
            if name not in ("record", "provenance") and os.path.relpath(path, results.root).startswith("dataset")
        }
        projection = {
            "schema_version": SCHEMA_VERSION,
            "rule": rule,
            "params": {key: value for key, value in sorted(params.items()) if key in SHAREABLE},
            "software": software(),
            "inputs": result.get("inputs", {}),
            "outputs": made | result.get("outputs", {}),
            "counts": result.get("counts", {}),
        }
        files.write_atomically(Path(outputs["provenance"]), json_files.canonical_json(projection))
    if "record" in outputs:
        others = {name: path for name, path in outputs.items() if name != "record"}
        record = {
            "schema_version": SCHEMA_VERSION,
            "rule": rule,
            "params": digests_of(params.items()),
            "claims": claims(results, others) | result.get("claims", {}),
            **{key: value for key, value in result.items() if key != "claims"},
        }
        files.write_atomically(Path(outputs["record"]), digested_json.record_json(record), private=True)
