# The configuration with its defaults, and the functions of the rules.
import functools
import json
import os
import sys
from pathlib import Path

if not workflow.current_basedir.is_local:  # github(…) and the like: Snakemake fetches the files of rules one by one
    raise WorkflowError(
        "The rules of dicomzarr need its whole folder: clone the repository at the version that you want, and name the "
        "Snakefile in the clone: config/README.md"
    )
sys.path.insert(0, str(Path(str(workflow.current_basedir)).parent / "scripts"))

from dicomzarr.system.files import sha256_of, sha256_of_bytes
from dicomzarr.system.project import ROOT
from dicomzarr.system.software import software_versions
from dicomzarr.vocabulary.findings import EXPORT_FINDINGS
from dicomzarr.vocabulary.rules import DATASET_RULES, rules_before
from dicomzarr.workflow import job_resources, main_process, shown_config
from dicomzarr.workflow.code_digest import code_digest
from dicomzarr.workflow.snakemake_quirks import other_nodes
from dicomzarr.workflow.snakemake_quirks.ending import end_without_waiting

started = main_process.start(workflow, config, sys.argv[1:])
config = started.config


# The token of the run; Snakemake passes it to jobs, also on other nodes.
envvars:
    "DICOMZARR_RUN",


# ---- Paths


def in_results(path):
    """Return a path below the results folder. `<results>` in a returned path would be that of an including workflow."""
    return f"{config['results']}/{path}"


def under_results(path):
    """Return a function for a param: a path below the results folder, since pathvars are not expanded in params."""

    def path_in_results(wildcards):
        return str(Path(config["results"]) / path)

    return path_in_results


# ---- Batches of the plan


@functools.cache
def read_contents(path):
    """Return the batches in `contents.json`; the file is read once."""
    return json.loads(Path(path).read_text())["batches"]


def planned_batches():
    """Return series, bytes and work of all batches by name; waits for the checkpoint."""
    return read_contents(str(checkpoints.plan_batches.get().output.contents))


def batch_names(wildcards):
    """Return the names of all batches."""
    return sorted(planned_batches())


def batch_plans(wildcards):
    """Return the plans of all batches."""
    return [in_results(f"private/plans/{batch}.json") for batch in batch_names(wildcards)]


def records_of(rule):
    """Return an input function: the records of a rule for all batches."""

    def records(wildcards):
        return [in_results(f"private/records/{rule}/{batch}.json") for batch in batch_names(wildcards)]

    return records


def batch_records(wildcards):
    """Return the records of all batches: extraction and check."""
    return records_of("extract_batch")(wildcards) + records_of("check_batch")(wildcards)


def plan_digest(wildcards):
    """Return the digest of a batch's plan. It is a param, since modification times are wrong if a clock is set back."""
    return planned_batches()[wildcards.batch]["digest"]


# ---- What results depend on beside files: values of params

# Versions of the libraries that write arrays. A change reruns the extraction, so that a dataset has one version only.
software = software_versions()

# What dataset.json states as the configuration.
shown_settings = shown_config.settings(config)

# The code that looks for text in pixels; arrays do not depend on it.
detector_digest = code_digest("dicomzarr/burned_in/scan.py") if config["burned_in"] == "scan" else ""
decisions_digest = main_process.decisions_digest(Path(config["results"]) / "private")

# The crate holds the Snakefile, which no code digest covers.
snakefile_digest = sha256_of(ROOT / "Snakefile")

# Where to publish, as a digest: Snakemake keeps params, and names of buckets stay in private/publish.json.
publish_digest = sha256_of_bytes(json.dumps(["publish", started.publish], sort_keys=True).encode())[:16]


def signature_digest(wildcards):
    """Return the digest of the signature of the dataset, empty without one: a new signature is published too."""
    path = Path(in_results("dataset/dataset.json.sig"))
    return sha256_of(path) if path.is_file() else ""


# ---- Labels, splits and cards

label_sources = shown_config.label_sources(config)
is_joined = bool(label_sources or config["splits"].get("fixed"))
split_shares = shown_config.split_shares(config)
splits_with_share = sorted(name for name, share in split_shares.get("fractions", {}).items() if share)
# What the cards state beside the tables.
vocabularies = {"labels": shown_config.allowed_labels(label_sources), "splits": shown_config.split_names(config)}
card_policy = {
    "burned_in": config["burned_in"],
    "reason": shown_config.reason_for("burned_in", config),
    "small_cells": config["small_cells"],
    "faces": config["faces"],
    "faces_reason": shown_config.reason_for("faces", config),
}


def joined_labels(wildcards):
    """Return the labels of the series if labels are configured."""
    return [in_results("private/labels/joined.json")] if is_joined else []


def label_record(wildcards):
    """Return the record of the labels if labels are configured."""
    return [in_results("private/records/join_labels.json")] if is_joined else []


def label_report(wildcards):
    """Return the report of the labels if labels are configured."""
    return [in_results("dataset/reports/labels.csv")] if is_joined else []


# ---- The gate

# The rules of the exports check the findings of exports.
dataset_gate = {finding: limit for finding, limit in config["gate"].items() if finding not in EXPORT_FINDINGS}


def gate_record(wildcards):
    """Return the record of the gate if a gate is configured."""
    return [in_results("private/records/check_gate.json")] if dataset_gate else []


# ---- Priority, threads, memory and time of jobs: see workflow/job_resources.py


def check_priority(wildcards):
    """Return the priority of the check of a batch."""
    return job_resources.check_priority(planned_batches(), wildcards.batch)


def extraction_priority(wildcards):
    """Return the priority of the extraction of a batch."""
    return job_resources.extraction_priority(planned_batches(), wildcards.batch)


def batch_threads(wildcards):
    """Return the number of threads that share the frames of a series, in the extraction or the check of a batch."""
    return job_resources.batch_threads(planned_batches(), wildcards.batch, other_nodes.local_cores(workflow))


def group_of(name):
    """Return the name of a group of jobs that one job of a cluster runs; None for a local run."""
    return name if started.has_groups else None


def batch_megabytes(wildcards, threads, attempt):
    """Return the memory of the extraction or the check of a batch, by its plan."""
    batch = planned_batches()[wildcards.batch]
    limit = config["limits"]["megabytes"]
    looks = config["burned_in"] == "scan"
    return job_resources.batch_megabytes(batch, threads, limit, attempt, objects=started.has_objects, looks=looks)


def batch_minutes(wildcards, attempt):
    """Return the time of the extraction or the check of a batch, by its plan."""
    batch = planned_batches()[wildcards.batch]
    looks = config["burned_in"] == "scan"
    return job_resources.batch_minutes(batch, config["compression"], config["cross_check"], attempt, looks=looks)


def inventory_size():
    """Return the size of the inventory in bytes, with members of archives that are known; 0 before the first run."""
    private = Path(config["results"]) / "private"
    paths = [private / name for name in ("inventory.jsonl", "members.jsonl")]
    return sum(path.stat().st_size for path in paths if path.exists())


def archive_minutes(wildcards, attempt):
    """Return the time of listing the archives, by their bytes; for a local run, which has no use for it, a bound."""
    inventory = Path(config["results"]) / "private" / "inventory.jsonl"
    return job_resources.archive_minutes(inventory, attempt) if started.has_groups else 720


def index_megabytes(wildcards, threads, attempt):
    """Return the memory of reading the headers, or of planning, by the number of files."""
    return job_resources.index_megabytes(inventory_size(), threads, attempt)


def index_minutes(wildcards, threads, attempt):
    """Return the time of reading the headers, by the number of files."""
    return job_resources.index_minutes(inventory_size(), threads, attempt)


def tables_megabytes(wildcards, threads, attempt):
    """Return the memory of a job that reads the records of all batches, by the number of files."""
    return job_resources.tables_megabytes(inventory_size(), threads, attempt)


def tables_minutes(wildcards, attempt):
    """Return the time of a job that reads the records of all batches, by the number of files."""
    return job_resources.tables_minutes(inventory_size(), attempt)


def threads_up_to(most):
    """Return a function for `threads:`: Snakemake scales it down to local cores; on other nodes it is limited."""
    return other_nodes.threads_up_to(workflow, most)


def export_megabytes(wildcards, threads):
    """Return the memory of an export in MB: one process per thread, each with a few blocks of an array."""
    return 1000 + 500 * threads
