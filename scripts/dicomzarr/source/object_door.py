"""Open objects of a bucket, by way of the process that requests them (`object_fetcher`)."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from dicomzarr.source import object_fetcher
from dicomzarr.source.object_store import UNREACHABLE, ObjectRoot, Unreachable, can_be_requested, stat_key_of_seconds
from dicomzarr.source.row import StatKey
from dicomzarr.system.project import SCRIPTS

_WINDOW = 256 << 10  # bytes of a further request: headers are read on in small steps
_LARGEST_WINDOW = 4 << 20  # each request that reads on from the last one is twice as large: archives are long


_started: list[tuple[socket.socket, subprocess.Popen[bytes]]] = []  # at most one
_starting = threading.Lock()


def start() -> None:
    """Start the process that requests objects, unless this process or one that it is a fork of has started it.

    Called before children are forked, so that they share it. It ends with the last process that can use it.
    """
    with _starting:
        if not _started:
            _started.append(_start())


def _start() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-P", "-m", object_fetcher.__name__, str(theirs.fileno())]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # its messages could hold a URL
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        )
    return door, process


def stop() -> None:
    """End the process that requests objects; the next object that is opened starts another."""
    while _started:
        door, process = _started.pop()
        door.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # a child of this process still has the door open
            process.kill()
            process.wait()


class _Connection:
    """A connection of this process to the one that requests objects."""

    def __init__(self) -> None:
        start()
        self.pid = os.getpid()
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(_started[0][0], [b"."], [theirs.fileno()])
            except OSError:
                self._socket.close()
                raise _unreachable() from None

    def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes, int]:
        """Return the answer to a request, the bytes behind it and a descriptor, or -1.

        Raises
        ------
        OSError
            If the request failed, with the error number that a file would have.
        """
        try:
            object_fetcher.send(self._socket, request)
            message, data, descriptor = object_fetcher.receive(self._socket)
        except (EOFError, OSError, ValueError):
            raise _unreachable() from None
        if number := message.get("error"):
            raise _unreachable() if number == UNREACHABLE else OSError(number, os.strerror(number))
        return message, data, descriptor

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def _unreachable() -> Unreachable:
    return Unreachable(UNREACHABLE, os.strerror(UNREACHABLE))


class ObjectDoor:
    """Open objects of one root.

    Parameters
    ----------
    root : bytes
        As `ObjectRoot.to_bytes` writes it.
    whole : bool
        Objects are requested as a whole; else by ranges, for their headers.
    """

    def __init__(self, root: bytes, *, whole: bool) -> None:
        self._root, self._whole = root.decode("ascii"), whole
        self._prefix = ObjectRoot.parse(root).prefix
        self._connection: _Connection | None = None

    def _connected(self) -> _Connection:
        if self._connection is None or self._connection.pid != os.getpid():
            self._connection = _Connection()
        return self._connection

    def _key(self, path: bytes) -> str:
        try:
            key = self._prefix + path.decode("utf-8")
        except UnicodeDecodeError:
            key = ""
        if not key or not can_be_requested(key):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return key

    def ahead(self, files: Sequence[tuple[bytes, int]]) -> None:
        """Announce which objects will be opened next, in order, so that they are requested ahead.

        Parameters
        ----------
        files : sequence of (bytes, int)
            Paths below the root, not encoded, and sizes in bytes.
        """
        keys = [(self._key(path), size) for path, size in files]
        self._connected().ask({"ahead": keys, "root": self._root, "whole": self._whole})

    def open(self, path: bytes, *, whole: bool | None = None) -> ObjectFile:
        """Return an object by its path below the root, not encoded.

        Parameters
        ----------
        path : bytes
        whole : bool, optional
            Request it as a whole; by default as the door does.

        Raises
        ------
        OSError
            FileNotFoundError if there is none, PermissionError if the service refuses it, `Unreachable`.
        """
        request = {"root": self._root, "key": self._key(path)}
        return ObjectFile(self._connected(), request, whole=self._whole if whole is None else whole)

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class ObjectFile:
    """An open object. All that is read of it has one etag, that of the time when it was opened.

    Parameters
    ----------
    connection : _Connection
    request : dict
        Its root and key.
    whole : bool
        Request all of it at once.
    """

    __slots__ = ("_connection", "_data", "_descriptor", "_etag", "_key", "_request", "_size", "_start")

    def __init__(self, connection: _Connection, request: dict[str, Any], *, whole: bool) -> None:
        self._connection, self._request, self._start = connection, request, 0
        message, self._data, self._descriptor = connection.ask({**request, "whole": whole})
        self._size, self._etag = message["size"], message["etag"]
        self._key: StatKey | None = stat_key_of_seconds(self._size, message["modified"], self._etag)

    def key(self) -> StatKey | None:
        """Return size, time, 0 and 63 bits of the hash of the etag; None once the object is another one."""
        return self._key

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on.

        Raises
        ------
        OSError
            ESTALE if the object is another one than when it was opened; `Unreachable`.
        """
        if self._descriptor >= 0:
            return os.pread(self._descriptor, length, offset)
        end = min(offset + length, self._size)
        if offset >= end:
            return b""
        if not self._start <= offset <= end <= self._start + len(self._data):
            reads_on = self._start + len(self._data) == offset and len(self._data) >= _WINDOW
            window = min(2 * len(self._data), _LARGEST_WINDOW) if reads_on else _WINDOW
            count = min(max(end - offset, window), self._size - offset)
            request = {**self._request, "etag": self._etag, "offset": offset, "length": count}
            try:
                self._start, self._data = offset, self._connection.ask(request)[1]
            except OSError as error:
                if error.errno in (errno.ESTALE, errno.ENOENT, errno.ERANGE):
                    self._key = None
                raise
        return self._data[offset - self._start : end - self._start]

    def descriptor(self) -> int:
        """Return a descriptor of a private copy of the object.

        Raises
        ------
        OSError
            ESTALE if the object is another one than when it was opened; `Unreachable`.
        """
        if self._descriptor < 0:
            message, _, descriptor = self._connection.ask({**self._request, "whole": True})
            if message["etag"] != self._etag:
                os.close(descriptor)
                self._key = None
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            self._descriptor = descriptor
        return self._descriptor

    def close(self) -> None:
        """Close the private copy."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
