"""Render the report: tables, findings, flow, charts and pictures in one HTML template."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from dicomzarr.stages.render_report import catalogue, charts, flow, numbers
from dicomzarr.stages.render_report.assets import assets
from dicomzarr.stages.render_report.balance import (
    UNDER,
    WITHHELD,
    balance,
    by_group,
    open_labels,
    patients_by_series,
    splits_of,
)
from dicomzarr.stages.render_report.findings import FINDINGS_IN_FULL, files_command, findings
from dicomzarr.stages.render_report.masks import mask_flags, name_lines, read_masks
from dicomzarr.stages.render_report.pictures import embedded, missing, read_pictures
from dicomzarr.stages.render_report.tables import (
    OUTCOMES,
    RARE,
    Array,
    Totals,
    by_modality,
    flag_counts,
    read_tables,
    totals,
)
from dicomzarr.vocabulary.flags import FLAGS
from dicomzarr.vocabulary.reasons import REASONS

STATIC_ROWS = 100  # of the table of volumes without a script
_COLUMNS = (  # of the table of volumes: key in the data, heading, class of its cells
    ("array", "Array", "code"),
    ("verdict", "Verdict", ""),
    ("modality", "Modality", ""),
    ("axes", "Axes", "code"),
    ("shape", "Shape", "number"),
    ("dtype", "Type", "code"),
    ("bits", "Bits", "number"),
    ("spacing", "Spacing, mm", "number"),
    ("frames", "Frames", "number"),
    ("stored", "Stored", "number"),
    ("split", "Split", ""),
    ("flags", "Flags", "marks"),
)
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
    command: str


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
        coded=numbers.coded,
        short=numbers.short,
        count=numbers.count,
        spacing=numbers.spacing,
    )
    environment.globals.update(percent=numbers.percent, UNKNOWN=numbers.UNKNOWN)
    return environment


def _outcome_line(outcome: str, reason: str, files: int) -> OutcomeLine:
    entry = REASONS.get(reason)
    command = files_command(reason, outcome)
    if entry:
        return OutcomeLine(outcome, reason, files, entry.meaning, entry.remedy, command)
    meaning = "all its frames are in the dataset" if outcome == "extracted" else "unknown reason code"
    remedy = "nothing" if outcome == "extracted" else "open an issue"
    return OutcomeLine(outcome, reason, files, meaning, remedy, command)


def _modality_line(name: str, members: Sequence[Array]) -> ModalityLine:
    axes = sorted({array.axes for array in members}, key=lambda text: (len(text), text))
    types = sorted({array.dtype for array in members})
    return ModalityLine(name, totals(members), " ".join(axes), " ".join(types))


def _has_groups(arrays: Sequence[Array]) -> bool:
    return any(array.split or array.labels for array in arrays)


def render(
    dataset: Path, *, small_cells: int = 1, splits: Collection[str] = (), max_rows: int = catalogue.MAX_ROWS
) -> str:
    """Return the report of a dataset as one HTML page.

    Parameters
    ----------
    dataset : Path
        The folder with ``volumes.csv``, ``reports/depth.csv``, ``reports/size.csv`` and ``reports/outcomes.csv``, with
        ``masks.csv`` and ``reports/mask_files.csv`` if there are masks, and with ``reports/pictures.csv`` and
        ``reports/pictures/`` if there are pictures.
    small_cells : int
        Modalities with fewer subjects than this are shown as one, and so are masks of such names.
    splits : collection of str
        Names of the splits that get a share of the patients.
    max_rows : int
        Largest number of arrays in the table of volumes; failures and warnings come first.

    Returns
    -------
    str
        HTML. It depends on the tables and pictures alone, not on time, host or path.
    """
    tables = read_tables(dataset, small_cells)
    arrays = tables.arrays
    masks, pictures = read_masks(dataset, arrays, small_cells), read_pictures(dataset)
    within, mask_names = embedded(dataset, arrays, pictures), name_lines(masks, small_cells)
    groups = balance(arrays, small_cells) if _has_groups(arrays) else []
    listed = catalogue.listed(arrays, max_rows)
    shipped = assets()
    data = catalogue.catalogue(listed, masks.of_arrays(), pictures, within, open_labels(groups))
    depth, size = charts.depth_charts(arrays), charts.size_charts(arrays)
    group_charts = [charts.splits(arrays), charts.patients(patients_by_series(arrays, small_cells))]
    drawn = [chart for chart in group_charts if chart]
    mask_charts = [chart for chart in (charts.mask_images(mask_names),) if chart]
    data["charts"] = {item.name: item.drawing for item in (*depth, *size, *drawn, *mask_charts)}
    return (
        _environment()
        .get_template("template.html.j2")
        .render(
            style=Markup(shipped.style),  # our own files
            library=Markup(shipped.library),
            scripts=[Markup(script) for script in shipped.scripts],
            policy=shipped.policy,
            data=Markup(catalogue.as_json(data)),
            totals=totals(arrays),
            found=sum(row.files for row in tables.outcomes),
            files={name: tables.files(name) for name in OUTCOMES},
            set_aside=flow.set_aside(tables),
            flow_summary=flow.summary(tables),
            flows=[*map(Markup, flow.drawings(tables))],  # their texts are escaped
            findings=findings(tables, masks, splits),
            FINDINGS_IN_FULL=FINDINGS_IN_FULL,
            exact=sum(1 for a in arrays if a.depth and a.depth.read_back == "exact"),
            outcomes=[_outcome_line(row.outcome, row.reason, row.files) for row in tables.outcomes],
            modalities=[_modality_line(name, members) for name, members in by_modality(arrays).items()],
            rare=small_cells if any(array.modality == RARE for array in arrays) else 0,
            splits=splits_of(arrays),
            balance=by_group(groups),
            group_charts=drawn,
            hides_labels=len({line.kind for line in groups} - {"", "modality"}) > len(data["labels"]),
            joinings=tables.joinings,
            small_cells=small_cells,
            UNDER=UNDER,
            WITHHELD=WITHHELD,
            flags=[(name, number, FLAGS.get(name, "")) for name, number in flag_counts(arrays)],
            masks=masks,
            mask_names=mask_names,
            mask_charts=mask_charts,
            mask_flags=mask_flags(masks),
            depth_charts=depth,
            size_charts=size,
            listed=listed,
            names={array.array for array in listed},
            pictures="" in pictures.troubles.values(),
            without_picture=missing(pictures),
            within=within,
            columns=_COLUMNS,
            static=listed[:STATIC_ROWS],
        )
    )
