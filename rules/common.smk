# The configuration with its defaults, and the few functions that rules use.
import functools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(str(workflow.current_basedir)).parent / "scripts"))

from dicomzarr.system.software import software_versions
from dicomzarr.vocabulary.findings import EXPORT_FINDINGS
from dicomzarr.vocabulary.rules import DATASET_RULES, rules_before
from dicomzarr.workflow import main_process, snakemake_quirks
from dicomzarr.workflow.code_digest import code_digest
from dicomzarr.workflow.snakemake_quirks import end_without_waiting

started = main_process.start(workflow, config, sys.argv[1:])
config = started.config


# The token of the run, which Snakemake hands on to jobs wherever they run; see dicomzarr.system.run_token.
envvars:
    "DICOMZARR_RUN",


# Versions of the libraries that shape arrays: another one makes them anew, so that old and new bytes never mix.
software = software_versions()

# The keys of the configuration that dataset.json may show: no path; the one sentence is why images are kept.
shown_config = {key: config[key] for key in ("compression", "layout", "burned_in", "spacing_tolerance", "cross_check")}
if config["burned_in"] == "keep":
    shown_config["burned_in_reason"] = config["burned_in_reason"]


def under_results(path):
    """Return a param function: a path below the results folder, since pathvars do not expand in params."""

    def below(wildcards):
        return str(Path(config["results"]) / path)

    return below


@functools.cache
def contents_of_plans(path):
    """Return the table of contents of the plans, read once."""
    return json.loads(Path(path).read_text())["batches"]


def planned_batches(wildcards):
    """Return the names of all batches; asks for the checkpoint."""
    return sorted(contents_of_plans(str(checkpoints.plan_batches.get().output.contents)))


def planned_plans(wildcards):
    """Return the plans of all batches."""
    return expand("<results>/private/plans/{batch}.json", batch=planned_batches(wildcards))


def records_of(rule):
    """Return an input function: the record of every batch of a rule."""

    def records(wildcards):
        return expand(f"<results>/private/records/{rule}/{{batch}}.json", batch=planned_batches(wildcards))

    return records


def records_of_batches(wildcards):
    """Return the records of every batch of the rules that work on batches."""
    return records_of("extract_batch")(wildcards) + records_of("check_batch")(wildcards)


def digest_of_plan(wildcards):
    """Return the digest of a batch's plan: a param, since clocks that go back make times lie."""
    return contents_of_plans(str(checkpoints.plan_batches.get().output.contents))[wildcards.batch]["digest"]


# What the labels are, without where their files lie.
label_sources = [{key: value for key, value in one.items() if key != "file"} for one in config["labels"]]
is_joined = bool(label_sources or config["splits"].get("fixed"))
split_shares = {key: config["splits"][key] for key in ("fractions", "seed") if key in config["splits"]}
if split_shares:
    shown_config["splits"] = split_shares
if label_sources:
    shown_config["labels"] = sorted({name for one in label_sources for name in one.get("columns", [one.get("name")])})


def chosen_words(wildcards):
    """Return what the dataset repeats of the configuration: no leak, also where a folder of the source is called so."""
    vocabularies = [allowed for one in label_sources for allowed in [one, *one.get("columns", {}).values()]]
    chosen = {str(word) for allowed in vocabularies for word in allowed.get("values", [])}
    chosen |= {config["burned_in_reason"], *shown_config.get("labels", []), *split_shares.get("fractions", {})}
    return sorted(chosen - {""})


def joined_labels(wildcards):
    """Return the labels of the series where the configuration has any."""
    return ["<results>/private/labels/joined.json"] if is_joined else []


def label_record(wildcards):
    """Return the record of the labels where the configuration has any."""
    return ["<results>/private/records/join_labels.json"] if is_joined else []


def label_report(wildcards):
    """Return the report of the labels where the configuration has any."""
    return ["<results>/dataset/reports/labels.csv"] if is_joined else []


def megabytes_of_batch(wildcards):
    """Return the priority of a batch: the largest first, so that no core waits long for the last one."""
    path = str(checkpoints.plan_batches.get().output.contents)
    return contents_of_plans(path)[wildcards.batch]["work"] // 1_000_000


# Bytes of source whose arrays stay in the memory of any machine until they are read back.
BYTES_IN_MEMORY = 8_000_000_000


def priority_of_extraction(wildcards):
    """Return the priority of extracting a batch: the largest first, and all before the first is read back if few.

    Checks are what is best left for the end, since each can begin at once; but a large dataset is read back while the
    system still has it in memory.
    """
    batches = contents_of_plans(str(checkpoints.plan_batches.get().output.contents))
    first = sum(batch["bytes"] for batch in batches.values()) < BYTES_IN_MEMORY
    return megabytes_of_batch(wildcards) + first * 1_000_000


# Bytes of native pixels, or what takes as long to decode, that are work for one more core: below two of them, whole
# series keep all cores busy.
BYTES_A_THREAD = 256 << 20


def threads_of_batch(wildcards):
    """Return how many threads share the frames of a batch's series.

    As many as its largest one can feed; where batches are fewer than cores, also as many as a smaller one can.
    """
    batches = contents_of_plans(str(checkpoints.plan_batches.get().output.contents))
    largest = batches[wildcards.batch]["largest"]
    spare = min(snakemake_quirks.local_cores(workflow) // len(batches), 8 * largest // BYTES_A_THREAD)
    return min(max(largest // BYTES_A_THREAD, spare, 1), 8)


def threads_up_to(most):
    """Return a function for `threads:`: scaled down to the cores of a local run, and to what other nodes may have."""
    return snakemake_quirks.threads_up_to(workflow, most)


# What exports refuse is judged by the rules that export.
dataset_gate = {finding: most for finding, most in config["gate"].items() if finding not in EXPORT_FINDINGS}


def gate_record(wildcards):
    """Return the record of the gate where the configuration has one."""
    return ["<results>/private/records/check_gate.json"] if dataset_gate else []


def records_of_the_dataset(wildcards):
    """Return every record of a sealed dataset, by name: see `rule all`."""
    records = expand("<results>/private/records/{rule}.json", rule=DATASET_RULES)
    return records + records_of_batches(wildcards) + label_record(wildcards)


def megabytes_of_export(wildcards, threads):
    """Return the memory of an export: a process a core, each with a few blocks of an array."""
    return 1000 + 500 * threads
