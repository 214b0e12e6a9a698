"""The built-in data set: the same tree each time, files of the wheel unchanged, generated voxels at their positions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import data

from dicomzarr.commands.demo import files as demo

WHEEL = Path(data.__file__).parent


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("demo") / "source"
    demo.build(target)
    return target


def test_two_builds_are_equal_and_leave_no_temporary_folder(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "source"
    target.mkdir(parents=True)
    (target / "stale").write_text("")
    demo.build(target)
    assert tree(target) == tree(source)
    assert [path.name for path in target.parent.iterdir()] == ["source"]


def test_every_file_of_the_wheel_is_copied_unchanged(source: Path) -> None:
    files = [
        path.read_bytes()
        for folder in ("test_files", "charset_files", "palettes")
        for path in (WHEEL / folder).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    ]
    ours = sorted(tree(source).values())
    assert len(files) > 190
    for content in files:
        ours.remove(hashlib.sha256(content).hexdigest())


def test_the_tree_is_messy(source: Path) -> None:
    files = [path for path in source.rglob("*") if path.is_file()]
    assert {"", ".dcm", ".DCM", ".IMA", ".zip", ".db", ".txt"} <= {path.suffix for path in files}
    assert any(path.stat().st_size == 0 for path in files)
    assert any(" " in str(path.relative_to(source)) for path in files)
    assert max(len(path.relative_to(source).parts) for path in files) > 10
    assert any(path.is_dir() and not any(path.iterdir()) for path in source.rglob("*"))


@pytest.mark.parametrize("stack", demo.stacks(), ids=lambda stack: stack.name)
def test_slices_hold_the_voxels_of_their_position(source: Path, stack: demo.Stack) -> None:
    slices = [
        pydicom.dcmread(path)
        for folder in (stack.folder, f"{stack.folder} (2)")
        for path in sorted((source / folder).iterdir())
    ]
    times, depth = stack.voxels.shape[:2]
    assert len(slices) == times * depth
    assert len({each.SOPInstanceUID for each in slices}) == times * depth
    assert len({(each.SeriesInstanceUID, each.StudyInstanceUID) for each in slices}) == 1
    assert sorted(each.InstanceNumber for each in slices) == list(range(1, times * depth + 1))

    normal = np.cross(stack.orientation[:3], stack.orientation[3:])
    assert np.allclose(np.linalg.norm(normal), 1)
    seen = []
    for each in slices:
        along = np.dot(np.array(each.ImagePositionPatient, float) - stack.origin, normal) / stack.spacing[0]
        t = stack.echo_times.index(float(each.EchoTime)) if stack.echo_times else 0
        assert np.isclose(along, round(along), atol=1e-5)
        assert np.array_equal(each.pixel_array, stack.voxels[t, round(along)])
        seen.append((t, round(along)))
    assert sorted(seen) == [(t, z) for t in range(times) for z in range(depth)]
    assert seen != sorted(seen), "names follow the position"
    assert [seen[i] for i in np.argsort([each.InstanceNumber for each in slices])] != sorted(seen)


def test_known_voxels() -> None:
    chest = demo.chest()
    assert (chest.shape, chest.dtype) == ((1, 40, 128, 128), np.int16)
    assert chest[0, 20, 0, 0] == 0  # air
    assert abs(int(chest[0, 20, 60, 40]) - 1024 + 840) < 100  # lung
    assert abs(int(chest[0, 20, 89, 64]) - 1024 - 260) < 20  # marrow
    assert abs(int(chest[0, 20, 77, 67]) - 1024 - 310) < 20  # aorta
    head, echoes = demo.head(), demo.two_echoes()
    assert (head.shape, head.dtype) == ((1, 24, 96, 96), np.uint16)
    assert head.max() < 2**12
    assert (echoes.shape, echoes.dtype) == ((2, 10, 64, 64), np.uint16)
    assert echoes[0, 5, 30, 27] < 400 < 1900 <= echoes[1, 5, 30, 27]  # water of a ventricle
