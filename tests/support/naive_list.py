"""Compare `load_images` with a naive script that decodes every file with pydicom."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from conftest import Run
from numpy.typing import NDArray

from dicomzarr.dataset import load_images

# JPEG lossless with prediction: the naive script needs a GPL plugin. Compared with the digests of the corpus instead.
NOT_FOR_THE_NAIVE = {
    "test pattern/TestPattern_JPEG-Lossless_RGB.dcm",
    "transfer syntaxes/5.dcm",
    "transfer syntaxes/6.dcm",
}
# Lossy YBR pictures: libjpeg-turbo's conversion to RGB and Pillow's differ by 1 in a few voxels.
WITHIN_ONE = {
    "test pattern/TestPattern_JPEG-Baseline_YBR422.dcm",
    "test pattern/TestPattern_JPEG-Baseline_YBRFull.dcm",
}


def naive(source: Path) -> dict[str, NDArray[np.generic] | None]:
    """Return the pixels of each file in the order of os.walk; None if pydicom fails."""
    import pydicom

    images: dict[str, NDArray[np.generic] | None] = {}
    for folder, _, names in os.walk(source):
        for name in names:
            path = os.path.join(folder, name)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    image = pydicom.dcmread(path, force=True).pixel_array
            except (AttributeError, RuntimeError, ValueError):
                image = None
            images[os.path.relpath(path, source)] = image
    return images


def digest(image: NDArray[np.generic]) -> str:
    """Return a digest of shape, type and values that does not depend on the byte order."""
    little_endian = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{little_endian.shape} {little_endian.dtype}".encode() + little_endian.tobytes()).hexdigest()


def compare_lists(run: Run, corpus: Path) -> int:
    """Compare `load_images` with the naive script on every extracted file; return the number of equal images."""
    source = corpus / "dicom"
    files = json.loads((corpus / "expected.json").read_text())["files"]
    by_pydicom = naive(source)
    clean = {unquote(row["path"]) for row in run.table("private/files.csv") if row["outcome"] == "extracted"}
    order = [path for path in by_pydicom if path in clean]
    assert {path for path in order if by_pydicom[path] is None} == NOT_FOR_THE_NAIVE
    assert {path for path in by_pydicom if by_pydicom[path] is not None} - clean == {
        "pydicom/MR_small.dcm"
    }  # a duplicate

    by_dataset = dict(zip(order, load_images(run.results, source=source), strict=True))
    without_results = load_images(run.results / "dataset")
    equal = 0
    for path, image in by_dataset.items():
        expected = by_pydicom[path]
        if expected is None:
            hashed = [
                hashlib.sha256(frame.tobytes()).hexdigest()
                for frame in (image if files[path]["frames"] > 1 else [image])
            ]
            assert hashed == files[path]["frame_sha256"]
            continue
        assert (image.shape, image.dtype.newbyteorder("=")) == (expected.shape, expected.dtype.newbyteorder("="))
        if path in WITHIN_ONE:
            assert np.abs(image.astype(int) - expected.astype(int)).max() == 1
        else:
            assert np.array_equal(image, expected), path
            equal += 1
    by_path = load_images(run.results)
    in_order_of_paths = [by_dataset[path] for path in sorted(by_dataset, key=os.fsencode)]
    assert [digest(image) for image in by_path] == [digest(image) for image in in_order_of_paths]

    not_by_pydicom = NOT_FOR_THE_NAIVE | WITHIN_ONE
    assert Counter(map(digest, without_results)) == Counter(
        digest((by_dataset if p in not_by_pydicom else by_pydicom)[p]) for p in order
    )
    return equal
