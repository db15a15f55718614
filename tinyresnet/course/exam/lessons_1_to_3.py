"""Questions on lessons 01 to 03: backprop on paper, convolution, pooling."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import im2col, output_size

from ...layers import Conv2d, Linear
from ...layers.conv import ConvCache, conv2d_backward, conv2d_forward
from ...layers.linear import LinearCache, linear_backward
from ...layers.pool import max_pool_backward, max_pool_forward
from ...loss import softmax_cross_entropy
from .question import Ask, Question, Rng, whole


def linear(rng: Rng) -> Question:
    """dx, dW and db of two pictures."""
    x, weight, dy = whole(rng, (2, 2)), whole(rng, (2, 2)), whole(rng, (2, 2))
    dx, dweight, dbias = linear_backward(dy, LinearCache(x, weight))
    return Question(
        "linear", 1, "A linear layer, backward",
        "y = x Wᵀ + b; x, W and dy are (2, 2). Rows of x and dy are pictures, rows of W are outputs.",
        {"x": x, "W": weight, "dy": dy},
        (Ask("dx[0, 0]", 1, dx[0, 0]), Ask("dW[1, 0]", 2, dweight[1, 0]), Ask("db[1]", 1, dbias[1])),
        "dx = dy W, dW = dyᵀ x, db = dy summed over the pictures.",
    )  # fmt: skip


def softmax(rng: Rng) -> Question:
    """The logits' gradient, where exp is easy."""
    powers = np.stack([rng.permutation(row) for row in ([1.0, 2.0, 5.0], [1.0, 3.0, 4.0])])
    labels = rng.integers(0, 3, 2)
    _, dz = softmax_cross_entropy(np.log(powers), labels)
    label, other = int(labels[0]), int((labels[0] + 1) % 3)
    return Question(
        "softmax", 1, "Softmax and cross-entropy",
        "The logits z of N = 2 pictures and 3 classes are the logarithms of the numbers below, so exp(z) is easy. "
        "The loss is the mean over the pictures.",
        {"exp(z)": powers, "labels": labels},
        (Ask(f"dz[0, {label}]", 1, dz[0, label]), Ask(f"dz[0, {other}]", 1, dz[0, other]), Ask("the sum of dz[1]", 1, dz[1].sum())),
        "dz = (p − t) / N, and each row of p and of t sums to 1.",
    )  # fmt: skip


def accumulate(rng: Rng) -> Question:
    """Two backward passes without zero_grad between them."""
    x, dy, w = whole(rng, (2,)), whole(rng, (2,)), whole(rng, (1, 1))
    layer = Linear(1, 1, rng=rng, dtype=np.float64)
    layer.weight.data = w
    caches = [layer.forward(one.reshape(1, 1), train=True)[1] for one in x]
    dxs = [float(layer.backward(d.reshape(1, 1), cache).item()) for d, cache in zip(dy, caches, strict=True)]
    return Question(
        "accumulate", 1, "Two passes, one step",
        "A layer y = w x with one weight runs forward on the number x[0] and on the number x[1], then backward with dy[0] and with dy[1]. "
        "Its gradient was zero before; nobody calls zero_grad in between.",
        {"w": w, "x": x, "dy": dy},
        (Ask("w.grad at the end", 2, layer.weight.grad.item()), Ask("the dx of the second pass", 1, dxs[1])),
        "backward adds into the parameter's gradient: x[0] dy[0] + x[1] dy[1]. dx is not accumulated: w dy[1].",
    )  # fmt: skip


def size(rng: Rng) -> Question:
    """Where the windows fall on one axis."""
    H, K, s, p, d = (int(rng.integers(*ends)) for ends in ((8, 15), (2, 4), (2, 4), (0, 2), (1, 3)))
    OH = output_size(H, K, s, p, d)
    cache = ConvCache(np.zeros((1, 1, H, 1)), np.ones((1, 1, K, 1)), None, (s, 1), (p, 0), (d, 1), 1)
    visits = conv2d_backward(np.ones((1, 1, OH, 1)), cache)[0]
    return Question(
        "size", 2, "Where windows fall",
        "One axis of a convolution: H pixels, kernel K, stride s, padding p on either side, dilation d.",
        {"H": H, "K": K, "s": s, "p": p, "d": d},
        (Ask("the number of windows, OH", 2, OH), Ask("how many of the H pixels no window reads", 1, int((visits == 0).sum()))),
        "OH = ⌊(H + 2p − d(K − 1) − 1) / s⌋ + 1. Window k reads the pixels k s + i d − p, for i = 0 to K − 1.",
    )  # fmt: skip


def output(rng: Rng) -> Question:
    """Two numbers of y."""
    x, weight, bias = whole(rng, (1, 1, 4, 4)), whole(rng, (1, 1, 3, 3), -2, 3), whole(rng, (1,))
    y, _ = conv2d_forward(x, weight, bias, stride=2, pad=1)
    return Question(
        "output", 2, "A convolution, forward",
        "One picture, one channel, a 3 × 3 kernel, stride 2, padding 1; the kernel is not turned. y is 2 × 2.",
        {"x": x[0, 0], "weight": weight[0, 0], "bias": bias},
        (Ask("y[0, 0]", 2, y[0, 0, 0, 0]), Ask("y[1, 1]", 2, y[0, 0, 1, 1])),
        "y[oh, ow] = bias + Σ weight[i, j] x[2 oh + i − 1, 2 ow + j − 1]; outside the picture x is 0.",
    )  # fmt: skip


def cost(rng: Rng) -> Question:
    """Multiply-adds and the size of the columns."""
    C, O, H, s = (int(rng.choice(of)) for of in ((8, 16, 32), (16, 32, 64), (8, 16, 32), (1, 2)))
    layer, x = Conv2d(C, O, 3, stride=s, pad=1, rng=rng), np.zeros((1, C, H, H), np.float32)
    y, _ = layer.forward(x, train=True)
    columns = im2col(x, (3, 3), (s, s), (1, 1))
    return Question(
        "cost", 2, "What a convolution costs",
        "A 3 × 3 convolution from C to O channels, stride s, padding 1, on one picture of H × H pixels. No bias.",
        {"C": C, "O": O, "H": H, "s": s},
        (Ask("multiply-adds", 2, layer.multiply_adds(y.shape)), Ask("numbers in the im2col matrix", 1, columns.size),
         Ask("that is so many times the numbers of x", 1, columns.size / x.size)),
        "O · OH² · 9 C multiply-adds; cols is (9 C, OH²).",
    )  # fmt: skip


def pixel(rng: Rng) -> Question:
    """dx where windows overlap, and where they do not."""
    weight, dy = whole(rng, (1, 1, 3, 3)), whole(rng, (1, 1, 3, 3))
    cache = ConvCache(np.zeros((1, 1, 5, 5)), weight, None, (2, 2), (1, 1), (1, 1), 1)
    dx = conv2d_backward(dy, cache)[0][0, 0]
    return Question(
        "pixel", 3, "A convolution, seen from the pixel",
        "x is 5 × 5, one channel; the kernel is 3 × 3, stride 2, padding 1, so dy is 3 × 3.",
        {"weight": weight[0, 0], "dy": dy[0, 0]},
        (Ask("dx[1, 1]", 3, dx[1, 1]), Ask("dx[2, 2]", 1, dx[2, 2])),
        "Four windows read pixel (1, 1): dx[1, 1] = dy[0, 0] w[2, 2] + dy[0, 1] w[2, 0] + dy[1, 0] w[0, 2] + dy[1, 1] w[0, 0]. "
        "One reads (2, 2): dx[2, 2] = dy[1, 1] w[1, 1].",
    )  # fmt: skip


def weight(rng: Rng) -> Question:
    """dweight and dbias."""
    x, dy = whole(rng, (1, 1, 3, 3)), whole(rng, (1, 1, 2, 2))
    cache = ConvCache(x, np.zeros((1, 1, 2, 2)), np.zeros(1), (1, 1), (0, 0), (1, 1), 1)
    _, dweight, dbias = conv2d_backward(dy, cache)
    assert dbias is not None
    return Question(
        "weight", 3, "A convolution, seen from the weight",
        "One picture of 3 × 3, a 2 × 2 kernel, stride 1, no padding, with a bias.",
        {"x": x[0, 0], "dy": dy[0, 0]},
        (Ask("dweight[0, 1]", 2, dweight[0, 0, 0, 1]), Ask("dbias", 1, dbias[0])),
        "dweight[i, j] = Σ dy[oh, ow] x[oh + i, ow + j]; the bias was added at every place, so dbias is the sum of dy.",
    )  # fmt: skip


def pool(rng: Rng) -> Question:
    """Max pooling with windows that overlap."""
    dy = whole(rng, (1, 1, 2, 2), 1, 8)
    while True:
        x = 1.0 + rng.permutation(16).reshape(1, 1, 4, 4)
        y, cache = max_pool_forward(x, kernel=3, stride=1)
        if 1 < (y == x.max()).sum() < 4:
            break  # the largest number wins several windows, but not all
    dx = max_pool_backward(dy, cache)
    return Question(
        "pool", 3, "Max pooling, backward",
        "Windows of 3 × 3 with stride 1 on a picture of 4 × 4: they overlap.",
        {"x": x[0, 0], "dy": dy[0, 0]},
        (Ask("dx at the largest number of x", 2, dx.flat[int(x.argmax())]),
         Ask("how many numbers of dx are not 0", 1, int((dx != 0).sum())),
         Ask("the sum of dx", 1, dx.sum())),
        "Each window's dy goes to the pixel that won it; who wins several gets their sum. Nothing is lost, so the sum of dx is that of dy.",
    )  # fmt: skip


DRAWS = (linear, softmax, accumulate, size, output, cost, pixel, weight, pool)
