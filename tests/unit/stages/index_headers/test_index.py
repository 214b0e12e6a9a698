from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from conftest import ROOT
from made_up_headers import file, image, text
from ordinary import bound_by_permissions
from waiting import wait_until

from dicomzarr.privacy.identifiers import IDENTIFIERS, Gatherer, identifiers_of, identifiers_of_root
from dicomzarr.source.inventory import ARCHIVE, MEMBER, NOT_FILES
from dicomzarr.stages.index_headers import index, read_chunk
from dicomzarr.stages.index_headers.index import IndexCounts, index_headers
from dicomzarr.system import limits, sandbox
from dicomzarr.system.limits import Limits
from dicomzarr.vocabulary.errors import UserError


class Source:
    """A source folder with its inventory, and an index of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "source"
        self.folder.mkdir()
        self.inventory = folder / "inventory.jsonl"
        self.index = folder / "private" / "index.jsonl"
        self.cache = folder / "private" / "cache"

    def add(self, name: str | bytes, content: bytes | None = None) -> Path:
        path = self.folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        uid = text(0x00080018, "UI", f"1.2.{len(list(self.folder.rglob('*')))}")
        path.write_bytes(file(image(SOPInstanceUID=uid)) if content is None else content)
        return path

    def scan(self, roots: dict[str, Path] | None = None) -> None:
        rows: list[list[object]] = []
        for label, root in (roots or {"": self.folder}).items():
            for path in root.rglob("*"):
                name = quote(label + "/" * bool(label)) + quote(os.fsencode(path.relative_to(root)), safe="/ +")
                if path.is_symlink():
                    rows.append([name, "link"])
                elif path.is_file():
                    status = path.stat()
                    rows.append([name, "file", status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino])
        folders = {label: quote(os.fsencode(root)) for label, root in (roots or {"": self.folder}).items()}
        lines = [{"roots": folders}, *sorted(rows, key=lambda row: str(row[0]))]
        self.inventory.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run(self, processes: int = 1, code: str = "c", *, trust: bool = True, largest_loss: float = 1.0) -> IndexCounts:
        options = {"trust": trust, "largest_loss": largest_loss}
        return index_headers(self.inventory, self.index, self.cache, processes, code, **options)

    def rows(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.index.read_text().splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


@pytest.fixture
def many(source: Source, monkeypatch: pytest.MonkeyPatch) -> Source:
    """40 files, which are read in chunks of 4."""
    monkeypatch.setattr(index, "CHUNK", 4)
    for number in range(40):
        source.add(f"{number % 3}/{number:02d}")
    source.scan()
    return source


def counts(result: IndexCounts) -> tuple[int, int, int]:
    return result.files, result.read, result.cached


def test_one_row_for_each_regular_file_in_order(source: Source) -> None:
    for name in ("b", "a/c d", "a/e%f", "a/\u00fc", b"a/\xff\n", "a=b+c"):
        source.add(name)
    source.add("text", b"no DICOM")
    source.add("empty", b"")
    (source.folder / "link").symlink_to("b")
    source.scan()
    result = source.run()
    rows = source.rows()
    assert [row["path"] for row in rows] == sorted(str(row["path"]) for row in rows)
    assert {row["path"] for row in rows} == {
        *("b", "a/c d", "a/e%25f", "a/%C3%BC", "a/%FF%0A", "a%3Db+c", "text", "empty")
    }
    assert result.outcomes == {"ignored empty_file": 1, "ignored not_dicom": 1, "image": 6}
    assert rows[-1]["stat"] == [
        8,
        *(getattr((source.folder / "text").stat(), name) for name in ("st_mtime_ns", "st_ctime_ns", "st_ino")),
    ]


def test_labelled_sources(source: Source, tmp_path: Path) -> None:
    source.add("x")
    other = tmp_path / "other"
    other.mkdir()
    (other / "x").write_bytes(b"no DICOM")
    source.scan({"first one": source.folder, "second": other})
    source.run()
    assert [(row["path"], row["outcome"]) for row in source.rows()] == [
        ("first%20one/x", "image"),
        ("second/x", "ignored"),
    ]


def test_the_index_does_not_depend_on_the_number_of_processes_or_on_earlier_runs(many: Source) -> None:
    many.run(1)
    expected = many.index.read_bytes()
    many.index.unlink()
    assert counts(many.run(3)) == (40, 0, 40)
    assert many.index.read_bytes() == expected
    assert counts(many.run(3, code="other")) == (40, 40, 0)
    assert many.index.read_bytes() == expected


def test_only_new_and_changed_files_are_read(many: Source) -> None:
    many.run()
    many.add("0/00")
    many.add("1/00a")
    (many.folder / "2/02").unlink()
    many.scan()
    many.index.unlink()  # as Snakemake does
    assert counts(many.run()) == (40, 2, 38)
    before = many.index.read_bytes()
    many.run(code="other")
    assert many.index.read_bytes() == before


def test_every_file_is_readable_by_its_owner_alone(many: Source) -> None:
    old = os.umask(0)
    try:
        many.run()
    finally:
        os.umask(old)
    written = [path for path in many.index.parent.rglob("*") if path.is_file()]
    assert len(written) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    assert stat.S_IMODE(many.cache.stat().st_mode) == 0o700


def test_a_damaged_cache_is_ignored(many: Source) -> None:
    many.run()
    whole = many.index.read_bytes()
    for damage in (whole[:-30], whole.replace(b'"Rows":4', b'"Rows":5', 1), b"", b"\xff" * 50):
        (cached,) = many.cache.glob("headers-*")
        cached.write_bytes(damage)  # the index is the same file by another name
        many.index.unlink()
        assert counts(many.run()) == (40, 40, 0)
        assert many.index.read_bytes() == whole


def test_cache_is_copied_where_links_do_not_work(many: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    many.run()
    (cached,) = many.cache.glob("headers-*")
    assert cached.stat().st_ino != many.index.stat().st_ino
    assert stat.S_IMODE(cached.stat().st_mode) == 0o600
    assert counts(many.run()) == (40, 0, 40)


def test_a_run_uses_what_interrupted_runs_have_read(many: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    many.run()
    whole, identifiers = many.index.read_bytes(), cached_identifiers(many)
    for path in (many.index, *many.cache.iterdir()):
        path.unlink()
    real = read_chunk.read_files

    def run_until(failing: str) -> None:
        def read_files(roots: dict[str, str], entries: list[read_chunk.Entry], gatherer: Gatherer) -> list[str]:
            if any(path == failing for path, _ in entries):
                raise KeyboardInterrupt
            return list(real(roots, entries, gatherer))

        monkeypatch.setattr(read_chunk, "read_files", read_files)
        with pytest.raises(KeyboardInterrupt):
            many.run()

    run_until("1/01")
    assert not many.index.exists()
    (journal,) = many.cache.glob("*.partial")
    with open(journal, "ab") as stream:
        stream.write(b'{"facts":{"Rows')
    run_until("2/02")
    assert len(list(many.cache.glob("*.partial"))) == 2
    monkeypatch.setattr(read_chunk, "read_files", real)
    result = many.run()
    assert result.files == 40
    assert 0 < result.read < 20
    assert many.index.read_bytes() == whole
    assert len(list(many.cache.iterdir())) == 2
    assert cached_identifiers(many) == identifiers


def test_the_path_of_the_source_is_an_identifier(many: Source) -> None:
    many.run()
    assert {*identifiers_of_root(os.fsencode(many.folder))} < cached_identifiers(many)


@pytest.mark.parametrize("kind", sorted({*NOT_FILES, ARCHIVE, MEMBER} - {"unreadable_file"}))
def test_names_of_what_is_not_read_are_identifiers(source: Source, kind: str) -> None:
    source.add("Zyxwolf/a.dcm")
    source.scan()
    with open(source.inventory, "a") as inventory:
        inventory.write(json.dumps(["Zyxwolf/canfinch", kind]) + "\n")
    source.run()
    assert {*identifiers_of("path", b"canfinch")} < cached_identifiers(source)


def cached_identifiers(source: Source) -> set[int]:
    return set(np.load(source.cache / IDENTIFIERS)[1:].tolist())


@pytest.mark.parametrize("processes", [1, 2])
def test_lost_identifiers_are_collected_again(many: Source, processes: int) -> None:
    many.run(processes)
    identifiers = cached_identifiers(many)
    uids = {hashed for row in many.rows() for hashed in identifiers_of("UI", row["facts"]["SOPInstanceUID"].encode())}  # type: ignore[index]
    assert uids and uids < identifiers
    (many.cache / IDENTIFIERS).unlink()
    assert counts(many.run(processes)) == (40, 40, 0)
    assert cached_identifiers(many) == identifiers


@pytest.mark.parametrize("processes", [1, 2])
def test_files_that_change_during_the_run_get_the_outcome_changed(many: Source, processes: int) -> None:
    names = ["0/00", "1/37", "2/38"]
    (many.folder / names[0]).unlink()
    many.add(names[1])
    (many.folder / names[2]).unlink()
    (many.folder / names[2]).symlink_to("02")
    assert many.run(processes).outcomes == {"changed": 3, "image": 37}
    assert [row["path"] for row in many.rows() if row["outcome"] == "changed"] == names
    assert many.run(processes).read == 3  # at each run, until the inventory is up to date
    many.scan()
    assert counts(many.run(processes)) == (38, 1, 37)


def test_a_file_that_becomes_a_fifo_or_a_folder_does_not_block(source: Source) -> None:
    for name in ("a", "b"):
        source.add(name)
    source.scan()
    (source.folder / "a").unlink()
    os.mkfifo(source.folder / "a")
    (source.folder / "b").unlink()
    (source.folder / "b").mkdir()
    assert source.run().outcomes == {"changed": 2}


def test_unreadable_file_as_a_user(source: Source) -> None:
    source.add("a").chmod(0)
    source.scan()
    with bound_by_permissions():
        assert source.run().outcomes == {"quarantined unreadable_file": 1}


def test_unreadable_file(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.add("a")
    source.scan()

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    real = os.open
    monkeypatch.setattr(
        os,
        "open",
        lambda path, *rest, **more: refuse() if bytes(os.fsencode(path)) == b"a" else real(path, *rest, **more),
    )
    assert source.run().outcomes == {"quarantined unreadable_file": 1}


def test_files_lost_to_disk_errors_are_read_again_and_a_missing_mount_is_refused(
    many: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failing = os.pread, {"0/00"}

    def fail(handle: int, size: int, offset: int) -> bytes:
        path = os.readlink(f"/proc/self/fd/{handle}")
        if os.path.relpath(path, many.folder) in failing or "all" in failing:
            raise OSError(5, "Input/output error")
        return real(handle, size, offset)

    monkeypatch.setattr(os, "pread", fail)
    sandbox.end()  # the child that reads is a fork of this process
    assert many.run(largest_loss=0.5).outcomes == {"image": 39, "quarantined unreadable_file": 1}
    failing.add("all")
    sandbox.end()
    before = many.index.read_bytes()
    with pytest.raises(UserError, match="40 of 40 files could not be read"):
        many.run(trust=False, largest_loss=0.5)
    assert many.index.read_bytes() == before
    failing.clear()
    sandbox.end()
    assert counts(many.run(largest_loss=0.5)) == (
        40,
        1,
        39,
    )  # only the file that failed is read again
    assert many.run().outcomes == {"image": 40}


def test_the_journal_of_an_interrupted_run_counts_until_the_next_boot(
    many: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    many.run()
    whole = next(many.cache.glob("headers-*.jsonl"))
    tag = whole.name.split("-")[1]
    rows = many.index.read_text()
    (many.cache / IDENTIFIERS).rename((many.cache / IDENTIFIERS).with_suffix(".saved"))
    for boot, read in ((index._boot_id(), 0), ("another", 40)):
        shutil.copy((many.cache / IDENTIFIERS).with_suffix(".saved"), many.cache / IDENTIFIERS)
        for path in many.cache.glob("headers-*"):
            path.unlink()
        (many.cache / f"headers-{tag}-{boot}-000001.partial").write_text(rows)
        assert many.run().read == read


def test_content_is_digested_only_where_uids_are_missing(source: Source) -> None:
    source.add("a")
    source.add("b", file(image(SOPInstanceUID=None)))
    source.add("c", file(image(SeriesInstanceUID=None)))
    source.scan()
    source.run()
    assert ["content_sha256" in row["facts"] for row in source.rows()] == [False, True, True]  # type: ignore[operator]


@pytest.mark.parametrize("reason", ["decoder_died", pytest.param("timeout", marks=pytest.mark.slow), "too_large"])
def test_a_file_that_kills_hangs_or_fills_its_process_is_the_only_one_lost(
    many: Source, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    real, parent = os.open, os.getpid()
    fates = {"decoder_died": os.abort, "timeout": lambda: any(iter(int, 1)), "too_large": lambda: bytearray(1 << 40)}

    def deadly(path: bytes, *rest: int, **more: int) -> int:
        if path == b"25" and os.getpid() != parent:
            fates[reason]()
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", deadly)
    monkeypatch.setattr(limits, "_in_force", [Limits(seconds=1, megabytes=256)])
    result = many.run(2)
    assert result.outcomes == {"image": 39, f"quarantined {reason}": 1}
    (bad,) = [row for row in many.rows() if row["outcome"] != "image"]
    assert bad["path"] == "1/25"


def test_a_killed_run_leaves_no_worker_and_the_next_uses_what_it_read(many: Source, tmp_path: Path) -> None:
    for number in range(40, 3000):
        os.link(many.folder / "0/00", many.folder / f"0/{number}")
    many.scan()
    pids = tmp_path / "pids"
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from dicomzarr.system import sandbox
        from dicomzarr.stages.index_headers import index
        index.CHUNK = 4
        class Noted(sandbox._Child):
            def __init__(self, budget):
                super().__init__(budget)
                with open(sys.argv[4], "a") as pids:
                    pids.write(f"{self._pid}\\n")
        sandbox._Child = Noted
        index.index_headers(*map(Path, sys.argv[1:4]), 2, "c")
    """)
    scripts = str(ROOT / "scripts")
    arguments = [sys.executable, "-c", script, many.inventory, many.index, many.cache, pids]
    run = subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": scripts})
    wait_until(lambda: run.poll() is not None or has_begun(many.cache), every=0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    workers = [int(line) for line in pids.read_text().split()]
    assert workers
    wait_until(lambda: all(_state(pid) == "Z" for pid in workers))
    result = many.run(2)
    assert result.files == 3000
    assert many.index.exists()
    if not run.returncode:
        pytest.skip("the run was over before it could be killed")
    assert result.cached > 0


def has_begun(cache: Path) -> bool:
    """Return whether a run has written some of what it read to its cache."""
    for path in cache.glob("*.partial"):
        with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
            if path.stat().st_size > 1 << 17:
                return True
    return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
