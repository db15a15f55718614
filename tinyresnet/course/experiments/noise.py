"""Noise on the test pictures of trained networks: does a residual network bear more of it than its plain twin?

To every pixel a normal number is added, drawn alike for all networks; its standard deviation is given in those of the data set's pixels.
The file's rows: {"kind", "depth", "noise": standard deviation, "test_error", "test_loss"}.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from ...data import Dataset, eval_batches
from ...data.batches import Batch
from ...errors import InputError
from ...evaluate import evaluate
from .networks import command, tell
from .results import Results, Row, rounded
from .trained import Networks, add_like_arguments, like_flags, prepare, trained

NETWORKS: Networks = [("plain", 20), ("residual", 20), ("plain", 56), ("residual", 56)]
NOISE = (0.0, 0.125, 0.25, 0.5, 1.0)
EXAMPLE = """\
example:
  python -m tinyresnet.course.experiments.noise --like cifar.json --data cifar.npz --out noise.json
"""


def noisy(test_set: Dataset, noise: float) -> Iterator[Batch]:
    """The test set in batches, normalised, with noise."""
    rng = np.random.default_rng(0)
    for batch in eval_batches(test_set, batch_size=250):
        drawn = rng.standard_normal(batch.x.shape).astype(batch.x.dtype)
        yield batch._replace(x=batch.x + batch.x.dtype.type(noise) * drawn)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure under noise, or what is still missing of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyresnet.course.experiments.noise",
        description="The test error of trained networks on noisy pictures.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_like_arguments(parser)
    args = parser.parse_args(argv)
    try:
        held, size, settings = prepare(args)
        flags = command("noise", like_flags(args))
        results = Results(args.out, command=flags, seed=0, settings=settings, by=("kind", "depth", "noise"))
        data = size.load()
        for kind, depth in NETWORKS:
            model = trained(held, size, data, kind, depth, args.weights)
            for noise in NOISE:
                row: Row = {"kind": kind, "depth": depth, "noise": noise}
                if row not in results:
                    found = evaluate(model, noisy(data[1], noise), data[1].classes)
                    results.add(row | rounded({"test_error": 1 - found.top1, "test_loss": found.loss}))
                    tell(f"{kind} {depth}, noise {noise:g}: test error {1 - found.top1:.1%}")
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
