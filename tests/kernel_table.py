"""Every function that a kernel replaces: how it is called by chance, and how exact it must be. A new kernel needs an entry here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import kernel_bounds as bounds
from kernel_calls import KINDS, Call, Draw
from kernel_shapes import any_shape, convolution, picture, pooling
from tinyresnet.layers import pool
from tinyresnet_kernels import form


@dataclass(frozen=True)
class Kernel:
    """How a function is called, how exact it is, and with what kinds of numbers; the rest where it differs from most functions."""

    call: Callable[[Draw], Call]
    bound: bounds.Bound = bounds.sum_of_products()  # noqa: RUF009 (a function)
    kinds: tuple[str, ...] = KINDS
    memory: str = "as readable"  # the result's layout; or "channels-last" whatever came, or "any"
    in_place: tuple[int, ...] = ()  # the arguments that it changes, which are its result


def correlate(draw: Draw) -> Call:
    shape = convolution(draw)
    return Call((draw.array(*shape.x), draw.array(*shape.weight), *shape.settings))


def input_gradient(draw: Draw) -> Call:
    """A weight that is NaN or infinite makes NaN with the zeros of the border, and so more of them than in the readable form."""
    shape = convolution(draw)
    dy, weight = draw.array(*shape.y), draw.array(*shape.weight, special=False)
    return Call((dy, weight, draw.form_only(*shape.x), *shape.settings))


def weight_gradient(draw: Draw) -> Call:
    shape = convolution(draw)
    return Call((draw.array(*shape.y), draw.form_only(*shape.weight), draw.array(*shape.x), *shape.settings))


def one_array(draw: Draw) -> Call:
    return Call((draw.array(*any_shape(draw)),))


def one_picture(draw: Draw) -> Call:
    return Call((draw.array(*picture(draw, empty=False)),))


def two_arrays(draw: Draw) -> Call:
    shape = any_shape(draw)
    return Call((draw.array(*shape), draw.array(*shape)))


def gate(draw: Draw) -> Call:
    shape = any_shape(draw)
    return Call((draw.array(*shape), draw.laid_out(draw.rng.random(shape) < 0.5)))


def pictures_and_vectors(pictures: int, vectors: int) -> Callable[[Draw], Call]:
    """So many arrays (N, C, H, W), then so many (C,)."""

    def call(draw: Draw) -> Call:
        shape = picture(draw)
        arrays = [draw.array(*shape) for _ in range(pictures)]
        return Call((*arrays, *(draw.array(shape[1], special=False) for _ in range(vectors))))

    return call


def settle(draw: Draw) -> Call:
    draw.layout = "channels-last"  # of units, which pass nothing else on
    shape = picture(draw, empty=False)
    x, vectors = draw.array(*shape), [draw.array(shape[1], special=False) for _ in range(2)]
    shortcut = draw.array(*shape) if draw.one_of(True, False) else None
    return Call((x, *vectors, shortcut) if draw.rng.random() < 0.9 else (x, None, None, None))


def close(draw: Draw) -> Call:
    draw.layout = "channels-last"
    shape = picture(draw, empty=False)
    dz, x = draw.array(*shape), draw.array(*shape)
    return Call((dz, draw.simple(*shape, special=True), x, draw.array(shape[1], special=False)))


def conv_unit_forward(draw: Draw) -> Call:
    draw.layout = "channels-last"
    shape = convolution(draw, plain=True)
    before: tuple[object, ...] = (draw.array(*shape.x), None, None, None)
    if draw.rng.random() < 0.8:
        vectors = [draw.array(shape.x[1], special=False) for _ in range(2)]
        before = (before[0], *vectors, draw.array(*shape.x) if draw.one_of(True, False) else None)
    stride, pad, _, _ = shape.settings
    weight = draw.array(*shape.weight, special=False)
    return Call((*before, weight, stride, pad, draw.one_of(True, False), draw.one_of(True, True, False)))


def conv_unit_backward(draw: Draw) -> Call:
    """Numbers are simple, so that a rounding does not decide whether a ReLU is open. Where z was kept, it alone decides."""
    draw.layout = "channels-last"
    shape = convolution(draw, plain=True)
    (_, C, _, _), O = shape.x, shape.y[1]
    stride, pad, _, _ = shape.settings
    g, y, k = draw.array(*shape.y), draw.array(*shape.y), draw.array(3, O, special=False)
    x, weight = draw.simple(*shape.x, special=True), draw.array(*shape.weight, special=False)
    scale, shift, mean, z, extra = (None,) * 5
    if draw.rng.random() < 0.8:
        scale, shift, mean = draw.simple(C), draw.simple(C), draw.simple(C)
        z = draw.simple(*shape.x) if draw.one_of(True, False) else None
    if draw.one_of(True, False):
        extra = draw.array(*shape.x)
    return Call((g, y, k, x, scale, shift, mean, z, weight, extra, stride, pad, draw.one_of(True, True, True, False)))


def window_maxima(draw: Draw) -> Call:
    """Half of the time with many ties."""
    shape = pooling(draw)
    return Call((draw.one_of(draw.array, draw.simple)(*shape.x, special=True), *shape.settings))


def window_maxima_gradient(draw: Draw) -> Call:
    shape = pooling(draw)
    x = draw.simple(*shape.x)
    _, winner = pool.window_maxima.reference(x, *shape.settings)
    return Call((draw.array(*shape.y), winner, form(x), *shape.settings))


def window_means(draw: Draw) -> Call:
    shape = pooling(draw)
    return Call((draw.array(*shape.x), *shape.settings))


def window_means_gradient(draw: Draw) -> Call:
    shape = pooling(draw)
    return Call((draw.array(*shape.y), form(draw.form_only(*shape.x)), *shape.settings))


def im2col(draw: Draw) -> Call:
    shape = convolution(draw)
    stride, pad, dilation, _ = shape.settings
    return Call((draw.array(*shape.x), shape.weight[2:], stride, pad, dilation))


def col2im(draw: Draw) -> Call:
    shape = convolution(draw)
    (N, C, _, _), (_, _, KH, KW), (_, _, OH, OW) = shape.x, shape.weight, shape.y
    stride, pad, dilation, _ = shape.settings
    return Call((draw.array(N, C * KH * KW, OH * OW), shape.x, (KH, KW), stride, pad, dilation))


def cross_entropy_rows(draw: Draw) -> Call:
    """Targets are distributions, classes, and rows of zeros that do not count."""
    shape = N, K = draw.one_of(0, 1, 2, 3, 17, 100), draw.one_of(1, 2, 3, 10, 100)
    target = draw.one_of(draw.rng.dirichlet(np.ones(K), N), np.eye(K)[draw.rng.integers(0, K, N)]).astype(draw.dtype)
    target[draw.rng.random(N) < 0.2] = 0
    return Call((draw.array(*shape), target))


def cross_entropy_gradient_rows(draw: Draw) -> Call:
    p, target = cross_entropy_rows(draw).args
    return Call((p, target, np.array(draw.rng.standard_normal(), draw.dtype)))


def sgd_update(draw: Draw) -> Call:
    shape = any_shape(draw)
    settings = 0.1, draw.one_of(0.0, 1e-2), draw.one_of(0.0, 0.9), draw.one_of(True, False)
    return Call((*(draw.array(*shape) for _ in range(3)), *settings))


def adamw_update(draw: Draw) -> Call:
    shape = any_shape(draw)
    data, grad, m, v = (draw.array(*shape) for _ in range(4))
    return Call((data, grad, m, np.abs(v), 0.1, draw.one_of(0.0, 1e-2), 0.9, 0.99, 1e-8, draw.one_of(1, 2, 1000)))


NO_SQUARES = ("plain", "tiny", "nan", "infinite")  # for functions whose squares would overflow
SIMPLE = ("plain", "nan", "infinite")

KERNELS: dict[str, Kernel] = {
    "correlate": Kernel(correlate),
    "input_gradient": Kernel(input_gradient),
    "weight_gradient": Kernel(weight_gradient),
    "moments": Kernel(one_picture, bounds.moments, NO_SQUARES),
    "scale_and_shift": Kernel(pictures_and_vectors(1, 3), bounds.sum_of_products(negative=(1,), more=1)),
    "gradient_sums": Kernel(pictures_and_vectors(2, 1), bounds.sum_of_products(negative=(2,), more=2)),
    "normalized_gradient": Kernel(pictures_and_vectors(2, 4), bounds.sum_of_products(negative=(2, 4, 5), more=2)),
    "rectify": Kernel(one_array, bounds.exact),
    "gate": Kernel(gate, bounds.exact),
    "total": Kernel(two_arrays),
    "settle": Kernel(settle, bounds.sum_of_products(more=1), memory="channels-last"),
    "close": Kernel(close, bounds.sum_of_products(negative=(3,), more=2), memory="channels-last"),
    "conv_unit_forward": Kernel(conv_unit_forward, bounds.conv_unit_forward, NO_SQUARES, memory="channels-last"),
    "conv_unit_backward": Kernel(conv_unit_backward, bounds.conv_unit_backward, SIMPLE, memory="channels-last"),
    "window_maxima": Kernel(window_maxima, bounds.exact),
    "window_maxima_gradient": Kernel(window_maxima_gradient),
    "window_means": Kernel(window_means, bounds.averages(lambda call: math.prod(call.args[1]))),
    "window_means_gradient": Kernel(window_means_gradient, bounds.averages(lambda call: math.prod(call.args[2]))),
    "picture_means": Kernel(one_picture, bounds.averages(lambda call: math.prod(call.args[0].shape[2:]))),
    "preferred_memory": Kernel(one_picture, bounds.exact, memory="channels-last"),
    "im2col": Kernel(im2col, bounds.exact, memory="any"),
    "col2im": Kernel(col2im, memory="any"),
    "cross_entropy_rows": Kernel(cross_entropy_rows, bounds.cross_entropy_rows, memory="any"),
    "cross_entropy_gradient_rows": Kernel(
        cross_entropy_gradient_rows, bounds.sum_of_products(negative=(1,)), memory="any"
    ),
    "sgd_update": Kernel(sgd_update, bounds.sum_of_products(negative=(3,), more=8), in_place=(0, 2)),
    "adamw_update": Kernel(adamw_update, bounds.adamw_update, NO_SQUARES, in_place=(0, 2, 3)),
}
