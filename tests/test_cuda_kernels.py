"""Every CUDA kernel against its readable form, on the runtime that runs it on the CPU; and whole networks through them."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinyresnet as tr
from kernel_checks import arrays_of, compare, is_replaced, random_call, replaced, run
from kernel_table import KERNELS
from tinyresnet.layers.conv import correlate, input_gradient
from tinyresnet_kernels import host, use
from tinyresnet_kernels.cuda import patches, patches_weight, versions
from tinyresnet_kernels.cuda.matmul import matmul
from tinyresnet_kernels.host import order, watching

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="there is no C++ compiler here")

CALLS = 500  # of each kernel, float32 and float64 in turn
WATCHED = 24  # of these
OPS = replaced("cuda-host")
RUNGS = [
    (op, rung)
    for op, rungs in versions.VERSIONS.items()
    if op in KERNELS
    for rung in rungs
    if rung not in versions.INEXACT
]


def drawn(name: str, seed: int) -> Any:
    """The call of this seed: both dtypes in turn, all kinds of numbers in turn."""
    kinds = KERNELS[name].kinds
    dtype = (np.float32, np.float64)[seed % 2]
    return random_call(name, dtype, kinds[seed // 2 % len(kinds)], zlib.crc32(name.encode()) + seed, small=True)


@contextlib.contextmanager
def tiles_of_all_kinds(seed: int) -> Iterator[None]:
    """Within the block, small work takes the tiles of large work too, by the seed."""
    before = patches.ENOUGH_BLOCKS, patches_weight.ENOUGH_BLOCKS, patches_weight.MOST_PARTIALS
    patches.ENOUGH_BLOCKS = (0, before[0])[seed % 2]
    patches_weight.ENOUGH_BLOCKS = (0, before[1], 1000)[seed % 3]
    patches_weight.MOST_PARTIALS = (before[2], 1000.0)[seed // 3 % 2]
    try:
        yield
    finally:
        patches.ENOUGH_BLOCKS, patches_weight.ENOUGH_BLOCKS, patches_weight.MOST_PARTIALS = before
        patches.work.cache_clear()
        patches_weight.work.cache_clear()


def compare_calls(name: str, calls: int) -> int:
    """Compare so many calls; how many of them the kernel served."""
    served = 0
    for seed in range(calls):
        call = drawn(name, seed)
        served += is_replaced(name, call, "cuda-host")
        try:
            with tiles_of_all_kinds(seed):
                compare(name, call, "cuda-host")
        except (AssertionError, host.KernelError) as error:
            raise AssertionError(f"{name}, seed {seed}: {call}\n{error}") from None
    return served


def test_all_of_a_networks_hot_path_has_kernels() -> None:
    left = set(KERNELS) - set(OPS)
    assert left == {"conv_unit_forward", "conv_unit_backward"}, "units are compositions of replaced ops"
    assert set(OPS) <= set(KERNELS)


@pytest.mark.parametrize("name", OPS)
def test_a_kernel_gives_what_the_readable_form_gives(name: str) -> None:
    assert compare_calls(name, CALLS) > 0.3 * CALLS, "too few of the calls go to the kernel"


@pytest.mark.parametrize(("op", "rung"), [(op, rung) for op, rung in RUNGS if rung != versions.chosen(op)])
def test_every_rung_of_a_ladder_gives_what_the_readable_form_gives(op: str, rung: str) -> None:
    with versions.version(rung):
        assert compare_calls(op, CALLS) > 0.3 * CALLS


@pytest.mark.parametrize(("op", "rung"), [*((op, "") for op in OPS if op not in versions.VERSIONS), *RUNGS])
def test_a_right_kernel_is_not_blamed(op: str, rung: str) -> None:
    """Watched: nothing outside its arrays, no race, nothing read that nobody wrote; and the same bits in every order."""
    with versions.version(rung) if rung else use("cuda-host"):
        for seed in range(WATCHED):
            call = drawn(op, seed)
            if not is_replaced(op, call, "cuda-host"):
                continue
            with tiles_of_all_kinds(seed // 3):
                with order((0, 1, 7)[seed % 3]), watching(count=False):
                    watched = arrays_of(run(op, call, "cuda-host"))
                for one, other in zip(watched, arrays_of(run(op, call, "cuda-host")), strict=True):
                    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rung", versions.VERSIONS["matmul"])
def test_every_matrix_product_is_right(rung: str) -> None:
    """Of any sizes, every other one watched: (M, K) @ (K, N), to the rounding of sums of K products."""
    for seed in range(CALLS):
        rng = np.random.default_rng(seed)
        M, K, N = (int(rng.choice((1, 2, 3, 4, 7, 8, 16, 17, 31, 40, 64, 65, 130)[: 13 - seed % 5])) for _ in range(3))
        dtype = (np.float32, np.float64)[seed % 2]
        a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((M, K), (K, N)))
        with versions.version(rung), watching(count=False) if seed % 20 == 0 else order(seed % 3):
            c = matmul(a, b)
        allowed = 2 * (K + 1) * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
        assert c.dtype == dtype
        assert (np.abs(c - a.astype(np.float64) @ b) <= allowed).all(), (rung, seed, M, K, N)


def test_tensor_cores_are_right_up_to_the_rounding_of_their_operands() -> None:
    """TF32 keeps 10 bits of each operand's mantissa: a product is off by 2^-10 of itself at most, and a little."""
    for seed in range(CALLS):
        call = random_call("correlate", np.float32, "plain", seed, small=True)
        if not is_replaced("correlate", call, "cuda-host"):
            continue
        x, weight, *settings = call.args
        exact = correlate.reference(x.astype(np.float64), weight.astype(np.float64), *settings)
        allowed = 1.01 * 2**-10 * correlate.reference(np.abs(x), np.abs(weight), *settings) + 1e-30
        with (
            use("cuda-host"),
            versions.version("implicit_gemm_v5"),
            watching(count=False) if seed % 25 == 0 else order(0),
        ):
            y = correlate(x, weight, *settings)
        assert (np.abs(y - exact) <= allowed).all(), (seed, str(call))
    with pytest.raises(ValueError, match="float32 is wanted"), use("cuda-host"), versions.version("implicit_gemm_v5"):
        correlate(x.astype(np.float64), weight.astype(np.float64), *settings)


@pytest.mark.parametrize("C", [16, 32, 64])
def test_the_traffic_of_the_implicit_convolution_is_nearly_the_least(C: int) -> None:
    """At ResNet-20's shapes, behind the model of the caches: at most 1.3 times each input and weight read, each output written once."""
    N, size = 32, 512 // C
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((N, size, size, C), np.float32).transpose(0, 3, 1, 2) for _ in range(2))
    weight = rng.standard_normal((C, C, 3, 3), np.float32)
    settings = ((1, 1), (1, 1), (1, 1), 1)
    for product, args in ((correlate, (x, weight)), (input_gradient, (dy, weight, x))):
        with use("cuda-host"), watching(check=False) as watcher:
            product(*args, *settings)
        assert watcher.counts.dram_bytes <= 1.3 * (x.nbytes + dy.nbytes + weight.nbytes), product.__name__


@pytest.mark.parametrize("fused", [False, True], ids=["layers", "units"])
def test_a_whole_network_forward_and_backward(fused: bool, rng: np.random.Generator) -> None:
    """ResNet-8, every gradient: what the readable network gives, to 1e-5 of each array's largest number."""
    found = {}
    for backend in ("reference", "cuda-host"):
        model = tr.resnet8(num_classes=10, rng=np.random.default_rng(0))
        network = tr.fuse(model) if fused else model
        x = np.random.default_rng(1).standard_normal((4, 3, 16, 16)).astype(np.float32)
        with use(backend):
            logits, cache = network.forward(x, train=True)
            loss, dlogits = tr.softmax_cross_entropy(logits, np.arange(4))
            dx = network.backward(dlogits, cache)
            optimiser = tr.SGD(model.named_params(), momentum=0.9, weight_decay=1e-4)
            optimiser.step(lr=0.1)
        arrays = {"logits": logits, "dx": dx, "loss": np.array(loss), **model.state_dict()}
        found[backend] = arrays | {f"gradient of {name}": param.grad for name, param in model.named_params()}
    for name, wanted in found["reference"].items():
        scale = max(float(np.abs(wanted).max(initial=0)), 1e-3)
        assert np.abs(found["cuda-host"][name] - wanted).max(initial=0) <= 1e-5 * scale, name
