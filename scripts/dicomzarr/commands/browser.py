"""Open a page in the browser of whoever started a command: `./run report`, `./run view`, `./run review`."""

from __future__ import annotations

import os
import sys

_NAMES = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def is_there() -> bool:
    """Return whether a page can be opened from here: there is a screen, or `$BROWSER` names a program.

    Without either, a browser of the terminal would take it over; none is started.
    """
    return sys.platform == "darwin" or any(map(os.environ.get, _NAMES))


def opened(url: str) -> bool:
    """Try to open a page; return whether a browser was started."""
    if not is_there():
        return False
    import webbrowser

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
