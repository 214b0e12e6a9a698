"""Frames that are not stacked: projections, cine, tiles, segmentations, images without a position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dicomzarr.dicom import sop_classes
from dicomzarr.volumes.acquisition import classes_of
from dicomzarr.volumes.clocks import with_comparable_clocks
from dicomzarr.volumes.describe import array_of, kind_of_object
from dicomzarr.volumes.grouping import count_of
from dicomzarr.volumes.image_type import KindOfImage, kind_of_image, makes_projections
from dicomzarr.volumes.model import Frame, Volume
from dicomzarr.volumes.slices import depth, has_geometry
from dicomzarr.volumes.stacks import identity
from dicomzarr.volumes.t_values import axis_values, t_values
from dicomzarr.volumes.terms import terms_that_differ

CINE: Final = frozenset({"US", "IVUS", "XA", "RF", "ES", "XC", "GM", "OP", "ECG", "BMD"})
# Slices of a body: without a position their order is known at best.
_TOMOGRAPHIC: Final = frozenset({"CT", "MR", "PT", "NM"})
# Modalities of machines that make projections, and slices, too: tomosynthesis and cone beams.
_MAKE_SLICES: Final = frozenset({"MG", "XA", "RF", "PX", "IO"})
# Classes whose frames are slices.
_VOLUMES: Final = sop_classes.SLICES | {sop_classes.ENHANCED_US_VOLUME, sop_classes.PARAMETRIC_MAP}
# Image Type (0008,0008) of reconstructed Nuclear Medicine; its other images are projections.
_TOMOGRAPHY: Final = frozenset({"RECON TOMO", "RECON GATED TOMO"})


def is_segmentation(frame: Frame) -> bool:
    """Return whether a frame belongs to a segmentation.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    bool
    """
    return sop_classes.is_segmentation(frame.modality, frame.sop_class_uid)


def is_projection(frame: Frame) -> bool:
    """Return whether a frame is a projection, by its modality; slices may be written with that of their machine.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    bool
    """
    return makes_projections(frame.modality, frame.sop_class_uid)


def arrays_of_singles(frames: Sequence[Frame]) -> list[Volume]:
    """Return the arrays of single images that have no place in a stack.

    Parameters
    ----------
    frames : sequence of Frame
        Frames of single-frame files, sorted by identity.

    Returns
    -------
    list of Volume
        Slices without a position that have different Instance Numbers (0020,0013) become one array, in the order of
        these numbers. All others become an array each: planes of a dose may be of several beams.
    """
    volumes = []
    unplaced: dict[tuple[object, ...], list[Frame]] = {}
    for frame in frames:
        kind = kind_of_image(frame.image_type, frame.sop_class_uid)
        is_slice = (_is_slice(frame) or kind_of_object(frame) == "dose") and not has_geometry(frame)
        if is_slice and "instance_number" in frame.causes and kind_of_object(frame) != "dose":
            unplaced.setdefault(_alike(frame, kind), []).append(frame)
        else:
            volumes.append(_single(frame, ("no_position",) if is_slice else ()))
    for members in unplaced.values():
        volumes += _by_instance_number(members)
    return volumes


def _alike(frame: Frame, kind: KindOfImage) -> tuple[object, ...]:
    terms = tuple(sorted(frame.terms.items()))
    array = (frame.rows, frame.columns, frame.samples, frame.dtype, frame.photometric, frame.pixel_spacing)
    return (kind, frame.kernel, terms, *sorted(frame.tables.items()), *array)


def _single(frame: Frame, flags: Sequence[str] = ()) -> Volume:
    """Return the array of an image by itself."""
    projection = "a projection" if is_projection(frame) else "an image without orientation and position"
    kind = kind_of_object(frame) or "image"
    why = f"{projection}, by itself"
    mosaic = kind_of_image(frame.image_type, frame.sop_class_uid).mosaic
    flags = (*flags, "mosaic") if mosaic else flags
    return array_of([[frame]], (_name_of(frame),), "mosaic" if mosaic else kind, why, group=_group(frame), flags=flags)


def _group(frame: Frame) -> tuple[str, ...]:
    return (f"matrix={frame.rows}x{frame.columns}",)


def _name_of(frame: Frame) -> str:
    return f"instance={frame.sop_instance_uid or frame.content}"


def _by_instance_number(frames: list[Frame]) -> list[Volume]:
    """Return images without a position as one array in the order of Instance Number, if each has its own.

    Where numbers repeat, images of the same facts (an echo, a b-value) become an array for each.
    """
    frames = with_comparable_clocks(frames)
    numbers = Counter(frame.causes["instance_number"] for frame in frames)
    classes = classes_of(frames)
    if max(numbers.values()) > 1 and len(classes) > 1:
        return [volume for members in classes.values() for volume in _by_instance_number(members)]
    certain = sorted((f for f in frames if numbers[f.causes["instance_number"]] == 1), key=_instance_number)
    volumes = [_single(frame, ("no_position",)) for frame in frames if numbers[frame.causes["instance_number"]] > 1]
    if len(certain) < 2:
        return volumes + [_single(frame, ("no_position",)) for frame in certain]
    first = certain[0]
    mosaic = kind_of_image(first.image_type, first.sop_class_uid).mosaic
    axis = t_values([certain], ("acquisition_time_s", "instance_number") if mosaic else ("instance_number",))
    if not mosaic and "instance_number" not in axis.means:
        axis = replace(axis, order_only=True)
    why = f"{count_of(len(certain), 'image')} without a position, in the order of Instance Number"
    volume = array_of(
        [certain],
        ("unplaced", *map(str, _alike(first, kind_of_image(first.image_type, first.sop_class_uid)))),
        "mosaic" if mosaic else "frames",
        why,
        group=_group(first),
        t_axis=axis.attribute,
        flags=[*(["mosaic"] if mosaic else []), *(["t_order_only"] if axis.order_only else [])],
    )
    return [*volumes, volume]


def _instance_number(frame: Frame) -> float:
    return frame.causes["instance_number"]


# ----------------------------------------------------------------------------------------------- multi-frame images


def arrays_of_file(frames: list[Frame]) -> list[Volume]:
    """Return the arrays of one multi-frame image that is not stacked, in stored order.

    Parameters
    ----------
    frames : list of Frame
        All frames of a file, or of the files that are parts of one image (PS3.3 C.7.6.16.1.1), in their order.

    Returns
    -------
    list of Volume
        One, unless frames are of several kinds or differ in what their values are, such as velocity and intensity.
    """
    frames = with_comparable_clocks(frames)
    name = (_name_of(frames[0]),)
    if is_segmentation(frames[0]) or all("row_offset" in frame.causes for frame in frames):
        return [_array_of_file(frames, name)]
    known = terms_that_differ(frame.terms for frame in frames)
    parts: dict[tuple[tuple[str, ...], ...], list[Frame]] = {}
    for frame in frames:
        terms = tuple(f"{term}={value}" for term, value in sorted(frame.terms.items()) if term in known)
        tables = tuple(f"{table}={value}" for table, value in sorted(frame.tables.items()))
        kind = kind_of_image(frame.image_type, frame.sop_class_uid)
        parts.setdefault((kind, (frame.kernel,), terms, tables), []).append(frame)
    if len(parts) == 1:
        return [_array_of_file(frames, name)]
    differ = [words for words, values in zip(_KINDS, zip(*parts, strict=True), strict=True) if len(set(values)) > 1]
    volumes = []
    for key, members in parts.items():
        volume = _array_of_file(members, (*name, *(word for words in key for word in words)))
        volumes.append(replace(volume, split_by=tuple(differ), why=f"{volume.why}; apart from others of the image"))
    return volumes


_KINDS: Final = ("kind_of_image", "kernel", "term", "table_of_values")


def _array_of_file(frames: list[Frame], name: tuple[str, ...]) -> Volume:
    """Return the array of frames of one image, which are of one kind."""
    first, count = frames[0], len(frames)
    if all("row_offset" in frame.causes for frame in frames):
        means, values = _places_of_tiles(frames)
        is_known = len(set(values)) == count
        if not is_known:  # such as focal planes without their depths: the header does not distinguish them
            means, values = [*means, "frame"], [(*value, float(index)) for index, value in enumerate(values)]
        why = f"{count_of(count, 'tile')} of one whole slide image, as stored"
        return _on_t(frames, name, "tiles", means, values, why, () if is_known else ("t_order_only",))
    if is_segmentation(first):
        return _segmentation(frames, name)
    flags = ["unplaced_tiles"] if first.modality == "SM" else []
    kind = "tiles" if flags else "cine" if first.modality in CINE or "frame_time_s" in first.causes else "frames"
    kind = kind_of_object(first) or kind
    times = [key for key in _TIMES if all(key in frame.causes for frame in frames)]
    axis = t_values([frames], [*times, "frame"])
    means, rows = axis.means, axis.rows
    if not axis.are_distinct or not means:
        numbers = [(float(index),) for index in range(count)]
        means, rows = ["frame"], list(numbers)
    flags += ["unplaced_slices"] if "slice_number" in means else []
    # Where numbers vary and leave frames alike, as two with one angle, they do not say what distinguishes them.
    flags += ["t_order_only"] if "frame" in means and (len(means) > 1 or _are_slices(first)) else []
    why = f"{count_of(count, 'frame')} of one image without positions, in stored order"
    return _on_t(frames, name, kind, means, rows, why, flags)


def _places_of_tiles(frames: Sequence[Frame]) -> tuple[list[str], list[tuple[float, ...]]]:
    """Return what says where tiles lie, and its values for each tile.

    Focal planes are numbered by depth and optical paths by identifier, from 0, over all parts of an image, unless
    TILED_FULL numbers them. What is the same for all tiles is left out.
    """
    columns = {key: [frame.causes[key] for frame in frames] for key in _TILE_MEANS if _have(frames, key)}
    depths = [frame.slide_depth for frame in frames]
    known = sorted({depth for depth in depths if depth is not None})
    if None not in depths:
        columns.setdefault("focal_plane", [float(known.index(depth)) for depth in depths if depth is not None])
    paths = sorted({frame.optical_path for frame in frames})
    if "" not in paths:
        columns.setdefault("optical_path", [float(paths.index(frame.optical_path)) for frame in frames])
    means = [key for key in _TILE_MEANS if key in columns and (key in _OF_ONE_PLANE or len(set(columns[key])) > 1)]
    return means, list(zip(*(columns[key] for key in means), strict=True))


def _have(frames: Sequence[Frame], cause: str) -> bool:
    return all(cause in frame.causes for frame in frames)


def _are_slices(frame: Frame) -> bool:
    """Return whether frames of a file without positions are slices of a body, and no captures in colour."""
    if frame.samples > 1:
        return False
    if frame.modality == "NM":
        return not _TOMOGRAPHY.isdisjoint(frame.image_type)
    return frame.modality in _TOMOGRAPHIC or frame.modality == "OPT" or frame.sop_class_uid in _VOLUMES


def _is_slice(frame: Frame) -> bool:
    """Return whether a single image is a slice of a body; those of tomosynthesis have the modality of their machine."""
    of_machine = frame.modality in _MAKE_SLICES and frame.sop_class_uid in sop_classes.SLICES
    return frame.modality in _TOMOGRAPHIC or of_machine


_TIMES: Final = ("frame_time_s", "acquisition_time_s", "reference_time_s", "slice_number")
_OF_ONE_PLANE: Final[tuple[str, ...]] = ("segment_number", "row_offset", "column_offset")
_TILE_MEANS: Final[tuple[str, ...]] = (*_OF_ONE_PLANE, "focal_plane", "optical_path")


def _segmentation(frames: list[Frame], name: tuple[str, ...]) -> Volume:
    """Return a segmentation as stored, each frame with its segment and its depth along its own normal."""
    means = []
    columns: list[list[float]] = []
    if all("segment_number" in frame.causes for frame in frames):
        means.append("segment_number")
        columns.append([frame.causes["segment_number"] for frame in frames])
    if all(has_geometry(frame) for frame in frames):
        means.append("position_mm")
        columns.append([depth(frame) for frame in frames])
    if not means:
        means.append("frame")
        columns.append([float(frame.number_in_image) for frame in frames])
    values = list(zip(*columns, strict=True))
    why = f"{count_of(len(frames), 'frame')} of one segmentation, in stored order"
    if "segment_number" in means:
        segments = len(set(columns[0]))
        why += f", of {segments} segment{'' if segments == 1 else 's'}"
    return _on_t(frames, name, "segmentation", means, values, why)


def _on_t(
    frames: list[Frame],
    discriminators: tuple[str, ...],
    kind: str,
    means: list[str],
    values: Sequence[Sequence[float | None]],
    why: str,
    flags: Sequence[str] = (),
) -> Volume:
    axis = axis_values(means, values)
    volume = array_of([frames], discriminators, kind, why, group=_group(frames[0]), t_axis=axis, flags=flags)
    return replace(volume, origin_lps=None, orientation_lps=None)


def in_order(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames of one multi-frame image, or of the files that are its parts, in the order of the image.

    Parameters
    ----------
    frames : sequence of Frame

    Returns
    -------
    list of Frame
    """
    part = "in_concatenation_number"
    has_part = all(part in frame.causes for frame in frames)
    return sorted(frames, key=lambda f: (f.causes[part] if has_part else f.concatenation_offset, identity(f)))
