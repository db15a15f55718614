"""The door between readable functions and their replacements."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pytest

from tinyresnet import Array
from tinyresnet_kernels import accelerated, available, dispatch, host, on_host, replaces, use


@accelerated
def twice_for_tests(x: Array, *, plus: float = 0.0) -> Array:
    """The double of x, plus something."""
    return 2 * x + plus


def fast(x: Array, *, plus: float = 0.0) -> Array:
    """Gives another number than the readable form, to be told apart."""
    return 200 * x + plus


fast.__name__ = "twice_for_tests"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No replacement at first, and none of these tests' left behind."""
    monkeypatch.setattr(dispatch, "_replacements", {})
    monkeypatch.setattr(dispatch, "_loaded", set(dispatch.BACKENDS))


def call(plus: float = 1.0) -> float:
    return float(twice_for_tests(np.array(3.0), plus=plus))


def test_the_readable_body_serves_alone() -> None:
    assert call() == 7
    assert available() == ["reference"]
    assert twice_for_tests.__doc__ == "The double of x, plus something."
    with use("reference"):
        assert call() == 7
    with pytest.raises(ValueError, match="'cpu' is not available here: available are reference"), use("cpu"):
        pass


def test_a_replacement_is_found_and_can_be_switched_off() -> None:
    assert replaces("cpu")(fast) is fast
    assert available() == ["reference", "cpu"]
    assert call() == 601
    assert twice_for_tests.reference(np.array(3.0), plus=1.0) == 7
    with use("reference"):
        assert call() == 7
        with use("cpu"):
            assert call() == 601
        assert call() == 7
    assert call() == 601
    with pytest.raises(KeyError), use("reference"):
        raise KeyError
    assert call() == 601  # an error leaves the block too


def test_a_replacement_for_other_arrays_is_not_used(stand_in: Any) -> None:
    replaces("cuda")(fast)
    assert call() == 7
    with use("cuda"):
        assert call() == 7  # the arrays are NumPy's: there is nothing to choose
    assert on_host(twice_for_tests(stand_in.asarray(np.array(3.0)), plus=1.0)) == 601


def test_cuda_needs_cupy_and_its_host_runtime_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    replaces("cuda")(fast)
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    monkeypatch.setattr(host, "compiler", lambda: "c++")
    assert available() == ["reference", "cuda-host"]
    with use("cuda-host"):
        assert call() == 601  # on NumPy's arrays, where it is asked for
    assert call() == 7
    monkeypatch.setattr(host, "compiler", lambda: None)
    assert available() == ["reference"]
    for backend in ("cuda", "cuda-host"):
        with pytest.raises(ValueError, match=f"'{backend}' is not available here"), use(backend):
            pass


def test_a_replacement_serves_only_when_it_says_so() -> None:
    replaces("cpu", when=lambda x, plus: plus > 0)(fast)
    assert call(plus=1) == 601
    assert call(plus=-1) == 5


def test_a_signature_is_compared_when_the_readable_function_comes_later() -> None:
    @replaces("cpu")
    def defined_later(x: Array) -> Array:
        return x

    with pytest.raises(ValueError, match="cpu's defined_later has the signature"):

        @accelerated
        def defined_later(x: Array, y: Array) -> Array:
            return x + y


def test_other_functions_keep_their_bodies() -> None:
    @accelerated
    def another(x: Array) -> Array:
        return -x

    replaces("cpu")(fast)
    assert another(np.array(2.0)) == -2


def without_keyword(x: Array) -> Array:
    return x


def other_name(y: Array, *, plus: float = 0.0) -> Array:
    return y


def other_default(x: Array, *, plus: float = 1.0) -> Array:
    return x


def positional(x: Array, plus: float = 0.0) -> Array:
    return x


for wrong in (without_keyword, other_name, other_default, positional):
    wrong.__name__ = "twice_for_tests"


@pytest.mark.parametrize("wrong", [without_keyword, other_name, other_default, positional])
def test_wrong_signatures_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="cpu's twice_for_tests has the signature"):
        replaces("cpu")(wrong)
    assert available() == ["reference"]


@pytest.mark.parametrize("backend", ["reference", "gpu", ""])
def test_unknown_backends_are_refused(backend: str) -> None:
    with pytest.raises(ValueError, match=f"unknown backend '{backend}': known are cpu, cuda"):
        replaces(backend)


def test_the_choice_is_a_threads_own() -> None:
    replaces("cpu")(fast)
    inside, results = threading.Barrier(2), {}

    def work(name: str, backend: str) -> None:
        with use(backend):
            inside.wait(timeout=10)  # both threads are in their block now
            results[name] = call()
            inside.wait(timeout=10)

    threads = [threading.Thread(target=work, args=pair) for pair in (("a", "reference"), ("b", "cpu"))]
    with use("reference"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert call() == 7
    assert results == {"a": 7, "b": 601}
    assert call() == 601


def test_a_layers_own_function_is_replaced() -> None:
    """The real door, not a copy of it: the layer asks at every call."""
    from tinyresnet.layers import ReLU, relu

    x = np.array([-1.0, 2.0])

    reference = relu.rectify.reference

    @replaces("cpu")
    def rectify(x: Array) -> tuple[Array, Array]:
        y, mask = reference(x)
        return y + 100, mask

    layer = ReLU()
    assert layer.forward(x, train=False)[0].tolist() == [100, 102]
    with use("reference"):
        assert layer.forward(x, train=False)[0].tolist() == [0, 2]
