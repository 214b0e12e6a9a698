"""The front matter of the dataset card: what the Hugging Face Hub reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dicomzarr.stages.write_cards.card import OTHER, Card
from dicomzarr.stages.write_cards.columns import BOOLEAN, INTEGER, NUMBER, STRING, Column, Table
from dicomzarr.stages.write_cards.licenses import hub_license

_UNKNOWN = "unknown"  # the Hub's word for a licence that is not stated
_TAGS = ("medical", "dicom", "ome-zarr")
_BOUNDS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def front_matter(card: Card, loaded: Sequence[Table], arrays: int, modalities: Sequence[str]) -> dict[str, Any]:
    """Return the front matter.

    Parameters
    ----------
    card : Card
    loaded : sequence of Table
        Those that the Hub shows and `datasets` loads; neither can load a table without rows.
    arrays : int
        Number of arrays.
    modalities : sequence of str
        Names of modalities that may be shown.
    """
    tags = [*card.keywords, *_TAGS, *(name.lower() for name in modalities)]
    entries: dict[str, Any] = {
        **_license(card),
        "pretty_name": card.shown_title,
        "task_categories": list(card.task_categories),
        "tags": list(dict.fromkeys(tags)),
        "size_categories": [size_category(arrays)],
        "configs": [
            {"config_name": table.name, "data_files": [{"split": table.name, "path": table.path}]} for table in loaded
        ],
        "dataset_info": [
            {"config_name": table.name, "features": [_feature(column) for column in table.columns]} for table in loaded
        ],
    }
    return {key: value for key, value in entries.items() if value}


def _license(card: Card) -> dict[str, str]:
    if not card.license:
        return {"license": _UNKNOWN}
    if name := hub_license(card.license):
        return {"license": name}
    name = "" if card.license == OTHER else card.license.lower()
    entries = {"license": OTHER, "license_name": name, "license_link": card.license_page}
    return {key: value for key, value in entries.items() if value}


def size_category(rows: int) -> str:
    """Return the Hub's name of a size: ``n<1K``, ``1K<n<10K`` and so on up to ``n>1T``."""
    above = sum(rows >= 10 ** (place + 3) for place in range(len(_BOUNDS)))
    if above == 0:
        return f"n<{_BOUNDS[0]}"
    return f"{_BOUNDS[above - 1]}<n<{_BOUNDS[above]}" if above < len(_BOUNDS) else f"n>{_BOUNDS[-1]}"


_TYPES = {STRING: "string", NUMBER: "float64", BOOLEAN: "bool"}


def _feature(column: Column) -> dict[str, str]:
    """Return name and type of a column: a column without a value would have no type otherwise.

    A whole number that may be missing is a float, since pandas has no empty integer.
    """
    whole = "int64" if column.required else "float64"
    return {"name": column.name, "dtype": whole if column.kind == INTEGER else _TYPES[column.kind]}
