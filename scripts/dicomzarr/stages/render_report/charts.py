"""The charts of the report. Values are binned, so that the size of a chart does not grow with the dataset."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dicomzarr.stages.render_report.numbers import MINUS, THIN, count, grouped
from dicomzarr.stages.render_report.svg import Plot, around_zero, linear, octaves
from dicomzarr.stages.render_report.tables import Array, by_modality

MAX_ROWS = 10


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: inline SVG, title, caption, and a sentence that describes it for screen readers."""

    name: str
    title: str
    svg: str
    caption: str
    summary: str


def _label(name: str, number: int) -> str:
    return f"{name if len(name) <= 9 else name[:8] + '…'} · {grouped(number)}"


def kinds(arrays: Sequence[Array]) -> Chart:
    """Return a chart of the number of arrays by stored type and Bits Stored (0028,0101)."""

    def kind(array: Array) -> str:
        return f"{array.dtype}, {array.bits_stored} bits" if array.bits_stored else array.dtype

    numbers = sorted(Counter(kind(array) for array in arrays).items(), key=lambda item: (-item[1], item[0]))
    rows = numbers[:MAX_ROWS]
    if len(numbers) > MAX_ROWS:
        rows.append((f"{len(numbers) - MAX_ROWS} others", sum(number for _, number in numbers[MAX_ROWS:])))

    plot = Plot(16 + 27 * len(rows), left=118, bottom=8, top=4, right=56)
    plot.scale_x(linear, 0, max(number for _, number in rows))
    plot.rows([name for name, _ in rows])
    for place, (_, number) in enumerate(rows):
        plot.bar(place, number, grouped(number))
    summary = "Arrays by stored type: " + "; ".join(f"{name}: {number}" for name, number in rows)
    return Chart(
        "depth-kinds",
        "Stored types",
        plot.svg(summary),
        "Arrays by stored type and the bits that their header declares. Types are the native ones; nothing "
        "is widened or scaled.",
        summary + ".",
    )


def bits(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of bits used against bits stored, None if no array has integer values."""
    pairs = [(a.depth.bits_stored, a.depth.bits_used) for a in arrays if a.depth]
    counts: Counter[tuple[float, float]] = Counter((s, u) for s, u in pairs if s is not None and u is not None)
    if not counts:
        return None
    top = max(16, *(math.ceil(max(place)) for place in counts))
    full = sum(number for (stored, used), number in counts.items() if used == stored)
    over = sum(number for (stored, used), number in counts.items() if used > stored)

    steps = range(0, top + 1, 4 if top <= 32 else 8)
    plot = Plot(270, left=46)
    plot.scale_x(linear, 0, top + 0.6)
    plot.scale_y(linear, 0, top + 0.6)
    plot.ticks_x(steps, map(str, steps))
    plot.ticks_y(steps, map(str, steps))
    plot.names("bits stored, as declared", "bits used by the values")
    plot.line((0, 0), (top, top), "muted", 1, dashed=True)
    plot.discs(counts)
    summary = f"{grouped(full)} of {count(counts.total(), 'array')} use every declared bit; {grouped(over)} use more"
    return Chart(
        "depth-bits",
        "Bits used and bits stored",
        plot.svg(summary),
        "Each disc is a pair of depths; its area is the number of arrays. On the dashed line every declared bit is "
        "used. Below it, part of the range is unused. Above it, values exceed the declared bits and fail the check.",
        summary + ".",
    )


def ranges(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of the observed stored values by modality, None if there are none."""
    rows = []
    for name, members in by_modality(arrays).items():
        extremes = [(a.depth.observed_min, a.depth.observed_max) for a in members if a.depth]
        pairs = [(low, high) for low, high in extremes if low is not None and high is not None]
        if pairs:
            rows.append((name, [low for low, _ in pairs], [high for _, high in pairs]))
    rows = rows[: MAX_ROWS + 4]
    if not rows:
        return None
    least, most = min(min(low) for _, low, _ in rows), max(max(high) for _, _, high in rows)
    powers = [10**n for n in range(1, 13) if 10**n <= max(-least, most, 10)]
    powers = powers[:: math.ceil(len(powers) / (3 if least < -10 else 6))]
    places = [-p for p in reversed(powers) if p <= -least] + [0] + [p for p in powers if p <= most]

    plot = Plot(56 + 27 * len(rows), left=86)
    plot.scale_x(around_zero, min(least, 0), max(most, 10), margin=0.05)
    plot.rows([_label(name, len(lows)) for name, lows, _ in rows])
    plot.ticks_x(places, map(_tick, places))
    plot.names("stored value")
    for place, (_, lows, highs) in enumerate(rows):
        plot.line((min(lows), place), (max(highs), place), "accent", 1.4)
        plot.line((statistics.median(lows), place), (statistics.median(highs), place), "accent", 8)
    summary = "Observed values by modality: " + "; ".join(
        f"{name} {_plain(min(lows))} to {_plain(max(highs))}" for name, lows, highs in rows
    )
    return Chart(
        "depth-ranges",
        "Observed values",
        plot.svg(summary),
        "Smallest to largest stored value by modality, over every voxel (thin), and between the medians of the arrays' "
        "smallest and largest (thick). The scale is linear around zero, logarithmic beyond ten. The number beside the "
        "name counts arrays.",
        summary + ".",
    )


def _plain(value: float) -> str:
    return f"{value:.6g}".replace("-", MINUS)


def _tick(value: float) -> str:
    size, unit = abs(value), ""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            size, unit = size / limit, THIN + letter
            break
    return f"{MINUS if value < 0 else ''}{size:g}{unit}"


def _powers(low: float, high: float, at_most: int) -> list[float]:
    """Return powers of two that span a range, at most `at_most`."""
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    step = max(1, math.ceil((last - first) / (at_most - 1)))
    return [2.0**n for n in range(first, last + 1) if n % step == 0]


def ratios(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of stored against source bytes by modality, None if bytes are unknown."""
    rows = []
    for name, members in by_modality(arrays).items():
        shares = [a.stored_bytes / a.source_bytes for a in members if a.source_bytes and a.stored_bytes]
        if shares:
            rows.append((name, shares))
    rows = rows[: MAX_ROWS + 4]
    if not rows:
        return None
    all_shares = [share for _, shares in rows for share in shares]
    low, high = min(0.25, *all_shares), max(2.0, *all_shares)
    ticks = _powers(low, high, 7)
    counts: Counter[tuple[float, float]] = Counter(
        (_snap(share), float(place)) for place, (_, shares) in enumerate(rows) for share in shares
    )

    plot = Plot(56 + 27 * len(rows), left=86)
    plot.scale_x(octaves, low / 1.1, high * 1.1)
    plot.rows([_label(name, len(shares)) for name, shares in rows])
    plot.ticks_x(ticks, [f"{100 * tick:.{3 if tick < 1 else 12}g}{THIN}%" for tick in ticks])
    plot.names("stored bytes, as a share of the source")
    plot.upright(1)
    plot.discs(counts)
    smaller = sum(share < 1 for share in all_shares)
    summary = f"{grouped(smaller)} of {count(len(all_shares), 'array')} take less space than their source files"
    return Chart(
        "size-ratio",
        "Stored against source bytes",
        plot.svg(summary),
        "Left of the dashed line an array is smaller than its source files. Images that were compressed already, and "
        "very small ones, may grow. The area of a disc is the number of arrays with about this ratio.",
        summary + ".",
    )


def shapes(arrays: Sequence[Array]) -> Chart | None:
    """Return a chart of frames against pixels of a plane, None if no shape is known."""
    sizes = [(math.sqrt(a.plane[0] * a.plane[1]), a.frames) for a in arrays if min(*a.plane, a.frames) > 0]
    if not sizes:
        return None
    counts: Counter[tuple[float, float]] = Counter((_snap(side), _snap(frames)) for side, frames in sizes)
    sides = _powers(min(side for side, _ in sizes), max(256, *(side for side, _ in sizes)), 7)
    tall = max(16, *(frames for _, frames in sizes))
    steps = _powers(1, tall, 6)

    plot = Plot(270, left=52)
    plot.scale_x(octaves, min(sides[0], *(s for s, _ in counts)) / 1.3, max(sides[-1], *(s for s, _ in counts)) * 1.3)
    plot.scale_y(octaves, 0.75, max(steps[-1], tall) * 1.3)
    plot.ticks_x(sides, [f"{side:g}²" for side in sides])
    plot.ticks_y(steps, [grouped(int(step)) for step in steps])
    plot.names("pixels of a plane", "frames")
    plot.discs(counts)
    small, large = (grouped(round(limit(side for side, _ in sizes))) for limit in (min, max))
    most = max(frames for _, frames in sizes)
    summary = f"Planes of {small}² to {large}² pixels; up to {count(most, 'frame')} an array"
    return Chart(
        "size-shapes",
        "Shapes",
        plot.svg(summary),
        "Size of the planes and their number in an array. Both scales are logarithmic; the area of a disc is the "
        "number of arrays of about this shape.",
        summary + ".",
    )


def _snap(value: float) -> float:
    """Return a value rounded to twelve steps an octave, so that similar values share a disc."""
    return 2 ** (round(math.log2(value) * 12) / 12)


def depth_charts(arrays: Sequence[Array]) -> list[Chart]:
    """Return the charts on bit depth; an empty list for a dataset without arrays."""
    return _drawn((kinds, ranges, bits), arrays)


def size_charts(arrays: Sequence[Array]) -> list[Chart]:
    """Return the charts on bytes and shapes; an empty list for a dataset without arrays."""
    return _drawn((ratios, shapes), arrays)


def _drawn(makers: Iterable[Callable[[Sequence[Array]], Chart | None]], arrays: Sequence[Array]) -> list[Chart]:
    charts = [make(arrays) for make in makers] if arrays else []
    return [chart for chart in charts if chart is not None]
