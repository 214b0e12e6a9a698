"""Apply file permissions as for an ordinary user, even if the tests run as root.

Root may read every file by two capabilities of Linux (capabilities(7)). Without them the kernel checks the permission
bits, as for any user.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Put before a command: drops all capabilities, also those that a program of root regains when it starts.
WITHOUT_CAPABILITIES = """
import ctypes, os, sys
libc, number = ctypes.CDLL(None), 0
while libc.prctl(24, number, 0, 0, 0) == 0:  # PR_CAPBSET_DROP, until there is no such number
    number += 1
if number < 38:
    sys.exit("capabilities may not be dropped here")
os.execv(sys.argv[1], sys.argv[1:])
"""
_VERSION_3 = 0x20080522
_READ_ALL = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Apply permission bits to this thread, and to processes it forks, inside the block."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice, for 64 capabilities
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    before = sets[0]
    sets[0] = before & ~_READ_ALL
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(header, sets)


@contextmanager
def read_only(results: Path, how: str) -> Iterator[list[str]]:
    """Let nothing be written to results, by ``permissions`` or a ``mount``; yield what holds a command to these."""
    if how == "permissions":
        folders = [results, *(path for path in results.rglob("*") if path.is_dir())]
        for path in results.rglob("*"):
            path.is_file() and path.chmod(0o400)
        for path in folders:
            path.chmod(0o500)
        yield [] if os.geteuid() else [sys.executable, "-c", WITHOUT_CAPABILITIES]
        for path in folders:
            path.chmod(0o700)
        return
    for lock in ("run.lock", "jobs.lock"):  # nor can they be made
        (results / "private" / lock).unlink(missing_ok=True)
    for options in (["--bind", str(results)], ["-o", "remount,bind,ro"]):
        command = ["mount", *options, str(results)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
    yield []
    subprocess.run(["umount", "-l", str(results)], check=True)
