"""Read epochs of a dataset in several processes, with multiprocessing alone."""

from __future__ import annotations

import hashlib
import multiprocessing
from typing import Any

import numpy as np

from dicomzarr.dataset import DicomZarrDataset

_datasets: list[DicomZarrDataset] = []  # the dataset of a worker


def _set_dataset(dataset: DicomZarrDataset) -> None:
    _datasets[:] = [dataset]


def _read(index: int) -> str:
    return digest(_datasets[0][index])


def digest(sample: dict[str, Any]) -> str:
    """Return a digest of the pixels and all other values of a sample."""
    whole = hashlib.sha256()
    for key, value in sorted(sample.items()):
        is_array = isinstance(value, np.ndarray)
        whole.update(f"{key} {(value.shape, value.dtype) if is_array else value}\n".encode())
        whole.update(value.tobytes() if is_array else b"")
    return whole.hexdigest()


def epoch(dataset: DicomZarrDataset, workers: int, method: str) -> list[str]:
    """Return the digests of all samples in order, read by `workers` processes, or by this one if 0."""
    if workers == 0:
        return [digest(dataset[i]) for i in range(len(dataset))]
    context = multiprocessing.get_context(method)
    with context.Pool(workers, initializer=_set_dataset, initargs=(dataset,)) as pool:
        return pool.map(_read, range(len(dataset)), chunksize=1)


class Workers:
    """Processes that live longer than an epoch, as `persistent_workers=True` in torch; use it in `with`."""

    def __init__(self, dataset: DicomZarrDataset, method: str) -> None:
        self._length = len(dataset)
        self._pool = multiprocessing.get_context(method).Pool(2, initializer=_set_dataset, initargs=(dataset,))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()

    def epoch(self) -> list[str]:
        """Return the digests of all samples in order."""
        return self._pool.map(_read, range(self._length), chunksize=1)

    def epoch_of_its_own(self, number: int) -> list[str]:
        """Return those of an epoch that a worker sets itself, read by this worker."""
        return self._pool.apply(_read_epoch, (number,))


def _read_epoch(number: int) -> list[str]:
    _datasets[0].set_epoch(number)
    return [digest(sample) for sample in _datasets[0]]
