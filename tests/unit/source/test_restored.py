"""Which files of a source count as restored: the rule, through several listings, and the door to them."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.source import inventory, listing, restored
from dicomzarr.source.opener import Opener

_ids = itertools.count(1)

# What happens to a file between two listings: what it does to size, mtime, ctime and inode on an ordinary file system.
EVENTS: dict[str, str] = {
    "nothing": "",
    "made read-only": "c",
    "edited in place, old time": "c",
    "edited": "mc",
    "edited, longer": "smc",
    "replaced, old time": "ci",
    "copied back": "ci",
    "mounted again": "i",
    "replaced": "mci",
}


@dataclass
class World:
    """Files by path, as the file system and as the last inventory have them."""

    now: dict[str, list[int]] = field(default_factory=dict)
    verified: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def happens(self, path: str, event: str) -> None:
        for place, letter in enumerate("smci"):
            if letter in EVENTS[event]:
                self.now[path][place] = next(_ids)

    def rows(self) -> list[list[Any]]:
        return [[path, "file", *key] for path, key in sorted(self.now.items())]


def listed(world: World, folder: Path) -> dict[str, tuple[int, ...]]:
    """List the world as a run does that accepts what looks restored; return the keys that it gives the files."""
    known, lines = folder / "inventory.jsonl", folder / "restored.jsonl"
    comparison = restored.compare(world.rows(), known, lines, [""])
    moved = comparison.moved.get("")
    if moved and moved.looks_restored:
        comparison.accept("")
    inventory.write({"": b"/source"}, comparison.rows, known)
    lines.write_bytes(comparison.lines())
    return {row[0]: (*row[2:],) for row in comparison.rows}


paths = st.text('ab/é"\\é%', min_size=1, max_size=6)
rounds = st.lists(
    st.tuples(st.sampled_from([*EVENTS]), st.dictionaries(paths, st.sampled_from([*EVENTS, "gone"]), max_size=5)),
    max_size=4,
)


@given(first=st.sets(paths, min_size=1, max_size=25), rounds=rounds)
def test_only_a_moved_root_keeps_its_keys_and_only_for_files_of_the_same_size_and_time(
    tmp_path_factory: pytest.TempPathFactory, first: set[str], rounds: list[tuple[str, dict[str, str]]]
) -> None:
    folder, world = tmp_path_factory.mktemp("world"), World()
    world.now = {path: [next(_ids) for _ in range(4)] for path in first}
    world.verified = listed(world, folder)
    assert world.verified == {path: (*key,) for path, key in world.now.items()}
    for of_most, exceptions in rounds:
        events = {path: exceptions.get(path, of_most) for path in world.now}
        for path, event in events.items():
            if event == "gone":
                del world.now[path]
            else:
                world.happens(path, event)
        for path in exceptions.keys() - events.keys():
            world.now[path] = [next(_ids) for _ in range(4)]
        same = {path for path, event in events.items() if not {*"sm"} & {*EVENTS.get(event, "sm")}}
        moved = {path for path in same if "i" in EVENTS[events[path]]}
        is_restored = len(moved) >= 0.9 * len(same)
        expected = {}
        for path, key in world.now.items():
            keeps = events.get(path) == "nothing" or (path in moved and is_restored)
            expected[path] = world.verified[path] if keeps else (*key,)
        world.verified = listed(world, folder)
        assert world.verified == expected
        assert listed(world, folder) == expected  # the next run has nothing to do


def test_single_files_with_other_inodes_are_read_again(tmp_path: Path) -> None:
    world = World({f"{number:02d}": [next(_ids) for _ in range(4)] for number in range(20)})
    listed(world, tmp_path)
    for number in range(17):
        world.happens(f"{number:02d}", "replaced, old time")
    comparison = restored.compare(world.rows(), tmp_path / "inventory.jsonl", tmp_path / "restored.jsonl", [""])
    assert len(comparison.moved[""].keys) == 17 and not comparison.moved[""].looks_restored


def test_each_root_is_judged_alone(tmp_path: Path) -> None:
    world = World({f"{label}/{number}": [next(_ids) for _ in range(4)] for label in "ab" for number in range(3)})
    known, lines = tmp_path / "inventory.jsonl", tmp_path / "restored.jsonl"
    inventory.write({"a": b"/a", "b": b"/b"}, world.rows(), known)
    for number in range(3):
        world.happens(f"a/{number}", "copied back")
    world.happens("b/1", "replaced, old time")
    comparison = restored.compare(world.rows(), known, lines, ["a", "b"])
    assert {label: moved.looks_restored for label, moved in comparison.moved.items()} == {"a": True, "b": False}


@pytest.mark.parametrize("content", [b"", b'{"roots":{"":"/source"}}\n["a"', b"[]\n", None])
def test_a_damaged_inventory_restores_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "inventory.jsonl").write_bytes(content)
    rows = [["a", "file", 1, 2, 3, 4]]
    comparison = restored.compare(rows, tmp_path / "inventory.jsonl", tmp_path / "restored.jsonl", [""])
    assert (comparison.rows, comparison.moved, comparison.lines()) == (rows, {}, b"")


# ---- the door

NAMES = [b"a", b"b/a", b"b/b", b"c\xff", b'd"\\', "é".encode(), *(b"many/%03d" % number for number in range(50))]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in NAMES:
        path = os.path.join(os.fsencode(tmp_path), b"source", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(name)
    return tmp_path / "source"


def keys(source: Path) -> dict[str, Any]:
    with Opener({"": os.fsencode(source)}) as opener:
        found = {}
        for row in listing.list_sources({"": os.fsencode(source)}):
            file = opener.open(row[0])
            found[row[0]] = file.key()
            file.close()
        return found


def test_a_restored_file_is_opened_as_the_verified_one_until_it_changes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restored, "_in_force", [])
    known, lines = tmp_path / "inventory.jsonl", tmp_path / "restored.jsonl"
    inventory.write({"": os.fsencode(source)}, listing.list_sources({"": os.fsencode(source)}), known)
    before = keys(source)
    shutil.copytree(source, tmp_path / "copy")
    shutil.rmtree(source)
    (tmp_path / "copy").rename(source)
    (source / "new").write_text("beside them")
    assert not {*before.values()} & {*keys(source).values()}

    comparison = restored.compare(listing.list_sources({"": os.fsencode(source)}), known, lines, [""])
    comparison.accept("")
    lines.write_bytes(comparison.lines())
    restored.use(lines)
    opened = keys(source)
    assert {path: key for path, key in opened.items() if path != "new"} == before
    assert opened["new"] == restored.key_of(
        listing.list_sources({"": os.fsencode(source)})[sorted(opened).index("new")]
    )
    stat = (source / "many/007").stat()
    (source / "many/007").write_bytes(b"many/-07")  # other bytes, the same size, the old time
    os.utime(source / "many/007", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert {path for path, key in keys(source).items() if key != opened[path]} == {"many/007"}
    restored.use(tmp_path / "none")
    assert keys(source)["a"] != before["a"]
