"""Extract a new series in one pass over its files: the bytes that are hashed are the bytes that the frames come from.

The content of a file is not known before its frame is read. So it must decide nothing until then: neither which files
are duplicates, nor the order of frames. Where it could, there is no pass at all, and the caller reads the files twice:
for their digests, then for their frames.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch.commit import pictures_of
from dicomzarr.stages.extract_batch.duplicates import may_have_copies
from dicomzarr.stages.extract_batch.extraction import Extraction
from dicomzarr.stages.extract_batch.look_for_text import Looker
from dicomzarr.stages.extract_batch.masks import place_masks
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series import attempt, record_of, risk_of
from dicomzarr.stages.extract_batch.series_files import (
    Contents,
    SourceFile,
    Undigested,
    interpret,
    is_read_whole,
    reason_of_content,
)
from dicomzarr.stages.extract_batch.volume import BadFile
from dicomzarr.system.files import remove_tree


def extract_in_one_pass(extraction: Extraction) -> SeriesRecord | None:
    """Write the arrays of a series into a temporary store and return its record, if no content must be known before.

    Parameters
    ----------
    extraction : Extraction
        As for `series.extract`, whose bytes and record are the same.

    Returns
    -------
    SeriesRecord, optional
        None if the contents of the files must be known first, or if a file cannot be read or used.

    Raises
    ------
    SourceChanged
        If the stat of a file differs from the inventory.
    """
    plan, store, roots, options = extraction.plan, extraction.store, extraction.roots, extraction.options
    files = _files_without_decision(plan, options)
    for index, file in enumerate(files):
        interpret(index, file, roots)
    if not files or any(file.reason or not is_read_whole(file.row) for file in files) or may_have_copies(files):
        return None
    remove_tree(pictures_of(store))
    remove_tree(store)
    store.mkdir(parents=True)
    with contextlib.closing(Contents(roots)) as contents:
        contents.ahead(plan.all_files())
        try:
            volumes = attempt(extraction, files, Looker(files, roots, options))
        except (BadFile, Undigested):
            return None
        for file in files:  # those without a frame in the dataset
            file.content = file.content or contents.digest(file.row)
        digests = {row["path"]: contents.digest(row) for row in plan.masks}
    digests |= {file.row["path"]: file.content for file in files}
    if any(reason_of_content(file.content) for file in files):
        return None
    order = sorted(range(len(files)), key=lambda index: (files[index].content, files[index].row["path"]))
    place = {index: number for number, index in enumerate(order)}
    in_order = [
        dataclasses.replace(volume, frame_rows=tuple(row._replace(source=place[row.source]) for row in volume.frames))
        for volume in volumes
    ]
    ordered = [files[index] for index in order]
    instances = [file.instance for file in ordered]
    masks = place_masks(extraction, digests, in_order, instances)
    return record_of(plan, digests, options, ordered, tuple(in_order), masks)


def _files_without_decision(plan: SeriesPlan, options: Options) -> Sequence[SourceFile]:
    """Return the files of a series; none if one of them is left out or compared by what it contains."""
    if options.burned_in == "scan" or options.decisions or plan.same_uid_elsewhere:
        return []
    # Images alone, each with a SOP Instance UID of its own: it orders frames, and names those without a place.
    uids = {_uid(row) for row in plan.files if row["outcome"] == "image"}
    files = [SourceFile(row, "") for row in plan.files]
    if "" in uids or len(uids) != len(files) or any(risk_of(row, options) for row in plan.files):
        return []
    return files


def _uid(row: HeaderRow) -> str:
    return row["facts"].get("SOPInstanceUID", "")
