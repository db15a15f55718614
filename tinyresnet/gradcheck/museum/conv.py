"""Wrong backward passes of a convolution: the gradients of its weight and bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array, Pair
from tinyresnet_kernels.im2col import windows

from ...layers import Conv2d, Layer
from ...layers.conv import ConvCache, conv2d_backward, weight_gradient
from .bug import Rng, Setting, layer_bug, op_bug
from .parts import keep

PARAMS = ("weight", "bias")


def _setting(C: int, O: int, shape: tuple[int, ...], *, train: bool = True, **settings: Any) -> Setting:
    def make(rng: Rng) -> Layer:
        return Conv2d(C, O, 3, bias=True, rng=rng, dtype=np.float64, **settings)

    return Setting(make, shape, train=train)


PLAIN = _setting(3, 3, (3, 3, 6, 5), pad=1)
STRIDED = _setting(3, 4, (3, 3, 7, 6), pad=1, stride=2)
DILATED = _setting(2, 3, (2, 2, 7, 6), pad=1, dilation=2)
GROUPED = _setting(4, 6, (2, 4, 5, 6), pad=1, groups=2)
UNPADDED = _setting(2, 3, (2, 2, 5, 6))
EVALUATION = _setting(2, 3, (2, 2, 5, 6), pad=1, train=False)


def _weight_gradient(
    dy: Array, cache: ConvCache, *, stride: Pair | None = None, dilation: Pair | None = None, before: Pair | None = None
) -> Array:
    """dweight with another stride, dilation or padding above and on the left than the forward pass had."""
    (ph, pw), (bh, bw), (OH, OW) = cache.pad, before or cache.pad, dy.shape[2:]
    x = np.pad(cache.x, ((0, 0), (0, 0), (bh, 2 * ph - bh), (bw, 2 * pw - bw)))
    view = windows(x, cache.weight.shape[2:], stride or cache.stride, dilation or cache.dilation)
    return np.einsum("nohw,ncijhw->ocij", dy, view[..., :OH, :OW])  # type: ignore[no-any-return]


@op_bug("conv2d", PLAIN, "weight", sign="flipped", params=PARAMS)
def weight_turned_around(dy: Any, cache: ConvCache) -> Any:
    """The window was turned by half a turn, as a convolution in signal processing is: this one is a correlation."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    return dx, dweight[:, :, ::-1, ::-1], dbias


@op_bug("conv2d", PLAIN, "weight", sign="transposed", params=PARAMS)
def weight_with_in_and_out_exchanged(dy: Any, cache: ConvCache) -> Any:
    """The weight's gradient came out as (C, O, KH, KW), as in another framework: with C = O nobody notices."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    return dx, dweight.swapaxes(0, 1), dbias


@op_bug("conv2d", PLAIN, "weight", sign="transposed", params=PARAMS)
def weight_with_rows_and_columns_exchanged(dy: Any, cache: ConvCache) -> Any:
    """im2col of the backward pass walks the window column by column, that of the forward pass row by row."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    return dx, dweight.swapaxes(2, 3), dbias


@op_bug("conv2d", STRIDED, "weight", sign="permuted", params=PARAMS)
def weight_from_upstream_reshaped(dy: Any, cache: ConvCache) -> Any:
    """dy.reshape(O, -1) where dy.transpose(1, 0, 2, 3).reshape(O, -1) belongs: pictures and channels are mixed."""
    dx, _, dbias = conv2d_backward(dy, cache)
    N, O, OH, OW = dy.shape
    mixed = dy.reshape(O, N, OH, OW).swapaxes(0, 1)
    return dx, _weight_gradient(mixed, cache), dbias


@op_bug("conv2d", STRIDED, "weight", sign="other", params=PARAMS)
def weight_without_stride(dy: Any, cache: ConvCache) -> Any:
    """The weight's gradient walks over the picture in steps of one pixel: the stride is known to the forward pass alone."""
    dx, _, dbias = conv2d_backward(dy, cache)
    return dx, _weight_gradient(dy, cache, stride=(1, 1)), dbias


@op_bug("conv2d", DILATED, "weight", sign="other", params=PARAMS)
def weight_without_dilation(dy: Any, cache: ConvCache) -> Any:
    """The weight's gradient takes the pixels of a window from side by side: the dilation was added to the forward pass later."""
    dx, _, dbias = conv2d_backward(dy, cache)
    return dx, _weight_gradient(dy, cache, dilation=(1, 1)), dbias


@op_bug("conv2d", PLAIN, "weight", sign="shifted", params=PARAMS)
def weight_padded_on_one_side(dy: Any, cache: ConvCache) -> Any:
    """np.pad got (0, 2 * pad) for (pad, pad): the size is right, and every window lies a pixel too low and too far right."""
    dx, _, dbias = conv2d_backward(dy, cache)
    return dx, _weight_gradient(dy, cache, before=(0, 0)), dbias


@op_bug("conv2d", PLAIN, "weight", sign="missing sum", params=PARAMS)
def weight_from_windows_without_padding(dy: Any, cache: ConvCache) -> Any:
    """The backward pass slides over the picture before it was padded: the windows at the border have no part in it."""
    dx, _, dbias = conv2d_backward(dy, cache)
    inner = np.zeros_like(dy)
    inner[:, :, 1:-1, 1:-1] = dy[:, :, 1:-1, 1:-1]
    return dx, _weight_gradient(inner, cache), dbias


@op_bug("conv2d", PLAIN, "weight", sign="missing sum", params=PARAMS)
def weight_from_the_last_picture(dy: Any, cache: ConvCache) -> Any:
    """A loop over the pictures says dweight = where it should say dweight +=: the last one's is left."""
    dx, _, dbias = conv2d_backward(dy, cache)
    last = weight_gradient(dy[-1:], cache.weight, cache.x[-1:], cache.stride, cache.pad, cache.dilation, cache.groups)
    return dx, last, dbias


@op_bug("conv2d", UNPADDED, "weight", sign="missing sum", params=PARAMS)
def weight_without_the_odd_row(dy: Any, cache: ConvCache) -> Any:
    """A loop that was unrolled by two rows leaves the last one out when their number is odd."""
    dx, _, dbias = conv2d_backward(dy, cache)
    even = dy.copy()
    even[:, :, dy.shape[2] // 2 * 2 :] = 0
    return dx, _weight_gradient(even, cache), dbias


@op_bug("conv2d", STRIDED, "weight", sign="mean for sum", params=PARAMS)
def weight_averaged_over_the_batch(dy: Any, cache: ConvCache) -> Any:
    """Divided by N twice: once in the loss and once here."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    return dx, dweight / len(dy), dbias


@op_bug("conv2d", GROUPED, "weight", sign="permuted", params=PARAMS)
def weight_with_groups_interleaved(dy: Any, cache: ConvCache) -> Any:
    """Output channel o was counted to group o % G where it is o // (O / G)."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    grouped = dweight.reshape(cache.groups, -1, *dweight.shape[1:])
    return dx, grouped.swapaxes(0, 1).reshape(dweight.shape), dbias


@op_bug("conv2d", GROUPED, "weight", sign="part", params=PARAMS)
def weight_of_the_first_group(dy: Any, cache: ConvCache) -> Any:
    """The return stands inside the loop over the groups."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    dweight[len(dweight) // cache.groups :] = 0
    return dx, dweight, dbias


@op_bug("conv2d", PLAIN, "weight", sign="extra term", params=PARAMS)
def weight_decayed_here_too(dy: Any, cache: ConvCache) -> Any:
    """The weight decay is added to the gradient in the layer, and once more by the optimiser."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    return dx, dweight + 1e-4 * cache.weight, dbias


@op_bug("conv2d", UNPADDED, "weight", sign="channel scale", params=PARAMS)
def weight_of_unit_length(dy: Any, cache: ConvCache) -> Any:
    """Each filter's gradient was brought to length 1 when the training blew up, and this stayed in."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    return dx, dweight / np.linalg.norm(dweight.reshape(len(dweight), -1), axis=1)[:, None, None, None], dbias


@op_bug("conv2d", UNPADDED, "weight", sign="upstream", params=PARAMS)
def weight_without_upstream(dy: Any, cache: ConvCache) -> Any:
    """dy/dweight is summed over the windows without the gradient that comes from above: right for a loss that is the sum of y."""
    dx, _, dbias = conv2d_backward(dy, cache)
    return dx, _weight_gradient(np.ones_like(dy), cache), dbias


@op_bug("conv2d", STRIDED, "weight", sign="other", params=PARAMS)
def weight_in_single_precision(dy: Any, cache: ConvCache) -> Any:
    """The buffer of the columns is made without a dtype like x's, in float32: half of the digits are lost on the way."""
    dx, _, dbias = conv2d_backward(dy, cache)
    single = cache._replace(x=cache.x.astype(np.float32))
    return dx, _weight_gradient(dy.astype(np.float32), single), dbias


@layer_bug("conv2d", EVALUATION, "weight", sign="zero")
def forward_picture_forgotten_in_evaluation(self: Layer, x: Any, *, train: bool) -> Any:
    """In evaluation mode the buffer for x is made but never filled, to save time: the weight's gradient is zero there."""
    y, cache = Conv2d.forward(self, x, train=train)  # type: ignore[arg-type]
    return y, cache if train else cache._replace(x=np.zeros_like(x))


@layer_bug("conv2d", STRIDED, "weight", sign="sign")
def backward_weight_gradient_subtracted(self: Layer, dy: Any, cache: ConvCache) -> Any:
    """The gradient is subtracted here, for one goes downhill: the optimiser subtracts it again."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    self.params()["weight"].grad -= dweight
    self.params()["bias"].grad += dbias
    return dx


@layer_bug("conv2d", PLAIN, sign="manners")
def backward_weight_gradient_overwritten(self: Layer, dy: Any, cache: ConvCache) -> Any:
    """self.weight.grad = dweight where += belongs: a layer that is used twice loses the first use's gradient."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    self.params()["weight"].grad = dweight
    self.params()["bias"].grad += dbias
    return dx


@layer_bug("conv2d", STRIDED, sign="stale")
def forward_picture_kept_in_the_layer(self: Any, x: Any, *, train: bool) -> Any:
    """The picture is kept in a buffer of the layer, which is made once: a second forward pass overwrites the first one's."""
    y, cache = Conv2d.forward(self, x, train=train)
    return y, cache._replace(x=keep(self, x))
