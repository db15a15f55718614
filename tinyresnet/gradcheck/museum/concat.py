"""Wrong backward passes of concatenation, which must cut where the forward pass joined."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ...layers import Concat, Layer
from ...layers.concat import ConcatCache, concat_backward
from .bug import Setting, layer_bug, op_bug
from .parts import keep


def _setting(*channels: int) -> Setting:
    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, ...]:
        return tuple(rng.standard_normal((shape[0], C, *shape[2:])) for C in channels)

    return Setting(lambda rng: Concat(), (2, sum(channels), 4, 3), draw=draw)


TWO = _setting(2, 2)
OTHER = _setting(3, 2)  # the narrow one behind, as of U-Net's skip
THREE = _setting(2, 3, 1)
FEATURES = _setting(4, 2)


@op_bug("concat", TWO, "x0", "x1", sign="shifted")
def order_exchanged(dy: Any, cache: ConcatCache) -> Any:
    """The forward pass joins (upsampled, skip), the backward pass unpacks (skip, upsampled): with as many channels nobody notices."""
    dx0, dx1 = concat_backward(dy, cache)
    return dx1, dx0


@op_bug("concat", THREE, "x2", sign="shifted")
def offset_not_summed(dy: Any, cache: ConcatCache) -> Any:
    """Each cut begins where the one before it is long: start = C1 for start = C0 + C1; right for two arrays, wrong from the third on."""
    dx0, dx1, _ = concat_backward(dy, cache)
    start, channels = cache.xs[1].shape[1], cache.xs[2].shape[1]
    return dx0, dx1, dy[:, start : start + channels].copy()


@op_bug("concat", OTHER, "x1", sign="shifted")
def cut_by_its_own_width(dy: Any, cache: ConcatCache) -> Any:
    """dy[:, i * Ci : (i + 1) * Ci]: right as long as all arrays have as many channels."""
    dx0, _ = concat_backward(dy, cache)
    C = cache.xs[1].shape[1]
    return dx0, dy[:, C : 2 * C].copy()


@op_bug("concat", TWO, "x1", sign="shifted")
def first_part_for_both(dy: Any, cache: ConcatCache) -> Any:
    """dy[:, :C] for both: the start of the slice was never written."""
    dx0, _ = concat_backward(dy, cache)
    return dx0, dx0.copy()


@op_bug("concat", TWO, "x0", "x1", sign="extra term")
def both_parts_summed(dy: Any, cache: ConcatCache) -> Any:
    """Copied from a fork, which sums what comes back by two ways: here each part belongs to one array."""
    dx0, dx1 = concat_backward(dy, cache)
    return dx0 + dx1, dx0 + dx1


@op_bug("concat", OTHER, "x0", "x1", sign="scale")
def shared_out(dy: Any, cache: ConcatCache) -> Any:
    """Divided by the number of arrays, as if they shared the gradient: each number of y is the number of one array."""
    return tuple(dx / len(cache.xs) for dx in concat_backward(dy, cache))


@op_bug("concat", OTHER, "x1", sign="zero")
def skip_detached(dy: Any, cache: ConcatCache) -> Any:
    """The skip was taken for a copy of finished features, and no gradient goes back into the encoder by it."""
    dx0, dx1 = concat_backward(dy, cache)
    return dx0, np.zeros_like(dx1)


@op_bug("concat", TWO, "x0", "x1", sign="permuted")
def channels_in_turn(dy: Any, cache: ConcatCache) -> Any:
    """dy[:, ::2] and dy[:, 1::2]: channels that alternate, as after a shuffle, where they stand one block behind the other."""
    return dy[:, ::2].copy(), dy[:, 1::2].copy()


@op_bug("concat", TWO, "x0", "x1", sign="permuted")
def batch_for_channels(dy: Any, cache: ConcatCache) -> Any:
    """reshape(2, N, C, H, W): so lie the numbers after a concatenation of batches; of channels it is (N, 2, C, H, W)."""
    N, C, H, W = cache.xs[0].shape
    dx0, dx1 = dy.reshape(2, N, C, H, W)
    return dx0.copy(), dx1.copy()


@op_bug("concat", OTHER, "x1", sign="flipped")
def channels_from_behind(dy: Any, cache: ConcatCache) -> Any:
    """The second array's channels are taken off the end one by one, as from a stack, and so come in the other order."""
    dx0, dx1 = concat_backward(dy, cache)
    return dx0, dx1[:, ::-1].copy()


@op_bug("concat", FEATURES, "x0", sign="part")
def last_channel_left_out(dy: Any, cache: ConcatCache) -> Any:
    """The slice ends at C0 - 1, as if its end were counted in."""
    dx0, dx1 = concat_backward(dy, cache)
    dx0 = dx0.copy()
    dx0[:, -1] = 0
    return dx0, dx1


@op_bug("concat", OTHER, "x1", sign="border")
def skip_cropped(dy: Any, cache: ConcatCache) -> Any:
    """The skip was cropped to fit, as in the first U-Net, whose convolutions have no padding; here nothing is cropped."""
    dx0, dx1 = concat_backward(dy, cache)
    cropped = np.zeros_like(dx1)
    cropped[:, :, 1:-1, 1:-1] = dx1[:, :, 1:-1, 1:-1]
    return dx0, cropped


@op_bug("concat", OTHER, "x0", sign="sign")
def first_with_a_minus(dy: Any, cache: ConcatCache) -> Any:
    """Left from a comparison of the two branches, which subtracted one from the other."""
    dx0, dx1 = concat_backward(dy, cache)
    return -dx0, dx1


@op_bug("concat", TWO, "x0", "x1", sign="upstream")
def ones_for_the_upstream(dy: Any, cache: ConcatCache) -> Any:
    """The local derivative 1 was returned as if it were the gradient: it was not multiplied by dy."""
    return tuple(np.ones_like(dx) for dx in concat_backward(dy, cache))


@layer_bug("concat", OTHER, sign="stale")
def backward_summed_in_an_attribute(self: Layer, dy: Any, cache: ConcatCache) -> Any:
    """The parts are added up in self.dxs, which nobody sets back: every backward pass adds those before it."""
    kept = vars(self)
    kept["dxs"] = [a + b for a, b in zip(kept.get("dxs", (0, 0)), concat_backward(dy, cache), strict=True)]
    return tuple(kept["dxs"])


@layer_bug("concat", OTHER, sign="manners")
def backward_scaled_in_place(self: Layer, dy: Any, cache: ConcatCache) -> Any:
    """The parts are views of dy, and a clip writes to them: whoever else holds dy finds it clipped."""
    C = cache.xs[0].shape[1]
    dx = concat_backward(dy.copy(), cache)
    np.clip(dy[:, :C], -0.5, 0.5, out=dy[:, :C])
    return dx


@layer_bug("concat", OTHER, sign="manners")
def forward_into_shared_memory(self: Any, x: Any, *, train: bool) -> Any:
    """All outputs share one buffer, as memory-saving DenseNets do, but nobody computes them again: the first pass's are gone."""
    y, cache = Concat.forward(self, x, train=train)
    return keep(self, y), cache
