"""Notice a run of another host: NFS with local locks and sshfs do not show its file lock.

While a run lasts, it touches `run.lock`, which names its host and the boot of that host. When it ends it takes the boot
out. Whoever takes the lock and finds the boot of another host in it watches the file: if its time changes, that run is
alive. No clocks of two hosts are compared, so that a wrong clock does no harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

EVERY = 5.0  # seconds between two touches
# Seconds to watch: longer than clients of network file systems cache a file's time (sshfs: 20 s).
WATCHED = 30.0
_DEAD_AFTER = 86_400.0  # seconds: an older touch is not watched; longer than clocks and time zones differ
_BYTES = 1000  # of the longest owner


def boot_id() -> str:
    """Return what identifies this boot of this host; its name where the system has no such id."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return os.uname().nodename


def owner_now(since: str, *, shared: bool) -> dict[str, Any]:
    """Return this process as the owner of the lock since the time that is given."""
    return {"pid": os.getpid(), "since": since, "host": os.uname().nodename, "boot": boot_id(), "shared": shared}


def read_owner(lock: Path) -> dict[str, Any]:
    """Return the owner in a lock file; empty if it has none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            owner = json.loads(os.pread(handle, _BYTES, 0))
        finally:
            os.close(handle)
        if isinstance(owner, dict) and "pid" in owner and "since" in owner:
            return owner
    return {}


def in_words(owner: dict[str, Any], *, with_host: bool = False) -> str:
    """Return process and time of an owner for a message."""
    host = f" of host {owner.get('host', 'unknown')}" if with_host else ""
    return f"process {owner['pid']}{host} since {owner['since']}"


def alive_elsewhere(lock: Path, *, has_locks: bool, shared: bool = False) -> str:
    """Return the owner of a lock in words, if it is a living run that the file lock does not show; else empty.

    A run that was killed on this host is known to be dead at once. One on another host is watched for `WATCHED`
    seconds, with a note. No file is changed.

    Parameters
    ----------
    lock : Path
        The lock file, which this process could lock.
    has_locks : bool
        Whether the file system has locks: without, a living process of this host counts as well.
    shared : bool
        Whether this process only reads: then an owner that only reads does not count.
    """
    owner = read_owner(lock)
    if not _may_live(owner, has_locks=has_locks) or (shared and owner.get("shared")):
        return ""
    first = _touched(lock)
    if time.time() - first / 1e9 > _DEAD_AFTER:
        return ""
    words = in_words(owner, with_host=True)
    print(f"note: this folder was used by {words}; waiting {WATCHED:.0f} s to see whether it still is", file=sys.stderr)
    deadline = time.monotonic() + WATCHED
    while time.monotonic() < deadline:
        time.sleep(min(0.5, WATCHED))
        if _touched(lock) != first:
            return words if _may_live(read_owner(lock), has_locks=has_locks) else ""  # it may have ended just now
    return ""


def _may_live(owner: dict[str, Any], *, has_locks: bool) -> bool:
    boot = owner.get("boot")
    if not boot or boot != boot_id():
        return bool(boot)
    if has_locks or owner["pid"] == os.getpid():
        return False
    try:
        os.kill(int(owner["pid"]), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def _touched(lock: Path) -> int:
    """Return the time of the last touch, in ns. The file is opened, so that a network client asks the server."""
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        return os.fstat(handle).st_mtime_ns
    finally:
        os.close(handle)


class Touching:
    """Touches a lock file until this process ends, in a thread that sleeps."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._ended = threading.Event()
        threading.Thread(target=self._touch, name="run lock", daemon=True).start()

    def _touch(self) -> None:
        while not self._ended.wait(EVERY):
            with contextlib.suppress(OSError):  # the folder was moved, or the disk is gone
                os.utime(self._lock)

    def end(self) -> None:
        """Take the boot out of the lock file: nobody needs to watch it."""
        self._ended.set()
        owner = read_owner(self._lock)
        if (owner.get("pid"), owner.get("boot")) == (os.getpid(), boot_id()):
            del owner["boot"]
            with contextlib.suppress(OSError):
                write_owner(self._lock, owner)


def write_owner(lock: Path | int, owner: dict[str, Any]) -> None:
    """Write the owner into a lock file, given by its path or an open descriptor."""
    data = json.dumps(owner).encode()
    if isinstance(lock, int):
        os.ftruncate(lock, 0)
        os.pwrite(lock, data, 0)
        return
    handle = os.open(lock, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        write_owner(handle, owner)
    finally:
        os.close(handle)
