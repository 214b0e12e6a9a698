"""Records of the batch rules: `extract_batch` and `check_batch`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dicomzarr.records import check_record, record_file
from dicomzarr.records.check_record import DepthRow, SizeRow
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.system.results_folder import Results

EXTRACT, CHECK = "extract_batch", "check_batch"


def batch_record_path(results: Results, rule: str, batch: str) -> Path:
    """Return the path of the record of a rule for a batch."""
    return results.records / rule / f"{batch}.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord(RuleRecord):
    """Record of the extraction of a batch; it claims every file of its arrays and every record of its series.

    Attributes
    ----------
    series : mapping of str to str
        Fingerprint of each series, by id.
    records_digest : str
        Digest of the digests of the records of the series, by increasing id.
    detector : str
        Digest of the code that looked for text in the pixels, whose control succeeded in this job; empty without
        `burned_in: scan`.
    """

    series: Mapping[str, str]
    records_digest: str
    detector: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckBatchRecord(RuleRecord):
    """Record of reading back a batch, with its verdicts; it claims the records of its series.

    Attributes
    ----------
    depth, size : tuple
        One row per array, in the order of the arrays.
    """

    depth: tuple[DepthRow, ...]
    size: tuple[SizeRow, ...]

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        # Not super(): `slots=True` makes a new class, which the implicit argument of super() does not refer to.
        return RuleRecord.to_json(self) | check_record.rows_to_json(self.depth, self.size)

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a record from the JSON values of its fields; raises `KeyError`, `TypeError` or `ValueError`."""
        raw["depth"], raw["size"] = check_record.rows_of_json(raw)
        return cls(**RuleRecord.common_of(raw))


def load_extracted(results: Results, batch: str) -> BatchRecord:
    """Return the record of the extraction of a batch; errors as `RuleRecord.load`."""
    return BatchRecord.load(batch_record_path(results, EXTRACT, batch), must_exist=True)


def load_verdicts(results: Results, batch: str, report: str) -> list[dict[str, Any]]:
    """Return the rows of a report, ``depth`` or ``size``, in the record of reading back a batch, as JSON values."""
    path = batch_record_path(results, CHECK, batch)
    rows: list[dict[str, Any]] = record_file.read(path, CheckBatchRecord.SCHEMA, must_exist=True).fields[report]
    return rows
