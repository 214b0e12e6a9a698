"""Positions of the tiles of a mosaic, on its sheet and in the patient, from private elements of Siemens and UIH.

Only numbers are read, and each is checked against the size of the sheet; what fails the check is left out. Tiles run
along the rows of a square grid, then down; cells of the grid behind the last tile are empty. The grid of UIH may have
fewer rows.

Image Position (Patient) (0020,0032) of a mosaic is the first voxel of a slice as large as the whole sheet, centred on
the first slice. So the first tile begins half the difference of the sizes further along rows and columns.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from dicomzarr.dicom.facts import Cosines, ImageFacts, Vector
from dicomzarr.dicom.header_values import FARTHEST_MM, cosines_of, value_of
from dicomzarr.volumes import geometry
from dicomzarr.volumes.private_elements import private_value

if TYPE_CHECKING:
    from pydicom import Dataset

# A header that states more is not believed.
MOST_TILES: Final = 4096
_MOST_CSA_BYTES: Final = 1 << 20
_MOST_CSA_ELEMENTS: Final = 1000
_WIDEST_MM: Final = 1e3  # between slices


def read_mosaic(header: Dataset, facts: ImageFacts, rows: int, columns: int) -> dict[str, object] | None:
    """Return the layout of the tiles of a mosaic, or None.

    Parameters
    ----------
    header : pydicom Dataset
        The header without pixel data.
    facts : ImageFacts
        What the index holds of it.
    rows, columns : int
        Size of the sheet, pixels.

    Returns
    -------
    dict or None
        ``across``, ``down``, ``rows``, ``columns``: tiles of the sheet and pixels of a tile. ``tiles``: how many hold a
        slice. ``spacing_mm``: between slices. ``first_position_lps``: centre of the first voxel of the first tile, mm.
        ``step_lps``: from a tile to the next, mm; or ``positions_lps``, of each tile. Each only where it is known.
        None where the grid of the tiles is not known.
    """
    csa = _csa(private_value(header, 0x0029, 0x10, "SIEMENS CSA HEADER", "SIEMENS"))
    tiles = _whole(private_value(header, 0x0019, 0x0A, "SIEMENS MR HEADER", "SIEMENS"))
    tiles = tiles or _whole(csa.get("NumberOfImagesInMosaic"))
    uih = _whole(private_value(header, 0x0065, 0x50, "Image Private Header", "UIH"))
    across = math.isqrt((tiles or uih or 1) - 1) + 1 if tiles or uih else _by_matrix(header, rows, columns)
    if across is None or across < 2 or columns % across:
        return None
    down = across
    if uih and not tiles and rows % -(-uih // across) == 0:
        down = -(-uih // across)  # United Imaging leaves out rows of the grid that hold no tile: 20 tiles are 5 x 4
    if rows % down:
        return None
    layout: dict[str, object] = {
        "across": across,
        "down": down,
        "rows": rows // down,
        "columns": columns // across,
    }
    if tiles or uih:
        layout["tiles"] = tiles or uih
    spacing = facts.get("SpacingBetweenSlices")
    if spacing is not None and 0 < spacing <= _WIDEST_MM:
        layout["spacing_mm"] = spacing
    if uih and not tiles:
        positions = _uih_positions(header, uih)
        return layout | ({"positions_lps": positions} if positions else {})
    first = _first_position(facts, rows - rows // across, columns - columns // across)
    if first is None:
        return layout
    layout["first_position_lps"] = _rounded(first)
    normal = _reals(csa.get("SliceNormalVector"), 3)
    if "spacing_mm" in layout and normal and _along_normal(normal, facts):
        layout["step_lps"] = _rounded([cosine * float(spacing or 0) for cosine in normal])
    return layout


def place_of_first_tile(
    header: Dataset, facts: ImageFacts, layout: Mapping[str, object]
) -> tuple[Vector | None, Cosines | None]:
    """Return where the first tile of a sheet lies, for a sheet that has no position of its own.

    United Imaging writes position and orientation of each tile in the items of (0065,1051).

    Parameters
    ----------
    header : pydicom Dataset
        The header without pixel data.
    facts : ImageFacts
        What the index holds of it.
    layout : mapping
        Of `read_mosaic`.

    Returns
    -------
    position : tuple of 3 float, or None
        Centre of the first voxel, mm, LPS.
    orientation : tuple of 6 float, or None
        Row cosines, then column cosines, of the sheet, else of its first tile.
    """
    positions = layout.get("positions_lps")
    if not isinstance(positions, list) or not positions:
        return None, None
    orientation = cosines_of(facts.get("ImageOrientationPatient"))
    if orientation is None:
        items = private_value(header, 0x0065, 0x51, "Image Private Header", "UIH")
        orientation = cosines_of(value_of(items[0], "ImageOrientationPatient"))
    x, y, z = positions[0]
    return (None, None) if orientation is None else ((x, y, z), orientation)


def _first_position(facts: ImageFacts, more_rows: int, more_columns: int) -> Vector | None:
    """Return the position of the first tile, mm, LPS; the sheet has `more_rows` and `more_columns` more than a tile."""
    position, cosines, spacing = (
        facts.get("ImagePositionPatient"),
        facts.get("ImageOrientationPatient"),
        facts.get("PixelSpacing"),
    )
    if not position or not cosines or not spacing or len(position) != 3 or len(cosines) != 6 or len(spacing) != 2:
        return None
    if not geometry.is_plane(geometry.cosines(cosines)) or max(map(abs, (*position, *spacing))) > FARTHEST_MM:
        return None
    along_row, along_column = more_columns / 2 * spacing[1], more_rows / 2 * spacing[0]
    x, y, z = (position[i] + along_row * cosines[i] + along_column * cosines[3 + i] for i in range(3))
    return (x, y, z)


def _along_normal(vector: list[float], facts: ImageFacts) -> bool:
    """Return whether a vector is the unit normal of the image, up to its sign."""
    normal = geometry.slice_normal(facts["ImageOrientationPatient"])
    return abs(abs(geometry.dot(vector, normal)) - 1) <= 1e-3 and abs(geometry.dot(vector, vector) - 1) <= 1e-2


def _by_matrix(header: Dataset, rows: int, columns: int) -> int | None:
    """Return the number of tiles in a row, from AcquisitionMatrixText (0051,100B), such as ``80*80`` or ``64p*64``."""
    value = private_value(header, 0x0051, 0x0B, "SIEMENS MR HEADER", "SIEMENS")
    text = value.decode("latin-1") if isinstance(value, bytes) else value  # bytes: of an element of VR UN
    parts = text.replace("p", "").replace("s", "").split("*") if isinstance(text, str) else []
    sizes = [_whole(part, 65535) for part in parts]
    if len(sizes) != 2 or sizes[0] is None or sizes[1] is None:
        return None
    # Which of the two sizes runs along the rows depends on the phase encoding: only one order may fit.
    fits = {
        rows // high
        for high, wide in ((sizes[0], sizes[1]), (sizes[1], sizes[0]))
        if rows % high == 0 and columns % wide == 0 and rows // high == columns // wide
    }
    return fits.pop() if len(fits) == 1 else None


def _uih_positions(header: Dataset, tiles: int) -> list[list[float]] | None:
    """Return the position of each tile, mm, LPS, from the sequence (0065,1051), where it has one item per tile."""
    items = private_value(header, 0x0065, 0x51, "Image Private Header", "UIH")
    try:
        positions = [_reals(item.get("ImagePositionPatient"), 3) for item in items]
    except MemoryError:  # the value is not unknown
        raise
    except Exception:  # what pydicom cannot convert counts as unknown
        return None
    if len(positions) != tiles or any(position is None for position in positions):
        return None
    return [_rounded(position) for position in positions if position]


def _whole(value: Any, most: int = MOST_TILES) -> int | None:
    """Return a whole number from 1 to `most`, or None; bytes are the value of an element of VR UN."""
    try:
        if isinstance(value, bytes):
            value = struct.unpack("<H", value)[0] if len(value) == 2 and value[1] < 16 else value.decode("ascii")
        number = float(value[0] if isinstance(value, list) else value)
    except (TypeError, ValueError, IndexError, struct.error):
        return None
    return int(number) if number == number and 1 <= number <= most and number == int(number) else None


def _reals(value: Any, count: int) -> list[float] | None:
    try:
        reals = [float(part) for part in value]
    except (TypeError, ValueError):
        return None
    return reals if len(reals) == count and all(abs(part) <= FARTHEST_MM for part in reals) else None


def _rounded(values: Any) -> list[float]:
    return [round(value, geometry.DECIMALS) + 0.0 for value in values]


def _csa(value: Any) -> Mapping[str, list[str]]:
    """Return the wanted elements of a Siemens CSA header of version 2 (SV10), as texts by name; else an empty mapping.

    An element: a name of 64 bytes, VM, VR of 4 bytes, a type, the number of items, a mark. An item: four numbers, of
    which the second is its length, and its text, padded to a multiple of 4.
    """
    wanted = {"NumberOfImagesInMosaic", "SliceNormalVector"}
    texts_by_name: dict[str, list[str]] = {}
    if not isinstance(value, bytes) or not value.startswith(b"SV10") or len(value) > _MOST_CSA_BYTES:
        return texts_by_name
    try:
        (elements,) = struct.unpack_from("<I", value, 8)
        position = 16
        for _ in range(min(elements, _MOST_CSA_ELEMENTS)):
            raw, items = struct.unpack_from("<64s12xI", value, position)
            position += 84
            texts = []
            for _ in range(items):
                (size,) = struct.unpack_from("<4xI", value, position)
                texts.append(value[position + 16 : position + 16 + size])
                position += 16 + -(-size // 4) * 4
            name = raw.split(b"\0")[0].decode("latin-1")
            if name in wanted:
                plain = [text.split(b"\0")[0].strip().decode("latin-1") for text in texts]
                texts_by_name[name] = [text for text in plain if text]
    except struct.error:
        return {}
    return texts_by_name
