"""What the list asks for, what of it the server lists, and what is still to be retrieved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dicomzarr.retrieval.accounts import Instance, Series, Study
from dicomzarr.retrieval.folder import relative_path
from dicomzarr.retrieval.request_list import Line
from dicomzarr.retrieval.server import QueryFailed, SeriesFound, Server


@dataclass(frozen=True, slots=True)
class Selection:
    """Series of a study: all, or one, or those of some modalities; `line` is that of the list."""

    line: int
    series: str
    modalities: frozenset[str]

    def selects(self, series: SeriesFound) -> bool:
        """Whether a series is one of them."""
        return self.series in ("", series.uid) and (not self.modalities or series.modality in self.modalities)


@dataclass(slots=True)
class Asked:
    """What the list asks for.

    Attributes
    ----------
    studies : dict of str to list of Selection
        By Study Instance UID.
    not_matching : dict of int to int
        By line, studies that the server named although they do not have the values of the line.
    failed_lines : set of int
    failed_studies : set of str
        Those at whose query the server failed.
    """

    studies: dict[str, list[Selection]] = field(default_factory=dict)
    not_matching: dict[int, int] = field(default_factory=dict)
    failed_lines: set[int] = field(default_factory=set)
    failed_studies: set[str] = field(default_factory=set)


@dataclass(slots=True)
class StudyPlan:
    """A study as the server lists it.

    Attributes
    ----------
    account : Study
        Its rows: of the instances that are asked for, and of files of earlier runs that are not.
    rows : dict of str to dict of str to Instance
        By series, the rows of its instances by UID.
    wanted : dict of str to set of str
        By series, the instances to retrieve.
    lines : dict of int to int
        By line of the list, the number of series that it selects.
    is_known : bool
        Whether an earlier run worked on it.
    new : int
        Instances that no earlier run knew.
    """

    account: Study
    rows: dict[str, dict[str, Instance]] = field(default_factory=dict)
    wanted: dict[str, set[str]] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    is_known: bool = False
    new: int = 0


def ask(server: Server, lines: Sequence[Line], report: Callable[[str], None]) -> Asked:
    """Return the studies that the lines ask for; the server is asked only where a line does not name the study."""
    asked = Asked()
    for number, line in enumerate(lines, 1):
        report(f"line {number} of {len(lines)} of the list")
        studies = [line.study]
        if not line.study or line.accession or line.patient or line.dates:
            try:
                studies, asked.not_matching[line.number] = server.studies(line)
            except QueryFailed:
                asked.failed_lines.add(line.number)
                continue
        for study in studies:
            asked.studies.setdefault(study, []).append(Selection(line.number, line.series, line.modalities))
    return asked


def plan_study(
    server: Server,
    study: str,
    selections: Sequence[Selection],
    earlier: Study,
    is_there: Callable[[Instance], bool],
    *,
    again: bool,
) -> StudyPlan:
    """Return what the server lists of a study and what of it is not there.

    Parameters
    ----------
    server : Server
    study : str
        UID.
    selections : sequence of Selection
        The series that the list asks for.
    earlier : Study
        Its rows of the last run.
    is_there : callable
        Whether the file of a row is in the source and as it was written.
    again : bool
        Retrieve also what is there.
    """
    known = {(row.series, row.uid): row for row in earlier.instances}
    known_series = {series.uid: series for series in earlier.series}
    plan = StudyPlan(Study(study, aside=[*earlier.aside]), is_known=bool(known))
    plan.lines = {selection.line: 0 for selection in selections}
    listed = server.series(study)
    for series in listed:
        lines = {selection.line for selection in selections if selection.selects(series)}
        for line in lines:
            plan.lines[line] += 1
        if not lines:
            continue
        try:
            uids = server.instances(study, series.uid, series.stated)
            listed_uids: int | None = len(uids)
        except QueryFailed:
            uids, listed_uids = [], None
        account = Series(study, series.uid, series.modality, series.stated, listed_uids)
        if series.uid in known_series:
            before = known_series[series.uid]
            account.duplicates, account.set_aside = before.duplicates, before.set_aside
        plan.account.series.append(account)
        rows, wanted = plan.rows.setdefault(series.uid, {}), plan.wanted.setdefault(series.uid, set())
        for uid in uids:
            row = known.pop((series.uid, uid), None)
            plan.new += row is None
            row = row or Instance(study, series.uid, uid, path=relative_path(study, series.uid, uid))
            rows[uid] = row
            there = is_there(row)
            if not there:
                row.reason, row.size, row.sha256 = "interrupted", -1, ""
            elif row.reason != "cut_short":
                row.reason = ""
            if again or not there:
                wanted.add(uid)
    unlisted = {series.uid for series in plan.account.series if series.listed is None}
    _keep_earlier(plan, {series.uid for series in listed}, unlisted, known, is_there)
    return plan


def _keep_earlier(
    plan: StudyPlan,
    listed: set[str],
    unlisted: set[str],
    earlier: dict[tuple[str, str], Instance],
    is_there: Callable[[Instance], bool],
) -> None:
    """Keep the rows of files that earlier runs retrieved and this one does not ask for."""
    asked = set(plan.rows)
    for row in earlier.values():
        if not is_there(row):
            continue
        if row.series in unlisted or row.series in asked and row.reason == "not_listed":
            plan.rows[row.series][row.uid] = row
            continue
        row.reason = "no_longer_asked" if row.series in listed - asked else "gone_from_server"
        plan.rows.setdefault(row.series, {})[row.uid] = row
