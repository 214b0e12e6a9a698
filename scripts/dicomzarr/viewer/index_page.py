"""The page that lists the images of a dataset, each with a link to the viewer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dicomzarr.viewer.catalogue import Image, notes

TEMPLATE = Path(__file__).parent / "page" / "index.html"
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


def render(images: Sequence[Image]) -> str:
    """Return the page."""
    import jinja2

    rows = [
        Row(image, _rounded(image.spacing), " ".join(mask.name for mask in image.masks), notes(image))
        for image in images
    ]
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(rows=rows, count=len(rows))


def _rounded(spacing: str) -> str:
    """Return a spacing of volumes.csv with four significant digits, a dash for an unknown one; other texts stay."""
    if not spacing:
        return ""
    return "x".join(f"{float(part):.4g}" if _NUMBER.fullmatch(part) else part or "–" for part in spacing.split("x"))
