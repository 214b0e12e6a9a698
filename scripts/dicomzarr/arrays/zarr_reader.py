"""Read arrays with zarr-python, in the calling thread.

The synchronous API of zarr-python hands each request to a thread with an event loop, which hands each file and each
chunk to a third thread. With chunks of half a megabyte that takes longer than reading them. Here the calling thread
runs the event loop, and work that the loop gives to its executor is done at once. zarr-python still reads and decodes.
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


class _SameThreadExecutor(ThreadPoolExecutor):
    """Executor that calls each function in the calling thread; event loops accept subclasses of this class only."""

    def submit(self, fn: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Answer]:
        """Call a function; return a finished future with its result or exception."""
        future: Future[Answer] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class _ThreadLoop:
    """The event loop of a thread, closed when the thread ends."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(_SameThreadExecutor())

    def __del__(self) -> None:
        self.loop.close()


_of_thread = threading.local()


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Return the result of a coroutine, run by the event loop of this thread."""
    thread_loop: _ThreadLoop | None = getattr(_of_thread, "loop", None)
    if thread_loop is None:
        thread_loop = _of_thread.loop = _ThreadLoop()
    return thread_loop.loop.run_until_complete(work)


class StoredArray:
    """An array of a Zarr store; any thread may read it.

    Attributes
    ----------
    shape : tuple of int
    chunk : tuple of int
        Shape of an inner chunk, which is decoded as a whole.
    dtype : numpy dtype
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape: tuple[int, ...] = array.shape
        self.chunk: tuple[int, ...] = array.chunks
        self.dtype: np.dtype[Any] = array.dtype

    def __getitem__(self, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        """Return a part of the array; errors are those of zarr-python."""
        return np.asarray(_run(self._array.getitem(selection)))

    def through_zarrs(self) -> StoredArray:
        """Return the same array, with zarrs (in Rust, faster) as the codec pipeline.

        Returns
        -------
        StoredArray
        """
        import zarr

        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": 1}):
            return StoredArray(zarr.AsyncArray(metadata=self._array.metadata, store_path=self._array.store_path))


def open_array(path: Path) -> StoredArray:
    """Open an array with zarr-python and its own codec pipeline.

    Parameters
    ----------
    path : Path
        The array's folder.

    Returns
    -------
    StoredArray

    Raises
    ------
    FileNotFoundError
        If there is no array.
    """
    import zarr.api.asynchronous

    return StoredArray(_run(zarr.api.asynchronous.open_array(store=str(path), mode="r", zarr_format=3)))
