"""Wrong backward passes of a whole residual block: two convolutions with their norms, a shortcut, and the ReLU behind the add."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import BatchNorm2d, Chain, Conv2d, ReLU, Residual
from ...layers.norm import batch_norm_forward
from ...layers.residual import ResidualCache
from ...layers.shortcut import shortcut
from .bug import Rng, Setting, layer_bug

FIRST = ("conv1.weight", "bn1.weight", "bn1.bias")
BRANCH = (*FIRST, "conv2.weight", "bn2.weight", "bn2.bias")
PROJECTION = ("downsample.0.weight", "downsample.1.weight", "downsample.1.bias")


def _block(rng: Rng, C: int, O: int, stride: int, option: str) -> Residual:
    settings: Any = {"pad": 1, "rng": rng, "dtype": np.float64}
    branch = {"conv1": Conv2d(C, O, 3, stride=stride, **settings), "bn1": BatchNorm2d(O, dtype=np.float64)}
    branch |= {"relu1": ReLU(), "conv2": Conv2d(O, O, 3, **settings), "bn2": BatchNorm2d(O, dtype=np.float64)}
    block = Residual(Chain(branch), shortcut(option, C, O, stride=stride, rng=rng, dtype=np.float64), ReLU())
    for _, norm in block.named_layers():
        if isinstance(norm, BatchNorm2d):
            norm.weight.data, norm.bias.data = rng.uniform(0.5, 2, O), rng.standard_normal(O)
            norm.running_mean, norm.running_var = rng.standard_normal(O), rng.uniform(0.5, 2, O)
    return block


IDENTITY = Setting(lambda rng: _block(rng, 3, 3, 1, "A"), (3, 3, 5, 4))
OPTION_A = Setting(lambda rng: _block(rng, 2, 4, 2, "A"), (3, 2, 7, 6))
OPTION_B = Setting(lambda rng: _block(rng, 2, 4, 2, "B"), (3, 2, 7, 6))
EVALUATION = Setting(lambda rng: _block(rng, 2, 4, 2, "B"), (3, 2, 7, 6), train=False)


def _from_the_add(self: Residual, da: Any, db: Any, cache: ResidualCache) -> Any:
    """The rest of the way back, with nothing wrong."""
    return self.fork.backward(
        (self.branch.backward(da, cache.branch), self.shortcut.backward(db, cache.shortcut)), None
    )


def _with(cache: ResidualCache, **caches: Any) -> ResidualCache:
    """The cache with those of some of the branch's layers replaced."""
    return cache._replace(branch=cache.branch | caches)


@layer_bug("residual", IDENTITY, "x", sign="missing term")
def backward_identity_forgotten(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The identity has no backward pass of its own to call, so nobody adds what comes by it."""
    return self.branch.backward(self.relu.backward(dy, cache.relu), cache.branch)


@layer_bug("residual", OPTION_B, "x", *PROJECTION, sign="missing term")
def backward_projection_forgotten(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The block was first written for the identity, and its backward pass does not know of the projection that came later."""
    return self.branch.backward(self.relu.backward(dy, cache.relu), cache.branch)


@layer_bug("residual", OPTION_A, "x", sign="missing term")
def backward_shortcut_overwrites_the_branch(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """dx = branch, then dx = shortcut where dx += belongs: the branch's parameters are right, and its dx is lost."""
    dz = self.relu.backward(dy, cache.relu)
    dx = self.branch.backward(dz, cache.branch)
    dx = self.shortcut.backward(dz, cache.shortcut)
    return dx


@layer_bug("residual", IDENTITY, "x", *BRANCH, sign="missing term")
def backward_branch_forgotten(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The branch was left out as stochastic depth leaves it out, though the forward pass had run it."""
    return self.shortcut.backward(self.relu.backward(dy, cache.relu), cache.shortcut)


@layer_bug("residual", OPTION_B, "x", *BRANCH, *PROJECTION, sign="mask")
def backward_last_relu_forgotten(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The ReLU behind the add is no child of the branch, and the backward pass starts at the add."""
    return _from_the_add(self, dy, dy, cache)


@layer_bug("residual", OPTION_B, "x", *PROJECTION, sign="mask")
def backward_shortcut_past_the_relu(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The ReLU was put at the end of the branch: the shortcut gets dy as it came, though it passes the ReLU too."""
    return _from_the_add(self, self.relu.backward(dy, cache.relu), dy, cache)


@layer_bug("residual", OPTION_A, "x", *BRANCH, sign="mask")
def backward_mask_of_the_branch_alone(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The mask was taken of the branch before the shortcut was added, not of their sum."""
    norm = cache.branch["bn2"]
    a, _ = batch_norm_forward(norm.x, norm.weight, self["bn2"].params()["bias"].data)
    dz = np.where(a > 0, dy, 0)
    return _from_the_add(self, dz, dz, cache)


@layer_bug("residual", IDENTITY, "x", *BRANCH, sign="mask")
def backward_mask_of_the_first_relu(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """One self.relu stands for both ReLUs, and the mask that it holds is the other one's."""
    return Residual.backward(self, dy, cache._replace(relu=cache.branch["relu1"]))


@layer_bug("residual", OPTION_B, "x", *FIRST, sign="mask")
def backward_first_relu_forgotten(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The ReLU between the convolutions is a bare function call in the forward pass, and so was missed on the way back."""
    relu = cache.branch["relu1"]
    return Residual.backward(self, dy, _with(cache, relu1=relu._replace(mask=np.ones_like(relu.mask))))


@layer_bug("residual", IDENTITY, "x", sign="mask")
def backward_gated_by_the_input_too(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The ReLU of the block before was gone back through here as well, by the sign of this block's x."""
    return np.where(cache.branch["conv1"].x > 0, Residual.backward(self, dy, cache), 0)


@layer_bug("residual", OPTION_A, "x", *BRANCH, sign="mask")
def backward_only_positive_upstream(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The ReLU looks at the sign of dy as well, as guided backpropagation does for its pictures."""
    return Residual.backward(self, np.maximum(dy, 0), cache)


@layer_bug("residual", OPTION_B, "x", *BRANCH, *PROJECTION, sign="scale")
def backward_halved_at_the_add(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The add shares the gradient out in halves: it copies it."""
    half = self.relu.backward(dy, cache.relu) / 2
    return _from_the_add(self, half, half, cache)


@layer_bug("residual", IDENTITY, "x", sign="mean for sum")
def backward_averaged_at_the_fork(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The two ways' gradients were averaged where they meet, so that they would not grow from block to block."""
    return Residual.backward(self, dy, cache) / 2


@layer_bug("residual", OPTION_A, *BRANCH, sign="scale")
def backward_branch_called_twice(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The branch's backward pass runs once for its parameters and once more for dx: it adds to their gradients each time."""
    self.branch.backward(self.relu.backward(dy, cache.relu), cache.branch)
    return Residual.backward(self, dy, cache)


@layer_bug("residual", IDENTITY, "x", sign="extra term")
def backward_shortcut_added_twice(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The identity's gradient is added by the fork and again by a line dx += dy at the end of the block."""
    return Residual.backward(self, dy, cache) + self.relu.backward(dy, cache.relu)


@layer_bug("residual", IDENTITY, "x", sign="part")
def backward_shortcut_two_pictures_at_a_time(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The shortcut is added in steps of two pictures, and with an odd number of them the last one gets the branch's alone."""
    dz = self.relu.backward(dy, cache.relu)
    dx, even = self.branch.backward(dz, cache.branch), len(dy) // 2 * 2
    dx[:even] += dz[:even]
    return dx


@layer_bug("residual", IDENTITY, "x", *BRANCH, sign="other")
def backward_branch_in_forward_order(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """reversed() was forgotten in the loop over the branch's layers, and every shape fits all the same."""
    da = dz = self.relu.backward(dy, cache.relu)
    for name, layer in self.branch.children().items():
        da = layer.backward(da, cache.branch[name])
    return da + dz


@layer_bug("residual", OPTION_B, "x", "conv1.weight", "bn1.weight", sign="stale")
def backward_second_norm_cache_for_the_first(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """Both norms keep their cache under one name, so the first one finds what the second one saved."""
    return Residual.backward(
        self, dy, _with(cache, bn1=cache.branch["bn2"]._replace(weight=cache.branch["bn1"].weight))
    )


@layer_bug("residual", OPTION_A, "x", *FIRST, "conv2.weight", sign="missing term")
def backward_last_norm_by_constants(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The last norm was folded into its convolution as for prediction: in training the batch's mean and variance move with x."""
    return Residual.backward(self, dy, _with(cache, bn2=cache.branch["bn2"]._replace(train=False)))


@layer_bug("residual", EVALUATION, "x", *FIRST, "conv2.weight", sign="extra term")
def backward_last_norm_by_the_batch_in_evaluation(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """The flag for evaluation reached the forward pass alone: going back, the running statistics count as the batch's."""
    return Residual.backward(self, dy, _with(cache, bn2=cache.branch["bn2"]._replace(train=True)))


@layer_bug("residual", OPTION_A, "conv1.weight", "conv2.weight", sign="extra term")
def backward_weight_decay_added(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """Weight decay was added to the gradients here, and the optimiser adds it too."""
    for name in ("conv1", "conv2"):
        weight = self[name].params()["weight"]
        weight.grad += 5e-4 * weight.data
    return Residual.backward(self, dy, cache)


@layer_bug("residual", IDENTITY, "conv1.weight", sign="manners")
def forward_branch_added_into_the_input(self: Residual, x: Any, *, train: bool) -> Any:
    """x += branch(x): the first convolution keeps x for its weight's gradient, and finds the sum in its place."""
    a, branch = self.branch.forward(x, train=train)
    x += a
    y, relu = self.relu.forward(x, train=train)
    return y, ResidualCache(branch, None, relu)


@layer_bug("residual", OPTION_B, sign="stale")
def forward_cache_kept_in_the_block(self: Residual, x: Any, *, train: bool) -> Any:
    """The block keeps one dict for its branch's caches: a second forward pass replaces what the first one's backward needs."""
    y, cache = Residual.forward(self, x, train=train)
    kept = vars(self).setdefault("kept", {})
    kept.update(cache.branch)
    return y, cache._replace(branch=kept)


@layer_bug("residual", OPTION_A, sign="manners")
def backward_gated_in_place(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """dy[~mask] = 0 saves an array, and the caller's dy is no longer what it was."""
    dy[~cache.relu.mask] = 0
    return _from_the_add(self, dy, dy, cache)


@layer_bug("residual", OPTION_B, sign="manners")
def backward_gradients_zeroed_first(self: Residual, dy: Any, cache: ResidualCache) -> Any:
    """zero_grad at the start of the backward pass: gradients of several batches can no longer be added up."""
    self.zero_grad()
    return Residual.backward(self, dy, cache)
