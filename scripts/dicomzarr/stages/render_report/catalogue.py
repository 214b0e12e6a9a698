"""The arrays as data for the script of the page: what its table, its pictures and the view of a volume show.

Columns instead of rows, and repeated values by their index, keep ten thousand arrays within three megabytes. Numbers
are short or are text, so that none looks like an id or a date.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from dicomzarr.stages.render_report.balance import NO_LABEL, value_of
from dicomzarr.stages.render_report.findings import of_checks
from dicomzarr.stages.render_report.masks import Mask
from dicomzarr.stages.render_report.numbers import by, byte_size, spacing
from dicomzarr.stages.render_report.pictures import FOLDER, LEVELS, Embedded, Picture, Pictures, has_picture
from dicomzarr.stages.render_report.tables import RARE, Array, attention_first
from dicomzarr.vocabulary.flags import FLAGS

MAX_ROWS = 20_000  # arrays in the page; those that need attention come first


def listed(arrays: Sequence[Array], at_most: int = MAX_ROWS) -> list[Array]:
    """Return the arrays that the page lists: failures, then warnings, then modalities in order of name."""
    return sorted(arrays, key=attention_first)[:at_most]


def catalogue(
    arrays: Sequence[Array],
    masks: Mapping[str, Sequence[Mask]],
    pictures: Pictures,
    within: Mapping[str, Embedded],
    labels: Sequence[str],
) -> dict[str, Any]:
    """Return the data of the listed arrays.

    Parameters
    ----------
    arrays : sequence of Array
        As `listed` returns them.
    masks : mapping of str to sequence of Mask
        The masks of each array that has any.
    pictures : Pictures
    within : mapping of str to Embedded
        The pictures that the page holds.
    labels : sequence of str
        The labels that may be shown for each array: `balance.open_labels`.

    Returns
    -------
    dict
        ``columns``, ``flags`` (meanings of those that occur), ``labels``, ``folder`` and ``levels`` of the pictures,
        ``large`` (pictures as data URIs).
    """
    nothing = Picture()
    shown = {array.array: pictures.get(array.array, nothing) for array in arrays}

    def picture(array: Array) -> Picture:
        return shown[array.array]

    def indexed(value: Callable[[Array], Hashable]) -> dict[str, Any]:
        """Return the distinct values and, for each array, the index of its own."""
        places: dict[Hashable, int] = {}
        at = [places.setdefault(value(array), len(places)) for array in arrays]
        return {"words": list(places), "at": at}

    flags = sorted({flag for array in arrays for flag in array.flags})
    return {
        "columns": {
            "array": [array.array for array in arrays],
            "verdict": indexed(lambda a: a.verdict),
            "checks": indexed(of_checks),
            "modality": indexed(lambda a: a.modality),
            "axes": indexed(lambda a: a.axes),
            "shape": indexed(lambda a: by(a.shape)),
            "dtype": indexed(lambda a: a.dtype),
            "bits": indexed(lambda a: a.bits_stored),
            "used": indexed(lambda a: a.depth.bits_used if a.depth else None),
            "photometric": indexed(lambda a: a.photometric),
            "spacing": indexed(lambda a: spacing(a.spacing)),
            "frames": indexed(lambda a: a.frames),
            "stored": indexed(lambda a: byte_size(a.stored_bytes)),
            "megabytes": [_three_digits(array.stored_bytes / 1e6) for array in arrays],
            "source": indexed(lambda a: byte_size(a.source_bytes)),
            "gaps": indexed(lambda a: a.size.missing_slices if a.size else 0),
            "split": indexed(lambda a: a.split),
            "flags": indexed(lambda a: a.flags),
            "labels": indexed(lambda a: tuple(_label(a, label) for label in labels)),
            "masks": indexed(lambda a: tuple(_mask(mask) for mask in masks.get(a.array, ()))),
            "kind": indexed(lambda a: a.kind),
            "why": indexed(lambda a: a.why),
            "low": indexed(lambda a: _value(a.depth.observed_min if a.depth else None)),
            "high": indexed(lambda a: _value(a.depth.observed_max if a.depth else None)),
            "read_back": indexed(lambda a: a.depth.read_back if a.depth else ""),
            "picture": indexed(lambda a: int(has_picture(a.array, pictures))),
            "planes": indexed(lambda a: picture(a).planes),
            "at": indexed(lambda a: picture(a).at),
            "boxes": indexed(lambda a: picture(a).boxes),
            "shown": indexed(lambda a: picture(a).shown),
            "histogram": indexed(lambda a: picture(a).histogram),
            "outlines": indexed(lambda a: _outlines(picture(a), masks.get(a.array, ()))),
            "trouble": indexed(lambda a: picture(a).trouble),
        },
        "flags": {flag: FLAGS.get(flag, "") for flag in flags},
        "labels": list(labels),
        "folder": FOLDER,
        "levels": LEVELS,
        "large": {name: embedded.large for name, embedded in within.items()},
    }


def _label(array: Array, label: str) -> str:
    value = value_of(array, label)
    return "" if value == NO_LABEL else value


def _mask(mask: Mask) -> tuple[str, str, str]:
    """Return name, volume in words and verdict of a mask."""
    volume = "empty" if not mask.voxels else "" if mask.volume_ml is None else f"{_value(mask.volume_ml)} ml"
    return mask.shown_name, volume, mask.verdict


def _outlines(picture: Picture, masks: Sequence[Mask]) -> tuple[tuple[str, str], ...]:
    """Return name and colour of each outline; names of few subjects are `RARE` here, too."""
    names = {mask.mask: mask.shown_name for mask in masks}
    return tuple((names.get(name, RARE), colour) for name, colour in picture.outlines)


def _value(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def _three_digits(number: float) -> float:
    return float(f"{number:.3g}")


def as_json(data: Mapping[str, Any]) -> str:
    """Return data as JSON that can stand in an HTML page: without ``<``, ``>`` and ``&``."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
