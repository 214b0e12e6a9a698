"""Work that forked processes share: every piece has its answer, whatever becomes of a process."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

import pytest
from waiting import wait_until

from dicomzarr.system import forked_work
from dicomzarr.system.forked_work import sharing


def children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


@pytest.mark.parametrize("count", [-1, 0, 1, 3])
@pytest.mark.parametrize("pieces", [0, 1, 2, 1000, 40_000])
def test_the_answers_are_in_the_order_of_the_pieces(pieces: int, count: int) -> None:
    """40,000 pieces are more than a queue holds: several are one portion."""
    before = children()
    with sharing(lambda number: -number, range(pieces), count) as work:
        assert work.finish() == [-number for number in range(pieces)]
    assert children() == before


def test_other_processes_work_while_this_one_does_something_else() -> None:
    def who(_: int) -> int:
        return os.getpid()

    with sharing(who, range(100), 2) as work:
        pipes = [answers for _, answers in work._children]
        wait_until(lambda: len(select.select(pipes, [], [], 0)[0]) == 2)  # both have emptied the queue and answer
        answers = work.finish()
    assert os.getpid() not in answers and len(answers) == 100


@pytest.mark.parametrize("end", ["killed", "silent", "error", "half an answer"])
def test_pieces_of_a_process_without_an_answer_are_worked_on_here(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(forked_work, "_SILENT", 0.3)
    parent = os.getpid()
    if end == "half an answer":
        monkeypatch.setattr(forked_work.pickle, "dump", lambda _, stream: stream.write(b"\x80\x05]q\x00(K"))

    def work_on(number: int) -> int:
        if os.getpid() != parent:
            if end == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if end == "silent":
                time.sleep(60)
            if end == "error":
                raise ValueError
        time.sleep(0.01)
        return 2 * number

    before = children()
    with sharing(work_on, range(20), 2) as work:
        time.sleep(0.2)
        assert work.finish() == list(range(0, 40, 2))
    assert children() == before


def test_an_error_that_every_process_meets_is_raised_and_ends_them() -> None:
    def fail(number: int) -> int:
        raise ValueError(number)

    before = children()
    with pytest.raises(ValueError), sharing(fail, range(20), 2) as work:
        work.finish()
    with pytest.raises(KeyError), sharing(lambda number: time.sleep(60), range(20), 2):
        raise KeyError
    assert children() == before


def test_without_more_processes_this_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(forked_work.os, "fork", refuse)
    with sharing(abs, [-1, -2, -3], 2) as work:
        assert work.finish() == [1, 2, 3]
