"""Read arrays with other software."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def assert_readers_agree(images: Path, arrays: Iterable[str]) -> int:
    """Check that images are valid OME-Zarr and that three readers give equal arrays; return the number of images."""
    import tensorstore
    import xarray
    import zarr
    from ome_zarr_models.v05.image import Image

    count = 0
    for name in arrays:
        Image.from_zarr(zarr.open_group(str(images / name), mode="r"))
        array: Any = zarr.open_array(str(images / name / "0"), mode="r")
        expected = array[...]
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(images / name / "0")}}
        by_tensorstore = tensorstore.open(spec, read=True).result().read().result()
        data = xarray.open_zarr(str(images / name), consolidated=False, mask_and_scale=False)["0"]
        assert data.dims == tuple(array.metadata.dimension_names)
        for values in (np.asarray(by_tensorstore), data.values):
            assert values.dtype == expected.dtype and values.shape == expected.shape, name
            assert values.tobytes() == expected.tobytes(), name
        count += 1
    return count
