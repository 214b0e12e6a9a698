"""The palette color lookup table, which maps stored indices to colours, as integers."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from dicomzarr.pixels.text_in_tables import holds_text
from dicomzarr.vocabulary.reasons import NotExtracted

if TYPE_CHECKING:
    from pydicom import Dataset


class Palette(TypedDict):
    """A palette colour lookup table (PS3.3 C.7.6.3.1.5).

    `first` is the stored value of the first entry, `bits` the width of an entry: 8 to 16. Values below
    `first` take the first entry, values beyond the table the last.
    `declared_bits` is the width that the descriptor declares, if it contradicts the data.
    """

    first: int
    bits: int
    red: list[int]
    green: list[int]
    blue: list[int]
    declared_bits: NotRequired[int]


def read_palette(dataset: Dataset) -> Palette:
    """Return the palette colour lookup table of a data set as integers; segmented tables are expanded.

    Where the third value of the descriptor contradicts the length of the data, the length decides.

    Parameters
    ----------
    dataset : pydicom.Dataset
        With descriptors and data of the red, green and blue tables.

    Returns
    -------
    Palette
        As many entries as the descriptor declares.

    Raises
    ------
    NotExtracted
        `invalid_attribute` where the table is missing or cannot be read.

    References
    ----------
    DICOM PS3.3 C.7.6.3.1.5, C.7.6.3.1.6 and C.7.9.2.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            entries, first, declared = (int(value) for value in dataset.RedPaletteColorLookupTableDescriptor)
            tables = [_table(dataset, name, entries or 65536, declared) for name in ("Red", "Green", "Blue")]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError, NotImplementedError):
        raise NotExtracted("invalid_attribute") from None
    widths = {width for width, _ in tables}
    (red, green, blue) = (values for _, values in tables)
    if len(widths) > 1 or any(map(holds_text, (red, green, blue))):  # the colours have no common scale, or are none
        raise NotExtracted("invalid_attribute")
    bits = widths.pop()
    # Entries may have fewer bits than the words that hold them, if the descriptor says so and none is larger. Older
    # writers use a word for each entry of 8 bits (C.7.6.3.1.6).
    if 8 <= declared < bits and max(*red, *green, *blue) < 1 << declared:
        bits = declared
    palette: Palette = {"first": first, "bits": bits, "red": red, "green": green, "blue": blue}
    if declared != bits:
        palette["declared_bits"] = declared
    return palette


def _table(dataset: Dataset, colour: str, entries: int, declared: int) -> tuple[int, list[int]]:
    """Return the width of the stored entries of one colour, 8 or 16 bits, and the entries.

    The length of the data decides; the width that the descriptor declares counts where the length permits both.
    """
    plain = f"{colour}PaletteColorLookupTableData"
    segmented = plain not in dataset
    element = dataset[f"Segmented{plain}" if segmented else plain]
    order = "<" if dataset.original_encoding[1] is not False else ">"
    raw = element.value
    if isinstance(raw, bytes):
        words = np.frombuffer(raw[: len(raw) & ~1], f"{order}u2").astype("<u2")
        packed = np.frombuffer(raw if order == "<" else words.tobytes(), np.uint8)
    else:  # numbers: each is an entry, whatever its size
        words = np.atleast_1d(np.asarray(raw, np.int64) & 0xFFFF).astype("<u2")
        packed = words[:0].view(np.uint8)
    if segmented:
        return _segmented(words, packed, entries, declared)
    is_exact = len(packed) in (entries, entries + entries % 2)
    if len(words) >= entries and not (declared == 8 and is_exact):
        return 16, words[:entries].tolist()
    # Only the length of a whole table contradicts the declared width: another one is a wider table that lacks entries.
    if not is_exact and (declared > 8 or len(packed) < entries):
        raise ValueError("short")
    return 8, packed[:entries].tolist()


def _segmented(words: Any, packed: Any, entries: int, declared: int) -> tuple[int, list[int]]:
    """Expand a segmented table (C.7.9.2), in the declared width, or in the other if only that gives the entries."""
    from pydicom.pixels.processing import _expand_segmented_lut

    enough: list[tuple[int, list[int]]] = []
    for width in (8, 16) if declared == 8 else (16, 8):
        try:
            values = _expand_segmented_lut(
                tuple((packed if width == 8 else words).tolist()), "<B" if width == 8 else "<H"
            )
        except (ValueError, IndexError, ZeroDivisionError, RecursionError):
            continue
        if len(values) >= entries and max(values[:entries]) < 1 << width:
            if len(values) == entries:
                return width, values
            enough.append((width, values[:entries]))
    if not enough:
        raise ValueError("short")
    return enough[0]
