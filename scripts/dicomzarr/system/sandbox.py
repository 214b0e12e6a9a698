"""Call functions that may crash in a child process, so that a crash costs one call: `call`, `each`, `call_again`.

The child is forked at the first call and serves one call after the other: a call costs about a tenth of a millisecond,
a new child about two. Each thread has a child of its own. Requests and answers are written to memory files; the pipes
only carry their sizes. The child ends with its parent. Where hostile data are read, the limits of
`dicomzarr.system.limits` apply to it.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import itertools
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from dicomzarr.system import files, json_files, limits, shortage
from dicomzarr.system.limits import Limits
from dicomzarr.system.parent_process import end_with_parent
from dicomzarr.system.shortage import Shortage
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import NotExtracted

DEATHS = 2  # children of a call that may die before `call_again` gives up
AHEAD = 4  # calls per process that `each` submits ahead: waiting results cost memory
_REUSED = 64 << 20  # bytes; a memory file up to this size is reused for the next call, a larger one is truncated

# Kinds of answer.
_VALUE, _REASON, _CHANGED, _STOPPED, _DISK, _FAULT, _SHORT = range(7)
# The disk of the results is full: no property of the file that is read.
DISK_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
# Errors of a disk or a network that does not return its data. Libraries that read data do not raise these themselves.
DISK_ERRORS = frozenset(
    (errno.EIO, errno.EREMOTEIO, errno.ENODATA, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENOMEDIUM)
) | {errno.ENOTCONN, errno.ECONNABORTED, errno.ECONNRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN}


def is_confined() -> bool:
    """Return whether this process is a child to which limits apply: what it calls needs no child of its own."""
    return _is_confined[0]


_is_confined = [False]


def share_fate() -> None:
    """Let this process, and those that it forks, be killed too if the system kills a child of it.

    When memory runs out, the kernel kills the job or the child that decodes for it, as it happens. The file is to blame
    for neither: `Notes` and `call_again` find out whether it happens again. No file can send SIGKILL.
    """
    _shares_fate[0] = True


_shares_fate = [False]


def end() -> None:
    """End the child of this thread, if it has one; the next call forks another."""
    child = _children.pop(_caller(), None)
    if child is not None:
        child.close()


def kill_all() -> None:
    """Kill the children of all threads; threads that wait for an answer then see that their child died."""
    for (pid, _), child in list(_children.items()):
        if pid == os.getpid():
            child.kill()


def end_all() -> None:
    """End the children of all threads; no thread may be waiting for an answer."""
    for caller in [caller for caller in _children if caller[0] == os.getpid()]:
        _children.pop(caller).close()


def _caller() -> tuple[int, int]:
    """Return the key of the calling thread: each thread has its own child, and a fork has none of its parent's."""
    return os.getpid(), threading.get_ident()


def call(function: Callable[..., Any], *arguments: Any, fault: str = "decode_error", alone: bool = False) -> Any:
    """Call a function of a module in the child of this thread, and return its result.

    Parameters
    ----------
    function : callable
        Pickled by name. Arguments and result are pickled too; arrays are copied once each way.
    *arguments : object
        Arguments of the function.
    fault : str
        Reason code for any other exception. Its text may quote the data and is dropped.
    alone : bool
        The death of the child costs this call only, whoever kills it: see `share_fate`.

    Raises
    ------
    NotExtracted
        As raised by the function; or with `timeout`, `too_large`, `decoder_died`, or the code `fault`.
    SourceChanged
        As raised by the function.
    OSError
        As raised by the function, if it is one of `DISK_ERRORS` or `DISK_FULL`: those are not caused by the data.
    Shortage
        If the system withholds memory, processes or open files from the child.
    """
    return _value_of(*_ask(limits.current(), function, arguments, alone=alone), fault)


def each(
    function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], processes: int
) -> Generator[tuple[tuple[Any, ...], Future[Any]]]:
    """Call a function in several children at once; yield the arguments and a future of each call as it ends.

    Parameters
    ----------
    function : callable
        Any callable: the children are forked afterwards and inherit it. No limits apply.
    calls : iterable of tuple
        Arguments of each call; they are pickled.
    processes : int
        Number of children, each with a thread of this process that waits for it.

    Yields
    ------
    tuple of tuple and Future
        The future raises as `call` does; `NotExtracted` with ``decoder_died`` if the child died, which costs one call.

    Notes
    -----
    If the caller closes the generator, the children are killed.
    """
    pool = ThreadPool(max(processes, 1))
    remaining = iter(calls)
    waiting: dict[Future[Any], tuple[Any, ...]] = {}
    with _inherited(function) as number:

        def ask(arguments: tuple[Any, ...]) -> Any:
            return _value_of(*_ask(None, _call_inherited, (number, arguments)), "decode_error")

        try:
            while True:
                for arguments in itertools.islice(remaining, AHEAD * pool.threads - len(waiting)):
                    waiting[pool.submit(ask, arguments)] = arguments
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future
        except BaseException:
            running = [future for future in waiting if not future.cancel()]
            kill_all()
            while wait(running, timeout=0.1).not_done:
                kill_all()  # more than once: a thread may be forking a child at this moment
            raise
        finally:
            pool.close()
            end_all()


def call_again(work: Callable[[], Any]) -> Any:
    """Call `work` in a new child, and in another one if that dies; return its result.

    Parameters
    ----------
    work : callable
        Any callable; no limits apply. If it raises in the child it is called once more in this process, so that its
        error is reported as usual.

    Raises
    ------
    Died
        If `DEATHS` children ended without an answer.
    """
    with _inherited(work) as number:
        for _ in range(DEATHS):
            end()  # a child that was forked earlier did not inherit this work
            try:
                kind, value = _ask(None, _call_inherited, (number, ()), alone=True)
            except NotExtracted:
                continue
            end()
            if kind == _SHORT:
                raise Shortage(value)
            return value if kind == _VALUE else work()
    raise Died


class Died(Exception):
    """`DEATHS` children ended without an answer."""


class Notes:
    """A file that names the series on which a batch is working.

    The kernel kills processes without warning when memory runs out. If the note still exists when the batch starts
    again, its series is suspected. A suspect is extracted by `call_again`: only a death of the child while the parent
    lives counts, so that killing a whole run blames no series.
    """

    def __init__(self, private: Path, batch: str) -> None:
        self._path = private / "attempts" / f"{batch}.json"
        files.make_private(self._path.parent)

    def suspect(self) -> str:
        """Return the series at which an earlier job of this batch was killed; empty if there is none."""
        try:
            return str(json_files.read_json(self._path)["series_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def begin(self, series_id: str) -> None:
        """Note a series. Not flushed to the disk: the note must survive a killed process, not a crashed machine."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._path, flags, files.PRIVATE_FILE)
        try:
            os.write(handle, json_files.canonical_json({"series_id": series_id}))
        finally:
            os.close(handle)

    def end(self) -> None:
        """Remove the note: the job was not killed."""
        self._path.unlink(missing_ok=True)


def _ask(
    budget: Limits | None, function: Callable[..., Any], arguments: tuple[Any, ...], *, alone: bool = False
) -> tuple[int, Any]:
    """Return kind and value of an answer from this thread's child; fork one if there is none with these limits."""
    child = _children.get(_caller())
    if child is None or child.limits != budget:
        end()
        with _forking:
            child = _children[_caller()] = _Child(budget)
    try:
        return child.ask((function, arguments), alone=alone)
    except BaseException:
        end()
        raise


def _value_of(kind: int, value: Any, fault: str) -> Any:
    """Return the value of an answer, or raise what the function raised."""
    if kind == _VALUE:
        return value
    if kind == _REASON:
        code, found, needed = value
        raise NotExtracted(code, found=found, needed=needed)
    if kind == _CHANGED:
        raise SourceChanged(1)
    if kind == _DISK:
        raise OSError(value, os.strerror(value))
    if kind == _STOPPED:
        raise KeyboardInterrupt
    if kind == _SHORT:
        raise Shortage(value)
    raise NotExtracted(fault)


# Functions that children inherit when they are forked: they need not be pickled.
_functions: dict[int, Callable[..., Any]] = {}
_numbers = itertools.count()


@contextlib.contextmanager
def _inherited(function: Callable[..., Any]) -> Generator[int]:
    number = next(_numbers)
    _functions[number] = function
    try:
        yield number
    finally:
        del _functions[number]


def _call_inherited(number: int, arguments: tuple[Any, ...]) -> Any:
    return _functions[number](*arguments)


class _Child:
    """A forked process that answers calls."""

    def __init__(self, budget: Limits | None) -> None:
        self.limits, self._is_ended = budget, False
        self._inbox, self._outbox = os.memfd_create("calls"), os.memfd_create("answers")
        theirs_in, self._calls = os.pipe()
        self._answers, theirs_out = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about forks with threads: the child uses none
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self._calls)
            os.close(self._answers)
            _serve(theirs_in, theirs_out, self._inbox, self._outbox, budget)
        os.close(theirs_in)
        os.close(theirs_out)

    def ask(self, request: Any, *, alone: bool = False) -> tuple[int, Any]:
        """Return kind and value of an answer.

        Raises
        ------
        NotExtracted
            `timeout` or `decoder_died` if the child ends without one; it cannot be used afterwards.
        """
        body = pickle.dumps(request, 5)
        _put(self._inbox, [body])
        try:
            os.write(self._calls, b"%d" % len(body))
            sizes = os.read(self._answers, 64)
        except OSError:
            sizes = b""
        if not sizes:
            number = self._reap()
            if number == signal.SIGKILL and _shares_fate[0] and not (alone or self._is_ended):
                os.kill(os.getpid(), signal.SIGKILL)
            reason = limits.verdict(number)
            shortage.refuse(child=self.limits.memory if self.limits else 0)  # libraries may abort for lack of memory
            raise NotExtracted(reason)
        length, array = (int(size) for size in sizes.split())
        if length + array > os.fstat(self._outbox).st_size:
            raise NotExtracted("decoder_died")
        answer, buffer = np.empty(length, np.uint8), np.empty(array, np.uint8)
        _take(self._outbox, [answer, buffer])
        try:
            kind, value = pickle.loads(answer.data, buffers=[buffer])
        except Exception:  # a decoder may have overwritten the answer
            raise NotExtracted("decoder_died") from None
        return kind, value

    def _reap(self) -> int:
        """Return the signal that ended the child, 0 if none did."""
        pid, self._pid = self._pid, 0
        if not pid:
            return 0
        _, status = os.waitpid(pid, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

    def kill(self) -> None:
        """Kill the child; it cannot be used afterwards."""
        self._is_ended = True
        if pid := self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End the child."""
        self.kill()
        self._reap()
        for handle in (self._inbox, self._outbox, self._calls, self._answers):
            os.close(handle)


_children: dict[tuple[int, int], _Child] = {}
# Fork one child at a time: a child that inherits an open pipe of another one would hide that child's death.
_forking = threading.Lock()


def _serve(calls: int, answers: int, inbox: int, outbox: int, budget: Limits | None) -> NoReturn:
    """Serve calls until the parent ends; never returns."""
    try:
        _is_confined[0] = budget is not None
        _forking.release()  # locked during the fork, by a thread that does not exist here; this child may fork too
        end_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.disable()  # it may have been enabled with a file of its own
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)  # messages of a crashing library may quote a header
        sys.stdout = sys.stderr = os.fdopen(devnull, "w", closefd=False)  # they may have been redirected in Python
        if budget is None:
            limits.dump_no_core()
        else:
            budget.confine()
        while size := os.read(calls, 64):
            request = np.empty(int(size), np.uint8)
            _take(inbox, [request])
            with budget.budget() if budget else contextlib.nullcontext():
                answer, buffers = _answer(request)
            del request
            _put(outbox, [answer, *buffers])
            os.write(answers, b"%d %d" % (len(answer), sum(buffer.nbytes for buffer in buffers)))
            del answer, buffers
    finally:
        os._exit(0)


def _answer(request: Any) -> tuple[bytes, list[memoryview]]:
    """Serve a call; return the pickled answer, and the bytes of the array in it."""
    try:
        return _called(request)
    except Shortage as lack:
        return pickle.dumps((_SHORT, lack.number)), []


def _called(request: Any) -> tuple[bytes, list[memoryview]]:
    """Return the pickled answer to a call; raise `Shortage` where it failed for a lack that is not the data's."""
    try:
        function, arguments = pickle.loads(request.data)
        value = function(*arguments)
        if isinstance(value, np.ndarray):
            buffers: list[pickle.PickleBuffer] = []
            body = pickle.dumps((_VALUE, np.ascontiguousarray(value)), 5, buffer_callback=buffers.append)
            return body, [buffer.raw() for buffer in buffers]
        return pickle.dumps((_VALUE, value), 5), []
    except NotExtracted as error:
        return pickle.dumps((_REASON, (error.code, error.found, error.needed))), []
    except SourceChanged:
        return pickle.dumps((_CHANGED, None)), []
    except OSError as error:
        shortage.refuse(error)
        is_disk_error = error.errno in DISK_ERRORS | DISK_FULL
        return pickle.dumps((_DISK, error.errno) if is_disk_error else (_FAULT, None)), []
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        return pickle.dumps((_STOPPED, None)), []
    except Shortage:
        raise
    except MemoryError:
        shortage.refuse()
        return pickle.dumps((_REASON, ("too_large", None, None))), []
    except BaseException as error:  # a panic in a Rust library raises a BaseException
        shortage.refuse(error)
        return pickle.dumps((_FAULT, None)), []


def _bytes_of(buffer: Any) -> memoryview:
    view = memoryview(buffer)
    return view.cast("B") if view.nbytes else memoryview(b"")  # an empty array cannot be cast


def _put(handle: int, pieces: list[Any]) -> None:
    """Write buffers to a memory file, one after the other, from its start."""
    total = sum(memoryview(piece).nbytes for piece in pieces)
    if total < _REUSED < os.fstat(handle).st_size:
        os.ftruncate(handle, 0)
    offset = 0
    for piece in pieces:
        view = _bytes_of(piece)
        while view:
            count = os.pwrite(handle, view, offset)
            view, offset = view[count:], offset + count


def _take(handle: int, buffers: list[Any]) -> None:
    """Fill buffers from a memory file, one after the other, from its start."""
    offset = 0
    for buffer in buffers:
        view = _bytes_of(buffer)
        while view:
            count = os.preadv(handle, [view], offset)
            if not count:
                raise NotExtracted("decoder_died")
            view, offset = view[count:], offset + count
