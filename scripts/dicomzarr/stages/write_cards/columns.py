"""The columns of the tables of the dataset: type, meaning and the values that are allowed.

The tables are described for people in docs/outputs.md, and here for programs.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dicomzarr.dicom.image_risks import BURNED_IN_KINDS, FACE_KINDS
from dicomzarr.dicom.photometric import PHOTOMETRIC
from dicomzarr.vocabulary.allow_list import MODALITIES, OTHER
from dicomzarr.vocabulary.pictures import TROUBLES
from dicomzarr.vocabulary.reasons import REASONS

STRING, INTEGER, NUMBER, BOOLEAN = "string", "integer", "number", "boolean"
LABEL = "label_"  # prefix of the columns of labels
ARRAY = r"[0-9a-f]{16}/[0-9a-f]{8}"
_ID, _DIGEST = "[0-9a-f]{16}", "[0-9a-f]{64}"
_WORDS = "[a-z0-9_]+( [a-z0-9_]+)*"
_NAME = "[a-z][a-z0-9_]*"
_SIZES = "[0-9]+(x[0-9]+)*"
_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
_VERDICTS, _READ_BACK = ("pass", "warn", "fail"), ("exact", "mismatch")
_OUTCOMES = ("extracted", "skipped", "quarantined", "ignored")
_MASK_KINDS = ("SEG", "RTSTRUCT")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name, meaning : str
    kind : str
        Type of its cells, as Table Schema calls it: `STRING`, `INTEGER`, `NUMBER` or `BOOLEAN`.
    required : bool
        Whether no cell is empty.
    unique : bool
        Whether no two cells are equal.
    pattern : str
        Regular expression that each whole cell matches; empty for none.
    values : tuple of str
        The values that are allowed; empty for any.
    minimum, maximum : float or None
        Bounds of a number, both allowed.
    """

    name: str
    meaning: str
    kind: str = STRING
    required: bool = False
    unique: bool = False
    pattern: str = ""
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the dataset.

    Attributes
    ----------
    name, title : str
    path : str
        Below the dataset.
    columns : tuple of Column
        In the order of the file.
    key : tuple of str
        The columns that together name a row.
    of_array : bool
        Whether the column `array` is that of a row of `volumes.csv`.
    """

    name: str
    title: str
    path: str
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    of_array: bool = False


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """Values that the configuration allows.

    Attributes
    ----------
    labels : mapping of str to mapping
        Of each label, ``values``, a list of words, or ``range``, two numbers.
    splits : sequence of str
        Names of the splits.
    """

    labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    splits: Sequence[str] = ()


def _text(name: str, meaning: str, pattern: str = "", **more: Any) -> Column:
    return Column(name, meaning, STRING, pattern=pattern, **more)


def _word(name: str, meaning: str, values: Iterable[str], **more: Any) -> Column:
    return Column(name, meaning, STRING, values=tuple(values), **more)


def _count(name: str, meaning: str, *, required: bool = True) -> Column:
    return Column(name, meaning, INTEGER, required=required, minimum=0)


def _number(name: str, meaning: str, minimum: float | None = None, maximum: float | None = None) -> Column:
    return Column(name, meaning, NUMBER, minimum=minimum, maximum=maximum)


_SHAPE = _text("shape", "length along each of the axes, joined by x", _SIZES, required=True)
_DTYPE = _word("dtype", "NumPy type of a voxel, little-endian", _DTYPES, required=True)
_PHOTOMETRIC = _word("photometric", "Photometric Interpretation of the array", (*PHOTOMETRIC, OTHER))
_FLAGS = _text("flags", "peculiarities, joined by a space; docs/outputs.md of dicomzarr has their meanings", _WORDS)
_BITS = _count("bits_stored", "Bits Stored (0028,0101), the largest where files differ", required=False)
_VERDICT = _word("verdict", "pass, warn or fail", _VERDICTS, required=True)
_SOURCE_BYTES = "bytes of the source files of its frames, rounded up to whole kB of 1,000 bytes"
_PIXELS = _text("pixel_digest", "BLAKE3 of the BLAKE3 digests of all planes", _DIGEST, required=True)
_IN_IMAGES = _text("array", "path of the array inside images.zarr", ARRAY, required=True)
_ONE_PER_ARRAY = replace(_IN_IMAGES, unique=True)
_OUTCOME_REASON = _word("reason", "why; empty for what was extracted", REASONS)

VOLUMES = (
    _ONE_PER_ARRAY,
    _text("series_id", "keyed hash of the series", _ID, required=True),
    _text("study_id", "keyed hash of the study; empty where there is none", _ID),
    _text("subject_id", "keyed hash of the subject", _ID, required=True),
    _text("split", "split of the subject; empty without splits", _NAME),
    _word("modality", "Modality (0008,0060)", (*sorted(MODALITIES), OTHER)),
    _text("axes", "axes of the array, slowest first", "t?c?z?yx", required=True),
    _SHAPE,
    _DTYPE,
    _BITS,
    _PHOTOMETRIC,
    _text("spacing_mm", "millimetres on z, y and x, joined by x; an unknown one is empty", "[0-9.e+-]*(x[0-9.e+-]*)*"),
    _count("frames", "source frames in the array"),
    _count("source_bytes", _SOURCE_BYTES),
    _count("stored_bytes", "bytes of all files of the array"),
    _PIXELS,
    _FLAGS,
    _text("masks", "names of its masks, folders below labels, joined by a space", _WORDS),
    _text("masks_absent", "masks that a reader looked for and that are not there, joined by a space", _WORDS),
    _text("kind", "kind of the array, such as volume, cine or tiles", _NAME),
    _text("why", "why its frames are one array"),
)
MASKS = (
    replace(_IN_IMAGES, meaning="path inside images.zarr of the image that the mask belongs to"),
    _text("mask", "folder of the mask below labels of its image", _NAME, required=True),
    _word("kind", "DICOM SEG or RT structure set", _MASK_KINDS, required=True),
    _word("algorithm", "how it was drawn; empty if unknown", ("manual", "semi-automatic", "automatic")),
    _count("voxels", "values that are not 0"),
    _number("volume_ml", "their volume in millilitres; empty where it is not known", 0),
    _text(
        "bounding_box",
        "half-open range along each axis, joined by a space; empty for an empty mask",
        r"\d+:\d+( \d+:\d+)*",
    ),
    _count("slices", "slices with voxels"),
    _number("outside", "share of the structure outside of the image", 0, 1),
    _FLAGS,
    replace(_PIXELS, required=False),
    _text("name", "name of the structure; empty where no name is known", _NAME),
    _text("form", "form of the source, such as BINARY or CLOSED_PLANAR", "[A-Z_]+"),
    _count("maximum_fraction", "value of a voxel that is wholly inside, of a fractional mask", required=False),
    _SHAPE,
    _DTYPE,
    _count("observed_max", "largest value"),
    _count("contours", "contours of a structure set", required=False),
    _count("unused_contours", "contours that are not in the mask", required=False),
    _count("stored_bytes", "bytes of all files of the mask"),
    _count("files", "files of the mask"),
    _word("read_back", "whether reading the mask again gave what was placed", _READ_BACK, required=True),
    _VERDICT,
)
DEPTH = (
    _ONE_PER_ARRAY,
    _DTYPE,
    _count("bits_allocated", "Bits Allocated (0028,0100)", required=False),
    _BITS,
    Column("signed", "whether values can be negative", BOOLEAN),
    _PHOTOMETRIC,
    _number("declared_min", "Smallest Image Pixel Value (0028,0106) of the headers"),
    _number("declared_max", "Largest Image Pixel Value (0028,0107) of the headers"),
    _number("observed_min", "smallest stored value"),
    _number("observed_max", "largest stored value"),
    _count("bits_used", "bits that the observed values need", required=False),
    _number("padding_value", "Pixel Padding Value (0028,0120)"),
    _number("unpadded_min", "smallest stored value without padding"),
    _number("unpadded_max", "largest stored value without padding"),
    _word("read_back", "whether reading the array again gave what was decoded", _READ_BACK, required=True),
    _VERDICT,
    _FLAGS,
)
SIZE = (
    _ONE_PER_ARRAY,
    _count("frames_expected", "frames that it would have if no file had failed", required=False),
    _count("frames_written", "frames that it has", required=False),
    _count("rows", "rows of a frame", required=False),
    _count("columns", "columns of a frame", required=False),
    _count("expected_bytes", "voxels times bytes of a voxel", required=False),
    _count("source_bytes", _SOURCE_BYTES, required=False),
    _count("stored_bytes", "bytes of all files of the array", required=False),
    _number("ratio", "expected_bytes divided by stored_bytes", 0),
    _count("files", "files of the array", required=False),
    _count("missing_slices", "positions of the regular grid without a slice", required=False),
    _VERDICT,
    _FLAGS,
)
OUTCOMES = (
    _word("outcome", "what became of files of the source", _OUTCOMES, required=True),
    _OUTCOME_REASON,
    _count("files", "how many"),
)
MASK_FILES = (
    _word("kind", "DICOM SEG or RT structure set", _MASK_KINDS, required=True),
    _word("outcome", "whether a mask of it lies on an image", ("placed", "not_placed"), required=True),
    _OUTCOME_REASON,
    _count("files", "how many"),
    _count("masks", "masks that came of them"),
    _count("failed", "segments and regions that could not be placed"),
)
POLICY = (
    _word("policy", "key of the configuration", ("burned_in", "faces"), required=True),
    _word("kind", "why", (*BURNED_IN_KINDS, *FACE_KINDS), required=True),
    _count("files", "images that were skipped"),
)
LABELS = (
    _text("label", "name of the label, or splits.fixed", "[a-z][a-z0-9_.]*", required=True),
    _text("finding", "matched, or what did not match", _NAME, required=True),
    _text("value", "value of the label"),
    _count("series", "series, or lines of label files"),
)
PICTURES = (
    _ONE_PER_ARRAY,
    _text("planes", "axis, index and length of each plane in its picture, joined by a space"),
    _text("boxes", "x, y, width and height of each plane in the picture, joined by a space"),
    _text("shown", "how values became grey"),
    _text("histogram", "48 steps of the count of values, each one of 64 characters"),
    _text("outlines", "colour of each mask that is drawn, joined by a space"),
    _word("trouble", "why there is no picture", TROUBLES),
)

TABLES = (
    Table("volumes", "Arrays", "volumes.csv", VOLUMES, ("array",)),
    Table("masks", "Masks", "masks.csv", MASKS, ("array", "mask"), of_array=True),
    Table("depth", "Depth of each array", "reports/depth.csv", DEPTH, ("array",), of_array=True),
    Table("size", "Size of each array", "reports/size.csv", SIZE, ("array",), of_array=True),
    Table("outcomes", "What became of the files of the source", "reports/outcomes.csv", OUTCOMES),
    Table("mask_files", "What became of the files of masks", "reports/mask_files.csv", MASK_FILES),
    Table("policy", "Images skipped by policy", "reports/policy.csv", POLICY, ("policy", "kind")),
    Table("labels", "What became of the labels", "reports/labels.csv", LABELS),
    Table("pictures", "Pictures of each array", "reports/pictures.csv", PICTURES, ("array",), of_array=True),
)


def label_column(name: str, allowed: Mapping[str, Any]) -> Column:
    """Return the column of a label in `volumes.csv`.

    Parameters
    ----------
    name : str
        Of the label.
    allowed : mapping
        Its ``values`` or its ``range``; empty if they are not known.
    """
    if "range" in allowed:
        low, high = allowed["range"]
        return Column(LABEL + name, "label, a number; empty where there is none", NUMBER, minimum=low, maximum=high)
    values = tuple(str(value) for value in allowed.get("values", ()))
    return _word(LABEL + name, "label; empty where there is none", values)


def read_table(dataset: Path, path: str, vocabularies: Vocabularies) -> Table:
    """Return a table of the dataset with the columns that its file has.

    Parameters
    ----------
    dataset : Path
    path : str
        Of the table, below the dataset.
    vocabularies : Vocabularies

    Notes
    -----
    A column that is not known here is a text without constraints, so that the description is never wrong.
    """
    known = next((table for table in TABLES if table.path == path), None)
    table = known or Table(Path(path).stem, Path(path).stem, path)
    with open(dataset / path, newline="", encoding="utf-8") as stream:
        names = next(csv.reader(stream), [])
    by_name = {column.name: column for column in table.columns}
    if vocabularies.splits and "split" in by_name:
        by_name["split"] = replace(by_name["split"], pattern="", values=tuple(vocabularies.splits))
    if table.name == "volumes":
        labels = [name for name in names if name.startswith(LABEL)]
        by_name |= {
            name: label_column(name.removeprefix(LABEL), vocabularies.labels.get(name.removeprefix(LABEL), {}))
            for name in labels
        }
    columns = tuple(by_name.get(name) or Column(name, "") for name in names)
    return replace(table, columns=columns)
