"""The tables of masks: `masks.csv`, what became of each segmentation and structure set, and the private names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dicomzarr.records.check_record import CheckRecord
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.system import csv_tables, json_files
from dicomzarr.system.path_text import encode_text
from dicomzarr.vocabulary.flags import MASK_FILE_FLAGS, NOT_ABSENT

PLACED, NOT_PLACED = "placed", "not_placed"
# Of a file that refers to several series, the first of these that one of them gave.
_PRECEDENCE = ("", "mask_ambiguous", "mask_unreadable", "conflicting_instance", "duplicate", "mask_without_image")


class MaskFileOutcome(NamedTuple):
    """What became of a segmentation or structure set, in all series that it refers to."""

    kind: str
    reason: str  # empty if a mask of it was placed
    problem: str
    masks: int
    failed: int
    series_id: str  # of the image; empty without one


def _text(row: str) -> bytes:
    return row.encode("utf-8", "surrogateescape")


def mask_lines(record: SeriesRecord, checked: CheckRecord) -> Iterator[bytes]:
    """Yield the rows of `masks.csv` of a series, by array and mask."""
    verdicts = {(verdict.array, verdict.mask): verdict for verdict in checked.masks}
    for mask in record.masks.masks:
        verdict = verdicts[mask.array, mask.mask]
        yield _text(
            csv_tables.row(
                csv_tables.MASKS,
                {
                    **{name: getattr(mask, name) for name in ("array", "mask", "kind", "algorithm", "voxels")},
                    "volume_ml": mask.volume_ml,
                    "bounding_box": " ".join(f"{low}:{high}" for low, high in mask.bounding_box),
                    "slices": mask.slices,
                    "outside": mask.outside,
                    "flags": " ".join(mask.flags),
                    "pixel_digest": mask.pixel_digest,
                    "name": mask.name,
                    "form": mask.form,
                    "maximum_fraction": mask.maximum_fraction,
                    "shape": "x".join(map(str, mask.shape)),
                    "dtype": "uint8",
                    "observed_max": mask.largest,
                    "contours": mask.counts.get("contours") if mask.kind == "RTSTRUCT" else None,
                    "unused_contours": mask.counts.get("unused_contours") if mask.kind == "RTSTRUCT" else None,
                    "stored_bytes": verdict.stored_bytes,
                    "files": verdict.files,
                    "read_back": verdict.read_back,
                    "verdict": verdict.verdict,
                },
            )
        )


def name_lines(record: SeriesRecord) -> Iterator[bytes]:
    """Yield the rows of the private `mask_names.csv` of a series, by array and mask."""
    for text in record.masks.texts:
        free = {"label": encode_text(text.label), "description": encode_text(text.description)}
        # In the record a space within a code is %20 already; spaces stand between codes.
        free["codes"] = encode_text(text.codes).replace("%2520", "%20")
        yield _text(csv_tables.row(csv_tables.MASK_NAMES, text._asdict() | free))


def file_lines(record: SeriesRecord) -> Iterator[bytes]:
    """Yield what became of the mask files that refer to a series, as JSON lines."""
    for file in record.masks.files:
        outcome = MaskFileOutcome(file.kind, file.reason, file.problem, file.masks, file.failed, record.series_id)
        yield json_files.compact_line([file.path, *outcome, file.elsewhere])


def segmentation_lines(record: SeriesRecord) -> Iterator[bytes]:
    """Yield path and array, as JSON lines, of each segmentation whose frames are in an array of the series."""
    # An image of another class may have the modality of a segmentation.
    segmentations = [v for v in record.volumes if v.modality == "SEG" and v.kind in ("segmentation", "tiles")]
    source_files = record.files if segmentations else ()
    for volume in segmentations:
        for source in sorted({frame.source for frame in volume.frames}):
            yield json_files.compact_line([source_files[source].path, volume.array])


def masks_of(record: SeriesRecord, array: str, expected: Sequence[str], *, is_lost: bool = False) -> dict[str, str]:
    """Return the cells `masks` and `masks_absent` of an array.

    An image was examined if a mask lies on it, or if it is the only image of a series that a mask file refers to. A
    name is not absent if a mask of it was drawn and nothing of it is left, or if it was drawn on another series. If a
    segment or region could not be placed, or a file, or nothing says what a mask is, it may be of any name: then a name
    is absent only where an empty mask says so. Nor is a name without a side absent where a mask of one side is there,
    or the other way round: which side a mask without one has is not known.

    Parameters
    ----------
    record : SeriesRecord
        Of its series.
    array : str
    expected : sequence of str
        `masks: expected` of the configuration.
    is_lost : bool
        Whether a file that could not be placed may lie on images of the series.
    """
    masks = record.masks.of_array(array)
    found = {mask.name for mask in masks if mask.voxels} | {mask.mask for mask in masks if mask.voxels}
    is_examined = bool(masks) or (len(record.volumes) == 1 and any(not file.reason for file in record.masks.files))
    drawn = {mask.name for mask in masks if mask.voxels or not NOT_ABSENT.isdisjoint(mask.flags)}
    is_lost = is_lost or any(file.failed or file.reason not in ("", "duplicate") for file in record.masks.files)
    unknown = {text.mask for text in record.masks.texts if text.array == array and not any(text[3:])}
    is_lost = is_lost or any(mask.mask in unknown and mask.voxels for mask in masks)
    not_examined = {name for file in record.masks.files for name in file.not_absent} - {mask.name for mask in masks}
    sure = {mask.name for mask in masks} if is_lost else set(expected) - not_examined
    there = found | drawn
    without_side = {_without_side(name) for name in there}
    of_other_side = {name for name in expected if name in without_side or _without_side(name) in there}
    absent = sorted((sure & set(expected)) - there - of_other_side) if is_examined else []
    return {"masks": " ".join(sorted(mask.mask for mask in masks)), "masks_absent": " ".join(absent)}


def _without_side(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


def uncertain_series(unplaced: Path) -> frozenset[str]:
    """Return the series on which a mask file may lie that could not be placed.

    Parameters
    ----------
    unplaced : Path
        The mask files of which no image is known, from the plan.
    """
    return frozenset(series for mask in json_files.read_json(unplaced) for series in mask["series"])


def outcomes(rows: Iterable[bytes], unplaced: Path) -> dict[str, MaskFileOutcome]:
    """Return what became of each mask file, by path.

    Parameters
    ----------
    rows : iterable of bytes
        As `file_lines` yields them.
    unplaced : Path
        The mask files of which no image is known, from the plan.
    """
    found: dict[str, MaskFileOutcome] = {}
    elsewhere: dict[str, set[int]] = {}  # segments and regions that were drawn on none of the series
    for mask in json_files.read_json(unplaced):
        found[mask["path"]] = MaskFileOutcome(mask["kind"], mask["reason"], "", 0, 0, "")
    for row in rows:
        path, *fields, numbers = json_files.loads(row)
        new = MaskFileOutcome(*fields)
        if not new.reason:
            elsewhere[path] = elsewhere.get(path, set(numbers)).intersection(numbers)
        old = found.get(path)
        if old is not None:
            first, second = sorted((old, new), key=lambda one: _PRECEDENCE.index(one.reason))
            new = first._replace(masks=first.masks + second.masks, failed=first.failed + second.failed)
        found[path] = new
    return found | {
        path: found[path]._replace(failed=found[path].failed + len(numbers)) for path, numbers in elsewhere.items()
    }


def reason_of(path: str, found: Mapping[str, MaskFileOutcome]) -> str:
    """Return the reason code of a structure set in `files.csv`."""
    outcome = found.get(path)
    if outcome is None:
        return "mask_unreadable"
    return outcome.reason or "structure_set"


def flags_of_segmentations(rows: Iterable[bytes], found: Mapping[str, MaskFileOutcome]) -> dict[bytes, set[str]]:
    """Return the flags of the arrays of segmentations of which no mask was placed.

    Parameters
    ----------
    rows : iterable of bytes
        As `segmentation_lines` yields them.
    found : mapping of str to MaskFileOutcome
        By path.
    """
    flags: dict[bytes, set[str]] = {}
    for row in rows:
        path, array = json_files.loads(row)
        outcome = found.get(path)
        reason = outcome.reason if outcome else "mask_unreadable"
        if reason in MASK_FILE_FLAGS:
            flags.setdefault(array.encode(), set()).add(reason)
    return flags


def outcome_rows(found: Mapping[str, MaskFileOutcome]) -> list[str]:
    """Return the rows of `reports/mask_files.csv`: counts that name nobody."""
    files, masks, failed = (
        Counter[tuple[str, str, str]](),
        Counter[tuple[str, str, str]](),
        Counter[tuple[str, str, str]](),
    )
    for outcome in found.values():
        key = (outcome.kind, NOT_PLACED if outcome.reason else PLACED, outcome.reason)
        files[key] += 1
        masks[key] += outcome.masks
        failed[key] += outcome.failed
    return [csv_tables.line((*key, files[key], masks[key], failed[key])) for key in sorted(files)]


def private_rows(found: Mapping[str, MaskFileOutcome]) -> Iterator[bytes]:
    """Yield the rows of `private/mask_files.csv`, by path."""
    for path, outcome in sorted(found.items()):
        row = {"path": path, "outcome": NOT_PLACED if outcome.reason else PLACED, **outcome._asdict()}
        yield _text(csv_tables.row(csv_tables.MASK_FILES, row))
