"""Pages are served to the user who started them: not to others of this machine, who can read the address."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from viewed_dataset import Viewer, viewing, write_viewed
from waiting import HANG

from dicomzarr.viewer import peers

ADDRESSES = st.tuples(st.ip_addresses(v=4).map(str), st.integers(1, 65535))
OTHER = 54321  # an id that nobody has


def line(local: tuple[str, int], remote: tuple[str, int], owner: int, inode: int = 48213, prefix: str = "") -> str:
    def written(address: str, port: int) -> str:
        return f"{prefix}{struct.unpack('=I', socket.inet_aton(address))[0]:08X}:{port:04X}"

    ends = f"{written(*local)} {written(*remote)}"
    return f"  12: {ends} 01 00000000:00000000 00:00000000 00000000 {owner:5} 0 {inode} 1"


@given(st.lists(st.tuples(ADDRESSES, ADDRESSES, st.integers(0, 70000)), unique_by=lambda one: one[:2]), st.data())
def test_the_owner_of_a_socket_is_read_from_its_line(rows: list[tuple], data: st.DataObject) -> None:
    mapped = "0" * 16 + "FFFF0000"
    lines = [line(*row, prefix=data.draw(st.sampled_from(["", mapped]))) for row in rows]
    for local, remote, owner in rows:
        assert peers.owners(lines, local, remote) == {owner}
    assert peers.owners(lines, ("127.0.0.1", 0), ("127.0.0.1", 0)) == set()
    for local, remote, owner in rows[:1]:
        assert peers.owners([line(local, remote, owner, inode=0)], local, remote) == {-1}


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    before = os.geteuid()
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(before)


@contextmanager
def connected(port: int, family: socket.AddressFamily, user: int | None) -> Iterator[socket.socket]:
    host = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
    with acting_as(os.geteuid() if user is None else user):
        try:
            client = socket.socket(family)
        except OSError:
            pytest.skip("no IPv6 here")
    with client:
        client.settimeout(HANG)
        client.connect((host, port))
        yield client


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder: Path = write_viewed(tmp_path_factory.mktemp("viewed")).parent
    with viewing("--dataset", "dataset", "--no-open", folder=folder) as viewer:
        yield viewer


def status(viewer: Viewer, path: str, family: socket.AddressFamily, user: int | None) -> str:
    with connected(viewer.port, family, user) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{viewer.port}\r\nConnection: close\r\n\r\n".encode())
        return client.makefile("rb").readline().decode().split()[1]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_user_who_started_the_page_is_answered(viewer: Viewer, family: socket.AddressFamily) -> None:
    assert status(viewer, f"{viewer.path}/", family, None) == "200"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_another_user_of_the_machine_is_refused_with_the_token_too(
    viewer: Viewer, family: socket.AddressFamily
) -> None:
    for path in (f"{viewer.path}/", f"{viewer.path}/images.zarr/zarr.json", "/", "/nothing"):
        assert status(viewer, path, family, OTHER) == "403"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_whoever_called_sudo_is_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with connected(server.getsockname()[1], socket.AF_INET, OTHER):
            connection, _ = server.accept()
            with connection:
                assert peers.is_of_another_user(connection)
                monkeypatch.setenv("SUDO_UID", str(OTHER))
                assert not peers.is_of_another_user(connection)
        assert peers.is_of_another_user(connection)  # it is closed


def test_who_closed_the_connection_is_nobody() -> None:
    """Some kernels name root as the owner of such a socket, and what it sent can still be read: a decision, perhaps."""
    user = OTHER if os.geteuid() == 0 else None
    with socket.create_server(("127.0.0.1", 0)) as server:
        with connected(server.getsockname()[1], socket.AF_INET, user) as client:
            client.sendall(b"POST")
            connection, _ = server.accept()
        with connection:
            assert connection.recv(4) == b"POST"
            assert peers.is_of_another_user(connection)


def test_where_sockets_are_not_listed_the_token_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_TABLES", ("/nowhere/tcp",))
    with socket.create_server(("127.0.0.1", 0)) as server, connected(server.getsockname()[1], socket.AF_INET, None):
        connection, _ = server.accept()
        with connection:
            assert not peers.is_of_another_user(connection)
