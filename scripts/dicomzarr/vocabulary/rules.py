"""The rules of the workflow, in order. The lists of records and of sealed rules derive from it."""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """One rule.

    Attributes
    ----------
    name : str
        Name of the rule, its script, its stage, its log and its record.
    unit : str
        Unit of work of one job and one record: ``dataset`` or ``batch``.
    sealed : bool
        The seal covers its outputs: when a job of it starts, an existing seal is revoked.
    optional : bool
        Runs only if the configuration or the command line requests it.
    """

    name: str
    unit: str = "dataset"
    sealed: bool = True
    optional: bool = False


RULES = (
    Rule("discover_files"),
    Rule("index_headers"),
    Rule("plan_batches"),
    Rule("extract_batch", unit="batch"),
    Rule("check_batch", unit="batch"),
    Rule("report_depth"),
    Rule("report_size"),
    Rule("join_labels", optional=True),
    Rule("consolidate_dataset"),
    Rule("render_report"),
    Rule("write_cards"),
    Rule("write_crate"),
    Rule("check_privacy"),
    Rule("seal_dataset", sealed=False),
    Rule("check_gate", sealed=False, optional=True),
    Rule("export_png", sealed=False, optional=True),
    Rule("export_npz", sealed=False, optional=True),
    Rule("export_nifti", sealed=False, optional=True),
    Rule("export_preview", sealed=False, optional=True),
    Rule("export_nnunet", sealed=False, optional=True),
    Rule("export_monai", sealed=False, optional=True),
    Rule("publish", sealed=False, optional=True),
)
SEALED = tuple(rule.name for rule in RULES if rule.sealed)
BATCH_RULES = tuple(rule.name for rule in RULES if rule.unit == "batch")
# Rules of every run that have one record.
DATASET_RULES = tuple(rule.name for rule in RULES if rule.unit == "dataset" and not rule.optional)
EXPORT_RULES = tuple(rule.name for rule in RULES if rule.name.startswith("export_"))
# The rules that read an output of a rule, beside those that read the records of all rules before. Of plans, which
# `extract_batch` and `join_labels` read, only those count that change.
_READERS = {
    "discover_files": ("index_headers", "consolidate_dataset"),
    "index_headers": ("plan_batches", "consolidate_dataset"),
    "plan_batches": ("consolidate_dataset",),
    "extract_batch": ("check_batch", "consolidate_dataset"),
    "check_batch": ("report_depth", "report_size", "consolidate_dataset"),
    "report_depth": ("join_labels", "render_report", "write_cards"),
    "report_size": ("render_report", "write_cards"),
    "join_labels": ("consolidate_dataset", "render_report", "write_cards"),
    "consolidate_dataset": ("render_report", "write_cards"),
    "seal_dataset": ("check_gate", *EXPORT_RULES, "publish"),
}
_READERS_OF_RECORDS = ("write_crate", "check_privacy", "seal_dataset")


def readers_of(name: str) -> list[str]:
    """Return the names of the rules that read what a rule writes; none for one that is not in `RULES`."""
    names = [rule.name for rule in RULES]
    if name not in names:
        return []
    later = [reader for reader in _READERS_OF_RECORDS if names.index(reader) > names.index(name)]
    return [*_READERS.get(name, ()), *later]


def rules_before(name: str) -> list[str]:
    """Return the names in `DATASET_RULES` that come before a rule."""
    names = [rule.name for rule in RULES]
    return [rule for rule in DATASET_RULES if names.index(rule) < names.index(name)]
