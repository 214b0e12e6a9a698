"""Render the report: tables, findings, charts and previews in one HTML template."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from dicomzarr.stages.render_report import charts, numbers
from dicomzarr.stages.render_report.balance import UNDER, WITHHELD, BalanceLine, balance, splits_of
from dicomzarr.stages.render_report.contact_sheet import NO_PLANE, previews
from dicomzarr.stages.render_report.findings import findings
from dicomzarr.stages.render_report.masks import mask_flags, name_lines, read_masks
from dicomzarr.stages.render_report.tables import (
    OUTCOMES,
    RARE,
    Array,
    Tables,
    Totals,
    by_modality,
    flag_counts,
    read_tables,
    totals,
)
from dicomzarr.vocabulary.flags import FLAGS
from dicomzarr.vocabulary.reasons import REASONS

_POLICY = "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
_HERE = Path(__file__).resolve().parent
_BYTECODE = _HERE / "__pycache__"  # compiling the template takes longer than rendering it


def _cache() -> jinja2.BytecodeCache | None:
    """Return the cache of the compiled template, None if the folder of bytecode is not writable."""
    return jinja2.FileSystemBytecodeCache(str(_BYTECODE), "%s.jinja2") if os.access(_BYTECODE, os.W_OK) else None


@dataclass(frozen=True, slots=True)
class OutcomeLine:
    """A line of the table of outcomes."""

    outcome: str
    reason: str
    files: int
    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ModalityLine:
    """A line of the summary by modality; it has no counts of subjects."""

    name: str
    totals: Totals
    axes: str
    types: str


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=_cache(),
    )
    environment.filters.update(
        grouped=numbers.grouped,
        bytes=numbers.byte_size,
        by=numbers.by,
        short=numbers.short,
        count=numbers.count,
        spacing=numbers.spacing,
    )
    environment.globals.update(percent=numbers.percent, UNKNOWN=numbers.UNKNOWN)
    return environment


def _outcome_line(outcome: str, reason: str, files: int) -> OutcomeLine:
    entry = REASONS.get(reason)
    if entry:
        return OutcomeLine(outcome, reason, files, entry.meaning, entry.remedy)
    meaning = "all its frames are in the dataset" if outcome == "extracted" else "unknown reason code"
    return OutcomeLine(outcome, reason, files, meaning, "nothing" if outcome == "extracted" else "open an issue")


def _modality_line(name: str, members: Sequence[Array]) -> ModalityLine:
    axes = sorted({array.axes for array in members}, key=lambda text: (len(text), text))
    types = sorted({array.dtype for array in members})
    return ModalityLine(name, totals(members), " ".join(axes), " ".join(types))


def _has_groups(arrays: Sequence[Array]) -> bool:
    return any(array.split or array.labels for array in arrays)


def _by_kind(lines: Sequence[BalanceLine]) -> dict[str, list[BalanceLine]]:
    return {kind: [line for line in lines if line.kind == kind] for kind in dict.fromkeys(line.kind for line in lines)}


def _verdict_first(array: Array) -> tuple[int, str, str]:
    return (("fail", "warn", "pass").index(array.verdict), array.modality, array.array)


def _segments(tables: Tables) -> list[tuple[str, int, float, float]]:
    """Return name, files, start and width (of 1000) of each part of the bar of outcomes."""
    total = sum(tables.files(name) for name in OUTCOMES)
    segments, start = [], 0.0
    for name in OUTCOMES:
        width = 1000 * tables.files(name) / total if total else 0.0
        segments.append((name, tables.files(name), round(start, 2), round(width, 2)))
        start += width
    return segments


def render(
    dataset: Path, *, small_cells: int = 1, max_thumbnails: int = 60, max_rows: int = 500, threads: int = 1
) -> str:
    """Return the report of a dataset as one self-contained HTML page.

    Parameters
    ----------
    dataset : Path
        The folder with ``volumes.csv``, ``reports/depth.csv``, ``reports/size.csv``, ``reports/outcomes.csv`` and
        ``images.zarr``, and with ``masks.csv`` and ``reports/mask_files.csv`` if there are masks.
    small_cells : int
        Modalities with fewer subjects than this are shown as one, and so are masks of such names.
    max_thumbnails : int
        Largest number of previews on the contact sheet.
    max_rows : int
        Largest number of lines in the table of volumes; failures and warnings come first.
    threads : int
        Number of threads that draw previews.

    Returns
    -------
    str
        HTML. It depends on the tables and arrays alone, not on time, host or path.
    """
    tables = read_tables(dataset, small_cells)
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    masks = read_masks(dataset, tables.arrays, small_cells)
    shown = previews(dataset, tables.arrays, max_thumbnails, threads, masks.of_arrays())
    listed = sorted(tables.arrays, key=_verdict_first)[:max_rows]
    return (
        _environment()
        .get_template("template.html.j2")
        .render(
            style=Markup(style),  # our own file
            policy=_POLICY.format(digest=digest),
            totals=totals(tables.arrays),
            found=sum(row.files for row in tables.outcomes),
            files={name: tables.files(name) for name in OUTCOMES},
            segments=_segments(tables),
            findings=findings(
                tables, [item.array.array for item in shown if item.trouble not in ("", NO_PLANE)], masks
            ),
            exact=sum(1 for a in tables.arrays if a.depth and a.depth.read_back == "exact"),
            outcomes=[_outcome_line(row.outcome, row.reason, row.files) for row in tables.outcomes],
            modalities=[_modality_line(name, members) for name, members in by_modality(tables.arrays).items()],
            rare=small_cells if any(array.modality == RARE for array in tables.arrays) else 0,
            splits=splits_of(tables.arrays),
            balance=_by_kind(balance(tables.arrays, small_cells)) if _has_groups(tables.arrays) else {},
            joinings=tables.joinings,
            small_cells=small_cells,
            UNDER=UNDER,
            WITHHELD=WITHHELD,
            flags=[(name, number, FLAGS.get(name, "")) for name, number in flag_counts(tables.arrays)],
            previews=shown,
            masks=masks,
            mask_names=name_lines(masks, small_cells),
            mask_flags=mask_flags(masks),
            depth_charts=charts.depth_charts(tables.arrays),
            size_charts=charts.size_charts(tables.arrays),
            listed=listed,
            svg=Markup,  # our own drawings; their texts are escaped
        )
    )
