"""Tables are searched by blocks: what is clean is not searched again, and a value is found wherever a block ends."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from searched_results import search, searched_results, write_table

from dicomzarr.privacy import table_blocks
from dicomzarr.privacy.identifiers import identifiers_of
from dicomzarr.privacy.scanner import Leak, Scanner
from dicomzarr.privacy.table_blocks import NoTable, search_table
from dicomzarr.stages import check_privacy
from dicomzarr.system.results_folder import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return searched_results(tmp_path / "results")


def rows(count: int) -> list[str]:
    return [f"{number:016x}/01234567,wort{number}pferd,{number}" for number in range(count)]


class Counting(Scanner):
    searched = 0

    def rows(self, head, rows):  # type: ignore[no-untyped-def]
        Counting.searched += len(rows)
        return super().rows(head, rows)


def test_one_more_row_costs_one_block(tmp_path: Path) -> None:
    scanner, lines = Counting(frozenset(), frozenset()), rows(5000)
    has_leak, blocks = search_table(scanner, write_table(tmp_path / "a.csv", lines), ())
    assert not has_leak and 20 < len(blocks) < 400
    for at in (0, 1777, 5000):
        Counting.searched = 0
        more = [*lines[:at], "0/1,another,7", *lines[at:]]
        assert not search_table(scanner, write_table(tmp_path / "a.csv", more), frozenset(blocks))[0]
        assert 0 < Counting.searched < 1500
    assert search_table(scanner, write_table(tmp_path / "a.csv", lines), frozenset(blocks)) == (False, blocks)


def test_a_value_in_two_rows_is_found_wherever_a_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_blocks, "_END_BITS", 2)  # more ends
    scanner = Scanner(frozenset(identifiers_of("LT", b"seen after fall")), frozenset())
    lines, ends = rows(300), 0
    for at in range(1, 300, 3):
        planted = [*lines]
        planted[at - 1] = f"0/1,wort {at} seen,{at}"
        planted[at] = "after,fall,7" if at % 2 else '"after","fall",7'
        path = write_table(tmp_path / "a.csv", planted)
        assert search_table(scanner, path, ())[0] is (scanner.content(path.read_bytes(), "a.csv") is not None)
        with open(path, "rb") as stream:
            stream.readline()
            numbers = np.cumsum([block.count(b"\n") for block in table_blocks._blocks(stream, checksums=False)])
        ends += at in numbers
        assert search_table(scanner, path, ())[0]
    assert ends  # some values were on both sides of an end


@pytest.mark.parametrize("bits", [1, 2])
def test_a_value_in_rows_of_one_word_is_found_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    monkeypatch.setattr(table_blocks, "_END_BITS", bits)
    scanner = Scanner(frozenset(identifiers_of("LT", b"seen after winter fall")), frozenset())
    lines = [f"{number:016x}/01234567,wort{number}" for number in range(40)]
    for at in range(37):
        planted = [*lines]
        for number, word in enumerate(("seen", "after", "winter", "fall"), at):
            planted[number] = f"{number:016x}/01234567,{word}"
        path = write_table(tmp_path / "a.csv", planted)
        _, blocks = search_table(Scanner(frozenset(), frozenset()), write_table(tmp_path / "b.csv", lines), ())
        assert len(blocks) > 2
        assert search_table(scanner, path, frozenset(blocks))[0]


def test_a_clean_block_is_clean_only_after_the_same_block(tmp_path: Path) -> None:
    scanner, lines = Scanner(frozenset(identifiers_of("LT", b"seen after fall")), frozenset()), rows(2000)
    _, blocks = search_table(scanner, write_table(tmp_path / "a.csv", lines), ())
    with open(tmp_path / "a.csv", "rb") as stream:
        stream.readline()
        ends = np.cumsum([block.count(b"\n") for block in table_blocks._blocks(stream, checksums=False)]).tolist()
    for end in ends[:-1]:
        assert not search_table(scanner, write_table(tmp_path / "a.csv", lines), frozenset(blocks))[0]
        planted = [*lines]
        planted[end - 1 : end + 1] = ["x,wort seen,1", "after,fall,1"]
        kept = [*planted[: end - 1], *lines[end - 1 : end], *planted[end:]]
        _, known = search_table(scanner, write_table(tmp_path / "a.csv", kept), ())
        assert search_table(scanner, write_table(tmp_path / "a.csv", planted), frozenset(known))[0]


def test_a_table_of_hardly_any_words_is_searched_as_a_whole(results: Results) -> None:
    """Where a block has fewer words than a value may have, the value may begin anywhere before."""
    table = results.dataset / "reports" / "numbers.csv"
    table.parent.mkdir(exist_ok=True)
    lines = [f"{number:016x}/01234567,,{number}" for number in range(1000)]
    write_table(table, lines)
    with pytest.raises(NoTable):
        search_table(Scanner(frozenset(), frozenset()), table, ())
    search(results)
    lines[100], lines[900] = "x,zyxwolf,1", "x,canaria,1"
    write_table(table, lines)
    with pytest.raises(check_privacy.PrivacyProblem, match=r"numbers.csv, line 102"):
        search(results)


def test_a_changed_row_is_found_with_equal_size_and_time(results: Results) -> None:
    table = write_table(results.dataset / "volumes.csv", rows(3000))
    search(results)
    before = table.stat()
    planted = rows(3000)
    planted[2100] = planted[2100].replace("wort2100pferd", "wort2 zyxwolf")
    write_table(table, planted)
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert table.stat().st_size == before.st_size
    for _ in range(2):
        with pytest.raises(
            check_privacy.PrivacyProblem, match=r"value_in_file in results/dataset/volumes.csv, line 2102"
        ):
            search(results)


@pytest.mark.parametrize("data", [b"a,b\n\xff\xfe,1\n", b"a,b\n1,\0 2\n", b"a" * (1 << 20) + b"\n"])
def test_a_file_that_is_no_table_is_searched_as_a_whole(results: Results, data: bytes) -> None:
    path = results.dataset / "broken.csv"
    path.write_bytes(data)
    with pytest.raises(NoTable):
        search_table(Scanner(frozenset(), frozenset()), path, ())
    search(results)
    path.write_bytes(data + b"zyxwolf canaria,1\n")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"in results/dataset/broken.csv"):
        search(results)


@pytest.mark.parametrize("checksums", [False, True])
def test_blocks_do_not_depend_on_the_pieces_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checksums: bool
) -> None:
    scanner = Scanner(frozenset(), frozenset())
    separator = "\0" if checksums else ","
    lines = [f"{'x' * (number * number % 90)}{separator}{number}\n" for number in range(900)]
    for end in ("\n", "last", ""):
        path = tmp_path / "a.csv"
        path.write_text("".join(lines) + end)
        whole = search_table(scanner, path, (), checksums=checksums)
        assert len(whole[1]) > 5
        for piece in (100, 128, 1000, 4096):
            with monkeypatch.context() as patched:
                patched.setattr(table_blocks, "_MAX_ROW", piece)
                assert search_table(scanner, path, (), checksums=checksums) == whole
    with monkeypatch.context() as patched:
        patched.setattr(table_blocks, "_MAX_ROW", 80)
        with pytest.raises(NoTable):
            search_table(scanner, path, (), checksums=checksums)


def test_a_cell_of_several_lines_is_not_split(tmp_path: Path) -> None:
    scanner = Scanner(frozenset(identifiers_of("PN", b"Zyxwolf")), frozenset())
    cell = "\n".join(f"wort{number}pferd" for number in range(3000))
    path = tmp_path / "a.csv"
    path.write_text(f'array,rows,flags\nx,7,"{cell}\nzyxwolf"\n')
    assert search_table(scanner, path, ())[0]
    assert scanner.content(path.read_bytes(), "a.csv") == Leak("value_in_file", 3002)
