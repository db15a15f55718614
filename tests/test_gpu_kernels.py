"""The CUDA kernels on CuPy's arrays: against the readable form on NumPy's, op by op, rung by rung, as whole networks; always the same bits.

Where there is no GPU they are skipped; a few calls of each then run on the stand-in for CuPy, so that the tests themselves are tested.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import strict_cupy
import tinyresnet as tr
from conftest import no_gpu
from device_arrays import carried, fetched
from kernel_calls import LAYOUTS, Call, arrays_of
from kernel_checks import compare, is_replaced, random_call, replaced, run
from kernel_table import KERNELS
from tinyresnet.device import array_library, move
from tinyresnet_kernels import host
from tinyresnet_kernels.cuda import versions

OPS = [name for name in replaced("cuda") if name in KERNELS]
RUNGS = [(op, rung) for op, rungs in versions.VERSIONS.items() if op in KERNELS for rung in rungs]
RUNS = 10  # of the same, for the same bits


class Where(NamedTuple):
    """An array library, and how many calls are compared there."""

    xp: Any
    calls: int
    small: bool


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Where]:
    """The stand-in with kernels and, where there is a GPU, CuPy."""
    if request.param == "stand-in":
        if host.compiler() is None:
            pytest.skip("there is no C++ compiler here")
        yield Where(strict_cupy.stand_in_with_kernels(monkeypatch), 3, small=True)
    elif reason := no_gpu():
        pytest.skip(reason)
    else:
        yield Where(array_library("cuda"), 300, small=False)


def drawn(name: str, seed: int, gpu: Where) -> Call:
    """The call of this seed: both dtypes in turn, all kinds of numbers in turn."""
    kinds, dtype = KERNELS[name].kinds, (np.float32, np.float64)[seed % 2]
    return random_call(name, dtype, kinds[seed // 2 % len(kinds)], zlib.crc32(name.encode()) + seed, small=gpu.small)


def compare_calls(name: str, gpu: Where) -> int:
    """Compare so many calls; how many of them the kernel served."""
    served = 0
    for seed in range(gpu.calls):
        call = drawn(name, seed, gpu)
        served += is_replaced(name, call, "cuda-host")
        try:
            compare(name, call, "cuda")
        except AssertionError as error:
            raise AssertionError(f"{name}, seed {seed}: {call}\n{error}") from None
    return served


@pytest.mark.parametrize("name", OPS)
def test_a_kernel_gives_what_the_readable_form_gives(name: str, gpu: Where) -> None:
    assert compare_calls(name, gpu) > 0


@pytest.mark.parametrize(("op", "rung"), [(op, rung) for op, rung in RUNGS if rung not in versions.INEXACT])
def test_every_rung_gives_what_the_readable_form_gives(op: str, rung: str, gpu: Where) -> None:
    with versions.version(rung):
        assert compare_calls(op, gpu) > 0


@pytest.mark.parametrize("name", OPS)
def test_the_same_bits_every_time(name: str, gpu: Where) -> None:
    for seed in range(1 if gpu.small else 4):
        call = drawn(name, seed, gpu)
        first = arrays_of(run(name, call, "cuda"))
        for _ in range(1 if gpu.small else RUNS - 1):
            for a, b in zip(arrays_of(run(name, call, "cuda")), first, strict=True):
                np.testing.assert_array_equal(a, b)


def step(name: str, dtype: Any, xp: Any, *, fused: bool, size: int = 32) -> dict[str, Any]:
    """All numbers of a pass forward and back of a network and a step of SGD, on NumPy's arrays or the device's."""
    rng = np.random.default_rng(1)
    model = tr.build(name, num_classes=10, rng=np.random.default_rng(0), dtype=dtype)
    x, labels = rng.standard_normal((2, 3, size, size)).astype(dtype), rng.integers(0, 10, 2)
    if xp is not np:
        move(model, "cuda")
        x = xp.asarray(x)
    network = tr.fuse(model) if fused else model
    logits, cache = network.forward(x, train=True)
    loss, dlogits = tr.softmax_cross_entropy(logits, labels)
    dx = network.backward(dlogits, cache)
    found = {"logits": logits, "dx": dx, "loss": np.array(loss)}
    found |= {f"gradient of {name}": param.grad.copy() for name, param in model.named_params()}
    tr.SGD(model.named_params(), momentum=0.9, weight_decay=1e-4).step(0.1)
    return {name: fetched(array) for name, array in (found | model.state_dict()).items()}


def compare_networks(name: str, dtype: type, xp: Any, *, fused: bool, size: int = 32) -> None:
    """Of each array, the difference in norm: going back a ReLU's input may round to the other side of zero."""
    got, wanted = (step(name, dtype, where, fused=fused, size=size) for where in (xp, np))
    allowed = 2e-3 if dtype == np.float32 else 1e-10
    for key, array in wanted.items():
        assert got[key].shape == array.shape
        error = np.linalg.norm((got[key] - array).ravel().astype(np.float64))
        assert error <= allowed * max(np.linalg.norm(array.ravel().astype(np.float64)), 1e-3), key


@pytest.mark.gpu
@pytest.mark.parametrize("fused", [False, True], ids=["layers", "units"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_a_whole_network(name: str, dtype: type, fused: bool) -> None:
    if reason := no_gpu():
        pytest.skip(reason)
    compare_networks(name, dtype, array_library("cuda"), fused=fused)


@pytest.mark.skipif(host.compiler() is None, reason="there is no C++ compiler here")
def test_a_small_network_on_the_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    compare_networks("resnet8", np.float32, strict_cupy.stand_in_with_kernels(monkeypatch), fused=True, size=8)


@pytest.mark.gpu
def test_a_network_has_the_same_bits_every_time() -> None:
    if reason := no_gpu():
        pytest.skip(reason)
    first, *others = (step("resnet20", np.float32, array_library("cuda"), fused=True) for _ in range(RUNS))
    for other in others:
        for key, array in first.items():
            np.testing.assert_array_equal(other[key], array, key)


@pytest.mark.parametrize(
    "layout", ["plain", "channels-last", "fortran", "backwards", "every other", "inside a larger one"]
)
def test_arrays_keep_their_strides_on_the_way(layout: str, gpu: Where) -> None:
    array = LAYOUTS[layout](np.random.default_rng(0).standard_normal((2, 3, 4, 5)))
    (there,) = carried((array,), gpu.xp)
    assert there.strides == array.strides
    np.testing.assert_array_equal(fetched(there), array)
