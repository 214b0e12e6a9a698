"""`./run view`: look at the voxels and masks of a dataset in a browser, served by this machine alone."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dicomzarr.commands.processes import STOPPING, Stopped
from dicomzarr.vocabulary.errors import UserError

RESULTS = Path("results")


def run_view(arguments: Sequence[str]) -> int:
    """Serve a dataset and the viewer until Ctrl-C, and open the page in a browser.

    Returns
    -------
    int
        2 if an argument is wrong; otherwise it ends by `Stopped`.

    Raises
    ------
    UserError
        If there is no dataset or no such array, or the port is in use.
    Stopped
        When SIGINT or SIGTERM ends it.
    """
    options = _parser().parse_args(arguments)
    from dicomzarr.viewer import catalogue, client

    dataset = catalogue.dataset_folder(options.dataset or _results(options.configfile))
    images = catalogue.read_images(dataset)
    image = catalogue.find(images, options.array) if options.array else None
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
            listening, port = server.start(served, options.port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise UserError(f"port {options.port} cannot be used ({reason}): name another with --port") from error
        address = f"http://{server.HOST}:{port}/{served.token}/" + (f"view/{image.array}" if image else "")
        print(f"{len(images)} arrays in {options.dataset or dataset}\n{address}\nCtrl-C ends the viewer", flush=True)
        if not options.no_open and _has_screen():
            threading.Thread(target=_open, args=(address,), daemon=True).start()  # it may last as long as the browser
        received = await stopped
        listening.stop()
        await asyncio.wait_for(listening.close_all_connections(), 2)
        return received

    raise Stopped(asyncio.run(serve()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run view",
        description="Look at voxels and masks in a browser. The server answers this machine alone and only reads.",
        allow_abbrev=False,
    )
    parser.add_argument("array", metavar="ARRAY", nargs="?", help="an id of volumes.csv, or its beginning; else a list")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--dataset", "--results", type=Path, metavar="FOLDER", help="a dataset or results folder")
    where.add_argument("--configfile", type=Path, nargs="+", metavar="FILE", help="the configuration of the run")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="port of the server; by default a free one")
    parser.add_argument("--no-open", action="store_true", help="print the address and open no browser")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"a number from 0 to 65535, not {text!r}")
    return int(text)


def _results(configurations: Sequence[Path] | None) -> Path:
    """Return the results folder that the last of the configuration files names, else the default."""
    found = RESULTS
    for path in configurations or ():
        import yaml

        try:
            content = yaml.safe_load(path.read_bytes())
        except OSError as error:
            raise UserError(f"the configuration file {str(path)!r}: {error.strerror}") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            raise UserError(f"the configuration file {str(path)!r} is not YAML{where}") from error
        if isinstance(content, dict) and isinstance(content.get("results"), str):
            found = Path(content["results"])
    return found


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
