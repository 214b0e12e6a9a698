"""Make frames with chosen facts, and lay them out with the invariants of any layout checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dicomzarr.vocabulary.flags import FLAGS
from dicomzarr.volumes.model import Frame, Volume
from dicomzarr.volumes.stacking import lay_out

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def frame(index: int, z: float | None, causes: Mapping[str, float] | None = None, **more: Any) -> Frame:
    frame = Frame(
        source=index,
        number=0,
        frames_in_file=1,
        content=f"{index:064x}",
        sop_instance_uid=f"1.2.{index}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        modality="MR",
        image_type=("ORIGINAL", "PRIMARY", "M"),
        rows=4,
        columns=6,
        samples=1,
        dtype="<i2",
        photometric="MONOCHROME2",
        bits_stored=12,
        position=None if z is None else (0.0, 0.0, float(z)),
        orientation=None if z is None else AXIAL,
        pixel_spacing=(0.5, 0.25),
        causes=causes or {},
    )
    return replace(frame, **more)


def stack(*depths: float, start: int = 0, **more: Any) -> list[Frame]:
    return [frame(start + i, z, **more) for i, z in enumerate(depths)]


def grid(slices: int, times: int, causes: Any, **more: Any) -> list[Frame]:
    """Frames of `slices` positions and `times` times; `causes(z, t)` gives the numbers of each."""
    cells = [(z, t) for t in range(times) for z in range(slices)]
    return [frame(i, 2.0 * z, causes(z, t), **more) for i, (z, t) in enumerate(cells)]


def only_volume(frames: list[Frame]) -> Volume:
    volumes = checked_volumes(frames)
    assert len(volumes) == 1
    return volumes[0]


def checked_volumes(frames: list[Frame]) -> list[Volume]:
    """Lay out frames, and check the invariants of any layout."""
    volumes = lay_out(frames)
    placed = Counter((p.frame.source, p.frame.number) for v in volumes for p in v.places)
    assert placed == Counter((f.source, f.number) for f in frames)
    assert len({v.discriminators for v in volumes}) == len(volumes)
    for volume in volumes:
        size = dict(zip(volume.axes, volume.shape, strict=True))
        assert list(volume.axes) == [axis for axis in "tczyx" if axis in size]
        assert len(volume.places) == size.get("t", 1) * size.get("z", 1)
        spots = [(p.t, p.z) for p in volume.places]
        assert spots == sorted(set(spots), key=lambda s: (s[0] or 0, s[1] or 0))
        assert all((p.t is not None) == ("t" in size) and (p.z is not None) == ("z" in size) for p in volume.places)
        assert set(volume.flags) <= set(FLAGS)
        assert volume.flags == tuple(sorted(volume.flags))
        if volume.t_axis is not None:
            assert len(values(volume)) == size["t"]
        assert (volume.affine_lps is not None) <= ("z" in volume.spacing_mm)
    return volumes


def values(volume: Volume) -> list[Any]:
    assert volume.t_axis is not None
    rows = volume.t_axis["values"]
    assert isinstance(rows, list)
    return rows


def means(volume: Volume) -> Any:
    assert volume.t_axis is not None
    return volume.t_axis["means"]


def depths(volume: Volume) -> list[float]:
    return [place.frame.position[2] for place in volume.places if place.frame.position]


def of_file(count: int, causes: Any, source: int = 0, **more: Any) -> list[Frame]:
    first = frame(source, None, **more)
    return [replace(first, number=n, frames_in_file=count, causes=causes(n)) for n in range(count)]
