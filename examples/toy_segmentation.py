"""Train a toy segmentation on the demo: which voxels of a chest CT are lung? Needs NumPy only, and some ten seconds.

    ./run demo
    .venv/bin/python examples/toy_segmentation.py demo/results

The network sees the means of squares of several sizes around a voxel. It is trained on patches of the upper slices,
half of them at voxels of the mask, and tested on all voxels of the lower slices.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from dicomzarr.dataset import DicomZarrDataset

MASK = "lung"
SIDES = (1, 5, 11, 21, 41)  # of the squares, in voxels
PATCH = {"y": 64, "x": 64}
HIDDEN, VOXELS = 16, 64  # hidden units; voxels that are used of each patch

Images = NDArray[np.float64]


def means(image: Images) -> Images:
    """Return the means of the squares around each voxel, shape (rows, columns, squares); air is -1, water 3."""
    squares = []
    for side in SIDES:
        padded = np.pad(image / 250 + 3, side // 2, mode="edge")
        sums = np.pad(padded.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        squares.append(
            (sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]) / side**2
        )
    return np.stack(squares, axis=-1)


class Network:
    """A hidden layer with tanh and a logistic output, trained with Adam."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.weights = [random.normal(0, 1, (len(SIDES) + 1, HIDDEN)), random.normal(0, 0.25, HIDDEN + 1)]
        self.moments = [(np.zeros_like(each), np.zeros_like(each)) for each in self.weights]
        self.steps = 0

    def forward(self, x: Images) -> tuple[Images, Images, Images]:
        """Return inputs and hidden values, each with a column of ones, and the probability of the mask."""
        x = np.column_stack([x, np.ones(len(x))])
        hidden = np.column_stack([np.tanh(x @ self.weights[0]), np.ones(len(x))])
        return x, hidden, 1 / (1 + np.exp(-np.clip(hidden @ self.weights[1], -30, 30)))

    def step(self, x: Images, y: Images, rate: float = 0.02) -> float:
        """Update the weights on one batch; return its cross-entropy."""
        x, hidden, p = self.forward(x)
        error = (p - y) / len(y)
        hidden_error = np.outer(error, self.weights[1][:-1]) * (1 - hidden[:, :-1] ** 2)
        self.steps += 1
        gradients = (x.T @ hidden_error, hidden.T @ error)
        for weight, (mean, square), gradient in zip(self.weights, self.moments, gradients, strict=True):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            unbiased = mean / (1 - 0.9**self.steps)
            weight -= rate * unbiased / (np.sqrt(square / (1 - 0.999**self.steps)) + 1e-8)
        return float(-np.mean(y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12)))


def batches(dataset: DicomZarrDataset, first: int, random: np.random.Generator) -> Any:
    """Yield inputs and targets of some voxels of eight patches each, of slices from `first` on."""
    patches = (sample for sample in dataset if sample["start"][0] >= first)
    x, y = [], []
    for sample in patches:
        inputs, targets = means(sample["image"].astype(float)).reshape(-1, len(SIDES)), sample["mask"][0].ravel()
        chosen = random.choice(len(targets), VOXELS, replace=False)
        x.append(inputs[chosen])
        y.append(targets[chosen].astype(float))
        if len(x) == 8:
            yield np.concatenate(x), np.concatenate(y)
            x, y = [], []


def main() -> None:
    """Train and test the network, and print the overlap of its mask with the true one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", help="results folder of the demo, or its dataset folder")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    options: dict[str, Any] = {"modality": "CT", "with_masks": [MASK], "masks": [MASK], "rescale": True}
    try:
        train = DicomZarrDataset(
            args.results, sample="patch", patch=PATCH, patches_per_volume=200, foreground=0.5, **options
        )
        test = DicomZarrDataset(args.results, sample="slice", **options)
    except (ValueError, OSError) as error:
        sys.exit(f"Error: this example needs the results of the demo: ./run demo ({error})")
    first = len(test) // 2
    network, random = Network(), np.random.default_rng(0)
    for epoch in range(args.epochs):
        train.set_epoch(epoch)
        losses = [network.step(x, y) for x, y in batches(train, first, random)]
        print(f"epoch {epoch + 1:2}  {len(losses)} batches  loss {np.mean(losses):.3f}")
    both = found = true = voxels = 0
    for sample in (test[number] for number in range(first)):
        inside = network.forward(means(sample["image"].astype(float)).reshape(-1, len(SIDES)))[-1] > 0.5
        mask = sample["mask"][0].ravel() > 0
        both, found = both + int((inside & mask).sum()), found + int(inside.sum())
        true, voxels = true + int(mask.sum()), voxels + mask.size
    print(
        f"Dice {2 * both / (found + true):.2f} on {first} slices that it was not trained on; "
        f"{2 * true / (true + voxels):.2f} if every voxel were called {MASK}"
    )


if __name__ == "__main__":
    main()
