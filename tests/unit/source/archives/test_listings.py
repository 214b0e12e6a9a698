"""Listings of archives from run to run: what is known is not opened again, what is damaged is, and rows stay sorted."""

from __future__ import annotations

import csv
import errno
import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_archives import gz, tar_of, zip_of

from dicomzarr.source import inventory, listing
from dicomzarr.source.archives import bounds, tar_cache
from dicomzarr.source.archives import listing as archive_listing
from dicomzarr.source.opener import Opener
from dicomzarr.stages import discover_files
from dicomzarr.stages.index_headers import index
from dicomzarr.system import sandbox
from dicomzarr.vocabulary.errors import UserError


class Discovery:
    """A source folder, and what the first rule finds in it."""

    def __init__(self, folder: Path) -> None:
        self.source, self.private = folder / "source", folder / "private"
        self.cache = self.private / "cache"
        self.source.mkdir()
        bounds.use(bounds.Bounds(self.cache / bounds.FOLDER))

    def run(self, tag: str = "", rows: list[Any] | None = None, **options: Any) -> discover_files.Discovered:
        sources = {"": os.fsencode(self.source)}
        self.inventory, self.members = self.private / "inventory.jsonl", self.private / "members.jsonl"
        inventory.write(sources, rows or listing.list_sources(sources), self.inventory)
        outputs = discover_files.Outputs(self.private / "manifest.csv", self.members, self.private / "archives.csv")
        return discover_files.write_manifest(self.inventory, outputs, self.cache, tag=tag, **options)

    def paths(self) -> list[str]:
        return [row[0] for row in inventory.rows_of(self.inventory, self.members)]

    def manifest(self) -> list[str]:
        with open(self.private / "manifest.csv", newline="", encoding="utf-8") as stream:
            return [row["path"] for row in csv.DictReader(stream)]


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Discovery]:
    yield Discovery(tmp_path)
    sandbox.end_all()


def test_members_are_sorted_among_the_files_whatever_the_names(found: Discovery) -> None:
    for name in ("a.zip", "a.zip!-b.zip", "a.zip!a.zip", "a.zip0"):
        (found.source / name).write_bytes(zip_of({"m/2": b"2", "m/1": b"1", "~": b"x"}))
    (found.source / "a.zip!").write_bytes(b"a file")
    (found.source / "b.zip!").mkdir()
    (found.source / "b.zip!" / "m").write_bytes(b"in a folder")
    result = found.run(processes=3)
    progress = found.private / "progress"
    assert (progress / "discover_files.all").read_text().split()[0] == "3"
    assert (progress / "index_headers.all").read_text().split()[0] == str(3 + 9)  # two files, one in a folder; members
    assert result.counts["members"] == 9 and result.counts["archives"] == 3 and result.listed == 3
    assert found.paths() == sorted(found.paths()) == found.manifest()
    assert len(found.paths()) == len(set(found.paths())) == 6 + 9
    assert "b.zip%21/m" in found.paths() and "a.zip!/m/1" in found.paths()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (found.members, found.cache / "archives.jsonl")} == {0o600}


def test_known_archives_are_not_opened_again(found: Discovery, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (found.source / f"{number}.zip").write_bytes(zip_of({f"m{number}": b"x" * 99}))
    (found.source / "text.zip").write_bytes(b"no archive\n")
    assert (found.run().listed, found.run().known) == (6, 6)
    before = found.members.read_bytes()
    cached = found.cache / "archives.jsonl"
    whole = cached.read_bytes()

    os.utime(found.source / "0.zip", ns=(1, 1))
    os.unlink(found.source / "1.zip")
    result = found.run()
    assert (result.listed, result.known) == (1, 4)
    assert b"m1" not in found.members.read_bytes() and before != found.members.read_bytes()
    assert found.run(trust=False).listed == 5
    assert found.run(tag="other bounds").listed == 5

    cached.write_bytes(whole[: whole.index(b"m3")])  # a run was killed while it wrote
    assert found.run().known == 1  # 2 comes before it; 0 has changed, and 1 is gone
    flipped = whole.replace(b"m4", b"m9")
    cached.write_bytes(flipped)  # a fault of the disk
    found.run()
    assert "4.zip!/m4" in found.paths() and "4.zip!/m9" not in found.paths()


def test_an_archive_that_this_user_may_not_read_is_tried_again(
    found: Discovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found.source / "a.zip").write_bytes(zip_of({"m": b"x"}))
    (found.source / "b.zip").write_bytes(zip_of({"m": b"x"}))

    def refused(*_: Any) -> Any:
        raise OSError(errno.EIO if refused.__doc__ else errno.EACCES, "")

    with monkeypatch.context() as patch:
        patch.setattr("dicomzarr.source.archives.listing._list", refused)
        assert found.run().unreadable == ["a.zip", "b.zip"]
        assert found.paths() == ["a.zip", "b.zip"]
        refused.__doc__ = "the disk fails"
        sandbox.end_all()
        assert found.run().unreadable == ["a.zip", "b.zip"]
        with pytest.raises(UserError, match="2 of 2 archives could not be read"):
            found.run(largest_loss=0.5)
    assert found.run().unreadable == [] and "a.zip!/m" in found.paths()


def test_a_full_disk_is_no_property_of_an_archive(found: Discovery, monkeypatch: pytest.MonkeyPatch) -> None:
    (found.source / "a.tgz").write_bytes(gz(tar_of({"m": b"x" * 5000})))
    found.run()

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(tar_cache, "_write", full)
    for tar in (found.cache / bounds.FOLDER).glob("*.tar"):
        tar.unlink()
    with pytest.raises(UserError, match="the disk of the results is full"):
        found.run(tag="again")
    with pytest.raises(UserError, match="the disk of the results is full"):
        index.index_headers(found.inventory, found.private / "headers.jsonl", found.cache, 1, members=found.members)
    assert not list((found.cache / bounds.FOLDER).glob("*.partial"))


def test_a_tar_that_is_too_large_is_tried_again_at_a_higher_bound(found: Discovery) -> None:
    (found.source / "a.tgz").write_bytes(gz(tar_of({"m": random.Random(1).randbytes(3_000_000)})))
    (found.source / "b.tgz").write_bytes(gz(tar_of({"m": b"x"})))
    for megabytes, opened, paths in (
        (2, 2, ["a.tgz", "b.tgz", "b.tgz!/m"]),
        (2, 0, ["a.tgz", "b.tgz", "b.tgz!/m"]),
        (9, 1, ["a.tgz", "a.tgz!/m", "b.tgz", "b.tgz!/m"]),
        (9, 0, ["a.tgz", "a.tgz!/m", "b.tgz", "b.tgz!/m"]),
    ):
        sandbox.end_all()
        bounds.use(bounds.Bounds(found.cache / bounds.FOLDER, cache_megabytes=megabytes))
        assert (found.run().listed, found.paths()) == (opened, paths)


@pytest.mark.parametrize("number", [0, errno.EACCES, errno.EIO])
def test_an_archive_that_was_away_while_it_was_listed_counts_as_changed(
    found: Discovery, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for name in ("a", "b"):
        (found.source / name).mkdir()
        (found.source / name / "c.zip").write_bytes(zip_of({"m": b"x" * 99}))
    sources = {"": os.fsencode(found.source)}
    rows = listing.list_sources(sources)
    os.rename(found.source / "b", found.source / "away")  # no time or inode of the archive in it changes
    listed = found.run(rows=rows)
    os.rename(found.source / "away", found.source / "b")
    assert listed.listed == 2 and "a/c.zip!/m" in found.paths()
    assert listed.unreadable == ["b/c.zip"]  # the next run lists it again, also if this one is killed
    headers, opened = found.private / "headers.jsonl", Opener.open

    def refused(self: Opener, path: str, key: Any = None) -> Any:
        if number and path == "b/c.zip":  # what opening it says later hides no change
            raise OSError(number, os.strerror(number))
        return opened(self, path, key)

    monkeypatch.setattr(Opener, "open", refused)
    sandbox.end_all()
    counts = index.index_headers(found.inventory, headers, found.cache, 1, members=found.members)
    assert counts.outcomes == {"ignored not_dicom": 1, "changed": 1}
    assert index.unreadable_paths(headers) == ("b/c.zip",)
    monkeypatch.undo()
    sandbox.end_all()
    found.run()
    assert found.paths() == ["a/c.zip", "a/c.zip!/m", "b/c.zip", "b/c.zip!/m"]


def test_an_archive_that_changes_before_or_while_it_is_listed_has_no_members(
    found: Discovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = found.source / "a.zip"
    path.write_bytes(zip_of({"m": b"1" * 99}))
    rows = listing.list_sources({"": os.fsencode(found.source)})
    path.write_bytes(zip_of({"m": b"2" * 99}))
    found.run(rows=rows)
    assert found.paths() == ["a.zip"]
    within_bounds = archive_listing._within_bounds

    def written(entry: Any) -> Any:
        os.utime(path)
        return within_bounds(entry)

    sandbox.end_all()
    with monkeypatch.context() as patch:
        patch.setattr(archive_listing, "_within_bounds", written)
        found.run()
    assert found.paths() == ["a.zip"]
    sandbox.end_all()
    found.run()
    assert found.paths() == ["a.zip", "a.zip!/m"]


def test_the_names_of_members_that_are_gone_are_forgotten(found: Discovery) -> None:
    archive = found.source / "a.zip"
    archive.write_bytes(zip_of({"withdrawn": b"x", "other": b"x"}))
    found.run()
    archive.write_bytes(zip_of({"other": b"x"}))
    found.run()
    private = b"".join(path.read_bytes() for path in found.private.rglob("*") if path.is_file())
    assert b"other" in private and b"withdrawn" not in private
    archive.unlink()
    (found.source / "b.tgz").write_bytes(gz(tar_of({"b": b"x"})))
    found.run()
    (found.source / "b.tgz").unlink()
    found.run()
    assert not (found.cache / "archives.jsonl").exists() and not (found.cache / bounds.FOLDER).exists()


def test_tars_of_archives_that_are_gone_are_deleted(found: Discovery) -> None:
    for name in ("a.tgz", "b.tgz"):
        (found.source / name).write_bytes(gz(tar_of({name: b"x"})))
    found.run()
    assert len(list((found.cache / bounds.FOLDER).glob("*.tar"))) == 2
    os.unlink(found.source / "a.tgz")
    found.run()
    assert len(list((found.cache / bounds.FOLDER).glob("*.tar"))) == 1


def test_a_source_without_archives_is_read_once(found: Discovery, monkeypatch: pytest.MonkeyPatch) -> None:
    (found.source / "scan.dcm").write_bytes(b"x")
    passes = []
    monkeypatch.setattr(discover_files, "rows_of", lambda *a: passes.append(a) or inventory.rows_of(*a))
    monkeypatch.setattr(sandbox, "call", None)
    assert found.run().counts["files"] == 1
    assert len(passes) == 1 and found.members.read_bytes() == b"" and not (found.cache / "archives.jsonl").exists()
