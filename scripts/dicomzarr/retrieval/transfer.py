"""Retrieve the instances of a series: first all with one request, then each that did not come by itself.

Every file is compared with what was asked for before it gets its name: servers and proxies are known that mix instances
of two series, end an answer early, or send a page of HTML with the status of success.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.retrieval.accounts import Accounts, Instance, Series, Study
from dicomzarr.retrieval.file_uids import FileUids, uids_of
from dicomzarr.retrieval.folder import Folder, Received, relative_path
from dicomzarr.retrieval.multipart import BrokenOff, boundary_of, media_type_of, split
from dicomzarr.retrieval.request_list import UID
from dicomzarr.retrieval.server import BUSY, FAILURES, Answer, NoAnswer, Patience, Server
from dicomzarr.system import files

ATTEMPTS = 3  # for an instance alone
MOST_ASIDE = 1000  # files that a run sets aside; of further ones the accounts have a row only
DICOM = "application/dicom"
_REASONS = {204: "not_sent", 403: "forbidden", 404: "not_found", 406: "not_as_stored", 410: "not_found"}
_REASONS[415] = "not_as_stored"
_FINAL = {"not_found", "forbidden", "not_as_stored", "bad_request"}  # a further attempt would not help


@dataclass(slots=True)
class Work:
    """A series that is retrieved.

    Attributes
    ----------
    account : Series
    rows : dict of str to Instance
        Its rows by UID.
    wanted : set of str
        Instances that have not come yet.
    instance : str
        The one that is asked for by itself; empty for all.
    sha256 : dict of str to str
        Of what came in this answer, by UID.
    conflicts : set of str
        UIDs of which this answer had several different files.
    cut : dict of str to str
        SHA-256 of files that end early, by UID: the same once more is what the server has.
    problem : str
        Reason why something in this answer was not used.
    aside : set of tuple
        The rows of the study for files that were set aside.
    """

    study: Study
    account: Series
    rows: dict[str, Instance]
    wanted: set[str]
    instance: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    conflicts: set[str] = field(default_factory=set)
    cut: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    aside: set[tuple[Any, ...]] = field(default_factory=set)


@dataclass(slots=True)
class Tally:
    """What a run did."""

    new: int = 0
    bytes: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    set_aside: int = 0


class Transfer:
    """Retrieves series into a folder.

    Parameters
    ----------
    server : Server
    folder : Folder
    accounts : Accounts
    patience : Patience
    report : callable
        Called after each file.
    """

    def __init__(
        self, server: Server, folder: Folder, accounts: Accounts, patience: Patience, report: Callable[[], None]
    ) -> None:
        self._server, self._folder, self._accounts = server, folder, accounts
        self._patience, self._report = patience, report
        self._failures = 0
        self.tally = Tally()

    def retrieve(self, study: Study, account: Series, rows: dict[str, Instance], wanted: set[str]) -> None:
        """Retrieve the wanted instances of a series; their rows say what came.

        Parameters
        ----------
        study : Study
        account : Series
            The row of the series.
        rows : dict of str to Instance
            The rows of its instances, by UID.
        wanted : set of str
            UIDs; those that came are removed from it.

        Raises
        ------
        ServerProblem
            If the server is down, or refuses the credentials.
        """
        work = Work(study, account, rows, wanted, aside=set(study.aside))
        # Where some are there, only the others are asked for.
        if account.listed is None or len(wanted) > 1 and len(wanted) == account.listed:
            self._ask(work)
        for uid in sorted(wanted):
            self._retrieve_alone(work, uid)

    def _retrieve_alone(self, work: Work, uid: str) -> None:
        work.instance = uid
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(self._patience.seconds * 2**attempt, self._patience.most))
            reason = self._ask(work)
            if uid not in work.wanted:
                return
            work.rows[uid].reason = reason or "not_sent"
            if reason in _FINAL or self._failures:  # where there was no answer, it was asked often enough
                return

    def _ask(self, work: Work) -> str:
        """Ask for the series, or an instance of it; return why something is missing, if it is known."""
        work.sha256, work.conflicts, work.problem = {}, set(), ""
        try:
            with self._server.retrieve(work.study.uid, work.account.uid, work.instance) as answer:
                if answer.status in BUSY:
                    raise NoAnswer(
                        f"the server is busy or down (HTTP {answer.status}); run the same command again later"
                    )
                reason = self._take(work, answer) or work.problem
                self._failures = 0
                return reason
        except NoAnswer:
            self._failures += 1
            if self._failures >= FAILURES:
                raise
            return "server_error"

    def _take(self, work: Work, answer: Answer) -> str:
        if answer.status != 200:
            return _REASONS.get(answer.status, "server_error" if answer.status >= 500 else "bad_request")
        boundary = boundary_of(answer.content_type)
        try:
            if boundary:
                for headers, content in split(answer.blocks(), boundary):
                    received = self._folder.receive(content)
                    self._take_part(work, received, headers)
            elif media_type_of(answer.content_type) == DICOM:  # one instance, not in parts: against PS3.18, but seen
                self._take_part(work, self._folder.receive(answer.blocks()), {})
            else:
                return "not_dicom"
        except BrokenOff:
            return "broken_off"
        return ""

    def _take_part(self, work: Work, received: Received, headers: dict[str, str]) -> None:
        length = headers.get("content-length", "")
        is_dicom = media_type_of(headers.get("content-type", DICOM)) in (DICOM, "application/octet-stream")
        if length.isascii() and length.isdigit() and int(length) != received.size:
            self._folder.discard(received)
            work.problem = "broken_off"
            return
        found = uids_of(received.path) if is_dicom else None
        problem = _difference(work, found)
        if problem:
            work.problem = problem
            if problem == "broken_off":
                self._folder.discard(received)
            else:
                self._set_aside(work, received, found, problem)
        elif found is not None:
            self._take_instance(work, received, found)
        self._report()

    def _take_instance(self, work: Work, received: Received, found: FileUids) -> None:
        """Give a file its name that is what was asked for."""
        uid = found.instance
        earlier = work.sha256.get(uid)
        if uid in work.conflicts or earlier not in (None, received.sha256):
            self._note_conflict(work, received, found)
            return
        if earlier:
            work.account.duplicates += 1
            self.tally.duplicates += 1
            self._folder.discard(received)
            return
        work.sha256[uid] = received.sha256
        if uid in work.rows and uid not in work.wanted:  # it was there before
            self._folder.discard(received)
            return
        if found.is_cut and work.cut.get(uid) != received.sha256:
            work.cut[uid] = received.sha256
            work.problem = "broken_off"
            del work.sha256[uid]
            self._folder.discard(received)
            return
        row = work.rows.get(uid)
        reason = "cut_short" if found.is_cut else "" if row else "not_listed"
        if row is None:
            path = relative_path(work.study.uid, work.account.uid, uid)
            row = work.rows[uid] = Instance(work.study.uid, work.account.uid, uid, path=path)
        self._name(row, received)
        row.reason, row.size, row.sha256 = reason, received.size, received.sha256
        work.wanted.discard(uid)

    def _name(self, row: Instance, received: Received) -> None:
        was_there = row.size >= 0 and self._folder.size_of(row.path) == row.size
        if was_there and row.sha256 == received.sha256:
            self.tally.unchanged += 1
            self._folder.discard(received)
            return
        self._folder.keep(received, row.path)
        self.tally.bytes += received.size
        if was_there:
            self.tally.changed += 1
        else:
            self.tally.new += 1

    def _note_conflict(self, work: Work, received: Received, found: FileUids) -> None:
        """Two different files have one UID: neither is kept, and the instance is asked for by itself."""
        uid, row = found.instance, work.rows.get(found.instance)
        work.problem = "conflicting"
        if uid not in work.conflicts and row is not None:
            work.conflicts.add(uid)
            self._folder.remove(row.path)
            row.reason, row.size, row.sha256 = "conflicting", -1, ""
            work.wanted.add(uid)
            self.tally.new -= 1
        self._set_aside(work, received, found, "conflicting")

    def _set_aside(self, work: Work, received: Received, found: FileUids | None, reason: str) -> None:
        """Move a file to the private folder that is not what was asked for, and note what it is."""
        self.tally.set_aside += 1
        work.account.set_aside += 1
        name = f"retrieval/aside/{received.sha256[:24]}.dcm"
        target = self._accounts.private / name
        if target.exists() or self.tally.set_aside > MOST_ASIDE:
            name = name if target.exists() else ""
            self._folder.discard(received)
        else:
            files.make_private(target.parent)
            _move(received.path, target)
        uids = (found.study, found.series, found.instance) if found else ("", "", "")
        asked = (work.study.uid, work.account.uid, work.instance)
        row = (*asked, *uids, reason, name, received.size, received.sha256)
        if row not in work.aside:
            work.aside.add(row)
            work.study.aside.append(row)


def _difference(work: Work, found: FileUids | None) -> str:
    """Return why a file is not what was asked for; empty if it is."""
    if found is None:
        return "not_dicom"
    has_uids = (found.study, found.series) == (work.study.uid, work.account.uid)
    if found.is_cut and not (has_uids and found.instance):
        return "broken_off"
    if not has_uids or not UID.fullmatch(found.instance) or work.instance not in ("", found.instance):
        return "other_instance"
    return ""


def _move(path: Path, target: Path) -> None:
    """Move a file, also to another file system."""
    try:
        os.rename(path, target)
    except OSError:
        beside = target.with_name(f".{target.name}{files.TEMPORARY}")
        beside.touch(files.PRIVATE_FILE)
        shutil.copyfile(path, beside)
        os.rename(beside, target)
        path.unlink()
