"""Read the slices of NIfTI files and of a dataset, with a digest of their content and their place in the patient."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from dicomzarr.dataset import Volume, read_rows

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# In the JSON of dcm2niix: our name, and the factor to our unit.
FACTS = {"EchoTime": ("echo_time_ms", 1000.0), "InversionTime": ("inversion_time_ms", 1000.0)}
Corners = NDArray[np.float64]  # shape (4, 3), mm, LPS


class Place(NamedTuple):
    """Where a slice is: volume, index along t, index along z (or tile of a mosaic)."""

    volume: str
    t: int
    z: int


def content_key(plane: NDArray[Any]) -> str:
    """Return a digest of a slice that does not change when rows or columns are flipped or the type is wider."""
    wide = np.ascontiguousarray(plane.astype(np.float64 if plane.dtype.kind == "f" else np.int64) + 0)
    flips = (wide, wide[::-1], wide[:, ::-1], wide[::-1, ::-1])
    return hashlib.blake2b(min(flip.tobytes() for flip in flips), digest_size=16).hexdigest() + f" {plane.shape}"


def ranks(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the rank of each value: the same before and after a rescale of the slice."""
    return np.unique(plane, return_inverse=True)[1].reshape(plane.shape)


def rectangle(origin: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> Corners:
    """Return the centres of the four voxels at the corners of a slice."""
    return np.array([origin, origin + x, origin + y, origin + x + y])


def distance(first: Corners, second: Corners) -> float:
    """Return the largest distance from a corner of one slice to the nearest corner of the other."""
    between = np.linalg.norm(first[:, None] - second[None], axis=2)
    return float(max(between.min(axis=0).max(), between.min(axis=1).max()))


@dataclass
class Side:
    """The slices of one side, ours or the reference: where each content is, and where each slice lies."""

    contents: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    volumes: dict[str, dict[Place, str]] = field(default_factory=dict)
    corners: dict[Place, Corners] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    blank: set[str] = field(default_factory=set)  # contents of a single value, which may be anywhere

    def add(self, place: Place, plane: NDArray[Any], corners: Corners | None, rescaled: bool = False) -> None:
        key = "ranks " + content_key(ranks(plane)) if rescaled else content_key(plane)
        self.contents[key].append(place)
        self.volumes.setdefault(place.volume, {})[place] = key
        if plane.min() == plane.max():
            self.blank.add(key)
        if corners is not None:
            self.corners[place] = corners


def read_reference(folder: Path) -> tuple[Side, int]:
    """Return the slices of the NIfTI files below a folder, and how many files without JSON were left out."""
    import nibabel

    side, without_json = Side(), 0
    for path in sorted([*folder.rglob("*.nii"), *folder.rglob("*.nii.gz")]):
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        if not path.with_name(stem + ".json").exists():
            without_json += 1
            continue
        name = str(path.relative_to(folder).with_name(stem))
        image = nibabel.load(path)
        data = np.asanyarray(image.dataobj.get_unscaled())
        colours = data.dtype.names  # RGB24
        data = np.stack([data[colour] for colour in colours], axis=-1) if colours else data[..., None]
        data = data.reshape(*(*data.shape[:-1], 1)[:3], -1, data.shape[-1])
        columns, rows, depth, times, channels = data.shape
        affine = LPS @ image.affine
        x, y = affine[:3, 0] * (columns - 1), affine[:3, 1] * (rows - 1)
        for t in range(times):
            for z in range(depth):
                plane = data[:, :, z, t].swapaxes(0, 1)
                corners = rectangle(affine[:3, 3] + affine[:3, 2] * z, x, y)
                plane = plane if channels > 1 else plane[..., 0]
                side.add(Place(name, t, z), plane, corners, rescaled=plane.dtype.kind == "f")
        side.facts[name] = reference_facts(path.with_name(stem), times)
    return side, without_json


def reference_facts(stem: Path, times: int) -> dict[str, Any]:
    """Return the series and the facts along t that dcm2niix wrote beside a NIfTI file."""
    text = stem.with_name(stem.name + ".json").read_text(encoding="utf-8", errors="replace")
    try:
        header = json.loads(text, strict=False)  # dcm2niix copies control characters of the header as they are
    except ValueError:  # and quotation marks
        header = {}
    facts: dict[str, Any] = {"series": header.get("SeriesInstanceUID", ""), "times": times}
    for keyword, (name, factor) in FACTS.items():
        if isinstance(header.get(keyword), int | float):
            facts[name] = [header[keyword] * factor] * times
    bval = stem.with_name(stem.name + ".bval")
    if bval.exists():
        facts["b_value"] = [float(value) for value in bval.read_text().split()]
    return facts


def read_ours(dicom: Path, results: Path, with_ranks: bool) -> Side:
    """Return the slices of all arrays of a dataset; sheets of a mosaic are cut into their tiles."""
    side, dataset, series = Side(), results / "dataset", series_of_arrays(dicom, results)
    for row in read_rows(dataset):
        volume = Volume(dataset / "images.zarr" / row["array"])
        sizes = dict(zip(volume.axes, volume.shape, strict=True))
        side.facts[row["array"]] = volume.facts | {
            "sizes": sizes,
            "spacing": row["spacing_mm"],
            "series": series[row["array"]],
        }
        for t in range(sizes.get("t", 1)):
            for z in range(sizes.get("z", 1)):
                at = {"t": slice(t, t + 1), "z": slice(z, z + 1)}
                frame = volume.read(tuple(at.get(axis, slice(None)) for axis in volume.axes))
                frame = frame.reshape([n for axis, n in sizes.items() if axis in "cyx"])
                if "c" in sizes:
                    frame = np.moveaxis(frame, 0, -1)
                for tile, plane, corners in tiles_of(frame, z, side.facts[row["array"]]):
                    place = Place(row["array"], t, tile)
                    side.add(place, plane, corners)
                    if with_ranks:
                        side.contents["ranks " + content_key(ranks(plane))].append(place)
    return side


def tiles_of(frame: NDArray[Any], z: int, facts: dict[str, Any]) -> Iterator[tuple[int, NDArray[Any], Corners | None]]:
    """Yield a frame and its corners, or the tiles of a mosaic and theirs; with the index along z."""
    mosaic = facts.get("mosaic")
    if not isinstance(mosaic, dict):
        yield z, frame, corners_of(facts, z)
        return
    height, width, across = mosaic["rows"], mosaic["columns"], mosaic["across"]
    for tile in range(mosaic.get("tiles", across * mosaic["down"])):
        top, left = tile // across * height, tile % across * width
        plane = frame[top : top + height, left : left + width]
        yield tile, plane, corners_of_tile(facts, mosaic, tile)


def in_plane(facts: dict[str, Any], columns: int, rows: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the vectors from the first voxel to the last along x and y, if both spacings are known."""
    spacing = facts["spacing"].split("x")[-2:]
    if "orientation_lps" not in facts or len(spacing) < 2 or not all(spacing):
        return None
    cosines = np.array(facts["orientation_lps"])
    return cosines[:3] * float(spacing[1]) * (columns - 1), cosines[3:] * float(spacing[0]) * (rows - 1)


def corners_of(facts: dict[str, Any], z: int) -> Corners | None:
    """Return the corners of a slice from the affine, else from the positions of single slices."""
    columns, rows = facts["sizes"]["x"], facts["sizes"]["y"]
    if "affine_lps" in facts:
        affine = np.array(facts["affine_lps"])
        origin = affine[:3, 3] + affine[:3, 2] * z
        return rectangle(origin, affine[:3, 0] * (columns - 1), affine[:3, 1] * (rows - 1))
    vectors = in_plane(facts, columns, rows)
    if vectors is None:
        return None
    if "positions_lps" in facts:
        return rectangle(np.array(facts["positions_lps"][z]), *vectors)
    if "origin_lps" not in facts or (facts["sizes"].get("z", 1) > 1 and "positions_mm" not in facts):
        return None
    origin = np.array(facts["origin_lps"])
    if "positions_mm" in facts:
        normal = np.cross(facts["orientation_lps"][:3], facts["orientation_lps"][3:])
        origin = origin + normal * (facts["positions_mm"][z] - facts["positions_mm"][0])
    return rectangle(origin, *vectors)


def corners_of_tile(facts: dict[str, Any], mosaic: dict[str, Any], tile: int) -> Corners | None:
    vectors = in_plane(facts, mosaic["columns"], mosaic["rows"])
    if vectors is None:
        return None
    if "positions_lps" in mosaic:
        return rectangle(np.array(mosaic["positions_lps"][tile]), *vectors)
    if "first_position_lps" not in mosaic or "step_lps" not in mosaic:
        return None
    return rectangle(np.array(mosaic["first_position_lps"]) + tile * np.array(mosaic["step_lps"]), *vectors)


# ---- The private tables


def series_uid(path: Path) -> str:
    """Return the Series Instance UID of a file."""
    from pydicom import dcmread

    try:
        header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SeriesInstanceUID"])
    except Exception:  # whatever pydicom raises for a file that is quarantined
        return ""
    return str(header.get("SeriesInstanceUID", ""))


def private_rows(results: Path, table: str) -> Iterator[dict[str, str]]:
    with open(results / "private" / table, newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


def series_of_arrays(dicom: Path, results: Path) -> dict[str, str]:
    """Return the Series Instance UID of each array."""
    first = {row["array"]: row["path"] for row in private_rows(results, "frames.csv")}
    return {array: series_uid(dicom / unquote(path)) for array, path in first.items()}


def reasons_by_series(dicom: Path, results: Path) -> dict[str, Counter[str]]:
    """Return for each Series Instance UID the reasons of its files that were not extracted."""
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for row in private_rows(results, "files.csv"):
        if row["outcome"] in ("skipped", "quarantined"):
            reasons[series_uid(dicom / unquote(row["path"]))][row["reason"]] += 1
    return reasons


def header_positions(dicom: Path, results: Path, array: str) -> dict[Place, NDArray[np.float64]]:
    """Return Image Position (Patient) of the single-frame files of an array, by place."""
    from pydicom import dcmread

    positions = {}
    for row in private_rows(results, "frames.csv"):
        if row["array"] == array:
            header = dcmread(dicom / unquote(row["path"]), stop_before_pixels=True, force=True)
            if "ImagePositionPatient" in header and "NumberOfFrames" not in header:
                place = Place(array, int(row["t"] or 0), int(row["z"] or 0))
                positions[place] = np.array([float(value) for value in header.ImagePositionPatient])
    return positions
