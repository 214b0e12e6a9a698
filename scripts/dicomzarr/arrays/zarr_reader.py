"""Read arrays with zarr-python, in the calling thread.

The synchronous API of zarr-python hands each request to a thread with an event loop, which hands each file and each
chunk to a third thread. With chunks of half a megabyte that takes longer than reading them. Here the calling thread
runs the event loop, and work that the loop gives to its executor is done at once. zarr-python still reads and decodes.
"""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import numpy as np
from numpy.typing import NDArray

Answer = TypeVar("Answer")
Given = TypeVarTuple("Given")


class _Loop(asyncio.SelectorEventLoop):
    """The event loop of a thread: it does at once what it is asked to give to an executor."""

    def __init__(self) -> None:
        super().__init__()
        if eager := getattr(asyncio, "eager_task_factory", None):  # Python 3.12
            self.set_task_factory(eager)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Given], Answer], *args: *Given
    ) -> asyncio.Future[Answer]:
        """Call a function; return a finished future with its result or error."""
        future: asyncio.Future[Answer] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class _ThreadLoop:
    """The event loop of a thread, closed when the thread ends."""

    def __init__(self) -> None:
        self.loop = _Loop()

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
    import zarr.storage

    content = (path / "zarr.json").read_bytes()
    store = _run(zarr.storage.LocalStore.open(path, read_only=True))  # by this thread: several that read would race
    return StoredArray(zarr.AsyncArray(metadata=_metadata_in(content), store_path=zarr.storage.StorePath(store)))


@functools.lru_cache(maxsize=1 << 8)
def _metadata_in(content: bytes) -> Any:
    """Return the metadata in a `zarr.json`, as zarr-python reads it: most arrays of a batch have the same."""
    import zarr.storage

    anywhere = zarr.storage.StorePath(zarr.storage.MemoryStore())
    return zarr.AsyncArray(metadata=json.loads(content), store_path=anywhere).metadata
