"""Free ports for servers that must be told theirs before they start."""

from __future__ import annotations

import contextlib
import random
import socket

HOST = "127.0.0.1"
# Below those that the system gives to connections and to servers that take any (`ip_local_port_range`): nobody else
# gets one of these between its choice and the start of the server, or while the server starts again.
_PORTS = range(16_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return different ports on which nobody listens."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with contextlib.suppress(OSError), socket.socket() as listening:
            listening.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no port is free")
