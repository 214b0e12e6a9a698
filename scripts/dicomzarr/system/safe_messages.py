"""Report errors without their text or a path, and silence libraries: both may quote a header."""

from __future__ import annotations

import logging
import os
import re
import traceback
import warnings
from pathlib import Path

from dicomzarr.system import limits


def silence_libraries() -> None:
    """Suppress warnings and logging of libraries, which may quote a header, and disable core dumps."""
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").disabled = True
    logging.raiseExceptions = False
    limits.dump_no_core()


def error_location(error: BaseException) -> str:
    """Return the type of an error and the lines of this project in its traceback, never its text."""
    places = [
        f"{Path(frame.filename).stem}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "dicomzarr" in frame.filename
    ]
    return f"{type(error).__name__} at {' < '.join(reversed(places[-6:])) or 'an unknown place'}"


def os_error_message(error: OSError) -> str:
    """Return a message for an operating-system error that names neither file nor patient."""
    return f"the operating system says: {os.strerror(error.errno) if error.errno else type(error).__name__}"


def without_login(text: str) -> str:
    """Return a text with user name and password of each URL replaced by an ellipsis."""
    return _LOGIN.sub("//…@", text)


_LOGIN = re.compile(r"//\S*@")
