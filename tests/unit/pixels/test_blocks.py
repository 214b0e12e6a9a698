"""Positioned reads whose blocks must have the digests of an earlier read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomzarr.pixels import byte_source
from dicomzarr.pixels.byte_source import BlockSource, FileSource, block_digests
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import NotExtracted

DATA = random.Random(1).randbytes(1000)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_source, "BLOCK", 64)


@pytest.mark.usefixtures("blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads=st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 300)), min_size=1, max_size=6))
def test_reads_are_those_of_the_file(tmp_path: Path, reads: list[tuple[int, int]]) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with open(path, "rb") as stream:
        source, plain = (
            kind(stream.fileno(), 1000, *more)
            for kind, more in ((BlockSource, (block_digests(DATA),)), (FileSource, ()))
        )
        for offset, length in reads:
            if offset + length > 1000:
                with pytest.raises(NotExtracted) as expected:
                    plain.read(offset, length)
                with pytest.raises(NotExtracted) as found:
                    source.read(offset, length)
                assert (found.value.code, found.value.found, found.value.needed) == (
                    expected.value.code, expected.value.found, expected.value.needed,
                )  # fmt: skip
            else:
                assert source.read(offset, length) == plain.read(offset, length)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("place", [0, 63, 64, 700, 999])
def test_a_byte_that_changed_in_a_block_is_found_when_the_block_is_read(tmp_path: Path, place: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :])
    with open(path, "rb") as stream:
        source = BlockSource(stream.fileno(), 1000, block_digests(DATA))
        with pytest.raises(SourceChanged):
            source.read(place, 1)
        other = (place + 500) % 1000
        assert source.read(other, 1) == DATA[other : other + 1]


@pytest.mark.usefixtures("blocks")
def test_a_file_that_became_shorter_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA[:990])
    with open(path, "rb") as stream, pytest.raises((SourceChanged, NotExtracted)):
        BlockSource(stream.fileno(), 1000, block_digests(DATA)).read(980, 15)
