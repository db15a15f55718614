"""Mistakes planted into the kernels: the watcher finds each, or its numbers are wrong, or the counts show that it is slow."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import pytest

from kernel_calls import Call
from kernel_checks import compare, is_replaced, random_call
from kernel_table import KERNELS
from tinyresnet_kernels import dispatch, host, use
from tinyresnet_kernels.cuda import launch, source, versions
from tinyresnet_kernels.cuda.matmul import matmul
from tinyresnet_kernels.host import Counts, KernelError, watching

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="there is no C++ compiler here")

CALLS = 60  # at most, until one shows the mistake


class Planted(NamedTuple):
    """In `file`, `right` becomes `wrong`; `op` runs it, at a rung of its ladder; `shows` is a kind of report, "numbers" or a count."""

    file: str
    right: str
    wrong: str
    op: str
    shows: str | tuple[str, ...]
    rung: str = ""


PLANTED = {
    # Barriers.
    "matmul: no barrier before the tiles are read": Planted(
        "matmul",
        "n < N && from + y < K ? b[(from + y) * N + n] : real(0);\n        __syncthreads();",
        "n < N && from + y < K ? b[(from + y) * N + n] : real(0);",
        "matmul",
        "race",
        "matmul_v2",
    ),
    "matmul: no barrier before the tiles are overwritten": Planted(
        "matmul", "        __syncthreads();  // before the tiles are overwritten\n", "", "matmul", "race", "matmul_v2"
    ),
    "matmul: one pair of tiles where two are meant": Planted(
        "matmul", "next = now ^ 1", "next = now", "matmul", "race", "matmul_v4"
    ),
    "convolution: no barrier before the tiles are read": Planted(
        "implicit_gemm",
        "tap / g.across.taps, tap % g.across.taps)] : real(0);\n        __syncthreads();",
        "tap / g.across.taps, tap % g.across.taps)] : real(0);",
        "correlate",
        "race",
        "implicit_gemm_v2",
    ),
    "patches: no barrier behind a chunk": Planted(
        "implicit_gemm_patches",
        "channels_of(channel, sources[pixel], have, whole));\n        __syncthreads();",
        "channels_of(channel, sources[pixel], have, whole));",
        "correlate",
        ("race", "uninitialised"),
    ),
    "patches: no barrier behind the tables": Planted(
        "implicit_gemm_patches",
        "* chunks * weight_numbers + thread * W;\n    __syncthreads();",
        "* chunks * weight_numbers + thread * W;",
        "correlate",
        ("race", "uninitialised"),
    ),
    "moments: no barrier before the warps' parts are joined": Planted(
        "norm",
        "    __syncthreads();\n    const int c = channel_of_slot<WIDTH>(lanes);",
        "    const int c = channel_of_slot<WIDTH>(lanes);",
        "moments",
        ("race", "uninitialised"),
    ),
    "moments: a tree without a barrier between its levels": Planted(
        "norm",
        "slots[thread] += slots[thread + half];\n        __syncthreads();",
        "slots[thread] += slots[thread + half];",
        "moments",
        "race",
        "moments_v2",
    ),
    "partial sums: some threads return before the barrier": Planted(
        "implicit_gemm_weight",
        "    sums[part][lane] = sum;\n    __syncthreads();\n    if (part || index >= count) return;",
        "    sums[part][lane] = sum;\n    if (part || index >= count) return;\n    __syncthreads();",
        "weight_gradient",
        "barrier divergence",
    ),
    # Races on what several blocks write.
    "weight gradient: all chunks write to one place": Planted(
        "implicit_gemm_weight",
        "partials[((blockIdx.y * gridDim.z + blockIdx.z) * g.M + top + y_)",
        "partials[((blockIdx.z) * g.M + top + y_)",
        "weight_gradient",
        ("race", "uninitialised"),
        "implicit_gemm_weight_v2",
    ),
    # Bounds and tails.
    "matmul: a row too many": Planted(
        "matmul",
        "if (m >= M || n >= N) return;",
        "if (m > M || n >= N) return;",
        "matmul",
        ("out of bounds", "race"),
        "matmul_v1",
    ),
    "matmul: the tail of a row is not looked at": Planted(
        "matmul",
        "        if (at + i < length) v.at[i] = row[at + i];",
        "        v.at[i] = row[at + i];",
        "matmul",
        ("out of bounds", "numbers"),
        "matmul_v4",
    ),
    "convolution: the border is not zero": Planted(
        "implicit_gemm",
        "sum = fma(from < 0 ? real(0) : in[from + k]",
        "sum = fma(in[from + k]",
        "correlate",
        ("out of bounds", "numbers"),
        "implicit_gemm_v1",
    ),
    "convolution: a row too many of the picture": Planted(
        "implicit_gemm",
        "const bool inside = 0 <= h && h < g.down.size",
        "const bool inside = 0 <= h && h <= g.down.size",
        "correlate",
        ("out of bounds", "numbers"),
        "implicit_gemm_v1",
    ),
    "weight gradient: pixels are counted twice": Planted(
        "implicit_gemm_weight",
        "real sum = real(0);\n    for (int first = begin; first < last; first += 16) {",
        "real sum = real(0);\n    for (int first = begin; first <= last; first += 8) {",
        "weight_gradient",
        ("out of bounds", "numbers"),
        "implicit_gemm_weight_v2",
    ),
    "im2col: a row too many": Planted(
        "im2col", "*to = 0 <= h && h < H &&", "*to = 0 <= h && h <= H &&", "im2col", ("out of bounds", "numbers")
    ),
    "col2im: a window too many": Planted(
        "im2col", "oh * SH != down || oh >= OH", "oh * SH != down || oh > OH", "col2im", ("out of bounds", "numbers")
    ),
    "loss: a row too many": Planted(
        "loss",
        "    if (row >= N) return;  // a whole warp\n    const real *z",
        "    const real *z",
        "cross_entropy_rows",
        "out of bounds",
    ),
    "SGD: the last numbers are left out": Planted(
        "optim",
        "    if (i < n) sgd_step(data[i], grad[i], velocity[i], lr, decay, momentum, nesterov);",
        "",
        "sgd_update",
        "numbers",
    ),
    "ReLU: vectors that begin one number late": Planted(
        "elementwise",
        "Vector numbers = load_vector(x + v * W);",
        "Vector numbers = load_vector(x + v * W + 1);",
        "rectify",
        "misaligned",
    ),
    "pooling: a window too few": Planted(
        "pool", "before / a.stride + 1, min", "before / a.stride + 2, min", "window_means_gradient", "numbers"
    ),
    # Memory that nobody has written.
    "weight gradient: the border is not written to the tile": Planted(
        "implicit_gemm_weight",
        "columns[y_ * 16 + x_] = from < 0 ? real(0) : x[from];",
        "if (from >= 0) columns[y_ * 16 + x_] = x[from];",
        "weight_gradient",
        ("uninitialised", "numbers"),
        "implicit_gemm_weight_v2",
    ),
    # Warps.
    "moments: half of the warp is not in the mask": Planted(
        "norm",
        "sum += __shfl_xor_sync(ALL_LANES, sum, step);\n        if (lane < lanes) slots",
        "sum += __shfl_xor_sync(0x0000ffffu, sum, step);\n        if (lane < lanes) slots",
        "gradient_sums",
        ("warp divergence", "shuffle"),
    ),
    "loss: the sum over a warp leaves a lane's partner out": Planted(
        "prelude",
        "for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync",
        "for (int step = 8; step > 0; step >>= 1) x += __shfl_xor_sync",
        "cross_entropy_rows",
        "numbers",
    ),
    # Indices and arithmetic.
    "matmul: A is read turned": Planted(
        "matmul",
        "? a[m * K + from + x] : real(0);\n        tile_b[y][x]",
        "? a[(from + x) * M + m] : real(0);\n        tile_b[y][x]",
        "matmul",
        "numbers",
        "matmul_v2",
    ),
    "input gradient: the taps run the wrong way": Planted(
        "implicit_gemm",
        "(g.down.tap_first + i * g.down.tap_step)",
        "(i)",
        "input_gradient",
        ("numbers", "out of bounds"),
        "implicit_gemm_input_v1",
    ),
    "pooling: the last of equal maxima wins": Planted(
        "pool", "!(v.at[k] <= best.at[k])", "!(v.at[k] < best.at[k])", "window_maxima", "numbers"
    ),
    "loss: the largest logit is not taken off": Planted(
        "loss", "q[k] = exp(z[k] - largest);", "q[k] = exp(z[k]);", "cross_entropy_rows", "numbers"
    ),
    "ReLU: a NaN does not pass": Planted(
        "elementwise",
        "passes |= Mask(!(numbers.at[i] <= real(0)))",
        "passes |= Mask(numbers.at[i] > real(0))",
        "rectify",
        "numbers",
    ),
    # Slow, but right: only the counts tell.
    "matmul: a pitch that puts a column into one bank": Planted(
        "matmul", "tile_a[16][16]", "tile_a[16][32]", "matmul", "bank_conflicts", "matmul_v2"
    ),
    "matmul: a turned tile without a pitch": Planted(
        "matmul", "tile_a[16][66]", "tile_a[16][64]", "matmul", "bank_conflicts", "matmul_v3"
    ),
    "im2col: neighbouring threads write far apart": Planted(
        "im2col",
        "const int picture = window / P, p = window % P;",
        "const int picture = window % NC, p = window / NC;",
        "im2col",
        "store_sectors",
    ),
    "SGD: each thread takes numbers in a row": Planted(
        "optim",
        "for (int v = thread; v < n / W; v += threads) {\n        Vector d = load_vector(data + v * W), s",
        "const int each = (n / W + threads - 1) / threads * 8;\n"
        "    for (int v = thread * each; v < min(n / W, (thread + 1) * each); ++v) {\n"
        "        Vector d = load_vector(data + v * W), s",
        "sgd_update",
        "load_sectors_a_request",
    ),
    "convolution: the outer loop runs over what lies far apart": Planted(
        "implicit_gemm",
        "const int output = blockIdx.x * blockDim.x + threadIdx.x, m = output % g.M;",
        "const int output = blockIdx.x * blockDim.x + threadIdx.x % 16 * 16 + threadIdx.x / 16, m = output % g.M;",
        "correlate",
        "store_sectors",
        "implicit_gemm_v1",
    ),
}


def measured(name: str) -> Callable[[Counts], float]:
    """A count by name; "load_sectors_a_request" is a ratio."""
    if name == "load_sectors_a_request":
        return lambda counts: counts.load_sectors / counts.load_requests
    return lambda counts: float(getattr(counts, name))


def counted(op: str) -> Counts:
    """What a call of fixed size costs in float32."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    calls: dict[str, Callable[[], Any]] = {
        "matmul": lambda: matmul(draw(64, 64), draw(64, 64)),
        "im2col": lambda: dispatch.Accelerated(dispatch._readable["im2col"])(
            draw(2, 8, 16, 16), (3, 3), (1, 1), (1, 1)
        ),
        "sgd_update": lambda: dispatch.Accelerated(dispatch._readable["sgd_update"])(
            *(draw(1 << 16) for _ in range(3)), 0.1, 0.0, 0.9, False
        ),
        "correlate": lambda: dispatch.Accelerated(dispatch._readable["correlate"])(
            draw(2, 16, 16, 16), draw(16, 16, 3, 3), (1, 1), (1, 1), (1, 1), 1
        ),
    }
    with use("cuda-host"), watching(check=False) as watcher:
        calls[op]()
    return watcher.counts


def shown(op: str) -> str:
    """How a mistake first shows in random calls: the kind of the report, or "numbers"; empty if it does not."""
    for seed in range(CALLS):
        if op == "matmul":
            rng = np.random.default_rng(seed)
            M, N, K = (int(rng.choice([1, 3, 4, 8, 17, 31, 40, 64])) for _ in range(3))
            a, b = rng.standard_normal((M, K)), rng.standard_normal((K, N))
            try:
                with watching(count=False):
                    if not np.allclose(matmul(a, b), a @ b):
                        return "numbers"
            except KernelError as error:
                return error.kind
            continue
        kinds = KERNELS[op].kinds
        dtype = (np.float32, np.float64)[seed % 2]
        call: Call = random_call(op, dtype, kinds[seed // 2 % len(kinds)], zlib.crc32(op.encode()) + seed, small=True)
        if not is_replaced(op, call, "cuda-host"):
            continue
        try:
            with watching(count=False):
                compare(op, call, "cuda-host")
        except KernelError as error:
            return error.kind
        except AssertionError:
            return "numbers"
    return ""


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that plants a mistake; everything is as before afterwards."""
    right = source.text

    def change(planted: Planted) -> None:
        def text(file: str) -> str:
            found = right(file)
            if planted.file not in (file, "prelude"):
                return found
            assert found.count(planted.right) == 1, (
                f"{planted.right!r} stands {found.count(planted.right)} times in {file}"
            )
            return found.replace(planted.right, planted.wrong)

        monkeypatch.setattr(source, "text", text)
        launch._module.cache_clear()

    yield change
    launch._module.cache_clear()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_shows(name: str, plant: Any) -> None:
    planted = PLANTED[name]
    wanted = (planted.shows,) if isinstance(planted.shows, str) else planted.shows
    with versions.version(planted.rung) if planted.rung else nullcontext():
        if hasattr(Counts(), wanted[0]) or wanted[0].endswith("_a_request"):
            count = measured(wanted[0])
            before = count(counted(planted.op))
            plant(planted)
            assert count(counted(planted.op)) >= max(1.5 * before, 1000 if wanted[0] == "bank_conflicts" else 0)
            return
        plant(planted)
        assert shown(planted.op) in wanted


def test_there_are_enough_of_them() -> None:
    assert len(PLANTED) >= 25
    assert {planted.file for planted in PLANTED.values()} >= {
        "matmul",
        "implicit_gemm",
        "implicit_gemm_patches",
        "implicit_gemm_weight",
        "norm",
        "pool",
        "loss",
        "optim",
    }
