"""What is walked through: a model, two pictures, their labels, and the trace of one forward and one backward pass."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from tinyresnet_kernels import Array, use

from ..errors import InputError
from ..layers import Layer
from ..trace import Trace, trace
from .small import CLASSES, LOSSES, hand_network
from .small_segmenter import CLASSES as PIXEL_CLASSES
from .small_segmenter import hand_segmenter

NUDGE = 0.01


@dataclass
class Session:
    """A model and what ran through it. The readable forms of the ops run, so that nothing is compiled.

    labels are (N,) of a classifier, (N, H, W) of a segmenter, and None for a model that ends in neither: then the loss is the sum of
    upstream × y, upstream drawn from the seed.
    """

    title: str
    model: Layer
    x: Array
    labels: Array | None
    classes: tuple[str, ...] = ()
    train: bool = True
    seed: int = 0
    hand: bool = False  # in hand numbers
    trace: Trace = field(init=False)
    loss: float = field(init=False)

    def __post_init__(self) -> None:
        self.model.zero_grad()
        model = copy.deepcopy(self.model)  # batch norm's running statistics move
        with use("reference"), trace(model) as steps:
            y, cache = model.forward(self.x, train=self.train)
            if self.labels is None:
                upstream = np.random.default_rng(self.seed).integers(-4, 5, y.shape).astype(y.dtype) / 4
                self.loss, dy = float((upstream * y).sum()), upstream
            else:
                self.loss, dy = steps.loss_of(LOSSES[self.labels.ndim], y, self.labels)
            model.backward(dy, cache)
        self.trace = Trace(steps.steps)  # without the model, and what else the recording held

    def nudged(self, name: str, at: tuple[int, ...], by: float = NUDGE) -> Session:
        """The same once more with one parameter's number moved: name as in `named_params`. Raises InputError on an unknown one."""
        model = copy.deepcopy(self.model)
        params = dict(model.named_params())
        if name not in params:
            raise InputError(f"there is no parameter {name!r}: {', '.join(list(params)[:6])}... are there")
        shape = params[name].data.shape
        if len(at) != len(shape) or any(not 0 <= i < size for i, size in zip(at, shape, strict=True)):
            raise InputError(f"{name} has shape {shape}: there is no {at}")
        params[name].data[at] += by
        return Session(self.title, model, self.x, self.labels, self.classes, self.train, self.seed, self.hand)


def hand_session(seed: int = 0) -> Session:
    """The small network in hand numbers (`small.py`)."""
    model, x, labels = hand_network(seed)
    return Session("two residual blocks in hand numbers", model, x, labels, CLASSES, seed=seed, hand=True)


def hand_segmenter_session(seed: int = 0, head: str = "fpn") -> Session:
    """The small segmenter in hand numbers (`small_segmenter.py`)."""
    model, x, masks = hand_segmenter(seed, head)
    return Session(f"a segmenter in hand numbers, head {head}", model, x, masks, PIXEL_CLASSES, seed=seed, hand=True)
