"""Wrong backward passes of a transposed convolution: what is turned, exchanged or counted otherwise than in the one it is named after."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array, Pair
from tinyresnet_kernels.im2col import windows

from ...layers import ConvTranspose2d, Layer
from ...layers.conv_transpose import ConvTransposeCache, conv_transpose2d_backward, conv_transpose2d_forward
from .bug import Rng, Setting, layer_bug, op_bug
from .parts import keep

PARAMS = ("weight", "bias")


def _setting(C: int, O: int, kernel: int, shape: tuple[int, ...], **settings: Any) -> Setting:
    def make(rng: Rng) -> Layer:
        return ConvTranspose2d(C, O, kernel, bias=True, rng=rng, dtype=np.float64, **settings)

    return Setting(make, shape)


PLAIN = _setting(3, 3, 3, (3, 3, 4, 5), pad=1)
STRIDED = _setting(3, 4, 4, (3, 3, 3, 4), stride=2, pad=1)
SQUARE = _setting(3, 3, 4, (2, 3, 3, 4), stride=2, pad=1)
UNPADDED = _setting(3, 2, 2, (3, 3, 4, 3), stride=2)


def _seen(dy: Array, cache: ConvTransposeCache, stride: Pair, before: Pair | None = None) -> Array:
    """dy under the kernel at each number of x, (N, O, KH, KW, H, W); `before`: another padding above and on the left than forward's."""
    (ph, pw), (bh, bw), (H, W) = cache.pad, before or cache.pad, cache.x.shape[2:]
    padded = np.pad(dy, ((0, 0), (0, 0), (bh, 2 * ph - bh), (bw, 2 * pw - bw)))
    return windows(padded, cache.weight.shape[2:], stride, (1, 1))[..., :H, :W]


def _input_gradient(weight: Array, seen: Array) -> Array:
    return np.einsum("coij,noijhw->nchw", weight, seen)  # type: ignore[no-any-return]


def _weight_gradient(x: Array, seen: Array) -> Array:
    return np.einsum("nchw,noijhw->coij", x, seen)  # type: ignore[no-any-return]


@op_bug("conv_transpose2d", PLAIN, "x", sign="flipped", params=PARAMS)
def input_with_kernel_turned(dy: Any, cache: ConvTransposeCache) -> Any:
    """Backward is the transposed convolution again, with C and O exchanged: it turns the kernel, and with stride 1 the size is right."""
    _, dweight, dbias = conv_transpose2d_backward(dy, cache)
    dx, _ = conv_transpose2d_forward(dy, cache.weight.swapaxes(0, 1), stride=1, pad=cache.pad)
    return dx, dweight, dbias


@op_bug("conv_transpose2d", SQUARE, "x", sign="transposed", params=PARAMS)
def input_with_weight_transposed(dy: Any, cache: ConvTransposeCache) -> Any:
    """The weight is (C, O) here and (O, C) in a convolution, and was exchanged for backward: as it is, it is what a convolution wants."""
    _, dweight, dbias = conv_transpose2d_backward(dy, cache)
    dx, _, _ = conv_transpose2d_backward(dy, cache._replace(weight=cache.weight.swapaxes(0, 1)))
    return dx, dweight, dbias


@op_bug("conv_transpose2d", STRIDED, "x", sign="other", params=PARAMS)
def input_without_stride(dy: Any, cache: ConvTransposeCache) -> Any:
    """dy is convolved in steps of one pixel and cut to the size of x: the stride is known to the forward pass alone."""
    _, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return _input_gradient(cache.weight, _seen(dy, cache, (1, 1))), dweight, dbias


@op_bug("conv_transpose2d", PLAIN, "x", sign="shifted", params=PARAMS)
def input_with_cut_taken_for_padding_behind(dy: Any, cache: ConvTransposeCache) -> Any:
    """Forward cuts off pad on both sides, and backward puts both strips of zeros back below and on the right."""
    _, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return _input_gradient(cache.weight, _seen(dy, cache, cache.stride, (0, 0))), dweight, dbias


@op_bug("conv_transpose2d", PLAIN, "x", sign="border", params=PARAMS)
def input_from_whole_windows_alone(dy: Any, cache: ConvTransposeCache) -> Any:
    """What forward cut off is not put back as zeros: at the border no whole window is left, and x gets nothing there."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    inner = np.zeros_like(dx)
    inner[:, :, 1:-1, 1:-1] = dx[:, :, 1:-1, 1:-1]
    return inner, dweight, dbias


@op_bug("conv_transpose2d", UNPADDED, "x", sign="missing sum", params=PARAMS)
def input_from_the_last_output_channel(dy: Any, cache: ConvTransposeCache) -> Any:
    """A loop over the output channels says dx = where it should say dx +=: each of them got its share of x."""
    _, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return _input_gradient(cache.weight[:, -1:], _seen(dy[:, -1:], cache, cache.stride)), dweight, dbias


@op_bug("conv_transpose2d", STRIDED, "x", sign="other", params=PARAMS)
def input_from_the_pixel_in_its_place(dy: Any, cache: ConvTransposeCache) -> Any:
    """dy[::stride, ::stride] times the sum of the kernel, as if all of the kernel lay on one pixel."""
    _, dweight, dbias = conv_transpose2d_backward(dy, cache)
    kept = dy[:, :, :: cache.stride[0], :: cache.stride[1]]
    return np.einsum("co,nohw->nchw", cache.weight.sum(axis=(2, 3)), kept), dweight, dbias


@op_bug("conv_transpose2d", STRIDED, "x", sign="other", params=PARAMS)
def input_divided_by_the_overlap(dy: Any, cache: ConvTransposeCache) -> Any:
    """y was divided by the number of kernels that overlap, against a checkerboard. It's gone from forward, and is still in backward."""
    _, dweight, dbias = conv_transpose2d_backward(dy, cache)
    ones = cache._replace(x=np.ones_like(cache.x[:1, :1]), weight=np.ones_like(cache.weight[:1, :1]), bias=None)
    counts, _ = conv_transpose2d_forward(*ones[:2], stride=cache.stride, pad=cache.pad)
    dx, _, _ = conv_transpose2d_backward(dy / counts, cache)
    return dx, dweight, dbias


@op_bug("conv_transpose2d", UNPADDED, "x", sign="scale", params=PARAMS)
def input_averaged_over_its_kernel(dy: Any, cache: ConvTransposeCache) -> Any:
    """Divided by KH*KW: each number of x was spread over so many pixels, but not shared out among them."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return dx / 4, dweight, dbias


@op_bug("conv_transpose2d", STRIDED, "x", sign="part", params=PARAMS)
def input_without_its_last_row(dy: Any, cache: ConvTransposeCache) -> Any:
    """The loop runs over range(OH // stride - 1), so that the window stays inside dy: x has one row more."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    dx[:, :, -1] = 0
    return dx, dweight, dbias


@op_bug("conv_transpose2d", UNPADDED, "x", sign="upstream", params=PARAMS)
def input_from_positive_upstream(dy: Any, cache: ConvTransposeCache) -> Any:
    """The rule of a deconvolution network, which draws pictures, was taken along with its name: a negative dy does not pass."""
    _, dweight, dbias = conv_transpose2d_backward(dy, cache)
    dx, _, _ = conv_transpose2d_backward(np.maximum(dy, 0), cache)
    return dx, dweight, dbias


@op_bug("conv_transpose2d", PLAIN, "weight", sign="permuted", params=PARAMS)
def weight_as_of_a_convolution(dy: Any, cache: ConvTransposeCache) -> Any:
    """x and dy are in the places they have in a convolution: its weight's gradient is turned, and (O, C). With C = O nobody notices."""
    dx, _, dbias = conv_transpose2d_backward(dy, cache)
    return dx, _weight_gradient(dy, _seen(cache.x, cache, cache.stride)), dbias


@op_bug("conv_transpose2d", SQUARE, "weight", sign="transposed", params=PARAMS)
def weight_as_output_by_input(dy: Any, cache: ConvTransposeCache) -> Any:
    """The gradient came out as (O, C, KH, KW), as a convolution keeps its weight: here the inputs come first."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return dx, dweight.swapaxes(0, 1), dbias


@op_bug("conv_transpose2d", STRIDED, "weight", sign="flipped", params=PARAMS)
def weight_turned_around(dy: Any, cache: ConvTransposeCache) -> Any:
    """Forward was written as a convolution of x with zeros between, by the turned kernel: the gradient was not turned back."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return dx, dweight[:, :, ::-1, ::-1], dbias


@op_bug("conv_transpose2d", STRIDED, "weight", sign="transposed", params=PARAMS)
def weight_with_rows_and_columns_exchanged(dy: Any, cache: ConvTransposeCache) -> Any:
    """col2im walks over the kernel row by row in forward, and im2col column by column in backward."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return dx, dweight.swapaxes(2, 3), dbias


@op_bug("conv_transpose2d", STRIDED, "weight", sign="other", params=PARAMS)
def weight_without_stride(dy: Any, cache: ConvTransposeCache) -> Any:
    """Neighbours of x meet neighbours of dy: in forward they were laid stride pixels apart."""
    dx, _, dbias = conv_transpose2d_backward(dy, cache)
    return dx, _weight_gradient(cache.x, _seen(dy, cache, (1, 1))), dbias


@op_bug("conv_transpose2d", SQUARE, "weight", sign="zero", params=PARAMS)
def weight_kept_bilinear(dy: Any, cache: ConvTransposeCache) -> Any:
    """The layer began as bilinear interpolation with a fixed weight; it was to learn later on, and still has no gradient."""
    dx, _, dbias = conv_transpose2d_backward(dy, cache)
    return dx, None, dbias


@op_bug("conv_transpose2d", SQUARE, "weight", sign="mask", params=PARAMS)
def weight_of_equal_channels_alone(dy: Any, cache: ConvTransposeCache) -> Any:
    """Each channel was interpolated on its own, and backward leaves out all pairs of different ones: their weight is 0 only at first."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return dx, dweight * np.eye(len(dweight))[:, :, None, None], dbias


@op_bug("conv_transpose2d", PLAIN, "weight", sign="missing sum", params=PARAMS)
def weight_from_inner_inputs_alone(dy: Any, cache: ConvTransposeCache) -> Any:
    """Inputs whose kernel hangs over the edge of y are left out, where only what hangs over should be."""
    inner = np.zeros_like(cache.x)
    inner[:, :, 1:-1, 1:-1] = cache.x[:, :, 1:-1, 1:-1]
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache._replace(x=inner))
    return dx, dweight, dbias


@op_bug("conv_transpose2d", STRIDED, "weight", sign="mean for sum", params=PARAMS)
def weight_averaged_over_the_batch(dy: Any, cache: ConvTransposeCache) -> Any:
    """Divided by N twice: once in the loss and once here."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return dx, dweight / len(dy), dbias


@op_bug("conv_transpose2d", STRIDED, "bias", sign="missing sum", params=PARAMS)
def bias_from_as_many_pixels_as_x_has(dy: Any, cache: ConvTransposeCache) -> Any:
    """dy[:, :, :H, :W] is summed, H and W being those of x: the bias is added to every pixel of the larger y."""
    dx, dweight, _ = conv_transpose2d_backward(dy, cache)
    H, W = cache.x.shape[2:]
    return dx, dweight, dy[:, :, :H, :W].sum(axis=(0, 2, 3))


@op_bug("conv_transpose2d", UNPADDED, "bias", sign="scale", params=PARAMS)
def bias_counted_with_every_kernel(dy: Any, cache: ConvTransposeCache) -> Any:
    """The bias's gradient is summed over the windows that backward reads, KH*KW numbers for each of x, and then once more by itself."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    return dx, dweight, np.asarray(dbias) + _seen(dy, cache, cache.stride).sum(axis=(0, 2, 3, 4, 5))


@op_bug("conv_transpose2d", UNPADDED, "bias", sign="zero", params=PARAMS)
def bias_forgotten(dy: Any, cache: ConvTransposeCache) -> Any:
    """Written after an interpolation, which has no bias: its gradient was never added."""
    dx, dweight, _ = conv_transpose2d_backward(dy, cache)
    return dx, dweight, None


@layer_bug("conv_transpose2d", PLAIN, sign="manners")
def backward_weight_gradient_overwritten(self: Layer, dy: Any, cache: ConvTransposeCache) -> Any:
    """self.weight.grad = dweight where += belongs: the layer stands in several levels of a pyramid, and the last one's gradient is left."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
    self.params()["weight"].grad = dweight
    self.params()["bias"].grad += dbias
    return dx


@layer_bug("conv_transpose2d", STRIDED, sign="stale")
def forward_picture_kept_in_the_layer(self: Any, x: Any, *, train: bool) -> Any:
    """x is kept in a buffer of the layer, which is made once: a second forward pass overwrites the first one's."""
    y, cache = ConvTranspose2d.forward(self, x, train=train)
    return y, cache._replace(x=keep(self, x))
