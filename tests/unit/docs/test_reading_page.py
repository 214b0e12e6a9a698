"""The snippets of docs/reading.md are run unchanged; those of frameworks that are not installed are skipped.

PyTorch, MONAI and TorchIO are in envs/training.txt; CONTRIBUTING.md has the command to install them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from epochs import digest
from made_up_volumes import MadeUp, write

from dicomzarr.dataset import DicomZarrDataset, channel_xyz

PAGE = (ROOT / "docs" / "reading.md").read_text()
TRAINING = "PyTorch and packages that need it are optional: see envs/training.txt"
SIZE = (20, 40, 36)
# x increases to the left, y to posterior, z to superior.
AFFINE = [[1.0, 0.0, 0.0, -10.0], [0.0, 0.5, 0.0, 20.0], [0.0, 0.0, 2.5, 30.0], [0.0, 0.0, 0.0, 1.0]]


@pytest.fixture
def voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Write a dataset of three CT volumes below `results` in the current folder; return the voxels of the first."""
    random = np.random.default_rng(0)
    every = [random.integers(0, 4096, SIZE).astype("<i2") for _ in range(3)]
    facts = {"affine_lps": AFFINE, "rescale": [1.0, -1024.0]}
    write(
        tmp_path / "results/dataset",
        [MadeUp("zyx", each, facts, {"modality": "CT", "split": "train"}) for each in every],
    )
    monkeypatch.chdir(tmp_path)
    return every[0]


def run(heading: str) -> dict[str, Any]:
    """Run the snippet below a heading and return its variables."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.split(f"# {heading}\n")[1].split("\n## ")[0], re.M | re.S)
    names: dict[str, Any] = {}
    exec(compile(code, f"docs/reading.md, {heading}", "exec"), names)
    return names


def test_every_snippet_is_run() -> None:
    assert len(re.findall(r"^```python", PAGE, re.M)) == len(re.findall(r"\brun\(\"", Path(__file__).read_text()))


def test_the_first_snippet(voxels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run("Reading a dataset for training")["dataset"]) == 24
    assert capsys.readouterr().out == "(1, 16, 32, 32) float32 czyx\n"


def test_the_table_of_volumes(voxels: np.ndarray) -> None:
    names = run("The table of volumes")
    assert len(names["large"]) == 3 and names["subjects"].index.tolist() == ["train"]


def test_sets_of_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [
        {"group": "a", "acquisition": {"b_value": 0.0}},
        {"group": "a", "acquisition": {"b_value": 1000.0}, "affine_residual_mm": 0.04},
        {},
    ]
    write(tmp_path / "results/dataset", [MadeUp("zyx", np.zeros((2, 3, 3), "<i2"), each) for each in parts])
    monkeypatch.chdir(tmp_path)
    names = run("Sets of volumes")
    assert (names["numbers"], names["b_values"], names["residual"]) == ([0, 1], [0.0, 1000.0], 0.04)


def test_load_images(voxels: np.ndarray) -> None:
    assert np.array_equal(run("The naive list")["images"][: SIZE[0]], voxels)


@pytest.mark.filterwarnings("ignore")
def test_torch(voxels: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason=TRAINING)
    names = run("PyTorch")
    batch = names["batch"]
    assert batch["image"].shape[1:] == (1, 16, 32, 32) and batch["image"].dtype == torch.float32
    dataset = DicomZarrDataset("results", sample="slice", rescale=True)
    expected = [digest(dataset[i]) for i in range(len(dataset))]
    for workers, method in ((0, None), (2, "fork"), (4, "fork"), (2, "spawn"), (4, "spawn")):
        options = {"multiprocessing_context": method} if method else {}
        loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers, **options)
        plain = [{key: v.numpy() if isinstance(v, torch.Tensor) else v for key, v in s.items()} for s in loader]
        assert [digest(sample) for sample in plain] == expected


def test_monai(voxels: np.ndarray) -> None:
    pytest.importorskip("torch", reason=TRAINING)
    pytest.importorskip("monai", reason=TRAINING)
    image = run("MONAI")["image"]
    assert image.pixdim.tolist() == [2, 2, 2]
    # RAS: x and y run to the left and to posterior, so the first voxel has the signs of its LPS position turned.
    assert image.affine[:3, 3].tolist() == [10, -20, 30]
    for theirs, ours in (
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (0, 0, 2)),
        ((0, 1, 0), (0, 4, 0)),
        ((0, 0, 5), (4, 0, 0)),
    ):
        assert float(image[0][theirs]) == pytest.approx(voxels[ours] - 1024, abs=0.1)  # where both grids meet


def test_torchio(voxels: np.ndarray) -> None:
    pytest.importorskip("torch", reason=TRAINING)
    pytest.importorskip("torchio", reason=TRAINING)
    names = run("TorchIO")
    canonical = names["subject"].ct
    assert canonical.orientation == ("R", "A", "S")
    assert np.allclose(canonical.spacing, (1, 0.5, 2.5))
    stored = voxels.transpose(2, 1, 0)[::-1, ::-1] - 1024  # x to the right, y to anterior
    assert np.array_equal(canonical.numpy()[0], stored)
    image, affine = channel_xyz(DicomZarrDataset("results", rescale=True)[0])
    assert np.array_equal(image[0].transpose(2, 1, 0), voxels - 1024.0) and affine[2, 2] == 2.5


def test_xarray(voxels: np.ndarray) -> None:
    names = run("xarray")
    assert names["voxels"].dims == ("z", "y", "x")
    assert np.array_equal(names["middle"].values, voxels[SIZE[0] // 2])


def test_dask(voxels: np.ndarray) -> None:
    names = run("dask")
    assert names["brightest"] == voxels.max()
    assert np.array_equal(names["voxels"].compute(), voxels)
