"""Rows of all partitions are in the same order, however they are sorted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.stages.consolidate_dataset import partitions
from dicomzarr.stages.consolidate_dataset.partitions import Partition

ROWS = st.lists(st.text("ab\té", max_size=3).map(lambda text: f"{text}\n".encode()), max_size=6).map(sorted)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("partitions")


@given(of_partitions=st.lists(ROWS, max_size=4))
def test_rows_are_merged_as_they_are_sorted(folder: Path, of_partitions: list[list[bytes]]) -> None:
    parts = [Partition(folder, str(number), {}, {}) for number in range(len(of_partitions))]
    for partition, rows in zip(parts, of_partitions, strict=True):
        partition.part("files").write_bytes(b"".join(rows))
    expected = sorted(row for rows in of_partitions for row in rows)
    for limit in (0, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(partitions, "_SORTED_IN_MEMORY", limit)
            assert list(partitions.merged(parts, "files")) == expected
