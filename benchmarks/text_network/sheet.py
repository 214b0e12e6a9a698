"""Draw samples and their labels side by side: look at them after every change of what is trained on.

    python benchmarks/text_network/sheet.py FOLDER SHEET.png [--seed 1] [--samples 40]

FOLDER is what fetch.sh filled. Beside each sample, cells with text of three characters and more are white, with shorter
text light grey, without text black; cells that do not count are dark grey.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.text_network.backgrounds import read_frames
from benchmarks.text_network.labels import ANY, CELL, LONG, SIDE
from benchmarks.text_network.samples import batch
from benchmarks.text_network.texts import fonts, made_texts

PAIRS = 5  # samples with their labels in a row
TEXTS = 1000  # enough for a sheet, in seconds
SHORT, WITHOUT_WEIGHT = 160, 60  # greys of cells
GAP = 4  # pixels between pictures


def sheet(images: NDArray[np.float32], labels: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return samples and their labels as one picture.

    Parameters
    ----------
    images : ndarray of float32, shape (n, 1, SIDE, SIDE)
        As `samples.batch` returns them.
    labels, weights : ndarray of float32, shape (n, 2, CELLS, CELLS)
        Likewise.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
        `PAIRS` samples in a row, each left of its labels.
    """
    rows = -(-len(images) // PAIRS)
    step = SIDE + GAP
    picture = np.zeros((rows * step, PAIRS * 2 * step), np.uint8)
    for number, (image, text, weight) in enumerate(zip(images[:, 0], labels, weights, strict=True)):
        cells = np.where(weight[LONG] == 0, WITHOUT_WEIGHT, 0)
        cells[text[ANY] > 0] = SHORT
        cells[text[LONG] > 0] = 255
        large = cells.repeat(CELL, 0).repeat(CELL, 1)
        top, left = number // PAIRS * step, number % PAIRS * 2 * step
        picture[top : top + SIDE, left : left + SIDE] = np.clip(image, 0, 1) * 255
        picture[top : top + SIDE, left + step : left + step + SIDE] = large
    return picture


def main() -> None:
    """Write a sheet of samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backgrounds", type=Path)
    parser.add_argument("write", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=40)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    texts = list(made_texts(random, fonts(), TEXTS))
    cv2.imwrite(str(options.write), sheet(*batch(random, read_frames(options.backgrounds), texts, options.samples)))


if __name__ == "__main__":
    main()
