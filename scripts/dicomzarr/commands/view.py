"""`./run view`: look at the voxels and masks of a dataset in a browser, served by this machine alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dicomzarr.commands.options import parse, results_of
from dicomzarr.commands.processes import STOPPING, Stopped, say
from dicomzarr.commands.words import BY_NAME, NO_OPEN
from dicomzarr.vocabulary.errors import UserError


def run_view(arguments: Sequence[str]) -> int:
    """Serve a dataset and the viewer until Ctrl-C, and open the page in a browser.

    Raises
    ------
    UserError
        If an argument is wrong, there is no such array, or the port is in use.
    Stopped
        When SIGINT or SIGTERM ends it.
    """
    options = parse(BY_NAME["view"], arguments)
    wanted_port = _port(options.last("--port") or "0")
    place = Path(options.last("--dataset")) if options.has("--dataset") else results_of(options).root
    from dicomzarr.viewer import catalogue, client

    try:
        dataset = catalogue.dataset_folder(place)
    except catalogue.NoDataset as error:
        say(f"run: {error}")
        return 1
    place = place if options.has("--dataset") else dataset
    images = catalogue.read_images(dataset)
    image = catalogue.find(images, options.places[0]) if options.places else None
    folder = client.client_folder()

    import asyncio
    import secrets
    import threading

    from dicomzarr.viewer import server

    served = server.Served(dataset, {each.array: each for each in images}, folder, secrets.token_urlsafe(12))

    async def serve() -> int:
        stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as with nohup
                asyncio.get_running_loop().add_signal_handler(number, _end, stopped, number)
        try:
            listening, port = server.start(served, wanted_port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise UserError(f"port {wanted_port} cannot be used ({reason}): name another with --port") from error
        address = f"http://{server.HOST}:{port}/{served.token}/" + (f"view/{image.array}" if image else "")
        print(f"{len(images)} arrays in {place}\n{address}\nCtrl-C ends the viewer", flush=True)
        if not options.has(NO_OPEN.name) and _has_screen():
            threading.Thread(target=_open, args=(address,), daemon=True).start()  # it may last as long as the browser
        received = await stopped
        listening.stop()
        await asyncio.wait_for(listening.close_all_connections(), 2)
        return received

    raise Stopped(asyncio.run(serve()))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise UserError(f"--port: needed is a number from 0 to 65535, not {text!r}")
    return int(text)


def _end(stopped: object, number: int) -> None:
    """Let the server end, at the first signal."""
    import asyncio

    if isinstance(stopped, asyncio.Future) and not stopped.done():
        stopped.set_result(number)


def _has_screen() -> bool:
    """Return whether a browser with a window can be opened from here."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(address: str) -> None:
    """Open an address in the browser of the user, if there is one; what it prints is of no use here."""
    import webbrowser
    from contextlib import suppress

    with suppress(webbrowser.Error, OSError):
        webbrowser.open(address)
