"""Archives that were made to harm, or are damaged: a reason for each member or archive, and all others are read."""

from __future__ import annotations

import contextlib
import os
import struct
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import orjson
import pytest
import zstandard
from listed_archives import GOOD, KINDS, ZEROS, Archive, archive_in
from made_up_archives import RawZip, gz, link, tar_of, zip_of, zst

from dicomzarr.source.archives import bounds, listing
from dicomzarr.source.archives.bounds import Bounds
from dicomzarr.source.open_file import stat_key
from dicomzarr.source.opener import Opener
from dicomzarr.system import limits, sandbox
from dicomzarr.system.limits import Limits
from dicomzarr.vocabulary.reasons import REASONS, NotExtracted


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with archive_in(tmp_path) as archive:
        yield archive


def test_names_that_lead_elsewhere_are_never_read(archive: Archive) -> None:
    names = [
        b"../up",
        b"a/../../up",
        b"/etc/passwd",
        b"C:\\windows",
        b"..\\up",
        b"nul\0.dcm",
        b"x" * 5000,
        b"",
        b"good",
    ]
    raw = RawZip()
    for name in names:
        raw.add(name, b"x")
    reason, members = archive.list("names.zip", raw.bytes())
    assert reason == "archive_listed"
    assert {name: code for name, code in members.items() if code != "member_name"} == {"good": ""}
    assert len(members) == len(names) and max(map(len, members)) < 300
    packed = tar_of([("../up", b"x"), ("/abs", b"x"), ("./a//./b", b"x")])
    assert archive.list("names.tar", packed)[1] == {"../up": "member_name", "/abs": "member_name", "a/b": ""}


def test_links_and_devices_are_never_followed(archive: Archive) -> None:
    members = [
        ("scan.dcm", b"content"),
        (link("soft", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (link("hard", tarfile.LNKTYPE, "scan.dcm"), b""),
        (link("hard out", tarfile.LNKTYPE, "/etc/passwd"), b""),
        (link("device", tarfile.CHRTYPE), b""),
        (link("fifo", tarfile.FIFOTYPE), b""),
        (link("folder", tarfile.DIRTYPE), b""),
        (link("unknown", b"Z"), b""),
    ]
    assert archive.list("links.tar", tar_of(members))[1] == {
        **{"scan.dcm": "", "soft": "symbolic_link", "hard": "", "hard out": "symbolic_link"},
        **{"device": "special_file", "fifo": "special_file"},
        "unknown": "unsupported_member",
    }
    assert archive.read("hard") == b"content"
    raw = RawZip()
    raw.add(b"soft", b"/etc/passwd", attributes=0o120777 << 16)
    raw.add(b"fifo", b"", attributes=0o010644 << 16)
    assert archive.list("links.zip", raw.bytes())[1] == {"soft": "symbolic_link", "fifo": "special_file"}


def test_bombs_are_stopped_by_their_ratio_and_by_their_size(archive: Archive) -> None:
    bomb = zip_of({"bomb": ZEROS, "good": b"good"})
    assert archive.list("bomb.zip", bomb)[1] == {"bomb": "archive_bomb", "good": ""}
    assert archive.list_again("bomb.zip", ratio=5000)[1] == {"bomb": "", "good": ""}
    assert archive.list_again("bomb.zip", ratio=5000, megabytes=79)[1] == {"bomb": "too_large", "good": ""}
    for name, content in (
        ("bomb.tgz", gz(tar_of({"bomb": ZEROS}))),
        ("bomb.tar.zst", zst(tar_of({"bomb": ZEROS}))),
        ("bomb.gz", gz(ZEROS)),
    ):
        assert archive.list(name, content) == ("archive_bomb", {})
    assert archive.list_again("bomb.tgz", ratio=5000, cache_megabytes=79) == ("too_large", {})
    assert archive.list_again("bomb.gz", ratio=5000, megabytes=79) == ("too_large", {})
    assert not [path for path in archive.cache.iterdir() if path.suffix != ".lock"]


def test_declared_sizes_and_checksums_are_not_trusted(archive: Archive) -> None:
    content, raw = b"content " * 1000, RawZip()
    raw.add(b"good", content)
    raw.add(b"more than declared", content, size=100)
    raw.add(b"more than declared, with its checksum", content, size=100, crc=zlib.crc32(content[:100]))
    raw.add(b"less than declared", content, size=1 << 24)
    raw.add(b"wrong checksum", content, crc=1)
    raw.add(b"wrong compressed size", content, compressed=9)
    raw.add(b"broken", b"\xff" * 50, method=8)
    raw.add(b"no header", content)
    raw.data[raw.data.index(b"broken") + 6] ^= 0x06  # the kind of its first block
    raw.data[raw.data.index(b"no header") - 30] = 0
    archive.list("lies.zip", raw.bytes())
    assert archive.read("good") == content
    lies = [row[0].partition("!/")[2] for row in archive.rows if row[1] == "file" and not row[0].endswith("good")]
    assert len(lies) == 7
    for name in lies:
        with pytest.raises(NotExtracted, match="damaged_member"):
            archive.read(name)


def test_members_that_share_bytes_are_refused(archive: Archive) -> None:
    raw = RawZip()
    raw.add(b"good", b"good")
    raw.add(b"kernel", Random(3).randbytes(1000), method=0)
    raw.add(b"again", Random(4).randbytes(1000), method=0, offset=len(b"good") + 40)
    raw.add(b"into the directory", b"x", method=0, size=500, compressed=500)
    members = archive.list("overlap.zip", raw.bytes())[1]
    assert members == {
        **{"good": "", "kernel": "overlapping_member", "again": "overlapping_member"},
        "into the directory": "overlapping_member",
    }


def test_encrypted_and_unsupported_members_cost_themselves_alone(archive: Archive) -> None:
    raw = RawZip()
    raw.add(b"good", b"good")
    raw.add(b"secret", b"x" * 20, flags=1, method=0)
    raw.add(b"deflate64", b"x" * 20, method=9)
    expected = {"good": "", "secret": "encrypted_member", "deflate64": "unsupported_member"}
    assert archive.list("secret.zip", raw.bytes()) == ("archive_listed", expected)
    sparse = tarfile.TarInfo("sparse")
    sparse.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "100", "GNU.sparse.numblocks": "1"}
    assert archive.list("sparse.tar", tar_of([(sparse, b"x"), ("good", b"y")]))[1] == {
        "sparse": "unsupported_member",
        "good": "",
    }


def test_a_bad_directory_costs_the_archive(archive: Archive) -> None:
    good = zip_of(GOOD)
    raw = RawZip()
    raw.add(b"one", b"x")
    assert archive.list("count.zip", raw.bytes(count=2)) == ("unreadable_archive", {})
    assert archive.list("cut.zip", good[:-30]) == ("truncated_archive", {})
    assert archive.list("hole.zip", good.replace(b"PK\1\2", b"PK\1\0", 2)) == ("unreadable_archive", {})
    assert archive.list("start cut.zip", b"PK\3\4" + good[500:]) == ("unreadable_archive", {})
    split = bytearray(good)
    struct.pack_into("<H", split, len(split) - 18, 3)  # this is part 4
    assert archive.list("split.zip", bytes(split)) == ("unreadable_archive", {})
    assert archive.list("garbage.tar.gz", gz(b"no tar at all" * 100)) == ("unreadable_archive", {})


def test_what_comes_before_the_end_of_a_cut_tar_is_read(archive: Archive) -> None:
    packed = tar_of({"one": b"1" * 3000, "two": Random(5).randbytes(9000), "three": b"3"})
    cut = packed[: packed.index(b"three")]
    expected = {"one": "", "two": ""}
    assert archive.list("cut.tar", cut) == ("truncated_archive", expected)
    assert archive.list("cut.tgz", gz(packed)[: len(gz(cut)) - 200]) == (
        "truncated_archive",
        {"one": "", "two": "damaged_member"},
    )
    assert archive.read("one") == b"1" * 3000
    header = packed.index(b"three")
    broken = packed[:header] + b"\xff" * 512 + packed[header + 512 :]
    assert archive.list("broken.tar", broken) == ("unreadable_archive", expected)
    flipped = bytearray(gz(packed))
    flipped[-6] ^= 1  # of the checksum: nobody knows which bytes are wrong
    assert archive.list("flipped.tgz", bytes(flipped)) == ("unreadable_archive", {})
    assert archive.list("cut.dcm.gz", gz(b"x" * 5000)[:-9]) == ("truncated_archive", {})


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_tar_that_ends_within_or_behind_an_extended_header_is_truncated(archive: Archive, form: int) -> None:
    name = "n" * 150  # a header of its own, 512 bytes, and its content
    packed = tar_of({name: b"1" * 600, name + "2": b"2"}, form)
    start = 3 * 512 + 1024
    for cut in (520, 700, 1024, 1300, 1536):
        expected = {} if cut < 1536 else {name: "damaged_member"}
        assert archive.list("cut.tar", packed[:cut]) == ("truncated_archive", expected)
        assert archive.list("cut.tgz", gz(packed[:cut])) == ("truncated_archive", expected)
        assert archive.list("cut.tar", packed[: start + cut])[0] == "truncated_archive"
    broken = packed[:1024] + b"\xff" * 512 + packed[1536:]
    assert archive.list("broken.tar", broken) == ("unreadable_archive", {})


@pytest.mark.parametrize("with_checksum", [True, False])
def test_a_tar_with_zstd_that_ends_too_early_is_truncated(archive: Archive, with_checksum: bool) -> None:
    frames = zstandard.ZstdCompressor(write_checksum=with_checksum)
    small, large = tar_of({"one": b"1"}), tar_of({"one": b"1" * 300_000, "two": Random(6).randbytes(300_000)})
    skipped = b"\x5a\x2a\x4d\x18\3\0\0\0abc"
    for packed, members in ((small, {"one": ""}), (large, {"one": "", "two": ""})):
        whole = frames.compress(packed[:512]) + skipped + frames.compress(packed[512:])
        assert archive.list("a.tar.zst", whole) == ("archive_listed", members)
        for cut in (1, 3, 5, 7, len(whole) - 30):
            reason, found = archive.list("a.tar.zst", whole[:-cut])
            assert reason == "truncated_archive" and set(found) <= set(members)
        assert archive.list("a.tar.zst", whole + whole[:3])[0] == "truncated_archive"
        assert archive.list("a.tar.zst", whole + b"more")[0] == "unreadable_archive"
    flipped = bytearray(frames.compress(small))
    flipped[10] ^= 0xFF
    assert archive.list("a.tar.zst", bytes(flipped))[0] != "archive_listed"


def test_members_behind_the_end_are_not_lost_in_silence(archive: Archive) -> None:
    first, second = tar_of({"one": b"1" * 3000}), tar_of({"two": b"2"})
    assert archive.list("padded.tar", first + bytes(1 << 20)) == ("archive_listed", {"one": ""})
    assert archive.list("joined.tar", first + second) == ("unreadable_archive", {"one": ""})
    assert archive.list("joined.tgz", gz(first) + gz(second)) == ("unreadable_archive", {"one": ""})
    assert archive.list("place.tar", first + bytes(20 << 20)) == ("truncated_archive", {"one": ""})
    assert archive.list("nothing.tar", bytes(20 << 20)) == ("truncated_archive", {})
    assert archive.list("joined.zip", zip_of({"one": b"1"}) + zip_of({"two": b"2"})) == (
        "unreadable_archive",
        {"two": ""},
    )
    assert archive.read("two") == b"2"


def header(name: str, size: int, time: bytes, kind: bytes = b"0", form: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a header with the time of access where ustar has a prefix: of GNU (`tar -g`), or of V7 without magic."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    block = bytearray(info.tobuf(form))
    block[345 : 345 + len(time)] = time
    if form != tarfile.GNU_FORMAT:
        block[257:265] = bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_a_time_of_access_is_no_folder(archive: Archive, form: int) -> None:
    first, second = b"first".ljust(512, b"\0"), b"other".ljust(512, b"\0")
    listed = b"Yone.dcm\0\0".ljust(512, b"\0")
    long = header("././@LongLink", 151, b"", b"L") + (b"n" * 150).ljust(512, b"\0")
    packed = header("backup", 0, b"", b"V") + header("./liver/", 512, b"15302767213\0", b"D") + listed
    packed += header("./liver/one.dcm", 5, b"15302767213\0", form=form) + first
    packed += long + header("n" * 100, 5, b"15302767213\0", form=form) + first
    packed += header("./lung/", 0, b"15302767213\0", b"5", form)
    again = header("./liver/one.dcm", 5, b"15302767777\0", form=form) + second
    name = "n" * 150
    assert archive.list("a.tar", packed + bytes(1024)) == ("archive_listed", {"liver/one.dcm": "", name: ""})
    assert archive.read("liver/one.dcm") == archive.read(name) == b"first"
    assert archive.list("a.tgz", gz(packed + again + bytes(1024)))[1] == {
        "liver/one.dcm": "",
        "liver/one.dcm~1": "duplicate_member",
        name: "",
    }
    assert archive.read("liver/one.dcm") == b"other"


def test_the_prefix_of_a_long_name_is_a_folder(archive: Archive) -> None:
    name = f"{'f' * 90}/{'g' * 90}"
    packed = tar_of({name: b"1"}, tarfile.USTAR_FORMAT)
    assert packed[257:263] == b"ustar\0" and packed[345:435] == b"f" * 90
    assert archive.list("a.tar", packed) == ("archive_listed", {name: ""})


def test_a_negative_size_does_not_send_the_listing_round_in_circles(archive: Archive) -> None:
    info = tarfile.TarInfo("loop")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 10 + b"\xfe\x00"  # base 256: -512, back to this header
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    limits.use(Limits(seconds=2, megabytes=200))
    reason, members = archive.list("loop.tar", bytes(tar_of({"one": b"1"})[:1024]) + bytes(block) + bytes(1024))
    assert reason in ("unreadable_archive", "truncated_archive") and members["one"] == ""


def mutated(content: bytes, random: Random) -> bytes:
    """Return an archive with changed, inserted or missing bytes."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 5, 30))):
        at, kind = random.randrange(len(data) + 1), random.random()
        if kind < 0.6:
            data[at : at + 1] = bytes([random.choice((0, 255, random.randrange(256)))])
        elif kind < 0.85:
            data[at : at + 4] = random.choice((b"\xff" * 4, b"\0" * 4, b"", b"\xff\xff\xff\x7f", b"PK\1\2"))
        else:
            del data[at:]
    return bytes(data)


def test_mutated_archives_have_a_reason_or_are_read(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "is_confined", lambda: True)  # here, not in a child that would hide an error
    bounds.use(Bounds(archive.cache))
    files = {name: content[:2000] for name, content in GOOD.items()}
    packed = {name: pack(files) for name, pack in KINDS.items()} | {"a.gz": gz(GOOD["a/two.dcm"][:3000])}
    random, read = Random(7), Counter[str]()
    for number in range(600):
        name = random.choice(sorted(packed))
        (archive.source / name).write_bytes(mutated(packed[name], random))
        key = stat_key((archive.source / name).stat())
        reason, lines = listing.in_answer(listing.list_archive(archive.roots, name, key))
        assert reason in {"", *REASONS}, (number, name)
        rows = [orjson.loads(line) for line in lines.splitlines()]
        assert [row[0] for row in rows] == sorted({row[0] for row in rows})
        with Opener(archive.roots) as opener:
            for path, kind, *rest in rows:
                if kind != "file":
                    assert rest[0] in REASONS
                    continue
                try:
                    with contextlib.closing(opener.open(path, (*rest,))) as member:
                        assert os.fstat(member.descriptor()).st_size == rest[0]
                    read["whole"] += 1
                except NotExtracted as error:
                    read[error.code] += 1
    assert read["whole"] > 300 and read["damaged_member"] > 100
