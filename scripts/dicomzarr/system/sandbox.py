"""Call functions that may die in a child process, so that only one call is lost: `call`, `each`, `call_again`.

The child is forked at the first call and answers one call after the other: a call costs about a tenth of a millisecond,
a new child about two. Each thread has a child of its own. What passes between the two lies in memory files; the pipes
only say how much there is. The child ends with its parent. Where hostile data are read it lives under the limits of
`dicomzarr.system.limits`.
"""

from __future__ import annotations

import contextlib
import ctypes
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

from dicomzarr.system import files, json_files, limits
from dicomzarr.system.limits import Limits
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import SetAside

DEATHS = 2  # of the child of a call, before `call_again` gives up
AHEAD = 4  # calls for each process that `each` hands out: what waits costs memory
_KEPT = 64 << 20  # bytes of a memory file that are worth keeping for the next call
_PR_SET_PDEATHSIG = 1  # prctl(2)

# What a call may end in, beside a value and a reason.
_VALUE, _ASIDE, _CHANGED, _STOPPED, _DISK, _FAULT = range(6)
# What a disk or a network answers that does not give what it has. No library that reads data raises these of itself.
DISK_ERRORS = frozenset(
    (errno.EIO, errno.EREMOTEIO, errno.ENODATA, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENOMEDIUM)
) | {errno.ENOTCONN, errno.ECONNABORTED, errno.ECONNRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN}


def end() -> None:
    """End the child of this thread, if it has one; the next call makes another."""
    child = _children.pop(_caller(), None)
    if child is not None:
        child.close()


def kill_all() -> None:
    """Kill the children of all threads, which then see a death; they may be waiting for an answer."""
    for (pid, _), child in list(_children.items()):
        if pid == os.getpid():
            child.kill()


def end_all() -> None:
    """End the children of all threads; those must have nothing to ask any more."""
    for caller in [caller for caller in _children if caller[0] == os.getpid()]:
        _children.pop(caller).close()


def _caller() -> tuple[int, int]:
    """Return who asks: a thread has a child of its own, and a fork none of its parent's."""
    return os.getpid(), threading.get_ident()


def call(function: Callable[..., Any], *arguments: Any, fault: str = "decode_error") -> Any:
    """Return what a function of a module returns, evaluated in the child.

    Parameters
    ----------
    function : callable
        Found by its name in the child; arguments and result are pickled, arrays are copied once each way.
    fault : str
        The reason code for any exception that is no reason of its own. Its text may quote the data and is dropped.

    Raises
    ------
    SetAside
        As the function, or `timeout`, `too_large`, `decoder_died`, or the code given.
    SourceChanged
        As the function.
    OSError
        As the function, if it is one of `DISK_ERRORS`: they say nothing about the data.
    """
    return _value_of(*_ask(limits.current(), function, arguments), fault)


def each(
    function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], processes: int
) -> Generator[tuple[tuple[Any, ...], Future[Any]]]:
    """Yield the arguments of each call and a future of its result, as they are done, by so many children at once.

    Parameters
    ----------
    function : callable
        Any: the children are forked from this process when this begins, and find it in their memory. Under no limits.
    calls : iterable of tuple
        The arguments, which are pickled.
    processes : int
        Children at once, each with a thread of this process that waits for it.

    Notes
    -----
    A future raises as `call` does: `SetAside` with ``decoder_died`` where the child died, which costs this call alone.
    Where the caller gives up, the children are killed.
    """
    pool = ThreadPool(max(processes, 1))
    left = iter(calls)
    waiting: dict[Future[Any], tuple[Any, ...]] = {}
    with _inherited(function) as number:

        def ask(arguments: tuple[Any, ...]) -> Any:
            return _value_of(*_ask(None, _call_inherited, (number, arguments)), "decode_error")

        try:
            while True:
                for arguments in itertools.islice(left, AHEAD * pool.threads - len(waiting)):
                    waiting[pool.submit(ask, arguments)] = arguments
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future
        except BaseException:
            running = [future for future in waiting if not future.cancel()]
            kill_all()
            while wait(running, timeout=0.1).not_done:
                kill_all()  # more than once: a thread may just be making a child
            raise
        finally:
            pool.close()
            end_all()


def call_again(work: Callable[[], Any]) -> Any:
    """Return what `work` returns, evaluated in a child of its own, and in another one where that is killed.

    Parameters
    ----------
    work : callable
        Any; under no limits. Where it raises in the child it is called again here, so that its error is reported as
        without a child.

    Raises
    ------
    Died
        If `DEATHS` children ended without an answer.
    """
    with _inherited(work) as number:
        for _ in range(DEATHS):
            end()  # an earlier child does not know this work
            try:
                kind, value = _ask(None, _call_inherited, (number, ()))
            except SetAside:
                continue
            end()
            return value if kind == _VALUE else work()
    raise Died


class Died(Exception):
    """The child ended without an answer as often as is allowed."""


class Notes:
    """The note of which series a batch works on.

    The system kills for want of memory without warning. A note that is still there when the batch is done again makes
    that series a suspect, whatever the cause was. A suspect is extracted by `call_again`, so that only a death of the
    child, with its parent alive, counts: a run that was killed whole blames no series.
    """

    def __init__(self, private: Path, batch: str) -> None:
        self._path = private / "attempts" / f"{batch}.json"
        files.make_private(self._path.parent)

    def suspect(self) -> str:
        """Return the series at which an earlier job of this batch was killed, or nothing."""
        try:
            return str(json_files.read_json(self._path)["series_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def begin(self, series_id: str) -> None:
        """Note a series. Not flushed to the disk: the note is about deaths of processes, not of machines."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._path, flags, files.PRIVATE_FILE)
        try:
            os.write(handle, json_files.canonical_json({"series_id": series_id}))
        finally:
            os.close(handle)

    def end(self) -> None:
        """Remove the note: the job was not killed."""
        self._path.unlink(missing_ok=True)


def _ask(budget: Limits | None, function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[int, Any]:
    """Return kind and value of the answer of this thread's child, which is forked if it has none with these limits."""
    child = _children.get(_caller())
    if child is None or child.limits != budget:
        end()
        with _making:
            child = _children[_caller()] = _Child(budget)
    try:
        return child.ask((function, arguments))
    except BaseException:
        end()
        raise


def _value_of(kind: int, value: Any, fault: str) -> Any:
    """Return the value of an answer, or raise what the function raised."""
    if kind == _VALUE:
        return value
    if kind == _ASIDE:
        code, found, needed = value
        raise SetAside(code, found=found, needed=needed)
    if kind == _CHANGED:
        raise SourceChanged(1)
    if kind == _DISK:
        raise OSError(value, os.strerror(value))
    if kind == _STOPPED:
        raise KeyboardInterrupt
    raise SetAside(fault)


# Functions that children forked from now on find in their memory: they need not be pickled.
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
        self.limits = budget
        self._inbox, self._outbox = os.memfd_create("calls"), os.memfd_create("answers")
        theirs_in, self._calls = os.pipe()
        self._answers, theirs_out = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child starts none, waits for none
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self._calls)
            os.close(self._answers)
            _serve(theirs_in, theirs_out, self._inbox, self._outbox, budget)
        os.close(theirs_in)
        os.close(theirs_out)

    def ask(self, request: Any) -> tuple[int, Any]:
        """Return kind and value of an answer.

        Raises
        ------
        SetAside
            `timeout` or `decoder_died` if the child ends without one; it is of no use afterwards.
        """
        body = pickle.dumps(request, 5)
        _put(self._inbox, [body])
        try:
            os.write(self._calls, b"%d" % len(body))
            sizes = os.read(self._answers, 64)
        except OSError:
            sizes = b""
        if not sizes:
            raise SetAside(limits.verdict(self._reap()))
        length, array = (int(size) for size in sizes.split())
        if length + array > os.fstat(self._outbox).st_size:
            raise SetAside("decoder_died")
        answer, buffer = np.empty(length, np.uint8), np.empty(array, np.uint8)
        _take(self._outbox, [answer, buffer])
        try:
            kind, value = pickle.loads(answer.data, buffers=[buffer])
        except Exception:  # what a decoder has trampled on
            raise SetAside("decoder_died") from None
        return kind, value

    def _reap(self) -> int:
        """Return the signal that ended the child, 0 if none did."""
        pid, self._pid = self._pid, 0
        if not pid:
            return 0
        _, status = os.waitpid(pid, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

    def kill(self) -> None:
        """Kill the child; it is of no use afterwards."""
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
# One after the other: a child that has the pipes of another one still open would keep its death a secret.
_making = threading.Lock()


def _serve(calls: int, answers: int, inbox: int, outbox: int, budget: Limits | None) -> NoReturn:
    """Answer calls until the parent is gone; never returns."""
    try:
        _making.release()  # held while forking, here by nobody: the child may have children of its own
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.disable()  # it writes to where it was told to, if someone told it
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)  # what a library says in dying is no one's to read
        sys.stdout = sys.stderr = os.fdopen(quiet, "w", closefd=False)  # wherever these led to
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
    """Evaluate a call; return the pickled answer, and the bytes of the array in it."""
    try:
        function, arguments = pickle.loads(request.data)
        value = function(*arguments)
        if isinstance(value, np.ndarray):
            held: list[pickle.PickleBuffer] = []
            body = pickle.dumps((_VALUE, np.ascontiguousarray(value)), 5, buffer_callback=held.append)
            return body, [buffer.raw() for buffer in held]
        return pickle.dumps((_VALUE, value), 5), []
    except SetAside as error:
        return pickle.dumps((_ASIDE, (error.code, error.found, error.needed))), []
    except SourceChanged:
        return pickle.dumps((_CHANGED, None)), []
    except OSError as error:
        is_of_the_disk = error.errno in DISK_ERRORS
        return pickle.dumps((_DISK, error.errno) if is_of_the_disk else (_FAULT, None)), []
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        return pickle.dumps((_STOPPED, None)), []
    except MemoryError:
        return pickle.dumps((_ASIDE, ("too_large", None, None))), []
    except BaseException:  # libraries written in Rust panic with a BaseException of their own
        return pickle.dumps((_FAULT, None)), []


def _bytes_of(buffer: Any) -> memoryview:
    view = memoryview(buffer)
    return view.cast("B") if view.nbytes else memoryview(b"")  # an array without cells cannot be cast


def _put(handle: int, pieces: list[Any]) -> None:
    """Write buffers to a memory file, one after the other, from its start."""
    total = sum(memoryview(piece).nbytes for piece in pieces)
    if total < _KEPT < os.fstat(handle).st_size:
        os.ftruncate(handle, 0)
    offset = 0
    for piece in pieces:
        view = _bytes_of(piece)
        while view:
            done = os.pwrite(handle, view, offset)
            view, offset = view[done:], offset + done


def _take(handle: int, buffers: list[Any]) -> None:
    """Fill buffers from a memory file, one after the other, from its start."""
    offset = 0
    for buffer in buffers:
        view = _bytes_of(buffer)
        while view:
            done = os.preadv(handle, [view], offset)
            if not done:
                raise SetAside("decoder_died")
            view, offset = view[done:], offset + done
