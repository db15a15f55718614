"""The promises that every layer keeps, each one tested over every row of `cases.py`; and that no layer or op lacks a row."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import pytest

import tinyresnet
from cases import CASES, Case, draw, every_layer, like, parts, upstream
from tinyresnet import Array, Layer, softmax_cross_entropy
from tinyresnet.loss import pixel_cross_entropy, sigmoid_focal_loss
from tinyresnet_kernels import is_channels_last, use

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
both_modes = pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])


def run(layer: Layer, x: Any, *, train: bool, dy: Any = None) -> tuple[Any, Any, dict[str, Array]]:
    """y, dx and the parameters' gradients, for a random dy."""
    layer.zero_grad()
    y, cache = layer.forward(x, train=train)
    dx = layer.backward(upstream(y) if dy is None else dy, cache)
    return y, dx, {name: param.grad.copy() for name, param in layer.named_params()}


def numbers(results: tuple[Any, Any, dict[str, Array]]) -> list[Array]:
    """All arrays of what `run` gave."""
    y, dx, grads = results
    return [*parts(y), *parts(dx), *grads.values()]


def assert_close(got: list[Array], wanted: list[Array], tolerance: float = 1e-12) -> None:
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max(initial=0)))


def assert_same_bits(got: list[Array], wanted: list[Array]) -> None:
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# 1. Backward adds into the gradients, and writes to nothing else.


@every_case
@both_modes
def test_backward_adds_to_the_gradients(case: Case, train: bool) -> None:
    x = case.x()
    _, _, once = run(case.layer(), x, train=train)
    layer = case.layer()
    before = {name: draw(50 + i, param.data.shape) for i, (name, param) in enumerate(layer.named_params())}
    for name, param in layer.named_params():
        param.grad[...] = before[name]
    y, cache = layer.forward(x, train=train)
    for _ in range(2):
        layer.backward(upstream(y), cache)
    for name, param in layer.named_params():
        assert_close([param.grad], [before[name] + 2 * once[name]])


@every_case
@both_modes
def test_nothing_that_comes_in_is_written_to(case: Case, train: bool) -> None:
    layer, x = case.layer(), case.x()
    read_only(x, [param.data for _, param in layer.named_params()])
    y, cache = layer.forward(x, train=train)
    dy = upstream(y)
    held = read_only(x, dy, cache)
    copies = [array.copy() for array in held]
    layer.backward(dy, cache)
    assert_same_bits(held, copies)  # a view of the same memory could have been written to


def read_only(*values: Any) -> list[Array]:
    """Every array in these values, however deeply nested, now read-only."""
    found = []
    for value in values:
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
            found.append(value)
        elif isinstance(value, dict):
            found += read_only(*value.values())
        elif isinstance(value, tuple | list):
            found += read_only(*value)
    return found


# 2. The dtype is kept; any strides may come in; the memory layout follows x.


@every_case
@both_modes
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtype_is_kept(case: Case, train: bool, dtype: type) -> None:
    results = run(case.layer(dtype), case.x(dtype=dtype), train=train)
    assert {array.dtype for array in numbers(results)} == {np.dtype(dtype)}
    exact = run(case.layer(), case.x(), train=train)
    assert_close(numbers(results), numbers(exact), 2e-4 if dtype == np.float32 else 1e-12)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "channels-last": lambda x: np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(
        0, x.ndim - 1, *range(1, x.ndim - 1)
    ),
    "fortran": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ..., ::-1])[::-1, ..., ::-1],
    "inside a larger one": lambda x: np.pad(x, 1)[tuple(slice(1, -1) for _ in x.shape)],
}


@every_case
@both_modes
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout(case: Case, train: bool, layout: str) -> None:
    """The numbers do not depend on it, and y and dx follow x's: channels-last as x is, else C-contiguous."""
    x = case.x()
    moved = like(x, [LAYOUTS[layout](array) for array in parts(x)])
    plain = run(case.layer(), x, train=train)
    dy = like(plain[0], [LAYOUTS[layout](array) if np.ndim(array) else array for array in parts(upstream(plain[0]))])
    y, dx, grads = run(case.layer(), moved, train=train, dy=dy)
    assert_close(numbers((y, dx, grads)), numbers(plain))
    for value, source in ((y, moved), (dx, dy)):
        for array in parts(value):
            if array.ndim == 4 and not any(array is given for given in parts(source)):
                assert has_layout(array, channels_last=is_channels_last(parts(moved)[0]))
    y, dx, grads = run(case.layer(), moved, train=train, dy=upstream(plain[0]))  # dy laid out unlike x
    assert_close(numbers((y, dx, grads)), numbers(plain))


def has_layout(array: Array, *, channels_last: bool) -> bool:
    return bool((array.transpose(0, 2, 3, 1) if channels_last else array).flags.c_contiguous)


# 3. No state is hidden in the layer.


@every_case
@both_modes
@pytest.mark.parametrize("then", [True, False], ids=["then train", "then eval"])
def test_two_forwards_then_the_first_backward(case: Case, train: bool, then: bool) -> None:
    x = case.x()
    alone = run(case.layer(), x, train=train)
    layer = case.layer()
    layer.zero_grad()
    y, cache = layer.forward(x, train=train)
    layer.forward(case.x(case.x_shapes[-1], seed=31), train=then)
    dx = layer.backward(upstream(y), cache)
    grads = {name: param.grad for name, param in layer.named_params()}
    assert_same_bits(numbers((y, dx, grads)), numbers(alone))


@every_case
@both_modes
def test_gradients_are_the_measured_slopes(case: Case, train: bool) -> None:
    """Along random directions, in training and in evaluation: central differences with one Richardson step, error of order h^4."""
    x = replace(case, whole_numbers=False).x()
    y, dx, grads = run(case.layer(), x, train=train)
    dy = upstream(y)

    def loss(step: float, moved: int, direction: Array, name: str = "") -> float:
        layer = case.layer()
        for label, param in layer.named_params():
            if label == name:
                param.data += step * direction
        arrays = [a + step * direction if not name and i == moved else a for i, a in enumerate(parts(x))]
        y, _ = layer.forward(like(x, arrays), train=train)
        return sum(float((a * b).sum()) for a, b in zip(parts(y), parts(dy), strict=True))

    claims = [("", i, array) for i, array in enumerate(parts(dx))] + [(name, 0, grad) for name, grad in grads.items()]
    for name, i, claimed in claims:
        for seed in (71, 72):
            v = draw(seed, claimed.shape)
            wide, narrow = ((loss(h, i, v, name) - loss(-h, i, v, name)) / (2 * h) for h in (1e-5, 5e-6))
            measured = (4 * narrow - wide) / 3
            size = np.sqrt(((claimed * v) ** 2).sum()) + 1e-3
            assert abs(measured - (claimed * v).sum()) < 1e-7 * size, name


@every_case
@both_modes
def test_gradients_by_complex_step(case: Case, train: bool) -> None:
    """Im f(x + ih v) / h is the slope along v without any cancellation (Squire & Trapp 1998): all figures must agree."""
    x = case.x()
    y, dx, grads = run(case.layer(), x, train=train)
    dy, h = upstream(y), 1e-30

    layer = case.layer(np.complex128)
    directions = {name: draw(80 + i, param.data.shape) for i, (name, param) in enumerate(layer.named_params())}
    for name, param in layer.named_params():
        param.data += 1j * h * directions[name]
    along_x = [draw(90 + i, array.shape) for i, array in enumerate(parts(x))]
    moved = like(x, [array + 1j * h * v for array, v in zip(parts(x), along_x, strict=True)])
    y, _ = layer.forward(moved, train=train)
    measured = sum(float((part.imag * r).sum()) for part, r in zip(parts(y), parts(dy), strict=True)) / h
    terms = [claimed * v for claimed, v in zip(parts(dx), along_x, strict=True)]
    terms += [grads[name] * v for name, v in directions.items()]
    size = np.sqrt(sum(float((term**2).sum()) for term in terms))
    assert abs(measured - sum(float(term.sum()) for term in terms)) <= 1e-12 * size


# 4. The same inputs give the same bits.


@every_case
@both_modes
def test_same_bits_on_every_run(case: Case, train: bool) -> None:
    first, second = (run(case.layer(np.float32), case.x(dtype=np.float32), train=train) for _ in range(2))
    assert_same_bits(numbers(first), numbers(second))


# A NaN is seen, not swallowed.


@every_case
@both_modes
def test_nan_passes_through(case: Case, train: bool) -> None:
    """Forward and back, so that a NaN is seen; in evaluation it stays in its own picture."""
    layer, x = case.layer(), case.x()
    bad = like(x, [array.copy() for array in parts(x)])
    for array in parts(bad):
        array[0] = np.nan
    y, _ = layer.forward(bad, train=train)
    for part in parts(y):
        assert np.isnan(part).any()
        if not train and part.ndim:
            assert np.isfinite(part[1:]).all()
    y, cache = layer.forward(x, train=train)
    dx = layer.backward(like(y, [np.full_like(part, np.nan) for part in parts(y)]), cache)
    assert all(np.isnan(part).any() for part in parts(dx))


def test_a_nan_in_an_ignored_row_stays_there() -> None:
    logits = draw(3, (3, 4))
    logits[1] = np.nan
    loss, dlogits = softmax_cross_entropy(logits, np.array([0, -100, 2]))
    assert np.isfinite(loss)
    assert np.isfinite(dlogits).all()
    assert not dlogits[1].any()


def test_a_nan_that_does_not_count_stays_there() -> None:
    logits = draw(3, (1, 3, 2, 2))
    logits[0, :, 1, 0] = np.nan
    _, by_pixel = found = pixel_cross_entropy(logits, np.array([[[0, 2], [255, 1]]], np.uint8))
    targets = np.where(np.isnan(logits), -1.0, 1.0)
    for loss, dlogits in (found, sigmoid_focal_loss(logits, targets, count=2)):
        assert np.isfinite(loss)
        assert np.isfinite(dlogits).all()
        assert not dlogits[0, :, 1, 0].any()
    assert np.count_nonzero(by_pixel) == 9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_give_no_infinity(dtype: type) -> None:
    """A wrong answer costs what its logit is, and pulls with all it weighs; a right one costs nothing."""
    logits = np.array([[3e4, -3e4], [-3e4, 3e4]], dtype)
    loss, dlogits = sigmoid_focal_loss(logits, np.array([[1, 0], [1, 0]], dtype), count=1)
    assert loss == pytest.approx(3e4, rel=1e-6)
    np.testing.assert_allclose(dlogits, [[0, 0], [-0.25, 0.75]], rtol=1e-6)
    loss, dlogits = pixel_cross_entropy(logits.reshape(1, 2, 1, 2), np.array([[[0, 0]]]))
    assert loss == pytest.approx(3e4, rel=1e-6)
    np.testing.assert_allclose(dlogits, np.array([[0, -0.5], [0, 0.5]]).reshape(1, 2, 1, 2))


# No row is missing.


def modules() -> list[Any]:
    """All modules of the package but those that run when imported."""
    found = pkgutil.walk_packages(tinyresnet.__path__, "tinyresnet.")
    return [importlib.import_module(module.name) for module in found if not module.name.endswith("__main__")]


# Wrong on purpose; in words; exercises.
NO_OPS = ("tinyresnet.gradcheck.museum", "tinyresnet.explain", "tinyresnet.course")


def test_every_backward_op_is_run_by_a_row() -> None:
    wanted = {
        (value.__module__, name)
        for module in modules()
        if not module.__name__.startswith(NO_OPS)
        for name, value in vars(module).items()
        if name.endswith("_backward")
        and not name.startswith("_")
        and callable(value)
        and value.__module__.startswith("tinyresnet.")
    }
    assert len(wanted) >= 12
    called: set[tuple[str, str]] = set()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add((frame.f_globals.get("__name__", ""), frame.f_code.co_name))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        with use("reference"):
            for case in CASES:
                run(case.layer(), case.x(), train=True)
    finally:
        sys.setprofile(before)
    assert wanted - called == set(), "these need a row in tests/cases.py"


def test_every_layer_has_a_row() -> None:
    modules()

    def below(kind: Any) -> set[Any]:
        return {kind}.union(*(below(deeper) for deeper in kind.__subclasses__()))

    public = {kind for kind in below(Layer) - {Layer} if re.match(r"tinyresnet\.(layers|resnet)", kind.__module__)}
    assert len(public) >= 14
    rows = {type(layer) for case in CASES for layer in every_layer(case.layer())}
    assert public - rows == set(), "these need a row in tests/cases.py"


def test_names_of_rows_differ() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
