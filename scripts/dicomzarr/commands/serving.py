"""Serve pages to the browser of this machine until Ctrl-C: what `./run view` and `./run review` have in common."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from dicomzarr.commands import browser
from dicomzarr.system.stop_signals import not_ignored
from dicomzarr.vocabulary.errors import UserError

if TYPE_CHECKING:
    import tornado.httpserver


def port_of(text: str) -> int:
    """Return the port that an option names.

    Raises
    ------
    UserError
        If it is none.
    """
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise UserError(f"--port: needed is a number from 0 to 65535, not {text!r}")
    return int(text)


def serve(
    start: Callable[[int], tuple[tornado.httpserver.HTTPServer, int]],
    wanted_port: int,
    announce: Callable[[int], str],
    *,
    opens: bool,
) -> int:
    """Serve until a signal ends it, and return the number of the signal.

    Parameters
    ----------
    start : callable
        Starts to listen on a port, and returns the server and the port that it got.
    wanted_port : int
        0 for any free one.
    announce : callable
        Called with the port: prints what there is, and returns the address.
    opens : bool
        Open the address in a browser, if there is one: see `browser.is_there`.

    Raises
    ------
    UserError
        If the port cannot be used.
    """

    async def serve_until_stopped() -> int:
        stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in not_ignored():
            asyncio.get_running_loop().add_signal_handler(number, _end, stopped, number)
        try:
            listening, port = start(wanted_port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise UserError(f"port {wanted_port} cannot be used ({reason}): name another with --port") from error
        address = announce(port)
        if opens and browser.is_there():
            import threading

            threading.Thread(
                target=browser.opened, args=(address,), daemon=True
            ).start()  # it may last as long as the browser
        received = await stopped
        listening.stop()
        await asyncio.wait_for(listening.close_all_connections(), 2)
        return received

    return asyncio.run(serve_until_stopped())


def _end(stopped: asyncio.Future[int], number: int) -> None:
    """Let the server end, at the first signal."""
    if not stopped.done():
        stopped.set_result(number)
