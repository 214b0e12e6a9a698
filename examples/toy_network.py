"""Train a toy network on the demo: is a patch of 32 x 32 pixels CT or MR? Needs NumPy only, and a few seconds.

    ./run demo
    .venv/bin/python examples/toy_network.py demo/results

The network is trained on the generated volumes of the demo and tested on real images of other subjects.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from dicomzarr.dataset import DicomZarrDataset

SIDE, POOL, HIDDEN = 32, 4, 16
PATCH = {"y": SIDE, "x": SIDE}


def patches(results: str, test: bool) -> DicomZarrDataset:
    """Return random patches in physical units: of volumes with at least 8 slices, or of single images for the test."""
    return DicomZarrDataset(
        results,
        modality=["CT", "MR"],
        min_shape=PATCH if test else PATCH | {"z": 8},
        axes="yx" if test else None,
        sample="patch",
        patch=PATCH,
        patches_per_volume=100,
        rescale=True,
    )


def batch(dataset: DicomZarrDataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one epoch: inputs, shape (patches, pixels of a pooled patch), and targets, 1 for CT and 0 for MR."""
    samples = list(dataset)
    images = np.stack([sample["image"] for sample in samples]).astype(float) / 1000
    pooled = images.reshape(len(images), SIDE // POOL, POOL, SIDE // POOL, POOL).mean(axis=(2, 4))
    return pooled.reshape(len(images), -1), np.array([sample["modality"] == "CT" for sample in samples], float)


class Network:
    """A hidden layer with tanh and a logistic output, trained by gradient descent with momentum."""

    def __init__(self, inputs: int) -> None:
        random = np.random.default_rng(0)
        self.weights = [random.normal(0, inputs**-0.5, (inputs + 1, HIDDEN)), random.normal(0, 0.25, HIDDEN + 1)]
        self.moments = [np.zeros_like(each) for each in self.weights]

    def forward(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return inputs and hidden values, each with a column of ones, and the probability of CT."""
        x = np.column_stack([x, np.ones(len(x))])
        hidden = np.column_stack([np.tanh(x @ self.weights[0]), np.ones(len(x))])
        return x, hidden, 1 / (1 + np.exp(-hidden @ self.weights[1]))

    def step(self, x: NDArray[np.float64], y: NDArray[np.float64], rate: float = 0.2) -> float:
        """Update the weights on one batch; return its cross-entropy."""
        x, hidden, p = self.forward(x)
        error = (p - y) / len(y)
        hidden_error = np.outer(error, self.weights[1][:-1]) * (1 - hidden[:, :-1] ** 2)
        for weight, moment, gradient in zip(
            self.weights, self.moments, (x.T @ hidden_error, hidden.T @ error), strict=True
        ):
            moment *= 0.9
            moment -= rate * gradient
            weight += moment
        return float(-np.mean(y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12)))


def main() -> None:
    """Train and test the network, and print its accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", help="results folder of the demo, or its dataset folder")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    try:
        train, test = patches(args.results, test=False), patches(args.results, test=True)
    except (ValueError, OSError) as error:
        sys.exit(f"Error: this example needs the results of the demo: ./run demo ({error})")
    shared = {row["subject_id"] for row in train.rows} & {row["subject_id"] for row in test.rows}
    if shared or not len(train) or not len(test):
        sys.exit("Error: this example needs the results of the demo: ./run demo")
    network = Network((SIDE // POOL) ** 2)
    for epoch in range(args.epochs):
        train.set_epoch(epoch)
        x, y = batch(train)
        loss = float(np.mean([network.step(x[at::8], y[at::8]) for at in range(8)]))
        print(f"epoch {epoch + 1:2}  {len(y)} patches  loss {loss:.3f}")
    x, y = batch(test)
    accuracy = float(np.mean((network.forward(x)[-1] > 0.5) == (y > 0.5)))
    print(f"correct on {accuracy:.0%} of {len(y)} patches of {len(test.rows)} images of other subjects")


if __name__ == "__main__":
    main()
