"""Archives that were made to harm, or are damaged: a reason for each member or archive, and all others are read."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from random import Random

import orjson
import pytest
import zstandard
from made_up_archives import RawZip, gz, link, streamed_zip_of, tar_of, zip_of, zst

from dicomzarr.source.archives import bounds, listing, opening
from dicomzarr.source.archives.bounds import Bounds
from dicomzarr.source.open_file import stat_key
from dicomzarr.source.opener import Opener
from dicomzarr.system import limits, sandbox
from dicomzarr.system.limits import Limits
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import REASONS, NotExtracted

GOOD = {"a/one.dcm": b"one" * 5000, "a/two.dcm": Random(1).randbytes(70_000), "empty": b""}
ZEROS = bytes(80_000_000)


class Archive:
    """A source folder with one archive, read as a run reads it: listed and unpacked in a child process."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        self.cache = folder / "private" / "cache" / "archives"

    @property
    def roots(self) -> dict[str, bytes]:
        return {"": os.fsencode(self.source)}

    def list(self, name: str, content: bytes, **limit: int) -> tuple[str, dict[str, str]]:
        """Return the reason of the archive, and by member its reason, or "" if it can be read."""
        (self.source / name).write_bytes(content)
        return self.list_again(name, **limit)

    def list_again(self, name: str, **limit: int) -> tuple[str, dict[str, str]]:
        bounds.use(Bounds(self.cache, **limit))
        sandbox.end_all()  # a child has the bounds that were in force when it was forked
        self.key = stat_key((self.source / name).stat())
        reason, lines = listing.in_answer(sandbox.call(listing.list_archive, self.roots, name, self.key))
        self.rows = [orjson.loads(line) for line in lines.splitlines()]
        assert [row[0] for row in self.rows] == sorted(row[0] for row in self.rows)
        return reason, {row[0].removeprefix(f"{name}!/"): "" if row[1] == "file" else row[2] for row in self.rows}

    def read(self, member: str) -> bytes:
        """Return the content of a member as extraction reads it."""
        key = self.key_of(member)
        with Opener(self.roots) as opener, contextlib.closing(opener.open(self.path_of(member), key)) as file:
            assert file.key() == key
            with open(file.descriptor(), "rb", closefd=False) as stream:
                stream.seek(0)
                content = stream.read()
            assert file.read(len(content) + 1, 0) == content and file.read(5, 3) == content[3:8]
            return content

    def path_of(self, member: str) -> str:
        return next(row[0] for row in self.rows if row[0].endswith(f"!/{member}"))

    def key_of(self, member: str) -> tuple[int, int, int, int]:
        return tuple(next(row[2:] for row in self.rows if row[0].endswith(f"!/{member}")))


@pytest.fixture
def archive(tmp_path: Path):
    before = limits.current()
    yield Archive(tmp_path)
    limits.use(before)
    sandbox.end_all()


def zstd_zip_of(files: dict[str, bytes]) -> bytes:
    raw = RawZip()
    for name, content in files.items():
        raw.add(name.encode(), zst(content), method=93, size=len(content), crc=zlib.crc32(content))
    return raw.bytes()


KINDS = {
    "zstd.zip": zstd_zip_of,
    "stored.zip": lambda files: zip_of(files, zipfile.ZIP_STORED),
    "DEFLATED.ZIP": zip_of,
    "bzip2.zip": lambda files: zip_of(files, zipfile.ZIP_BZIP2),
    "lzma.zip": lambda files: zip_of(files, zipfile.ZIP_LZMA),
    "streamed.zip": streamed_zip_of,
    "plain.tar": tar_of,
    "old.tar": lambda files: tar_of(files, tarfile.USTAR_FORMAT),
    "gnu.tgz": lambda files: gz(tar_of(files, tarfile.GNU_FORMAT)),
    "two streams.tar.gz": lambda files: gz(tar_of(files)[:6000]) + gz(tar_of(files)[6000:]),
    "frames.tar.zst": lambda files: zst(tar_of(files)[:6000]) + zst(tar_of(files)[6000:]),
}


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
