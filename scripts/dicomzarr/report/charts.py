"""Charts as inline SVG that takes its colours from the page.

Matplotlib draws with sentinel colours; each becomes a class of the style sheet, so that one drawing serves light, dark
and print. No style attribute is left, which lets the page forbid them. Marks are binned: a chart of 100,000 arrays is
as small as one of a hundred.
"""

from __future__ import annotations

import html
import io
import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from dicomzarr.report.tables import Array, by_modality
from dicomzarr.report.words import MINUS, THIN, count, grouped

# Sentinel colour -> class suffix: "f-…" fills and "s-…" strokes in style.css.
INK, MUTED, RULE, ACCENT, SOFT, PAPER = (f"#00000{n}" for n in range(1, 7))
_CLASSES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", SOFT: "soft", PAPER: "paper"}
_WIDTH, _PER_INCH = 440, 72
MAX_ROWS = 10
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a label is text, whatever is in it
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: inline SVG, a title, a caption and what it shows in a sentence for who cannot see it."""

    name: str
    title: str
    svg: str
    caption: str
    summary: str


def _attributes(match: re.Match[str]) -> str:
    """Return presentation attributes and classes in place of one style attribute."""
    kept, classes = [], []
    for declaration in match.group(1).split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font-family":  # the page's own
            continue
        if key in ("fill", "stroke") and value.startswith("#"):
            classes.append(f"{key[0]}-{_CLASSES[value]}")
        elif key:
            kept.append(f'{key}="{value}"')
    return " ".join(([f'class="{" ".join(classes)}"'] if classes else []) + kept)


def _tag(tag: str, name: str) -> str:
    """Return one tag with classes for colours and with ids that begin with `name`."""
    tag = re.sub(r'style="([^"]*)"', _attributes, tag).replace("xlink:href", "href")
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    return re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", tag)


def _inline(figure: Figure, name: str, summary: str) -> str:
    """Return the figure as an SVG element whose ids all begin with `name`."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>\s*", "", text, flags=re.DOTALL)  # it would reach the whole page
    text = re.sub(r"\s*<defs>\s*</defs>", "", text)
    view = re.search(r'viewBox="[^"]*"', text)
    text = re.sub(r"<[^>]*>", lambda tag: _tag(tag.group(0), name), text)  # matplotlib escapes < and > elsewhere
    head = f'<svg {view.group(0) if view else ""} role="img" aria-label="{html.escape(summary)}" class="chart">'
    text = head + text[text.index(">") + 1 :]
    return re.sub(r"\n\s*", "\n", text).strip()


def _draw(name: str, height: float, summary: str, paint: Callable[[Figure], None]) -> str:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # nobody's own settings
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": name})
        figure = Figure(figsize=(_WIDTH / _PER_INCH, height / _PER_INCH), dpi=_PER_INCH)
        FigureCanvasSVG(figure)
        paint(figure)
        return _inline(figure, name, summary)


def _axes(figure: Figure, *, left: float, bottom: float = 44, top: float = 10, right: float = 16) -> Axes:
    """Return axes with margins in points: a fixed layout does not depend on the fonts of the machine."""
    width, height = figure.get_size_inches() * _PER_INCH
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=6)
    return axes


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    """Put one label per row, the first on top."""
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.yaxis.set_major_locator(FixedLocator(range(len(labels))))
    axes.yaxis.set_major_formatter(FixedFormatter(list(labels)))


def _ticks(axis: Any, places: Sequence[float], labels: Sequence[str]) -> None:
    axis.set_major_locator(FixedLocator(places))
    axis.set_major_formatter(FixedFormatter(list(labels)))
    axis.set_minor_locator(NullLocator())


def _bubbles(axes: Axes, counts: Counter[tuple[float, float]], gid: str) -> None:
    """Draw a disc at each place, its area by the number of arrays there; large ones first, so that none is hidden."""
    places = sorted(counts, key=lambda place: (-counts[place], place))
    most = max(counts.values())
    areas = [60 + 420 * (counts[place] - 1) / most for place in places]
    marks = axes.scatter(
        [x for x, _ in places],
        [y for _, y in places],
        s=areas,
        c=ACCENT,
        alpha=0.72,
        edgecolors=PAPER,
        linewidths=1,
        clip_on=False,
        zorder=3,
    )
    marks.set_gid(gid)


def _label(name: str, number: int) -> str:
    return f"{name if len(name) <= 9 else name[:8] + '…'} · {grouped(number)}"


def kinds(arrays: Sequence[Array]) -> Chart:
    """Return the number of arrays by stored type and Bits Stored (0028,0101)."""

    def kind(array: Array) -> str:
        return f"{array.dtype}, {array.bits_stored} bits" if array.bits_stored else array.dtype

    found = sorted(Counter(kind(array) for array in arrays).items(), key=lambda item: (-item[1], item[0]))
    rows = found[:MAX_ROWS]
    if len(found) > MAX_ROWS:
        rows.append((f"{len(found) - MAX_ROWS} others", sum(number for _, number in found[MAX_ROWS:])))

    def paint(figure: Figure) -> None:
        axes = _axes(figure, left=118, bottom=8, top=4, right=56)
        bars = axes.barh(range(len(rows)), [number for _, number in rows], height=0.62, color=ACCENT)
        for place, bar in enumerate(bars):
            bar.set_gid(f"bar-{place}")
        for place, (_, number) in enumerate(rows):
            axes.annotate(
                grouped(number), (number, place), xytext=(6, 0), textcoords="offset points", va="center", color=MUTED
            )
        _rows(axes, [name for name, _ in rows])
        axes.spines["bottom"].set_visible(False)
        axes.xaxis.set_major_locator(NullLocator())

    summary = "Arrays by stored type: " + "; ".join(f"{name}: {number}" for name, number in rows)
    return Chart(
        "depth-kinds",
        "Stored types",
        _draw("depth-kinds", 16 + 27 * len(rows), summary, paint),
        "Arrays by the type they are stored in and the bits their header declares. Types are the native ones; nothing "
        "is widened or scaled.",
        summary + ".",
    )


def bits(arrays: Sequence[Array]) -> Chart | None:
    """Return bits used against bits stored, None where no array has integer values."""
    pairs = [(a.depth.bits_stored, a.depth.bits_used) for a in arrays if a.depth]
    counts: Counter[tuple[float, float]] = Counter((s, u) for s, u in pairs if s is not None and u is not None)
    if not counts:
        return None
    top = max(16, *(math.ceil(max(place)) for place in counts))
    full = sum(number for (stored, used), number in counts.items() if used == stored)
    over = sum(number for (stored, used), number in counts.items() if used > stored)

    def paint(figure: Figure) -> None:
        axes = _axes(figure, left=46)
        axes.plot([0, top], [0, top], color=MUTED, linewidth=1, dashes=(3, 3), gid="diagonal")
        axes.grid(True)
        steps = range(0, top + 1, 4 if top <= 32 else 8)
        axes.set_xlim(0, top + 0.6)
        axes.set_ylim(0, top + 0.6)
        _ticks(axes.xaxis, steps, [str(step) for step in steps])
        _ticks(axes.yaxis, steps, [str(step) for step in steps])
        axes.tick_params(axis="y", labelcolor=MUTED)
        axes.set_xlabel("bits stored, as declared")
        axes.set_ylabel("bits used by the values")
        _bubbles(axes, counts, "marks")

    summary = f"{grouped(full)} of {count(counts.total(), 'array')} use every declared bit; {grouped(over)} use more"
    return Chart(
        "depth-bits",
        "Bits used and bits stored",
        _draw("depth-bits", 270, summary, paint),
        "Each disc is a pair of depths, its area the number of arrays. On the dashed line every declared bit is used; "
        "below it the range is not exhausted; above it values would not fit, which fails the check.",
        summary + ".",
    )


def ranges(arrays: Sequence[Array]) -> Chart | None:
    """Return the observed stored values by modality, None where no array has any."""
    rows = []
    for name, members in by_modality(arrays).items():
        seen = [(a.depth.observed_min, a.depth.observed_max) for a in members if a.depth]
        pairs = [(low, high) for low, high in seen if low is not None and high is not None]
        if pairs:
            rows.append((name, [low for low, _ in pairs], [high for _, high in pairs]))
    rows = rows[: MAX_ROWS + 4]
    if not rows:
        return None
    least, most = min(min(low) for _, low, _ in rows), max(max(high) for _, _, high in rows)
    powers = [10**n for n in range(1, 13) if 10**n <= max(-least, most, 10)]
    powers = powers[:: math.ceil(len(powers) / (3 if least < -10 else 6))]
    places = [-p for p in reversed(powers) if p <= -least] + [0] + [p for p in powers if p <= most]

    def paint(figure: Figure) -> None:
        axes = _axes(figure, left=86)
        axes.set_xscale("symlog", linthresh=10, linscale=0.5)
        axes.grid(True, axis="x")
        for place, (_, lows, highs) in enumerate(rows):
            axes.plot(
                [min(lows), max(highs)], [place, place], color=ACCENT, linewidth=1.4, solid_capstyle="round",
                gid=f"range-{place}",
            )  # fmt: skip
            axes.plot(
                [statistics.median(lows), statistics.median(highs)], [place, place], color=ACCENT, linewidth=8,
                solid_capstyle="round", gid=f"typical-{place}",
            )  # fmt: skip
        _rows(axes, [_label(name, len(lows)) for name, lows, _ in rows])
        _ticks(axes.xaxis, places, [_tick(place) for place in places])
        axes.set_xlabel("stored value")

    summary = "Observed values by modality: " + "; ".join(
        f"{name} {_plain(min(lows))} to {_plain(max(highs))}" for name, lows, highs in rows
    )
    return Chart(
        "depth-ranges",
        "Observed values",
        _draw("depth-ranges", 56 + 27 * len(rows), summary, paint),
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


def _octaves(low: float, high: float, at_most: int) -> list[float]:
    """Return powers of two that span the range, at most so many."""
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    step = max(1, math.ceil((last - first) / (at_most - 1)))
    return [2.0**n for n in range(first, last + 1) if n % step == 0]


def ratios(arrays: Sequence[Array]) -> Chart | None:
    """Return stored against source bytes by modality, None where bytes are unknown."""
    rows = []
    for name, members in by_modality(arrays).items():
        known = [a.stored_bytes / a.source_bytes for a in members if a.source_bytes and a.stored_bytes]
        if known:
            rows.append((name, known))
    rows = rows[: MAX_ROWS + 4]
    if not rows:
        return None
    everything = [ratio for _, known in rows for ratio in known]
    low, high = min(0.25, *everything), max(2.0, *everything)
    ticks = _octaves(low, high, 7)
    counts: Counter[tuple[float, float]] = Counter(
        (_snap(ratio), float(place)) for place, (_, known) in enumerate(rows) for ratio in known
    )

    def paint(figure: Figure) -> None:
        axes = _axes(figure, left=86)
        axes.set_xscale("log", base=2)
        axes.set_xlim(low / 1.1, high * 1.1)
        axes.grid(True, axis="x")
        axes.axvline(1, color=MUTED, linewidth=1, dashes=(3, 3), gid="equal")
        _bubbles(axes, counts, "marks")
        _rows(axes, [_label(name, len(known)) for name, known in rows])
        _ticks(axes.xaxis, ticks, [f"{100 * tick:.{3 if tick < 1 else 12}g}{THIN}%" for tick in ticks])
        axes.set_xlabel("stored bytes, as a share of the source")

    smaller = sum(ratio < 1 for ratio in everything)
    summary = f"{grouped(smaller)} of {count(len(everything), 'array')} take less room than their source files"
    return Chart(
        "size-ratio",
        "Stored against source bytes",
        _draw("size-ratio", 56 + 27 * len(rows), summary, paint),
        "Left of the dashed line an array is smaller than the files it came from. Sources that were compressed before, "
        "and very small images, may grow. The area of a disc is the number of arrays with about this ratio.",
        summary + ".",
    )


def shapes(arrays: Sequence[Array]) -> Chart | None:
    """Return frames against pixels of a plane, None where no shape is known."""
    known = [(math.sqrt(a.plane[0] * a.plane[1]), a.frames) for a in arrays if min(*a.plane, a.frames) > 0]
    if not known:
        return None
    counts: Counter[tuple[float, float]] = Counter((_snap(side), _snap(frames)) for side, frames in known)
    sides = _octaves(min(side for side, _ in known), max(256, *(side for side, _ in known)), 7)
    tall = max(16, *(frames for _, frames in known))
    steps = _octaves(1, tall, 6)

    def paint(figure: Figure) -> None:
        axes = _axes(figure, left=52)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xlim(min(sides[0], *(s for s, _ in counts)) / 1.3, max(sides[-1], *(s for s, _ in counts)) * 1.3)
        axes.set_ylim(0.75, max(steps[-1], tall) * 1.3)
        axes.grid(True)
        _ticks(axes.xaxis, sides, [f"{side:g}²" for side in sides])
        _ticks(axes.yaxis, steps, [grouped(int(step)) for step in steps])
        axes.tick_params(axis="y", labelcolor=MUTED)
        axes.set_xlabel("pixels of a plane")
        axes.set_ylabel("frames")
        _bubbles(axes, counts, "marks")

    small, large = (grouped(round(limit(side for side, _ in known))) for limit in (min, max))
    most = max(frames for _, frames in known)
    summary = f"Planes of {small}² to {large}² pixels; up to {count(most, 'frame')} an array"
    return Chart(
        "size-shapes",
        "Shapes",
        _draw("size-shapes", 270, summary, paint),
        "How large the planes are and how many an array has. Both scales are logarithmic; the area of a disc is the "
        "number of arrays of about this shape.",
        summary + ".",
    )


def _snap(value: float) -> float:
    """Return the nearest of twelve steps an octave, so that near places share a disc."""
    return 2 ** (round(math.log2(value) * 12) / 12)


def depth_charts(arrays: Sequence[Array]) -> list[Chart]:
    """Return the charts on bit depth; none for a dataset without arrays."""
    return _drawn((kinds, ranges, bits), arrays)


def size_charts(arrays: Sequence[Array]) -> list[Chart]:
    """Return the charts on bytes and shapes; none for a dataset without arrays."""
    return _drawn((ratios, shapes), arrays)


def _drawn(makers: Iterable[Callable[[Sequence[Array]], Chart | None]], arrays: Sequence[Array]) -> list[Chart]:
    made = [make(arrays) for make in makers] if arrays else []
    return [chart for chart in made if chart is not None]
