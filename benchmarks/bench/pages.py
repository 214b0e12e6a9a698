"""The figures of a benchmark as tables in Markdown and as a chart in SVG."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.svg import Plot, linear

START, END = "<!-- bench: made by ./run bench --page -->", "<!-- end of bench -->"
# The chart has no style sheet, unlike the report.
COLOURS = {"ink": "#222", "muted": "#666", "rule": "#ccc", "accent": "#2b6a8c", "paper": "#fff"}


def frames_text(written: int | None, expected: int) -> str:
    """Return the number of written frames as text; in bold if some are lost."""
    if written is None:
        return "–"
    return f"{written:,}" if written == expected else f"**{written:,} of {expected:,}: LOST {expected - written:,}**"


def markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables."""
    machine = figures["machine"]
    lines = [
        f"{figures['date']}, {machine['processor']}, {figures['cores']} cores, {machine['memory_gib']} GiB; medians of "
        f"{figures['rounds']} rounds in turn on a warm cache, load at start {machine['load_at_start']}; "
        f"preset `{figures['preset']}`.",
        "",
        "| | found | must | goal | |",
        "|---|---|---|---|---|",
    ]
    for row in figures["targets"]:
        value = "–" if row["found"] is None else f"{row['found']:.3g}"
        lines.append(f"| {row['name']} | {value} | {row['must']:g} | {row['goal']:g} | {row['verdict']} |")
    for corpus in figures["corpora"]:
        lines += [
            "",
            f"**{corpus['title']}**, {corpus['bytes'] / 1e6:,.0f} MB, {corpus['frames']:,} frames",
            "",
            "| | wall s | CPU s | peak MiB | MB out | files out | frames out |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in corpus["competitors"]:
            if row["failed"]:
                lines.append(f"| {row['name']} | failed: {row['failed']} | | | | | |")
                continue
            frames = frames_text(row["frames"], corpus["frames"])
            numbers = f"{row['wall']:.2f} | {row['cpu']:.2f} | {row['peak']:.0f}"
            lines.append(f"| {row['name']} | {numbers} | {row['bytes'] / 1e6:,.0f} | {row['files']:,} | {frames} |")
    return "\n".join(lines) + "\n"


def chart(figures: Mapping[str, Any]) -> str:
    """Return a bar chart of the wall seconds of all competitors on all corpora."""
    rows = [
        (f"{corpus['name']}: {row['name']}", row["wall"])
        for corpus in figures["corpora"]
        for row in corpus["competitors"]
        if not row["failed"]
    ]
    plot = Plot(16 + 22 * len(rows), left=150, bottom=8, top=4, right=60)
    plot.scale_x(linear, 0, max([wall for _, wall in rows], default=1))
    plot.rows([name for name, _ in rows])
    for place, (_, wall) in enumerate(rows):
        plot.bar(place, wall, f"{wall:.{max(0, 2 - int(math.log10(max(wall, 1))))}f} s")
    return _coloured(plot.svg("Wall seconds by corpus and competitor"))


def _coloured(svg: str) -> str:
    def attributes(match: re.Match[str]) -> str:
        kinds = {"f": "fill", "s": "stroke"}
        parts = [name.partition("-") for name in match.group(1).split()]
        return " ".join(f'{kinds[kind]}="{COLOURS[name]}"' for kind, _, name in parts if kind in kinds)

    svg = re.sub(r'class="([^"]*)"', attributes, svg)
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ', 1) + "\n"


def write_into(path: Path, text: str) -> None:
    """Replace the text between the markers of a page."""
    page = path.read_text(encoding="utf-8")
    head, rest = page.split(START, 1)
    path.write_text(f"{head}{START}\n\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")
