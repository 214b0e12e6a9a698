"""The architecture of both networks, and how they are written as ONNX."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

OPSET = 17  # version of the ONNX operators: old enough for every onnxruntime of the last years
STEP = 8  # sides of an image are multiples of this; as in dicomzarr.burned_in.networks


@dataclass(frozen=True)
class Size:
    """The size of a network.

    Attributes
    ----------
    halved, quartered, eighthed : int
        Channels at half, a quarter and an eighth of the resolution of the image.
    fine, coarse : int
        Layers at a quarter and at an eighth of the resolution.
    """

    halved: int
    quartered: int
    eighthed: int
    fine: int
    coarse: int


SIZES = {
    "first": Size(halved=8, quartered=16, eighthed=48, fine=1, coarse=5),  # 4 ms for 512 x 512 on one core
    "second": Size(halved=16, quartered=32, eighthed=80, fine=2, coarse=6),
}


def _convolution(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution of 3 x 3 with normalisation and ReLU."""
    layers = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    return nn.Sequential(*layers)


class Separable(nn.Module):
    """Add to an image what a convolution of each channel, then one across channels, makes of it.

    Parameters
    ----------
    channels : int
        Of the image and of the result.
    side : int
        Pixels a side of the kernel of each channel.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        each = nn.Conv2d(channels, channels, side, padding=side // 2, groups=channels, bias=False)
        across = nn.Conv2d(channels, channels, 1, bias=False)
        self.each = nn.Sequential(each, nn.BatchNorm2d(channels), nn.ReLU())
        self.across = nn.Sequential(across, nn.BatchNorm2d(channels))

    def forward(self, image: Tensor) -> Tensor:
        """Return an image of the same shape."""
        return torch.relu(image + self.across(self.each(image)))


class TextNetwork(nn.Module):
    """Where text is: one number for each cell of 4 x 4 pixels, in two channels.

    A quarter of the resolution sees strokes, an eighth sees their surroundings (kernels of 5 x 5, so that a cell knows
    some 150 pixels each way). Both are added, and the answer is given at a quarter.

    Parameters
    ----------
    size : Size
        Channels and layers.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.halve = _convolution(1, size.halved, stride=2)
        more = [_convolution(size.quartered, size.quartered) for _ in range(size.fine)]
        self.quarter = nn.Sequential(
            _convolution(size.halved, size.quartered, stride=2), *more, Separable(size.quartered, 3)
        )
        around = [Separable(size.eighthed, 5) for _ in range(size.coarse)]
        self.eighth = nn.Sequential(_convolution(size.quartered, size.eighthed, stride=2), *around)
        narrower = nn.Conv2d(size.eighthed, size.quartered, 1, bias=False)
        self.narrow = nn.Sequential(narrower, nn.BatchNorm2d(size.quartered))
        self.answer = nn.Sequential(
            Separable(size.quartered, 3), Separable(size.quartered, 3), nn.Conv2d(size.quartered, 2, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return how much speaks for text.

        Parameters
        ----------
        image : Tensor, shape (n, 1, rows, columns)
            About 0 for the darkest and 1 for the brightest pixels; rows and columns are multiples of `STEP`.

        Returns
        -------
        Tensor, shape (n, 2, rows / 4, columns / 4)
            Logits; channel 0: text of any length, channel 1: text of three characters and more.
        """
        fine = self.quarter(self.halve(image))
        coarse = nn.functional.interpolate(self.narrow(self.eighth(fine)), scale_factor=2, mode="nearest")
        return self.answer(torch.relu(fine + coarse))


class _Probabilities(nn.Module):
    """What a network answers, as probabilities."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.network(image))


def as_onnx(network: TextNetwork) -> bytes:
    """Return a network as `dicomzarr.burned_in.networks` reads it: `x` to probabilities `y`, of any size.

    Parameters
    ----------
    network : TextNetwork
        It is set to evaluation.

    Returns
    -------
    bytes
        ONNX, with normalisation folded into the convolutions before it.
    """
    network.eval()
    axes: dict[str, Any] = {"x": {0: "n", 2: "rows", 3: "columns"}, "y": {0: "n", 2: "cell_rows", 3: "cell_columns"}}
    written = io.BytesIO()
    torch.onnx.export(
        _Probabilities(network),
        (torch.zeros(1, 1, 8 * STEP, 8 * STEP),),
        written,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,  # the newer exporter needs a package more, and writes names of its own
    )
    return written.getvalue()


def load_onnx(network: TextNetwork, data: bytes, images: Tensor) -> None:
    """Give a network the weights of an ONNX file that `as_onnx` wrote, so that training can go on.

    The file has no normalisation any more. It is put back so that the answers stay the same: mean and variance of each
    layer are those of `images`, and its factor and offset undo them.

    Parameters
    ----------
    network : TextNetwork
        Of the same size; it is changed, and set to evaluation.
    data : bytes
        ONNX.
    images : Tensor, shape (n, 1, rows, columns)
        Samples like those that it is trained with.
    """
    layers = list(_layers(network))
    for (convolution, normalisation), (weight, bias) in zip(layers, _weights(data), strict=True):
        convolution.weight.data = weight
        if normalisation is None:
            assert convolution.bias is not None
            convolution.bias.data = bias
        else:
            normalisation.reset_running_stats()
            normalisation.weight.data.fill_((1 + normalisation.eps) ** 0.5)
            normalisation.bias.data = bias
    network.eval()

    def adapt(layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))
        layer.running_mean, layer.running_var = mean, variance
        layer.weight.data = (variance + layer.eps).sqrt()
        layer.bias.data = layer.bias.data + mean

    hooks = [layer.register_forward_pre_hook(adapt) for _, layer in layers if layer is not None]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()


def _layers(network: TextNetwork) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Yield convolutions in the order in which they are computed, each with the normalisation behind it."""
    modules = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    for module, following in zip(modules, [*modules[1:], None], strict=True):
        if isinstance(module, nn.Conv2d):
            yield module, following if isinstance(following, nn.BatchNorm2d) else None


def _weights(data: bytes) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield weights and bias of each convolution of an ONNX file, in the order in which they are computed."""
    graph = onnx.load_from_string(data).graph
    numbers = {tensor.name: torch.tensor(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            yield numbers[node.input[1]], numbers[node.input[2]]
