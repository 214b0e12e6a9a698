"""The digest of a dataset made from nothing by the core alone, without Snakemake: a third of a second, not five.

`test_edits.py` holds it once against the real workflow; every edit is then held against it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from conftest import ROOT

from dicomzarr.privacy import pseudonyms as identity
from dicomzarr.records import digests
from dicomzarr.records.batch_record import batch_record_path
from dicomzarr.source import inventory, listing
from dicomzarr.stages import discover_files, report_tables
from dicomzarr.stages.check_batch import batch as check
from dicomzarr.stages.consolidate_dataset import accounts, volume_rows
from dicomzarr.stages.extract_batch import batch as extract
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.index_headers import index
from dicomzarr.stages.plan_batches import batches as plans
from dicomzarr.system import csv_tables, files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import settings as configuration

NEEDS_KEY = "k" * 32


def options(config: Mapping[str, Any]) -> Options:
    said = {**config, "tolerance": config["spacing_tolerance"], "software": (), "code": ""}
    return Options(**{field.name: said[field.name] for field in dataclasses.fields(Options)})


def outputs(rule: str, results: Results) -> dict[str, Path]:
    """Return the declared outputs of a rule, as its file states them."""
    text = (ROOT / "rules" / f"{rule}.smk").read_text().partition("output:")[2].partition("log:")[0]
    return {name: results.root / path for name, path in re.findall(r'(\w+)="<results>/([^"]+)"', text)}


def dataset_digest(dataset: Path) -> str:
    """Return the digest of a dataset, from its bytes."""
    found = [(str(path.relative_to(dataset)), path) for path in dataset.rglob("*") if path.is_file()]
    counted = [(name, path) for name, path in found if name != "dataset.json" and digests.counts_as_data(name)]
    return digests.digest_of((name, files.sha256_of(path)) for name, path in counted)


def digest_from_scratch(config: Mapping[str, Any], folder: Path) -> str:
    """Build a dataset in an empty folder and return its digest; `config` holds absolute source folders."""
    whole = {**yaml.safe_load((ROOT / "config.yaml").read_text()), **config, "results": str(folder)}
    settings = configuration.check(whole)
    results = Results(folder)
    for part in (results.private, results.plans, results.records):
        files.make_private(part)
    pseudonyms = identity.Pseudonyms(NEEDS_KEY.encode())
    inventory.write(settings.sources, listing.list_sources(settings.sources), results.inventory)
    headers = results.private / "headers.jsonl"
    discover_files.write_manifest(results.inventory, results.private / "manifest.csv")
    index.index_headers(results.inventory, headers, results.private / "cache", 1)
    contents = results.plans / "contents.json"
    size = whole["batch"]["megabytes"] * 1_000_000
    plans.plan_batches(results, headers, contents, pseudonyms, series_each=whole["batch"]["series"], bytes_each=size)
    batches = sorted(json_files.read_json(contents)["batches"])
    for batch in batches:
        for rule, made in (
            ("extract_batch", lambda b: extract.extract_batch(
                results.plan(b), results.inventory, results, pseudonyms, options(whole))),
            ("check_batch", lambda b: check.check_batch(
                results, results.records / "extract_batch" / f"{b}.json", "")),
        ):  # fmt: skip
            files.write_atomically(batch_record_path(results, rule, batch), made(batch).to_bytes().data)
    reports = results.dataset / "reports"
    report_tables.write_report(results, batches, "depth", csv_tables.DEPTH, reports / "depth.csv")
    report_tables.write_report(results, batches, "size", csv_tables.SIZE, reports / "size.csv")
    accounts.consolidate(
        results,
        batches,
        results.inventory,
        headers,
        pseudonyms,
        outputs("consolidate_dataset", results),
        volume_rows.Joined(),
    )
    return dataset_digest(results.dataset)
