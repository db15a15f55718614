"""The training loss around trained networks, along two random directions with filters of the network's own size (Li et al. 2018, 4).

A weight can be scaled without effect where a batch norm follows, so one step is long for one network and short for another. Each filter
of a direction is therefore given the norm of the network's own filter: a step of 1 then moves every filter by its own length. Batch norm's
parameters and the biases stay. The loss is that of training: over one fixed batch, with the batch's own statistics.
The file's rows: {"kind", "depth", "half": the grid goes from -half to half, "loss": its rows, first direction downwards}; null: not finite.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import Array

from ...cli.arguments import positive
from ...data.batches import Batch
from ...errors import InputError
from ...fuse import fuse
from ...layers import Layer
from ...loss import softmax_cross_entropy_forward
from ...resnet import ResNet
from .networks import command, tell
from .results import Results, Row, rounded
from .trained import Networks, add_like_arguments, like_flags, prepare, some_pictures, trained

NETWORKS: Networks = [("plain", 20), ("residual", 20), ("plain", 56), ("residual", 56)]
HALF = 1.0
EXAMPLE = """\
example:
  python -m tinyresnet.course.experiments.surface --like cifar.json --data cifar.npz --out surface.json
"""


def filter_normalised(model: Layer, rng: np.random.Generator) -> dict[str, Array]:
    """A random direction by parameter: each filter (row of the first axis) as long as the model's own; 0 for parameters of one axis."""
    direction = {}
    for name, param in model.named_params():
        axes = tuple(range(1, param.data.ndim))
        if axes:
            drawn = rng.standard_normal(param.data.shape)
            own, length = (np.sqrt((values**2).sum(axis=axes, keepdims=True)) for values in (param.data, drawn))
            direction[name] = (drawn * own / length).astype(param.data.dtype)
        else:
            direction[name] = np.zeros_like(param.data)
    return direction


def loss_at(network: Layer, batch: Batch) -> float:
    """The training loss of one batch, with the batch's own statistics; infinity where it overflows."""
    with np.errstate(all="ignore"):
        logits, _ = network.forward(batch.x, train=True)
        loss = float(softmax_cross_entropy_forward(logits, batch.labels)[0])
    return loss if np.isfinite(loss) else float("inf")


def surface(
    model: ResNet, batch: Batch, rng: np.random.Generator, *, points: int, half: float = HALF
) -> NDArray[np.float64]:
    """The loss (points, points) at weights + a u + b v for a, b from -half to half and two directions u, v. The model is left as it was."""
    u, v = filter_normalised(model, rng), filter_normalised(model, rng)
    steps = np.linspace(-half, half, points)
    return losses(model, batch, [(a, b) for a in steps for b in steps], u, v).reshape(points, points)


def line(
    model: ResNet, batch: Batch, rng: np.random.Generator, *, points: int, half: float = HALF
) -> NDArray[np.float64]:
    """The same along one direction: (points,)."""
    return losses(model, batch, [(a,) for a in np.linspace(-half, half, points)], filter_normalised(model, rng))


def losses(
    model: ResNet, batch: Batch, places: Sequence[Sequence[float]], *directions: dict[str, Array]
) -> NDArray[np.float64]:
    """The loss at weights + the sum of direction times step, for each place (its steps); the model is left as it was."""
    before, network, found = model.state_dict(), fuse(model), []
    try:
        for place in places:
            for name, param in model.named_params():
                param.data[...] = before[name]
                for step, direction in zip(place, directions, strict=True):
                    param.data[...] += np.float32(step) * direction[name]
            found.append(loss_at(network, batch))
    finally:
        model.load_state_dict(before)
    return np.array(found)


def share_of_bumps(loss: NDArray[np.float64]) -> float:
    """Of all three neighbours in a row or a column, the share whose middle lies above the mean of the outer two: 0 for a convex surface."""
    second = [np.diff(loss, 2, axis=axis) for axis in (0, 1)]
    bends = np.concatenate([values.ravel() for values in second])
    return float((bends < 0).mean())


def main(argv: Sequence[str] | None = None) -> int:
    """Compute the surfaces, or what is still missing of them."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyresnet.course.experiments.surface",
        description="The training loss around plain and residual networks, along two filter-normalised directions.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_like_arguments(parser)
    parser.add_argument("--points", type=positive, default=21, metavar="N", help="of the grid, a side (default: 21)")
    parser.add_argument("--pictures", type=positive, default=256, metavar="N", help="of the batch (default: 256)")
    args = parser.parse_args(argv)
    try:
        held, size, settings = prepare(args)
        own = {"points": args.points, "pictures": args.pictures}
        results = Results(
            args.out,
            command=command("surface", like_flags(args) | own),
            seed=0,
            settings=settings | own,
            by=("kind", "depth"),
        )
        data = size.load()
        batch = some_pictures(data[0], args.pictures)
        for kind, depth in NETWORKS:
            row: Row = {"kind": kind, "depth": depth}
            if row not in results:
                model = trained(held, size, data, kind, depth, args.weights)
                loss = surface(model, batch, np.random.default_rng(0), points=args.points)
                results.add(row | {"half": HALF, "loss": rounded(loss)})
                tell(
                    f"{kind} {depth}: loss {loss.min():.3f} to {loss.max():.3g}, {share_of_bumps(loss):.0%} of all bends are concave"
                )
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
