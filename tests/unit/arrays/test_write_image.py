"""Writing an image: its array, its group, and the attributes known after the last frame."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from written_arrays import noise

from dicomzarr.arrays.write_image import Decoded, write_image
from dicomzarr.volumes.model import Frame, Place, Volume

VOXELS = noise((3, 5, 4), "<i2")


def volume() -> Volume:
    frames = [Frame(0, n, 3, "", "", "", "CT", (), 5, 4, 1, "<i2", "MONOCHROME2", 16) for n in range(3)]
    places = tuple(Place(frame, None, z) for z, frame in enumerate(frames))
    return Volume(("x",), "volume", "made up", ("z", "y", "x"), (3, 5, 4), places, flags=("tilted",))


@pytest.mark.parametrize("layout", ["slice", "brick"])
def test_digests_match_the_files_of_an_image(tmp_path: Path, layout: str) -> None:
    taken: list[int] = []

    def frames() -> Iterator[NDArray[Any]]:
        for z in range(3):
            taken.append(z)
            yield VOXELS[z]

    def decoded() -> Decoded:
        assert taken == [0, 1, 2]
        return Decoded(["tilted", "high_bit_shifted"], {"modality": "CT", "decoder": ["native"]})

    folder = tmp_path / "01234567"
    digests = write_image(folder, volume(), frames(), decoded, name="s/v", compression="balanced", layout=layout)
    assert np.array_equal(np.asarray(zarr.open_array(str(folder / "0"), mode="r")[...]), VOXELS)
    facts = json.loads((folder / "zarr.json").read_bytes())["attributes"]["dicomzarr"]
    assert facts["flags"] == ["high_bit_shifted", "tilted"] and facts["decoder"] == ["native"]
    written = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert digests == {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in written.items()}


@pytest.mark.parametrize("frames", [VOXELS[:2], VOXELS[:, :4], VOXELS.astype("<u2")], ids=["few", "small", "dtype"])
def test_frames_that_do_not_fit_are_refused(tmp_path: Path, frames: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="frame"):
        write_image(
            tmp_path / "image", volume(), iter(frames), lambda: Decoded([], {}), name="s/v", compression="none",
            layout="slice",
        )  # fmt: skip
