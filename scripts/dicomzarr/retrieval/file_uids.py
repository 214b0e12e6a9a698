"""The UIDs of a received file, and whether it ends early; read in a child process with limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dicomzarr.headers.classify import read_header
from dicomzarr.system import sandbox
from dicomzarr.vocabulary.reasons import NotExtracted


@dataclass(frozen=True, slots=True)
class FileUids:
    """The UIDs of a DICOM file, and whether it ends early.

    Attributes
    ----------
    study, series, instance : str
        Empty where the file has none.
    is_cut : bool
        Whether the file ends before its header or its native pixels do; UIDs may then be missing.
    """

    study: str
    series: str
    instance: str
    is_cut: bool


def start_reader() -> None:
    """Start the child that reads, before there is a connection: a later child would keep it open."""
    sandbox.call(os.getpid)


def stop_reader() -> None:
    """End the child that reads."""
    sandbox.end()


def uids_of(path: Path) -> FileUids | None:
    """Return the UIDs of a file; None if it is no DICOM file, or one that cannot be read within the limits."""
    try:
        found = sandbox.call(_read, os.fspath(path))
    except NotExtracted:
        return None
    return FileUids(*found) if found else None


def _read(path: str) -> tuple[str, str, str, bool] | None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size = os.fstat(handle).st_size
        header = read_header(partial(os.pread, handle), size)
        facts = header.facts
    finally:
        os.close(handle)
    is_cut = header.reason in ("truncated_header", "truncated_pixel_data")
    uids = [facts.get("StudyInstanceUID"), facts.get("SeriesInstanceUID"), facts.get("SOPInstanceUID")]
    if not all(uids) and not is_cut:
        uids = _uids_by_pydicom(path)
    return (uids[0] or "", uids[1] or "", uids[2] or "", is_cut) if any(uids) or is_cut else None


def _uids_by_pydicom(path: str) -> list[str | None]:
    """Return the UIDs of an object that is no image, such as a report."""
    import pydicom

    tags = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    return [str(dataset.get(tag) or "").strip(" \0") for tag in tags]
