"""The state in which the viewer opens an image: layers with their places, windows and colours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dataset import Volume
from dicomzarr.viewer import files, placement, shaders
from dicomzarr.viewer.catalogue import CONVERTED, IMAGES, Image, Mask
from dicomzarr.viewer.windows import windows_of

MOST_OF_PLANE = 1024  # rows and columns of a plane whose values decide on a window
PANELS = {4: 420, 1: 600}  # pixels: about the shorter side of a panel, where there are so many


class Opened(NamedTuple):
    """An image or a mask, opened.

    Attributes
    ----------
    volume : Volume
    facts : dict
        The attribute `dicomzarr`, with the arrays that it refers to.
    ome : dict
        The attribute `ome`.
    """

    volume: Volume
    facts: dict[str, Any]
    ome: dict[str, Any]

    @property
    def size(self) -> dict[str, int]:
        """Length of each axis."""
        return dict(zip(self.volume.axes, self.volume.shape, strict=True))


def state_of(dataset: Path, image: Image, address: str) -> dict[str, Any]:
    """Return the state of an image.

    Parameters
    ----------
    dataset : Path
        The dataset folder.
    image : Image
    address : str
        URL below which the server gives out `images.zarr` and, as float32, `converted`.

    Returns
    -------
    dict
        JSON values.

    Raises
    ------
    OSError, ValueError
        If a file of the image is missing, damaged or a link.
    """
    opened = open_array(dataset, image.array)
    axes = opened.volume.axes
    affine, unit = placement.affine_of(axes, opened.facts, spacing(opened.ome))
    folder = "converted" if opened.volume.dtype.name in CONVERTED else IMAGES
    source = {
        "url": f"zarr3://{address}/{folder}/{image.array}/",
        "transform": placement.source_transform(axes, affine, unit),
        "subsources": {"default": True},
        "enableDefaultSubsources": False,
    }
    layers = image_layers(image, opened, source)
    for mask in image.masks:
        layer = mask_layer(dataset, image, mask, affine, unit, opened, address)
        layers += [layer] if layer else []
    size = opened.size
    center = placement.at(affine, center_of(image, axes, size))
    longest = placement.extent(affine, size) or 1.0
    shown = [axis for axis in "xyz" if axis in axes]
    dimensions = {axis: list(unit) for axis in shown}
    position = [center[axis] for axis in shown]
    if "t" in axes:
        dimensions["t"] = list(placement.NO_UNIT)
        position.append(0.5)
    is_lps = "affine_lps" in opened.facts
    upright = placement.UPRIGHT if is_lps else placement.AS_STORED
    return {
        "coordinates": "LPS" if is_lps else "array",  # for our orientation.js: the client leaves it out
        "title": f"{image.modality} {image.array}".strip(),
        "dimensions": dimensions,
        "displayDimensions": shown,
        "position": position,
        "crossSectionScale": longest * 1.05 / PANELS[4 if "z" in axes else 1],
        "crossSectionOrientation": upright,
        "projectionScale": longest * 1.1,
        "projectionOrientation": placement.tilted(upright),
        "crossSectionBackgroundColor": "#000000",
        "hideCrossSectionBackground3D": True,
        "layers": layers,
        "layout": "4panel-alt" if "z" in axes else "xy",
        "selectedLayer": {"layer": layers[0]["name"], "visible": True, "size": 290},
        "showDefaultAnnotations": True,
    }


def open_array(dataset: Path, array: str) -> Opened:
    """Open an image or a mask; its files are below `images.zarr` and no links.

    Raises
    ------
    OSError, ValueError
        If a file is missing, damaged or a link.
    """
    images = dataset / IMAGES
    attributes = json.loads(read_below(images, f"{array}/zarr.json"))["attributes"]
    metadata = json.loads(read_below(images, f"{array}/0/zarr.json"))
    shard = "/".join([array, "0", "c", *("0" for _ in metadata["shape"])])
    lists = [value["array"] for value in _values(attributes["dicomzarr"]) if _is_reference(value)]
    needed = [shard, *(f"{array}/{name}/zarr.json" for name in lists)]
    if not all(files.is_below(images, path) for path in needed):
        raise FileNotFoundError(f"a file of {array} is missing, or is a link, which the viewer does not follow")
    volume = Volume(images / array)
    return Opened(volume, volume.facts, attributes["ome"])


def read_below(folder: Path, path: str) -> bytes:
    """Return the content of a file that `files.open_below` opens."""
    handle, size = files.open_below(folder, path)
    with open(handle, "rb") as stream:
        return stream.read(size)


def _values(facts: Mapping[str, Any]) -> list[Any]:
    """Return the values of the attributes, and of those in them."""
    inner = [value for each in facts.values() if isinstance(each, dict) for value in each.values()]
    return [*facts.values(), *inner]


def _is_reference(value: Any) -> bool:
    """Return whether a value names an array beside the image."""
    return isinstance(value, dict) and set(value) == {"array"}


def spacing(ome: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the distance of two indices along each axis, mm; None where no unit says that it is known."""
    multiscale = ome["multiscales"][0]
    scale = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"]
    return {
        axis["name"]: float(step) if axis.get("unit") == "millimeter" else None
        for axis, step in zip(multiscale["axes"], scale, strict=True)
    }


def center_of(image: Image, axes: str, size: Mapping[str, int]) -> dict[str, float]:
    """Return the index to look at: the middle of its smallest mask, else of the image."""
    center = {axis: (n // 2 if axis == "z" else (n - 1) / 2) for axis, n in size.items()}
    spatial = [axis for axis in axes if axis in "zyx"]
    masks = [mask for mask in image.masks if mask.box and not mask.own_grid]
    if masks:
        box = min(masks, key=lambda mask: mask.voxels).box[-len(spatial) :]
        center |= {axis: float((low + high - 1) // 2) for axis, (low, high) in zip(spatial, box, strict=True)}
    return center


def image_layers(image: Image, opened: Opened, source: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the layers of an image: one, or one for each of its windows, of which the first is visible."""
    facts, volume = opened.facts, opened.volume
    name = image.modality or "image"
    dtype = "float32" if volume.dtype.name in CONVERTED else volume.dtype.name
    layer = {
        "type": "image",
        "source": source,
        "opacity": 1,
        "blend": "default",
        "tab": "rendering",
        "codeVisible": False,
    }
    if "c" in volume.axes:
        shader = shaders.colour(int(facts.get("bits_stored", 0)), dtype)
        return [layer | {"name": name, "shader": shader, "channelDimensions": {"c^": list(placement.NO_UNIT)}}]
    if facts.get("photometric") == "PALETTE COLOR" and "palette" in facts:
        program = shaders.palette(facts["palette"])
        if program:
            return [layer | {"name": name, "shader": program}]
    plane, frame = middle_plane(volume)
    finite = plane[np.isfinite(plane)]
    lowest, highest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return [
        layer
        | {
            "name": f"{name}: {window.name}",
            "shader": shaders.grey(window, dtype, lowest, highest),
            "visible": number == 0,
        }
        for number, window in enumerate(windows_of(facts, plane, frame))
    ]


def middle_plane(volume: Volume) -> tuple[NDArray[Any], int]:
    """Return the plane through the middle of z at the first t, at most its middle part, and its frame number."""
    region, frame = [], 0
    for axis, n in zip(volume.axes, volume.shape, strict=True):
        if axis == "z":
            frame = n // 2
            region.append(slice(frame, frame + 1))
        elif axis == "t":
            region.append(slice(0, 1))
        else:
            first = max(0, (n - MOST_OF_PLANE) // 2)
            region.append(slice(first, min(n, first + MOST_OF_PLANE)))
    return volume.read(tuple(region)), frame


def mask_layer(
    dataset: Path,
    image: Image,
    mask: Mask,
    affine: placement.Affine,
    unit: list[Any],
    of_image: Opened,
    address: str,
) -> dict[str, Any] | None:
    """Return the layer of a mask; None if nothing tells where it lies on its image.

    Parameters
    ----------
    dataset : Path
        The dataset folder.
    image : Image
    mask : Mask
        One of its masks.
    affine : ndarray of float64, shape (4, 4)
        That of the image, as `placement.affine_of` returns it.
    unit : list
        `MILLIMETRE` or `NO_UNIT` of `placement`.
    of_image : Opened
        The image.
    address : str
        URL below which the server gives out `images.zarr`.
    """
    array = f"{image.array}/labels/{mask.name}"
    opened = open_array(dataset, array)
    if mask.own_grid:
        if "affine_lps" not in opened.facts or "affine_lps" not in of_image.facts:
            return None
        affine = np.array(opened.facts["affine_lps"], np.float64)
    source = {
        "url": f"zarr3://{address}/{IMAGES}/{array}/",
        "transform": placement.source_transform(opened.volume.axes, affine, unit),
        "subsources": {"default": True},
        "enableDefaultSubsources": False,
    }
    colours = opened.ome.get("image-label", {}).get("colors") or [{"label-value": 1, "rgba": [230, 85, 13, 160]}]
    red, green, blue = colours[0]["rgba"][:3]
    rgb = f"#{red:02x}{green:02x}{blue:02x}"
    layer = {"name": mask.name, "source": source}
    maximum = int(opened.facts.get("maximum_fraction", 1))
    if maximum > 1:
        return layer | {"type": "image", "shader": shaders.fraction(rgb, maximum), "opacity": 0.6}
    value = str(colours[0]["label-value"])
    return layer | {"type": "segmentation", "segments": [value], "segmentColors": {value: rgb}, "selectedAlpha": 0.45}
