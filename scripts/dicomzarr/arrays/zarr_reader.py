"""Arrays as zarr-python reads them, by the thread that asks.

zarr-python's own synchronous calls hand each request to a thread with an event loop, which hands each file and each
chunk to a third: with chunks of half a megabyte that takes longer than reading them. Here the asking thread runs the
event loop, and what the loop gives away is done at once. What reads and decodes is zarr-python's code all the same.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

Answer = TypeVar("Answer")
Given = ParamSpec("Given")


class _AtOnce(ThreadPoolExecutor):
    """Does what it is given before it returns; an event loop takes no other kind of executor than one of threads."""

    def submit(self, fn: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Answer]:
        """Call a function; the future has what it returned or raised."""
        done: Future[Answer] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class _ThreadLoop:
    """The event loop of a thread, closed when the thread ends."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(_AtOnce())

    def __del__(self) -> None:
        self.loop.close()


_mine = threading.local()


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Return what a coroutine returns, run by the event loop of this thread."""
    mine: _ThreadLoop | None = getattr(_mine, "loop", None)
    if mine is None:
        mine = _mine.loop = _ThreadLoop()
    return mine.loop.run_until_complete(work)


class StoredArray:
    """An array of a Zarr store, to be read by any thread.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy dtype
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype

    def __getitem__(self, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        """Return a part of the array; raises whatever zarr-python does."""
        return np.asarray(_run(self._array.getitem(selection)))

    def through_zarrs(self) -> StoredArray:
        """Return the same array whose chunks are read by zarrs, which is in Rust and faster."""
        import zarr

        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": 1}):
            return StoredArray(zarr.AsyncArray(metadata=self._array.metadata, store_path=self._array.store_path))


def open_array(path: Path) -> StoredArray:
    """Open an array with zarr-python; its chunks are read by its own code."""
    import zarr.api.asynchronous

    return StoredArray(_run(zarr.api.asynchronous.open_array(store=str(path), mode="r")))
