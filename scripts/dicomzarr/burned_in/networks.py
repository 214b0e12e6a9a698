"""The two networks that find text in a grey image: their weights, and how they are run."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dicomzarr.vocabulary.errors import UserError

CELL = 4  # pixels a side of what one number of the answer stands for
STEP = 8  # sides of an image must be a multiple of this
WEIGHTS = {  # SHA-256 of weights/<name>.onnx: made by benchmarks/text_network, see docs/decisions/0102
    "first": "19f10407ebd52c4d9ae0f8a107709d0f4df8e595cdc3547b41094576f1e0ed53",
    "second": "73815def318afa30dd8ba831a8421bdd98e6184ce2c5360894c0b20b709b19f2",
}
Name = Literal["first", "second"]
Grey = NDArray[np.float32]


def probabilities(name: Name, image: Grey) -> Grey:
    """Return how probable text is in each cell of an image.

    Parameters
    ----------
    name : {'first', 'second'}
        The first is small and sees every frame; the second is five times as large and looks again where the first
        saw something.
    image : ndarray of float32, shape (rows, columns)
        About 0 for the darkest and 1 for the brightest pixels of its frame.

    Returns
    -------
    ndarray of float32, shape (2, rows / CELL, columns / CELL), rounded up
        Channel 0: text of any length; channel 1: text of three characters and more.
    """
    rows, columns = image.shape
    padded = np.pad(image, ((0, -rows % STEP), (0, -columns % STEP)), mode="edge")
    answer: Grey = _session(name).run(None, {"x": np.ascontiguousarray(padded[None, None], np.float32)})[0][0]
    return answer[:, : -(-rows // CELL), : -(-columns // CELL)]


@functools.cache
def _session(name: Name) -> Any:
    """Return the loaded network; each thread may run it."""
    # Before it starts: it would report the process and each session to its maker, and keep an id of this machine.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # a tenth of a second, which only a run that looks for text pays

    path = Path(__file__).parent / "weights" / f"{name}.onnx"
    weights = path.read_bytes()
    if hashlib.sha256(weights).hexdigest() != WEIGHTS[name]:
        raise UserError(f"{path.name} of burned_in/weights has other bytes than this version needs: check out again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # Snakemake and the extraction spread the work
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
