"""Whether the field of view of a volume is large enough for a face, and its voxels small enough to recognise one.

Headers often lack the part of the body, or state a wrong one. The size of a volume does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import pairwise

from dicomzarr.dicom.facts import Cosines, Vector
from dicomzarr.volumes import geometry
from dicomzarr.volumes.model import Volume

# Smaller than a face: those of adults are 98 to 139 mm long and 120 to 159 mm wide (the NIOSH panel for respirators;
# Zhuang et al. 2007), and the head of a newborn is some 93 mm wide and 115 mm long.
FACE_MM = 90.0
# The third direction: less than lies between the pupils of nearly all adults (50 to 75 mm; Dodgson 2004), or from the
# brows to below the nose, without which a face still is recognised (Budin et al. 2008).
THIRD_MM = 50.0
# A face 140 mm wide has 16 samples then, in which people still recognise it (Harmon 1973). A program matched a third of
# the faces rendered from axial FLAIR, whose slices are some 5 mm apart, to photographs (Schwarz et al., Mayo Clinic).
VOXEL_MM = 9.0
# Longer than the trunk of a tall adult: from the eyes to the thighs, whatever part of the body the header states.
TRUNK_MM = 800.0


def extents_mm(volume: Volume) -> tuple[tuple[float, float], ...]:
    """Return of each direction of a volume its extent and the distance of its samples.

    The directions are those of the volume (slices, rows, columns) and not of the patient: a thin slab stays thin,
    however it is tilted. An unknown distance counts as `VOXEL_MM`, the largest that matters: it excludes nothing.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    tuple of (float, float)
        Extent, and distance between neighbours; mm. Empty if the volume has no depth.
    """
    sizes = dict(zip(volume.axes, map(float, volume.shape), strict=True))
    mosaic = volume.places[0].frame.mosaic
    if mosaic is not None:
        sizes |= {"y": _number(mosaic["rows"]), "x": _number(mosaic["columns"])}
        cells = _number(mosaic["across"]) * _number(mosaic["down"])
        slices, depth = _number(mosaic.get("tiles", cells)), _number(mosaic.get("spacing_mm", VOXEL_MM))
    elif volume.kind == "mosaic":  # its tiles are not known: as many as the sheet has rows exclude nothing
        slices, depth = sizes["y"], VOXEL_MM
    elif "z" in sizes:
        slices, depth = sizes["z"], _distance_of_slices(volume, sizes["z"])
    elif "t" in sizes and volume.origin_lps is None:  # slices without a position lie along t, in the order of files
        slices, depth = sizes["t"], VOXEL_MM
    else:
        return ()
    plane = [(sizes[axis], volume.spacing_mm.get(axis, VOXEL_MM)) for axis in "yx"]
    return tuple((number * distance, distance) for number, distance in [(slices, depth), *plane])


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 1.0


def _distance_of_slices(volume: Volume, slices: float) -> float:
    """Return the mean distance between slices, mm."""
    if "z" in volume.spacing_mm:
        return volume.spacing_mm["z"]
    depths: Sequence[float] = volume.positions_mm or ()
    if not depths and volume.positions_lps and volume.orientation_lps:
        normal = geometry.slice_normal(volume.orientation_lps)
        depths = [geometry.dot(position, normal) for position in volume.positions_lps]
    if len(depths) < 2:
        return VOXEL_MM
    return (max(depths) - min(depths)) / (slices - 1)


def _is_large(directions: Sequence[tuple[float, float]]) -> bool:
    """Return whether extents and distances, mm, are those of a volume that can hold a face."""
    if not directions or any(distance > VOXEL_MM for _, distance in directions):
        return False
    third, second, _ = sorted(extent for extent, _ in directions)
    return third >= THIRD_MM and second >= FACE_MM


def can_hold_face(volume: Volume) -> bool:
    """Return whether a volume is large enough for a face, and its voxels are small enough to recognise one.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    bool
        False for an image without depth. One that is large enough may show any part of the body.
    """
    return _is_large(extents_mm(volume))


def holding_face_together(volumes: Sequence[Volume]) -> frozenset[tuple[str, ...]]:
    """Return which volumes of a series are parts of a stack of slices that can hold a face.

    The slices of a head may be several arrays: the base of the skull thinner than the rest, or each slice by itself.
    Slices of one orientation, size and spacing form a stack here, whatever else distinguishes them; where the next one
    is more than `VOXEL_MM` away, another stack begins.

    Parameters
    ----------
    volumes : sequence of Volume
        All of the series.

    Returns
    -------
    frozenset of tuple of str
        Their discriminators.
    """
    stacks: dict[Hashable, list[tuple[float, tuple[str, ...]]]] = defaultdict(list)
    planes: dict[Hashable, list[tuple[float, float]]] = {}
    normals: dict[Cosines, Vector] = {}
    for volume in volumes:
        for place in volume.places:
            frame = place.frame
            if frame.position is None or frame.orientation is None or frame.mosaic is not None:
                continue
            spacing = frame.pixel_spacing or (VOXEL_MM, VOXEL_MM)
            cosines = tuple(round(cosine, 2) for cosine in frame.orientation)
            key: Hashable = (cosines, frame.rows, frame.columns, spacing)
            sizes = zip((frame.rows, frame.columns), spacing, strict=True)
            planes[key] = [(number * distance, distance) for number, distance in sizes]
            if frame.orientation not in normals:
                normals[frame.orientation] = geometry.slice_normal(frame.orientation)
            depth = geometry.dot(frame.position, normals[frame.orientation])
            stacks[key].append((depth, volume.discriminators))
    found: set[tuple[str, ...]] = set()
    for kind, slices in stacks.items():
        slices.sort()
        starts = [0, *(i for i in range(1, len(slices)) if slices[i][0] - slices[i - 1][0] > VOXEL_MM), len(slices)]
        for start, end in pairwise(starts):
            stack = slices[start:end]
            places = len({round(depth, 1) for depth, _ in stack})
            if places < 2:
                continue
            step = (stack[-1][0] - stack[0][0]) / (places - 1)
            if _is_large([(places * step, step), *planes[kind]]):
                found.update(name for _, name in stack)
    return frozenset(found)


def is_longer_than_trunk(volume: Volume) -> bool:
    """Return whether a volume is longer in a direction than the trunk of a person.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    bool
    """
    return any(extent > TRUNK_MM for extent, _ in extents_mm(volume))
