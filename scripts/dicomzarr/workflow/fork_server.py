"""Run jobs in forks of one process that has imported what they need: `python -P fork_server.py DESCRIPTOR`.

Half of a small job is Python and its imports. Here they happen once per run, on another core than the start of
Snakemake. `snakemake_quirks/forked_jobs.py` is the other side, in the main process.

A job is a datagram with one descriptor on the control socket: a socket of its own. The server forks, and writes the id
of the new process to that socket. Only then does the main process send the job, as one line of JSON, which the new
process reads. At its end the server writes its status. So a job runs once, wherever one of the three is killed. A
process that has ended stays a zombie until the main process closes its socket: until then its id belongs to no other.

The server ends when the main process has, after its last job: jobs of a killed run end as they would alone, and the
next run waits for them. If the server is killed, its jobs die with it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

# Parts of what a script imports, before it: a job that comes meanwhile waits for one import at most.
_BEFORE = {
    "discover_files": ("snakemake.io", "numpy"),
    "plan_batches": ("numpy.ma",),
    "extract_batch": ("asyncio", "dicomzarr.arrays.write_masks", "dicomzarr.stages.extract_batch.masks"),
}
# Imported by functions of the stages in each run, most of them once they are needed; zarr in parts, as above.
_LATER = (
    "snakemake.logging",
    "snakemake.iocontainers",
    "blake3",
    "orjson",
    "fsspec",
    "numcodecs",
    "donfig",
    "zarr.api.asynchronous",
    "numcodecs.blosc",
    "google_crc32c",
    "imagecodecs",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "zarrs",
)
# The environment of a job as `workflow/job.py` changes it: numpy must start no threads here, since a fork has none.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}


class _Server:
    """The process that forks jobs.

    Parameters
    ----------
    control : socket
        Receives a descriptor for each job.
    path : list of str
        `sys.path` of a job, without the folder of its script.
    """

    def __init__(self, control: socket.socket, path: list[str]) -> None:
        self._control, self._path, self._open = control, path, True
        self._links: dict[int, socket.socket] = {}  # of processes that run, by their id
        self._ended: dict[int, int] = {}  # of zombies, by the descriptors of their sockets
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        self._descriptors = (self._woken, wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._selector = selectors.PollSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def serve(self, *, until_end: bool) -> bool:
        """Fork the jobs that wait; `until_end`: and those to come, until the main process and they have ended.

        Returns
        -------
        bool
            Whether there may be more.
        """
        while self._open or (until_end and (self._links or self._ended)):
            ready = self._selector.select(None if until_end else 0)
            for key, _ in ready:
                if key.fileobj is self._control:
                    self._accept()
                elif key.fileobj == self._woken:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._woken, 4096)
                else:
                    self._forget(key.fd)
            self._report()
            if not until_end and not ready:
                break
        return self._open

    def _accept(self) -> None:
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not descriptors:  # the main process has ended
            self._open = False
            self._selector.unregister(self._control)
            return
        link = socket.socket(fileno=descriptors[0])
        if _threads() != 1:  # a lock of another thread would be locked for ever in a fork
            link.close()  # the main process starts the job by itself
            return
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            link.close()
            return
        if pid == 0:
            self._become_job(link, server)
        self._links[pid] = link
        with contextlib.suppress(OSError):
            link.sendall(b"%d\n" % pid)

    def _report(self) -> None:
        """Write the status of each process that has ended to its socket."""
        for pid, link in list(self._links.items()):
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                continue
            status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            with contextlib.suppress(OSError):
                link.sendall(b"%d\n" % status)
            del self._links[pid]
            descriptor = link.detach()
            self._ended[descriptor] = pid
            self._selector.register(descriptor, selectors.EVENT_READ)

    def _forget(self, descriptor: int) -> None:
        """Reap a process whose socket the main process has closed."""
        self._selector.unregister(descriptor)
        os.close(descriptor)
        os.waitpid(self._ended.pop(descriptor), 0)

    def _become_job(self, link: socket.socket, server: int) -> NoReturn:
        """Be the process of a job: what a new process would have at its start, then its script."""
        from dicomzarr.system.parent_process import end_with_parent

        end_with_parent()
        if os.getppid() != server:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._control.close()
        for other in self._links.values():
            other.close()
        for descriptor in (*self._descriptors, *self._ended):
            os.close(descriptor)
        with link, link.makefile("rb") as stream:
            line = stream.readline()
        if not line.endswith(b"\n"):  # the main process was killed
            os._exit(1)
        job = json.loads(line)
        os.chdir(job["folder"])
        os.environ.clear()
        os.environ.update(job["environment"], **_ENVIRONMENT)
        gc.enable()
        script = job["script"]
        sys.argv[:], sys.path[:] = [script], [os.path.dirname(script), *self._path]
        _end(script)


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _end(script: str) -> NoReturn:
    """Run a script as the main program of this process, and end it as Python would, but for deleting each object."""
    status = 1
    try:
        runpy.run_path(script, run_name="__main__")
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException as error:  # as Python does: shown, and the status is 1
        from dicomzarr.system import shortage

        if lacking := shortage.described(error):
            print(f"{os.path.basename(script).split('.')[1]}: {lacking}", file=sys.stderr)
        elif not (isinstance(error, FileNotFoundError) and error.filename == script):
            traceback.print_exc()  # a script that is gone: Snakemake gave this job up, and says why
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]  # as in multiprocessing: waits for threads
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(status & 0xFF)


def _imports() -> list[str]:
    """Return the modules of the scripts that each run needs, in their order, and what they import later."""
    from dicomzarr.vocabulary.rules import RULES

    scripts = [name for rule in RULES if not rule.optional for name in (*_BEFORE.get(rule.name, ()), rule.name)]
    return ["dicomzarr.workflow.job", *scripts, *_LATER]


def _list_packages() -> None:
    """List the installed packages once: their versions are in the record of each job."""
    from dicomzarr.system.software import software

    with contextlib.suppress(Exception):  # a job that needs it says so
        software()


def main(arguments: list[str]) -> int:
    """Fork jobs until the main process ends."""
    path = list(sys.path)
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    os.environ.update(_ENVIRONMENT)
    server = _Server(socket.socket(fileno=int(arguments[0])), path)
    gc.disable()  # what is imported stays
    for module in _imports():
        if not server.serve(until_end=False):
            break
        with contextlib.suppress(Exception):  # a job that needs it says so
            importlib.import_module(module)
    _list_packages()
    # Without a collection, which takes as long as a small job and finds next to nothing; one in a fork would copy the
    # memory of all that is imported.
    gc.freeze()
    gc.enable()
    server.serve(until_end=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
