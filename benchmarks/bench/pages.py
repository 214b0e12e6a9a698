"""What a benchmark says: tables in Markdown and a chart as SVG, from its figures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomzarr.stages.render_report.svg import Plot, linear

START, END = "<!-- bench: made by ./run bench --page -->", "<!-- end of bench -->"
# Outside the report there is no page whose style sheet could give the colours.
COLOURS = {"ink": "#222", "muted": "#666", "rule": "#ccc", "accent": "#2b6a8c", "paper": "#fff"}


def frames_text(found: int | None, expected: int) -> str:
    """Return how many frames came out, loudly where some are lost."""
    if found is None:
        return "–"
    return f"{found:,}" if found == expected else f"**{found:,} of {expected:,}: LOST {expected - found:,}**"


def markdown(said: Mapping[str, Any]) -> str:
    """Return the tables."""
    machine = said["machine"]
    lines = [
        f"{said['date']}, {machine['processor']}, {said['cores']} cores, {machine['memory_gib']} GiB; medians of "
        f"{said['rounds']} rounds in turn on a warm cache, load at start {machine['load_at_start']}; "
        f"preset `{said['preset']}`.",
        "",
        "| | found | must | goal | |",
        "|---|---|---|---|---|",
    ]
    for row in said["targets"]:
        found = "–" if row["found"] is None else f"{row['found']:.3g}"
        lines.append(f"| {row['name']} | {found} | {row['must']:g} | {row['goal']:g} | {row['verdict']} |")
    for corpus in said["corpora"]:
        lines += [
            "",
            f"**{corpus['title']}**, {corpus['bytes'] / 1e6:,.0f} MB, {corpus['frames']:,} frames",
            "",
            "| | wall s | CPU s | peak MiB | MB out | files out | frames out |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in corpus["competitors"]:
            if one["failed"]:
                lines.append(f"| {one['name']} | failed: {one['failed']} | | | | | |")
                continue
            frames = frames_text(one["frames"], corpus["frames"])
            numbers = f"{one['wall']:.2f} | {one['cpu']:.2f} | {one['peak']:.0f}"
            lines.append(f"| {one['name']} | {numbers} | {one['bytes'] / 1e6:,.0f} | {one['files']:,} | {frames} |")
    return "\n".join(lines) + "\n"


def chart(said: Mapping[str, Any]) -> str:
    """Return the wall seconds of everyone on every corpus as bars."""
    rows = [
        (f"{corpus['name']}: {one['name']}", one["wall"])
        for corpus in said["corpora"]
        for one in corpus["competitors"]
        if not one["failed"]
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
    """Put the tables between the markers of a page."""
    page = path.read_text(encoding="utf-8")
    head, rest = page.split(START, 1)
    path.write_text(f"{head}{START}\n\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")
