"""What came in and where it went, as a drawing: files, outcomes, series, volumes, dataset, joined by ribbons.

The width of a ribbon is a share: of the files up to the outcomes, of the source frames from the series on. The drawing
is SVG without a script. Colours are classes of the style sheet, so that one drawing suits light, dark and print.
"""

from __future__ import annotations

import html
import textwrap
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dicomzarr.stages.render_report.numbers import count, grouped
from dicomzarr.stages.render_report.tables import OUTCOMES, Array, Tables, totals

_HEIGHT = 260.0  # of all files together
_LEAST = 2.0  # of a bar, so that one file among thousands is seen
_GAP = 7.0
_BAR = 9.0
_HEADING = 24.0
_MODALITIES, _REASONS = 7, 3  # more are combined
_LINE, _LETTER = 1.35, 0.55  # height of a line and width of a letter, of the size of the text
# Heading and left edge of each column.
_WIDE = (("Files", 0), ("Outcome", 180), ("Series, or why not", 400), ("Volumes", 660), ("Dataset", 850))
_NARROW = (("Files", 0), ("Outcome", 80), ("Volumes, or why not", 205))
_VERDICTS = {"pass": "pass", "warn": "warning", "fail": "failed"}


@dataclass(slots=True)
class _Node:
    """A bar: its column, its label, its class, and its share of the height, 0 to 1."""

    column: int
    label: str
    look: str
    share: float
    top: float = 0.0
    height: float = 0.0
    lines: Sequence[str] = ()  # the label, broken where the next column begins
    left_used: float = 0.0  # height of the ribbons that are drawn already
    right_used: float = 0.0


@dataclass(slots=True)
class _Chart:
    nodes: dict[str, _Node] = field(default_factory=dict)
    links: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, name: str, column: int, label: str, look: str, share: float, source: str = "") -> None:
        """Add a bar, and a ribbon of its whole height from another bar."""
        self.nodes[name] = _Node(column, label, look, share)
        if source:
            self.links.append((source, name, share))


def set_aside(tables: Tables) -> str:
    """Return how many files were not extracted, such as ``3 skipped, 1 ignored``; empty if there are none."""
    return ", ".join(f"{grouped(tables.files(name))} {name}" for name in OUTCOMES[1:] if tables.files(name))


def summary(tables: Tables) -> str:
    """Return the flow in one sentence, for those who do not see the drawing."""
    of, lost = totals(tables.arrays), set_aside(tables)
    found = sum(row.files for row in tables.outcomes)
    return (
        f"Of {count(found, 'file')} {grouped(tables.files('extracted'))} were extracted"
        f"{f' ({lost})' if lost else ''}; they are {count(of.series, 'series', 'series')}, "
        f"which became {count(of.arrays, 'volume')}."
    )


def drawings(tables: Tables) -> tuple[str, str]:
    """Return the drawing in five columns, and in three for a phone; both are empty without files."""
    volumes = _by_modality(tables.arrays)
    return (
        _drawn(_chart(tables, volumes, wide=True), _WIDE, 1000, 13),
        _drawn(_chart(tables, volumes, wide=False), _NARROW, 370, 12.5),
    )


def _chart(tables: Tables, volumes: Mapping[str, _Volumes], *, wide: bool) -> _Chart:
    chart, found = _Chart(), sum(row.files for row in tables.outcomes)
    if not found:
        return chart
    chart.add("found", 0, f"{grouped(found)} found" if wide else grouped(found), "ink", 1.0)
    for outcome in OUTCOMES:
        number = tables.files(outcome)
        if number:
            chart.add(outcome, 1, f"{outcome} {grouped(number)}", outcome, number / found, "found")
    if "extracted" in chart.nodes:
        _add_volumes(chart, volumes, chart.nodes["extracted"].share, wide=wide)
    for outcome in OUTCOMES[1:]:
        rows = [row for row in tables.outcomes if row.outcome == outcome and row.files]
        reasons = [(row.reason.replace("_", " ") or "unknown", row.files) for row in rows[:_REASONS]]
        if len(rows) > _REASONS:
            others = len(rows) - _REASONS
            words = f"{others} other reason{'s' if others > 1 else ''}"
            reasons.append((words, sum(row.files for row in rows[_REASONS:])))
        for reason, number in reasons:
            chart.add(f"{outcome}/{reason}", 2, f"{reason} {grouped(number)}", outcome, number / found, outcome)
    return chart


@dataclass(slots=True)
class _Volumes:
    """The arrays of a modality, or of several: their series, and how many arrays and source frames of each verdict."""

    series: set[str] = field(default_factory=set)
    arrays: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Volumes) -> None:
        """Add those of another modality."""
        self.series |= other.series
        self.arrays.update(other.arrays)
        self.frames.update(other.frames)


def _by_modality(arrays: Sequence[Array]) -> dict[str, _Volumes]:
    """Return the volumes of each modality that has a bar of its own, most arrays first, and of all others."""
    groups: defaultdict[str, _Volumes] = defaultdict(_Volumes)
    for array in arrays:
        group, verdict = groups[array.modality], array.verdict
        group.series.add(array.series_id)
        group.arrays[verdict] += 1
        group.frames[verdict] += max(array.frames, 1)
    ranked = sorted(groups.items(), key=lambda item: (-item[1].arrays.total(), item[0]))
    if len(ranked) <= _MODALITIES + 1:
        return dict(ranked)
    rest = _Volumes()
    for _, group in ranked[_MODALITIES:]:
        rest.add(group)
    return {**dict(ranked[:_MODALITIES]), f"{len(ranked) - _MODALITIES} others": rest}


def _add_volumes(chart: _Chart, shown: Mapping[str, _Volumes], share: float, *, wide: bool) -> None:
    """Add series, volumes and verdicts; their shares are those of their source frames."""
    one = share / (sum(group.frames.total() for group in shown.values()) or 1)  # of one frame
    for name, group in shown.items():
        part = one * group.frames.total()
        if wide:
            label = f"{name} · {count(len(group.series), 'series', 'series')}"
            chart.add(f"series/{name}", 2, label, "extracted", part, "extracted")
            volumes = count(group.arrays.total(), "volume")
            chart.add(f"volumes/{name}", 3, volumes, "extracted", part, f"series/{name}")
        else:
            label = f"{name} · {count(group.arrays.total(), 'volume')}"
            chart.add(f"volumes/{name}", 2, label, "extracted", part, "extracted")
    if not wide:
        return
    for verdict, word in _VERDICTS.items():
        number = sum(group.arrays[verdict] for group in shown.values())
        if number:
            part = one * sum(group.frames[verdict] for group in shown.values())
            chart.add(f"dataset/{verdict}", 4, f"{grouped(number)} {word}", f"verdict-{verdict}", part)
            for name, group in shown.items():
                if group.arrays[verdict]:
                    chart.links.append((f"volumes/{name}", f"dataset/{verdict}", one * group.frames[verdict]))


def _drawn(chart: _Chart, columns: Sequence[tuple[str, float]], width: float, size: float) -> str:
    """Return the drawing as SVG, its parts hidden from screen readers: `summary` says the same."""
    if not chart.nodes:
        return ""
    line = size * _LINE
    last = 1 + max(node.column for node in chart.nodes.values())
    edges = [edge for _, edge in columns]
    bottom = 0.0
    for column in range(last):
        top = _HEADING + line / 2
        for node in (node for node in chart.nodes.values() if node.column == column):
            end = edges[column + 1] if column + 1 < last else width
            letters = int((end - edges[column] - _BAR - 6) / (size * _LETTER))
            node.lines = textwrap.wrap(node.label, letters, break_long_words=False)
            node.height, of_label = max(_LEAST, node.share * _HEIGHT), line * len(node.lines)
            node.top = top + max(0.0, (of_label - node.height) / 2)
            top += max(node.height, of_label) + _GAP
        bottom = max(bottom, top)
    ribbons = [_ribbon(chart.nodes[start], chart.nodes[end], share, edges) for start, end, share in chart.links]
    marks = [_bar(node, edges) for node in chart.nodes.values()]
    texts = [
        f'<text class="f-muted" x="{edge:g}" y="{size:g}">{html.escape(text)}</text>' for text, edge in columns[:last]
    ]
    texts += [_label(node, edges, size) for node in chart.nodes.values()]
    return (
        f'<svg viewBox="0,0,{width:g},{bottom:.0f}" font-size="{size:g}" aria-hidden="true" focusable="false">'
        + "".join((*ribbons, *marks, *texts))
        + "</svg>"
    )


def _ribbon(source: _Node, target: _Node, share: float, edges: Sequence[float]) -> str:
    """Return the ribbon from the right of a bar to the left of another."""
    height = max(0.8, share * _HEIGHT)
    start, end = source.top + source.right_used, target.top + target.left_used
    source.right_used += share * _HEIGHT
    target.left_used += share * _HEIGHT
    x0, x1 = edges[source.column] + _BAR, edges[target.column]
    middle = (x0 + x1) / 2
    points = (
        f"M{x0:.0f} {start:.1f}C{middle:.0f} {start:.1f} {middle:.0f} {end:.1f} {x1:.0f} {end:.1f}v{height:.1f}"
        f"C{middle:.0f} {end + height:.1f} {middle:.0f} {start + height:.1f} {x0:.0f} {start + height:.1f}Z"
    )
    return f'<path class="ribbon o-{target.look}" d="{points}"/>'


def _bar(node: _Node, edges: Sequence[float]) -> str:
    return (
        f'<rect class="o-{node.look}" x="{edges[node.column]:.0f}" y="{node.top:.1f}" width="{_BAR:g}" '
        f'height="{node.height:.1f}" rx="1.5"/>'
    )


def _label(node: _Node, edges: Sequence[float], size: float) -> str:
    x, middle = edges[node.column] + _BAR + 6, (len(node.lines) - 1) / 2
    base, line = node.top + node.height / 2 + size * 0.35, size * _LINE
    return "".join(
        f'<text class="f-ink" x="{x:.0f}" y="{base + (number - middle) * line:.1f}">{html.escape(text)}</text>'
        for number, text in enumerate(node.lines)
    )
