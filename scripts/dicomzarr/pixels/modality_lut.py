"""The modality lookup table, stored with the array and never applied to it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from dicomzarr.pixels.text_in_tables import holds_text
from dicomzarr.vocabulary.reasons import NotExtracted

if TYPE_CHECKING:
    from pydicom import Dataset


_TABLE = (0x00283002, 0x00283006)  # LUT Descriptor, LUT Data


class ModalityLut(TypedDict):
    """A modality lookup table (PS3.3 C.11.1.1).

    `first` is the stored value of the first entry, `bits` the width of an entry: 8 to 16. Values below
    `first` take the first entry, values beyond the table the last.
    """

    first: int
    bits: int
    values: list[int]


def looked_up(stored: NDArray[Any], table: Mapping[str, Any]) -> NDArray[Any]:
    """Return the entry of each stored value; values outside of the table take the first or the last one.

    Parameters
    ----------
    stored : ndarray of integers
    table : mapping
        As `ModalityLut`.

    Returns
    -------
    ndarray of int64
        Shape as `stored`.
    """
    entries: NDArray[Any] = np.asarray(table["values"], np.int64)
    return entries[np.clip(stored.astype(np.int64) - int(table["first"]), 0, len(entries) - 1)]


def range_of(low: float, high: float, table: Mapping[str, Any]) -> tuple[float, float]:
    """Return the least and the largest entry of a range of stored values.

    Parameters
    ----------
    low, high : float
        The least and the largest stored value.
    table : mapping
        As `ModalityLut`.

    Returns
    -------
    tuple of 2 float
    """
    begin, end = looked_up(np.array([low, high]), {**table, "values": range(len(table["values"]))}).tolist()
    used = np.asarray(table["values"])[begin : end + 1]
    return float(used.min()), float(used.max())


def _says_nothing(dataset: Dataset) -> bool:
    """Return whether the sequence has no item, or one without descriptor and data.

    Elements are taken as they were read: pydicom derives a VR from the descriptor, and fails where it is empty.
    """
    from pydicom.dataelem import RawDataElement, convert_raw_data_element

    element = dataset.get_item("ModalityLUTSequence")
    if isinstance(element, RawDataElement):
        element = convert_raw_data_element(element, ds=dataset)
    items = element.value if element is not None else ()
    attributes = items[0].values() if len(items) else ()
    return all(attribute.value in (None, "", b"") for attribute in attributes if attribute.tag in _TABLE)


def read_modality_lut(dataset: Dataset) -> ModalityLut | None:
    """Return the modality lookup table of a data set as integers.

    Parameters
    ----------
    dataset : pydicom.Dataset
        With Modality LUT Sequence (0028,3000).

    Returns
    -------
    ModalityLut or None
        As many values as the LUT Descriptor (0028,3002) declares. None where there is none: for a sequence without an
        item, or one whose item has neither a descriptor nor data, as writers that fill in every attribute leave it.

    Raises
    ------
    NotExtracted
        `invalid_attribute` where the table cannot be read, or holds a text; stored values have no meaning without it.

    References
    ----------
    DICOM PS3.3 C.11.1.1.1.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if _says_nothing(dataset):
                return None
            item = dataset.ModalityLUTSequence[0]
            entries, first, bits = (int(value) for value in item.LUTDescriptor)
            data = item["LUTData"].value
        entries = entries or 65536
        if isinstance(data, bytes):
            order = "<" if dataset.original_encoding[1] is not False else ">"
            data = np.frombuffer(data, np.uint8 if bits == 8 and len(data) < 2 * entries else f"{order}u2")
        values = [int(value) & 0xFFFF for value in np.atleast_1d(np.asarray(data))]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError):
        raise NotExtracted("invalid_attribute") from None
    if not 8 <= bits <= 16 or len(values) < entries:
        raise NotExtracted("invalid_attribute", found=len(values), needed=entries)
    if holds_text(values[:entries]):  # its entries are no measures, and they would be published
        raise NotExtracted("invalid_attribute")
    return {"first": first, "bits": bits, "values": values[:entries]}
