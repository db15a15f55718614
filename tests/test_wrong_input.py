"""The fifth promise: wrong shapes, dtypes and settings give one sentence with what came and what is wanted; and empty batches."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cases import CASES, LOSSES, Case, draw, like, parts, upstream
from tinyresnet import InputError, softmax_cross_entropy
from tinyresnet.layers import Conv2d
from tinyresnet.layers.concat import concat_forward
from tinyresnet.layers.conv import conv2d_forward
from tinyresnet.layers.linear import linear_forward
from tinyresnet.layers.norm import batch_norm_forward
from tinyresnet.layers.pool import avg_pool_forward, max_pool_forward
from tinyresnet.layers.shortcut import subsample_pad_forward
from tinyresnet.layers.upsample import upsample_bilinear_forward, upsample_nearest_forward
from tinyresnet.loss import pixel_cross_entropy, sigmoid_focal_loss

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
both_modes = pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])


def refused(call: Callable[[], object], *words: object) -> None:
    """The call raises InputError, in one sentence that says all these words and what is wanted."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    for word in (*words, "wanted"):
        assert str(word) in message, message
    assert "\n" not in message


@every_case
@both_modes
def test_wrong_x_is_refused(case: Case, train: bool) -> None:
    layer, x = case.layer(), case.x()
    a = parts(x)[0]
    wrong: list[tuple[Any, object]] = [
        (np.zeros(a.shape, dtype), dtype.__name__) for dtype in (np.int64, np.float16, np.bool_)
    ]
    wrong += [([[1.0]], "list")]
    if not case.any_shape:
        flat = np.zeros(2)
        wrong += [(flat, flat.shape)]
        if a.ndim == 4 and case.name != "flatten":
            wrong += [(a[0], a.shape[1:]), (a[None], (1, *a.shape))]
    if dict(layer.named_params()):
        more = np.concatenate([a, a[:, :1]], axis=1)
        wrong += [(more, more.shape[1])]
    if case.name == "identity":
        return  # it looks at nothing
    for value, came in wrong:
        refused(functools.partial(layer.forward, like(x, [value] * case.arms), train=train), came)
    if dict(layer.named_params()):
        refused(lambda: layer.forward(a.astype(np.float32), train=train), "float32", "float64")
    if case.arms > 1:
        rest, last = parts(x)[:-1], parts(x)[-1]
        name = "b" if case.name == "add" else f"x{len(rest)}"
        for cut in (last[..., :-1], last[..., :-1, :], last[:-1]):
            refused(lambda cut=cut: layer.forward((*rest, cut), train=train), f"{name} has shape", cut.shape)
        single = last.astype(np.float32)
        refused(lambda: layer.forward((*rest, single), train=train), f"{name} has dtype", "float32", "float64")


@every_case
@both_modes
def test_wrong_dy_is_refused(case: Case, train: bool) -> None:
    if case.name == "identity":
        return  # it looks at nothing
    layer = case.layer()
    y, cache = layer.forward(case.x(), train=train)
    good = parts(upstream(y))[-1]
    name = "dloss" if case in LOSSES else "dy"
    wrong: list[tuple[Any, object]] = [
        (np.zeros(good.shape, dtype), dtype.__name__) for dtype in (np.int64, np.float16, np.bool_)
    ]
    wrong += [(7, "int")]
    if not case.no_cache or isinstance(y, tuple):  # a pair is compared with itself
        wrong += [(good.astype(np.float32), "float32"), (good[None], good[None].shape)]
    if good.ndim and (not case.no_cache or isinstance(y, tuple)):
        wrong += [(good[..., :-1], good[..., :-1].shape), (good[:-1], good[:-1].shape)]
    for value, came in wrong:
        dy = (parts(upstream(y))[0], value) if isinstance(y, tuple) else value
        refused(functools.partial(layer.backward, dy, cache), name, came)


X, WEIGHT = draw(1, (2, 4, 5, 6)), draw(2, (6, 2, 3, 3))
LOGITS = draw(3, (3, 4))


def wrong_conv(setting: str, value: Any) -> Callable[[], object]:
    """A convolution that is right but for one setting."""
    settings: dict[str, Any] = {"groups": 2, setting: value}
    return lambda: conv2d_forward(X, WEIGHT, **settings)


def wrong_focal(setting: str, value: Any) -> Callable[[], object]:
    """A focal loss that is right but for one setting."""
    settings: dict[str, Any] = {"count": 1, setting: value}
    return lambda: sigmoid_focal_loss(LOGITS, np.ones((3, 4)), **settings)


WRONG_CALLS: dict[str, tuple[Callable[[], object], tuple[object, ...]]] = {
    **{
        f"conv2d, {setting} {value}": (
            wrong_conv(setting, value),
            (setting, value),
        )
        for setting, value in [
            *(("stride", value) for value in (0, -1, 1.5, (1, 0), (1,), (1, 1, 1), [1, 1], "1", None)),
            *(("pad", value) for value in (-1, (0, -1), 0.5, (1,))),
            *(("dilation", value) for value in (0, (1, 0))),
            *(("groups", value) for value in (0, 2.0)),
        ]
    },
    "conv2d, groups 1": (lambda: conv2d_forward(X, WEIGHT), ("4 channels", WEIGHT.shape)),
    "conv2d, groups 4": (lambda: conv2d_forward(X, draw(1, (6, 1, 3, 3)), groups=4), ("groups 4",)),
    "conv2d, weight of 3 axes": (lambda: conv2d_forward(X, WEIGHT[0]), ("weight has shape", (2, 3, 3))),
    "conv2d, bias too long": (lambda: conv2d_forward(X, WEIGHT, np.zeros(7), groups=2), ("bias has shape", (7,), (6,))),
    "conv2d, bias in float32": (
        lambda: conv2d_forward(X, WEIGHT, np.zeros(6, np.float32), groups=2),
        ("bias has dtype float32", "float64"),
    ),
    "Conv2d, groups": (lambda: Conv2d(4, 6, groups=4, rng=np.random.default_rng(0)), ("4 -> 6", 4)),
    "max pool, pad": (lambda: max_pool_forward(X, kernel=2, stride=2, pad=2), ("pad is (2, 2)", (2, 2))),
    "max pool, stride": (lambda: max_pool_forward(X, kernel=2, stride=0), ("stride is 0",)),
    "average pool, kernel": (lambda: avg_pool_forward(X, kernel=(2, 0), stride=1), ("kernel is (2, 0)",)),
    "batch norm, weight": (lambda: batch_norm_forward(X, np.ones(3), np.zeros(4)), ("weight has shape", (3,), (4,))),
    "batch norm, running variance": (
        lambda: batch_norm_forward(X, np.ones(4), np.zeros(4), running=(np.zeros(4), np.zeros((4, 1)))),
        ("var has shape", (4, 1)),
    ),
    "linear, bias": (lambda: linear_forward(LOGITS, draw(1, (5, 4)), np.zeros(4)), ("bias has shape", (4,), (5,))),
    "nearest, scale": (lambda: upsample_nearest_forward(X, scale=0), ("upsample_nearest: scale is 0",)),
    "bilinear, scale": (lambda: upsample_bilinear_forward(X, scale=(2, 1.5)), ("scale is (2, 1.5)",)),  # type: ignore[arg-type]
    "concat, one array": (lambda: concat_forward((X,)), ("a tuple of 1",)),
    "concat, no tuple": (lambda: concat_forward(X), ("a ndarray",)),  # type: ignore[arg-type]
    "shortcut A, stride": (lambda: subsample_pad_forward(X, out_channels=8, stride=0), ("stride is 0",)),
    "cross-entropy, label too large": (
        lambda: softmax_cross_entropy(LOGITS, np.array([0, 4, 1])),
        ("label 4", "0 to 3"),
    ),
    "cross-entropy, label negative": (
        lambda: softmax_cross_entropy(LOGITS, np.array([0, 3, -1])),
        ("label -1", "0 to 3"),
    ),
    "cross-entropy, too few labels": (lambda: softmax_cross_entropy(LOGITS, np.array([0, 3])), ("labels", (2,), (3,))),
    "cross-entropy, labels in float": (lambda: softmax_cross_entropy(LOGITS, np.ones(3)), ("labels", "float64")),
    "cross-entropy, labels in a list": (lambda: softmax_cross_entropy(LOGITS, [0, 1, 2]), ("labels", "list")),  # type: ignore[arg-type]
    "cross-entropy, no distributions": (lambda: softmax_cross_entropy(LOGITS, np.ones((3, 4))), ("not distributions",)),
    "cross-entropy, all ignored": (lambda: softmax_cross_entropy(LOGITS, np.full(3, -100)), ("no row", (3, 4))),
    "pixel cross-entropy, label too large": (
        lambda: pixel_cross_entropy(X, np.where(np.arange(60).reshape(2, 5, 6) == 43, 4, 255)),
        ("label 4", "picture 1, row 2, column 1", "4 classes", "0 to 3", 255),
    ),
    "pixel cross-entropy, label negative": (
        lambda: pixel_cross_entropy(X, np.full((2, 5, 6), -2), ignore_index=-1),
        ("label -2", "picture 0, row 0, column 0", -1),
    ),
    "pixel cross-entropy, masks of another size": (
        lambda: pixel_cross_entropy(X, np.zeros((2, 6, 5), int)),
        ("labels", (2, 6, 5), (2, 5, 6)),
    ),
    "pixel cross-entropy, masks in float": (lambda: pixel_cross_entropy(X, np.ones((2, 5, 6))), ("labels", "float64")),
    "pixel cross-entropy, all ignored": (
        lambda: pixel_cross_entropy(X, np.full((2, 5, 6), 255)),
        ("no pixel", (2, 4, 5, 6)),
    ),
    "pixel cross-entropy, nothing weighs": (
        lambda: pixel_cross_entropy(X, np.ones((2, 5, 6), int), class_weights=np.array([1.0, 0, 1, 1])),
        ("no pixel", (2, 4, 5, 6)),
    ),
    "pixel cross-entropy, class weight negative": (
        lambda: pixel_cross_entropy(X, np.ones((2, 5, 6), int), class_weights=np.array([1, 1, -0.5, 1])),
        ("class_weights[2]", -0.5),
    ),
    "pixel cross-entropy, class weights too few": (
        lambda: pixel_cross_entropy(X, np.ones((2, 5, 6), int), class_weights=np.ones(3)),
        ("class_weights", (3,), (4,)),
    ),
    **{
        f"focal loss, {name} {value}": (wrong_focal(name, value), (name, value))
        for name, values in {
            "count": (0, -1, math.nan, "1"),
            "gamma": (-0.5, None),
            "alpha": (1.5, -0.1, "x"),
        }.items()
        for value in values
    },
    "focal loss, target": (
        lambda: sigmoid_focal_loss(LOGITS, np.where(np.arange(12).reshape(3, 4) == 6, 1.5, 0), count=1),
        ("targets[1, 2] is 1.5", "-1"),
    ),
    "focal loss, target -0.5": (
        lambda: sigmoid_focal_loss(LOGITS, np.full((3, 4), -0.5), count=1),
        ("[0, 0] is -0.5",),
    ),
    "focal loss, target NaN": (lambda: sigmoid_focal_loss(LOGITS, np.full((3, 4), np.nan), count=1), ("is nan",)),
    "focal loss, too few targets": (
        lambda: sigmoid_focal_loss(LOGITS, np.ones((3, 1)), count=1),
        ("targets", (3, 1), (3, 4)),
    ),
    "focal loss, targets in float32": (
        lambda: sigmoid_focal_loss(LOGITS, np.ones((3, 4), np.float32), count=1),
        ("targets", "float32", "float64"),
    ),
    "cross-entropy, smoothing": (
        lambda: softmax_cross_entropy(LOGITS, np.zeros(3, int), label_smoothing=1.5),
        ("label_smoothing is 1.5", "0 to 1"),
    ),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_settings_and_parameters_are_refused(name: str) -> None:
    call, words = WRONG_CALLS[name]
    refused(call, *words)


def test_too_small_a_picture_is_refused() -> None:
    refused_sentence = "does not fit into a 2x6 picture"
    for call in (
        lambda: conv2d_forward(X[:, :, :2], WEIGHT, groups=2),
        lambda: conv2d_forward(X[:, :, :2], WEIGHT[:, :, :2], groups=2, dilation=2),
        lambda: max_pool_forward(X[:, :, :2], kernel=3, stride=2),
        lambda: avg_pool_forward(X[:, :, :2], kernel=3, stride=2),
    ):
        with pytest.raises(InputError, match=refused_sentence):
            call()


@every_case
@both_modes
def test_empty_batch(case: Case, train: bool) -> None:
    layer = case.layer()
    x = like(case.x(), [array[:0] for array in parts(case.x())])
    if case.refuses_empty or (train and case.has_norm):
        refused(lambda: layer.forward(x, train=train), parts(x)[0].shape[0])
        return
    y, cache = layer.forward(x, train=train)
    dx = layer.backward(upstream(y), cache)
    full = case.layer().forward(case.x(), train=train)[0]
    wanted = [(0, *part.shape[1:]) if part.ndim else () for part in parts(full)]  # of nothing, a loss is the number 0
    assert [part.shape for part in parts(y)] == wanted
    assert not any(np.any(part) for part in parts(y))
    assert [part.shape for part in parts(dx)] == [part.shape for part in parts(x)]
    assert not any(param.grad.any() for _, param in layer.named_params())
