"""The page that lists the images of a dataset, each with a link to the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dicomzarr.viewer.catalogue import Image, notes

TEMPLATE = Path(__file__).parent / "page" / "index.html"


class Row(NamedTuple):
    """A row of the list.

    Attributes
    ----------
    image : Image
    masks : str
        Names of its masks.
    notes : list of str
        What is shown otherwise than it is stored.
    """

    image: Image
    masks: str
    notes: list[str]


def render(images: Sequence[Image]) -> str:
    """Return the page."""
    import jinja2

    rows = [Row(image, " ".join(mask.name for mask in image.masks), notes(image)) for image in images]
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(rows=rows, count=len(rows))
