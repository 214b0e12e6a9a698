"""The Python environment of all commands: made once from a lock file, and locked while a command runs in it.

Standard library only: `run` imports this module before the environment exists.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dicomzarr.commands.launcher import home
from dicomzarr.commands.launcher.processes import Stopped, delayed_signals, say, stopped_by_signals
from dicomzarr.system.project import ROOT, SCRIPTS
from dicomzarr.vocabulary.errors import UserError

PLAIN, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
BUILD = ROOT / "envs" / "build.lock"  # what builds the packages of PLAIN that are no wheels
PLUGINS = "DICOMZARR_PLUGINS"  # environment variable: a folder of plugins for Snakemake
SLURM = ROOT / "envs" / "slurm.lock"  # packages in a folder of their own, for commands that ask for Slurm
MINORS = range(11, 15)  # minor versions of supported Pythons; the oldest and newest are in `run`
COMPILING = range(14, 15)  # those for which a package of the lock, immutables, has no wheel
RECIPE = "1"  # increase it if environments must be made in another way: every environment is then rebuilt
MARK = ".dicomzarr"  # file that marks the folder as made by `run`, which may clear it; also the lock file
NEED_DEV = ("test", "check")
# A Python is built without these where libraries are missing.
NEED_OF_PYTHON = ("_bz2", "_ctypes", "_lzma", "_ssl", "zlib")
LITTLE = 50_000_000  # bytes; the next file of a package had no room on a disk that has no more left
OWN_FOLDER = "set DICOMZARR_VENV to a folder of your own, then run the same command again"


def ready(arguments: list[str]) -> tuple[str, list[str], dict[str, str]]:
    """Make the environment ready for a command.

    Parameters
    ----------
    arguments : list of str
        A command of `run` and its arguments, or arguments of Snakemake.

    Returns
    -------
    str
        The Python of the environment. This process holds a lock on the environment, also after `exec`.
    list of str
        The arguments of that Python.
    dict
        Its environment variables, without packages of the user.

    Raises
    ------
    UserError
        If the environment cannot be made or used.
    Stopped
        If a signal was received while it was made.
    """
    command = arguments[0] if arguments else ""
    environment = Environment(Path(os.environ.get("DICOMZARR_VENV") or default_folder(ROOT)).absolute())
    environment.make_and_lock(DEV if command in NEED_DEV else PLAIN)
    python = environment.folder / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise UserError(f"{python} is not executable by this user: {OWN_FOLDER}")
    removed = ("PYTHONHOME", "PYTHONDONTWRITEBYTECODE")  # Snakemake starts three times faster from bytecode
    variables = {name: value for name, value in os.environ.items() if name not in removed}
    variables["PATH"] = str(python.parent) + os.pathsep + variables.get("PATH", os.defpath)
    variables |= {"VIRTUAL_ENV": str(environment.folder), "PYTHONNOUSERSITE": "1", "PYTHONPATH": str(SCRIPTS)}
    variables |= home.of_a_nameless_user(os.environ)
    if asks_for_slurm(arguments, os.environ, Path()):
        environment.add_slurm()
        variables[PLUGINS] = str(environment.slurm)
        variables["PYTHONPATH"] += os.pathsep + variables[PLUGINS]  # its options are looked up before Snakemake starts
    return str(python), ["-P", "-m", "dicomzarr.commands", *arguments], variables


def asks_for_slurm(arguments: list[str], variables: Mapping[str, str], folder: Path) -> bool:
    """Return whether a command asks for Slurm: an option names it, or its profile, or the default profile, does.

    Parameters
    ----------
    arguments : list of str
        Of Snakemake.
    variables : mapping of str to str
        `SNAKEMAKE_PROFILE` names a profile.
    folder : Path
        Where Snakemake starts: it looks for profiles there.
    """
    if any(re.match(r"(-e=?|--executor=)?slurm$|--slurm", argument) for argument in arguments):
        return True
    named = [value for argument in arguments for value in argument.split("=")]
    profiles = [folder / name for name in [*named, variables.get("SNAKEMAKE_PROFILE", "")] if name]
    for profile in [*profiles, folder / "profiles" / "default", ROOT / "profiles" / "default"]:
        with suppress(OSError, ValueError):  # not every argument can be a path
            for file in profile.glob("config*.yaml") if profile.is_dir() else ():
                if re.search(r"^executor: *slurm", file.read_text("utf-8", "replace"), re.MULTILINE):
                    return True
    return False


def default_folder(root: Path) -> Path:
    """Return the folder of the environment: beside `run`, or in the user's cache if it cannot be there.

    Snakemake does not quote the path of Python, so that it may have no space; and an environment needs links, which
    exFAT does not have.
    """
    beside = root / ".venv"
    if " " not in str(beside) and (os.path.lexists(beside / "bin" / "python") or _has_links(root)):
        return beside
    return Path(
        os.path.expanduser("~"), ".cache", "dicomzarr", f"venv-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"
    )


def _has_links(folder: Path) -> bool:
    """Return whether the file system of a folder has symbolic links; also where that cannot be tried."""
    link = folder / f".link.{os.getpid()}"
    try:
        link.symlink_to("target")
        link.unlink()
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
    return True


class Environment:
    """A folder with a Python and the packages of a lock file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder / MARK

    def make_and_lock(self, lock: Path) -> None:
        """Make the environment unless it is current, and lock it as long as this process, or a child, lives."""
        while True:
            if not self.is_current(lock):
                handle = self._lock(exclusive=True)
                if not self.is_current(lock):
                    with stopped_by_signals():
                        self._make(lock)
                os.close(handle)
            handle = self._lock(exclusive=False)
            if self.is_current(lock):  # another process may have rebuilt it between the two locks
                return
            os.close(handle)

    @property
    def slurm(self) -> Path:
        """The folder of the packages for Slurm."""
        return self.folder / "slurm"

    def add_slurm(self) -> None:
        """Install the packages for Slurm unless they are there; the caller has a lock on the environment."""
        stamp = self.slurm / f"{SLURM.name}.stamp"
        with suppress(OSError):
            if stamp.read_text() == stamp_of(SLURM):
                return
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise UserError(
                f"The environment {self.folder} lacks the executor for Slurm, and this user cannot write there: "
                f"{OWN_FOLDER}"
            )
        say("Adding the executor for Slurm to the environment (once)")
        beside, python = self.folder / f"slurm.{os.getpid()}", str(self.folder / "bin" / "python")
        uv = shutil.which("uv")
        first = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
        try:
            with stopped_by_signals():
                if not uv:
                    self._ensure_pip()
                status = install([*first, "--no-deps", "--target", str(beside), *options(SLURM)])
            if status != 0:
                raise UserError(
                    f"{SLURM.name} could not be installed (see above): check the network, the proxy and pip's package "
                    "index, then run the same command again"
                )
            (beside / stamp.name).write_text(stamp_of(SLURM))
            shutil.rmtree(self.slurm, ignore_errors=True)  # of another lock file
            with suppress(OSError):  # another process was faster
                beside.rename(self.slurm)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def is_current(self, lock: Path) -> bool:
        """Return whether the environment was made completely from this lock file.

        If this user cannot rebuild it, any supported Python may have made it.
        """
        minors = [sys.version_info[1]] if os.access(self.folder, os.W_OK) else MINORS
        if self._lost_its_python():
            return False
        try:
            stamp = self.stamp(lock).read_text()
        except OSError:
            return False
        return any(stamp == stamp_of(lock, minor) for minor in minors)

    def _lost_its_python(self) -> bool:
        """Return whether the Python that the environment links to was removed, as with another conda environment."""
        try:
            (self.folder / "bin" / "python").stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # this user cannot look at it
            return False
        return False

    def stamp(self, lock: Path) -> Path:
        """Return the path of the file that records from which lock file the environment was made."""
        return self.folder / f"{lock.name}.stamp"

    def _lock(self, *, exclusive: bool) -> int:
        """Lock the environment, shared to run a command, exclusive to make it; return the file descriptor."""
        import fcntl

        if " " in str(self.folder):
            raise UserError(
                f"Snakemake cannot start Python from {self.folder}: set DICOMZARR_VENV to a path without spaces"
            )
        handle = self._open_mark(exclusive=exclusive)
        operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(handle, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            reason = "must be rebuilt, and is in use" if exclusive else "is being made"
            say(f"Waiting for {holder(handle)}: the environment {self.folder} {reason}")
            fcntl.flock(handle, operation)
        except OSError:
            pass  # a file system without locks: the user must not start two first launches at once
        os.set_inheritable(handle, True)  # children, and the program after `exec`, keep the lock
        return handle

    def _open_mark(self, *, exclusive: bool) -> int:
        """Return a file descriptor of the lock file; read-only is enough to use an environment."""
        with suppress(FileNotFoundError):
            if not exclusive:
                return os.open(self.mark, os.O_RDONLY)
        try:
            is_ours = self.mark.exists() or not self.folder.exists()
            if not is_ours and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise UserError(
                    f"{self.folder} was not made by ./run: move it away, or set DICOMZARR_VENV to another folder"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            if os.access(self.folder, os.W_OK | os.X_OK):
                return os.open(self.mark, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if not isinstance(error, PermissionError) and error.errno != errno.EROFS:
                raise
        raise UserError(
            f"The environment {self.folder} is missing or out of date, and this user cannot write there: {OWN_FOLDER}"
        )

    def _clear(self) -> None:
        """Empty the folder of the environment, stamps first; its mark stays."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.suffix != ".stamp"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != self.mark:
                path.unlink()

    def _make(self, lock: Path) -> None:
        """Install the packages of a lock file with uv, or with venv and pip; write the stamps last."""
        refuse_incomplete_python()
        is_there = lock == DEV and self.is_current(PLAIN) and not self.stamp(DEV).exists()
        if not is_there:
            self._clear()
        began, uv = time.monotonic(), shutil.which("uv")
        installer = "uv" if uv else "pip" if is_there else "venv and pip"
        doing = "Adding the tools of the tests to" if is_there else "Making"
        say(f"{doing} the environment {self.folder} with {installer} (once; a few minutes at most)")
        if not (uv and self._make_with_uv(uv, lock, is_there=is_there)):
            self._make_with_pip(lock, is_there=is_there)
        for installed in (PLAIN, DEV) if lock == DEV else (PLAIN,):  # the dev lock has all pins of the plain one
            self.stamp(installed).write_text(stamp_of(installed))
        say(f"Environment ready after {time.monotonic() - began:.0f} s")

    def _make_with_uv(self, uv: str, lock: Path, *, is_there: bool) -> bool:
        """Try to install the packages of a lock file with uv; return whether it succeeded.

        An environment that is there keeps its Python: this one may be another, whose modules do not fit.
        """
        python = str(self.folder / "bin" / "python")
        make = [uv, "venv", "--quiet", "--allow-existing", "--python", base_python(), str(self.folder)]
        add = [uv, "pip", "install", "--python", python, "--compile-bytecode", "--build-constraints", str(BUILD)]
        add += options(lock)
        for step in [add] if is_there else [make, add]:
            if install(step) != 0:
                say(f"uv failed at `{' '.join(step[1:3])}`: trying {'pip' if is_there else 'venv and pip'}")
                if not is_there:
                    self._clear()
                return False
        return True

    def _make_with_pip(self, lock: Path, *, is_there: bool) -> None:
        """Install the packages of a lock file with pip, and before them what builds those that are no wheels."""
        from importlib.util import find_spec

        if is_there:
            self._ensure_pip()
        elif not (find_spec("venv") and find_spec("ensurepip")):
            raise UserError(
                "Python's venv module is missing: `sudo apt install python3-venv` (Debian, Ubuntu), "
                "or install uv (docs.astral.sh/uv); then run the same command again"
            )
        elif install([base_python(), "-m", "venv", str(self.folder)]) != 0:
            raise UserError("`python3 -m venv` failed (see above): `sudo apt install python3-venv`, or install uv")
        pip = [str(self.folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        plain = [] if is_there else [(BUILD, pip), (PLAIN, [*pip, "--no-build-isolation"])]
        for file, command in [*plain, (DEV, pip)] if lock == DEV else plain:
            if install([*command, *options(file)]) != 0:
                advice = f"{cause_of_failure(self.folder)}, then run the same command again"
                raise UserError(f"pip could not install {file.name} (see above): {advice}")

    def _ensure_pip(self) -> None:
        """Add pip to an environment that uv made, and that has none."""
        if not (self.folder / "bin" / "pip").exists():
            install([str(self.folder / "bin" / "python"), "-m", "ensurepip"])


def stamp_of(lock: Path, minor: int = sys.version_info[1]) -> str:
    """Return the content of the stamp of an environment: a digest of the lock file and of Python 3.`minor`."""
    facts = f"{RECIPE}\n3.{minor}\n{lock.read_text(encoding='utf-8')}"
    return hashlib.sha256(facts.encode()).hexdigest()


def options(lock: Path) -> list[str]:
    """Return the options of pip and uv to install the packages of a lock file."""
    return ["--quiet", "--require-hashes", "-r", str(lock)]


def cause_of_failure(folder: Path, minor: int = sys.version_info[1]) -> str:
    """Return what to do where packages cannot be installed in a folder for Python 3.`minor`."""
    if shutil.disk_usage(folder).free < LITTLE:
        return f"the disk of {folder} is full, and the environment takes 0.65 GB: make room"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    can_compile = shutil.which(compiler) and Path(sysconfig.get_path("include"), "Python.h").exists()
    if minor in COMPILING and not can_compile:
        return (
            f"Python 3.{minor} has to compile a package: `sudo apt install build-essential python3-dev` "
            f"(Debian, Ubuntu), or install Python 3.{min(COMPILING) - 1}"
        )
    return "check the network, the proxy, its certificate (PIP_CERT) and pip's package index (docs/installation.md)"


def refuse_incomplete_python() -> None:
    """Raise UserError if this Python was built without a module that the commands need, as pyenv may do."""
    from importlib.util import find_spec

    lacks = [name.lstrip("_") for name in NEED_OF_PYTHON if not find_spec(name)]
    if lacks:
        raise UserError(
            f"the Python {base_python()} was built without {' and '.join(lacks)}: start ./run with another one, or "
            "build it again after `sudo apt install libbz2-dev libffi-dev liblzma-dev libssl-dev zlib1g-dev` (Debian, "
            "Ubuntu)"
        )


def base_python() -> str:
    """Return the path of this Python outside of any environment, since that may be cleared."""
    return getattr(sys, "_base_executable", None) or sys.executable


def holder(handle: int) -> str:
    """Return the oldest process that holds the lock on an open file, and its start time, if /proc shows them."""
    lock, holders = f":{os.fstat(handle).st_ino} 0 EOF", list[tuple[int, str]]()
    with suppress(OSError):  # no /proc
        for process in (Path("/proc") / name for name in os.listdir("/proc") if name.isdigit()):
            with suppress(OSError):  # it has ended, or belongs to another user
                if any(lock in path.read_text() for path in (process / "fdinfo").iterdir()):
                    ticks = int((process / "stat").read_text().rpartition(")")[2].split()[19])
                    holders.append((ticks, process.name))
        if holders:
            ticks, pid = min(holders)
            booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
            return f"process {pid}, started at {time.ctime(booted + ticks / os.sysconf('SC_CLK_TCK')):.19}"
    return "another ./run"


def install(command: list[str]) -> int:
    """Run one step of making the environment and return its exit status; the child inherits the lock.

    The child has its own session, so that Ctrl-C reaches only this process, which then ends all processes of the step.
    """
    child = None
    try:
        with delayed_signals() as in_child:
            child = subprocess.Popen(  # preexec_fn is safe: this process has no threads
                command,
                cwd=ROOT,
                env=os.environ | {"PIP_USE_PEP517": "1"},  # pip 23.0 builds in another way where `wheel` is missing
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
