"""Train one of the two networks that find text in pixels, and write it as ONNX.

    python benchmarks/text_network/train.py first --minutes 60 --seed 1 --backgrounds FOLDER --write first.onnx

FOLDER is what fetch.sh filled. README.md says what is trained on what, and how new weights come into the workflow.

One seed gives the same samples in the same order. The weights are the same only if the number of steps is too:
`--steps` instead of `--minutes`, on one kind of processor. `--start` goes on from what an earlier call wrote: the file
beside its ONNX file, or the ONNX file alone.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.text_network import samples
from benchmarks.text_network.network import SIZES, TextNetwork, as_onnx, load_onnx

RATE = 2.5e-3  # highest learning rate
LAST_RATE = 1e-5  # what is left of it at the end
WARM_UP = 200  # steps over which the rate rises
DECAY = 1e-4  # of weights
LONGEST_GRADIENT = 5.0

USES = 3  # steps with each batch, the second and third turned: making one takes as long as two or three steps
INVERTED = 0.15  # share of turned samples
MOST_NOISE = 0.05

HARD_PER_CELL_OF_TEXT = 3  # cells without text that count with full weight: the worst ones, so many for each with text
LEAST_HARD = 800  # but at least so many in a batch, which has 37,000 cells
ALL_OTHERS = 0.5  # weight of the mean over all cells without text

WAITING = 4  # batches that are made ahead
PATIENCE = 10  # seconds without a batch after which one looks whether the process that makes them still runs
REPORT = 300  # steps between lines, and between copies of what has been learned so far
MEMORY = 0.99  # of the mean loss that is shown

Batch = tuple[Tensor, Tensor, Tensor]  # images, labels, weights


def main() -> None:
    """Train, and write the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(SIZES), help="which network")
    until = parser.add_mutually_exclusive_group(required=True)
    until.add_argument("--minutes", type=float, help="how long to train")
    until.add_argument("--steps", type=int, help="how many steps to train")
    parser.add_argument("--seed", type=int, required=True, help="of all samples and of the first weights")
    parser.add_argument("--backgrounds", type=Path, required=True, help="folder with the packages, from fetch.sh")
    parser.add_argument("--write", type=Path, required=True, help="ONNX file; FILE.pt beside it is for --start")
    parser.add_argument("--start", type=Path, help="FILE.pt or FILE.onnx of an earlier call, to go on from")
    parser.add_argument("--rate", type=float, default=RATE, help=f"highest learning rate ({RATE})")
    options = parser.parse_args()

    torch.set_num_threads(1)  # with a second process that makes samples: two cores are used
    torch.manual_seed(options.seed)
    network = TextNetwork(SIZES[options.name])
    batches = made_beside(options.seed, options.backgrounds)
    if options.start and options.start.suffix == ".onnx":
        load_onnx(network, options.start.read_bytes(), next(batches)[0])
    elif options.start:
        network.load_state_dict(torch.load(options.start, weights_only=True))
    begun = time.monotonic()

    def share_done(step: int) -> float:
        if options.steps:
            return step / options.steps
        return (time.monotonic() - begun) / 60 / options.minutes

    learned = options.write.with_suffix(".pt")
    for step, loss in train(network, batches, share_done, options.rate):
        if step % REPORT == 0:
            print(f"{step} steps, {(time.monotonic() - begun) / 60:.1f} min, loss {loss:.3f}", flush=True)
            torch.save(network.state_dict(), learned)
    torch.save(network.state_dict(), learned)
    options.write.write_bytes(as_onnx(network))


def train(
    network: TextNetwork, batches: Iterator[Batch], share_done: Callable[[int], float], highest: float = RATE
) -> Iterator[tuple[int, float]]:
    """Train a network until the share that is done reaches 1, and yield steps and mean loss.

    Parameters
    ----------
    network : TextNetwork
        It is changed.
    batches : iterator of tuple of Tensor
        Images of shape (n, 1, rows, columns), then labels and weights of shape (n, 2, rows / 4, columns / 4).
    share_done : callable
        From the number of steps so far to a share from 0 to 1: what the learning rate follows.
    highest : float
        Learning rate.

    Yields
    ------
    tuple of int and float
        Number of steps, and the mean loss over about the last hundred.
    """
    network.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=highest, weight_decay=DECAY)
    step, mean = 0, 0.0
    while (done := share_done(step)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate(step, done, highest)
        if step % USES == 0:
            batch = next(batches)
        images, labels, weights = batch if step % USES == 0 else turned(batch)
        answer = network(images.contiguous(memory_format=torch.channels_last))
        loss = loss_of(answer, labels, weights)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
        optimiser.step()
        mean = MEMORY * mean + (1 - MEMORY) * loss.item() if step else loss.item()
        step += 1
        yield step, mean


def rate(step: int, done: float, highest: float = RATE) -> float:
    """Return the learning rate: a short rise, then half a cosine."""
    return highest * min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done)) + LAST_RATE


def turned(batch: Batch) -> Batch:
    """Return a batch turned by right angles and perhaps mirrored, each sample with other greys."""
    turns = int(torch.randint(0, 8, (1,)))
    images, labels, weights = (torch.rot90(part, turns % 4, (2, 3)) for part in batch)
    if turns > 3:
        images, labels, weights = (part.flip(3) for part in (images, labels, weights))
    each = (len(images), 1, 1, 1)
    images = images * (0.6 + 0.7 * torch.rand(each)) + (torch.rand(each) - 0.3) * 0.3
    images = torch.where(torch.rand(each) < INVERTED, 1 - images, images)
    images = images + torch.randn_like(images) * MOST_NOISE * torch.rand(each) ** 3
    return images.clamp(samples.DARKEST, samples.BRIGHTEST), labels, weights


def loss_of(answer: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the loss, the sum over both channels.

    Most cells are without text, and most of those are easy. So three means are added: over cells with text, over the
    worst cells without, and, with a lower weight, over all cells without.

    Parameters
    ----------
    answer : Tensor, shape (n, 2, rows, columns)
        Logits.
    labels, weights : Tensor, shape (n, 2, rows, columns)
        1 for text; how much a cell counts.

    Returns
    -------
    Tensor
        One number.
    """
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(answer, labels, reduction="none") * weights
    loss = answer.new_zeros(())
    for channel in range(answer.shape[1]):
        counts = weights[:, channel] > 0
        text = (labels[:, channel] > 0) & counts
        without = entropy[:, channel][(labels[:, channel] == 0) & counts]
        hard = min(max(HARD_PER_CELL_OF_TEXT * int(text.sum()), LEAST_HARD), without.numel())
        if text.any():
            loss = loss + entropy[:, channel][text].mean()
        loss = loss + without.topk(hard).values.mean() + ALL_OTHERS * without.mean()
    return loss


# ---- Samples, made in a second process


def made_beside(seed: int, packages: Path) -> Iterator[Batch]:
    """Yield batches that one other process makes, in their order."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(WAITING)
    maker = context.Process(target=_make, args=(queue, seed, packages), daemon=True)
    maker.start()
    try:
        while True:
            yield _received(queue, maker)
    finally:
        maker.terminate()


def _received(queue: Queue[samples.Sample], maker: multiprocessing.process.BaseProcess) -> Batch:
    """Return the next batch; fail if the process that makes them has ended."""
    while True:
        try:
            images, labels, weights = (torch.from_numpy(part) for part in queue.get(timeout=PATIENCE))
        except Empty:
            if not maker.is_alive():
                raise SystemExit("no samples: the process that makes them ended, see above") from None
        else:
            return images, labels, weights


def _make(queue: Queue[samples.Sample], seed: int, packages: Path) -> None:
    for batch in samples.batches(seed, packages):
        queue.put(batch)


if __name__ == "__main__":
    main()
