"""Whether a volume is large enough for a face: extents and distances of samples in its own directions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from made_up_frames import checked_volumes, only_volume, stack

from dicomzarr.volumes import field_of_view
from dicomzarr.volumes.model import Volume


def volume(slices: int, step: float, size: tuple[int, int], spacing: tuple[float, float] | None, **more: Any) -> Volume:
    """Return a volume of `slices` at a distance of `step`, mm; `size` and `spacing` along columns and rows."""
    depths = [step * index for index in range(slices)]
    return only_volume(stack(*depths, rows=size[0], columns=size[1], pixel_spacing=spacing, **more))


@pytest.mark.parametrize(
    ("slices", "step", "size", "spacing", "holds"),
    [
        (160, 1.0, (256, 256), (1.0, 1.0), True),  # MPRAGE
        (24, 6.0, (256, 256), (0.9, 0.9), True),  # axial FLAIR, 5 mm slices with gaps
        (35, 3.3, (128, 128), (2.0, 2.0), True),  # PET of the brain
        (60, 2.0, (40, 40), (4.0, 4.0), True),  # coarse, but a face
        (15, 4.0, (256, 256), (0.8, 0.8), True),  # a sagittal slab 60 mm thick
        (10, 4.0, (256, 256), (0.8, 0.8), False),  # 40 mm: no two eyes
        (60, 1.0, (256, 256), (0.3, 0.3), False),  # 77 mm wide: a temporal bone, or a wrist
        (100, 1.0, (256, 256), (0.5, 0.3), True),  # 100 x 128 x 77 mm
        (12, 10.0, (256, 256), (0.9, 0.9), False),  # slices too far apart
        (100, 1.0, (20, 20), (10.0, 10.0), False),  # pixels too large
        (160, 1.0, (256, 256), None, True),  # an unknown size of pixels excludes nothing
        (160, 1.0, (8, 8), None, False),  # but 8 pixels of at most 9 mm are no face
    ],
)
def test_a_volume_can_hold_a_face_by_its_size_in_millimetres(
    slices: int, step: float, size: tuple[int, int], spacing: tuple[float, float] | None, holds: bool
) -> None:
    assert field_of_view.can_hold_face(volume(slices, step, size, spacing)) is holds


def test_a_tilted_slab_stays_thin() -> None:
    """Its box in the patient's directions is larger than a head, the slab itself 30 mm thick."""
    root = 0.5**0.5
    cosines = (root, root, 0.0, 0.0, 0.0, -1.0)
    flat = stack(*range(10), rows=256, columns=256, pixel_spacing=(0.9, 0.9), orientation=cosines)
    frames = [replace(each, position=(-root * 3 * i, root * 3 * i, 0.0)) for i, each in enumerate(flat)]
    assert not field_of_view.can_hold_face(only_volume(frames))


def test_uneven_slices_have_an_extent_too() -> None:
    depths = [0.0, 3.0, 7.0, 9.0, 20.0, 24.0, 31.0, 39.0, 41.5, 50.0, 58.0, 63.0, 70.0]
    volumes = checked_volumes(stack(*depths, rows=256, columns=256, pixel_spacing=(0.9, 0.9)))
    assert any(field_of_view.can_hold_face(each) for each in volumes)


def test_single_slices_and_series_in_time_have_no_depth() -> None:
    for each in checked_volumes(stack(0.0, rows=512, columns=512, pixel_spacing=(0.5, 0.5))):
        assert not field_of_view.can_hold_face(each) and field_of_view.extents_mm(each) == ()


def test_slices_without_a_position_count_with_the_largest_distance() -> None:
    frames = [
        stack(0.0, start=i, rows=256, columns=256, pixel_spacing=(0.9, 0.9), position=None, orientation=None,
              causes={"instance_number": float(i)})[0]
        for i in range(20)
    ]  # fmt: skip
    assert [field_of_view.can_hold_face(each) for each in checked_volumes(frames)] == [True]


def test_a_mosaic_counts_by_its_tiles() -> None:
    layout = {"across": 6, "down": 6, "rows": 64, "columns": 64, "tiles": 34, "spacing_mm": 3.5}
    sheet = {"rows": 384, "columns": 384, "pixel_spacing": (3.0, 3.0), "image_type": ("ORIGINAL", "PRIMARY", "MOSAIC")}
    (head,) = checked_volumes(stack(0.0, mosaic=layout, **sheet))
    assert field_of_view.extents_mm(head) == ((34 * 3.5, 3.5), (192.0, 3.0), (192.0, 3.0))
    (thin,) = checked_volumes(stack(0.0, mosaic=layout | {"tiles": 10}, **sheet))
    assert field_of_view.can_hold_face(head) and not field_of_view.can_hold_face(thin)


def test_parts_of_a_head_count_together() -> None:
    """A skull base of 24 mm in 3 mm steps and the rest in 8 mm steps; no part is large enough by itself."""
    plane = {"rows": 512, "columns": 512, "pixel_spacing": (0.45, 0.45)}
    base = only_volume(stack(*range(0, 24, 3), **plane))
    rest = only_volume(stack(*range(29, 70, 8), start=100, constants={"slice_thickness_mm": 8.0}, **plane))
    rest = replace(rest, discriminators=("rest",))
    far = only_volume(stack(200.0, 203.0, 206.0, start=300, **plane))
    far = replace(far, discriminators=("far",))
    assert not field_of_view.can_hold_face(base) and not field_of_view.can_hold_face(rest)
    assert field_of_view.holding_face_together([base, rest, far]) == {base.discriminators, ("rest",)}
    assert field_of_view.holding_face_together([base, far]) == set()


def test_slices_that_are_arrays_each_count_together() -> None:
    plane = {"rows": 256, "columns": 256, "pixel_spacing": (0.9, 0.9)}
    slices = [replace(only_volume(stack(6.0 * i, start=i, **plane)), discriminators=(f"{i}",)) for i in range(20)]
    assert field_of_view.holding_face_together(slices) == {(f"{i}",) for i in range(20)}
    assert field_of_view.holding_face_together(slices[::3]) == set()  # 18 mm apart
    assert field_of_view.holding_face_together(slices[:8]) == set()  # 48 mm


def test_longer_than_a_trunk() -> None:
    assert field_of_view.is_longer_than_trunk(volume(300, 3.27, (192, 192), (3.6, 3.6)))
    assert not field_of_view.is_longer_than_trunk(volume(130, 5.0, (512, 512), (0.8, 0.8)))
