"""A fused network is the same network: outputs, gradients, running statistics, names; and what it cannot fuse stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyresnet as tr
from tinyresnet.fuse import Fused, Units
from tinyresnet.layers import BatchNorm2d, Linear
from tinyresnet_kernels import Array, available, use

ROWS: list[
    tuple[str, tuple[int, ...], dict[str, Any], int]
] = [  # name, x, settings, how many runs of units there must be
    ("resnet20", (5, 3, 32, 32), {}, 1),
    (
        "resnet20",
        (37, 3, 15, 13),
        {"width": 5},
        1,
    ),  # odd sizes, channels that fill no register, groups of pictures with a remainder
    ("resnet20", (2, 1, 16, 16), {"shortcut": "B", "in_channels": 1}, 1),
    ("resnet20", (3, 3, 16, 16), {"shortcut": "C", "width": 8}, 1),
    ("resnet20", (3, 3, 16, 16), {"shortcut": "D", "width": 8, "dropout": 0.2}, 1),
    ("plain20", (5, 3, 16, 16), {}, 1),
    ("preact_resnet20", (5, 3, 16, 16), {"width": 4}, 0),
    ("resnet18", (2, 3, 65, 64), {"width": 8}, 2),  # the stem, the pooling, the rest
    ("resnet50", (2, 3, 64, 33), {"width": 8}, 2),
    ("resnet18", (1, 3, 225, 224), {"width": 4}, 2),  # pictures so large that they go in bands
]


def network(name: str, settings: dict[str, Any], dtype: type) -> tr.ResNet:
    """With batch norms that do something."""
    model = tr.build(name, rng=np.random.default_rng(0), dtype=dtype, **settings)
    rng = np.random.default_rng(1)
    for _, layer in model.named_layers():
        if isinstance(layer, BatchNorm2d):
            C = len(layer.weight.data)
            layer.weight.data[...], layer.bias.data[...] = rng.uniform(0.5, 2, C), rng.standard_normal(C)
            layer.running_mean[...], layer.running_var[...] = rng.standard_normal(C), rng.uniform(0.5, 2, C)
    return model


def everything(model: tr.ResNet, run: tr.Layer, x: Array, dy: Array, train: bool) -> dict[str, Array]:
    """Logits, dx, all gradients and all buffers, after two forwards and the first one's backward."""
    y, cache = run.forward(x, train=train)
    run.forward(x[::-1].copy(), train=False)
    found = {"y": y, "dx": run.backward(dy, cache)}
    found |= {f"d {name}": param.grad for name, param in model.named_params()}
    return found | dict(model.named_buffers())


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("name", "shape", "settings", "runs"), ROWS)
def test_fused_is_the_same_network(
    name: str, shape: tuple[int, ...], settings: dict[str, Any], runs: int, train: bool
) -> None:
    rng = np.random.default_rng(2)
    x, dy = rng.standard_normal(shape), rng.standard_normal((shape[0], 10))
    plain = network(name, settings, np.float64)
    with use("reference"):
        wanted = everything(plain, plain, x, dy, train)
    for backend in available():
        model = network(name, settings, np.float64)
        fused = tr.fuse(model)
        assert sum(isinstance(step, Units) for step in fused.steps) == runs
        with use(backend):
            found = everything(model, fused, x, dy, train)
        for what, array in wanted.items():
            size = np.abs(array).max()
            assert np.abs(found[what] - array).max() <= 1e-10 * (size if size > 1e-9 else 1), (backend, what)


def test_names_and_parameters_are_the_models_own() -> None:
    model = network("resnet20", {"width": 4}, np.float32)
    fused = tr.fuse(model)
    assert [name for name, _ in fused.named_params()] == [name for name, _ in model.named_params()]
    assert all(a is b for (_, a), (_, b) in zip(fused.named_params(), model.named_params(), strict=True))
    assert fused.state_dict().keys() == model.state_dict().keys()
    state = {name: array + 1 for name, array in model.state_dict().items()}
    fused.load_state_dict(state)
    assert np.array_equal(model.state_dict()["layer1.0.conv1.weight"], state["layer1.0.conv1.weight"])


def test_backward_writes_to_nothing_but_gradients() -> None:
    model = network("resnet20", {"width": 4, "shortcut": "B"}, np.float32)
    fused = tr.fuse(model)
    x = np.random.default_rng(0).standard_normal((3, 3, 16, 16)).astype(np.float32)
    y, cache = fused.forward(x, train=True)
    before = [array.copy() for array in arrays(cache)]
    dy = np.ones_like(y)
    first = fused.backward(dy, cache)
    grads = {name: param.grad.copy() for name, param in model.named_params()}
    again = fused.backward(dy, cache)
    assert all(np.array_equal(a, b) for a, b in zip(before, arrays(cache), strict=True))
    assert first.tobytes() == again.tobytes()
    assert np.array_equal(dy, np.ones_like(y))
    for name, param in model.named_params():  # the second backward added the same again
        np.testing.assert_allclose(param.grad, 2 * grads[name], rtol=1e-5, atol=1e-6 * np.abs(grads[name]).max())


@pytest.mark.parametrize("name", ["resnet20", "plain20", "preact_resnet20"])
def test_training_needs_no_gradient_at_the_pictures(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 3, 16, 16)).astype(np.float32)
    gradients = []
    for settings in ({}, {"input_gradient": False}):
        model = network(name, {"width": 4}, np.float32)
        fused = tr.fuse(model, **settings)
        y, cache = fused.forward(x, train=True)
        dx = fused.backward(np.ones_like(y), cache)
        assert (dx is None) == bool(settings)
        gradients.append([param.grad.tobytes() for _, param in model.named_params()])
    assert gradients[0] == gradients[1]


def arrays(cache: Any) -> list[Array]:
    """Every array in a nest of caches."""
    if isinstance(cache, dict):
        return [array for value in cache.values() for array in arrays(value)]
    if isinstance(cache, (list, tuple)):
        return [array for value in cache for array in arrays(value)]
    return [cache] if isinstance(cache, np.ndarray) else []


def test_a_nan_passes_through_a_fused_network() -> None:
    model = network("resnet20", {"width": 4}, np.float32)
    x = np.zeros((2, 3, 16, 16), np.float32)
    x[0, 0, 3, 3] = np.nan
    y, _ = tr.fuse(model).forward(x, train=False)
    assert np.isnan(y[0]).all()
    assert not np.isnan(y[1]).any()


def test_only_a_chain_can_be_fused() -> None:
    with pytest.raises(tr.InputError, match="the model is a Linear"):
        tr.fuse(Linear(3, 2, rng=np.random.default_rng(0)))
    assert isinstance(tr.fuse(network("resnet20", {"width": 4}, np.float32)), Fused)
