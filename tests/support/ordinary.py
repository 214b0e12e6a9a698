"""Apply file permissions as for an ordinary user, even if the tests run as root.

Root may read every file by two capabilities of Linux (capabilities(7)). Without them the kernel checks the permission
bits, as for any user.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

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
