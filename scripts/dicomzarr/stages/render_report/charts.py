"""The charts of the report as data: what a script draws with Chart.js, and the same as a table for everybody else.

Values are binned or summed by modality, so that the size of a chart does not grow with the dataset.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicomzarr.stages.render_report.balance import NO_SPLIT, PatientBar, splits_of
from dicomzarr.stages.render_report.masks import NameLine
from dicomzarr.stages.render_report.numbers import MINUS, count, grouped
from dicomzarr.stages.render_report.tables import Array, by_modality

MAX_ROWS = 14  # bars of a chart, and modalities
MAX_LINES = 60  # of the table below a chart
Cells = Sequence[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: what the script draws, a sentence that describes it, and its values as a table.

    Attributes
    ----------
    name, title, caption : str
        Id of the figure; its heading; what it shows and how to read it.
    summary : str
        The main result in one sentence, for screen readers.
    drawing : mapping
        `kind` (bars, spans or discs), `labels` or `points`, `series`, `x` and `y`: see ``charts.js``.
    head : sequence of str
        Column names of the table; the first column names the row.
    rows : sequence of sequences of str
    """

    name: str
    title: str
    caption: str
    summary: str
    drawing: Mapping[str, Any]
    head: Cells
    rows: Sequence[Cells]


def _plain(value: float) -> str:
    return f"{value:.6g}".replace("-", MINUS)


def _short(value: float) -> float:
    """Return a value with four digits: the page need not hold more, and no number as long as an id."""
    return float(f"{value:.4g}")


def _combined(numbers: Mapping[str, int], noun: str = "others") -> list[tuple[str, int]]:
    """Return names with their numbers, largest first; those beyond `MAX_ROWS` as one."""
    ranked = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    rows = ranked[:MAX_ROWS]
    if len(ranked) > MAX_ROWS:
        rows.append((f"{len(ranked) - MAX_ROWS} {noun}", sum(number for _, number in ranked[MAX_ROWS:])))
    return rows


def _bars(rows: Sequence[tuple[str, int]], what: str) -> dict[str, Any]:
    return {
        "kind": "bars",
        "labels": [name for name, _ in rows],
        "series": [{"name": what, "values": [number for _, number in rows], "colour": "accent"}],
        "x": {"title": what},
    }


def kinds(arrays: Sequence[Array]) -> Chart:
    """Return a chart of the number of arrays by stored type and Bits Stored (0028,0101)."""
    numbers = Counter(f"{a.dtype}, {a.bits_stored} bits" if a.bits_stored else a.dtype for a in arrays)
    rows = _combined(numbers)
    return Chart(
        "depth-kinds",
        "Stored types",
        "Arrays by stored type and the bits that their header declares. Types are the native ones; nothing is widened "
        "or scaled.",
        "Arrays by stored type: " + "; ".join(f"{name}: {number}" for name, number in rows) + ".",
        _bars(rows, "arrays"),
        ("Type", "Arrays"),
        [(name, grouped(number)) for name, number in rows],
    )


def bits(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of bits used against bits stored, None if no array has integer values."""
    pairs = [(a.depth.bits_stored, a.depth.bits_used) for a in arrays if a.depth]
    counts = Counter((s, u) for s, u in pairs if s is not None and u is not None)
    if not counts:
        return None
    full = sum(number for (stored, used), number in counts.items() if used == stored)
    over = sum(number for (stored, used), number in counts.items() if used > stored)
    top = max(16, *(max(place) for place in counts))
    return Chart(
        "depth-bits",
        "Bits used and bits stored",
        "Each disc is a pair of depths; its area is the number of arrays. On the line every declared bit is used. "
        "Below it, part of the range is unused. Above it, values exceed the declared bits and fail the check.",
        f"{grouped(full)} of {count(counts.total(), 'array')} use every declared bit; {grouped(over)} use more.",
        {
            "kind": "discs",
            "points": _points(counts),
            "line": [0, top],
            "x": {"title": "bits stored, as declared", "min": 0, "max": top + 1},
            "y": {"title": "bits used by the values", "min": 0, "max": top + 1},
        },
        ("Bits stored", "Bits used", "Arrays"),
        [(str(s), str(u), grouped(number)) for (s, u), number in sorted(counts.items())[:MAX_LINES]],
    )


def _points(counts: Mapping[tuple[Any, Any], int]) -> list[list[float]]:
    """Return x, y and number of each disc, large ones first, so that small ones lie above them."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [[_short(x), _short(y), number] for (x, y), number in ranked]


@dataclass(frozen=True, slots=True)
class _Span:
    """Smallest and largest value of a modality, and the range of the middle half of its arrays."""

    name: str
    number: int
    low: float
    high: float
    inner_low: float
    inner_high: float


def _spans(groups: Mapping[str, Sequence[float]]) -> list[_Span]:
    spans = []
    for name, values in list(groups.items())[:MAX_ROWS]:
        ordered = sorted(values)
        inner = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
        spans.append(_Span(name, len(ordered), ordered[0], ordered[-1], inner[0], inner[2]))
    return spans


def _span_drawing(spans: Sequence[_Span], axis: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "spans",
        "labels": [f"{span.name} · {grouped(span.number)}" for span in spans],
        "series": [
            {"name": "all arrays", "values": [[_short(s.low), _short(s.high)] for s in spans], "colour": "soft"},
            {
                "name": "middle half of the arrays",
                "values": [[_short(s.inner_low), _short(s.inner_high)] for s in spans],
                "colour": "accent",
            },
        ],
        "x": dict(axis),
    }


def ranges(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of the observed stored values by modality, None if there are none."""
    rows = []
    for name, members in by_modality(arrays).items():
        extremes = [(a.depth.observed_min, a.depth.observed_max) for a in members if a.depth]
        pairs = [(low, high) for low, high in extremes if low is not None and high is not None]
        if pairs:
            low, high = [low for low, _ in pairs], [high for _, high in pairs]
            rows.append(_Span(name, len(pairs), min(low), max(high), statistics.median(low), statistics.median(high)))
    rows = rows[:MAX_ROWS]
    if not rows:
        return None
    drawing = _span_drawing(rows, {"title": "stored value", "scale": "around_zero"})
    drawing["series"][0]["name"], drawing["series"][1]["name"] = "smallest to largest", "between the medians"
    return Chart(
        "depth-ranges",
        "Intensity by modality",
        "Smallest to largest stored value over every voxel (broad bar), and between the medians of the arrays’ "
        "smallest and largest (narrow bar). The scale is linear around zero, logarithmic beyond ten. The number beside "
        "the name counts arrays.",
        "Observed values by modality: "
        + "; ".join(f"{row.name} {_plain(row.low)} to {_plain(row.high)}" for row in rows)
        + ".",
        drawing,
        ("Modality", "Arrays", "Smallest", "Median smallest", "Median largest", "Largest"),
        [(r.name, grouped(r.number), *map(_plain, (r.low, r.inner_low, r.inner_high, r.high))) for r in rows],
    )


def ratios(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of stored against source bytes by modality, None if bytes are unknown."""
    groups: dict[str, list[float]] = {}
    for name, members in by_modality(arrays).items():
        shares = [100 * a.stored_bytes / a.source_bytes for a in members if a.source_bytes and a.stored_bytes]
        if shares:
            groups[name] = shares
    spans = _spans(groups)
    if not spans:
        return None
    every = [share for shares in groups.values() for share in shares]
    smaller = sum(share < 100 for share in every)
    return Chart(
        "size-ratio",
        "Stored against source bytes",
        "From the smallest to the largest ratio (broad bar) and for the middle half of the arrays (narrow bar). Below "
        "100 % an array is smaller than its source files. Images that were compressed already, and very small ones, "
        "may grow.",
        f"{grouped(smaller)} of {count(len(every), 'array')} take less space than their source files.",
        _span_drawing(spans, {"title": "stored bytes, % of the source", "scale": "logarithmic", "mark": 100}),
        ("Modality", "Arrays", "Smallest, %", "Lower quartile, %", "Upper quartile, %", "Largest, %"),
        [(s.name, grouped(s.number), *(f"{v:.3g}" for v in (s.low, s.inner_low, s.inner_high, s.high))) for s in spans],
    )


def shapes(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of frames against pixels of a plane, None if no shape is known."""
    numbers = Counter((*array.plane, array.frames) for array in arrays)
    sizes = [(math.sqrt(r * c), frames, number) for (r, c, frames), number in numbers.items() if min(r, c, frames) > 0]
    if not sizes:
        return None
    counts: Counter[tuple[float, float]] = Counter()
    for side, frames, number in sizes:
        counts[_snap(side), _snap(frames)] += number
    small, large = (grouped(round(limit(side for side, *_ in sizes))) for limit in (min, max))
    most = max(frames for _, frames, _ in sizes)
    return Chart(
        "size-shapes",
        "Shapes",
        "Size of the planes (side of the square with as many pixels) and their number in an array. The area of a disc "
        "is the number of arrays of about this shape.",
        f"Planes of {small}² to {large}² pixels; up to {count(most, 'frame')} an array.",
        {
            "kind": "discs",
            "points": _points(counts),
            "x": {"title": "side of a plane, pixels", "scale": "logarithmic"},
            "y": {"title": "frames", "scale": "logarithmic"},
        },
        ("Side of a plane, about", "Frames, about", "Arrays"),
        [
            (grouped(round(x)), grouped(round(y)), grouped(number))
            for (x, y), number in sorted(counts.items())[:MAX_LINES]
        ],
    )


def _snap(value: float) -> float:
    """Return a value rounded to twelve steps an octave, so that similar values share a disc."""
    return 2 ** (round(math.log2(value) * 12) / 12)


def spacings(arrays: Sequence[Array]) -> list[Chart]:
    """Return charts of the spacing by modality: within the planes, and between the slices."""
    within: dict[str, list[float]] = {}
    between: dict[str, list[float]] = {}
    for name, members in by_modality(arrays).items():
        for array in members:
            by_axis = _spacing(array.axes, array.spacing)
            if "x" in by_axis:
                within.setdefault(name, []).append(by_axis["x"])
            if "z" in by_axis:
                between.setdefault(name, []).append(by_axis["z"])
    charts = []
    for key, title, groups, what in (
        ("spacing-within", "Pixel spacing", within, "between the centres of neighbouring columns"),
        ("spacing-between", "Slice spacing", between, "between the centres of neighbouring slices"),
    ):
        spans = _spans(groups)
        if not spans:
            continue
        all_values = [value for values in groups.values() for value in values]
        charts.append(
            Chart(
                key,
                title,
                f"Distance {what}, in mm: from the smallest to the largest (broad bar), and for the middle half of the "
                "arrays (narrow bar). Arrays without a known spacing are not counted.",
                f"{title} of {count(len(all_values), 'array')}: {_plain(_short(min(all_values)))} to "
                f"{_plain(_short(max(all_values)))} mm.",
                _span_drawing(spans, {"title": "mm", "scale": "logarithmic"}),
                ("Modality", "Arrays", "Smallest", "Lower quartile", "Upper quartile", "Largest"),
                [
                    (s.name, grouped(s.number), *(f"{v:.4g}" for v in (s.low, s.inner_low, s.inner_high, s.high)))
                    for s in spans
                ],
            )
        )
    return charts


@functools.lru_cache(maxsize=1 << 16)
def _spacing(axes: str, spacing: tuple[str, ...]) -> Mapping[str, float]:
    """Return the known spacings by axis, mm."""
    spatial = [axis for axis in axes if axis in "zyx"]
    if len(spacing) != len(spatial):
        return {}
    found = {}
    for axis, text in zip(spatial, spacing, strict=True):
        try:
            value = float(text)
        except ValueError:
            continue
        if 0 < value < math.inf:
            found[axis] = value
    return found


def gaps(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of the arrays with missing slices by modality, None if no array lacks any."""
    lacking = Counter(a.modality for a in arrays if a.size and a.size.missing_slices)
    if not lacking:
        return None
    slices: Counter[str] = Counter()
    for array in arrays:
        slices[array.modality] += array.size.missing_slices if array.size else 0
    rows = _combined(lacking)
    return Chart(
        "size-gaps",
        "Gaps",
        "Arrays with positions between their first and last slice that have no slice. Nothing was filled in.",
        f"{count(lacking.total(), 'array')} of {grouped(len(arrays))} lack slices, {grouped(slices.total())} in all.",
        _bars(rows, "arrays with gaps"),
        ("Modality", "Arrays with gaps", "Missing slices"),
        [(name, grouped(number), grouped(slices[name]) if name in slices else "") for name, number in rows],
    )


def patients(bars: Sequence[PatientBar]) -> Chart | None:
    """Return a chart of the patients by their number of series, None if there is one bar, or none."""
    if len(bars) < 2:
        return None
    rows = [(str(b.least) if b.least == b.most else f"{b.least}–{b.most}", b.patients) for b in bars]
    shown = (
        rows if len(rows) <= 30 else [*rows[:29], (f"{bars[29].least}–{bars[-1].most}", sum(n for _, n in rows[29:]))]
    )
    number = sum(patients for _, patients in rows)
    return Chart(
        "patients",
        "Series per patient",
        "Patients by the number of their series in the dataset. Neighbouring numbers are combined where few patients "
        "have them (small_cells in the configuration).",
        f"{count(number, 'patient')}, with {bars[0].least} to {bars[-1].most} series each.",
        {**_bars(shown, "patients"), "upright": True, "y": {"title": "series of a patient"}},
        ("Series", "Patients"),
        [(name, grouped(number)) for name, number in shown],
    )


def splits(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of the arrays by modality and split, None without splits."""
    names = splits_of(arrays)
    if names in ([], [NO_SPLIT]):
        return None
    modalities = list(by_modality(arrays))[:MAX_ROWS]
    numbers = Counter((a.modality, a.split or NO_SPLIT) for a in arrays)
    colours = ("accent", "warn", "o-skipped", "soft")
    return Chart(
        "splits",
        "Arrays by split",
        "All images of a patient are in one split. Numbers of patients are in the table above.",
        "Arrays by split: "
        + "; ".join(f"{name}: {grouped(sum(numbers[m, name] for m in by_modality(arrays)))}" for name in names)
        + ".",
        {
            "kind": "bars",
            "labels": modalities,
            "series": [
                {
                    "name": name,
                    "values": [numbers[modality, name] for modality in modalities],
                    "colour": colours[place % len(colours)],
                }
                for place, name in enumerate(names)
            ],
            "x": {"title": "arrays"},
        },
        ("Modality", *names),
        [(modality, *(grouped(numbers[modality, name]) for name in names)) for modality in modalities],
    )


def mask_images(lines: Sequence[NameLine]) -> Chart | None:
    """Return a chart of the images with each name of masks, None if there are fewer than two names.

    An image may have masks of many names, so that the numbers of further names have no sum.
    """
    ranked = sorted(((line.name, line.images) for line in lines if line.images), key=lambda row: (-row[1], row[0]))
    if len(ranked) < 2:
        return None
    rows, others = ranked[:MAX_ROWS], len(ranked) - MAX_ROWS
    caption = "Images with a mask of each name."
    if others > 0:
        verb = "is" if others == 1 else "are"
        caption = (
            f"Images with a mask of the {MAX_ROWS} most frequent names. The other {count(others, 'name')} {verb} in "
            "the table above."
        )
    return Chart(
        "mask-names",
        "Images by mask",
        caption,
        "Images by mask: " + "; ".join(f"{name}: {number}" for name, number in rows) + ".",
        _bars(rows, "images"),
        ("Name", "Images"),
        [(name, grouped(number)) for name, number in rows],
    )


def depth_charts(arrays: Sequence[Array]) -> list[Chart]:
    """Return the charts on bit depth; an empty list for a dataset without arrays."""
    return _drawn((ranges, kinds, bits), arrays)


def size_charts(arrays: Sequence[Array]) -> list[Chart]:
    """Return the charts on bytes, shapes, spacing and gaps; an empty list for a dataset without arrays."""
    return _drawn((ratios, shapes), arrays) + (spacings(arrays) if arrays else []) + _drawn((gaps,), arrays)


def _drawn(makers: Iterable[Callable[[Sequence[Array]], Chart | None]], arrays: Sequence[Array]) -> list[Chart]:
    charts = [make(arrays) for make in makers] if arrays else []
    return [chart for chart in charts if chart is not None]
