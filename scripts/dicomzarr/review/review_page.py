"""The page of `./run review`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dicomzarr.review.reviewed_images import Box, Reviewed, undecided

TEMPLATE = Path(__file__).parent / "page" / "review.html"
MOST_BOXES = 4  # in words; the picture has all of its frame
SHORT = 12  # digits of a content on the page
IN_WORDS = {"": "undecided", "keep": "keep", "set_aside": "set aside"}


def render(images: Sequence[Reviewed]) -> str:
    """Return the page."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        images=images,
        modalities=sorted(Counter(image.modality for image in images).items()),
        undecided=undecided(images),
        places=places,
        in_words=IN_WORDS,
        short=SHORT,
    )


def places(boxes: Sequence[Box]) -> list[str]:
    """Return places in words, the first few of them."""
    lines = [box.in_words() for box in boxes[:MOST_BOXES]]
    more = len(boxes) - MOST_BOXES
    return [*lines, f"and {more} more"] if more > 0 else lines or ["no place is recorded"]
