"""CSV tables: UTF-8, RFC 4180 with line feeds, a header row, an empty cell for unknown (docs/outputs.md)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.system import files

MANIFEST = ("path",)
ARCHIVES = ("archive", "outcome", "reason", "members")
FILES = ("path", "outcome", "reason", "series_id")
FRAMES = ("path", "frame", "array", "t", "z")
OUTCOMES = ("outcome", "reason", "files")
POLICY = ("policy", "kind", "files")
VOLUMES = (
    "array", "series_id", "study_id", "subject_id", "split", "modality", "axes", "shape", "dtype", "bits_stored",
    "photometric", "spacing_mm", "frames", "source_bytes", "stored_bytes", "pixel_digest", "flags",
    "masks", "masks_absent", "kind", "why",
)  # fmt: skip
MASKS = (
    "array", "mask", "kind", "algorithm", "voxels", "volume_ml", "bounding_box", "slices", "outside", "flags",
    "pixel_digest", "name", "form", "maximum_fraction", "shape", "dtype", "observed_max", "contours", "unused_contours",
    "stored_bytes", "files", "read_back", "verdict",
)  # fmt: skip
MASK_OUTCOMES = ("kind", "outcome", "reason", "files", "masks", "failed")
MASK_FILES = ("path", "kind", "outcome", "reason", "problem", "masks", "failed", "series_id")
MASK_NAMES = ("array", "mask", "name", "label", "description", "codes")
DEPTH = (
    "array", "dtype", "bits_allocated", "bits_stored", "signed", "photometric", "declared_min", "declared_max",
    "observed_min", "observed_max", "bits_used", "padding_value", "unpadded_min", "unpadded_max", "read_back",
    "verdict", "flags",
)  # fmt: skip
SIZE = (
    "array", "frames_expected", "frames_written", "rows", "columns", "expected_bytes", "source_bytes", "stored_bytes",
    "ratio", "files", "missing_slices", "verdict", "flags",
)  # fmt: skip
PICTURES = ("array", "planes", "boxes", "shown", "histogram", "outlines", "trouble")

_QUOTED = re.compile('["\\r\\n]')  # characters besides commas that need quotation marks; few rows have any


def line(values: Sequence[Any]) -> str:
    """Return one row as CSV text with a line feed; None becomes an empty cell."""
    plain = ",".join(["" if value is None else str(value) for value in values])
    if plain and plain.count(",") == len(values) - 1 and not _QUOTED.search(plain):
        return f"{plain}\n"
    text = io.StringIO()
    # Older Pythons quote a single carriage return only if the line terminator contains one.
    csv.writer(text, lineterminator="\r\n").writerow(["" if value is None else value for value in values])
    return text.getvalue().removesuffix("\r\n") + "\n"


def lines(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as `line` returns each: several times faster where no cell needs quotation marks."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    plain = text.getvalue()
    return "".join(map(line, rows)) if '"' in plain else plain.replace("\r\n", "\n")


def row(columns: Sequence[str], values: Mapping[str, Any]) -> str:
    """Return one row of a table from a mapping that has every column."""
    return line([values[column] for column in columns])


def row_of(columns: Sequence[str], value: object) -> str:
    """Return one row of a table from an object that has every column as an attribute."""
    return line([getattr(value, column) for column in columns])


def write(path: Path, columns: Sequence[str], lines: Iterable[str], *, private: bool = False) -> None:
    """Write a table.

    Parameters
    ----------
    path : Path
        File to write or replace.
    columns : sequence of str
        The header row.
    lines : iterable of str
        Sorted rows, as `line` or `lines` returns them.
    private : bool
        See `files.replacing`.
    """
    with files.replacing(path, private=private) as stream:
        stream.write(line(columns).encode())
        for text in lines:
            stream.write(text.encode("utf-8", "surrogateescape"))
