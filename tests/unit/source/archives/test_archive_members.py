"""Archives as they should be: members hold what was packed, and a change of the archive changes their keys."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from listed_archives import GOOD, KINDS, ZEROS, Archive, archive_in
from made_up_archives import RawZip, gz, tar_of, zip_of

from dicomzarr.source.archives import opening
from dicomzarr.source.opener import Opener
from dicomzarr.system import sandbox
from dicomzarr.vocabulary.errors import SourceChanged


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with archive_in(tmp_path) as archive:
        yield archive


@pytest.mark.parametrize("name", KINDS)
def test_members_of_every_kind_hold_what_was_packed(archive: Archive, name: str) -> None:
    reason, members = archive.list(name, KINDS[name](GOOD))
    assert (reason, members) == ("archive_listed", dict.fromkeys(GOOD, ""))
    for member, content in GOOD.items():
        assert archive.read(member) == content


def test_a_gzipped_file_has_one_member_with_its_name(archive: Archive) -> None:
    assert archive.list("Scan.dcm.GZ", gz(GOOD["a/two.dcm"])) == ("archive_listed", {"Scan.dcm": ""})
    assert archive.read("Scan.dcm") == GOOD["a/two.dcm"]


def test_only_the_start_is_unpacked_where_limits_hold_already(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Random(2).randbytes(9_000_000)
    archive.list("big.zip", zip_of({"big": content}))
    monkeypatch.setattr(sandbox, "is_confined", lambda: True)
    with (
        Opener(archive.roots) as opener,
        contextlib.closing(opener.open("big.zip!/big", archive.key_of("big"))) as file,
    ):
        assert file.read(100, 50) == content[50:150]
        assert file._copy.size < 2_000_000
        assert file.read(200, len(content) - 100) == content[-100:]


def test_members_beyond_the_memory_are_written_to_the_private_cache(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("members", "spool"):
        monkeypatch.setattr(f"dicomzarr.source.archives.{module}.IN_MEMORY", 10_000)
    for name in ("large.zip", "large.tar"):
        archive.list(name, KINDS["DEFLATED.ZIP" if name.endswith("zip") else "plain.tar"](GOOD))
        with Opener(archive.roots) as opener:
            file = opener.open(archive.path_of("a/two.dcm"), archive.key_of("a/two.dcm"))
            assert os.readlink(f"/proc/self/fd/{file.descriptor()}").startswith(str(archive.cache))
            assert file.read(len(ZEROS), 0) == GOOD["a/two.dcm"]
            file.close()
        assert not list(archive.cache.iterdir())


def test_names_are_utf_8_or_code_page_437_and_safe_in_tables(archive: Archive) -> None:
    raw = RawZip()
    raw.add(b"M\x81ller.dcm", b"x")  # ü in code page 437
    raw.add("Müller2.dcm".encode(), b"x")
    raw.add(b"bad \xff.dcm", b"x", flags=0x800)
    raw.add(b"folder!/=x,\n.dcm", b"x")
    members = archive.list("=names!.zip", raw.bytes())[1]
    assert set(members) == {"Müller.dcm", "Müller2.dcm", "bad %FF.dcm", "folder%21/=x,%0A.dcm"}
    assert set(members.values()) == {""}
    latin = tar_of({"M\udcfcller.dcm": b"x"}, tarfile.GNU_FORMAT)
    assert archive.list("latin.tar", latin) == ("archive_listed", {"M%FCller.dcm": ""})


def test_the_last_of_equal_names_counts_as_when_unpacked(archive: Archive) -> None:
    pairs = [("a.dcm", b"first"), ("./a.dcm", b"second"), ("a.dcm~1", b"other"), ("a.dcm", b"third")]
    with pytest.warns(UserWarning, match="Duplicate name"):
        packed = zip_of(pairs)
    for name, content in (("twice.zip", packed), ("twice.tar", tar_of(pairs))):
        assert archive.list(name, content)[1] == {
            "a.dcm": "",
            "a.dcm~1": "",
            "a.dcm~2": "duplicate_member",
            "a.dcm~3": "duplicate_member",
        }
        assert archive.read("a.dcm") == b"third" and archive.read("a.dcm~1") == b"other"


def test_a_zip_beyond_the_bounds_of_32_bits(archive: Archive) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed, packed.open("big.dcm", "w", force_zip64=True) as stream:
        stream.write(b"content")
    data = out.getvalue()
    # Sizes, position of the directory and number of entries as zip64 has them.
    directory = data.index(b"PK\1\2")
    entry, name = bytearray(data[directory : directory + 46]), b"big.dcm"
    struct.pack_into("<2L", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, 28)
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    extra = struct.pack("<2H3Q", 1, 24, 7, 7, 0)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 46 + 7 + 28, directory)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, directory + 46 + 7 + 28, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    made = data[:directory] + bytes(entry) + name + extra + record + locator + end
    assert archive.list("zip64.zip", made) == ("archive_listed", {"big.dcm": ""})
    assert archive.read("big.dcm") == b"content"
    assert archive.list("zip64 lost.zip", made.replace(b"PK\6\6", b"PK\6\0")) == ("unreadable_archive", {})


def test_a_dicom_file_with_the_name_of_an_archive_is_no_archive(archive: Archive) -> None:
    dicom = b"PK\3\4".ljust(128, b"\0") + b"DICM" + bytes(500)
    for name, content in (("scan.zip", dicom), ("notes.tar", b"text" * 500), ("is gzip.zip", gz(b"x")), ("e.zip", b"")):
        assert archive.list(name, content) == ("", {})
    assert archive.list("empty.zip", zip_of({})) == ("archive_listed", {})


def test_an_archive_that_changes_changes_the_keys_of_its_members(archive: Archive) -> None:
    archive.list("a.zip", zip_of(GOOD))
    key = archive.key_of("a/one.dcm")
    os.utime(archive.source / "a.zip", ns=(1, 1))
    with Opener(archive.roots) as opener, contextlib.closing(opener.open("a.zip!/a/one.dcm", key)) as file:
        assert file.key() != key
    archive.list_again("a.zip")
    assert archive.key_of("a/one.dcm")[:3] == key[:3] and archive.key_of("a/one.dcm") != key
    with pytest.raises(SourceChanged):
        sandbox.call(opening._unpack, archive.roots, "a.zip!/a/one.dcm", key, "")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_an_archive_that_changes_while_a_member_is_open_is_noticed(archive: Archive, name: str) -> None:
    packed = {"a.zip": zip_of(GOOD), "a.tar": tar_of(GOOD), "a.tgz": gz(tar_of(GOOD))}[name]
    archive.list(name, packed)
    key = archive.key_of("a/two.dcm")
    with Opener(archive.roots) as opener, contextlib.closing(opener.open(archive.path_of("a/two.dcm"), key)) as file:
        assert file.read(9, 0) == GOOD["a/two.dcm"][:9] and file.key() == key
        with open(archive.source / name, "r+b") as written:
            written.write(packed[:1])  # the same bytes: only its times tell
        assert file.key() != key


@pytest.mark.parametrize("in_place", [True, False])
def test_a_tar_with_other_content_at_the_same_size_and_time_has_other_keys(archive: Archive, in_place: bool) -> None:
    path = archive.source / "a.tar"
    archive.list("a.tar", tar_of({"m": b"1" * 700}))
    key, status = archive.key_of("m"), path.stat()
    written = path if in_place else path.with_name("new")
    written.write_bytes(tar_of({"m": b"2" * 700}))
    os.utime(written, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(written, path)
    archive.list_again("a.tar")
    assert archive.key_of("m")[:3] == key[:3] and archive.key_of("m") != key


def test_the_cache_keeps_the_tars_used_last_within_its_bound(archive: Archive) -> None:
    for name in ("one.tgz", "two.tgz", "three.tgz"):
        archive.list(name, gz(tar_of({name: Random(7).randbytes(900_000)})), cache_megabytes=2)
    kept = [path for path in archive.cache.iterdir() if path.suffix == ".tar"]
    assert len(kept) == 2 and sum(path.stat().st_size for path in kept) <= 2_000_000
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    archive.list_again("one.tgz", cache_megabytes=2)  # decompressed again
    assert len(archive.read("one.tgz")) == 900_000


def test_a_tar_that_another_process_deletes_at_once_is_listed_and_read(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def replace_and_delete(source: Path, target: Path) -> None:  # the cache is too small for two tars
        replace(source, target)
        os.unlink(target)

    monkeypatch.setattr(os, "replace", replace_and_delete)
    assert archive.list("a.tgz", gz(tar_of(GOOD))) == ("archive_listed", dict.fromkeys(GOOD, ""))
    monkeypatch.setattr(sandbox, "_is_confined", [True])  # as in the child that reads headers
    assert archive.read("a/two.dcm") == GOOD["a/two.dcm"]
