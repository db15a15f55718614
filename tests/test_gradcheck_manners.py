"""Forms and manners: each bad one gives its own finding and no other, a good one gives none."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from tinyresnet.gradcheck import check_subject
from tinyresnet.gradcheck.manners import look_over
from tinyresnet.gradcheck.subject import Subject, of_layer, of_pair
from tinyresnet.layers import Layer
from tinyresnet.layers.base import Param


class Case(NamedTuple):
    """What is looked over, and the findings: of each its check, the gradients it names, and words that it says."""

    subject: Subject
    findings: tuple[tuple[str, tuple[str, ...], str], ...]


def pair(backward: Any, *findings: Any, forward: Any = lambda x: (x * x, x), dtype: Any = np.float64) -> Case:
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(dtype)
    return Case(of_pair(forward, backward, x), findings)


class Square(Layer):
    """y = x**2 w, in the right manner: what the wrong ones below have in common."""

    buffers = ("steps",)

    def __init__(self) -> None:
        self.w, self.steps, self.kept = Param(np.linspace(1.0, 2.0, 4)), np.zeros(2), [np.zeros(1)]

    def forward(self, x: Any, *, train: bool) -> Any:
        if train:
            self.steps += 1
        return x * x * self.w.data, x

    def backward(self, dy: Any, cache: Any) -> Any:
        self.w.grad += (dy * cache * cache).reshape(-1, 4).sum(0)
        return 2 * dy * cache * self.w.data


def layer(*findings: Any, shape: tuple[int, ...] = (3, 4), **methods: Any) -> Case:
    x = np.random.default_rng(0).standard_normal(shape)
    return Case(of_layer(type("Wrong", (Square,), methods)(), x), findings)


RIGHT_BACKWARD, RIGHT_FORWARD = Square.backward, Square.forward


def set_and_not_added(self, dy, cache):
    self.w.grad[:] = (dy * cache * cache).sum(0)
    return 2 * dy * cache * self.w.data


def counts_in_backward(self, dy, cache):
    self.steps += 1
    return RIGHT_BACKWARD(self, dy, cache)


def keeps_when_training(self, x, *, train):
    y, _ = RIGHT_FORWARD(self, x, train=train)
    self.kept = [x.copy()] if train or self.kept[0].size == 1 else self.kept
    return y, (x, self.kept) if train else (x, self)


def backward_of_kept(self, dy, cache):
    _, kept = cache
    return RIGHT_BACKWARD(self, dy, kept[0] if isinstance(kept, list) else kept.kept[0])


def keeps_the_last(self, x, *, train):
    self.last = x.copy()
    return RIGHT_FORWARD(self, x, train=train)[0], None


def keeps_the_first(self, x, *, train):
    self.first = getattr(self, "first", x.copy())
    return RIGHT_FORWARD(self, x, train=train)[0], x


def one_output_for_all(self, x, *, train):
    y, cache = RIGHT_FORWARD(self, x, train=train)
    self.y = self.y if getattr(self, "y", y[..., :0]).shape == y.shape else np.empty_like(y)
    self.y[...] = y
    return self.y, cache


def one_gradient_for_all(self, dy, cache):
    dx = RIGHT_BACKWARD(self, dy, cache)
    self.dx = self.dx if getattr(self, "dx", dx[..., :0]).shape == dx.shape else np.empty_like(dx)
    self.dx[...] = dx
    return self.dx


def of_first(self, dy, cache):
    return RIGHT_BACKWARD(self, dy, self.first if self.first.shape == dy.shape else cache)


def squeezed(self, dy, cache):
    return RIGHT_BACKWARD(self, dy, cache).squeeze()


def without_none(self, dy, cache):
    return RIGHT_BACKWARD(self, dy, cache) if len(dy) else np.zeros(4)


def drawn_anew(rng: np.random.Generator, where: str) -> Case:
    if where == "forward":
        return pair(lambda dy, x: dy, ("repeatable", (), "differ"), forward=lambda x: (x * rng.random(), x))
    return pair(lambda dy, x: 2 * dy * x * rng.random(), ("repeatable", ("x",), "two backward passes"))


X = ("x",)
NOT_LINEAR = ("upstream", X, "the gradient is not linear in the upstream gradient")
COARSE = ("precise", X, "far more coarsely than its dtype rounds")
IN_FORTRAN_ORDER = ("memory_layout", X, "the gradient is another where arrays lie in Fortran order")
INSIDE_A_LARGER_ONE = ("memory_layout", X, "the gradient is another where arrays lie inside a larger one")
GIVEN_BEFORE = ("stale", X, "another backward pass changes the gradient that was given before")
KEPT = ("stale", ("x", "w"), "after another forward pass backward gives something else: something is kept")
EVALUATION = ("layer_state", (), "a training pass changes what an evaluation before it remembers")

LOOKED_OVER = {
    "right": pair(lambda dy, x: 2 * dy * x),
    "right in float32": pair(lambda dy, x: 2 * dy * x, dtype=np.float32),
    "right, zeros": pair(lambda dy, x: 0 * dy, forward=lambda x: (0 * x, x)),
    "right, a view of dy": pair(lambda dy, x: dy.T, forward=lambda x: (x.T, x)),
    "right, a layer": layer(),
    "right, a layer of pictures": layer(shape=(2, 3, 4)),
    "right, though another order in memory rounds it": pair(
        lambda dy, x: 2e8 * dy * x * (1 if dy.flags.c_contiguous else 1 + 1e-15), forward=lambda x: (1e8 * x * x, x)
    ),
    "right, of no batch": layer(shape=(4,)),
    "no gradient": pair(lambda dy, x: (None,), ("gradient_forms", X, "there is no gradient of x")),
    "shape": pair(lambda dy, x: (2 * dy * x)[0], ("gradient_forms", X, "its shape is (4,): (3, 4) is wanted")),
    "dtype": pair(
        lambda dy, x: 2.0 * dy.astype(float) * x,
        *(("dtypes", X, "its dtype is float64: float32 is wanted"), COARSE),
        dtype=np.float32,
    ),
    "the output's dtype": pair(
        lambda dy, x: np.asarray(2 * dy * x, np.float32),
        ("dtypes", (), "the output's dtype is float64: float32 is wanted"),
        forward=lambda x: (x.astype(float) ** 2, x),
        dtype=np.float32,
    ),
    "it stops": pair(lambda dy, x: 1 / 0, ("runs", (), "it stops with ZeroDivisionError: division by zero")),
    "it stops at zeros": pair(
        lambda dy, x: 2 * dy * x if dy.any() else 1 / 0,
        ("linear_in_upstream", (), "it stops with ZeroDivisionError: division by zero"),
    ),
    "random forward": drawn_anew(np.random.default_rng(0), "forward"),
    "random backward": drawn_anew(np.random.default_rng(0), "backward"),
    "one more": pair(
        lambda dy, x: 2 * dy * x + 1, ("upstream", X, "for an upstream of zeros is not zero"), NOT_LINEAR, COARSE
    ),
    "not linear": pair(lambda dy, x: 2 * np.abs(dy) * x, NOT_LINEAR),
    "hardly not linear": pair(lambda dy, x: 2 * x * (dy + 1e-6 * dy**2), NOT_LINEAR, COARSE),
    "not linear in half precision": pair(lambda dy, x: 2 * x * dy * (1 + abs(dy)), NOT_LINEAR, dtype=np.float16),
    "coarse": pair(lambda dy, x: (2 * dy * x).astype(np.float32).astype(float), COARSE),
    "by the order in memory": pair(
        lambda dy, x: 2 * dy * x * (1 if dy.flags.c_contiguous else 1.001), IN_FORTRAN_ORDER, INSIDE_A_LARGER_ONE
    ),
    "a shape by the order in memory": pair(
        lambda dy, x: (2 * dy * x)[: 3 if dy.flags.f_contiguous or dy.flags.c_contiguous else 2],
        ("memory_layout", X, "its shape is another where arrays lie inside a larger one"),
    ),
    "writes to dy": pair(
        lambda dy, x: np.multiply(dy, 2 * x, out=dy),
        *(COARSE, IN_FORTRAN_ORDER, INSIDE_A_LARGER_ONE, ("writes", (), "the backward pass writes to dy")),
        ("stale", X, KEPT[2]),
    ),
    "writes to an input": pair(
        lambda dy, x: np.multiply(2 * dy, x, out=x),
        *(COARSE, ("writes", (), "the backward pass writes to an input"), GIVEN_BEFORE),
    ),
    "writes to the output": pair(
        lambda dy, y: np.multiply(dy, y, out=y),
        *(COARSE, ("writes", (), "the backward pass writes to the output"), GIVEN_BEFORE),
        forward=lambda x: (y := np.exp(x), y),
    ),
    "writes to the cache": pair(
        lambda dy, cache: cache["steps"][0].__iadd__(1) * 0 + 2 * dy * cache["x"],
        ("writes", (), "the backward pass writes to the cache"),
        forward=lambda x: (x * x, {"x": x, "steps": [np.zeros(()), 3]}),
    ),
    "forward writes": pair(
        lambda dy, x: 2 * dy * x,
        ("writes", (), "the forward pass writes to its input x"),
        forward=lambda x: (np.square(x) + 0 * np.abs(x, out=x), np.sqrt(x * x)),
    ),
    "keeps the last": layer(
        KEPT, EVALUATION, forward=keeps_the_last, backward=lambda self, dy, _: RIGHT_BACKWARD(self, dy, self.last)
    ),
    "keeps the first": layer(KEPT, forward=keeps_the_first, backward=of_first),
    "one output for all": layer(
        ("stale", (), "another forward pass changes the output of the one before"), forward=one_output_for_all
    ),
    "one gradient for all": layer(GIVEN_BEFORE, backward=one_gradient_for_all),
    "one gradient for all pictures": layer(GIVEN_BEFORE, backward=one_gradient_for_all, shape=(2, 3, 4)),
    "sets its parameter's gradient": layer(
        ("layer_state", ("w",), "a second backward pass does not add to the first one's gradient"),
        backward=set_and_not_added,
    ),
    "counts in backward": layer(("layer_state", (), "the backward pass changes steps"), backward=counts_in_backward),
    "training changes an evaluation": layer(EVALUATION, forward=keeps_when_training, backward=backward_of_kept),
    "a batch of one": layer(("other_sizes", X, "its shape is wrong in a batch of one"), backward=squeezed),
    "a batch of none": layer(("other_sizes", X, "its shape is wrong in an empty batch"), backward=without_none),
}


@pytest.mark.parametrize("name", LOOKED_OVER)
def test_each_bad_manner_has_its_finding_and_a_good_one_none(name: str) -> None:
    subject, wanted = LOOKED_OVER[name]
    found = look_over(subject, np.random.default_rng(1))
    assert [(finding.check, finding.names) for finding in found] == [(check, names) for check, names, _ in wanted]
    assert all(words in finding.detail for finding, (*_, words) in zip(found, wanted, strict=True)), found
    verdicts = {"inconclusive" if name == "random forward" else "wrong"} if wanted else {"correct"}
    assert {check_subject(subject, locate=False).verdict} == verdicts
