"""Made-up images with masks whose voxels are known, as a dataset to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from made_up_masks import MadeUpMask, add_masks
from made_up_volumes import MadeUp, write
from numpy.typing import NDArray

from dicomzarr.dataset import DicomZarrDataset

RANDOM = np.random.default_rng(11)
AFFINE = [[0.0, 0.5, 0.0, -10.0], [2.0, 0.0, 0.0, 20.0], [0.0, 0.0, 3.0, 30.0], [0.0, 0.0, 0.0, 1.0]]  # x and y swapped
SHAPE = (18, 40, 30)
PATCH = {"z": 6, "y": 9, "x": 8}


def image(axes: str = "zyx", shape: tuple[int, ...] = SHAPE, **facts: Any) -> MadeUp:
    cells = facts.pop("cells", {})
    return MadeUp(axes, RANDOM.integers(-1000, 3000, shape).astype("<i2"), facts, cells, facts.pop("layout", "slice"))


def boxed(box: tuple[tuple[int, int], ...], shape: tuple[int, ...] = SHAPE, value: int = 1) -> NDArray[np.uint8]:
    values = np.zeros(shape, np.uint8)
    values[tuple(slice(*ends) for ends in box)] = value
    return values


def speckled(shape: tuple[int, ...], share: float = 0.1) -> NDArray[np.uint8]:
    return (RANDOM.random(shape) < share).astype(np.uint8)


LIVER = boxed(((3, 9), (10, 20), (0, 5)))
TUMOUR = boxed(((4, 6), (12, 15), (1, 3)))
OTHER = boxed(((15, 17), (30, 38), (20, 29)))


def dataset_with_masks(tmp_path: Path) -> Path:
    """Image 0 has a liver and two tumours, 1 a liver and states that there is no tumour, 2 a liver alone, 3 nothing."""
    dataset = write(tmp_path, [image(affine_lps=AFFINE), image(), image(affine_lps=AFFINE), image()])
    masks = [
        MadeUpMask(0, "liver", LIVER),
        MadeUpMask(0, "tumour", TUMOUR),
        MadeUpMask(0, "tumour_2", OTHER, name="tumour"),
        MadeUpMask(1, "liver", OTHER, algorithm="automatic"),
        MadeUpMask(2, "liver", LIVER, flags="outside_image"),
    ]
    return add_masks(dataset, masks, {0: "spleen", 1: "spleen tumour"})


def numbers(dataset: DicomZarrDataset) -> list[int]:
    return [int(row["array"][:16], 16) for row in dataset.rows]
