"""The depth dial: how the gradient's norm changes from block to block, with and without shortcuts and batch norm, at three depths.

`load()` gives the shipped norms; `python -m tinyresnet.step.depth_dial --out FILE` computes them again. A row holds, of one network before
its first update and for every block from the stem ("conv1") to the last:

    weights   the norm of d loss / d (all weights of the block's convolutions)
    outputs   the norm of d loss / d (the block's output, behind its last ReLU)

Norms are Euclidean, and the median over seeds; null stands for what is not finite. The networks are CIFAR's (He et al. 2016a, section
4.2), shortcut A, in training mode and float32. Without batch norm an Identity stands in its place; no convolution has a bias. The
initialisation "he" is the one of `build`; "pytorch" draws all weights and biases of convolutions and linear layers from
+-1/sqrt(fan_in). The seed draws the weights alone: all networks see the same pictures. Where rounding tips a ReLU the norms change:
another machine agrees to 1e-3 at depth 8, and to a few hundredths in the plain networks of depth 56.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from ..data import Batch, train_batches
from ..data import load as load_data
from ..errors import InputError
from ..files import replacing
from ..layers import BatchNorm2d, Conv2d, Identity, Layer, Linear
from ..loss import softmax_cross_entropy
from ..observe import observe
from ..optim import grad_norm
from ..resnet import ResNet, build

FORMAT, VERSION = "tinyresnet-depth-dial", 1
FAMILIES = {"plain": "plain", "residual": "resnet"}
INITS = ("he", "pytorch")
DEPTHS = (8, 20, 56)
SEEDS = (0, 1, 2, 3, 4)
BATCH = 128
FACTOR = 100  # see `caption`
EXAMPLE = """\
example:
  python -m tinyresnet.step.depth_dial --out depth_dial.json
"""


def load() -> dict[str, Any]:
    """The shipped file: {"format", "version", "data", "rows": [{"shortcut", "norm", "init", "depth", "blocks", "weights", "outputs"}]}."""
    text = resources.files("tinyresnet.step").joinpath("depth_dial.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def caption(row: Mapping[str, Any]) -> tuple[str, float | None]:
    """What the gradient does on its way back through a row's blocks, as ("explodes" | "vanishes" | "neither" | "unknown", ratio).

    ratio = outputs[0] / outputs[-1]: by how much all blocks together stretch the gradient, from where it leaves the last to where it
    reaches the stem. Above 100 it explodes, below 1/100 it vanishes. That is far beyond what the shapes alone can do (the stem's output
    has four times as many numbers as the last block's, a factor of 2 in the norm), and the shipped words hang on no fine choice: any
    limit from 40 to 250 gives the same.
    Outputs are judged, not weights: in a plain network without batch norm, sum(weight * d loss / d weight) is one number for all
    convolutions (each scales the logits: Euler's theorem), so where the gradient vanishes all of them are equally small, and no ratio
    of theirs shows it.
    A null at the stem alone is an overflow, and explodes. The ratio is None where it is not finite; with nothing to compare (null, or
    no gradient at all, at the last block) the word is "unknown".
    """
    first, last = row["outputs"][0], row["outputs"][-1]
    if last is None or first == last == 0:
        return "unknown", None
    if first is None or last == 0:
        return "explodes", None
    ratio = first / last
    return "explodes" if ratio > FACTOR else "vanishes" if ratio < 1 / FACTOR else "neither", ratio


class Norms(NamedTuple):
    """Of one network, by block from the stem to the last."""

    weights: dict[str, float]
    outputs: dict[str, float]


def make_network(shortcut: str, norm: bool, init: str, depth: int, rng: np.random.Generator) -> ResNet:
    """One setting of the dial. With equal `rng`, networks that differ only in shortcuts or norms have equal weights."""
    model = build(f"{FAMILIES[shortcut]}{depth}", rng=rng)
    if not norm:
        leave_out_norms(model)
    if init == "pytorch":
        draw_as_pytorch(model, rng)
    return model


def leave_out_norms(layer: Layer) -> None:
    """Put an Identity in the place of every batch norm below `layer`."""
    for name, part in vars(layer).items():
        if isinstance(part, BatchNorm2d):
            setattr(layer, name, Identity())
        elif isinstance(part, Layer):
            leave_out_norms(part)


def draw_as_pytorch(model: Layer, rng: np.random.Generator) -> None:
    """Draw weights and biases again, as PyTorch does by default: uniform in +-1/sqrt(fan_in)."""
    for _, layer in model.named_layers():
        if isinstance(layer, Conv2d | Linear):
            bound = math.prod(layer.weight.data.shape[1:]) ** -0.5
            for param in layer.params().values():
                param.data[...] = rng.uniform(-bound, bound, param.data.shape)


def gradient_norms(model: ResNet, batch: Batch) -> Norms:
    """The norms of every block of a plain or residual network, from one forward and one backward pass."""
    outputs: dict[str, float] = {}

    def at_output(path: str, layer: Layer, dy: Array, dx: Array) -> None:
        block, _, name = path.rpartition(".")
        if name == "relu":  # what comes back to a block's last ReLU is the gradient at the block's output
            outputs[block or "conv1"] = grad_norm([dy])

    with observe(model, backward=at_output), np.errstate(all="ignore"):  # an overflow is a result here
        logits, cache = model.forward(batch.x, train=True)
        _, dlogits = softmax_cross_entropy(logits, batch.labels)
        model.backward(dlogits, cache)
        grads: dict[str, list[Array]] = {}
        for path, layer in model.named_layers():
            if isinstance(layer, Conv2d):
                grads.setdefault(path.rpartition(".")[0] or "conv1", []).append(layer.weight.grad)
        weights = {block: grad_norm(arrays) for block, arrays in grads.items()}
    return Norms(weights, {block: outputs[block] for block in weights})


def median(by_seed: Sequence[Mapping[str, float]]) -> list[float | None]:
    """Per block, the median over seeds to 4 digits. What is not finite counts as larger than all, and is None if it is the median."""
    values = np.array([list(norms.values()) for norms in by_seed])
    middle = np.median(np.where(np.isfinite(values), values, np.inf), axis=0)
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in middle.tolist()]


def first_batch() -> Batch:
    """The pictures that all networks see, as training gets them: 3 x 32 x 32, float32, normalised."""
    train_set, _ = load_data("shapes", train_size=BATCH, test_size=1, picture_size=32, seed=0)
    return next(train_batches(train_set, batch_size=BATCH, seed=0, stop_step=1))


def make_row(shortcut: str, norm: bool, init: str, depth: int, batch: Batch) -> dict[str, Any]:
    """One row of the file."""
    rngs = [np.random.default_rng(seed) for seed in SEEDS]
    by_seed = [gradient_norms(make_network(shortcut, norm, init, depth, rng), batch) for rng in rngs]
    return {
        "shortcut": shortcut,
        "norm": norm,
        "init": init,
        "depth": depth,
        "blocks": list(by_seed[0].weights),
        "weights": median([norms.weights for norms in by_seed]),
        "outputs": median([norms.outputs for norms in by_seed]),
    }


def rows() -> Iterator[dict[str, Any]]:
    """All rows of the file, one after another as they are made."""
    batch = first_batch()
    for depth, shortcut, norm, init in product(DEPTHS, FAMILIES, (True, False), INITS):
        yield make_row(shortcut, norm, init, depth, batch)


def as_text(made: Sequence[Mapping[str, Any]]) -> str:
    """The file, a line a row."""
    data = {
        "seeds": SEEDS,
        "batch": BATCH,
        "pictures": f"shapes, seed 0, the first {BATCH} training pictures, 3 x 32 x 32, normalised as in training",
        "statistic": "median over the seeds, which draw the weights",
        "made": "python -m tinyresnet.step.depth_dial --out FILE",
    }
    head = "".join(
        f"{json.dumps(name)}: {json.dumps(value)},\n"
        for name, value in {"format": FORMAT, "version": VERSION, "data": data}.items()
    )
    return "{" + head + '"rows": [\n' + ",\n".join(json.dumps(row, allow_nan=False) for row in made) + "\n]}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Compute the file again; a line a row on stderr tells how far it is."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyresnet.step.depth_dial",
        description="Compute the depth dial's gradient norms again: 24 rows, about a minute on two cores.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    args = parser.parse_args(argv)
    count = len(DEPTHS) * len(FAMILIES) * 2 * len(INITS)
    made: list[dict[str, Any]] = []
    try:
        with replacing(args.out) as beside:
            for row in rows():
                made.append(row)
                word, ratio = caption(row)
                name = f"{row['shortcut']} {row['depth']}, {'batch norm' if row['norm'] else 'none'}, {row['init']}"
                print(f"{len(made)}/{count} {name}: {word}, {ratio and f'{ratio:.3g}'}", file=sys.stderr, flush=True)
            beside.write_text(as_text(made), encoding="utf-8")
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
