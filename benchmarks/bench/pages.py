"""The figures of a benchmark as tables in Markdown and as a chart in SVG."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

START, END = "<!-- bench: made by ./run bench --page -->", "<!-- end of bench -->"
# The chart, in pixels: a row for each competitor on a corpus, where bars start, and the length of the longest one.
ROW, START_OF_BARS, LONGEST_BAR = 22, 150, 230


def frames_text(written: int | None, expected: int) -> str:
    """Return the number of written frames as text; in bold if some are lost."""
    if written is None:
        return "–"
    return f"{written:,}" if written == expected else f"**{written:,} of {expected:,}: LOST {expected - written:,}**"


def markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables."""
    machine = figures["machine"]
    lines = [
        f"### {machine_of(figures)}",
        "",
        f"{figures['date']}, {machine['kernel']}, Python {machine['python']}, {figures['cores']} cores in use; medians "
        f"of {figures['rounds']} rounds in turn on a warm cache, of tools that take minutes one; load at start "
        f"{machine['load_at_start']}; preset `{figures['preset']}`.",
        "",
        "| | found | must | goal | |",
        "|---|---|---|---|---|",
    ]
    for row in figures["targets"]:
        value = "–" if row["found"] is None else f"{row['found']:.3g}"
        least = "≥ " if row["at_least"] else ""
        limits = f"{least}{row['must']:g} | {least}{row['goal']:g}"
        lines.append(f"| {row['name']} | {value} | {limits} | {row['verdict']} |")
    for corpus in figures["corpora"]:
        lines += [
            "",
            f"**{corpus['title']}**, {corpus['bytes'] / 1e6:,.0f} MB, {corpus['frames']:,} frames",
            "",
            "| | wall s | CPU s | serial s | on 8 cores, s | peak MiB | MB out | files out | frames out |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for row in corpus["competitors"]:
            if row["failed"]:
                lines.append(f"| {row['name']} | failed: {row['failed']} | | | | | | | |")
                continue
            frames = frames_text(row["frames"], corpus["frames"])
            traced = " | ".join(f"{row[kind]:.2f}" if kind in row else "–" for kind in ("serial", "on_8_cores"))
            numbers = f"{row['wall']:.2f} | {row['cpu']:.2f} | {traced} | {row['peak']:.0f}"
            lines.append(f"| {row['name']} | {numbers} | {row['bytes'] / 1e6:,.0f} | {row['files']:,} | {frames} |")
    if figures["headers"]:
        lines += ["", "**Headers alone**, files a CPU second", "", "| | index | pydicom | ratio |", "|---|---|---|---|"]
    for name, found in figures["headers"].items():
        lines.append(
            f"| {name} | {found['index']:,.0f} | {found['pydicom']:,.0f} | {found['index'] / found['pydicom']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def machine_of(figures: Mapping[str, Any]) -> str:
    """Return the name of a machine: figures of another machine stay in a page beside those of this one."""
    machine = figures["machine"]
    extensions = ", ".join(machine["extensions"]) or "no vector extensions"
    return f"{machine['processor']}, {extensions}, {machine['cores']} cores, {machine['memory_gib']} GiB"


def chart(figures: Mapping[str, Any]) -> str:
    """Return a bar chart of the wall seconds of all competitors on all corpora, as SVG."""
    rows = [
        (f"{corpus['name']}: {row['name']}", row["wall"])
        for corpus in figures["corpora"]
        for row in corpus["competitors"]
        if not row["failed"]
    ]
    most = max([wall for _, wall in rows], default=1)
    marks = []
    for place, (name, wall) in enumerate(rows):
        length, middle = LONGEST_BAR * wall / most, ROW * place + 17
        seconds = f"{wall:.{max(0, 2 - int(math.log10(max(wall, 1))))}f} s"
        marks += [
            _text(START_OF_BARS - 6, middle, "end", "#222", name),
            f'<rect fill="#2b6a8c" x="{START_OF_BARS}" y="{middle - 7}" width="{length:.2f}" height="14"/>',
            _text(START_OF_BARS + length + 6, middle, "start", "#666", seconds),
        ]
    size = f'viewBox="0 0 440 {ROW * len(rows) + 16}"'
    title = 'role="img" aria-label="Wall seconds by corpus and competitor"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {title} font-family="sans-serif" font-size="11">'
    return "\n".join([head, *marks, "</svg>", ""])


def _text(x: float, middle: float, anchor: str, colour: str, words: str) -> str:
    baseline = middle + 4  # of small letters
    return f'<text fill="{colour}" x="{x:.2f}" y="{baseline}" text-anchor="{anchor}">{html.escape(words)}</text>'


def write_into(path: Path, text: str, machine: str) -> None:
    """Put figures between the markers of a page, in place of those of the same machine, or after those of others.

    Parameters
    ----------
    path : Path
    text : str
    machine : str
        A line before the figures of each machine has it, as a comment.
    """
    page = path.read_text(encoding="utf-8")
    head, rest = page.split(START, 1)
    between, tail = rest.split(END, 1)
    before, *others = re.split(r"^<!-- machine: (.*) -->\n", between, flags=re.MULTILINE)
    blocks = dict(zip(others[::2], (block.strip() for block in others[1::2]), strict=True))
    if before.strip():
        raise ValueError(f"{path.name}: figures without a line that names their machine")
    blocks[machine] = text.strip()
    inside = "\n\n".join(f"<!-- machine: {name} -->\n\n{block}" for name, block in blocks.items())
    path.write_text(f"{head}{START}\n\n{inside}\n\n{END}{tail}", encoding="utf-8")
