"""Sheets of United Imaging: tiles without a position of the sheet, whose places stand in a private sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from made_up_enhanced import AXIAL, header, item, through_bytes
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence

from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.mosaic import read_mosaic
from dicomzarr.volumes.stacking import lay_out

CORONAL = [1, 0, 0, 0, 0, -1]
CREATOR = "Image Private Header"


def sheet(b: float | None = None, tiles: int = 3, block: int = 0x10, z: float = -20.0, **more: Any) -> Dataset:
    """Return the header of a sheet of 4 cells; `more` may hold the orientation of sheet or tiles."""
    of_tiles = more.pop("of_tiles", AXIAL)
    dataset = header(
        1, "MR", "1.2.840.10008.5.1.4.1.1.4", ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"], Manufacturer="UIH",
        PixelSpacing=[2, 2], **more,
    )  # fmt: skip
    positions = [item(ImagePositionPatient=[-10, -20, z + 3.5 * n], InstanceNumber=n) for n in range(tiles)]
    if of_tiles:
        for position in positions:
            position.ImageOrientationPatient = of_tiles
    dataset.add(DataElement((0x0065, block), "LO", CREATOR))
    dataset.add(DataElement((0x0065, block << 8 | 0x50), "DS", str(tiles)))
    dataset.add(DataElement((0x0065, block << 8 | 0x51), "SQ", Sequence(positions)))
    if b is not None:
        dataset.add(DataElement((0x0065, block << 8 | 0x09), "FD", b))
        if b:
            dataset.add(DataElement((0x0065, block << 8 | 0x37), "FD", [0.0, 0.0, 1.0]))
    return dataset


def frame_of(dataset: Dataset, source: int) -> Frame:
    (frame,) = through_bytes(dataset)
    return replace(frame, source=source, content=f"{source:064d}", sop_instance_uid=f"1.2.{source}")


@pytest.mark.parametrize("block", [0x10, 0x13])
def test_a_sheet_lies_where_its_first_tile_lies(block: int) -> None:
    (frame,) = through_bytes(sheet(block=block))
    assert (frame.position, frame.orientation) == ((-10, -20, -20), tuple(AXIAL))
    assert frame.mosaic is not None
    assert (frame.mosaic["across"], frame.mosaic["tiles"]) == (2, 3)
    assert frame.mosaic["positions_lps"] == [[-10, -20, -20], [-10, -20, -16.5], [-10, -20, -13]]


def test_the_orientation_of_the_sheet_comes_first() -> None:
    (frame,) = through_bytes(sheet(ImageOrientationPatient=CORONAL))
    assert frame.orientation == tuple(CORONAL)
    (frame,) = through_bytes(sheet(of_tiles=None))
    assert (frame.position, frame.orientation) == (None, None)


def test_b_values_of_sheets_become_one_axis() -> None:
    frames = [frame_of(sheet(b), source) for source, b in enumerate((1000.0, 0.0, 500.0))]
    assert [frame.causes["b_value"] for frame in frames] == [1000, 0, 500]
    assert [frame.causes["b_vector_z"] for frame in frames] == [1, 0, 1]
    (volume,) = lay_out(frames)
    assert volume.kind == "mosaic"
    assert [place.frame.causes["b_value"] for place in volume.places] == [0, 500, 1000]


@pytest.mark.parametrize(
    ("tiles", "size", "grid"),
    [
        (20, (256, 320), (5, 4, 64, 64)),  # 5 across and 4 down, as the scanner writes them
        (6, (8, 12), (3, 2, 4, 4)),
        (3, (8, 12), (2, 2, 4, 6)),
        (2, (4, 12), (2, 1, 4, 6)),
        (6, (9, 12), (3, 3, 3, 4)),  # 2 rows of tiles do not divide 9 rows of pixels: a square grid
    ],
)
def test_a_grid_may_have_fewer_rows_than_columns(
    tiles: int, size: tuple[int, int], grid: tuple[int, int, int, int]
) -> None:
    layout = read_mosaic(sheet(tiles=tiles), {}, *size)
    assert layout is not None
    assert tuple(layout[name] for name in ("across", "down", "rows", "columns")) == grid
    assert layout["tiles"] == len(layout["positions_lps"]) == tiles


def test_a_sheet_that_does_not_divide_has_no_place() -> None:
    (frame,) = through_bytes(sheet(tiles=9))  # 4 rows by 6 columns do not hold 3 by 3 tiles
    assert (frame.mosaic, frame.position) == (None, None)
