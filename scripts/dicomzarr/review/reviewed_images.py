"""Which images were set aside for text in their pixels, and which of them wait for a decision. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple

from dicomzarr.records.decisions import CONTENT
from dicomzarr.vocabulary import allow_list
from dicomzarr.vocabulary.reasons import REVIEWED

STILL = -1  # in place of the number of a frame: found in what does not move
SERIES = re.compile("[0-9a-f]{16}")
_BY = re.compile("[a-z_]{1,40}")

Picture = tuple[str, str]  # series id and content


class Box(NamedTuple):
    """A place of text: pixels of the stored frame, half-open."""

    frame: int  # from 0, or `STILL`
    top: int
    left: int
    bottom: int
    right: int
    by: str  # what found it

    def in_words(self) -> str:
        """Return the place as people read it: frames are counted from 1."""
        frame = "what does not move" if self.frame == STILL else f"frame {self.frame + 1}"
        by = f", by {self.by}" if self.by else ""
        return f"{frame}: rows {self.top} to {self.bottom}, columns {self.left} to {self.right}{by}"


class SetAside(NamedTuple):
    """A file that the record of a series names with a reason of `REVIEWED`."""

    series_id: str
    path: str  # percent-encoded as in manifest.csv; may identify a patient, and is shown to nobody
    content: str
    boxes: tuple[Box, ...]


class Reviewed(NamedTuple):
    """An image to decide about.

    Attributes
    ----------
    content : str
        BLAKE3 of the bytes of its file, 64 hex digits.
    series_id : str
    modality : str
        From the closed vocabulary; empty if it is unknown.
    boxes : tuple of Box
        Empty where it was set aside by decision, not by a detector, or where the detector failed.
    has_picture : bool
    decision : str
        `keep`, `set_aside`, or empty while it waits for one.
    """

    content: str
    series_id: str
    modality: str
    boxes: tuple[Box, ...]
    has_picture: bool
    decision: str


def set_aside(record: Mapping[str, Any]) -> Iterator[SetAside]:
    """Yield the files that a series record names with a reason of `REVIEWED`.

    The one place that knows the form: rows of `file_rows`, and `text` with the boxes by content.

    Parameters
    ----------
    record : mapping
        JSON values of the record, by field.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        If a field is missing or malformed.
    """
    series_id = _matching(SERIES, record["series_id"])
    text = record.get("text", {})
    for path, _, content, _, reason, *_ in record["file_rows"]:
        if reason in REVIEWED:
            boxes = tuple(_box(*row) for row in text.get(content, ()))
            yield SetAside(
                series_id,
                str(path),
                _matching(CONTENT, content),
                boxes,
            )


def _box(frame: object, top: object, left: object, bottom: object, right: object, by: str) -> Box:
    places = (_whole(frame), _whole(top), _whole(left), _whole(bottom), _whole(right))
    return Box(*places, by if _BY.fullmatch(by) else "")


def _matching(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError("another form")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError("no whole number")
    return value


def reviewed(
    files: Iterable[SetAside],
    pictures: Set[Picture],
    modalities: Mapping[str, str],
    decisions: Mapping[str, str],
) -> tuple[Reviewed, ...]:
    """Return the images to decide about, sorted by modality, series and content.

    Parameters
    ----------
    files : iterable of SetAside
        Of all records. A content that occurs more than once is listed once: it is decided about once.
    pictures : set of (str, str)
        Series and content of the pictures there are.
    modalities : mapping of str to str
        Modality (0008,0060) by path of the file.
    decisions : mapping of str to str
        By content.
    """
    found: dict[str, Reviewed] = {}
    for file in sorted(files, key=lambda file: ((file.series_id, file.content) not in pictures, file)):
        if file.content not in found:
            found[file.content] = Reviewed(
                file.content,
                file.series_id,
                allow_list.modality(modalities.get(file.path, "")),
                file.boxes,
                (file.series_id, file.content) in pictures,
                decisions.get(file.content, ""),
            )
    return tuple(sorted(found.values(), key=lambda image: (image.modality, image.series_id, image.content)))


def undecided(images: Iterable[Reviewed]) -> int:
    """Return how many images wait for a decision."""
    return sum(not image.decision for image in images)
