"""Which image a segmentation or structure set refers to, for the header index."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from dicomzarr.dicom.facts import MaskReferences
from dicomzarr.dicom.prefix import for_pydicom
from dicomzarr.dicom.sop_classes import RT_STRUCTURE_SET

MOST_INSTANCES = 16  # references to images that the index holds beside those to series
_MOST_ALONE = 1024  # if the file names no series: enough to find all
_MOST_SERIES = 64
_DEPTH = 8  # of nested sequences: references of real files are five deep

_SERIES_UID, _REFERENCED_INSTANCE = BaseTag(0x0020000E), BaseTag(0x00081155)
_FRAME_OF_REFERENCE = BaseTag(0x00200052)
_POSITION, _ORIENTATION, _SPACING = BaseTag(0x00200032), BaseTag(0x00200037), BaseTag(0x00280030)
# Sequences that name the images on which the masks were drawn.
_REFERENCED_SERIES = BaseTag(0x00081115)
_REFERENCED_FRAMES_OF_REFERENCE = BaseTag(0x30060010)
_SHARED, _PER_FRAME = BaseTag(0x52009229), BaseTag(0x52009230)
_DERIVATION_IMAGE, _SOURCE_IMAGE = BaseTag(0x00089124), BaseTag(0x00082112)
_CONTOURS = BaseTag(0x30060039)
_CONTOUR_SEQUENCE, _CONTOUR_IMAGE, _CONTOUR_DATA = BaseTag(0x30060040), BaseTag(0x30060016), BaseTag(0x30060050)
# Of a functional group: macro, attribute, and how many numbers it has.
_PLANE_MACROS = (
    (BaseTag(0x00209113), _POSITION, 3),
    (BaseTag(0x00209116), _ORIENTATION, 6),
    (BaseTag(0x00289110), _SPACING, 2),
)
_READ = [
    *(_REFERENCED_SERIES, _REFERENCED_FRAMES_OF_REFERENCE, _SOURCE_IMAGE, _SHARED, _PER_FRAME, _CONTOURS),
    *(_FRAME_OF_REFERENCE, BaseTag(0x00280010), BaseTag(0x00280011)),
]


def read_references(file: BinaryIO, sop_class: str) -> MaskReferences:
    """Return which image a segmentation or structure set refers to.

    Parameters
    ----------
    file : binary file
        Open at its first byte.
    sop_class : str
        SOP Class UID (0008,0016).

    Returns
    -------
    MaskReferences
        Empty if the file cannot be parsed. It may identify a patient.

    References
    ----------
    DICOM PS3.3 A.51 (segmentation), A.19.3 (structure set), C.7.6.16.2.6 (derivation image).
    """
    try:
        dataset = dcmread(for_pydicom(file), stop_before_pixels=True, force=True, specific_tags=_READ)
        contours = sop_class == RT_STRUCTURE_SET
        instances = _Distinct(_MOST_ALONE)
        series, frames = _Distinct(_MOST_SERIES), _Distinct(_MOST_SERIES)
        frames.add(_text(dataset, _FRAME_OF_REFERENCE))
        for root in (_REFERENCED_SERIES, _REFERENCED_FRAMES_OF_REFERENCE):
            for item in _nested(_items(dataset, root)):
                series.add(_text(item, _SERIES_UID))
                instances.add(_text(item, _REFERENCED_INSTANCE))
                frames.add(_text(item, _FRAME_OF_REFERENCE))
        extent = _Extent()
        (_read_contours if contours else _read_frames)(dataset, instances, extent)
    except MemoryError:
        raise
    except OSError as error:
        if error.errno is not None:  # of the disk; pydicom raises it for a missing item, without a number
            raise
        return {}
    except Exception:  # whatever is wrong with it, extraction says so; the text of the error could quote the header
        return {}
    most = MOST_INSTANCES if series.values else _MOST_ALONE
    found = MaskReferences(
        series=series.values,
        instances=instances.values[:most],
        frames_of_reference=frames.values,
        extent=extent.box(),
    )
    if not found["extent"]:
        del found["extent"]
    return found


class _Distinct:
    """The first distinct texts, in order."""

    def __init__(self, most: int) -> None:
        self._texts: dict[str, None] = {}
        self._most = most

    @property
    def values(self) -> list[str]:
        return [*self._texts]

    @property
    def is_full(self) -> bool:
        return len(self._texts) >= self._most

    def add(self, text: str) -> None:
        if text and len(self._texts) < self._most:
            self._texts[text] = None


class _Extent:
    """Bounding box of points, mm, LPS."""

    def __init__(self) -> None:
        self._low, self._high = np.full(3, np.inf), np.full(3, -np.inf)

    def add(self, points: np.ndarray[Any, Any]) -> None:
        if len(points) and np.isfinite(points).all():
            self._low = np.minimum(self._low, points.min(axis=0))
            self._high = np.maximum(self._high, points.max(axis=0))

    def box(self) -> list[float]:
        return [*self._low.tolist(), *self._high.tolist()] if np.isfinite(self._low).all() else []


def _items(dataset: Dataset, tag: BaseTag) -> list[Dataset]:
    """Return the items of a sequence; none if it is missing or no sequence."""
    element = dataset.get(tag)
    return list(element.value) if element is not None and element.VR == "SQ" and element.value else []


def _nested(items: list[Dataset], depth: int = _DEPTH) -> Iterator[Dataset]:
    """Yield items and the items of the sequences in them, down to a fixed depth."""
    for item in items:
        yield item
        if depth > 1:
            for element in item:
                if element.VR == "SQ" and element.value:
                    yield from _nested(list(element.value), depth - 1)


def _text(dataset: Dataset, tag: BaseTag) -> str:
    element = dataset.get(tag)
    value = "" if element is None else element.value
    return str(value).strip(" \0") if isinstance(value, str) else ""


def _numbers(dataset: Dataset, tag: BaseTag, count: int) -> np.ndarray[Any, Any] | None:
    element = dataset.get(tag)
    if element is None or element.value is None:
        return None
    with contextlib.suppress(TypeError, ValueError):
        values = np.asarray(element.value, np.float64)
        return values if values.shape == (count,) else None
    return None


def _in_group(group: Dataset, macro: BaseTag, tag: BaseTag, count: int) -> np.ndarray[Any, Any] | None:
    """Return the numbers of an attribute in a macro of a functional group."""
    items = _items(group, macro)
    return _numbers(items[0], tag, count) if items else None


def _read_frames(dataset: Dataset, instances: _Distinct, extent: _Extent) -> None:
    """Read the source images and the extent of the frames of a segmentation."""
    for item in _items(dataset, _SOURCE_IMAGE):
        instances.add(_text(item, _REFERENCED_INSTANCE))
    shared = [
        next((values for group in _items(dataset, _SHARED) if (values := _in_group(group, *macro)) is not None), None)
        for macro in _PLANE_MACROS
    ]
    positions: dict[tuple[bytes, bytes], list[np.ndarray[Any, Any]]] = {}  # by orientation and spacing
    for group in _items(dataset, _SHARED):
        _read_derivation(group, instances)
    for group in _items(dataset, _PER_FRAME):
        _read_derivation(group, instances)
        own = (_in_group(group, *macro) for macro in _PLANE_MACROS)
        position, orientation, spacing = (
            values if values is not None else common for values, common in zip(own, shared, strict=True)
        )
        if position is not None and orientation is not None and spacing is not None:
            positions.setdefault((orientation.tobytes(), spacing.tobytes()), []).append(position)
    rows, columns = int(dataset.get("Rows", 0) or 0), int(dataset.get("Columns", 0) or 0)
    corners = np.array([(0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1)], float)
    for (cosines, steps), origins in positions.items():
        orientation, spacing = np.frombuffer(cosines), np.frombuffer(steps)
        axes = np.stack([orientation[:3] * spacing[1], orientation[3:] * spacing[0]])
        extent.add((np.array(origins)[:, np.newaxis] + corners @ axes).reshape(-1, 3))


def _read_derivation(group: Dataset, instances: _Distinct) -> None:
    """Read the source images of a functional group."""
    for derivation in _items(group, _DERIVATION_IMAGE) if not instances.is_full else ():
        for source in _items(derivation, _SOURCE_IMAGE):
            instances.add(_text(source, _REFERENCED_INSTANCE))


def _read_contours(dataset: Dataset, instances: _Distinct, extent: _Extent) -> None:
    """Read the images and the extent of the contours of a structure set."""
    for roi in _items(dataset, _CONTOURS):
        for contour in _items(roi, _CONTOUR_SEQUENCE):
            for image in _items(contour, _CONTOUR_IMAGE):
                instances.add(_text(image, _REFERENCED_INSTANCE))
            raw = contour.get_item(_CONTOUR_DATA)
            value = getattr(raw, "value", None)
            if isinstance(value, bytes):  # as in the file: converted at once, not number by number
                with contextlib.suppress(ValueError):
                    numbers = np.array(value.strip(b" \0").split(b"\\"), np.float64)
                    extent.add(numbers[: len(numbers) // 3 * 3].reshape(-1, 3))
