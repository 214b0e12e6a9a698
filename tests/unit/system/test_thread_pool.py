"""Thread pool: results in order, computed a limited number ahead, no work after the caller has stopped."""

from __future__ import annotations

import os
import threading
import time

import pytest
from waiting import HANG

from dicomzarr.system import thread_pool
from dicomzarr.system.thread_pool import ThreadPool

SIZE = thread_pool.MIN_PARALLEL_BYTES


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads: int) -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(ThreadPool(threads).map(work, range(40), SIZE)) == [n * n for n in range(40)]


def test_threads_share_the_work() -> None:
    barrier = threading.Barrier(3, timeout=HANG)  # opens once three threads wait
    assert list(ThreadPool(3).map(lambda _: barrier.wait() >= 0, range(6), SIZE)) == [True] * 6


@pytest.mark.parametrize(("size", "most"), [(SIZE, 6), (thread_pool.WAITING // 2, 2), (10 * thread_pool.WAITING, 1)])
def test_few_results_are_computed_ahead(size: int, most: int) -> None:
    taken = 0

    def items():
        nonlocal taken
        while taken < 30:
            taken += 1
            yield taken

    for number in ThreadPool(3).map(lambda n: n, items(), size):
        assert taken - number <= most


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_is_raised_in_order_and_ends_the_work(threads: int) -> None:
    running, results = [], []

    def work(number: int) -> int:
        running.append(number)
        time.sleep(0.01)
        if number == 5:
            raise ValueError(number)
        running.remove(number)
        return number

    with pytest.raises(ValueError, match="5"):
        for number in ThreadPool(threads).map(work, range(100), SIZE):
            results.append(number)
    assert results == [0, 1, 2, 3, 4] and running == [5]


def test_a_fork_has_threads_of_its_own() -> None:
    pool = ThreadPool(2)
    assert list(pool.map(abs, [-1, -2, -3], SIZE)) == [1, 2, 3]
    mine, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, b"%d" % sum(pool.map(abs, [-1, -2, -3], SIZE)))
        os._exit(0)
    os.close(theirs)
    assert os.read(mine, 9) == b"6"
    os.waitpid(child, 0)
    os.close(mine)


def test_small_results_are_computed_by_the_caller() -> None:
    threads = set(ThreadPool(3).map(lambda _: threading.get_ident(), range(20), SIZE - 1))
    assert threads == {threading.get_ident()}
