"""Arrays as other software opens them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def assert_read_alike(images: Path, arrays: Iterable[str]) -> int:
    """Make sure that each image is valid OME-Zarr, and that three readers give one array; return how many there are."""
    import tensorstore
    import xarray
    import zarr
    from ome_zarr_models.v05.image import Image

    count = 0
    for name in arrays:
        Image.from_zarr(zarr.open_group(str(images / name), mode="r"))
        array: Any = zarr.open_array(str(images / name / "0"), mode="r")
        ours = array[...]
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(images / name / "0")}}
        theirs = tensorstore.open(spec, read=True).result().read().result()
        data = xarray.open_zarr(str(images / name), consolidated=False, mask_and_scale=False)["0"]
        assert data.dims == tuple(array.metadata.dimension_names)
        for other in (np.asarray(theirs), data.values):
            assert other.dtype == ours.dtype and other.shape == ours.shape, name
            assert other.tobytes() == ours.tobytes(), name
        count += 1
    return count
