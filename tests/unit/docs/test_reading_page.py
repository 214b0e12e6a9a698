"""The snippets of docs/reading.md are run unchanged; those of frameworks that are not installed are skipped.

PyTorch, MONAI and TorchIO are in envs/training.txt; CONTRIBUTING.md has the command to install them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from conftest import ROOT
from epochs import digest
from made_up_masks import MadeUpMask, add_masks
from made_up_volumes import MadeUp, write
from range_server import serve

from dicomzarr.dataset import DicomZarrDataset, Volume, channel_xyz

PAGE = (ROOT / "docs" / "reading.md").read_text()
TRAINING = "PyTorch and packages that need it are optional: see envs/training.txt"
SIZE = (20, 40, 36)
# x increases to the left, y to posterior, z to superior.
AFFINE = [[1.0, 0.0, 0.0, -10.0], [0.0, 0.5, 0.0, 20.0], [0.0, 0.0, 2.5, 30.0], [0.0, 0.0, 0.0, 1.0]]
LIVER, TUMOUR = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
LIVER[4:12, 10:30, 6:20] = 1
TUMOUR[6:8, 12:16, 8:12] = 1


@pytest.fixture
def voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Write three CT volumes with masks and one without an affine below `results`; return the voxels of the second."""
    random = np.random.default_rng(0)
    every = [random.integers(0, 4096, SIZE).astype("<i2") for _ in range(4)]
    facts = {"affine_lps": AFFINE, "rescale": [1.0, -1024.0]}
    of_train = {"modality": "CT", "split": "train"}
    volumes = [MadeUp("zyx", each, facts, of_train) for each in every[1:]]
    without_affine = MadeUp("zyx", every[0], {"rescale": [1.0, -1024.0]}, of_train)
    folder = write(tmp_path / "results/dataset", [without_affine, *volumes])
    masks = [MadeUpMask(number, "liver", LIVER) for number in range(4)]
    add_masks(folder, [*masks, MadeUpMask(1, "tumour", TUMOUR)], {0: "tumour", 2: "tumour", 3: "tumour"})
    monkeypatch.chdir(tmp_path)
    return every[1]


def run(heading: str) -> dict[str, Any]:
    """Run the snippets below a heading and return their variables."""
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.split(f"# {heading}\n")[1].split("\n## ")[0], re.M | re.S)
    names: dict[str, Any] = {}
    for code in snippets:
        exec(compile(code, f"docs/reading.md, {heading}", "exec"), names)
    return names


def test_a_url(voxels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(Path("results/dataset")) as served:
        monkeypatch.setitem(globals(), "PAGE", PAGE.replace("https://data.example.org/liver", served.url))
        names = run("From a URL")
        assert np.array_equal(names["array"][...], names["train"].volume(0).read())
        assert len(names["train"]) == 4 * SIZE[0]


def test_every_snippet_is_run() -> None:
    headings = re.findall(r"\brun\(\"(.*?)\"\)", Path(__file__).read_text())
    sections = [part for part in re.split(r"^##? ", PAGE, flags=re.M) if "```python" in part]
    assert sorted(part.split("\n")[0] for part in sections) == sorted(headings)


def test_one_volume(voxels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("One volume by itself")
    first = zarr.open_array(f"results/dataset/images.zarr/{names['dataset'].rows[0]['array']}/0", mode="r")
    assert np.array_equal(names["part"], first[2:6, :, 0:16])
    assert capsys.readouterr().out == f"zyx {SIZE} int16 ['liver']\n"


def test_the_first_snippets(voxels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("Reading a dataset for training")
    assert len(names["dataset"]) == 32
    assert capsys.readouterr().out == "(1, 16, 32, 32) float32 czyx\n"
    first = names["train"][5]
    assert len(names["train"]) == 3 * SIZE[0] and first["axes"] == "cyx"
    linear = (voxels[5] - 1024.0 - 40) / 400 + 0.5  # PS3.3 C.11.2.1.3.2 for center 40 and width 400
    assert np.allclose(first["image"][0], np.clip(linear, 0, 1), atol=1e-5)


def test_masks_and_foreground(voxels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("Masks")
    assert re.fullmatch(r"\(2, 16, 32, 32\) czyx \[1 1\] (liver|tumour)?\n", capsys.readouterr().out)
    samples = [names["dataset"][i] for i in range(24)]
    assert sum(bool(sample["around"]) for sample in samples) in (7, 8)
    for sample in samples:
        z, y, x = map(int, sample["start"])
        region = slice(z, z + 16), slice(y, y + 32), slice(x, x + 32)
        tumour = TUMOUR if sample["array"].startswith(f"{1:016x}") else np.zeros_like(TUMOUR)
        assert np.array_equal(sample["mask"], [LIVER[region], tumour[region]])
    assert np.array_equal(names["share"], names["sample"]["mask"])


def test_the_table_of_volumes(voxels: np.ndarray) -> None:
    names = run("The table of volumes")
    assert len(names["large"]) == 4 and names["subjects"].index.tolist() == ["train"]
    assert names["millilitres"].to_dict() == {"liver": 4 * 0.5, "tumour": 0.5}


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
    assert np.array_equal(run("The naive list")["images"][SIZE[0] : 2 * SIZE[0]], voxels)


@pytest.mark.filterwarnings("ignore")
def test_torch(voxels: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason=TRAINING)
    names = run("PyTorch")
    batch = names["batch"]
    assert batch["image"].shape[1:] == batch["mask"].shape[1:] == (1, 16, 32, 32)
    assert batch["image"].dtype == torch.float32 and batch["mask"].dtype == torch.uint8
    dataset = DicomZarrDataset("results", sample="slice", rescale=True, masks=["liver", "tumour"])
    expected = [digest(dataset[i]) for i in range(len(dataset))]
    for workers, method in ((0, None), (2, "fork"), (4, "fork"), (2, "spawn"), (4, "spawn")):
        options = {"multiprocessing_context": method} if method else {}
        loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers, **options)
        plain = [{key: v.numpy() if isinstance(v, torch.Tensor) else v for key, v in s.items()} for s in loader]
        assert [digest(sample) for sample in plain] == expected


def test_monai(voxels: np.ndarray) -> None:
    pytest.importorskip("torch", reason=TRAINING)
    pytest.importorskip("monai", reason=TRAINING)
    names = run("MONAI")
    image, mask = names["sample"]["image"], names["sample"]["mask"]
    assert len(names["dataset"]) == 3  # not the one without an affine, of which resampling would make a constant
    assert image.pixdim.tolist() == mask.pixdim.tolist() == [2, 2, 2]
    # RAS: x and y run to the left and to posterior, so the first voxel has the signs of its LPS position turned.
    assert image.affine[:3, 3].tolist() == mask.affine[:3, 3].tolist() == [10, -20, 30]
    for theirs, ours in (
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (0, 0, 2)),
        ((0, 1, 0), (0, 4, 0)),
        ((0, 0, 5), (4, 0, 0)),
        ((5, 3, 5), (4, 12, 10)),
        ((4, 3, 10), (8, 12, 8)),
    ):
        assert float(image[0][theirs]) == pytest.approx(voxels[ours] - 1024, abs=0.1)  # where both grids meet
        assert [int(each[theirs]) for each in mask] == [LIVER[ours], TUMOUR[ours]]


def test_torchio(voxels: np.ndarray) -> None:
    pytest.importorskip("torch", reason=TRAINING)
    pytest.importorskip("torchio", reason=TRAINING)
    names = run("TorchIO")
    canonical = names["subject"].ct
    assert canonical.orientation == ("R", "A", "S")
    assert np.allclose(canonical.spacing, (1, 0.5, 2.5))
    stored = voxels.transpose(2, 1, 0)[::-1, ::-1] - 1024  # x to the right, y to anterior
    assert np.array_equal(canonical.numpy()[0], stored)
    assert np.array_equal(names["subject"].liver.numpy()[0], LIVER.transpose(2, 1, 0)[::-1, ::-1])
    image, affine = channel_xyz(DicomZarrDataset("results", rescale=True)[1])
    assert np.array_equal(image[0].transpose(2, 1, 0), voxels - 1024.0) and affine[2, 2] == 2.5


def test_xarray(voxels: np.ndarray) -> None:
    names = run("xarray")
    assert names["voxels"].dims == ("z", "y", "x")
    first = Volume(Path(names["folder"])).read()
    assert np.array_equal(names["middle"].values, first[SIZE[0] // 2])


def test_dask(voxels: np.ndarray) -> None:
    names = run("dask")
    first = Volume(Path("results/dataset/images.zarr") / names["row"]["array"]).read()
    assert names["brightest"] == first.max()
    assert np.array_equal(names["voxels"].compute(), first)
