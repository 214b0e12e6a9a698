"""Answers as faulty servers and proxies give them: nothing wrong gets into the source, nothing is lost silently."""

from __future__ import annotations

import csv
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicoms import ct_slice
from faulty_pacs import HASTY, HTML, FaultyPacs, Reply, as_file, multipart, serving
from pydicom.dataset import Dataset
from waiting import HANG

from dicomzarr.retrieval import folder, minimum_rate, server
from dicomzarr.retrieval.accounts import Accounts
from dicomzarr.retrieval.folder import Folder
from dicomzarr.retrieval.request_list import Line
from dicomzarr.retrieval.retrieve import Summary, look, retrieve
from dicomzarr.retrieval.server import NoAnswer, Server, ServerProblem
from dicomzarr.system import sandbox
from dicomzarr.system.flush import Disk
from dicomzarr.vocabulary.errors import UserError

A, B = ([ct_slice(name, index) for index in range(4)] for name in "ab")
LINES = [Line(2, study=A[0].StudyInstanceUID), Line(3, study=B[0].StudyInstanceUID)]


class Retrieval:
    """A source folder, accounts, and a server with two studies of one series each."""

    def __init__(self, place: Path, pacs: FaultyPacs) -> None:
        self.source, self.private, self.pacs = place / "source", place / "private", pacs
        self.patience = HASTY

    def run(self, lines: list[Line] = LINES, *, again: bool = False) -> Summary:
        self.pacs.requests.clear()
        target = Folder(self.source)
        try:
            server, accounts = Server(self.pacs.url, {}, self.patience), Accounts(self.private)
            return retrieve(server, target, accounts, lines, self.patience, lambda _: None, again=again)
        finally:
            target.close()

    def table(self, name: str) -> list[dict[str, str]]:
        with open(self.private / name, newline="") as stream:
            return list(csv.DictReader(stream))

    def outcomes(self) -> dict[str, str]:
        """Return outcome and reason of each instance by its UID."""
        rows = self.table("retrieval.csv")
        return {row["instance_uid"]: f"{row['outcome']} {row['reason']}".strip() for row in rows}

    def files(self) -> list[bytes]:
        return [path.read_bytes() for path in self.source.rglob("*") if path.is_file()]

    def holds(self, *datasets: Dataset) -> bool:
        """Whether the source holds these files, byte for byte, and no other."""
        return sorted(self.files()) == sorted(map(as_file, datasets))


@pytest.fixture
def pacs() -> Iterator[FaultyPacs]:
    with serving(FaultyPacs([*A, *B])) as served:
        yield served
    sandbox.end()


@pytest.fixture
def retrieval(tmp_path: Path, pacs: FaultyPacs) -> Retrieval:
    return Retrieval(tmp_path, pacs)


def uid_of(dataset: Dataset) -> str:
    return str(dataset.SOPInstanceUID)


def test_a_good_server_is_asked_once_for_each_series(retrieval: Retrieval) -> None:
    summary = retrieval.run()
    assert summary.is_complete and (summary.studies, summary.series, summary.retrieved) == (2, 2, 8)
    assert retrieval.holds(*A, *B) and set(retrieval.outcomes().values()) == {"retrieved"}
    assert retrieval.pacs.requests.count("series") == 2 and "alone" not in retrieval.pacs.requests
    accepted = {headers["Accept"] for headers in retrieval.pacs.headers if "multipart" in headers["Accept"]}
    assert accepted == {'multipart/related; type="application/dicom"; transfer-syntax=*'}
    assert {headers["Host"] for headers in retrieval.pacs.headers} == {retrieval.pacs.url.split("/")[2]}
    before = {path: path.stat().st_mtime_ns for path in retrieval.source.rglob("*")}
    again = retrieval.run()
    assert again.is_complete and again.new == 0 and set(retrieval.pacs.requests) == {"query"}
    assert {path: path.stat().st_mtime_ns for path in retrieval.source.rglob("*")} == before


def test_slices_of_another_series_are_set_aside_and_the_missing_asked_for_alone(retrieval: Retrieval) -> None:
    mixed = multipart([as_file(dataset) for dataset in (A[0], B[1], A[2], A[3])])
    retrieval.pacs.wrong["series"] = [mixed, mixed]
    summary = retrieval.run()
    assert summary.is_complete and retrieval.holds(*A, *B)
    assert retrieval.pacs.requests.count("alone") == 1 + 3  # A[1]; B[0], B[2] and B[3]
    aside = retrieval.table("retrieval_aside.csv")
    assert sorted(row["instance_uid"] for row in aside) == sorted(map(uid_of, (B[1], A[0], A[2], A[3])))
    assert all(row["asked_study_uid"] != row["study_uid"] and row["reason"] == "other_instance" for row in aside)
    assert (retrieval.private / aside[0]["path"]).stat().st_mode & 0o777 == 0o600
    counts = {row["study_uid"]: row["set_aside"] for row in retrieval.table("retrieval_series.csv")}
    assert counts == {A[0].StudyInstanceUID: "1", B[0].StudyInstanceUID: "3"}


def test_the_wrong_instance_each_time_is_a_mismatch(retrieval: Retrieval) -> None:
    retrieval.pacs.wrong["series"] = [multipart([as_file(each) for each in A[:3]])]
    retrieval.pacs.always[uid_of(A[3])] = multipart([as_file(A[0])])
    summary = retrieval.run()
    assert not summary.is_complete and (summary.mismatch, summary.incomplete_series) == (1, 1)
    assert retrieval.outcomes()[uid_of(A[3])] == "mismatch other_instance" and retrieval.holds(*A[:3], *B)
    del retrieval.pacs.always[uid_of(A[3])]
    later = retrieval.run()
    assert later.is_complete and later.new == 1 and retrieval.pacs.requests.count("alone") == 1


def cut(files: list[bytes], missing: int) -> Reply:
    whole = multipart(files)
    return Reply(whole.status, whole.headers, whole.content[:-missing])


@pytest.mark.parametrize("missing", [3, 30, 700, 2000])
def test_an_answer_that_broke_off_gives_only_its_whole_parts(retrieval: Retrieval, missing: int) -> None:
    retrieval.pacs.wrong["series"] = [cut([as_file(each) for each in A], missing)]
    assert retrieval.run().is_complete and retrieval.holds(*A, *B)
    assert retrieval.pacs.requests.count("alone") == {3: 1, 30: 1, 700: 1, 2000: 2}[missing]


def test_answers_that_always_break_off_leave_nothing(retrieval: Retrieval) -> None:
    retrieval.pacs.wrong["series"] = [cut([as_file(A[0])], 100)]
    retrieval.pacs.always = {uid_of(each): cut([as_file(each)], 100) for each in A}
    summary = retrieval.run()
    assert summary.missing == 4 and retrieval.holds(*B)
    assert {retrieval.outcomes()[uid_of(each)] for each in A} == {"missing broken_off"}


def test_a_part_that_has_another_length_than_it_says_is_not_taken(retrieval: Retrieval) -> None:
    headers = "Content-Type: application/dicom\r\nContent-Length: 9999"
    retrieval.pacs.wrong["series"] = [multipart([as_file(each) for each in A], headers=headers)]
    assert retrieval.run().is_complete and retrieval.holds(*A, *B)
    assert retrieval.pacs.requests.count("alone") == 4


def test_a_file_that_the_server_always_sends_cut_is_taken_as_it_is_stored(retrieval: Retrieval) -> None:
    stored = as_file(A[2])[:-100]
    retrieval.pacs.wrong["series"] = [multipart([stored])]
    retrieval.pacs.always[uid_of(A[2])] = multipart([stored])
    assert retrieval.run().is_complete
    assert retrieval.outcomes()[uid_of(A[2])] == "retrieved cut_short" and stored in retrieval.files()
    assert retrieval.run().new == 0 and retrieval.outcomes()[uid_of(A[2])] == "retrieved cut_short"


def test_a_file_that_was_cut_on_its_way_is_asked_for_again(retrieval: Retrieval) -> None:
    retrieval.pacs.wrong["series"] = [multipart([*map(as_file, A[:3]), as_file(A[3])[:-100]])]
    assert retrieval.run().is_complete and retrieval.holds(*A, *B)


def test_a_page_of_html_is_no_image(retrieval: Retrieval) -> None:
    page = multipart([HTML.content])
    retrieval.pacs.wrong["series"] = [HTML, page]
    retrieval.pacs.always[uid_of(A[1])] = HTML
    retrieval.pacs.always[uid_of(B[1])] = page
    summary = retrieval.run()
    assert summary.mismatch == 2 and retrieval.holds(*(each for each in (*A, *B) if each not in (A[1], B[1])))
    assert [retrieval.outcomes()[uid_of(each)] for each in (A[1], B[1])] == ["mismatch not_dicom"] * 2


def test_a_busy_server_is_asked_again_as_it_says(retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    busy = Reply(503, {"Retry-After": "0"})
    retrieval.pacs.wrong["query"] = [Reply(429, {"Retry-After": "60"})]  # more than `HASTY.most`
    retrieval.pacs.wrong["series"] = [busy, Reply(503), None, Reply(502)]
    assert retrieval.run().is_complete and retrieval.holds(*A, *B)
    assert len(waits) >= 4 and max(waits) <= HASTY.most
    assert retrieval.pacs.requests.count("series") == 2 + 3 and "alone" not in retrieval.pacs.requests


def test_a_server_that_is_down_ends_the_run_and_the_next_one_goes_on(retrieval: Retrieval) -> None:
    down = [Reply(503)] * 20
    first = min(A[0].StudyInstanceUID, B[0].StudyInstanceUID)
    retrieval.pacs.wrong["series"] = [None, *down]
    retrieval.pacs.wrong["alone"] = down
    with pytest.raises(ServerProblem, match=r"busy or down \(HTTP 503\)"):
        retrieval.run()
    rows = retrieval.table("retrieval.csv")
    assert {row["outcome"] for row in rows if row["study_uid"] == first} == {"retrieved"}
    assert {row["reason"] for row in rows if row["study_uid"] != first} <= {"server_error", "interrupted"}
    retrieval.pacs.wrong.clear()
    assert retrieval.run().new == 4 and retrieval.holds(*A, *B)
    assert retrieval.pacs.requests.count("series") == 1


@pytest.mark.parametrize("kind", ["series", "query"])
def test_a_server_that_sends_next_to_nothing_counts_as_one_that_does_not_answer(
    kind: str, retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieval.patience = dataclasses.replace(HASTY, slow=0.1)
    if kind == "series":  # the queries before may take as long as a busy machine needs
        rate = minimum_rate.MinimumRate
        monkeypatch.setattr(server, "MinimumRate", lambda seconds: rate(seconds if seconds == 0.1 else HANG))
    whole = retrieval.pacs.answer(f"/studies/{A[0].StudyInstanceUID}/series/{A[0].SeriesInstanceUID}")
    slow = dataclasses.replace(whole, trickles=0.02)
    retrieval.pacs.wrong[kind] = [slow]
    retrieval.pacs.wrong["alone"] = [slow, slow]
    with pytest.raises(NoAnswer, match="next to nothing" if kind == "series" else "does not answer"):
        retrieval.run()
    assert not retrieval.files()
    retrieval.patience = HASTY
    retrieval.run()
    assert retrieval.holds(*A, *B)


def test_one_bad_instance_does_not_stop_the_others(retrieval: Retrieval) -> None:
    retrieval.pacs.wrong["series"] = [Reply(500)]
    reasons = {
        500: "missing server_error",
        404: "missing not_found",
        403: "refused forbidden",
        406: "refused not_as_stored",
    }
    retrieval.pacs.always = {uid_of(each): Reply(status) for each, status in zip(A, reasons, strict=True)}
    summary = retrieval.run()
    assert (summary.missing, summary.refused, summary.retrieved) == (2, 2, 4) and retrieval.holds(*B)
    assert [retrieval.outcomes()[uid_of(each)] for each in A] == [*reasons.values()]
    assert retrieval.pacs.requests.count("alone") == 3 + 1 + 1 + 1  # only the first may go well later


def test_copies_are_counted_and_two_files_of_one_uid_are_not_guessed(retrieval: Retrieval) -> None:
    other = ct_slice("a", 0, PatientName="Another^Version")
    retrieval.pacs.wrong["series"] = [multipart([as_file(each) for each in (*A, A[1], other)])]
    summary = retrieval.run()
    assert summary.is_complete and (summary.duplicates, summary.set_aside) == (1, 1) and retrieval.holds(*A, *B)
    retrieval.pacs.always[uid_of(A[0])] = multipart([as_file(A[0]), as_file(other)])
    retrieval.pacs.wrong["series"] = [multipart([as_file(each) for each in (*A, other)])]
    summary = retrieval.run(again=True)
    assert summary.mismatch == 1 and retrieval.outcomes()[uid_of(A[0])] == "mismatch conflicting"


def test_an_instance_that_is_sent_but_not_listed_is_kept(retrieval: Retrieval) -> None:
    extra = ct_slice("a", 9)
    retrieval.pacs.wrong["series"] = [multipart([as_file(each) for each in (*A, extra)])]
    assert retrieval.run().is_complete and retrieval.holds(*A, extra, *B)
    assert retrieval.outcomes()[uid_of(extra)] == "retrieved not_listed"
    assert retrieval.run().is_complete and retrieval.outcomes()[uid_of(extra)] == "retrieved not_listed"


def test_fewer_instances_than_the_server_states_are_not_complete(retrieval: Retrieval) -> None:
    retrieval.pacs.page, retrieval.pacs.ignores_offset = 3, True  # it names three of four, and the same three again
    retrieval.pacs.wrong["series"] = [multipart([as_file(each) for each in A[:3]])]
    summary = retrieval.run(LINES[:1])
    assert (summary.retrieved, summary.incomplete_series, summary.is_complete) == (3, 1, False)
    assert retrieval.table("retrieval_series.csv")[0]["stated"] == "4"


def test_a_series_that_the_server_cannot_list_is_retrieved_as_a_whole(retrieval: Retrieval) -> None:
    failing = [None, None, Reply(500)]  # its series, on two pages; then its instances
    retrieval.pacs.wrong["query"] = [*failing]
    summary = retrieval.run()
    assert summary.is_complete and retrieval.holds(*A, *B)
    retrieval.pacs.wrong["query"] = [*failing]
    retrieval.pacs.wrong["series"] = [multipart([as_file(each) for each in A[:3]])]
    assert retrieval.run().is_complete and retrieval.holds(*A, *B)
    retrieval.pacs.wrong["query"] = [Reply(500)]  # a study that it cannot list does not stop the others
    summary = retrieval.run()
    assert (summary.lines_failed, summary.retrieved, summary.is_complete) == (1, 4, False)
    assert [row["outcome"] for row in retrieval.table("retrieval_list.csv")] == ["query_failed", "found"]
    assert {outcome.split()[0] for outcome in retrieval.outcomes().values()} == {"retrieved"}
    assert retrieval.run().is_complete and [*retrieval.outcomes().values()] == ["retrieved"] * 8
    retrieval.pacs.wrong["query"] = [Reply(500)]
    summary = retrieval.run([Line(2, accession="x"), LINES[1]])
    assert (summary.lines_failed, summary.retrieved) == (1, 4)
    retrieval.pacs.wrong["query"] = [Reply(500)] * 9
    with pytest.raises(ServerProblem, match=r"failed at a query \(HTTP 500\)"):
        retrieval.run([*LINES, Line(4, accession="x")])


def test_pages_of_an_answer_are_put_together(retrieval: Retrieval) -> None:
    retrieval.pacs.page = 3
    assert retrieval.run().is_complete and retrieval.holds(*A, *B)


def test_a_server_that_ignores_an_attribute_gives_not_its_whole_archive(retrieval: Retrieval) -> None:
    retrieval.pacs.ignores_filters = True
    summary = retrieval.run([Line(2, patient="patient-a"), Line(3, accession="none")])
    assert (summary.retrieved, summary.not_matching, summary.lines_without_match) == (4, 3, 1) and retrieval.holds(*A)
    assert [row["outcome"] for row in retrieval.table("retrieval_list.csv")] == ["found", "nothing_found"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (Line(2, series=A[0].SeriesInstanceUID), A),
        (Line(2, series=A[0].SeriesInstanceUID, study=B[0].StudyInstanceUID), []),
        (Line(2, patient="patient-b", dates=("20200101", "20201231")), []),
        (Line(2, patient="patient-b", modalities=frozenset({"CT", "MR"})), B),
        (Line(2, study=B[0].StudyInstanceUID, modalities=frozenset({"MR"})), []),
    ],
    ids=["series", "series of another study", "dates", "modality", "another modality"],
)
def test_a_line_asks_for_what_it_says(retrieval: Retrieval, line: Line, found: list[Dataset]) -> None:
    assert retrieval.run([line]).is_complete == bool(found) and retrieval.holds(*found)


def test_new_instances_are_new_work_and_those_that_are_gone_stay(retrieval: Retrieval) -> None:
    retrieval.run()
    gone, new = A[0], ct_slice("a", 7)
    retrieval.pacs.datasets = [*A[1:], new, *B]
    summary = retrieval.run()
    assert (summary.new, summary.grown_studies, summary.left_over) == (1, 1, 1) and summary.is_complete
    assert retrieval.outcomes()[uid_of(gone)] == "retrieved gone_from_server" and retrieval.holds(*A, new, *B)
    summary = retrieval.run(LINES[:1])
    assert {retrieval.outcomes()[uid_of(each)] for each in B} == {"retrieved no_longer_asked"}
    assert summary.left_over == 5
    assert retrieval.run([Line(2, study=A[0].StudyInstanceUID, modalities=frozenset({"MR"}))]).left_over == 9
    assert {*retrieval.outcomes().values()} == {"retrieved no_longer_asked"}
    retrieval.pacs.datasets = [*A, new, *B]
    assert retrieval.run().new == 0 and set(retrieval.outcomes().values()) == {"retrieved"}


def test_a_change_under_the_same_uid_is_noticed_only_with_again(retrieval: Retrieval) -> None:
    retrieval.run()
    changed = ct_slice("a", 0, PatientName="Other^Version")
    retrieval.pacs.datasets[0] = changed
    assert retrieval.run().new == 0 and retrieval.holds(*A, *B)
    summary = retrieval.run(again=True)
    assert (summary.new, summary.changed, summary.unchanged) == (0, 1, 7) and retrieval.holds(changed, *A[1:], *B)


def test_a_file_that_is_gone_or_shorter_is_retrieved_again(retrieval: Retrieval) -> None:
    retrieval.run()
    first, second, *_ = sorted(path for path in retrieval.source.rglob("*.dcm"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    assert retrieval.run().is_complete and retrieval.holds(*A, *B)
    assert retrieval.pacs.requests.count("alone") == 2


def test_after_a_kill_files_without_accounts_are_checked_not_retrieved(retrieval: Retrieval) -> None:
    retrieval.run()
    left, wrong, short, *_ = sorted(path for path in retrieval.source.rglob("*.dcm"))
    wrong.write_bytes(left.read_bytes())
    short.write_bytes(short.read_bytes()[:-9])
    (retrieval.source / ".123.4.partial").write_bytes(b"half a file")
    for path in (retrieval.private / "retrieval" / "studies").iterdir():
        path.unlink()
    summary = retrieval.run()
    assert retrieval.pacs.requests.count("alone") == 2 and retrieval.holds(*A, *B)
    assert summary.is_complete


def test_a_file_has_its_name_only_when_it_is_durable(retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch) -> None:
    named = []
    monkeypatch.setattr(folder, "GROUP_FILES", 2)
    monkeypatch.setattr(Disk, "flush", lambda *_: named.append(len([*retrieval.source.rglob("*/*.dcm")])))
    retrieval.run(LINES[:1])
    assert named == [0, 2, 4] and retrieval.holds(*A)  # before each group, and once the last has its names


def test_looking_writes_nothing(retrieval: Retrieval) -> None:
    def plan() -> int:
        server = Server(retrieval.pacs.url, {}, HASTY)
        return look(server, retrieval.source, Accounts(retrieval.private), LINES, lambda _: None).to_retrieve

    assert plan() == 8 and not retrieval.source.exists() and not retrieval.private.exists()
    retrieval.run()
    assert plan() == 0


def test_a_folder_with_other_files_is_refused(retrieval: Retrieval) -> None:
    retrieval.source.mkdir()
    (retrieval.source / "mine.dcm").touch()
    with pytest.raises(UserError, match="holds 1 entry that ./run retrieve did not write"):
        retrieval.run()


def test_two_retrievals_do_not_fill_one_folder(tmp_path: Path, pacs: FaultyPacs) -> None:
    first, second = Retrieval(tmp_path, pacs), Retrieval(tmp_path, pacs)
    second.private = tmp_path / "private of other results"
    target = Folder(first.source)
    half = target.receive([b"half of a file"])
    with pytest.raises(UserError, match=r"another \./run retrieve fills this folder"):
        second.run()
    assert half.path.exists()  # not taken for what a killed one left behind
    target.discard(half)
    target.close()
    second.run()
    assert second.holds(*A, *B)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(401), "does not accept the credentials"),
        (Reply(403), "does not allow this account"),
        (Reply(404), "nothing at this address"),
        (Reply(302, {"Location": "http://127.0.0.1:9/"}), "sends to another address"),
        (HTML, "no DICOM JSON"),
        (Reply(200, {}, b'[{"0020000E": {"Value": ["../1"]}}]'), "no DICOM JSON"),
        (Reply(200, {}, b'{"error": "Wolf"}'), "no DICOM JSON"),
        (Reply(400), "refused a query"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_a_query_that_fails_is_explained_without_an_address(retrieval: Retrieval, reply: Reply, says: str) -> None:
    retrieval.pacs.wrong["query"] = [reply] * 2  # of the study, and of another query
    with pytest.raises(ServerProblem, match=says) as caught:
        retrieval.run()
    assert "127.0.0.1" not in str(caught.value) and "\n" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize(("status", "outcome"), [(404, "nothing_found"), (403, "query_failed"), (400, "query_failed")])
@pytest.mark.parametrize("refused", [A, B], ids=["first", "later"])
def test_a_study_that_the_server_refuses_costs_only_itself(
    retrieval: Retrieval, status: int, outcome: str, refused: list[Dataset]
) -> None:
    retrieval.run()
    other = ct_slice("c", 0)
    retrieval.pacs.datasets.append(other)
    retrieval.pacs.refused[f"/studies/{refused[0].StudyInstanceUID}/"] = status
    lines = [*LINES, Line(4, study=other.StudyInstanceUID)]
    assert not retrieval.run(lines).is_complete
    assert retrieval.holds(*A, *B, other)  # what an earlier run retrieved stays
    by_line = {row["line"]: row["outcome"] for row in retrieval.table("retrieval_list.csv")}
    assert by_line == {"2": "found", "3": "found", "4": "found"} | {"2" if refused is A else "3": outcome}


def test_a_line_or_a_series_whose_query_is_refused_costs_only_itself(retrieval: Retrieval) -> None:
    retrieval.pacs.refused["PatientID=x"] = 400
    retrieval.pacs.refused[f"/series/{A[0].SeriesInstanceUID}/instances"] = 404  # asked for as a whole
    retrieval.run([Line(8, patient="x1"), Line(9, patient="x2"), *LINES])
    assert retrieval.holds(*A, *B)
    assert [row["outcome"] for row in retrieval.table("retrieval_list.csv")] == ["query_failed"] * 2 + ["found"] * 2


def test_a_server_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with serving(FaultyPacs([])) as pacs:
        pass
    with pytest.raises(ServerProblem, match="does not answer") as caught:
        Retrieval(tmp_path, pacs).run()
    assert "127.0.0.1" not in str(caught.value)
    pauses: list[None] = []  # in each of which a user who sees nothing would wonder
    with pytest.raises(ServerProblem):
        Server(pacs.url, {}, HASTY, lambda: pauses.append(None)).studies(LINES[0])
    assert len(pauses) == HASTY.repeats > 0
