"""The pictures of the arrays, as `check_batch` drew them: the rows of ``reports/pictures.csv``, and the JPEG files."""

from __future__ import annotations

import base64
import functools
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dicomzarr.stages.render_report.numbers import count
from dicomzarr.stages.render_report.tables import Array, by_modality, cells_of

EMBEDDED = 100  # arrays whose pictures are within the page; all others are files beside it
FOLDER = "pictures"
_NAME = re.compile(r"[0-9A-Za-z_-]+/[0-9A-Za-z_-]+")
_BOX = re.compile(r"\d{1,5},\d{1,5},\d{1,5},\d{1,5}")
_PLANE = re.compile(r"([tzyx]):(\d{1,7})/(\d{1,7})")
_OUTLINE = re.compile(r"([a-z0-9_]{1,64})=(#[0-9a-f]{6})")
_LEVELS = string.digits + string.ascii_uppercase + string.ascii_lowercase + "-_"  # of the histogram in the table
_NO_LEVEL = re.compile(r"[^0-9A-Za-z_-]")
LEVELS = string.ascii_uppercase + string.ascii_lowercase  # of the histogram in the page: letters, never a number
_TO_LETTERS = str.maketrans({level: LEVELS[place * len(LEVELS) // 64] for place, level in enumerate(_LEVELS)})


class Picture(NamedTuple):
    """A row of ``pictures.csv``.

    Attributes
    ----------
    planes : tuple of str
        Words for each plane in the picture, such as ``z 6 of 10``.
    at : str
        The place along t that all planes share; empty where the array has no t.
    boxes : tuple of str
        ``x,y,w,h`` of each plane in the picture, px.
    shown : str
        How values were converted to grey.
    histogram : str
        48 letters of `LEVELS`; empty where there is none.
    outlines : tuple of (str, str)
        Name and colour, ``#rrggbb``, of each mask that is drawn.
    trouble : str
        Why there is no picture, else empty.
    """

    planes: tuple[str, ...] = ()
    at: str = ""
    boxes: tuple[str, ...] = ()
    shown: str = ""
    histogram: str = ""
    outlines: tuple[tuple[str, str], ...] = ()
    trouble: str = ""


class Pictures(Mapping[str, Picture]):
    """The rows of ``pictures.csv`` by array: of many only few are shown, and a row is interpreted when it is asked for.

    Parameters
    ----------
    rows : iterable of tuple of str
        The cells of each row, in the order of `_COLUMNS`.

    Attributes
    ----------
    troubles : dict of str to str
        Why an array has no picture; an empty text where it has one.
    """

    def __init__(self, rows: Iterable[tuple[str, ...]] = ()) -> None:
        self._rows = {row[0]: row for row in rows}
        self.troubles = {name: row[-1] for name, row in self._rows.items()}

    def __getitem__(self, name: str) -> Picture:
        return _picture(*self._rows[name][1:])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def read_pictures(dataset: Path) -> Pictures:
    """Return the row of each array in ``reports/pictures.csv``; nothing of a dataset without that table."""
    table = dataset / "reports" / "pictures.csv"
    return Pictures(cells_of(table, _COLUMNS) if table.is_file() else ())


_COLUMNS = ("array", "planes", "boxes", "shown", "histogram", "outlines", "trouble")


def _picture(planes: str, boxes: str, shown: str, histogram: str, outlines: str, trouble: str) -> Picture:
    across, at = _places(planes)
    is_histogram = len(histogram) == 48 and not _NO_LEVEL.search(histogram)
    return Picture(
        planes=across,
        at=at,
        boxes=_boxes(boxes),
        shown=shown,
        histogram=histogram.translate(_TO_LETTERS) if is_histogram else "",
        outlines=_outlines(outlines) if outlines else (),
        trouble=trouble,
    )


# Arrays of one shape have the same planes and boxes: cells that repeat are interpreted once.
@functools.lru_cache(maxsize=1 << 14)
def _places(cell: str) -> tuple[tuple[str, ...], str]:
    words = [_place(word) for word in cell.split()]
    across = tuple(text for axis, text in words if axis != "t")
    return across, next((text for axis, text in words if axis == "t"), "")


@functools.lru_cache(maxsize=1 << 14)
def _boxes(cell: str) -> tuple[str, ...]:
    return tuple(box for box in cell.split() if _BOX.fullmatch(box))


def _outlines(cell: str) -> tuple[tuple[str, str], ...]:
    return tuple((m[1], m[2]) for m in map(_OUTLINE.fullmatch, cell.split()) if m)


def _place(word: str) -> tuple[str, str]:
    """Return the axis that a plane lies across, and its place in words; a single plane has neither."""
    match = _PLANE.fullmatch(word)
    return (match[1], f"{match[1]} {int(match[2]) + 1} of {match[3]}") if match else ("", "")


def choose(arrays: Sequence[Array], at_most: int) -> list[Array]:
    """Return at most `at_most` arrays, spread evenly over modalities and within each.

    Modalities get one array in turn until `at_most` is reached. Within a modality the arrays, sorted by id, are chosen
    at equal distances. The choice depends on the arrays alone.
    """
    groups = {name: sorted(members, key=lambda a: a.array) for name, members in by_modality(arrays).items()}
    shares = dict.fromkeys(groups, 0)
    remaining = min(at_most, len(arrays))
    while remaining > 0:
        for name, members in groups.items():
            if remaining and shares[name] < len(members):
                shares[name] += 1
                remaining -= 1
    return [
        members[(2 * k + 1) * len(members) // (2 * shares[name])]
        for name, members in groups.items()
        for k in range(shares[name])
    ]


def has_picture(name: str, pictures: Pictures) -> bool:
    """Whether an array has a picture."""
    return pictures.troubles.get(name) == "" and bool(_NAME.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Embedded:
    """The pictures of an array as data URIs: one of 96 px, and the whole one."""

    small: str
    large: str


def embedded(dataset: Path, arrays: Sequence[Array], pictures: Pictures) -> dict[str, Embedded]:
    """Return the pictures that the page holds: those of at most `EMBEDDED` arrays; a missing file is left out.

    Raises
    ------
    OSError
        If the disk fails to return a file that exists.
    """
    folder, found = dataset / "reports" / FOLDER, {}
    for array in choose([array for array in arrays if has_picture(array.array, pictures)], EMBEDDED):
        try:
            small, large = (_data_uri(folder / f"{array.array}{end}") for end in (".thumb.jpg", ".jpg"))
        except FileNotFoundError:
            continue
        found[array.array] = Embedded(small, large)
    return found


def _data_uri(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def missing(pictures: Pictures) -> str:
    """Return how many arrays have no picture and why, most frequent reason first; empty if all have one."""
    reasons = Counter(filter(None, pictures.troubles.values()))
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{count(times, 'array')}: {reason}" for reason, times in ranked)
