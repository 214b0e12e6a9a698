"""A crash, a hang, too much memory or output in the child costs one call."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from waiting import wait_until

from dicomzarr.system import limits, sandbox
from dicomzarr.system.limits import Limits
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import NotExtracted

SEALED = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}


@pytest.fixture(autouse=True)
def narrow() -> object:
    """A second of time and 64 MiB of memory."""
    before = limits.current()
    limits.use(Limits(seconds=1, megabytes=64))
    yield
    limits.use(before)


def spin() -> None:
    while True:
        pass


def ignore_what_can_be_ignored() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    spin()


def take_memory() -> None:
    bytearray(1 << 30)


def touch_memory() -> int:
    return len(bytes(16 << 20))


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1)


def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def babble() -> None:
    print("SMITH^JOHN", flush=True)
    print("SMITH^JOHN", file=sys.stderr, flush=True)
    os.write(1, b"SMITH^JOHN")
    os.write(2, b"SMITH^JOHN")
    raise ValueError("SMITH^JOHN")


def refuse() -> None:
    raise NotExtracted("frame_size_mismatch", found=3, needed=4)


def change() -> None:
    raise SourceChanged(1)


def fail(number: int) -> None:
    raise OSError(number, "SMITH^JOHN")


def interrupt() -> None:
    raise KeyboardInterrupt


def no_array() -> object:
    return {"a": [1, 2.5, "x", b"y", None]}


def limits_of_process() -> str:
    return Path("/proc/self/limits").read_text()


def pid() -> int:
    return os.getpid()


@pytest.mark.parametrize("number", sorted(sandbox.DISK_ERRORS))
def test_an_error_of_the_disk_is_not_blamed_on_the_data(number: int) -> None:
    with pytest.raises(OSError) as caught:
        sandbox.call(fail, number)
    assert caught.value.errno == number and "SMITH" not in str(caught.value)


def test_an_error_of_a_library_is_no_error_of_the_disk() -> None:
    for number in (None, errno.EINVAL):
        with pytest.raises(NotExtracted, match="decode_error"):
            sandbox.call(fail, number)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (os.abort, "decoder_died"),
        (segfault, "decoder_died"),
        (spin, "timeout"),
        (ignore_what_can_be_ignored, "timeout"),
        (take_memory, "too_large"),
        (recurse, "decode_error"),
        (babble, "decode_error"),
    ],
)
def test_one_call_is_lost_and_the_next_is_answered(
    function: object, code: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotExtracted) as caught:
        sandbox.call(function)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.__cause__ is None and "SMITH" not in repr(caught.value)
    assert sandbox.call(touch_memory) == 16 << 20
    assert capfd.readouterr() == ("", "")


def test_a_call_that_waits_too_long_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 1)
    limits.use(Limits(seconds=1, megabytes=65))  # a child of its own
    with pytest.raises(NotExtracted, match="timeout"):
        sandbox.call(time.sleep, 60)  # it would return without the limit


def test_a_child_that_waits_for_calls_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 1)
    limits.use(Limits(seconds=1, megabytes=66))
    first = sandbox.call(pid)
    time.sleep(2.5)  # longer than the 2 s that a call may wait
    assert sandbox.call(pid) == first


@pytest.mark.parametrize("shape", [(0,), (3, 5), (300, 400, 3)])
def test_arrays_are_returned_exactly_and_writable(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype="<i2").reshape(shape)
    transposed = sandbox.call(np.transpose, array)
    np.testing.assert_array_equal(transposed, array.T)
    transposed += 1


def test_reasons_changes_and_interrupts_are_passed_on() -> None:
    with pytest.raises(NotExtracted) as caught:
        sandbox.call(refuse)
    assert (caught.value.code, caught.value.found, caught.value.needed) == ("frame_size_mismatch", 3, 4)
    with pytest.raises(SourceChanged):
        sandbox.call(change)
    with pytest.raises(KeyboardInterrupt):
        sandbox.call(interrupt)
    assert sandbox.call(no_array) == no_array()


def test_the_child_writes_no_core() -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))  # what this process may
    try:
        limits.use(Limits(seconds=3, megabytes=64))
        table = sandbox.call(limits_of_process)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert any(line.split()[:5] == ["Max", "core", "file", "size", "0"] for line in table.split("\n"))


def test_a_program_that_takes_cores_gets_no_memory() -> None:
    limits.use(Limits(seconds=4, megabytes=64))
    assert int(sandbox.call(Path.read_text, Path("/proc/self/coredump_filter")), 16) == 0
    code = "from dicomzarr.system import limits; limits.dump_no_core(); import os; os.execvp('sh', ['sh', '-c', "
    code += "'ulimit -c; cat /proc/self/coredump_filter'])"
    printed = subprocess.run([sys.executable, "-c", code], env=SEALED, capture_output=True, text=True, check=True)
    assert [int(line, 16) for line in printed.stdout.split()] == [0, 0]


def has_ended(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_child_ends_with_its_parent() -> None:
    ours, theirs = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.write(theirs, str(sandbox.call(pid)).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    child = Path(f"/proc/{int(os.read(ours, 20))}/stat")
    wait_until(lambda: has_ended(child))


def test_other_limits_mean_another_child() -> None:
    first = sandbox.call(pid)
    assert sandbox.call(pid) == first != os.getpid()
    limits.use(Limits(seconds=2, megabytes=64))
    assert sandbox.call(pid) != first


# ---- Several calls at once, and calls that are tried again


def test_a_death_among_many_calls_costs_one_call() -> None:
    secret = object()  # children inherit it: it cannot be pickled

    def work(number: int) -> tuple[int, int]:
        assert secret is not None
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 5:
            raise ValueError("SMITH^JOHN")
        return number * number, os.getpid()

    results, codes = {}, {}
    for (number,), answer in sandbox.each(work, ((number,) for number in range(40)), 2):
        try:
            results[number] = answer.result()
        except NotExtracted as error:
            codes[number] = error.code
    assert codes == {3: "decoder_died", 5: "decode_error"}
    squares = {number: square for number, (square, _) in results.items()}
    assert squares == {n: n * n for n in range(40) if n not in (3, 5)}
    assert os.getpid() not in {process for _, process in results.values()}
    assert not sandbox._children and not sandbox._functions


def test_calls_run_at_the_same_time_and_without_limits() -> None:
    ours, theirs = os.pipe()

    def work(number: int) -> int:
        if number == 0:
            return len(os.read(ours, 1)) + len(bytearray(256 << 20))  # waits for the other call
        return os.write(theirs, b"x")

    answers = [answer.result() for _, answer in sandbox.each(work, [(0,), (1,)], 2)]
    assert sorted(answers) == [1, 1 + (256 << 20)]


def test_closing_the_generator_leaves_no_child() -> None:
    calls = sandbox.each(lambda number: time.sleep(60 * (number > 0)) or os.getpid(), ((n,) for n in range(9)), 2)
    _, answer = next(calls)
    calls.close()
    assert not sandbox._children
    with pytest.raises(ProcessLookupError):
        os.kill(answer.result(), 0)


def test_work_of_a_killed_child_is_retried_once(tmp_path: Path) -> None:
    tries = tmp_path / "tries"

    def work(deaths: int) -> list[str]:
        with open(tries, "a") as stream:
            stream.write(".")
        if tries.stat().st_size <= deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        return [sandbox.call(str, 7)]  # a child may have a child

    sandbox.call(pid)
    assert sandbox.call_again(lambda: work(1)) == ["7"]
    assert tries.stat().st_size == 2
    tries.unlink()
    with pytest.raises(sandbox.Died):
        sandbox.call_again(lambda: work(9))
    assert tries.stat().st_size == sandbox.DEATHS
    with pytest.raises(ValueError, match="in words"):
        sandbox.call_again(lambda: (_ for _ in ()).throw(ValueError("in words")))


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_whose_child_the_system_kills_is_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the kernel when memory runs out: which of the two it kills is chance, and no property of the file."""
    with pytest.raises(NotExtracted):
        sandbox.call(be_killed)
    monkeypatch.setattr(sandbox, "_shares_fate", [False])
    sandbox.share_fate()
    with pytest.raises(sandbox.Died):
        sandbox.call_again(lambda: sandbox.call(be_killed))
    with pytest.raises(NotExtracted) as caught:
        sandbox.call(segfault)
    assert caught.value.code == "decoder_died"
    sandbox.call(pid)
    sandbox.kill_all()
    with pytest.raises(NotExtracted):  # it was killed from here
        sandbox.call(pid)


def test_a_note_exists_until_the_job_ends(tmp_path: Path) -> None:
    notes = sandbox.Notes(tmp_path, "0001")
    assert notes.suspect() == ""
    notes.begin("0123456789abcdef")
    assert sandbox.Notes(tmp_path, "0001").suspect() == "0123456789abcdef"
    notes.end()
    assert notes.suspect() == ""
