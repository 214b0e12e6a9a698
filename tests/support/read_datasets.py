"""Made-up datasets of one volume, opened by the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_up_volumes import MadeUp, write

from dicomzarr.dataset import DicomZarrDataset

RANDOM = np.random.default_rng(7)
AFFINE = [[0.0, 0.5, 0.0, -10.0], [2.0, 0.0, 0.0, 20.0], [0.0, 0.0, 3.0, 30.0], [0.0, 0.0, 0.0, 1.0]]  # x and y swapped


def ints(*shape: int, dtype: str = "<i2") -> np.ndarray:
    """Return random voxels within the range of the integers."""
    return RANDOM.integers(0 if dtype[1] == "u" else -1000, 200 if dtype == "|u1" else 3000, shape).astype(dtype)


def dataset_of(folder: Path, volume: MadeUp, **options: object) -> DicomZarrDataset:
    """Return a dataset of one volume, written below a folder."""
    return DicomZarrDataset(write(folder, [volume]), **options)  # type: ignore[arg-type]
