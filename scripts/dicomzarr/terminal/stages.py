"""The stages of a run in people's words: what each did, from the counts of its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from dicomzarr.system.results_folder import Results
from dicomzarr.terminal.screen import amount, counted
from dicomzarr.vocabulary.rules import BATCH_RULES, EXPORT_RULES

Counts = Mapping[str, int]

# Name of each stage on the terminal.
NAMES = {
    "discover_files": "Manifest",
    "index_headers": "Headers",
    "plan_batches": "Plan",
    "extract_batch": "Extraction",
    "check_batch": "Read back",
    "report_depth": "Depth",
    "report_size": "Size",
    "join_labels": "Labels",
    "consolidate_dataset": "Tables",
    "render_report": "Report",
    "write_cards": "Cards",
    "write_crate": "RO-Crate",
    "check_privacy": "Privacy",
    "seal_dataset": "Seal",
    "check_gate": "Gate",
    "export_png": "PNG",
    "export_npz": "NPZ",
    "export_nifti": "NIfTI",
    "export_preview": "Previews",
    "export_nnunet": "nnU-Net",
    "export_monai": "MONAI",
    "publish": "Publication",
}
# What a stage is doing, for the live line.
DOING = {
    "discover_files": "writing the manifest",
    "index_headers": "reading headers",
    "plan_batches": "grouping files into series",
    "extract_batch": "extracting",
    "check_batch": "reading back",
    "report_depth": "gathering the verdicts",
    "report_size": "gathering the verdicts",
    "join_labels": "joining labels",
    "consolidate_dataset": "writing the tables",
    "render_report": "rendering the report",
    "write_cards": "writing the cards",
    "write_crate": "describing the run",
    "check_privacy": "searching for identities",
    "seal_dataset": "sealing the dataset",
    "check_gate": "comparing with the gate",
    "publish": "publishing",
}


def name_of(rule: str) -> str:
    """Return the name of a stage; a rule that is not ours keeps its own name."""
    return NAMES.get(rule, rule)


def doing(rule: str) -> str:
    """Return what the jobs of a rule do."""
    return DOING.get(rule) or (f"exporting {NAMES[rule]}" if rule in EXPORT_RULES else rule)


def _verdicts(counts: Counts) -> str:
    arrays = sum(counts.get(verdict, 0) for verdict in ("pass", "warn", "fail"))
    others = [f"{counts[verdict]:,} {verdict}" for verdict in ("warn", "fail") if counts.get(verdict)]
    return ", ".join([f"{counts.get('pass', 0):,} of {counted(arrays, 'array')} pass", *others])


def _discovered(counts: Counts) -> str:
    text = counted(counts.get("files", 0), "file") + " listed"
    if not counts.get("archives"):
        return text
    return f"{text}, {counted(counts.get('members', 0), 'member')} in {counted(counts['archives'], 'archive')}"


def _headers(counts: Counts) -> str:
    known = counts.get("kept", 0)
    return counted(counts.get("read", 0), "file") + " read" + (f", {known:,} known already" if known else "")


def _export(counts: Counts) -> str:
    parts = [f"{counts.get('written', 0):,} of {counted(counts.get('series', 0), 'series', 'series')} written"]
    parts += [f"{counted(counts[key], 'array')} {word}" for key, word in _EXPORTED if counts.get(key)]
    return ", ".join(parts)


def _datalist(counts: Counts) -> str:
    return ", ".join(f"{counts.get(part, 0):,} for {part}" for part in ("training", "validation", "test"))


_EXPORTED = (("refused", "refused"), ("left_out", "left out"))

# What a stage did, from the counts and the work of its record.
_DID: dict[str, Callable[[Counts], str]] = {
    "discover_files": _discovered,
    "index_headers": _headers,
    "plan_batches": lambda c: (
        f"{counted(c.get('files', 0), 'file')} in {counted(c.get('series', 0), 'series', 'series')}, "
        + counted(c.get("batches", 0), "batch", "batches")
    ),
    "report_depth": _verdicts,
    "report_size": _verdicts,
    "join_labels": lambda c: counted(c.get("labels", 0), "label") + f" for {c.get('series', 0):,} series",
    "consolidate_dataset": lambda c: (
        f"{counted(c.get('arrays', 0), 'array')}, {counted(c.get('masks', 0), 'mask')}, "
        + counted(c.get("frames", 0), "frame")
    ),
    "render_report": lambda c: f"report.html, {amount(c.get('bytes', 0))}",
    "write_cards": lambda c: counted(len(c), "card") + " written",
    "write_crate": lambda c: counted(c.get("steps", 0), "step") + " described",
    "check_privacy": lambda c: counted(c.get("searched", 0), "file") + " searched, no identity found",
    "seal_dataset": lambda c: "dataset.json written",
    "check_gate": lambda c: "nothing exceeds what the configuration allows",
    "publish": lambda c: (
        f"{c.get('uploaded', 0):,} of {counted(c.get('objects', 0), 'object')} sent, {amount(c.get('bytes', 0))}; "
        f"{c.get('copied', 0):,} copied there"
    ),
    **dict.fromkeys(EXPORT_RULES, _export),
    "export_monai": _datalist,
}


def did(results: Results | None, rule: str) -> str:
    """Return what the job of a rule did, from its record; empty if it is not known.

    Parameters
    ----------
    results : Results or None
    rule : str
        A rule with one job.
    """
    if results is None or rule not in _DID:
        return ""
    try:
        record: Any = json.loads((results.records / f"{rule}.json").read_bytes())
        counts = {**record["counts"], **record["work"]}
        return _DID[rule](counts)
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def did_in_batches(batches: int, series: int, new: int, size: int) -> str:
    """Return what the jobs of a batch rule did.

    Parameters
    ----------
    batches : int
        Number of finished jobs.
    series : int
        All their series.
    new, size : int
        Series that were not up to date before, and their bytes of the source.
    """
    if not series:
        return counted(batches, "batch", "batches")
    text = f"{counted(new, 'series', 'series')}, {amount(size)}" if new else "no series"
    text += f" in {batches:,} batches" if batches > 1 else ""
    return text + (f"; {series - new:,} up to date already" if new < series else "")


def is_batch_rule(rule: str) -> bool:
    """Return whether a rule has one job a batch."""
    return rule in BATCH_RULES
