"""The naive script, and what `load_images` must give beside it."""

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

# JPEG lossless with prediction: the naive script needs a GPL plugin for it. Held against the corpus's digests instead.
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
    """Return what the naive script makes of each file in the order of os.walk; None where it fails."""
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
    """Return the digest of shape, type and values, whatever the byte order."""
    plain = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{plain.shape} {plain.dtype}".encode() + plain.tobytes()).hexdigest()


def lists_alike(run: Run, corpus: Path) -> int:
    """Hold `load_images` against the naive script on every extracted file; return how many images are equal."""
    source = corpus / "dicom"
    files = json.loads((corpus / "expected.json").read_text())["files"]
    theirs = naive(source)
    clean = {unquote(row["path"]) for row in run.table("private/files.csv") if row["outcome"] == "extracted"}
    order = [path for path in theirs if path in clean]
    assert {path for path in order if theirs[path] is None} == NOT_FOR_THE_NAIVE
    assert {path for path in theirs if theirs[path] is not None} - clean == {"pydicom/MR_small.dcm"}  # a duplicate

    ours = dict(zip(order, load_images(run.results, source=source), strict=True))
    alone = load_images(run.results / "dataset")
    equal = 0
    for path, image in ours.items():
        known = theirs[path]
        if known is None:
            hashed = [
                hashlib.sha256(frame.tobytes()).hexdigest()
                for frame in (image if files[path]["frames"] > 1 else [image])
            ]
            assert hashed == files[path]["frame_sha256"]
            continue
        assert (image.shape, image.dtype.newbyteorder("=")) == (known.shape, known.dtype.newbyteorder("="))
        if path in WITHIN_ONE:
            assert np.abs(image.astype(int) - known.astype(int)).max() == 1
        else:
            assert np.array_equal(image, known), path
            equal += 1
    by_path = load_images(run.results)
    in_order_of_paths = [ours[path] for path in sorted(ours, key=os.fsencode)]
    assert [digest(image) for image in by_path] == [digest(image) for image in in_order_of_paths]

    ours_alone = NOT_FOR_THE_NAIVE | WITHIN_ONE
    assert Counter(map(digest, alone)) == Counter(digest((ours if p in ours_alone else theirs)[p]) for p in order)
    return equal
