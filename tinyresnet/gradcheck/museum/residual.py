"""Wrong backward passes of the fork, which must sum, and of the add, which must copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Add, Fork, Layer
from .bug import Setting, layer_bug, op_bug

FORK = Setting(lambda rng: Fork(), (3, 2, 5, 4))
ADD = Setting(lambda rng: Add(), (3, 2, 5, 4), pair=True)
SQUARE_ADD = Setting(lambda rng: Add(), (4, 4), pair=True)


class AddThatRemembers(Add):
    """(a, b) -> a + b with a and b in its cache, as in a code where every op saves what came."""

    def forward(self, x: Any, *, train: bool) -> tuple[Any, Any]:
        """y, and the pair."""
        return super().forward(x, train=train)[0], x

    def backward(self, dy: Any, cache: Any) -> Any:
        """Of the cache nothing is wanted."""
        return super().backward(dy, None)


REMEMBERING_ADD = Setting(lambda rng: AddThatRemembers(), (3, 2, 5, 4), pair=True)


@op_bug("fork", FORK, "x", sign="missing term")
def second_way_forgotten(dys: Any, cache: None) -> Any:
    """The shortcut's gradient was computed and never added: only the branch's goes on."""
    return dys[0].copy()


@op_bug("fork", FORK, "x", sign="missing term")
def second_way_overwrites_the_first(dys: Any, cache: None) -> Any:
    """A loop over the ways says dx = dy where it should say dx += dy: the last one's is left."""
    for dy in dys:
        dx = dy.copy()
    return dx


@op_bug("fork", FORK, "x", sign="mean for sum")
def averaged(dys: Any, cache: None) -> Any:
    """The two gradients were averaged so that they keep their size: the chain rule sums them."""
    return (dys[0] + dys[1]) / 2


@op_bug("fork", FORK, "x", sign="scale")
def divided_by_root_two(dys: Any, cache: None) -> Any:
    """The sum was divided by sqrt(2) to keep its variance, and the forward pass was not."""
    return (dys[0] + dys[1]) / np.sqrt(2)


@op_bug("fork", FORK, "x", sign="other")
def second_way_subtracted(dys: Any, cache: None) -> Any:
    """Residual was read as difference, H(x) - x, and so the shortcut's gradient was taken off."""
    return dys[0] - dys[1]


@op_bug("fork", FORK, "x", sign="upstream")
def second_way_taken_to_equal_the_first(dys: Any, cache: None) -> Any:
    """The add gives both ways the same gradient, so it was doubled here: what comes back through the branch is another one."""
    return 2 * dys[0]


@op_bug("fork", FORK, "x", sign="upstream")
def multiplied(dys: Any, cache: None) -> Any:
    """The chain rule was remembered as a product: it multiplies along a way and sums over the ways."""
    return dys[0] * dys[1]


@op_bug("fork", FORK, "x", sign="extra term")
def first_way_counted_twice(dys: Any, cache: None) -> Any:
    """dx starts as the branch's gradient, and then a loop over all the ways adds it once more."""
    dx = dys[0].copy()
    for dy in dys:
        dx += dy
    return dx


@op_bug("fork", FORK, "x", sign="extra term")
def second_way_summed_over_the_pictures(dys: Any, cache: None) -> Any:
    """The shortcut's gradient was summed over the pictures like a bias's, and broadcasting let it pass."""
    return dys[0] + dys[1].sum(axis=0)


@op_bug("fork", FORK, "x", sign="part")
def second_way_for_the_first_picture_alone(dys: Any, cache: None) -> Any:
    """dx[0] += was written where dx += was meant, after a try with a batch of one."""
    dx = dys[0].copy()
    dx[0] += dys[1][0]
    return dx


@op_bug("fork", FORK, "x", sign="border")
def first_way_without_its_border(dys: Any, cache: None) -> Any:
    """The branch's gradient was cropped as if its convolutions had no padding."""
    dx = dys[1].copy()
    dx[:, :, 1:-1, 1:-1] += dys[0][:, :, 1:-1, 1:-1]
    return dx


@op_bug("fork", FORK, "x", sign="mask")
def negative_sum_cut_off(dys: Any, cache: None) -> Any:
    """A ReLU was put on the gradient itself, as guided backpropagation does for its pictures."""
    return np.maximum(dys[0] + dys[1], 0)


@op_bug("fork", FORK, sign="manners")
def sum_written_into_the_first_upstream(dys: Any, cache: None) -> Any:
    """dys[0] += dys[1] saves an array, and the caller's gradient is no longer what it was."""
    dx = dys[0]
    dx += dys[1]
    return dx


@layer_bug("fork", FORK, sign="stale")
def backward_summed_in_an_attribute(self: Layer, dys: Any, cache: None) -> Any:
    """The ways are added up in self.dx, which nobody sets back: every backward pass adds those before it."""
    kept = vars(self)
    kept["dx"] = kept.get("dx", 0) + dys[0] + dys[1]
    return kept["dx"].copy()


@op_bug("add", ADD, "x0", "x1", sign="scale")
def shared_out_in_halves(dy: Any, cache: None) -> Any:
    """The gradient was shared out between the two ways: the add copies it, for each way moves y by as much as it moves itself."""
    return dy / 2, dy / 2


@op_bug("add", ADD, "x0", sign="scale")
def first_doubled(dy: Any, cache: None) -> Any:
    """The branch got the gradient by the add and once more by a line in the block that was left from before."""
    da = dy.copy()
    da += dy
    return da, dy


@op_bug("add", ADD, "x1", sign="zero")
def second_taken_for_a_constant(dy: Any, cache: None) -> Any:
    """The shortcut was detached: what is added was believed to have no gradient, as a constant has none."""
    return dy, np.zeros_like(dy)


@op_bug("add", ADD, "x1", sign="sign")
def second_with_a_minus(dy: Any, cache: None) -> Any:
    """Copied from the backward pass of a subtraction."""
    return dy, -dy


@op_bug("add", REMEMBERING_ADD, "x0", "x1", sign="other")
def product_rule(dy: Any, cache: Any) -> Any:
    """Copied from the backward pass of a product, where each gets the other one's value."""
    a, b = cache
    return dy * b, dy * a


@op_bug("add", REMEMBERING_ADD, "x0", sign="mask")
def first_gated_by_its_own_sign(dy: Any, cache: Any) -> Any:
    """The block's ReLU was gone back through before the add, by the sign of the branch: it stands behind the add."""
    return np.where(cache[0] > 0, dy, 0), dy


@op_bug("add", ADD, "x0", "x1", sign="upstream")
def ones_for_the_upstream(dy: Any, cache: None) -> Any:
    """The local derivative 1 was returned as if it were the gradient: it was not multiplied by dy."""
    return np.ones_like(dy), np.ones_like(dy)


@op_bug("add", ADD, "x1", sign="extra term")
def second_summed_over_the_pictures(dy: Any, cache: None) -> Any:
    """Summed as if b had been broadcast over the pictures, as a bias is: here both have the same shape."""
    return dy, np.broadcast_to(dy.sum(axis=0), dy.shape).copy()


@op_bug("add", ADD, "x0", "x1", sign="permuted")
def repeated_instead_of_tiled(dy: Any, cache: None) -> Any:
    """np.repeat doubles each picture in its place, np.tile the whole batch: the halves are not two copies."""
    both = np.repeat(dy, 2, axis=0)
    return both[: len(dy)], both[len(dy) :]


@op_bug("add", SQUARE_ADD, "x1", sign="transposed")
def second_turned_over(dy: Any, cache: None) -> Any:
    """The shortcut was transposed for the matrix product of its projection, and is not transposed back but once too often."""
    return dy, dy.T


@op_bug("add", ADD, "x1", sign="border")
def second_without_its_border(dy: Any, cache: None) -> Any:
    """The shortcut was cropped to fit a branch without padding, as in U-Net, and still is after the padding came."""
    db = np.zeros_like(dy)
    db[:, :, 1:-1, 1:-1] = dy[:, :, 1:-1, 1:-1]
    return dy, db


@op_bug("add", ADD, "x1", sign="part")
def second_without_its_last_channel(dy: Any, cache: None) -> Any:
    """The shortcut is believed to be narrower than the branch, padded with a channel of zeros."""
    db = dy.copy()
    db[:, -1] = 0
    return dy, db


@layer_bug("add", ADD, sign="manners")
def forward_summed_into_the_first(self: Layer, x: Any, *, train: bool) -> Any:
    """out += identity: whoever still holds the branch's output, or has it in a cache, finds the sum there."""
    a, b = x
    a += b
    return a, None
