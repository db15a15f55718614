"""Convolution as its definition reads: six loops forward, the same six loops back. For reading and for tests; very slow.

Every product `y += weight * x` of the forward pass is met again in the backward pass: once seen from the weight, once seen from
the pixel. There is no more to it than that.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyresnet_kernels import Array, Pair, array_module, pair

from .conv import ConvCache, conv2d_shape


def conv2d_forward_loops(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Pair = 1,
    pad: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> tuple[Array, ConvCache]:
    """As `conv2d_forward`: y (N, O, OH, OW) of x (N, C, H, W) and weight (O, C/groups, KH, KW)."""
    cache = ConvCache(x, weight, bias, pair(stride), pair(pad), pair(dilation), groups)
    y = array_module(x).zeros(conv2d_shape(cache), x.dtype)
    for (n, o, oh, ow), (_, c, i, j), (h, w) in products(cache):
        y[n, o, oh, ow] += weight[o, c, i, j] * x[n, c + first_channel(o, cache), h, w]
    return y if bias is None else y + bias[:, None, None], cache


def conv2d_backward_loops(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array | None]:
    """As `conv2d_backward`: dx, dweight and dbias (or None) of dy (N, O, OH, OW)."""
    xp = array_module(dy)
    x, weight, bias = cache.x, cache.weight, cache.bias
    dx, dweight = xp.zeros_like(x), xp.zeros_like(weight)
    for (n, o, oh, ow), (_, c, i, j), (h, w) in products(cache):
        dweight[o, c, i, j] += dy[n, o, oh, ow] * x[n, c + first_channel(o, cache), h, w]
        dx[n, c + first_channel(o, cache), h, w] += dy[n, o, oh, ow] * weight[o, c, i, j]
    return dx, dweight, dy.sum(axis=(0, 2, 3)) if bias is not None else None


def first_channel(o: int, cache: ConvCache) -> int:
    """The first input channel that output channel o sees: that of its group."""
    O, CG, _, _ = cache.weight.shape
    return int(o // (O // cache.groups) * CG)


def products(cache: ConvCache) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], Pair]]:
    """The output's, the weight's and the pixel's index of every product; those with padding, which is 0, are left out."""
    (sh, sw), (ph, pw), (dh, dw) = cache.stride, cache.pad, cache.dilation
    N, O, OH, OW = conv2d_shape(cache)
    _, CG, KH, KW = cache.weight.shape
    H, W = cache.x.shape[2:]
    for n in range(N):
        for o in range(O):
            for oh in range(OH):
                for ow in range(OW):
                    for c in range(CG):
                        for i in range(KH):
                            for j in range(KW):
                                h, w = oh * sh + i * dh - ph, ow * sw + j * dw - pw
                                if 0 <= h < H and 0 <= w < W:
                                    yield (n, o, oh, ow), (o, c, i, j), (h, w)
