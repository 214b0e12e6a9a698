"""The record of a job, and its shareable summary in `dataset/provenance/`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from dicomzarr.records import record_file
from dicomzarr.records.record_file import FileClaim, Record
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.system.software import software
from dicomzarr.vocabulary.errors import Damaged

SCHEMA_VERSION = 2  # of records of rules and batches
PROJECTION_VERSION = 1  # of `dataset/provenance/<rule>.json`

# Params that may be shared: their values are numbers or come from closed vocabularies.
SHAREABLE = (
    "compression",
    "layout",
    "levels",
    "tolerance",
    "cross_check",
    "burned_in",
    "small_cells",
    "level",
    "labels",
    "splits",
    "code",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RuleRecord(Record):
    """Record of a job. Scripts return one without `rule` and `params`; `write` fills these in.

    Attributes
    ----------
    rule : str
    params : mapping of str to str
        A digest of each param of the job.
    claims : mapping of str to FileClaim
        The files that the job wrote, by path below the results folder.
    counts : mapping of str to int
        Counts of the data; part of the shareable summary.
    work : mapping of str to int
        How much this job had to do. It depends on earlier runs, so it is not shared.
    inputs : mapping of str to str
        Keyed digests of inputs outside of the source; part of the shareable summary.
    unreadable : tuple of str
        Paths of source files that could not be read; the record is revoked once they can.
    """

    SCHEMA: ClassVar[int] = SCHEMA_VERSION

    rule: str = ""
    params: Mapping[str, str] = dataclasses.field(default_factory=dict)
    claims: Mapping[str, FileClaim] = dataclasses.field(default_factory=dict)
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    work: Mapping[str, int] = dataclasses.field(default_factory=dict)
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    @staticmethod
    def common_of(raw: Any) -> Any:
        """Return the JSON values of a record, with the common fields converted to their types."""
        return {**raw, "claims": record_file.file_claims(raw["claims"]), "unreadable": tuple(raw["unreadable"])}

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a record from the JSON values of its fields; raises `KeyError`, `TypeError` or `ValueError`."""
        return cls(**RuleRecord.common_of(raw))


def load_common(path: Path) -> RuleRecord:
    """Return the common fields of any record of a rule or a batch; errors as `RuleRecord.load`."""
    raw = record_file.read(path, SCHEMA_VERSION).fields
    try:
        shared = {field.name: raw[field.name] for field in dataclasses.fields(RuleRecord)}
        return RuleRecord.from_json(shared)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Damaged(path) from None


def paths(results: Results) -> Iterator[Path]:
    """Yield the records of rules, then those of batches."""
    yield from sorted(results.records.glob("*.json"))
    yield from sorted(results.records.glob("*/*.json"))


def claims_of(results: Results, outputs: Iterable[str]) -> dict[str, FileClaim]:
    """Return claims on files as they are now, by path below the results folder."""
    return {
        os.path.relpath(path, results.root): FileClaim(os.path.getsize(path), files.sha256_of(Path(path)))
        for path in sorted(outputs)
    }


def digests_of(params: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Return a digest of each param of a rule or a job, by name; functions are left out."""
    return {
        name: files.sha256_of_bytes(json_files.canonical_json(value))[:16]
        for name, value in params
        if not callable(value)
    }


def write(
    rule: str, outputs: Mapping[str, str], params: Mapping[str, object], results: Results, returned: RuleRecord | None
) -> None:
    """Write the shareable summary of a job, then its private record, if the rule declares them as outputs.

    Parameters
    ----------
    rule : str
        Name of the rule.
    outputs : mapping of str to str
        Paths of its outputs by name: `record` is the private record, `provenance` the shareable summary; both list
        the digests of the others.
    params : mapping of str to object
        Params of the job.
    results : Results
    returned : RuleRecord, optional
        Record that the script returned: its claims are merged with those of the outputs.
    """
    returned = returned or RuleRecord()
    if "provenance" in outputs:
        projection = {
            "schema_version": PROJECTION_VERSION,
            "rule": rule,
            "params": {key: value for key, value in sorted(params.items()) if key in SHAREABLE},
            "software": software(),
            "inputs": returned.inputs,
            "outputs": {
                name: files.sha256_of(Path(path))
                for name, path in outputs.items()
                if name not in ("record", "provenance") and os.path.relpath(path, results.root).startswith("dataset")
            },
            "counts": returned.counts,
        }
        files.write_atomically(Path(outputs["provenance"]), json_files.canonical_json(projection))
    if "record" in outputs:
        claims = claims_of(results, (path for name, path in outputs.items() if name != "record"))
        record = dataclasses.replace(
            returned, rule=rule, params=digests_of(params.items()), claims={**claims, **returned.claims}
        )
        files.write_atomically(Path(outputs["record"]), record.to_bytes().data, private=True)
