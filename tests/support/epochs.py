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
