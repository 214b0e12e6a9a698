"""Retrieve what the list asks for, study by study."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.retrieval import file_uids, plan
from dicomzarr.retrieval.accounts import LEFT, MISMATCH, MISSING, REFUSED, RETRIEVED, Accounts, Instance
from dicomzarr.retrieval.folder import Folder, sha256_of
from dicomzarr.retrieval.request_list import Line
from dicomzarr.retrieval.server import Patience, QueryFailed, Server
from dicomzarr.retrieval.transfer import Transfer


@dataclass(slots=True)
class Summary:
    """Numbers of a retrieval; none of them identifies anybody.

    Attributes
    ----------
    lines, lines_without_match, lines_failed : int
        Of the list; those of which the server has nothing; those with a query at which it failed.
    studies, series, instances : int
        What the server lists of what is asked for, and what it sent beside it.
    retrieved, missing, refused, mismatch : int
        Of these instances, by outcome.
    to_retrieve : int
        Instances that were not there before, or all with `again`.
    new, bytes : int
        Files that this run wrote, and the bytes of all that it wrote.
    changed, unchanged : int
        Files that were retrieved again, and differ or not.
    grown_studies : int
        Studies of earlier runs in which the server has instances that it had not.
    incomplete_series : int
        Series that are not complete, or with fewer instances than the server states.
    duplicates, set_aside : int
        Files that came twice; files that were not what was asked for.
    left_over, left_over_bytes : int
        Files in the source that the list no longer asks for, or the server no longer has.
    not_matching : int
        Studies that the server named although they have other values than a line.
    """

    lines: int = 0
    lines_without_match: int = 0
    lines_failed: int = 0
    studies: int = 0
    series: int = 0
    instances: int = 0
    retrieved: int = 0
    missing: int = 0
    refused: int = 0
    mismatch: int = 0
    to_retrieve: int = 0
    new: int = 0
    bytes: int = 0
    changed: int = 0
    unchanged: int = 0
    grown_studies: int = 0
    incomplete_series: int = 0
    duplicates: int = 0
    set_aside: int = 0
    left_over: int = 0
    left_over_bytes: int = 0
    not_matching: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether all that the list asks for is there."""
        wrong = self.missing + self.refused + self.mismatch + self.incomplete_series
        return wrong + self.lines_without_match + self.lines_failed == 0

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return dataclasses.asdict(self)


def look(
    server: Server, root: Path, accounts: Accounts, lines: Sequence[Line], report: Callable[[str], None]
) -> Summary:
    """Return what a retrieval would do. Only the server is asked; nothing is written.

    Parameters
    ----------
    server : Server
    root : Path
        The source folder.
    accounts : Accounts
    lines : sequence of Line
        The list.
    report : callable
        Called with the progress in words.
    """
    summary, asked = Summary(lines=len(lines)), plan.ask(server, lines, report)
    selected: Counter[int] = Counter()

    def is_there(row: Instance) -> bool:
        path = root / row.path
        return path.is_file() and row.size in (-1, path.stat().st_size)

    for number, study in enumerate(sorted(asked.studies), 1):
        report(f"study {number:,} of {len(asked.studies):,}")
        try:
            planned = plan.plan_study(server, study, asked.studies[study], accounts.read(study), is_there, again=False)
        except QueryFailed:
            asked.failed_studies.add(study)
            continue
        _count(summary, planned)
        selected.update(planned.lines)
    _rows_of_list(summary, lines, asked, selected, set(asked.studies))
    return summary


def retrieve(
    server: Server,
    folder: Folder,
    accounts: Accounts,
    lines: Sequence[Line],
    patience: Patience,
    report: Callable[[str], None],
    *,
    again: bool,
) -> Summary:
    """Retrieve what is missing, and write the accounts; parameters as `look`.

    Parameters
    ----------
    server, folder, accounts, lines, patience, report
        As `look` and `Transfer` take them.
    again : bool
        Retrieve everything once more, and compare.

    Raises
    ------
    ServerProblem
        If the server is down or refuses; the accounts are written before.
    """
    summary = Summary(lines=len(lines))
    asked = plan.ask(server, lines, report)
    selected: Counter[int] = Counter()
    state, planned_studies = {"study": 0}, set[str]()

    def report_file() -> None:
        report(
            f"study {state['study']:,} of {len(asked.studies):,}: {transfer.tally.new:,} new, "
            f"{transfer.tally.bytes / 1e6:,.0f} MB"
        )

    transfer = Transfer(server, folder, accounts, patience, report_file)
    is_there = _Checked(folder)
    try:
        for number, study in enumerate(sorted(asked.studies), 1):
            state["study"] = number
            report_file()
            earlier = accounts.read(study)
            try:
                planned = plan.plan_study(server, study, asked.studies[study], earlier, is_there, again=again)
            except QueryFailed:
                asked.failed_studies.add(study)
                continue
            selected.update(planned.lines)
            planned_studies.add(study)
            _count(summary, planned)
            try:
                for series in planned.account.series:
                    transfer.retrieve(planned.account, series, planned.rows[series.uid], planned.wanted[series.uid])
            finally:
                _close_study(planned, folder, accounts, summary)
    finally:
        for name, value in dataclasses.asdict(transfer.tally).items():
            setattr(summary, name, value)
        rows = _rows_of_list(summary, lines, asked, selected, planned_studies)
        summary.left_over, summary.left_over_bytes = accounts.write_tables(set(asked.studies), rows)
    return summary


class _Checked:
    """Whether the file of a row is there; the row of one that no account knows is filled in from the file.

    After a kill there are files of the study that was being worked on, but no rows.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def __call__(self, row: Instance) -> bool:
        size = self._folder.size_of(row.path)
        if size < 0:
            return False
        if row.size >= 0:
            return size == row.size
        path = self._folder.root / row.path
        found = file_uids.uids_of(path)
        if found is None or (found.study, found.series, found.instance) != (row.study, row.series, row.uid):
            return False
        row.size, row.sha256 = size, sha256_of(path)
        return bool(row.sha256) and not found.is_cut


def _count(summary: Summary, planned: plan.StudyPlan) -> None:
    summary.studies += bool(planned.account.series)
    summary.series += len(planned.account.series)
    summary.instances += sum(series.listed or 0 for series in planned.account.series)
    summary.to_retrieve += sum(map(len, planned.wanted.values()))
    summary.grown_studies += planned.is_known and planned.new > 0


def _close_study(planned: plan.StudyPlan, folder: Folder, accounts: Accounts, summary: Summary) -> None:
    """Make the files of a study durable, then write its rows."""
    folder.make_names_durable()
    account = planned.account
    account.instances = [row for series in sorted(planned.rows) for _, row in sorted(planned.rows[series].items())]
    for series in account.series:
        rows = [row for row in planned.rows[series.uid].values() if row.reason not in LEFT]
        series.counts = dict(Counter(row.outcome for row in rows))
        summary.incomplete_series += not series.is_complete
        summary.instances += len(rows) - (series.listed or 0)
        summary.retrieved += series.counts.get(RETRIEVED, 0)
        summary.missing += series.counts.get(MISSING, 0)
        summary.refused += series.counts.get(REFUSED, 0)
        summary.mismatch += series.counts.get(MISMATCH, 0)
    accounts.write(account)


def _rows_of_list(
    summary: Summary, lines: Sequence[Line], asked: plan.Asked, selected: Counter[int], planned: set[str]
) -> list[tuple[Any, ...]]:
    """Return the rows of the table of the list, its lines by number without what they ask for, and count them."""
    studies, waiting, failed = Counter[int](), set[int](), {*asked.failed_lines}
    for study, selections in asked.studies.items():
        numbers = {each.line for each in selections}
        studies.update(numbers)
        failed |= numbers if study in asked.failed_studies else set()
        waiting |= set() if study in planned else numbers
    rows: list[tuple[Any, ...]] = []
    for number in (line.number for line in lines):
        outcome = "found" if selected[number] else "nothing_found"
        outcome = "query_failed" if number in failed else "not_asked" if number in waiting else outcome
        rows.append((number, outcome, studies[number], selected[number], asked.not_matching.get(number, 0)))
    outcomes = Counter(row[1] for row in rows)
    summary.lines_without_match, summary.lines_failed = outcomes["nothing_found"], outcomes["query_failed"]
    summary.not_matching = sum(asked.not_matching.values())
    return rows
