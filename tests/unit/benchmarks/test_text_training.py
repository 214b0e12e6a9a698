"""The training of the networks that find text: the shape of their answers, the loss, equal weights for equal seeds."""

# ruff: noqa: E402 - without PyTorch the imports below fail, and the whole file is skipped
from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from dicomzarr.burned_in import networks

TRAINING = "needs the environment of envs/text_network.lock: benchmarks/text_network/README.md"
torch = pytest.importorskip("torch", reason=TRAINING)
onnx = pytest.importorskip("onnx", reason=TRAINING)
pytest.importorskip("cv2", reason=TRAINING)
sys.path.insert(0, str(ROOT))

from benchmarks.text_network import network, samples, train
from benchmarks.text_network.labels import CELL, CELLS, SIDE
from benchmarks.text_network.texts import Text

# The exporter that network.as_onnx asks for says that it is the older one.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def batches(seed: int) -> Iterator[train.Batch]:
    random = np.random.default_rng(seed)
    frames = [random.random((200, 200)).astype(np.float16)]
    mask = np.zeros((16, 60), np.uint8)
    mask[:, ::4] = mask[:, 1::4] = 255
    while True:
        yield tuple(torch.from_numpy(part) for part in samples.batch(random, frames, [Text(mask, 8)], 4))


def test_cells_and_names_are_those_of_the_detector() -> None:
    assert network.STEP == networks.STEP and CELL == networks.CELL
    assert set(network.SIZES) == set(networks.WEIGHTS)


@pytest.mark.parametrize("name", sorted(network.SIZES))
def test_what_is_written_is_what_was_trained(
    name: networks.Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workflow's own code runs the file, on images of other sizes than those of samples."""
    torch.manual_seed(1)
    trained = network.TextNetwork(network.SIZES[name])
    written = network.as_onnx(trained)
    onnx.checker.check_model(onnx.load_from_string(written))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{name}.onnx").write_bytes(written)
    monkeypatch.setattr(networks, "__file__", str(tmp_path / "networks.py"))
    monkeypatch.setitem(networks.WEIGHTS, name, hashlib.sha256(written).hexdigest())
    networks._session.cache_clear()
    image = np.random.default_rng(1).random((72, 104), np.float32)
    try:
        answer = networks.probabilities(name, image)
    finally:
        networks._session.cache_clear()
    with torch.no_grad():
        expected = torch.sigmoid(trained.eval()(torch.from_numpy(image)[None, None]))[0]
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert answer.shape == (2, 72 // CELL, 104 // CELL)


@pytest.mark.parametrize("name", sorted(network.SIZES))
def test_training_goes_on_from_the_weights_of_the_workflow(name: networks.Name) -> None:
    """The same answers, and layers whose mean and variance are those of the samples."""
    weights = (ROOT / "scripts" / "dicomzarr" / "burned_in" / "weights" / f"{name}.onnx").read_bytes()
    images = next(batches(3))[0]
    started = network.TextNetwork(network.SIZES[name])
    network.load_onnx(started, weights, images)
    image = np.random.default_rng(1).random((72, 104), np.float32)
    with torch.no_grad():
        answer = torch.sigmoid(started(torch.from_numpy(image)[None, None]))[0]
        trained = torch.sigmoid(started.train()(images))
        shown = torch.sigmoid(started.eval()(images))
    np.testing.assert_allclose(answer, networks.probabilities(name, image), atol=1e-5)
    np.testing.assert_allclose(trained, shown, atol=0.05)


def test_the_loss_is_lower_for_right_answers_and_ignores_what_does_not_count() -> None:
    _, labels, weights = next(batches(1))
    right = (labels * 2 - 1) * 5
    assert train.loss_of(right, labels, weights) < 0.1 < train.loss_of(-right, labels, weights)
    spoiled = torch.where(weights == 0, -right, right)
    assert torch.equal(train.loss_of(right, labels, weights), train.loss_of(spoiled, labels, weights))


def test_without_text_the_loss_is_a_number() -> None:
    labels = torch.zeros(2, 2, CELLS, CELLS)
    assert torch.isfinite(train.loss_of(torch.randn(labels.shape), labels, torch.ones_like(labels)))


def test_labels_turn_with_their_images() -> None:
    torch.manual_seed(1)
    labels = torch.zeros(1, 2, CELLS, CELLS)
    labels[:, :, 5:9, 20:40] = 1
    images = labels[:, :1].repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
    places = set()
    for _ in range(40):
        turned, where, weights = train.turned((images, labels, labels))
        assert turned.shape == (1, 1, SIDE, SIDE) and torch.equal(where, weights)
        cells = torch.nn.functional.avg_pool2d(turned, CELL)[0, 0]
        inside, outside = cells[where[0, 0] == 1], cells[where[0, 0] == 0]
        assert abs(float(inside.mean() - outside.mean())) > 0.2  # brighter or, if inverted, darker
        places.add(where.numpy().tobytes())
    assert len(places) == 8  # four right angles, and each mirrored


def test_the_learning_rate_rises_then_falls() -> None:
    assert train.rate(0, 0) < train.rate(100, 0) < train.rate(train.WARM_UP, 0.05)
    assert train.rate(5000, 0.2) > train.rate(5000, 0.9) > train.rate(5000, 1) == train.LAST_RATE


def test_one_seed_and_number_of_steps_give_the_same_weights() -> None:
    """In the order of main: the seed of PyTorch, the network, the steps."""

    def trained(seed: int, steps: int = 8) -> tuple[bytes, list[float]]:
        torch.manual_seed(seed)
        made = network.TextNetwork(network.SIZES["first"])
        losses = [loss for _, loss in train.train(made, batches(seed), lambda step: step / steps)]
        assert len(losses) == steps
        return network.as_onnx(made), losses

    one, losses = trained(1)
    assert one == trained(1)[0] != trained(2)[0]
    assert np.isfinite(losses).all()


def test_the_end_of_the_process_that_makes_samples_is_noticed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "PATIENCE", 1)
    with pytest.raises(SystemExit, match="no samples"):
        next(train.made_beside(1, tmp_path))  # a folder without packages
    assert "fetch.sh" in capfd.readouterr().err
