"""The environment in which all commands run: made once from a lock file, and locked while it is used.

The standard library alone: `run` imports this module before there is an environment.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from dicomzarr.commands.processes import Stopped, delayed_signals, say, stopped_by_signals
from dicomzarr.system.project import ROOT, SCRIPTS
from dicomzarr.vocabulary.errors import UserError

PLAIN, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
MINORS = range(11, 15)  # of the Pythons that fit; the oldest and newest are in `run`
RECIPE = "1"  # raise it when the way to make an environment changes: every environment is then rebuilt
MARK = ".dicomzarr"  # a file that says that the folder is ours to clear; also the lock file
NEED_DEV = ("test", "check")
LATER = ("view", "report")
OWN_FOLDER = "let DICOMZARR_VENV name a folder of your own, then start the same command again"


def ready(arguments: list[str]) -> tuple[str, list[str], dict[str, str]]:
    """Make the environment ready for a command.

    Parameters
    ----------
    arguments : list of str
        Of `run`: a word and its arguments, or those of Snakemake.

    Returns
    -------
    str
        The Python of the environment; a lock on it is held by this process, whatever program it becomes.
    list of str
        The arguments of that Python.
    dict
        Its environment variables, sealed off from other packages.

    Raises
    ------
    UserError
        If this version has no such word, or the environment cannot be made or used.
    Stopped
        If a signal came while it was made.
    """
    word = arguments[0] if arguments else ""
    if word in LATER:
        raise UserError(f"This version does not have `{word}` yet; a later one will")
    environment = Environment(Path(os.environ.get("DICOMZARR_VENV") or default_folder(ROOT)).absolute())
    environment.hold_current(DEV if word in NEED_DEV else PLAIN)
    python = environment.folder / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise UserError(f"{python} may not be started by this user: {OWN_FOLDER}")
    removed = ("PYTHONHOME", "PYTHONDONTWRITEBYTECODE")  # Snakemake starts three times faster from bytecode
    variables = {name: value for name, value in os.environ.items() if name not in removed}
    variables["PATH"] = str(python.parent) + os.pathsep + variables.get("PATH", os.defpath)
    variables |= {"VIRTUAL_ENV": str(environment.folder), "PYTHONNOUSERSITE": "1", "PYTHONPATH": str(SCRIPTS)}
    return str(python), ["-P", "-m", "dicomzarr.commands", *arguments], variables


def default_folder(root: Path) -> Path:
    """Return where the environment lies: beside `run`, or in the user's cache if that path has a space.

    Snakemake starts Python by an unquoted path.
    """
    beside = root / ".venv"
    name = f"venv-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"
    return Path.home() / ".cache" / "dicomzarr" / name if " " in str(beside) else beside


class Environment:
    """A folder with a Python and the packages of a lock file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder / MARK

    def hold_current(self, lock: Path) -> None:
        """Rebuild the environment unless it is current, and hold it as long as this process, or its children, live."""
        while True:
            if not self.is_current(lock):
                handle = self._lock(exclusive=True)
                if not self.is_current(lock):
                    with stopped_by_signals():
                        self._make(lock)
                os.close(handle)
            handle = self._lock(exclusive=False)
            if self.is_current(lock):  # nobody rebuilt it between the two locks
                return
            os.close(handle)

    def is_current(self, lock: Path) -> bool:
        """Return whether the environment was made, to the end, from this lock file.

        One that this user may not write could not be rebuilt: it may have been made by any Python that fits.
        """
        minors = [sys.version_info[1]] if os.access(self.folder, os.W_OK) else MINORS
        try:
            found = self.stamp(lock).read_text()
        except OSError:
            return False
        return any(found == stamp_of(lock, minor) for minor in minors)

    def stamp(self, lock: Path) -> Path:
        """Return the file that says from which lock file the environment was made."""
        return self.folder / f"{lock.name}.stamp"

    def _lock(self, *, exclusive: bool) -> int:
        """Lock the environment, shared to run a command in it, exclusive to make it; return the descriptor."""
        import fcntl

        if " " in str(self.folder):
            raise UserError(
                f"Snakemake cannot start Python from {self.folder}: let DICOMZARR_VENV name a path without spaces"
            )
        handle = self._open_mark(exclusive=exclusive)
        how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            why = "must be rebuilt, and is in use" if exclusive else "is being made"
            say(f"Waiting for {holder(handle)}: the environment {self.folder} {why}")
            fcntl.flock(handle, how)
        except OSError:
            pass  # a file system without locks; two simultaneous first launches are then the user's to avoid
        os.set_inheritable(handle, True)  # what we start or become holds it, also when this process is killed
        return handle

    def _open_mark(self, *, exclusive: bool) -> int:
        """Return a descriptor of the lock file: to use an environment, that need only be readable."""
        with suppress(FileNotFoundError):
            if not exclusive:
                return os.open(self.mark, os.O_RDONLY)
        try:
            is_ours = self.mark.exists() or not self.folder.exists()
            if not is_ours and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise UserError(
                    f"{self.folder} was not made by ./run: move it away, or let DICOMZARR_VENV name another folder"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            if os.access(self.folder, os.W_OK | os.X_OK):
                return os.open(self.mark, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if not isinstance(error, PermissionError) and error.errno != errno.EROFS:
                raise
        raise UserError(
            f"The environment {self.folder} is missing or out of date, and this user may not write there: {OWN_FOLDER}"
        )

    def _clear(self) -> None:
        """Remove the environment, stamps first, and leave the folder with its mark."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.suffix != ".stamp"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != self.mark:
                path.unlink()

    def _make(self, lock: Path) -> None:
        """Install the lock file with uv, or with venv and pip; the stamps come last."""
        if not (lock == DEV and self.is_current(PLAIN) and not self.stamp(DEV).exists()):  # else: add to what is there
            self._clear()
        began, uv = time.monotonic(), shutil.which("uv")
        how = "uv" if uv else "venv and pip"
        say(f"Making the environment {self.folder} with {how} (once; a few minutes at most)")
        if not (uv and self._make_with_uv(uv, lock)):
            self._make_with_pip(lock)
        for each in (PLAIN, DEV) if lock == DEV else (PLAIN,):  # the dev lock holds the plain one, version for version
            self.stamp(each).write_text(stamp_of(each))
        say(f"Environment ready after {time.monotonic() - began:.0f} s")

    def _make_with_uv(self, uv: str, lock: Path) -> bool:
        """Return whether uv installed the lock file."""
        python = str(self.folder / "bin" / "python")
        for step in (
            [uv, "venv", "--quiet", "--allow-existing", "--python", base_python(), str(self.folder)],
            [uv, "pip", "install", "--python", python, "--compile-bytecode", *options(lock)],
        ):
            if install(step) != 0:
                say(f"uv failed at `{' '.join(step[1:3])}`: trying venv and pip")
                self._clear()
                return False
        return True

    def _make_with_pip(self, lock: Path) -> None:
        from importlib.util import find_spec

        if not (find_spec("venv") and find_spec("ensurepip")):
            raise UserError(
                "Python's venv module is missing: `sudo apt install python3-venv` (Debian, Ubuntu), "
                "or install uv (docs.astral.sh/uv); then start again"
            )
        if install([base_python(), "-m", "venv", str(self.folder)]) != 0:
            raise UserError("`python3 -m venv` failed (see above): `sudo apt install python3-venv`, or install uv")
        pip = [str(self.folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        if install([*pip, *options(lock)]) != 0:
            raise UserError(
                f"pip could not install {lock.name} (see above): check the network, the proxy or the index that pip is "
                "set to, then start the same command again"
            )


def stamp_of(lock: Path, minor: int = sys.version_info[1]) -> str:
    """Return what the stamp of an environment holds that was made from a lock file by Python 3.`minor`."""
    facts = f"{RECIPE}\n3.{minor}\n{lock.read_text(encoding='utf-8')}"
    return hashlib.sha256(facts.encode()).hexdigest()


def options(lock: Path) -> list[str]:
    """Return the options with which pip and uv install a lock file."""
    return ["--quiet", "--require-hashes", "-r", str(lock)]


def base_python() -> str:
    """Return the path of this Python: never the one inside an environment that is cleared."""
    return getattr(sys, "_base_executable", None) or sys.executable


def holder(handle: int) -> str:
    """Return which process holds the lock on an open file, and since when it runs: the first, as far as Linux tells."""
    lock, found = f":{os.fstat(handle).st_ino} 0 EOF", list[tuple[int, str]]()
    with suppress(OSError):  # no /proc
        for process in (Path("/proc") / name for name in os.listdir("/proc") if name.isdigit()):
            with suppress(OSError):  # it ended, or is another user's
                if any(lock in path.read_text() for path in (process / "fdinfo").iterdir()):
                    ticks = int((process / "stat").read_text().rpartition(")")[2].split()[19])
                    found.append((ticks, process.name))
        if found:
            ticks, pid = min(found)
            booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
            return f"process {pid}, there since {time.ctime(booted + ticks / os.sysconf('SC_CLK_TCK')):.19}"
    return "another ./run"


def install(command: list[str]) -> int:
    """Run one step of making the environment, which holds the lock as well, and return its exit status.

    It has a session of its own, so that Ctrl-C reaches this process alone, which ends the step and all it started.
    """
    child = None
    try:
        with delayed_signals() as in_child:
            child = subprocess.Popen(  # no threads run here: a function may be called after the fork
                command,
                cwd=ROOT,
                stdout=sys.stderr,
                close_fds=False,
                start_new_session=True,
                preexec_fn=in_child,  # noqa: PLW1509
            )
        return child.wait()
    except Stopped:
        if child:
            with delayed_signals(), suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
                child.wait()
        raise
