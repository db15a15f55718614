"""The lesson of the whole project: a branch and a shortcut, joined by an add. Going back, the add copies and the fork sums.

            +------ branch ------+                           +------ branch ------+
    x -- fork                   add -- relu -- y     dx -- fork                  add -- relu -- dy
            +----- shortcut -----+                        (sum) +--- shortcut ---+ (copy)

He et al. 2016, "Deep residual learning for image recognition", eq. 1: y = relu(F(x) + shortcut(x)).
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from tinyresnet_kernels import Array, accelerated, like_memory

from . import checks
from .base import Identity, Layer

Two: TypeAlias = tuple[Array, Array]


def fork_forward(x: Array) -> tuple[Two, None]:
    """x of any shape, twice."""
    checks.numbers("fork", "x", x)
    return (x, x), None


def fork_backward(dys: Two, cache: None) -> Array:
    """dx = da + db: x reaches the loss by two ways, so their gradients sum (the multivariate chain rule)."""
    checks.numbers("fork_backward", "dy[0]", dys[0])
    checks.upstream("fork_backward", dys[1], dys[0].shape, dys[0])
    return total(*dys)


def add_forward(ab: Two) -> tuple[Array, None]:
    """y = a + b, of one shape. Raises InputError if the shapes differ: nothing is broadcast."""
    checks.numbers("add", "a", ab[0])
    checks.numbers("add", "b", ab[1])
    checks.shape("add", "b", ab[1], ab[0].shape)
    checks.same_precision("add", "b", ab[1], ab[0])
    return total(*ab), None


def add_backward(dy: Array, cache: None) -> Two:
    """da = db = dy: d(a + b)/da is 1, so both ways get the same numbers."""
    checks.numbers("add_backward", "dy", dy)
    return dy, dy


@accelerated
def total(a: Array, b: Array) -> Array:
    """a + b, in a's memory layout."""
    return like_memory(a + b, a)


class Fork(Layer):
    """x -> (x, x)."""

    def forward(self, x: Array, *, train: bool) -> tuple[Two, None]:
        return fork_forward(x)

    def backward(self, dy: Two, cache: None) -> Array:
        return fork_backward(dy, cache)


class Add(Layer):
    """(a, b) -> a + b."""

    def forward(self, x: Two, *, train: bool) -> tuple[Array, None]:
        return add_forward(x)

    def backward(self, dy: Array, cache: None) -> Two:
        return add_backward(dy, cache)


class ResidualCache(NamedTuple):
    """The caches of the three parts that need one."""

    branch: Any
    shortcut: Any
    relu: Any


class Residual(Layer):
    """y = relu(branch(x) + shortcut(x)).

    Transparent in names: the branch's children stand under the block's own prefix, the shortcut is `downsample`.
    """

    def __init__(self, branch: Layer, shortcut: Layer | None = None, relu: Layer | None = None) -> None:
        self.fork, self.branch, self.shortcut = Fork(), branch, shortcut or Identity()
        self.add, self.relu = Add(), relu or Identity()

    def children(self) -> dict[str, Layer]:
        parts = {"downsample": self.shortcut, "add": self.add, "relu": self.relu}
        named = {"fork": self.fork} | self.branch.children() | parts
        return {name: layer for name, layer in named.items() if not isinstance(layer, Identity)}

    def forward(self, x: Array, *, train: bool) -> tuple[Array, ResidualCache]:
        """y (N, O, OH, OW) of x (N, C, H, W)."""
        (a, b), _ = self.fork.forward(x, train=train)
        a, branch = self.branch.forward(a, train=train)
        b, shortcut = self.shortcut.forward(b, train=train)
        z, _ = self.add.forward((a, b), train=train)
        y, relu = self.relu.forward(z, train=train)
        return y, ResidualCache(branch, shortcut, relu)

    def backward(self, dy: Array, cache: ResidualCache) -> Array:
        """Through the ReLU; the add hands the same gradient to both ways; the fork sums what comes back."""
        da, db = self.add.backward(self.relu.backward(dy, cache.relu), None)
        return self.fork.backward(
            (self.branch.backward(da, cache.branch), self.shortcut.backward(db, cache.shortcut)), None
        )
