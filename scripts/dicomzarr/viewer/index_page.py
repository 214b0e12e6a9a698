"""The page that lists the images of a dataset, each with a link to the viewer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from dicomzarr.viewer.catalogue import Image, notes

TEMPLATE = Path(__file__).parent / "page" / "index.html"
MOST = 200  # images on a page
_NUMBER = re.compile(r"\d+(\.\d+)?(e-?\d+)?")


class Row(NamedTuple):
    """A row of the list.

    Attributes
    ----------
    image : Image
    spacing : str
        With four significant digits.
    masks : str
        Names of its masks.
    notes : list of str
        What is shown otherwise than it is stored.
    """

    image: Image
    spacing: str
    masks: str
    notes: list[str]


def render(images: Sequence[Image], words: str = "", first: int = 0) -> str:
    """Return the page with a part of the images: a browser takes seconds to lay out a table of thousands of rows.

    Parameters
    ----------
    images : sequence of Image
    words : str
        The search: images whose row holds each of these words, in any case.
    first : int
        The place of the first one on the page, from 0.
    """
    import jinja2

    wanted = words.casefold().split()
    found = [row for row in map(_row, images) if not wanted or _holds(row, wanted)]
    first = max(0, min(first, len(found) - 1)) // MOST * MOST
    last = min(first + MOST, len(found))
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    query = urlencode({"words": words}) + "&" if wanted else ""
    return template.render(
        rows=found[first:last],
        count=f"{len(images):,}",
        found=f"{len(found):,}",
        words=words,
        part=f"{first + 1:,}–{last:,}" if len(found) > MOST else "",
        before=f"?{query}first={first - MOST}" if first else "",
        after=f"?{query}first={last}" if last < len(found) else "",
    )


def _row(image: Image) -> Row:
    return Row(image, _rounded(image.spacing), " ".join(mask.name for mask in image.masks), notes(image))


def _holds(row: Row, words: Sequence[str]) -> bool:
    """Return whether what a row shows holds each of these words, which are case-folded."""
    image = row.image
    cells = (image.array, image.modality, image.axes, image.shape, row.spacing, row.masks, *image.flags, *row.notes)
    text = "\n".join(cells).casefold()
    return all(word in text for word in words)


def _rounded(spacing: str) -> str:
    """Return a spacing of volumes.csv with four significant digits, a dash for an unknown one; other texts stay."""
    if not spacing:
        return ""
    return "x".join(f"{float(part):.4g}" if _NUMBER.fullmatch(part) else part or "–" for part in spacing.split("x"))
