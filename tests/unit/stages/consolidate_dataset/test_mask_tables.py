"""What the tables say of masks: the cells of an image, and what became of each mask file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_up_records
import pytest
from made_up_records import ARRAY

from dicomzarr.records.mask_record import MaskFile, MaskRecord, MaskText, SeriesMasks
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.consolidate_dataset import mask_rows
from dicomzarr.stages.consolidate_dataset.mask_rows import MaskFileOutcome

OTHER = f"{made_up_records.SERIES}/fedcba98"
EXPECTED = ("liver", "left_kidney", "tumour")


def mask(name: str, voxels: int = 5, array: str = ARRAY, folder: str = "", flags: tuple[str, ...] = ()) -> MaskRecord:
    """Return the record of a mask; its folder has the name, unless another is given."""
    box = ((0, 1), (0, 1), (0, 5)) if voxels else ()
    return MaskRecord(
        *(array, folder or name, name, "SEG", "BINARY", "AUTOMATIC", "zyx", (2, 4, 5), None, voxels, 1, 1.0, box, 1),
        *(0.0, flags, {}, "00", {}),
    )


def file(reason: str = "", failed: int = 0, not_absent: tuple[str, ...] = (), **more: Any) -> MaskFile:
    """Return a mask file that refers to the series."""
    fields = {"path": "a.dcm", "kind": "SEG", "problem": "", "masks": 1, "elsewhere": ()} | more
    return MaskFile(
        stat=(1, 2, 3, 4), content="00", reason=reason, failed=failed, not_absent=not_absent, **fields
    )  # fmt: skip


def series(
    masks: tuple[MaskRecord, ...] = (),
    files: tuple[MaskFile, ...] = (),
    texts: tuple[MaskText, ...] = (),
    images: int = 1,
) -> SeriesRecord:
    """Return the record of a series of so many images, of which the first has the masks."""
    volumes = (made_up_records.VOLUME, made_up_records.volume(array=OTHER))[:images]
    return made_up_records.series(masks=SeriesMasks(files, masks, texts), volumes=volumes)


LABELLED = MaskText(ARRAY, "mask", "mask", "made up", "", "")
UNNAMED = MaskText(ARRAY, "mask", "mask", "", "", "")


@pytest.mark.parametrize(
    ("record", "masks", "absent"),
    [
        # An image of a series without masks was not examined; the only image that a file refers to was.
        (series(), "", ""),
        (series(files=(file(),)), "", "left_kidney liver tumour"),
        (series(files=(file("mask_without_image"),)), "", ""),
        (series(files=(file(),), images=2), "", ""),
        # A mask that is there, also by the name of its folder, is not absent; one without voxels is.
        (series((mask("liver"),), (file(),)), "liver", "left_kidney tumour"),
        (series((mask("other", folder="liver"),), (file(),)), "liver", "left_kidney tumour"),
        (series((mask("liver", 0),), (file(),)), "liver", "left_kidney liver tumour"),
        (series((mask("tumour"), mask("liver")), (file(),)), "liver tumour", "left_kidney"),
        # Nor is one that was drawn and of which nothing is left.
        (series((mask("liver", 0, flags=("nothing_left",)),), (file(),)), "liver", "left_kidney tumour"),
        # Nor one that may lie on another series.
        (series((mask("liver"),), (file(not_absent=("tumour",)),)), "liver", "left_kidney"),
        # If something is lost, only an empty mask says that its name is absent.
        (series((mask("liver"),), (file(failed=1),)), "liver", ""),
        (series((mask("liver"), mask("tumour", 0)), (file(failed=1),)), "liver tumour", "tumour"),
        (series((mask("liver"),), (file(), file("mask_unreadable"))), "liver", ""),
        (series((mask("liver"),), (file(), file("duplicate"))), "liver", "left_kidney tumour"),
        # So it is with a mask of which nothing says what it is, unless it is empty.
        (series((mask("mask"),), (file(),), (UNNAMED,)), "mask", ""),
        (series((mask("mask"),), (file(),), (LABELLED,)), "mask", "left_kidney liver tumour"),
        (series((mask("mask", 0),), (file(),), (UNNAMED,)), "mask", "left_kidney liver tumour"),
        # A kidney whose side is not known may be the left one, and a right one tells nothing of it.
        (series((mask("kidney"),), (file(),)), "kidney", "liver tumour"),
        (series((mask("right_kidney"),), (file(),)), "right_kidney", "left_kidney liver tumour"),
    ],
)
def test_what_an_image_has_and_lacks(record: SeriesRecord, masks: str, absent: str) -> None:
    assert mask_rows.masks_of(record, ARRAY, EXPECTED) == {"masks": masks, "masks_absent": absent}


def test_a_file_that_could_not_be_placed_may_hold_any_name() -> None:
    record = series((mask("liver"), mask("tumour", 0)), (file(),))
    assert mask_rows.masks_of(record, ARRAY, EXPECTED, is_lost=True)["masks_absent"] == "tumour"
    assert mask_rows.masks_of(record, OTHER, EXPECTED)["masks"] == ""


@pytest.fixture
def unplaced(tmp_path: Path) -> Path:
    """Mask files of which no image is known."""
    path = tmp_path / "unplaced_masks.json"
    path.write_text(
        json.dumps([{"path": "lost.dcm", "kind": "RTSTRUCT", "reason": "mask_without_image", "series": ["0b", "0a"]}])
    )
    return path


def lines(series_id: str, *files: MaskFile) -> list[bytes]:
    """Return the JSON lines of the files that refer to a series."""
    record = made_up_records.series(series_id=series_id, masks=SeriesMasks(files))
    return list(mask_rows.file_lines(record))


def test_a_file_on_several_series_has_the_best_outcome_and_the_sum_of_its_masks(unplaced: Path) -> None:
    rows = [
        *lines("0a", file("mask_unreadable", masks=0), file(path="b.dcm", masks=2, failed=1, elsewhere=(3, 4))),
        *lines("0b", file(masks=2), file(path="b.dcm", masks=1, elsewhere=(4, 7))),
        *lines("0c", file("mask_ambiguous", masks=0)),
    ]
    assert mask_rows.outcomes(rows, unplaced) == {
        "lost.dcm": MaskFileOutcome("RTSTRUCT", "mask_without_image", "", 0, 0, ""),
        "a.dcm": MaskFileOutcome("SEG", "", "", 2, 0, "0b"),
        # 3 and 7 were drawn on one of the two series; 4 on none of them, which is one more that failed
        "b.dcm": MaskFileOutcome("SEG", "", "", 3, 2, "0a"),
    }
    assert mask_rows.uncertain_series(unplaced) == {"0a", "0b"}


OUTCOMES = {
    "b.dcm": MaskFileOutcome("SEG", "", "", 3, 1, "0a"),
    "a.dcm": MaskFileOutcome("SEG", "", "", 2, 0, "0a"),
    "c.dcm": MaskFileOutcome("RTSTRUCT", "mask_ambiguous", "", 0, 4, ""),
}


def test_the_table_of_mask_files_counts_them_by_outcome() -> None:
    table = ["RTSTRUCT,not_placed,mask_ambiguous,1,0,4\n", "SEG,placed,,2,5,1\n"]
    assert [row.replace("\r\n", "\n") for row in mask_rows.outcome_rows(OUTCOMES)] == table
    assert [row.split(b",")[0] for row in mask_rows.private_rows(OUTCOMES)] == [b"a.dcm", b"b.dcm", b"c.dcm"]


def test_the_reason_of_a_structure_set_says_whether_a_mask_was_placed() -> None:
    assert mask_rows.reason_of("b.dcm", OUTCOMES) == "structure_set"
    assert mask_rows.reason_of("c.dcm", OUTCOMES) == "mask_ambiguous"
    assert mask_rows.reason_of("unknown.dcm", OUTCOMES) == "mask_unreadable"


def test_an_array_of_a_segmentation_without_a_mask_is_flagged() -> None:
    rows = [json.dumps([path, f"0a/{path[0] * 8}"]).encode() for path in ("b.dcm", "c.dcm", "d.dcm")]
    flags = {b"0a/cccccccc": {"mask_ambiguous"}, b"0a/dddddddd": {"mask_unreadable"}}
    assert mask_rows.flags_of_segmentations(rows, OUTCOMES) == flags
