"""The transposed convolution: what it lays down, in every backend; that it is the adjoint; and that it can interpolate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinyresnet import InputError
from tinyresnet.layers import ConvTranspose2d, UpsampleBilinear, bilinear_init
from tinyresnet.layers.conv_transpose import conv_transpose2d_backward, conv_transpose2d_forward
from tinyresnet_kernels import Array, available, use


def laid_down(x: Array, weight: Array, stride: tuple[int, int], pad: tuple[int, int]) -> Array:
    """The definition: the kernel, times each number of x, at its place; then the border is cut off."""
    (N, _, H, W), (_, O, KH, KW), (SH, SW), (PH, PW) = x.shape, weight.shape, stride, pad
    y = np.zeros((N, O, (H - 1) * SH + KH, (W - 1) * SW + KW), x.dtype)
    for h, w in np.ndindex(H, W):
        y[:, :, h * SH : h * SH + KH, w * SW : w * SW + KW] += np.einsum("nc,coij->noij", x[:, :, h, w], weight)
    return y[:, :, PH : y.shape[2] - PH, PW : y.shape[3] - PW]


def drawn(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, tuple[int, int]]]:
    """Shapes of x and weight, and settings, of which something is left behind the padding; some with channels for fast kernels."""
    C, O = (int(n) for n in (rng.choice([8, 16], 2) if rng.random() < 0.4 else rng.integers(1, 5, 2)))
    kernel, stride, size = (tuple(rng.integers(*ends, 2).tolist()) for ends in ((1, 5), (1, 4), (3, 8)))
    most = [((n - 1) * s + k - 1) // 2 for n, s, k in zip(size, stride, kernel, strict=True)]
    pad = (min(most[0], int(rng.integers(0, 4))), min(most[1], int(rng.integers(0, 4))))
    return (int(rng.integers(1, 4)), C, *size), (C, O, *kernel), {"stride": stride, "pad": pad}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(12))
def test_every_backend_lays_down_kernels_and_goes_back_as_their_adjoint(seed: int, dtype: type) -> None:
    """dy · y(x', weight) = dx · x' for any x', and dy · y(x, weight') = dweight · weight' for any weight': y is linear in each."""
    rng = np.random.default_rng(seed)
    x_shape, weight_shape, settings = drawn(rng)
    x, other_x = (rng.standard_normal(x_shape).astype(dtype) for _ in range(2))
    weight, other_weight = (rng.standard_normal(weight_shape).astype(dtype) for _ in range(2))
    bias = rng.standard_normal(weight_shape[1]).astype(dtype)
    wanted = laid_down(x, weight, **settings) + bias[:, None, None]
    dy = rng.standard_normal(wanted.shape).astype(dtype)
    by_x, by_weight = (
        float((dy * laid_down(*pair, **settings)).sum(dtype=np.float64))
        for pair in ((other_x, weight), (x, other_weight))
    )
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    for backend in available():
        with use(backend):
            y, cache = conv_transpose2d_forward(x, weight, bias, **settings)
            dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
        np.testing.assert_allclose(y, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())
        for got, direction, slope in ((dx, other_x, by_x), (dweight, other_weight, by_weight)):
            assert abs(float((got * direction).sum(dtype=np.float64)) - slope) <= tolerance * np.abs(got).sum()
        np.testing.assert_allclose(dbias, dy.sum(axis=(0, 2, 3)), rtol=0, atol=tolerance * np.abs(dy).sum())


def interpolating(C: int, stride: Any) -> ConvTranspose2d:
    pairs = [(s, 2 * s - s % 2) for s in ((stride, stride) if isinstance(stride, int) else stride)]
    kernel, pad = tuple(k for _, k in pairs), tuple((k - s) // 2 for s, k in pairs)
    layer = ConvTranspose2d(C, C, kernel, stride=stride, pad=pad, rng=np.random.default_rng(0), dtype=np.float64)
    bilinear_init(layer)
    return layer


def inside(y: Array, stride: Any) -> Array:
    """What lies between the middles of the outermost pixels of x."""
    down, across = (stride, stride) if isinstance(stride, int) else stride
    return y[:, :, down // 2 : y.shape[2] - down // 2, across // 2 : y.shape[3] - across // 2]


strides = pytest.mark.parametrize("stride", [1, 2, 3, 4, (2, 3), (5, 1)], ids=str)


@strides
def test_bilinear_init_interpolates_inside_the_picture(stride: Any) -> None:
    """As `UpsampleBilinear` does; an even slope goes on evenly, and at the border it fades."""
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 4))
    x[1] = 2 + np.arange(5)[:, None] - 3 * np.arange(4)
    y, _ = interpolating(3, stride).forward(x, train=True)
    wanted, _ = UpsampleBilinear(stride).forward(x, train=True)
    np.testing.assert_allclose(inside(y, stride), inside(wanted, stride), rtol=0, atol=1e-14)
    assert np.abs(np.diff(inside(y[1:], stride), n=2, axis=2)).max() < 1e-13
    assert np.allclose(y, wanted) == (stride == 1)


@strides
@pytest.mark.torch
def test_bilinear_init_interpolates_as_pytorch_does(torch: Any, stride: Any) -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 4, 6))
    y, _ = interpolating(3, stride).forward(x, train=True)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(x), scale_factor=stride, mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(inside(y, stride), inside(wanted.numpy(), stride), rtol=0, atol=1e-13)


def test_the_scale_is_kept_and_the_work_is_counted() -> None:
    """He's weights double the mean square, of which a ReLU then lets half pass; multiply-adds are one a weight and input."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 64, 9, 11)).astype(np.float32)
    for kernel, stride, pad in ((4, 2, 1), (2, 2, 0), (3, 1, 1), ((5, 3), (2, 3), (1, 0))):
        layer = ConvTranspose2d(64, 24, kernel, stride=stride, pad=pad, rng=rng)
        y, _ = layer.forward(x, train=True)
        assert 1.6 < float((y**2).mean()) < 2.2, kernel
        assert layer.multiply_adds(y.shape) == 4 * 9 * 11 * layer.weight.data.size


X, WEIGHT = np.zeros((2, 4, 5, 6)), np.zeros((4, 3, 3, 2))


def call(weight: Any = WEIGHT, bias: Any = None, **settings: Any) -> Callable[[], object]:
    return lambda: conv_transpose2d_forward(X, weight, bias, **settings)


def start(C: int, O: int, kernel: Any, stride: Any) -> Callable[[], object]:
    return lambda: bilinear_init(ConvTranspose2d(C, O, kernel, stride=stride, rng=np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (call(stride=0), r"stride is \(0, 0\)"),
        (call(stride=(1, -1)), r"stride is \(1, -1\)"),
        (call(stride=1.5), r"stride is 1.5"),
        (call(pad=-1), r"pad is \(-1, -1\)"),
        (call(WEIGHT[:3]), r"x has 4 channels and weight is \(3, 3, 3, 2\): \(4, O, KH, KW\)"),
        (call(WEIGHT[0]), r"weight has shape \(3, 3, 2\)"),
        (call(WEIGHT.astype(np.float32)), "weight has dtype float32: float64"),
        (call(bias=np.zeros(4)), r"bias has shape \(4,\): \(3,\)"),
        (call(pad=(1, 4)), r"pad \(1, 4\) leaves 5x-1 of a 5x6 picture under a 3x2 kernel: at least 1x1"),
        (lambda: ConvTranspose2d(3, 3, 2, stride=0, rng=np.random.default_rng(0)), r"stride is \(0, 0\)"),
        (start(3, 4, 4, 2), r"weight is \(3, 4, 4, 4\) and stride \(2, 2\): \(3, 3, 4, 4\)"),
        (start(3, 3, 4, (2, 3)), r"weight is \(3, 3, 4, 4\) and stride \(2, 3\): \(3, 3, 4, 5\)"),
    ],
)
def test_what_does_not_fit_is_one_sentence(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        wrong()
    assert "wanted" in str(caught.value)
