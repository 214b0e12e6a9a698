"""Run a decoder that may die in a child of its own, so that only the frame is lost.

The child is forked: it costs about a millisecond and needs no imports. It decodes, hands the samples back through a
pipe and ends without touching anything it shares with its parent.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.reasons import SetAside

# Longer than any frame takes; what runs on has lost its way in broken data.
_SECONDS = 120
_HEAD = 64


def isolated(decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return what `decode` returns, evaluated in a child process.

    Raises
    ------
    SetAside
        `decode_error` where it raises, dies or takes too long.
    """
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child starts none and waits for none
        child = os.fork()
    if child == 0:
        _serve(decode, theirs)
    os.close(theirs)
    try:
        with os.fdopen(ours, "rb") as stream:
            answer = stream.read()
    finally:
        _, status = os.waitpid(child, 0)
    if status != 0 or len(answer) < _HEAD:
        raise SetAside("decode_error")
    dtype, *shape = answer[:_HEAD].decode("ascii").split()
    return np.frombuffer(bytearray(answer), dtype, offset=_HEAD).reshape([int(size) for size in shape])


def _serve(decode: Callable[[], NDArray[Any]], pipe: int) -> None:
    """Decode, answer, end; never returns."""
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_SECONDS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a library says in dying is no one's to read
        samples = np.ascontiguousarray(decode())
        head = " ".join([samples.dtype.str, *map(str, samples.shape)])
        with os.fdopen(pipe, "wb") as stream:
            stream.write(head.ljust(_HEAD).encode("ascii"))
            stream.write(samples.data)
        status = 0
    finally:
        os._exit(status)
