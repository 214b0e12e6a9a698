"""The lines of `checksums` say what the records claim, and give the digests of the files that they list."""

from __future__ import annotations

import hashlib
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.records import digests
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.system.results_folder import Results

NAMES = ("a", "a-b", "a.b", "a/b", "provenance", "reports/report.html", "é", "\U0001f600", "volumes.csv")
PATHS = st.one_of(
    st.sampled_from([*NAMES, *digests._NO_DATA, "provenance/x.json", "provenances.csv", "reports/report.htm"]),
    st.lists(st.sampled_from(NAMES), min_size=2, max_size=3).map("/".join),
)
CLAIMS = st.builds(FileClaim, st.integers(0, 10**13), st.binary(min_size=32, max_size=32).map(bytes.hex))


@given(st.dictionaries(PATHS, CLAIMS))
def test_lines_give_the_digests_of_their_files(claims: dict[str, FileClaim]) -> None:
    lines = sorted(digests.line_of(path, claim) for path, claim in claims.items())
    files = [(path, claim.digest) for path, claim in claims.items()]
    data = [(path, digest) for path, digest in files if digests.counts_as_data(path)]
    assert digests.digests_of_lines(lines) == (digests.digest_of(data), digests.digest_of(files))
    assert digests.digests_of_lines([b"".join(lines)]) == digests.digests_of_lines(lines)


@given(st.lists(st.dictionaries(PATHS, CLAIMS)))
def test_pieces_are_put_in_order_and_of_two_lines_of_a_path_the_later_holds(
    claims: list[dict[str, FileClaim]],
) -> None:
    pieces = [b"".join(sorted(digests.line_of(*item) for item in each.items())) for each in claims]
    last = {path: claim for each in claims for path, claim in each.items()}
    assert b"".join(digests.in_order(pieces)) == b"".join(sorted(digests.line_of(*item) for item in last.items()))


def test_pieces_stay_whole_where_nothing_belongs_between_their_lines() -> None:
    first, second, line = b"a/1\x001\x00\na/2\x001\x00\n", b"c/1\x001\x00\nc/2\x001\x00\n", b"b\x001\x00\n"
    assert digests.in_order([second, first, line]) == [first, line, second]
    assert len(digests.in_order([second, first, b"a/1b\x001\x00\n"])) == 5


def test_the_digest_is_that_of_path_and_digest_sorted_by_path() -> None:
    claims = {"b": FileClaim(1, "22"), "a-b": FileClaim(10, "33"), "a": FileClaim(7, "11")}
    lines = sorted(digests.line_of(path, claim) for path, claim in claims.items())
    assert lines == [b"a\x007\x0011\n", b"a-b\x0010\x0033\n", b"b\x001\x0022\n"]
    digest = hashlib.sha256(b"a\x0011\na-b\x0033\nb\x0022\n").hexdigest()
    assert digests.digests_of_lines(lines) == (digest, digest)


@pytest.mark.parametrize("processes", [1, 2])
def test_lines_of_all_records_are_sorted_and_of_two_claims_the_later_holds(
    tmp_path: Path, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_BYTES_PER_PROCESS", 1)
    results = Results(tmp_path)
    many = {f"dataset/images.zarr/{number:04x}": FileClaim(number, f"{number:064x}") for number in range(300)}
    written = {
        "a_rule.json": {"dataset/volumes.csv": FileClaim(3, "aa"), "dataset/z": FileClaim(1, "11")},
        "b_rule.json": {"dataset/volumes.csv": FileClaim(2, "bb"), "private/x": FileClaim(1, "cc")},
        "seal_dataset.json": {"dataset/checksums": FileClaim(4, "dd"), "dataset/dataset.json": FileClaim(5, "ee")},
        "check_batch/0001-0000.json": dict(list(many.items())[::2]),
        "extract_batch/0001-0000.json": dict(list(many.items())[1::2]),
    }
    for name, claims in written.items():
        path = results.records / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(RuleRecord(claims=claims).to_bytes().data)
    expected = {path.removeprefix("dataset/"): claim for path, claim in many.items()}
    expected |= {"volumes.csv": FileClaim(2, "bb"), "z": FileClaim(1, "11")}
    assert digests.recorded_files(results) == expected
    lines = b"".join(digests.line_of(path, claim) for path, claim in sorted(expected.items()))
    assert b"".join(digests.recorded_lines(results, processes)) == lines


@pytest.mark.parametrize("processes", [1, 2])
def test_lines_that_were_kept_are_those_of_the_records(
    tmp_path: Path, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept lines of another record, or damaged ones, are not used, and those of a record that is gone are removed."""
    monkeypatch.setattr(digests, "_BYTES_PER_PROCESS", 1)
    monkeypatch.setattr(digests, "_LARGE", 1)
    results, kept = Results(tmp_path), tmp_path / "private" / "cache" / "checksum_lines"

    def write(batch: int, *numbers: int) -> Path:
        path = results.records / "extract_batch" / f"{batch}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        claims = {f"dataset/images.zarr/{number}": FileClaim(number, "aa") for number in numbers}
        path.write_bytes(RuleRecord(claims=claims).to_bytes().data)
        return path

    def numbers() -> list[int]:
        lines = b"".join(digests.recorded_lines(results, processes)).splitlines()
        return [int(line.split(b"\0")[1]) for line in lines]

    first, second = write(1, 11, 12), write(2, 21, 22)
    assert numbers() == [11, 12, 21, 22]
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert numbers() == [11, 12, 21, 22] and len(before) == 2
    assert {path.stat().st_mode & 0o777 for path in before} == {0o600} and kept.stat().st_mode & 0o777 == 0o700
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    write(1, 11, 13)
    assert numbers() == [11, 13, 21, 22]
    for damage in (lambda data: data.replace(b"images", b"imagez"), lambda data: data[:-3], lambda _: b""):
        for path in kept.iterdir():
            path.write_bytes(damage(path.read_bytes()))
        assert numbers() == [11, 13, 21, 22]
    first.unlink()
    assert numbers() == [21, 22] and [path.name for path in kept.iterdir()] == [f"extract_batch.{second.stem}"]


def test_a_disk_that_is_full_when_lines_are_kept_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seal has the same lines, and half of them do not take up what is left of the disk."""
    monkeypatch.setattr(digests, "_LARGE", 1)
    results, kept = Results(tmp_path), tmp_path / "private" / "cache" / "checksum_lines"
    path = results.records / "extract_batch" / "1.json"
    path.parent.mkdir(parents=True)
    claims = {f"dataset/images.zarr/{number}": FileClaim(number, "aa") for number in range(1000)}
    path.write_bytes(RuleRecord(claims=claims).to_bytes().data)
    most, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most[1]))  # a write beyond is cut, and the next one fails
        lines = digests.recorded_lines(results)
        left = list(kept.iterdir())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
        signal.signal(signal.SIGXFSZ, handler)
    assert left == []
    assert digests.recorded_lines(results) == lines and len(b"".join(lines).splitlines()) == 1000
    assert len(list(kept.iterdir())) == 1
