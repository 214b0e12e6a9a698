"""What extraction wrote of one series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dicomzarr.system import files as storage
from dicomzarr.system import json_files

# The `zarr.json` of a group without attributes: that of each series, and of `images.zarr`.
GROUP = json_files.canonical_json({"zarr_format": 3, "node_type": "group", "attributes": {}})


def files_of(record: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return ``{path below images.zarr: [size, sha256]}`` of all that a series has there."""
    series = record["series_id"]
    found: dict[str, list[Any]] = {}
    if record["volumes"]:
        found[f"{series}/zarr.json"] = [len(GROUP), storage.sha256_of_bytes(GROUP)]
    for volume in record["volumes"]:
        found.update({f"{volume['array']}/{path}": said for path, said in volume["files"].items()})
    return found
