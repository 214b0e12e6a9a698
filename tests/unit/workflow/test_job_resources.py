"""Priorities and threads of the jobs of batches. Memory and time: test_other_nodes.py."""

from __future__ import annotations

import pytest

from dicomzarr.workflow.job_resources import batch_threads, check_priority, extraction_priority

MIB = 1 << 20


def batches(*sizes: int) -> dict[str, dict[str, int]]:
    """Return batches of one series each, of so many bytes."""
    return {str(number): {"work": size, "bytes": size, "largest": size} for number, size in enumerate(sizes)}


def test_the_largest_batches_come_first_so_that_no_long_job_is_left_at_the_end() -> None:
    some = batches(3_000_000, 2_000_000_000, 40_000_000)
    for priority in (check_priority, extraction_priority):
        assert sorted(some, key=lambda name: -priority(some, name)) == ["1", "2", "0"]


@pytest.mark.parametrize(("size", "first"), [(3_000_000_000, True), (5_000_000_000, False)])
def test_a_small_dataset_is_extracted_before_it_is_checked_and_a_large_one_while_it_is_in_memory(
    size: int, first: bool
) -> None:
    some = batches(size, 1_000_000_000, size)
    assert (extraction_priority(some, "1") > check_priority(some, "0")) == first


@pytest.mark.parametrize(
    ("largest", "others", "cores", "threads"),
    [
        (100 * MIB, 99, 16, 1),  # as many batches as cores: one series each
        (100 * MIB, 0, 16, 3),  # one batch: the cores would idle
        (1 * MIB, 0, 16, 1),  # too small to be shared
        (1024 * MIB, 99, 16, 4),  # a long series would be the last job of the run
        (100_000 * MIB, 99, 64, 8),
        (600 * MIB, 0, 2, 2),
    ],
)
def test_threads_follow_the_largest_series_and_the_cores_that_are_left(
    largest: int, others: int, cores: int, threads: int
) -> None:
    some = {**batches(largest), **{f"other {number}": {"largest": MIB} for number in range(others)}}
    assert batch_threads(some, "0", cores) == threads
