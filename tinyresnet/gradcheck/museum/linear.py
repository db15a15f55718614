"""Wrong backward passes of a linear layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Linear
from ...layers.linear import LinearCache, linear_backward
from .bug import Setting, layer_bug, op_bug

PARAMS = ("weight", "bias")


def _setting(N: int, I: int, O: int) -> Setting:
    return Setting(lambda rng: Linear(I, O, rng=rng, dtype=np.float64), (N, I))


PLAIN = _setting(5, 4, 3)
SQUARE = _setting(5, 4, 4)
AS_MANY_PICTURES = _setting(3, 4, 3)
BLOCK = 2  # pictures that are worked on at a time: of PLAIN's 5 one remains


@op_bug("linear", SQUARE, "weight", sign="transposed", params=PARAMS)
def weight_transposed(dy: Any, cache: LinearCache) -> Any:
    """dweight was written x^T dy, for a weight kept as (I, O): where I equals O no shape tells."""
    dx, dweight, dbias = linear_backward(dy, cache)
    return dx, dweight.T, dbias


@op_bug("linear", PLAIN, "weight", sign="permuted", params=PARAMS)
def weight_reshaped_for_transposed(dy: Any, cache: LinearCache) -> Any:
    """x^T dy has the shape (I, O), and a reshape to (O, I) made the error message go away."""
    dx, dweight, dbias = linear_backward(dy, cache)
    return dx, dweight.T.reshape(dweight.shape), dbias


@op_bug("linear", SQUARE, "x", sign="other", params=PARAMS)
def upstream_through_the_transposed_weight(dy: Any, cache: LinearCache) -> Any:
    """dx was written dy W^T, as forward is: backward goes through W itself."""
    return dy @ cache.weight.T, *linear_backward(dy, cache)[1:]


@op_bug("linear", PLAIN, "weight", "bias", sign="mean for sum", params=PARAMS)
def averaged_over_the_batch(dy: Any, cache: LinearCache) -> Any:
    """Divided by N twice: once in the loss and once here."""
    dx, dweight, dbias = linear_backward(dy, cache)
    return dx, dweight / len(dy), dbias / len(dy)


@op_bug("linear", PLAIN, "bias", sign="scale", params=PARAMS)
def bias_averaged_over_its_length(dy: Any, cache: LinearCache) -> Any:
    """dbias was divided by its own length, the number of outputs."""
    dx, dweight, dbias = linear_backward(dy, cache)
    return dx, dweight, dbias / dbias.size


@op_bug("linear", PLAIN, "bias", sign="missing sum", params=PARAMS)
def bias_from_the_last_picture(dy: Any, cache: LinearCache) -> Any:
    """A loop over the pictures says dbias = dy[n] where it should say dbias +=."""
    dx, dweight, _ = linear_backward(dy, cache)
    return dx, dweight, dy[-1]


@op_bug("linear", PLAIN, "bias", sign="other", params=PARAMS)
def bias_summed_over_everything(dy: Any, cache: LinearCache) -> Any:
    """dy.sum() lacks its axis, and += spreads the one number over all outputs."""
    dx, dweight, dbias = linear_backward(dy, cache)
    return dx, dweight, np.full_like(dbias, dy.sum())


@op_bug("linear", AS_MANY_PICTURES, "bias", sign="other", params=PARAMS)
def bias_summed_over_the_outputs(dy: Any, cache: LinearCache) -> Any:
    """dbias sums over axis 1: with as many pictures as outputs the shape fits by chance."""
    dx, dweight, _ = linear_backward(dy, cache)
    return dx, dweight, dy.sum(axis=1)


@op_bug("linear", PLAIN, "bias", sign="zero", params=PARAMS)
def bias_forgotten(dy: Any, cache: LinearCache) -> Any:
    """The bias was added to forward later on, and backward never heard of it."""
    dx, dweight, _ = linear_backward(dy, cache)
    return dx, dweight, None


@op_bug("linear", PLAIN, "weight", sign="missing sum", params=PARAMS)
def weight_from_whole_blocks_alone(dy: Any, cache: LinearCache) -> Any:
    """The pictures are taken in blocks, N // block of them, and the rest that makes no whole one is dropped."""
    dx, _, dbias = linear_backward(dy, cache)
    whole = len(dy) // BLOCK * BLOCK
    return dx, dy[:whole].T @ cache.x[:whole], dbias


@op_bug("linear", PLAIN, "x", sign="part", params=PARAMS)
def last_picture_without_a_gradient(dy: Any, cache: LinearCache) -> Any:
    """dx starts as zeros and is filled in whole blocks of pictures: the rest stays zero."""
    dx, dweight, dbias = linear_backward(dy, cache)
    dx[len(dy) // BLOCK * BLOCK :] = 0
    return dx, dweight, dbias


@op_bug("linear", PLAIN, "weight", sign="other", params=PARAMS)
def weight_from_averages(dy: Any, cache: LinearCache) -> Any:
    """The mean of the products was taken for the product of the means."""
    dx, _, dbias = linear_backward(dy, cache)
    return dx, np.outer(dy.sum(axis=0), cache.x.mean(axis=0)), dbias


@op_bug("linear", PLAIN, "weight", sign="extra term", params=PARAMS)
def weight_decay_in_backward(dy: Any, cache: LinearCache) -> Any:
    """Weight decay was added to the gradient here, though it's the optimiser that decays, or a loss of its own."""
    dx, dweight, dbias = linear_backward(dy, cache)
    return dx, dweight + 1e-4 * cache.weight, dbias


@op_bug("linear", PLAIN, "weight", "bias", sign="sign", params=PARAMS)
def descent_in_the_gradient(dy: Any, cache: LinearCache) -> Any:
    """The minus of gradient descent was put into the gradient, so that the optimiser's own minus climbs."""
    dx, dweight, dbias = linear_backward(dy, cache)
    return dx, -dweight, -dbias


@op_bug("linear", PLAIN, "weight", "bias", sign="shifted", params=PARAMS)
def column_of_ones_at_the_other_end(dy: Any, cache: LinearCache) -> Any:
    """The bias is a column of ones behind x, but its gradient was looked for in the first column."""
    x, _ = cache
    both = dy.T @ np.hstack([x, np.ones((len(x), 1), x.dtype)])
    return linear_backward(dy, cache)[0], both[:, 1:], both[:, 0]


@op_bug("linear", PLAIN, "weight", sign="upstream", params=PARAMS)
def weight_of_the_upstream_squared(dy: Any, cache: LinearCache) -> Any:
    """dy was multiplied in twice: the caller had done so, and here it was done again."""
    dx, _, dbias = linear_backward(dy, cache)
    return dx, (dy * dy).T @ cache.x, dbias


@op_bug("linear", PLAIN, "x", sign="upstream", params=PARAMS)
def upstream_averaged_over_the_batch(dy: Any, cache: LinearCache) -> Any:
    """dy was averaged over the batch before it went on, so that every picture gets the same gradient."""
    dx, dweight, dbias = linear_backward(dy, cache)
    return np.broadcast_to(dx.mean(axis=0), dx.shape), dweight, dbias


@op_bug("linear", PLAIN, "weight", sign="other", params=PARAMS)
def x_kept_in_single_precision(dy: Any, cache: LinearCache) -> Any:
    """np.float32 stands in the cache's code, whatever the precision of x."""
    return linear_backward(dy, cache._replace(x=cache.x.astype(np.float32).astype(dy.dtype)))


@layer_bug("linear", PLAIN, "x", sign="other")
def backward_weight_updated_first(self: Linear, dy: Any, cache: LinearCache) -> Any:
    """The weight takes its step inside backward, and dx goes through the new one."""
    dx, dweight, dbias = linear_backward(dy, cache)
    self.weight.grad += dweight
    self.bias.grad += dbias
    return dx - dy @ (0.1 * dweight)


@layer_bug("linear", PLAIN, sign="manners")
def backward_bias_gradient_overwritten(self: Linear, dy: Any, cache: LinearCache) -> Any:
    """self.bias.grad = dbias where += belongs: what another use of the layer had added is lost."""
    dx, dweight, dbias = linear_backward(dy, cache)
    self.weight.grad += dweight
    self.bias.grad = dbias
    return dx


@layer_bug("linear", PLAIN, sign="manners")
def forward_x_kept_in_one_buffer(self: Any, x: Any, *, train: bool) -> Any:
    """x is copied into a buffer of the layer's own, and the next forward of that size writes over it."""
    y, cache = Linear.forward(self, x, train=train)
    if getattr(self, "kept", x[:0]).shape != x.shape:
        self.kept = np.empty_like(x)
    self.kept[...] = x
    return y, cache._replace(x=self.kept)
