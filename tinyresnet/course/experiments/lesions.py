"""Taking single blocks out of trained networks, without training again (Veit et al. 2016, section 4).

A residual network is a sum over many paths, and a block that is taken out (its shortcut stays) takes only its own paths with it. In a plain
network there is one path, and every block is on it. Blocks of a plain network that change the shape cannot go: nothing would fit.
The file's rows: {"kind", "depth", "count": number of blocks out, "name": their paths, "draw", "test_error", "test_loss"}.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from ...cli.arguments import positive
from ...data import Dataset, eval_batches
from ...errors import InputError
from ...evaluate import Evaluation, evaluate
from ...layers import Chain, Conv2d, Identity, Layer, Residual
from .networks import command, tell
from .results import Results, Row, rounded
from .trained import Networks, add_like_arguments, like_flags, prepare, trained

NETWORKS: Networks = [("plain", 20), ("residual", 20), ("residual", 56)]
EXAMPLE = """\
example:
  python -m tinyresnet.course.experiments.lesions --like cifar.json --data cifar.npz --out lesions.json
"""


def blocks_that_can_go(model: Layer) -> list[str]:
    """The paths of the blocks that can be taken out, from the first to the last."""
    return [path for path, layer in model.named_layers() if path.count(".") == 1 and _way_past(layer) is not None]


def _way_past(block: Layer) -> Layer | None:
    """What stays when the block is taken out: its shortcut. The ReLU behind it would change nothing: what comes in is not negative."""
    if isinstance(block, Residual):
        return block.shortcut
    convolutions = [layer for _, layer in block.named_layers() if isinstance(layer, Conv2d)]
    keeps_shape = all(
        conv.stride in (1, (1, 1)) and conv.weight.data.shape[0] == conv.weight.data.shape[1] for conv in convolutions
    )
    return Identity() if convolutions and keeps_shape else None


@contextlib.contextmanager
def without(model: Layer, paths: Sequence[str]) -> Iterator[None]:
    """Within the block, the model runs without the blocks at these paths. Raises InputError if one of them cannot be taken out."""
    stages = []
    for path in paths:
        stage, name = path.split(".")
        parent = model[stage]
        way = _way_past(vars(parent)[name]) if isinstance(parent, Chain) and name in vars(parent) else None
        if way is None:
            raise InputError(f"{path} cannot be taken out: one of {', '.join(blocks_that_can_go(model))} is wanted")
        stages.append((parent, name, vars(parent)[name], way))
    try:
        for parent, name, _, way in stages:
            vars(parent)[name] = way
        yield
    finally:
        for parent, name, block, _ in stages:
            vars(parent)[name] = block


def measured(model: Layer, test_set: Dataset) -> Evaluation:
    """The model on the test set, as it is."""
    return evaluate(model, eval_batches(test_set, batch_size=250), test_set.classes)


def lesions(model: Layer, draws: int, rng: np.random.Generator) -> Iterator[tuple[list[str], int]]:
    """What is taken out, and the number of the draw: nothing, each block alone, then 2, 3, ... random ones, each a few times."""
    blocks = blocks_that_can_go(model)
    yield [], 0
    yield from (([path], 0) for path in blocks)
    for count in range(2, len(blocks) + 1, max(1, len(blocks) // 9)):
        for draw in range(draws):
            yield [blocks[i] for i in sorted(rng.choice(len(blocks), count, replace=False))], draw


def main(argv: Sequence[str] | None = None) -> int:
    """Take blocks out and measure, or what is still missing of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyresnet.course.experiments.lesions",
        description="The test error of trained networks from which blocks were taken out.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_like_arguments(parser)
    parser.add_argument(
        "--draws", type=positive, default=5, metavar="N", help="of random blocks, for each number of them (default: 5)"
    )
    args = parser.parse_args(argv)
    try:
        held, size, settings = prepare(args)
        own = {"draws": args.draws}
        by = ("kind", "depth", "count", "name", "draw")
        results = Results(
            args.out, command=command("lesions", like_flags(args) | own), seed=0, settings=settings | own, by=by
        )
        data = size.load()
        for kind, depth in NETWORKS:
            model = trained(held, size, data, kind, depth, args.weights)
            for paths, draw in lesions(model, args.draws, np.random.default_rng(0)):
                row: Row = {"kind": kind, "depth": depth, "count": len(paths), "name": " ".join(paths), "draw": draw}
                if row not in results:
                    with without(model, paths):
                        found = measured(model, data[1])
                    results.add(row | rounded({"test_error": 1 - found.top1, "test_loss": found.loss}))
                    tell(f"{kind} {depth} without {' '.join(paths) or 'nothing'}: test error {1 - found.top1:.1%}")
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
