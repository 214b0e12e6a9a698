"""What was asked for and what came: private tables, built from one file for each study.

The file of a study is written when the study has been worked on, so that a run needs the memory of one study, and the
next one knows what there is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.retrieval.folder import name_of_study
from dicomzarr.system import csv_tables, files, json_files
from dicomzarr.system.path_text import encode_text

RETRIEVED, MISSING, REFUSED, MISMATCH = "retrieved", "missing", "refused", "mismatch"
OUTCOMES = (RETRIEVED, MISSING, REFUSED, MISMATCH)
# By reason: the outcome, and what it means.
REASONS: dict[str, tuple[str, str]] = {
    "": (RETRIEVED, "the file is in the source, and has the UIDs that were asked for"),
    "not_listed": (RETRIEVED, "the server sent it with its series, although it does not list it"),
    "cut_short": (RETRIEVED, "the file ends early, and so does every copy that the server sends"),
    "gone_from_server": (RETRIEVED, "an earlier run retrieved it; the server no longer lists it. The file stays"),
    "no_longer_asked": (RETRIEVED, "an earlier run retrieved it; the list no longer asks for it. The file stays"),
    "not_found": (MISSING, "the server lists it, and says that it does not have it (HTTP 404, 410)"),
    "not_sent": (MISSING, "the answer was complete, without it"),
    "broken_off": (MISSING, "every answer broke off before it was complete"),
    "server_error": (MISSING, "the server failed or did not answer, at each attempt (HTTP 5xx, 429)"),
    "interrupted": (MISSING, "the run ended before it was asked for"),
    "forbidden": (REFUSED, "the account may not read it (HTTP 403)"),
    "not_as_stored": (REFUSED, "the server does not send it as it is stored, undecoded (HTTP 406, 415)"),
    "bad_request": (REFUSED, "the server refuses the request (another HTTP 4xx)"),
    "other_instance": (MISMATCH, "another instance came, at each attempt; it was set aside"),
    "not_dicom": (MISMATCH, "what came is no DICOM file, at each attempt, such as an error page"),
    "conflicting": (MISMATCH, "several different files came with its UID, at each attempt"),
}  # fmt: skip

LEFT = ("gone_from_server", "no_longer_asked")  # files of earlier runs

INSTANCES = ("study_uid", "series_uid", "instance_uid", "outcome", "reason", "path", "bytes", "sha256")
SERIES = (
    "study_uid", "series_uid", "modality", "stated", "listed", "retrieved", "missing", "refused", "mismatch",
    "duplicates", "set_aside", "complete",
)  # fmt: skip
LIST = ("line", "outcome", "studies", "series", "not_matching")
ASIDE = (
    "asked_study_uid", "asked_series_uid", "asked_instance_uid", "study_uid", "series_uid", "instance_uid", "reason",
    "path", "bytes", "sha256",
)  # fmt: skip


@dataclass(slots=True)
class Instance:
    """A row of `retrieval.csv`; `size` is -1 and `sha256` empty as long as there is no file."""

    study: str
    series: str
    uid: str
    reason: str = "interrupted"
    path: str = ""
    size: int = -1
    sha256: str = ""

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`."""
        return REASONS[self.reason][0]

    @property
    def is_there(self) -> bool:
        """Whether the file is in the source."""
        return self.outcome == RETRIEVED


@dataclass(slots=True)
class Series:
    """A row of `retrieval_series.csv`.

    Attributes
    ----------
    stated : int or None
        The server's number of instances.
    listed : int or None
        The instances that it names; None if that query failed.
    """

    study: str
    uid: str
    modality: str
    stated: int | None
    listed: int | None
    duplicates: int = 0
    set_aside: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether all is there that the server lists, and as many as it states."""
        there = self.counts.get(RETRIEVED, 0)
        if self.listed is None and self.stated is None:
            return False
        return there == sum(self.counts.values()) and (self.stated is None or there >= self.stated)


@dataclass(slots=True)
class Study:
    """All rows of a study."""

    uid: str
    instances: list[Instance] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    aside: list[tuple[Any, ...]] = field(default_factory=list)


class Accounts:
    """The accounts in a private folder.

    Parameters
    ----------
    private : Path
        The folder `private/` of the results.
    """

    def __init__(self, private: Path) -> None:
        self.private = private
        self.parts = private / "retrieval" / "studies"
        self.aside = private / "retrieval" / "aside"

    def read(self, study: str) -> Study:
        """Return the rows of a study; none if there are none, or the file is damaged: then files are read again."""
        return _read(self.parts / f"{name_of_study(study)}.json") or Study(study)

    def write(self, study: Study) -> None:
        """Write the rows of a study."""
        content = {
            "study": study.uid,
            "instances": [astuple(instance)[1:] for instance in study.instances],
            "series": [astuple(series)[1:] for series in study.series],
            "aside": study.aside,
        }
        path = self.parts / f"{name_of_study(study.uid)}.json"
        files.write_private_if_changed(path, json_files.canonical_json(content))

    def write_tables(self, asked: set[str], lines: Sequence[tuple[Any, ...]]) -> tuple[int, int]:
        """Write the tables of all studies, also of those that the list no longer asks for.

        Parameters
        ----------
        asked : set of str
            The studies that it asks for.
        lines : sequence of tuple
            Rows of the table of the list.

        Returns
        -------
        files, bytes : int
            Those that the list no longer asks for, or the server no longer has.
        """
        uids = sorted(self._uids())
        left_files = left_bytes = 0

        def studies() -> Iterator[Study]:
            return (self.read(uid) for uid in uids)

        def instances() -> Iterator[str]:
            nonlocal left_files, left_bytes
            for study in studies():
                for each in study.instances:
                    if study.uid not in asked:
                        if not each.is_there:
                            continue
                        each.reason = "no_longer_asked"
                    if each.reason in LEFT:
                        left_files, left_bytes = left_files + 1, left_bytes + max(each.size, 0)
                    size = each.size if each.size >= 0 else None
                    yield csv_tables.line(
                        (each.study, each.series, each.uid, each.outcome, each.reason, each.path, size, each.sha256)
                    )

        def series() -> Iterator[str]:
            for study in studies():
                for each in study.series if study.uid in asked else ():
                    counts = [each.counts.get(outcome, 0) for outcome in OUTCOMES]
                    complete = "yes" if each.is_complete else "no"
                    modality = encode_text(each.modality)  # as the server says it
                    row = (each.study, each.uid, modality, each.stated, each.listed, *counts)
                    yield csv_tables.line((*row, each.duplicates, each.set_aside, complete))

        self._write("retrieval.csv", INSTANCES, instances())
        self._write("retrieval_series.csv", SERIES, series())
        self._write("retrieval_list.csv", LIST, map(csv_tables.line, lines))
        aside = (csv_tables.line(_safe(row)) for study in studies() for row in study.aside)
        self._write("retrieval_aside.csv", ASIDE, aside)
        return left_files, left_bytes

    def _write(self, name: str, columns: Sequence[str], lines: Iterator[str]) -> None:
        csv_tables.write(self.private / name, columns, lines, private=True)

    def _uids(self) -> Iterator[str]:
        with contextlib.suppress(OSError):
            for name in os.listdir(self.parts):
                study = _read(self.parts / name) if name.endswith(".json") and name[0] != "." else None
                if study:
                    yield study.uid


def _safe(row: tuple[Any, ...]) -> list[Any]:
    """Return the cells of a row without formulas: its UIDs are those of a file that nobody asked for."""
    return [encode_text(cell) if isinstance(cell, str) else cell for cell in row]


def _read(path: Path) -> Study | None:
    try:
        content = json_files.read_json(path)
        uid = content["study"]
        instances = [Instance(uid, *row) for row in content["instances"]]
        series = [Series(uid, *row) for row in content["series"]]
        return Study(uid, instances, series, [tuple(row) for row in content["aside"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None
