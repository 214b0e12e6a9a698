"""Read what `./run review` shows from the private folder: records, pictures, plans and decisions. Writes nothing."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dicomzarr.records import decisions, plan, record_file
from dicomzarr.records.decisions import CONTENT
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.review import reviewed_images
from dicomzarr.review.reviewed_images import SERIES, Picture, Reviewed, SetAside
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged
from dicomzarr.vocabulary.reasons import REVIEWED

EXTRACT = "extract_batch"
_BLOCK = 1 << 20  # bytes
# The end of a row of files.csv: no path holds a line break, and no later column a comma.
_ROW = re.compile(rf",(?:{'|'.join(REVIEWED)}),([0-9a-f]{{16}})$".encode(), re.MULTILINE)


class ReviewList(NamedTuple):
    """What there is to review.

    Attributes
    ----------
    images : tuple of Reviewed
    elsewhere : dict of str to str
        Decisions about contents that no record names as set aside: a run has applied them, or the file is gone.
    damaged : int
        Number of records that could not be read; the next run repairs them.
    """

    images: tuple[Reviewed, ...]
    elsewhere: dict[str, str]
    damaged: int


def pictures_folder(results: Results) -> Path:
    """Return the folder of the pictures: `<series_id>/<content>.jpg`."""
    return results.private / "text"


def read(results: Results) -> ReviewList:
    """Return what there is to review.

    Only records of series that have pictures, or files with the reason in `files.csv`, are read.

    Raises
    ------
    UserError
        If the decisions cannot be read.
    OSError
        If a folder cannot be read.
    """
    decided = decisions.read(decisions.path_in(results.private))
    pictures = {*_pictures(pictures_folder(results))}
    series = {series_id for series_id, _ in pictures} | _series_of_table(results.private / "files.csv")
    files, damaged = _set_aside(results, series)
    images = reviewed_images.reviewed(files, pictures, _modalities(results, files), decided)
    listed = {image.content for image in images}
    return ReviewList(images, {content: each for content, each in decided.items() if content not in listed}, damaged)


def undecided(results: Results) -> int:
    """Return how many images wait for a decision, after a run: by `files.csv`, without pictures and plans.

    Raises
    ------
    UserError, OSError
        As `read`.
    """
    decided = decisions.read(decisions.path_in(results.private))
    files, _ = _set_aside(results, _series_of_table(results.private / "files.csv"))
    return len({file.content for file in files} - decided.keys())


def _set_aside(results: Results, series: Iterable[str]) -> tuple[list[SetAside], int]:
    """Return the files that the records of series name as set aside, and how many records could not be read."""
    files, damaged = list[SetAside](), 0
    for series_id in sorted(series):
        try:
            record = record_file.read(results.series_record(EXTRACT, series_id), SeriesRecord.SCHEMA).fields
            files += reviewed_images.set_aside(record)
        except FileNotFoundError:
            continue  # the table is older than the last extraction
        except (Damaged, KeyError, TypeError, ValueError, AttributeError):
            damaged += 1
    return files, damaged


def _pictures(folder: Path) -> Iterator[Picture]:
    """Yield series and content of each picture."""
    for series in _entries(folder):
        if SERIES.fullmatch(series.name) and series.is_dir(follow_symlinks=False):
            for entry in _entries(Path(series.path)):
                content, _, ending = entry.name.partition(".")
                if ending == "jpg" and CONTENT.fullmatch(content) and entry.is_file(follow_symlinks=False):
                    yield series.name, content


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _series_of_table(table: Path) -> set[str]:
    """Return the series of files with the reason in `files.csv`, which names also those without a picture."""
    series: set[str] = set()
    with contextlib.suppress(FileNotFoundError), open(table, "rb") as stream:
        while block := stream.read(_BLOCK):
            series.update(found.decode() for found in _ROW.findall(block + stream.readline()))
    return series


def _modalities(results: Results, files: Iterable[SetAside]) -> dict[str, str]:
    """Return Modality (0008,0060) by path, from the plans; records have it for arrays alone."""
    wanted = {file.series_id for file in files}
    names = [path.stem for path in results.plans.glob("*.json") if plan.batches_in(path.stem)]
    if not wanted or not names:
        return {}
    batches = max(map(plan.batches_in, names))  # their number never shrinks
    modalities: dict[str, str] = {}
    for name in sorted({plan.batch_of(series_id, batches) for series_id in wanted}):
        with contextlib.suppress(OSError, Damaged):  # the next run writes it again
            for planned in plan.read_plan(results.plan(name))[1]:
                if planned.series_id in wanted:
                    for row in planned.parse().files:
                        modalities[row["path"]] = row["facts"].get("Modality") or ""
    return modalities
