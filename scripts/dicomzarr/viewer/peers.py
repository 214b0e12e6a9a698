"""Which user of this machine is connected: Linux lists the owner of each socket.

The address with the token is an argument of the browser that is started, and arguments of processes can be read by all
users. So the token alone does not keep others out.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")  # a socket of IPv6 can connect to an address of IPv4, too
_LOCAL, _REMOTE, _OWNER, _INODE = 1, 2, 7, 9  # columns
_CLOSED = "0"  # inode of a socket that its process has closed; some kernels name root as its owner


def is_of_another_user(connection: socket.socket | None) -> bool:
    """Return whether a connection from this machine is of neither this user, nor root, nor the one who called sudo.

    One that has ended is nobody's. Where the system does not list sockets, nobody knows, and it is not.
    """
    try:
        if connection is None:
            return True
        here, there = connection.getsockname()[:2], connection.getpeername()[:2]
    except OSError:
        return True
    lines = [line for table in _TABLES for line in _lines(table)]
    if not owners(lines, here, there):
        return False  # not even this end of the connection is listed
    of_peer = owners(lines, there, here)
    return not of_peer or not of_peer <= _allowed()


def _lines(table: str) -> list[str]:
    try:
        return Path(table).read_text("ascii").splitlines()[1:]
    except OSError:  # no Linux, or no IPv6
        return []


def owners(lines: Iterable[str], local: tuple[str, int], remote: tuple[str, int]) -> set[int]:
    """Return the owner of the socket that has these addresses of IPv4; -1 stands for none.

    Parameters
    ----------
    lines : iterable of str
        Of the tables of sockets, as proc(5) describes them. What a closed socket sent may still wait to be read.
    local, remote : tuple of str and int
        Address and port of its end of the connection, and of the other one.
    """
    wanted = [_hex(*local), _hex(*remote)]
    found: set[int] = set()
    for line in lines:
        columns = line.split()
        if len(columns) > _INODE and [columns[at][-13:] for at in (_LOCAL, _REMOTE)] == wanted:
            found.add(-1 if columns[_INODE] == _CLOSED else int(columns[_OWNER]))
    return found


def _hex(address: str, port: int) -> str:
    """Return an address as the tables have it: a number in the order of bytes of this machine, and the port."""
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"{number:08X}:{port:04X}"


def _allowed() -> set[int]:
    users = {0, os.getuid(), os.geteuid()}
    caller = os.environ.get("SUDO_UID", "")
    return users | ({int(caller)} if caller.isdecimal() else set())
