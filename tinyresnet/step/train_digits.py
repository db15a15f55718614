"""Makes the weights behind `tinyresnet step --real`: the small network of `small.py`, trained on handwritten digits.

    python -m tinyresnet.step.train_digits --out digits.safetensors

The readable forms of the ops run: half a minute on one core, and nothing is compiled. scikit-learn is needed, for the pictures.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyresnet_kernels import Array, use

from ..data import Augment, Dataset, eval_batches, load, normalize, steps_per_epoch, train_batches
from ..evaluate import Evaluation, evaluate, logits_of, softmax
from ..layers import Layer
from ..loss import softmax_cross_entropy
from ..optim import SGD
from ..schedule import OneCycle, learning_rate
from ..weights import Header, write_arrays
from .small import small_resnet

WIDTH = 4
EPOCHS, BATCH, LR = 150, 64, 0.2


def trained(data: Dataset, *, seed: int) -> Layer:
    """The network after EPOCHS epochs of SGD with momentum on pictures that are moved by up to a pixel; float32."""
    rng = np.random.default_rng(seed)
    model = small_resnet(width=WIDTH, num_classes=len(data.classes), rng=rng, dtype=np.float32)
    optimiser = SGD(model.named_params(), momentum=0.9, weight_decay=1e-4)
    steps = EPOCHS * steps_per_epoch(data, BATCH)
    for batch in train_batches(data, batch_size=BATCH, seed=seed, stop_step=steps, augment=Augment(crop=1)):
        logits, cache = model.forward(batch.x, train=True)
        _, dlogits = softmax_cross_entropy(logits, batch.labels)
        optimiser.zero_grad()
        model.backward(dlogits, cache)
        optimiser.step(learning_rate(OneCycle(), LR, batch.step, steps))
    return model


def measured(model: Layer, data: Dataset) -> Evaluation:
    """How good the network is on these pictures."""
    return evaluate(model, eval_batches(data, batch_size=256), data.classes)


def two_pictures(model: Layer, data: Dataset) -> Array:
    """The indices of two pictures of different classes that the network gets right, alone and as a batch of two, without being sure.

    Of pictures that it is sure of nothing much would come back: their loss is nearly 0.
    """
    p = softmax(logits_of(model, normalize(data.x[np.arange(len(data))], data.mean, data.std)))
    sureness = p[np.arange(len(data)), data.y]
    unsure = np.flatnonzero((p.argmax(axis=1) == data.y) & (sureness < 0.9))
    for pair in map(np.array, itertools.combinations(unsure, 2)):
        labels = data.y[pair]
        logits, _ = model.forward(normalize(data.x[pair], data.mean, data.std), train=True)
        right = logits.argmax(axis=1) == labels
        if labels[0] != labels[1] and right.all() and 0.2 < softmax_cross_entropy(logits, labels)[0] < 1:
            return pair
    raise SystemExit("no two such pictures are there: another seed is wanted")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the small network of the stepper on scikit-learn's digits.")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the safetensors file to write")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    train_set, test_set = load("digits")
    with use("reference"):
        model = trained(train_set, seed=args.seed)
        state = model.state_dict()
        top1 = measured(model, test_set).top1
        pair = two_pictures(model, test_set)  # last: a pass in training mode moves the running statistics
    arrays = {f"model.{name}": array for name, array in state.items()}
    arrays |= {"pictures": test_set.x[pair], "labels": test_set.y[pair]}
    about = {"width": WIDTH, "seed": args.seed, "test_top1": round(top1, 4), "data": "digits"}
    header = Header(None, test_set.classes, test_set.mean, test_set.std, test_set.x.shape[2], about)
    write_arrays(args.out, arrays, header)
    print(f"{args.out}: {100 * top1:.1f} % of {len(test_set)} test pictures right")


if __name__ == "__main__":
    main()
