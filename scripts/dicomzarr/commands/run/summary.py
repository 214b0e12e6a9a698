"""What a dataset holds, for the table at the end of a run: counts, reasons, findings, and what changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.system import json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal.screen import Screen, counted
from dicomzarr.vocabulary.faces import NOT_ASSESSED
from dicomzarr.vocabulary.reasons import REASONS

OUTCOMES = ("extracted", "skipped", "quarantined", "ignored")
_INDENT = 14  # column of the text of a row
_SHOWN = 3  # reasons and findings


def facts(dataset: Path) -> dict[str, Any]:
    """Return what a dataset holds as JSON values, from its tables.

    Parameters
    ----------
    dataset : Path

    Returns
    -------
    dict
        `found` and `outcomes` (entries of the source), `set_aside` (their reasons, the most frequent first, with
        `outcome`, `reason`, `files`, `meaning`, `remedy`), `arrays`, `masks`, `bytes_in`, `bytes_out`, `findings` (as
        the report has them: `level`, `title`, `advice`), `faces_undecided` (arrays that may show a face, while the
        configuration does not say why they are there), and `gate`: the counts that `gate` may limit, without zeros.
    """
    from dicomzarr.stages.check_gate import findings as gate_findings
    from dicomzarr.stages.render_report.findings import findings
    from dicomzarr.stages.render_report.masks import read_masks
    from dicomzarr.stages.render_report.tables import read_tables

    tables = read_tables(dataset)
    masks = read_masks(dataset, tables.arrays)
    config = _config(dataset)
    nobody_decided = config.get("faces") == "keep" and config.get("faces_reason") == NOT_ASSESSED
    set_aside = sorted(
        (row for row in tables.outcomes if row.outcome != "extracted" and row.files),
        key=lambda row: (-row.files, row.outcome, row.reason),
    )
    found = sum(row.files for row in tables.outcomes)
    return {
        "found": found,
        "outcomes": {outcome: tables.files(outcome) for outcome in OUTCOMES},
        "set_aside": [
            {"outcome": row.outcome, "reason": row.reason, "files": row.files, **_words_of(row.reason)}
            for row in set_aside
        ],
        "arrays": len(tables.arrays),
        "masks": len(masks.rows),
        "bytes_in": sum(array.source_bytes for array in tables.arrays),
        "bytes_out": sum(array.stored_bytes for array in tables.arrays),
        "findings": [
            {"level": finding.level, "title": finding.title, "advice": finding.advice}
            for finding in findings(tables, masks, _splits_with_share(config))
        ],
        "faces_undecided": sum("face_risk" in array.flags for array in tables.arrays) if nobody_decided else 0,
        "gate": {name: count for name, count in sorted(gate_findings(Results(dataset.parent)).items()) if count},
    }


def _words_of(code: str) -> dict[str, str]:
    reason = REASONS.get(code)
    return {"meaning": reason.meaning if reason else code, "remedy": reason.remedy if reason else ""}


def changes_in_short(differences: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of arrays that differ between two builds, and the keys of what else differs.

    Parameters
    ----------
    differences : mapping
        What `diff.compare` returned.
    """
    volumes = differences["volumes"] or {}
    short: dict[str, Any] = {kind: len(volumes.get(kind, ())) for kind in ("added", "grown", "changed", "retired")}
    short["rewritten"] = volumes.get("rewritten", 0)
    short["changed_pixels"] = sum("pixel_digest" in columns for columns in volumes.get("changed", {}).values())
    return short | {part: sorted(differences[part]) for part in ("counts", "config", "software")}


def in_words(short: Mapping[str, Any]) -> str:
    """Return what changed since the last build as text; `short` is from `changes_in_short`."""
    same_pixels = "" if short["changed_pixels"] else " in volumes.csv, with the same pixels"
    kinds = [("added", "added"), ("grown", "grown"), ("changed", f"changed{same_pixels}"), ("retired", "removed")]
    kinds.append(("rewritten", "stored in other bytes"))
    numbers = [f"{counted(short[kind], 'array')} {word}" for kind, word in kinds if short[kind]]
    others = [
        word
        for part, word in (("counts", "numbers of files"), ("config", "configuration"), ("software", "software"))
        if short[part]
    ]
    other = f"other {' and '.join(others)}" if others else ""
    return ", ".join([*numbers, *([other] if other and (not numbers or "numbers" not in other) else [])]) or (
        "the same arrays, another report or record"
    )


def lines(content: Mapping[str, Any], screen: Screen, rows: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Return the table at the end of a run.

    Parameters
    ----------
    content : mapping
        What `facts` returned.
    screen : Screen
    rows : sequence of pairs of str
        Label and text of the rows that follow; a row without a text is left out.
    """
    numbers = [("files found", content["found"])]
    numbers += [(f"  {outcome}", content["outcomes"][outcome]) for outcome in OUTCOMES]
    numbers += [("arrays", content["arrays"]), ("masks", content["masks"])]
    numbers += [("bytes in", content["bytes_in"]), ("bytes out", content["bytes_out"])]
    table = ["", *(f"{name:<14}{number:>12,}" for name, number in numbers), ""]
    table += _rows(screen, "set aside", _reasons(content["set_aside"]))
    table += _rows(screen, "attention", _findings(content["findings"]))
    for label, text in rows:
        table += _rows(screen, label, [text] if text else [])
    return [*table, ""]


def _rows(screen: Screen, label: str, texts: Sequence[str]) -> list[str]:
    rows: list[str] = []
    for text in texts:
        rows += screen.wrapped("" if rows else label, text, _INDENT)
    return rows


def _reasons(set_aside: Sequence[Mapping[str, Any]]) -> list[str]:
    texts = [f"{row['files']:,} {short_meaning(row['meaning'])}" for row in set_aside[:_SHOWN]]
    rest = set_aside[_SHOWN:]
    if rest:
        files = sum(row["files"] for row in rest)
        texts.append(f"{files:,} for {counted(len(rest), 'other reason')}")
    return texts or ["nothing"]


def short_meaning(meaning: str) -> str:
    """Return the first part of the meaning of a reason."""
    return re.split(r"[:;(]|, and ", meaning)[0].strip()


def _config(dataset: Path) -> dict[str, Any]:
    """Return the configuration of which a dataset was made; empty if the dataset is not sealed."""
    try:
        config = json_files.read_json(dataset / "dataset.json")["config"]
    except (OSError, ValueError, KeyError):
        return {}
    return dict(config)


def _splits_with_share(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the splits that get a share of the patients."""
    return [name for name, share in config.get("splits", {}).get("fractions", {}).items() if share]


def _findings(found: Sequence[Mapping[str, str]]) -> list[str]:
    texts = [f"{_short_title(row['title'])}{' (fail)' * (row['level'] == 'fail')}" for row in found[:_SHOWN]]
    if len(found) > _SHOWN:
        texts.append(f"{counted(len(found) - _SHOWN, 'more finding')}, in the report")
    return texts or ["nothing"]


def _short_title(title: str) -> str:
    """Return the first part of a title; where it is the same for each reason, also the reason."""
    for same in (" quarantined: ", " without a mask on an image: "):
        what, found, meaning = title.partition(same)
        if found:
            return f"{what}{same}{short_meaning(meaning)}"
    return short_meaning(title)
