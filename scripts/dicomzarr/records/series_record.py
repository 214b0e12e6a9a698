"""What extraction wrote of one series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dicomzarr.arrays import ome_metadata
from dicomzarr.system import files as storage


def files_of(record: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return ``{path below images.zarr: [size, sha256]}`` of all that a series has there."""
    series = record["series_id"]
    found: dict[str, list[Any]] = {}
    if record["volumes"]:
        found[f"{series}/zarr.json"] = [len(ome_metadata.GROUP), storage.sha256_of_bytes(ome_metadata.GROUP)]
    for volume in record["volumes"]:
        found.update({f"{volume['array']}/{path}": said for path, said in volume["files"].items()})
    return found
