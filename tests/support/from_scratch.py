"""Build a dataset without Snakemake and return its digest: a third of a second, not five.

`test_edits.py` compares it once with the real workflow, then compares the dataset with it after every edit.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from conftest import REASON, ROOT, Workflow

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records import digests
from dicomzarr.records.batch_record import batch_record_path
from dicomzarr.source import inventory, listing
from dicomzarr.source.archives import bounds
from dicomzarr.stages import discover_files, report_tables
from dicomzarr.stages.check_batch.batch import check_batch
from dicomzarr.stages.consolidate_dataset import accounts, volume_rows
from dicomzarr.stages.extract_batch.batch import extract_batch
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.index_headers.index import index_headers
from dicomzarr.stages.plan_batches.batches import plan_batches
from dicomzarr.stages.write_cards.columns import Vocabularies
from dicomzarr.stages.write_cards.dataset_card import Policy
from dicomzarr.stages.write_cards.write import cards
from dicomzarr.system import csv_tables, files, json_files, sandbox
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import settings
from dicomzarr.workflow.code_digest import code_digest

KEY = "k" * 32


def options(config: Mapping[str, Any], decided: Mapping[str, str] = {}) -> Options:
    """Return the options of extraction of a configuration and of decisions about text in pixels."""
    names = tuple((name, tuple(entries)) for name, entries in config["masks"].get("names", {}).items())
    values = {**config, "tolerance": config["spacing_tolerance"], "software": (), "code": "", "mask_names": names}
    values |= {"detector": code_digest("dicomzarr/burned_in/scan.py") if config["burned_in"] == "scan" else ""}
    values |= {"decisions": tuple(sorted(decided.items()))}
    return Options(**{field.name: values[field.name] for field in dataclasses.fields(Options) if field.name in values})


def outputs(rule: str, results: Results) -> dict[str, Path]:
    """Return the declared outputs of a rule, from its file."""
    text = (ROOT / "rules" / f"{rule}.smk").read_text().partition("output:")[2].partition("log:")[0]
    return {name: results.root / path for name, path in re.findall(r'(\w+)=(?:report\(\s*)?"<results>/([^"]+)"', text)}


def dataset_digest(dataset: Path) -> str:
    """Return the digest of a dataset, computed from its files."""
    paths = [(str(path.relative_to(dataset)), path) for path in dataset.rglob("*") if path.is_file()]
    data = [(name, path) for name, path in paths if name != "dataset.json" and digests.counts_as_data(name)]
    return digests.digest_of((name, files.sha256_of(path)) for name, path in data)


def write_cards(results: Results, config: Mapping[str, Any]) -> None:
    """Write the cards of a dataset without labels and splits."""
    text = (ROOT / "rules" / "write_cards.smk").read_text().partition("input:")[2].partition("output:")[0]
    tables = re.findall(r'"<results>/dataset/([^"]+\.csv)"', text)
    reason = config["burned_in_reason"] if config["burned_in"] == "keep" else ""
    faces_reason = config["faces_reason"] if config["faces"] == "keep" else ""
    policy = Policy(config["burned_in"], reason, config["small_cells"], config["faces"], faces_reason)
    for name, content in cards(results.dataset, tables, config["card"], Vocabularies(), policy).items():
        files.write_atomically(results.dataset / name, content)


def digest_from_scratch(config: Mapping[str, Any], folder: Path, decided: Mapping[str, str] = {}) -> str:
    """Build a dataset in an empty folder and return its digest.

    Parameters
    ----------
    config : mapping
        With absolute source folders.
    folder : Path
        The results.
    decided : mapping of str to str
        Decisions about text in pixels, by content.
    """
    complete = {**yaml.safe_load((ROOT / "config.yaml").read_text()), **config, "results": str(folder)}
    checked = settings.check(complete)
    results = Results(folder)
    for part in (results.private, results.plans, results.records):
        files.make_private(part)
    pseudonyms = Pseudonyms(KEY.encode())
    inventory.write(checked.sources, listing.list_sources(checked.sources), results.inventory)
    headers = results.private / "headers.jsonl"
    cache = results.private / "cache"
    bounds.use_configured(cache, complete["archives"])
    manifest, archives = (results.private / name for name in ("manifest.csv", "archives.csv"))
    written = discover_files.Outputs(manifest, results.members, archives)
    discover_files.write_manifest(results.inventory, written, cache)
    index_headers(results.inventory, headers, cache, 1, members=results.members)
    contents = results.plans / "contents.json"
    size = complete["batch"]["megabytes"] * 1_000_000
    plan_batches(results, headers, contents, pseudonyms, series_each=complete["batch"]["series"], bytes_each=size)
    batches = sorted(json_files.read_json(contents)["batches"])
    for batch in batches:
        decisive = options(complete, decided)
        extracted = extract_batch(results.plan(batch), results.inventory, results, pseudonyms, decisive)
        record = batch_record_path(results, "extract_batch", batch)
        files.write_atomically(record, extracted.to_bytes().data)
        checks = check_batch(results, record, "")
        files.write_atomically(batch_record_path(results, "check_batch", batch), checks.to_bytes().data)
    reports = results.dataset / "reports"
    report_tables.write_report(results, batches, "depth", csv_tables.DEPTH, reports / "depth.csv")
    report_tables.write_report(results, batches, "size", csv_tables.SIZE, reports / "size.csv")
    accounts.consolidate(
        results,
        batches,
        accounts.SourceLists(results.inventory, results.members, headers, results.unplaced_masks),
        pseudonyms,
        outputs("consolidate_dataset", results),
        volume_rows.Joined(expected_masks=sorted(complete["masks"].get("expected", []))),
    )
    write_cards(results, complete)
    sandbox.end_all()  # a child of this process would keep open the pipes of others that the test started
    return dataset_digest(results.dataset)


def digest_of_workflow(workflow: Workflow, decided: Mapping[str, str] = {}) -> str:
    """Return the digest of a dataset that is built from scratch from the source and the configuration of a workflow."""
    config = {"burned_in": "keep", "burned_in_reason": REASON, **workflow.config, "source": str(workflow.source)}
    folder = workflow.folder / "scratch"
    try:
        return digest_from_scratch(config, folder, decided)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
