"""The process that requests objects for a job; `object_door` starts it.

The client of object storage has threads, which do not survive the forks of `dicomzarr.system.sandbox`, and needs the
credentials, which processes that read hostile files can do without. So one process per job does all requests. It reads
ahead: what a job will open next is requested while the job still works on what came before.

A job sends requests as JSON: ``{"ahead": [[key, size], …]}`` announces what will be opened, in order; ``open`` answers
with size, time and etag of an object and its first bytes, or with a descriptor of a private copy of the whole of it;
``read`` answers with a range of it, as long as it has the same etag.
"""

from __future__ import annotations

import array
import contextlib
import errno
import json
import os
import re
import signal
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from dicomzarr.source.object_store import UNREACHABLE, ObjectRoot, has_credentials
from dicomzarr.system.limits import dump_no_core

FIRST = 64 << 10  # bytes with which an object is opened: most headers fit
SMALL = 16 << 20  # bytes; a copy of a larger object is a file without a name, not memory
MEMORY = 256 << 20  # bytes of copies in memory that are retained until the next series
DISK = 4 << 30  # bytes of copies on disk that are retained
AHEAD_HEADS, AHEAD_WHOLE = 16, 8  # objects that are requested before they are opened
_HEAD = struct.Struct("<II")  # lengths of the JSON and of the bytes behind it
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_OF_THE_OBJECT = frozenset({"AccessDenied", "AllAccessDisabled", "InvalidObjectState", "UnauthorizedAccess"})
_PIECE = 4 << 20


class Failed(Exception):
    """A request failed; `errno` is the error that a file in a folder would have."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.errno = number


class Item(NamedTuple):
    """An object: the root of its source and its key."""

    root: str
    key: str


class Answer(NamedTuple):
    """Size in bytes, Last-Modified in seconds and etag of an object; its first bytes, or a descriptor of a copy."""

    size: int
    modified: int
    etag: str
    data: bytes = b""
    descriptor: int = -1


def send(connection: socket.socket, message: Any, data: bytes = b"", descriptor: int = -1) -> None:
    """Send a message, the bytes behind it and a descriptor.

    Parameters
    ----------
    connection : socket
        A stream between processes of this machine.
    message : JSON value
    data : bytes
    descriptor : int
        Of a file; negative for none.
    """
    body = json.dumps(message).encode("ascii")
    head = _HEAD.pack(len(body), len(data))
    if descriptor >= 0:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        sent = connection.sendmsg([head], ancillary)
        head = head[sent:]
    connection.sendall(head + body)
    if data:
        connection.sendall(data)


def receive(connection: socket.socket) -> tuple[Any, bytes, int]:
    """Return a message, the bytes behind it, and the descriptor that came with it, or -1.

    Raises
    ------
    EOFError
        If the other side has ended.
    """
    head, descriptors, _, _ = socket.recv_fds(connection, _HEAD.size, 1)
    descriptor = descriptors[0] if descriptors else -1
    head += _exactly(connection, _HEAD.size - len(head)) if head else b""
    if not head:
        raise EOFError
    length, more = _HEAD.unpack(head)
    return json.loads(_exactly(connection, length)), _exactly(connection, more), descriptor


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = bytearray(length)
    view = memoryview(received)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return bytes(received)


class Client:
    """Requests objects; each request is repeated within bounds. Once the service cannot be reached, all fail."""

    def __init__(self) -> None:
        self._stores: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._is_down = False

    def _store(self, root: str) -> Any:
        with self._lock:
            if root not in self._stores:
                parsed = ObjectRoot.parse(root.encode("ascii"))
                if not parsed.anonymous and not has_credentials(os.environ):
                    raise self._down()  # a node whose jobs lack what the main process has
                self._stores[root] = parsed.store()
            return self._stores[root]

    def _get(self, item: Item, **options: Any) -> Any:
        """Return the answer to a request for an object."""
        if self._is_down:
            raise Failed(UNREACHABLE)
        try:
            return self._store(item.root).get(item.key, options=options)
        except Failed:
            raise
        except Exception as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> Failed:
        """Return the failure for an error of the client, whose text holds the URL."""
        number = _number_of(error)
        return self._down() if number == UNREACHABLE else Failed(number)

    def _down(self) -> Failed:
        self._is_down = True
        return Failed(UNREACHABLE)

    def first(self, item: Item) -> Answer:
        """Return the first bytes of an object."""
        try:
            answer = self._get(item, range=(0, FIRST))
        except Failed as error:
            if error.errno != errno.ERANGE:
                raise
            answer = self._get(item)  # an empty object has no range
        meta = self._answer(answer)
        return meta._replace(data=self._bytes(answer, min(meta.size, FIRST)))

    def part(self, item: Item, etag: str, offset: int, length: int) -> bytes:
        """Return a range of an object that has this etag.

        Parameters
        ----------
        item : Item
        etag : str
            Empty for any.
        offset, length : int
            In bytes.
        """
        return self._bytes(self._get(item, range=(offset, offset + length), if_match=etag or None), length)

    def whole(self, item: Item, expected: int | None = None, *, in_memory: bool | None = None) -> Answer:
        """Return a copy of an object; an empty one if its size is not the expected one, since it changed then.

        Parameters
        ----------
        item : Item
        expected : int, optional
            Size in bytes.
        in_memory : bool, optional
            Whether the copy is in memory; by default that of a small object is.
        """
        for is_last in (False, True):
            answer = self._get(item)
            meta = self._answer(answer)
            if expected not in (None, meta.size):
                return meta._replace(descriptor=os.memfd_create("object"))
            try:
                descriptor = _new_copy(meta.size <= SMALL if in_memory is None else in_memory)
            except OSError:
                raise self._down() from None
            try:
                if self._copy(answer, descriptor) == meta.size:
                    return meta._replace(descriptor=_reopened(descriptor))
            except Failed:
                if is_last or self._is_down:
                    raise
            finally:
                os.close(descriptor)
        raise self._down()

    def _copy(self, answer: Any, descriptor: int) -> int:
        """Write the bytes of an answer; return their number."""
        total = 0
        pieces = iter(answer.stream(min_chunk_size=_PIECE))
        while True:
            try:
                piece = next(pieces, None)
            except Exception as error:
                raise self._failed(error) from None
            if piece is None:
                return total
            view = memoryview(piece)
            while view:
                try:
                    count = os.write(descriptor, view)
                except OSError:  # no space on the disk, or no memory: no other copy has any either
                    raise self._down() from None
                view, total = view[count:], total + count

    def _answer(self, answer: Any) -> Answer:
        meta = answer.meta
        return Answer(meta["size"], int(meta["last_modified"].timestamp()), meta["e_tag"] or "")

    def _bytes(self, answer: Any, length: int) -> bytes:
        """Return the bytes of an answer; fewer than were requested would look like a file that is cut off."""
        try:
            data = bytes(answer.bytes())
        except Exception as error:
            raise self._failed(error) from None
        if len(data) != length:
            raise self._down()
        return data


def _new_copy(in_memory: bool) -> int:
    """Return the descriptor of an empty file that no other user can open, in memory or on disk."""
    if in_memory:
        return os.memfd_create("object")
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def _reopened(descriptor: int) -> int:
    """Return another descriptor of a copy, for reading, with a position of its own."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


def _number_of(error: Exception) -> int:
    """Return the error number for an error of the client.

    A refusal that concerns one object is like a missing permission of a file; any other one, such as that of expired
    credentials, would concern all objects that are left, and is like a network that is down.
    """
    from obstore import exceptions

    text = str(error)
    found = _CODE.search(text)
    code = found[1] if found else ""
    if isinstance(error, (FileNotFoundError, exceptions.NotFoundError)):
        return UNREACHABLE if code == "NoSuchBucket" else errno.ENOENT
    if isinstance(error, exceptions.PreconditionError):
        return errno.ESTALE
    if isinstance(error, (PermissionError, exceptions.PermissionDeniedError)):
        return errno.EACCES if code in _OF_THE_OBJECT else UNREACHABLE
    return errno.ERANGE if code == "InvalidRange" or " 416 " in text else UNREACHABLE


class Heads:
    """The first bytes of objects that a process of the job will open, in order."""

    def __init__(self, client: Client, pool: ThreadPoolExecutor, items: Sequence[Item] = ()) -> None:
        self._client, self._pool, self._items = client, pool, items
        self._places = {item: place for place, item in enumerate(items)}
        self._futures: dict[Item, Future[Answer]] = {}
        self._next = 0

    def open(self, item: Item) -> Answer:
        """Return the first bytes of an object, and request those of the objects after it."""
        place = self._places.get(item, -1)
        last = min(place + 1 + AHEAD_HEADS, len(self._items)) if place >= 0 else 0
        for ahead in self._items[max(self._next, place) : last]:
            self._futures[ahead] = self._pool.submit(self._client.first, ahead)
        self._next = max(self._next, last)
        future = self._futures.pop(item, None)
        return self._client.first(item) if future is None else future.result()

    def drop(self) -> None:
        """Give up the requests that have not begun."""
        for future in self._futures.values():
            future.cancel()


class Series:
    """Copies of the objects of a series, as far as they fit: they are opened for their digest, then for their frames.

    Parameters
    ----------
    client : Client
    pool : ThreadPoolExecutor
    items : sequence of (Item, int)
        The objects in the order in which they will be opened, with their sizes in bytes.
    """

    def __init__(self, client: Client, pool: ThreadPoolExecutor, items: Sequence[tuple[Item, int]] = ()) -> None:
        self._client, self._pool = client, pool
        self._lock = threading.Lock()
        self._futures: dict[Item, Future[Answer]] = {}
        self._is_over = False
        self._order: list[tuple[Item, int, bool]] = []
        memory = disk = 0
        for item, size in items:
            if size <= SMALL and memory + size <= MEMORY:
                memory += size
                self._order.append((item, size, True))
            elif disk + size <= DISK:
                disk += size
                self._order.append((item, size, False))
        self._places = {item: place for place, (item, _, _) in enumerate(self._order)}

    def open(self, item: Item) -> Answer:
        """Return an object with a descriptor of its own, and request the objects after it."""
        future = self._request_from(item)
        if future is None:
            return self._client.whole(item)
        try:
            answer = future.result()
        except Failed:
            with self._lock:
                self._futures.pop(item, None)  # the next attempt is another request
            raise
        with self._lock:
            if not self._is_over:
                return answer._replace(descriptor=_reopened(answer.descriptor))
        return self._client.whole(item)

    def _request_from(self, item: Item) -> Future[Answer] | None:
        with self._lock:
            place = self._places.get(item, -1)
            if place < 0 or self._is_over:
                return None
            size = self._order[place][1]
            count = 1 + (AHEAD_WHOLE if size <= SMALL else 1)
            for ahead, size, in_memory in self._order[place : place + count]:
                if ahead not in self._futures:
                    whole: Callable[..., Answer] = self._client.whole
                    self._futures[ahead] = self._pool.submit(whole, ahead, size, in_memory=in_memory)
            return self._futures[item]

    def drop(self) -> None:
        """Close all copies; those that are still being written, once they are."""
        with self._lock:
            self._is_over = True
            futures, self._futures = list(self._futures.values()), {}
        for future in futures:
            future.add_done_callback(_close_copy)


def _close_copy(future: Future[Answer]) -> None:
    if not future.cancelled() and future.exception() is None:
        os.close(future.result().descriptor)


class Fetcher:
    """Serves the processes of one job."""

    def __init__(self) -> None:
        self._client = Client()
        self._pool = ThreadPoolExecutor(2 * AHEAD_HEADS)
        self._series = Series(self._client, self._pool)

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one process until it closes its connection."""
        heads = Heads(self._client, self._pool)
        with connection, contextlib.suppress(EOFError, OSError):
            while True:
                request, _, _ = receive(connection)
                if "ahead" in request:
                    items = [(Item(request["root"], key), size) for key, size in request["ahead"]]
                    if request["whole"]:
                        self._series.drop()
                        self._series = Series(self._client, self._pool, items)
                    else:
                        heads.drop()
                        heads = Heads(self._client, self._pool, [item for item, _ in items])
                    send(connection, {})
                    continue
                try:
                    self._answer(connection, request, heads)
                except Failed as error:
                    send(connection, {"error": error.errno})
        heads.drop()

    def _answer(self, connection: socket.socket, request: dict[str, Any], heads: Heads) -> None:
        item = Item(request["root"], request["key"])
        if "offset" in request:
            send(connection, {}, self._client.part(item, request["etag"], request["offset"], request["length"]))
            return
        answer = self._series.open(item) if request["whole"] else heads.open(item)
        message = {"size": answer.size, "modified": answer.modified, "etag": answer.etag}
        try:
            send(connection, message, answer.data, answer.descriptor)
        finally:
            if answer.descriptor >= 0:
                os.close(answer.descriptor)


def main(door: socket.socket) -> None:
    """Serve every connection that comes through the door, until no process of the job has it open."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the job has it too, and decides
    dump_no_core()
    fetcher = Fetcher()
    while True:
        data, descriptors, _, _ = socket.recv_fds(door, 1, 1)
        if not data:
            os._exit(0)
        connection = socket.socket(fileno=descriptors[0])
        threading.Thread(target=fetcher.serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
