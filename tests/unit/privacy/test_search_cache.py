"""The cache of clean files hides no leak: neither in a changed file, nor of a new identifier."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from searched_results import SERIES, add_identifiers, search, searched_results, write_table

from dicomzarr.privacy import absent_hashes, series_groups
from dicomzarr.privacy import search as search_module
from dicomzarr.privacy.absent_hashes import AbsentHashes
from dicomzarr.privacy.scanner import Scanner
from dicomzarr.privacy.search_cache import SEARCH_CACHE, SearchCache, key_of
from dicomzarr.privacy.series_groups import state_of
from dicomzarr.stages import check_privacy
from dicomzarr.system import locks
from dicomzarr.system.results_folder import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return searched_results(tmp_path / "results")


def cache(results: Results) -> Path:
    return results.private / "cache"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (("LO", b"Pferdekopf am"), "images.zarr/.*zarr.json"),
        (("PN", b"Huber^Meierhuber"), "volumes.csv, line 2"),
        (("PN", b"Eisenbart"), "rhabarber.txt"),
        (("path", b"rhabarber.txt"), r"dataset/ \(entry"),
    ],
    ids=["array", "table", "file", "name"],
)
def test_a_new_identifier_is_found_in_clean_files(results: Results, value: tuple[str, bytes], place: str) -> None:
    assert (search(results) > 0, search(results)) == (True, 0)
    add_identifiers(results, value)
    for _ in range(2):
        with pytest.raises(check_privacy.PrivacyProblem, match=f"in results/dataset/{place}|in results/{place}"):
            search(results)


def test_a_new_identifier_that_occurs_nowhere_searches_nothing_again(results: Results) -> None:
    whole = search(results)
    add_identifiers(results, ("PN", b"Nirgendwo^Niemand"))
    assert search(results) == 0
    assert whole > 9


def test_absent_hashes_of_many_searches_are_merged_and_used(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent_hashes, "_MAX_IN_MEMORY", 5)
    monkeypatch.setattr(absent_hashes, "_MAX_SMALL_FILES", 2)
    search(results)
    for number in range(4):
        (results.dataset / f"{number}.txt").write_text(f"wort{'abcd'[number]}pferd")
        assert search(results) == 1
        assert len(list(cache(results).glob("absent-*"))) <= 4
    add_identifiers(results, ("PN", b"wortapferd"))
    with pytest.raises(check_privacy.PrivacyProblem, match=r"in results/dataset/0.txt"):
        search(results)


def test_the_name_of_a_clean_file_is_searched_again_for_a_new_identifier(results: Results) -> None:
    """It is not as long as the cache holds: also of a file with another content."""
    name = results.dataset / "rhabarber.txt"
    search(results)
    name.write_text("another text")
    assert search(results) == 1
    add_identifiers(results, ("path", b"rhabarber.txt"))
    name.write_text("a third text")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"value_in_name in results/dataset/ \(entry"):
        search(results)


def test_a_damaged_cache_is_not_used(results: Results) -> None:
    whole, new = search(results), itertools.count()
    for damaged in (SEARCH_CACHE, "absent-*"):
        for damage in (lambda data: data[:-1], lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:]):
            path = next(cache(results).glob(damaged))
            path.write_bytes(damage(path.read_bytes()))
            add_identifiers(results, ("PN", f"Neu{next(new):09d}".encode()))  # so that the absent hashes are read
            assert search(results) == whole
        path = next(cache(results).glob(damaged))
        path.unlink()
        assert search(results) == whole
    assert search(results) == 0


def test_other_words_that_do_not_count_search_everything_again(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(results)
    words = check_privacy.own_words(check_privacy.ROOT)
    monkeypatch.setattr(check_privacy, "own_words", lambda _: words - {"array"})
    assert (search(results), search(results)) == (whole, 0)


@pytest.mark.parametrize("processes", [1, 3])
def test_a_change_is_found_in_its_group(results: Results, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    monkeypatch.setattr(series_groups, "_SERIES_PER_PROCESS", 1)
    search(results, processes)
    folder = results.images / SERIES[1]
    (folder / "zarr.json").write_text('{"kind": "zyxwolf xx am ponyhof"}')
    with pytest.raises(check_privacy.PrivacyProblem, match=f"images.zarr/{SERIES[1]}/zarr.json"):
        search(results, processes)
    (folder / "zarr.json").write_text('{"kind": "pferdekopf am ponyhof"}')
    first_group = 2 * 3  # files of its two series
    assert (search(results, processes), search(results, processes)) == (first_group, 0)
    (results.images / "fedcba9876543210").mkdir()
    (results.images / "fedcba9876543210" / "note").write_text("zyxwolf")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"images.zarr/fedcba9876543210/note"):
        search(results, processes)


def test_arrays_are_searched_once_per_run(results: Results) -> None:
    (results.private / locks.RUN).write_text('{"pid": 7, "since": "now"}')
    search(results)
    (results.images / SERIES[0] / "zarr.json").write_text('{"kind": "zyxwolf"}')
    assert search(results) == 0  # of the same run: no job writes an array after the search
    (results.images / SERIES[0][:-1] / "zyxwolf").mkdir(parents=True)
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_name"):
        search(results)
    (results.private / locks.RUN).write_text('{"pid": 8, "since": "now"}')
    with pytest.raises(check_privacy.PrivacyProblem, match=rf"value_in_file in .*{SERIES[0]}/zarr.json"):
        search(results)


# ---- results that were copied back


def copy_back(results: Results) -> None:
    shutil.copytree(results.root, results.root.with_name("copy"))
    shutil.rmtree(results.root)
    results.root.with_name("copy").rename(results.root)


def in_whole_seconds(results: Results) -> None:
    for path in results.root.rglob("*"):
        os.utime(path, ns=(path.stat().st_mtime_ns // 10**9 * 10**9,) * 2)


@pytest.mark.parametrize("cut", [False, True])
def test_a_copy_with_the_recorded_contents_is_not_searched(
    results: Results, monkeypatch: pytest.MonkeyPatch, *, cut: bool
) -> None:
    whole = search(results)
    copy_back(results)
    (results.root / "logs").mkdir()
    (results.root / "logs" / "log").write_text("of no record")
    monkeypatch.setattr(check_privacy, "_is_intact", lambda _: True)
    if cut:
        in_whole_seconds(results)
    assert search(results) == 1  # the log
    assert search(results) == 0
    monkeypatch.undo()
    (results.images / SERIES[2] / "zarr.json").write_text('{"kind": "zyxwolf xx am ponyhof"}')
    with pytest.raises(check_privacy.PrivacyProblem, match="zarr.json"):
        search(results)
    (results.images / SERIES[2] / "zarr.json").write_text('{"kind": "pferdekopf am ponyhof"}')
    copy_back(results)
    assert search(results) == whole + 1  # no records, so that no content can be compared


CHANGES: dict[str, Callable[[Results], object]] = {
    "another time": lambda results: (results.images / SERIES[0] / "zarr.json").write_text(
        '{"kind": "zyxwolf am pony"}'
    ),
    "a new file": lambda results: (results.images / SERIES[1] / "note").write_text("zyxwolf"),
    "a new folder": lambda results: (results.images / SERIES[1] / "zyxwolf").mkdir(),
    "another name": lambda results: (results.images / SERIES[0] / "zarr.json").rename(
        results.images / SERIES[0] / "zyxwolf.json"
    ),
    "a file of the dataset": lambda results: (results.dataset / "rhabarber.txt").write_text("zyxwolf"),
    "a link": lambda results: (results.images / SERIES[2] / "01234567" / "0" / "link").symlink_to("zyxwolf"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_differs_in_a_copy_is_searched(
    results: Results, monkeypatch: pytest.MonkeyPatch, change: Callable[[Results], object]
) -> None:
    search(results)
    copy_back(results)
    change(results)
    monkeypatch.setattr(check_privacy, "_is_intact", lambda _: True)
    with pytest.raises(check_privacy.PrivacyProblem):
        search(results)


# ---- what is cached


def test_absent_hashes_are_written_once_and_sorted(tmp_path: Path) -> None:
    absent = AbsentHashes(tmp_path, frozenset({5}))
    assert [number in absent for number in (9, 5, 3, 9)] == [False, True, False, False]
    (digest,) = absent.save()
    assert np.load(tmp_path / f"absent-{digest}.npy").tolist() == [3, 9]
    again = AbsentHashes(tmp_path, frozenset({5}))
    assert again.load([digest], np.array([5], np.uint64))
    assert not AbsentHashes(tmp_path, frozenset({5})).load([digest], np.array([3, 5], np.uint64))
    assert json.loads(json.dumps(again.save())) == [digest]


def test_times_before_1970_and_large_inodes_are_told_apart(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {SERIES[0]: ["", "/zarr.json"]}
    file = results.images / SERIES[0] / "zarr.json"
    states = [state_of(str(results.images), paths)]
    for seconds in (-1, -2, 1):
        os.utime(file, (seconds, seconds))
        states.append(state_of(str(results.images), paths))
    for inode in ((1 << 64) - 1, (1 << 63) + 7):
        lstat = os.lstat

        def with_inode(path: str, inode: int = inode, lstat: Any = lstat) -> os.stat_result:
            status = lstat(path)
            return os.stat_result((status[0], inode, *status[2:10]), {name: getattr(status, name) for name in NS})

        monkeypatch.setattr(os, "lstat", with_inode)
        states.append(state_of(str(results.images), paths))
        monkeypatch.undo()
    assert all(states) and len(set(states)) == len(states)


NS = ("st_mtime_ns", "st_ctime_ns")


# ---- shares


def test_many_processes_find_and_cache_the_same_as_one(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(results)
    expected_bytes = (cache(results) / SEARCH_CACHE).read_bytes()
    (cache(results) / SEARCH_CACHE).unlink()
    monkeypatch.setattr(search_module, "MIN_COST", 1e-6)
    for _ in range(2):
        assert check_privacy.check_privacy(results, results.root.parent, "standard", "code", processes=3) == whole
        assert search(results) == 0
        cached, expected = (json.loads(data) for data in ((cache(results) / SEARCH_CACHE).read_bytes(), expected_bytes))
        assert {key: cached[key] for key in ("files", "tables")} == {key: expected[key] for key in ("files", "tables")}
        assert cached["groups"].keys() == expected["groups"].keys()
        (cache(results) / SEARCH_CACHE).unlink()
        # The second time a child dies; the parent searches its share.
        monkeypatch.setattr(SearchCache, "start_in_child", die)
    monkeypatch.undo()
    monkeypatch.setattr(search_module, "MIN_COST", 1e-6)
    for path in (results.images / SERIES[0] / "zarr.json", results.dataset / "a.json"):
        path.write_text('{"a": "zyxwolf"}')
    with pytest.raises(check_privacy.PrivacyProblem) as caught:
        check_privacy.check_privacy(results, results.root.parent, "standard", "code", processes=3)
    assert str(caught.value).count("value_in_file in") == 2
    add_identifiers(results, ("LO", b"Pferdekopf am"))
    with pytest.raises(check_privacy.PrivacyProblem, match=SERIES[2]):  # looked up by a child
        search(results)


def plant(results: Results, *lines: int) -> list[str]:
    """Write a large table with a value in these lines, and return all lines."""
    cells = [f"0/1,wort{number} {'zyxwolf' if number in lines else 'frei'},7" for number in range(3000)]
    write_table(results.dataset / "reports" / "large.csv", cells)
    return cells


@pytest.mark.parametrize("lines", [(0,), (1500,), (2999,), (7, 2800)])
def test_a_share_of_a_table_is_clean_only_with_all_others(
    results: Results, monkeypatch: pytest.MonkeyPatch, lines: tuple[int, ...]
) -> None:
    (results.dataset / "reports").mkdir()
    monkeypatch.setattr(search_module, "MIN_COST", 1e-3)
    plant(results, *lines)
    for _ in range(2):  # nothing of it is remembered as clean
        with pytest.raises(check_privacy.PrivacyProblem) as caught:
            search(results, processes=3)
        assert str(caught.value).count("large.csv") == 1 and f"line {lines[0] + 2}" in str(caught.value)
    plant(results)
    assert search(results, processes=3) >= 1 and search(results, processes=3) == search(results) == 0
    cached = json.loads((cache(results) / SEARCH_CACHE).read_bytes())
    (cache(results) / SEARCH_CACHE).unlink()
    search(results)
    alone = json.loads((cache(results) / SEARCH_CACHE).read_bytes())
    place = "results/dataset/reports/large.csv"
    assert len(alone["tables"][place]) > 10 and cached["tables"][place] == alone["tables"][place]
    add_identifiers(results, ("LO", b"wort2000 frei"))  # it was looked up, by whichever process had its block
    with pytest.raises(check_privacy.PrivacyProblem, match="large.csv, line 2002"):
        search(results, processes=3)


@pytest.mark.parametrize("number", [0, 1])
def test_a_table_that_changes_while_it_is_searched_is_searched_again(
    results: Results, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (results.dataset / "reports").mkdir()
    plant(results)
    large = results.dataset / "reports" / "large.csv"
    monkeypatch.setattr(search_module, "MIN_COST", 1e-3)
    whole = search_module.search_file

    def changing(*arguments: Any, **options: Any) -> Any:
        if arguments[2].endswith("large.csv") and arguments[4].number == number:
            large.write_text("array,note\n0/1,anders\n")
        return whole(*arguments, **options)

    monkeypatch.setattr(search_module, "search_file", changing)
    search(results, processes=2)
    monkeypatch.undo()
    # If every share came after the change, the file may be recorded, but with the stat from before the change.
    recorded = json.loads((cache(results) / SEARCH_CACHE).read_bytes())["files"]
    assert recorded.get("results/dataset/reports/large.csv") != key_of(large.stat())
    assert search(results) == 1


def test_the_clean_blocks_of_checksums_are_kept_while_it_is_missing(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    whole = Scanner.rows

    def counting(scanner: Scanner, head: list[str], rows: Iterable[list[str]]) -> str | None:
        listed = [*rows]
        searched.append(len(listed))
        return whole(scanner, head, listed)

    monkeypatch.setattr(Scanner, "rows", counting)
    lines = [f"images.zarr/{number:016x}/wort{number}\0{number}\0{'ab' * 32}\n" for number in range(3000)]
    checksums = results.dataset / "checksums"
    checksums.write_text("".join(lines))
    search(results)
    checksums.unlink()  # as the first job of a run does
    search(results)
    searched.clear()
    lines.insert(1000, "images.zarr/new\0" + "7\0" + "ab" * 32 + "\n")
    checksums.write_text("".join(lines))
    assert search(results) == 1
    assert 0 < sum(searched) < 1000
    checksums.unlink()
    search(results)
    lines.insert(2000, "images.zarr/zyxwolf\0" + "7\0" + "ab" * 32 + "\n")
    checksums.write_text("".join(lines))
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/checksums"):
        search(results)


PARENT = os.getpid()


def die(search_cache: SearchCache) -> None:
    assert os.getpid() != PARENT
    os.kill(os.getpid(), signal.SIGKILL)
