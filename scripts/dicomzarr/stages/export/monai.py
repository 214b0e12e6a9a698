"""MONAI: a datalist of the images and label maps of the nnU-Net export, with the same splits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from dicomzarr.records import export_record
from dicomzarr.records.export_record import MONAI, NNUNET, ExportRecord
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.export.nnunet import Case, Plan, case_name, folds
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results

SCHEMA_VERSION = 1


def datalist(records: Iterable[ExportRecord], plan: Plan, cases: Mapping[str, Case]) -> dict[str, Any]:
    """Return the datalist: `training`, `validation` and `test`, each a list of `image` and `label`.

    Parameters
    ----------
    records : iterable of ExportRecord
        Of the series in the nnU-Net export.
    plan : Plan
    cases : mapping of str to Case
        By array.

    Returns
    -------
    dict
        Paths are relative to the folder of the datalist. Where no split is for validation, each entry of `training`
        has its `fold`; the folds are those of nnU-Net.
    """
    entries: dict[str, dict[str, Any]] = {}
    for record in records:
        for row in record.files:
            kind = "label" if row.file.split("/")[1].startswith("labels") else "image"
            entries.setdefault(row.array, {})[kind] = os.path.join("..", NNUNET.folder, row.file)
    arrays = sorted(entries)
    training = [array for array in arrays if cases[array].part != "test"]
    splits = folds(training, cases)
    held_out = [set(fold["val"]) for fold in splits]
    if len(splits) > 1:
        for array in training:
            entries[array]["fold"] = next(n for n, names in enumerate(held_out) if case_name(array) in names)
    validation = held_out[0] if len(splits) == 1 else set()
    return {
        "name": plan.dataset,
        "modality": {"0": plan.modality},
        "labels": plan.labels.numbers(),
        "training": [entries[array] for array in training if case_name(array) not in validation],
        "validation": [entries[array] for array in training if case_name(array) in validation],
        "test": [entries[array] for array in arrays if cases[array].part == "test"],
    }


def export(results: Results, plan: Plan, cases: Mapping[str, Case], code: str) -> RuleRecord:
    """Write the datalist and, last, `export.json`.

    Parameters
    ----------
    results : Results
        With a complete nnU-Net export.
    plan : Plan
    cases : mapping of str to Case
        By array.
    code : str
        Digest of the code of the rule.
    """
    folder = export_record.folder_of(results, MONAI)
    folder.mkdir(parents=True, exist_ok=True)
    records = [ExportRecord.load(path) for path in export_record.series_records(results, NNUNET)]
    content = datalist(records, plan, cases)
    data = (json.dumps(content, indent=2) + "\n").encode()
    counts = {name: len(content[name]) for name in ("training", "validation", "test")}
    summary = {
        "schema_version": SCHEMA_VERSION,
        "rule": MONAI.rule,
        "lossy": MONAI.lossy,
        "digest": files.sha256_of_bytes(f"datalist.json\0{files.sha256_of_bytes(data)}\n".encode()),
        "dataset_digest": json_files.read_json(results.sealed)["digest"],
        "counts": counts,
        "params": {"code": code, **plan.settings()},
        "software": {},
    }
    claims = {}
    for name, content_of_file in (("datalist.json", data), (export_record.SUMMARY, json_files.canonical_json(summary))):
        files.write_atomically(folder / name, content_of_file)
        digest = files.sha256_of_bytes(content_of_file)
        claims[f"exports/{MONAI.folder}/{name}"] = FileClaim(len(content_of_file), digest)
    return RuleRecord(counts=counts, claims=claims)
