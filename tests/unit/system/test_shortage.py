"""What the machine withholds from a process is no property of a file: no reason, no verdict, no missing value."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicomzarr.pixels import decoders
from dicomzarr.privacy import compressed
from dicomzarr.stages.check_batch import masks as check_masks
from dicomzarr.stages.check_batch import read_back
from dicomzarr.stages.index_headers import read_chunk
from dicomzarr.system import limits, sandbox, shortage
from dicomzarr.system.limits import Limits
from dicomzarr.system.shortage import Shortage
from dicomzarr.vocabulary.reasons import NotExtracted

MIB = 1 << 20


@pytest.fixture(autouse=True)
def narrow() -> Any:
    """Let a file take 256 MiB."""
    before = limits.current()
    limits.use(Limits(seconds=60, megabytes=256))
    yield
    sandbox.end()
    limits.use(before)


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that grants this process no more memory."""
    monkeypatch.setattr(shortage, "_granted", lambda mapped: 0)


def take(size: int) -> int:
    return len(bytes(size))


def take_under(kind: int, size: int) -> int:
    """Take memory after the system has lowered a limit to 64 MiB beyond what is taken, as `ulimit` does."""
    most = limits.mapped(5 if kind == resource.RLIMIT_DATA else 0) + 64 * MIB
    resource.setrlimit(kind, (most, most))
    return take(size)


def open_many() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    for _ in range(20):
        os.open(os.devnull, os.O_RDONLY)


def start_no_thread() -> None:
    raise RuntimeError("can't start new thread")


def abort() -> None:
    os.abort()


@pytest.mark.parametrize("kind", [resource.RLIMIT_AS, resource.RLIMIT_DATA], ids=["as", "data"])
def test_memory_that_the_system_withholds_is_not_blamed_on_the_file(kind: int) -> None:
    with pytest.raises(Shortage, match="ulimit -v"):
        sandbox.call(take_under, kind, 128 * MIB)


def test_a_file_that_takes_more_than_its_limit_is_too_large() -> None:
    with pytest.raises(NotExtracted) as caught:
        sandbox.call(take, 1024 * MIB)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(("work", "text"), [(open_many, "ulimit -n"), (start_no_thread, "ulimit -u")])
def test_files_and_threads_that_the_system_withholds_are_named(work: Any, text: str) -> None:
    with pytest.raises(Shortage, match=text):
        sandbox.call(work)


def test_a_library_that_aborts_for_lack_of_memory_does_not_cost_the_file(scarce: None) -> None:
    with pytest.raises(Shortage):
        sandbox.call(abort)


def test_a_library_that_aborts_costs_the_file() -> None:
    with pytest.raises(NotExtracted) as caught:
        sandbox.call(abort)
    assert caught.value.code == "decoder_died"


@pytest.mark.parametrize(("committed", "is_short"), [(1_000_000, True), (100_000, False)])
def test_memory_that_the_kernel_does_not_promise_is_withheld(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: int, is_short: bool
) -> None:
    for name, text in (
        ("_OVERCOMMIT", "2\n"),
        ("_MEMINFO", f"CommitLimit:  1000000 kB\nCommitted_AS: {committed} kB\n"),
    ):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(shortage, name, tmp_path / name)
    assert bool(shortage.described(ImportError("libx.so: failed to map segment"))) == is_short


def test_other_errors_are_not_explained_by_a_lack_of_memory(scarce: None) -> None:
    assert shortage.described(OSError(errno.ENOSPC, "full")) == ""
    assert shortage.described(ValueError("SMITH^JOHN")) == ""
    assert "ulimit -v" in shortage.described(MemoryError())
    assert "ulimit -u" in shortage.described(BlockingIOError(errno.EAGAIN, "fork"))
    assert "ulimit -f" in shortage.described(OSError(errno.EFBIG, "File too large"))


@pytest.mark.parametrize("error", [MemoryError(), ImportError("failed to map segment"), RuntimeError("blosc")])
def test_a_header_that_no_memory_was_left_for_gets_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scarce: None, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    (tmp_path / "a").write_bytes(b"some bytes")
    status = (tmp_path / "a").stat()
    key = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    monkeypatch.setattr(read_chunk, "read_header", fails)
    with pytest.raises(Shortage):
        read_chunk.read_within_limits({"": str(tmp_path)}, [("a", key)])


@pytest.mark.parametrize("module", [read_back, check_masks])
def test_an_array_that_no_memory_was_left_for_gets_no_verdict(
    monkeypatch: pytest.MonkeyPatch, scarce: None, module: Any
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("error during blosc decompression: -1")

    monkeypatch.setattr(module, "open_array", fails)
    with pytest.raises(Shortage):
        if module is read_back:
            read_back.read_back(Path("images"), _Volume())  # type: ignore[arg-type]
        else:
            check_masks._is_exact(Path("images"), _Volume(), None)  # type: ignore[arg-type]


class _Volume:
    array = mask = "a"


def test_a_frame_that_no_memory_was_left_for_gets_no_reason(scarce: None) -> None:
    for error in (MemoryError(), RuntimeError("cannot allocate"), Shortage(errno.ENOMEM)):

        class Decoder:
            confined = False

            def decode(self, *_: object, error: BaseException = error) -> np.ndarray:
                raise error

        with pytest.raises(Shortage):
            decoders.run(Decoder(), b"", None)  # type: ignore[arg-type]


def test_a_compressed_text_that_no_memory_was_left_for_is_not_taken_for_searched(scarce: None) -> None:
    def no_decoder() -> Any:
        class Decoder:
            eof = False

            def decompress(self, _: bytes) -> bytes:
                raise MemoryError

        return Decoder()

    with pytest.raises(Shortage):
        list(compressed._streamed(no_decoder, b"x" * 10, 0, lambda reason: None))


def test_memory_that_another_thread_takes_meanwhile_is_not_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed, mapped = 512 * MIB, iter(range(100 * MIB, 500 * MIB, MIB))
    monkeypatch.setattr(limits, "_allowed", [allowed])
    monkeypatch.setattr(limits, "mapped", lambda field=0: next(mapped))
    softs = {resource.RLIMIT_AS: allowed, resource.RLIMIT_DATA: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (softs[kind], softs[kind]))
    shortage.refuse(MemoryError())
