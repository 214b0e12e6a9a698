"""What the records say of the run: the steps in their order, the files that each wrote, and its code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.records import rule_record
from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.digests import DATASET
from dicomzarr.records.record_file import FileClaim
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.rules import RULES
from dicomzarr.vocabulary.steps import STEPS, Step

# Folders with a file for each array or series, described as a whole, and the rule that wrote them.
IMAGES, PICTURES = "images.zarr/", "reports/pictures/"
BY_SERIES = (f"provenance/{EXTRACT}/", f"provenance/{CHECK}/")


@dataclass(frozen=True, slots=True)
class StepRun:
    """A step as it was run for the whole dataset, also where it had a job for each batch.

    Attributes
    ----------
    rule : str
    step : Step
        What it reads and writes, in words.
    code : str
        Digest of its code, 16 hex digits.
    files : mapping of str to FileClaim
        The files that it wrote, by path below the dataset; without those in the folders above.
    folders : tuple of str
        The folders that it wrote.
    """

    rule: str
    step: Step
    code: str
    files: Mapping[str, FileClaim]
    folders: tuple[str, ...] = ()


def steps_of(results: Results, records: Iterable[Path]) -> list[StepRun]:
    """Return the steps with a record, and those that work on batches, in the order of the rules.

    Parameters
    ----------
    results : Results
    records : iterable of Path
        The records of the rules with one job, of all steps before.

    Raises
    ------
    Damaged
        If a record is damaged.
    """
    claims = {path.stem: rule_record.load_common(path).claims for path in records}
    runs = []
    for rule in RULES:
        if rule.name in claims:
            projection = json_files.read_json(results.dataset / "provenance" / f"{rule.name}.json")
            files = {
                name.removeprefix(DATASET): claim
                for name, claim in sorted(claims[rule.name].items())
                if name.startswith(DATASET) and not name.removeprefix(DATASET).startswith(BY_SERIES)
            }
            code = projection["params"]["code"]
            folders = tuple(f for f in BY_SERIES if any(f"{DATASET}{f}" in name for name in claims[rule.name]))
            runs.append(StepRun(rule.name, STEPS[rule.name], code, files, folders))
        elif rule.unit == "batch" and (line := _first_line(results, rule.name)):
            folders = _of_batches(results, rule.name)
            runs.append(StepRun(rule.name, STEPS[rule.name], str(line["params"]["code"]), {}, folders))
    return runs


def _of_batches(results: Results, rule: str) -> tuple[str, ...]:
    if rule == EXTRACT:
        return (IMAGES,)
    return (PICTURES,) if files.is_dir(results.pictures) and any(results.pictures.iterdir()) else ()


def _first_line(results: Results, rule: str) -> dict[str, Any]:
    """Return the provenance of a series by a batch rule: all have the same code. Nothing if there is no series."""
    for path in sorted((results.dataset / "provenance" / rule).glob("*.jsonl")):
        with open(path, "rb") as stream:
            found: dict[str, Any] = json.loads(stream.readline())
            return found
    return {}
