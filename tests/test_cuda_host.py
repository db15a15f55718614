"""The runtime that runs CUDA kernels on the CPU: small kernels with one mistake each, right ones, and counts that were made by hand.

The line that a report must name is marked `// here`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from tinyresnet_kernels import host
from tinyresnet_kernels.cuda import source
from tinyresnet_kernels.host import BuildError, Counts, KernelError, RawModule, build, order, watching

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="there is no C++ compiler here")

PRELUDE = (source.FOLDER / source.PRELUDE).read_text()
ORDERS = (0, 1, 7, 12345)
int32 = np.int32


@functools.cache
def module(*bodies: str, dtype: Any = np.float32) -> RawModule:
    """A module of kernels k0, k1 ... whose bodies are given; of each, lines count from 1."""
    parameters = "const real* __restrict__ x, real* __restrict__ y, int n"
    kernels = "".join(
        f'#line 1 "test.cu"\nextern "C" __global__ void k{i}({parameters}) {{{body}\n}}\n'
        for i, body in enumerate(bodies)
    )
    return RawModule(code=f'#line 1 "prelude.cuh"\n{PRELUDE}\n{kernels}', options=source.options(dtype))


def kernel(body: str, dtype: Any = np.float32) -> Any:
    """The kernel with this body: with all others of the tables, which are compiled together, or alone."""
    tabled = (
        *(wrong.body for wrong in MISTAKES.values()),
        *(body for body, _, _ in RIGHT.values()),
        *(case.body for case in COUNTED.values()),
        *OTHERS,
    )
    if body in tabled:
        return module(*tabled, dtype=dtype).get_function(f"k{tabled.index(body)}")
    return module(body, dtype=dtype).get_function("k0")


def run(body: str, block: Any = 64, *, grid: Any = 1, n: int = 64, shared_mem: int = 0, dtype: Any = np.float32) -> Any:
    """y of n numbers, of which none is written at first, that kernel k makes of x = 0, 1, 2 ..."""
    x, y = np.arange(n, dtype=dtype), np.empty(n, dtype)
    y.view(np.uint8)[:] = 0xA5
    as_tuple = [size if isinstance(size, tuple) else (size,) for size in (grid, block)]
    kernel(body, dtype)(*as_tuple, (x, y, int32(n)), shared_mem=shared_mem)
    return y


class Wrong(NamedTuple):
    """A kernel with one mistake, what kind it is (by the order, it may also be another), and how it is launched."""

    kind: str
    body: str
    launch: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    or_kind: str = ""


MISTAKES = {
    "a barrier is missing between write and read": Wrong(
        "race",
        """
    __shared__ real s[64];
    s[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = s[63 - threadIdx.x];  // here
""",
    ),
    "a barrier is missing before shared memory is used again": Wrong(
        "race",
        """
    __shared__ real s[64];
    for (int i = 0; i < 2; ++i) {
        s[threadIdx.x] = x[threadIdx.x];  // here
        __syncthreads();
        y[threadIdx.x] = s[63 - threadIdx.x];  // or here
    }
""",
    ),
    "lanes of a warp are not in step by themselves": Wrong(
        "race",
        """
    __shared__ real s[32];
    s[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = s[31 - threadIdx.x];  // here
""",
        {"block": 32},
    ),
    "the mask of a __syncwarp leaves the writer out": Wrong(
        "race",
        """
    __shared__ real s[32];
    s[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x < 16) __syncwarp(0x0000ffff);
    if (threadIdx.x >= 16) __syncwarp(0xffff0000);
    y[threadIdx.x] = s[31 - threadIdx.x];  // here
""",
        {"block": 32},
    ),
    "two threads write the same number": Wrong("race", "\n    y[threadIdx.x / 2] = x[threadIdx.x];  // here\n"),
    "two blocks write the same number": Wrong("race", "\n    y[threadIdx.x] = x[threadIdx.x];  // here\n", {"grid": 2}),
    "a block reads what another has written": Wrong(
        "race",
        """
    if (blockIdx.x == 0) y[threadIdx.x] = x[threadIdx.x];  // here
    if (blockIdx.x == 1 && y[threadIdx.x] > real(3)) y[32 + threadIdx.x] = real(0);  // or here
""",
        {"grid": 2, "block": 32},
        "uninitialised",  # where the second block comes first
    ),
    "an atomic meets a plain write": Wrong(
        "race",
        """
    if (threadIdx.x == 0) y[0] = real(0);  // here
    if (threadIdx.x > 31) atomicAdd(&y[0], x[threadIdx.x]);  // or here
""",
    ),
    "one number too far is read": Wrong("out of bounds", "\n    y[threadIdx.x] = x[threadIdx.x + 1];  // here\n"),
    "one number before is read": Wrong("out of bounds", "\n    y[threadIdx.x] = x[int(threadIdx.x) - 1];  // here\n"),
    "the tail is not looked at": Wrong(
        "out of bounds", "\n    y[threadIdx.x] = x[threadIdx.x % n];  // here\n", {"n": 60}
    ),
    "static shared memory ends before": Wrong(
        "out of bounds",
        "\n    __shared__ real s[60], t[60];\n    s[threadIdx.x] = x[threadIdx.x];  // here\n    if (threadIdx.x == 0) t[0] = s[0];\n",
    ),
    "dynamic shared memory was asked for too small": Wrong(
        "out of bounds",
        "\n    extern __shared__ real s[];\n    s[threadIdx.x] = x[threadIdx.x];  // here\n",
        {"shared_mem": 63 * 4},
    ),
    "shared memory is read before it is written": Wrong(
        "uninitialised",
        """
    __shared__ real s[64];
    if (threadIdx.x < 63) s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];  // here
""",
    ),
    "shared memory of the block before is read": Wrong(
        "uninitialised",
        """
    __shared__ real s[64];
    if (blockIdx.x == 0) s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[64 * blockIdx.x + threadIdx.x] = s[threadIdx.x];  // here
""",
        {"grid": 2, "n": 128},
    ),
    "a result is added to that nobody has set": Wrong(
        "uninitialised", "\n    y[threadIdx.x] += x[threadIdx.x];  // here\n"
    ),
    "some threads return before a barrier": Wrong(
        "barrier divergence",
        "\n    if (threadIdx.x > 40) return;\n    __syncthreads();  // here\n    y[threadIdx.x] = x[threadIdx.x];\n",
    ),
    "a barrier stands in a branch": Wrong(
        "barrier divergence",
        "\n    if (threadIdx.x % 2) __syncthreads();  // here\n    y[threadIdx.x] = x[threadIdx.x];\n",
    ),
    "each half of the block has its own barrier": Wrong(
        "barrier divergence",
        """
    if (threadIdx.x < 32)
        __syncthreads();  // or here
    else
        __syncthreads();  // here
""",
    ),
    "some lanes of the mask do not come": Wrong(
        "warp divergence",
        "\n    if (threadIdx.x < 20) y[threadIdx.x] = __shfl_xor_sync(ALL_LANES, x[threadIdx.x], 1);  // here\n",
        {"block": 32},
    ),
    "a lane is not in its own mask": Wrong(
        "warp divergence",
        "\n    y[threadIdx.x] = __shfl_xor_sync(0x0000ffff, x[threadIdx.x], 1);  // here\n",
        {"block": 32},
    ),
    "a value comes from a lane outside the mask": Wrong(
        "shuffle",
        "\n    if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0x0000ffff, x[threadIdx.x], 16 + threadIdx.x);  // here\n",
        {"block": 32},
    ),
    "a vector is loaded from an odd place": Wrong(
        "misaligned",
        "\n    if (threadIdx.x < 8) y[threadIdx.x] = load_vector(x + 4 * threadIdx.x + 1).at[0];  // here\n",
        {"block": 32},
    ),
}


@pytest.mark.parametrize("seed", ORDERS)
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_whatever_the_order(name: str, seed: int) -> None:
    wrong = MISTAKES[name]
    lines = {1 + i for i, line in enumerate(wrong.body.splitlines()) if "here" in line}
    with order(seed), watching(count=False), pytest.raises(KernelError) as caught:
        run(wrong.body, **wrong.launch)
    error = caught.value
    assert error.kind in (wrong.kind, wrong.or_kind), str(error)
    assert error.file == "test.cu"
    assert error.line in lines, str(error)
    assert f", test.cu:{error.line}: {error.kind}: " in str(error)


RIGHT: dict[str, tuple[str, dict[str, Any], Callable[[Any], Any]]] = {
    "shared memory between barriers, used twice": (
        """
    __shared__ real s[64];
    for (int i = 0; i < 3; ++i) {
        s[threadIdx.x] = x[threadIdx.x] + real(i);
        __syncthreads();
        y[threadIdx.x] = s[63 - threadIdx.x];
        __syncthreads();
    }
""",
        {},
        lambda x: x[::-1] + 2,
    ),
    "a warp in step by __syncwarp": (
        """
    __shared__ real s[64];
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    y[threadIdx.x] = s[threadIdx.x ^ 31];
""",
        {},
        lambda x: np.concatenate([x[31::-1], x[63:31:-1]]),
    ),
    "halves of a warp in step on their own": (
        """
    __shared__ real s[32];
    s[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x < 16) __syncwarp(0x0000ffff);
    if (threadIdx.x >= 16) __syncwarp(0xffff0000);
    y[threadIdx.x] = s[threadIdx.x ^ 15];
""",
        {"block": 32, "n": 32},
        lambda x: np.concatenate([x[15::-1], x[31:15:-1]]),
    ),
    "atomics of all blocks": (
        """
    if (threadIdx.x < n) atomicMax(&y[threadIdx.x % 4], x[threadIdx.x]);
""",
        {"grid": 3, "n": 4},
        lambda x: x,
    ),
    "every shuffle, ballot and vote": (
        """
    const int lane = threadIdx.x;
    real v = __shfl_down_sync(ALL_LANES, x[lane], 4) + __shfl_up_sync(ALL_LANES, x[lane], 3, 8);
    v += __shfl_sync(ALL_LANES, x[lane], 5, 16) + warp_sum(x[lane]);
    const bool votes = __any_sync(ALL_LANES, lane == 3) && !__all_sync(ALL_LANES, lane != 3);
    if (__ballot_sync(ALL_LANES, lane % 2) != 0xaaaaaaaau || !votes) v = real(-1);
    y[lane] = v;
""",
        {"block": 32, "n": 32},
        lambda x: np.where(x < 28, x + 4, x) + np.where(x % 8 < 3, x, x - 3) + x // 16 * 16 + 5 + 496,
    ),
    "vectors at both ends": (
        """
    if (threadIdx.x < n / W) store_vector(y + W * threadIdx.x, load_vector(x + W * threadIdx.x));
""",
        {},
        lambda x: x,
    ),
    "dynamic shared memory": (
        """
    extern __shared__ __align__(16) real s[];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[(threadIdx.x + 1) % 64];
""",
        {"shared_mem": 64 * 8},
        lambda x: np.roll(x, -1),
    ),
    "blocks and threads in three dimensions": (
        """
    const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    y[block * 8 + thread] = x[block * 8 + thread];
""",
        {"grid": (2, 2, 2), "block": (2, 2, 2)},
        lambda x: x,
    ),
}


def marks(y: Any) -> bool:
    return bool((y.view(np.uint8) == 0xA5).all())


@pytest.mark.parametrize("watch", [False, True], ids=["plain", "watched"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_blamed_and_gives_the_same_in_every_order(name: str, dtype: Any, watch: bool) -> None:
    body, launch, wanted = RIGHT[name]
    n = launch.get("n", 64)
    for seed in ORDERS:
        with order(seed):
            if watch and "atomic" not in body:
                with watching():
                    y = run(body, dtype=dtype, **launch)
            else:
                y = run(body, dtype=dtype, **launch)
        np.testing.assert_array_equal(y[:n], wanted(np.arange(n, dtype=dtype)))


@dataclass
class Counted:
    """A kernel, and what it must count to in float32, by hand."""

    body: str
    launch: dict[str, Any]
    counts: dict[str, int]


WARP2 = {"block": 64, "n": 256}  # two warps
COUNTED = {
    "a copy: 4 sectors a warp": Counted(
        "y[threadIdx.x] = x[threadIdx.x];",
        WARP2,
        {
            "load_requests": 2,
            "load_bytes": 256,
            "load_sectors": 8,
            "store_requests": 2,
            "store_sectors": 8,
            "dram_load_sectors": 8,
            "dram_store_sectors": 8,
        },
    ),
    "every second number: twice the sectors": Counted(
        "y[threadIdx.x] = x[2 * threadIdx.x];", WARP2, {"load_bytes": 256, "load_sectors": 16, "store_sectors": 8}
    ),
    "a sector for each lane": Counted(
        "if (threadIdx.x < 32) y[threadIdx.x] = x[8 * threadIdx.x];", WARP2, {"load_requests": 1, "load_sectors": 32}
    ),
    "one number for all lanes": Counted(
        "y[threadIdx.x] = x[0];", WARP2, {"load_sectors": 2, "l2_load_sectors": 1, "dram_load_sectors": 1}
    ),
    "vectors of 16 bytes: a request for 16 sectors": Counted(
        "if (threadIdx.x < 32) store_vector(y + 4 * threadIdx.x, load_vector(x + 4 * threadIdx.x));",
        WARP2,
        {"load_requests": 1, "load_bytes": 512, "load_sectors": 16, "store_requests": 1, "store_sectors": 16},
    ),
    "read three times: the first cache has it": Counted(
        "real s = real(0); for (int i = 0; i < 3; ++i) s += x[threadIdx.x]; y[threadIdx.x] = s;",
        WARP2,
        {"load_sectors": 24, "l2_load_sectors": 8},
    ),
    "another block: its first cache is empty, the second is not": Counted(
        "if (x[threadIdx.x] < real(-1)) y[0] = real(0);",
        {"block": 64, "n": 256, "grid": 3},
        {
            "load_sectors": 24,
            "l2_load_sectors": 24,
            "dram_load_sectors": 8,
            "store_requests": 0,
            "dram_store_sectors": 0,
        },
    ),
    "shared memory without conflicts": Counted(
        "__shared__ real s[64]; s[threadIdx.x] = x[threadIdx.x]; __syncthreads(); y[threadIdx.x] = s[threadIdx.x ^ 1];",
        WARP2,
        {"shared_requests": 4, "shared_wavefronts": 4, "shared_ideal": 4, "barriers": 1},
    ),
    "a column of a 32 x 32 array: 32 passes": Counted(
        "__shared__ real s[1024]; s[32 * (threadIdx.x % 32) + threadIdx.x / 32] = x[threadIdx.x];",
        WARP2,
        {"shared_wavefronts": 64, "shared_ideal": 2},
    ),
    "a column with a pitch of 33: 1 pass": Counted(
        "__shared__ real s[1056]; s[33 * (threadIdx.x % 32) + threadIdx.x / 32] = x[threadIdx.x];",
        WARP2,
        {"shared_wavefronts": 2, "shared_ideal": 2},
    ),
    "vectors in shared memory: 8 lanes a pass": Counted(
        "__shared__ __align__(16) real s[128]; if (threadIdx.x < 32) store_vector(s + 4 * threadIdx.x, load_vector(x + 4 * threadIdx.x));",
        WARP2,
        {"shared_requests": 1, "shared_wavefronts": 4, "shared_ideal": 4},
    ),
    "a word for all lanes is read in one pass": Counted(
        "__shared__ real s[4]; if (threadIdx.x < 4) s[threadIdx.x] = x[threadIdx.x]; __syncthreads(); y[threadIdx.x] = s[3];",
        WARP2,
        {"shared_requests": 3, "shared_wavefronts": 3},
    ),
    "operations: a multiply-add is two, whatever the registers": Counted(
        "real a[4]; for (int i = 0; i < 4; ++i) a[i] = x[threadIdx.x];"
        " for (int i = 0; i < 4; ++i) a[i] = fma(a[i], a[3 - i], a[i] / real(2));"
        " y[threadIdx.x] = a[0] + a[1] - a[2] * a[3];",
        WARP2,
        {"operations": 64 * (4 * 3 + 3), "load_requests": 8, "store_requests": 2},
    ),
    "atomics": Counted(
        "if (threadIdx.x < 5 && x[0] > real(-1)) atomicMax(&y[threadIdx.x], real(1));",
        {"block": 32, "n": 32},
        {"atomics": 5},
    ),
}


COPY = "y[threadIdx.x] = x[threadIdx.x];"
HALF = "if (threadIdx.x < n / 2) y[threadIdx.x] = x[threadIdx.x];"
SHIFT = "const real v = x[threadIdx.x]; __syncthreads(); y[threadIdx.x] = v;"
LINES = """
    __shared__ real s[64];
    s[threadIdx.x] = x[2 * threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];
"""
MMA = """
    const int group = threadIdx.x / 4, in = threadIdx.x % 4;
    const real *a = x, *b = x + 128;
    float fa[4], fb[2], d[4] = {1.f, 1.f, 1.f, 1.f};
    for (int i = 0; i < 4; ++i) fa[i] = float(a[(group + 8 * (i % 2)) * 8 + in + 4 * (i / 2)]);
    for (int i = 0; i < 2; ++i) fb[i] = float(b[(in + 4 * i) * 8 + group]);
    mma_tf32(d, fa, fb);
    for (int i = 0; i < 4; ++i) y[(group + 8 * (i / 2)) * 8 + 2 * in + i % 2] = real(d[i]);
"""
OTHERS = (COPY, HALF, SHIFT, LINES, MMA)


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_those_made_by_hand(name: str) -> None:
    case = COUNTED[name]
    for seed in ORDERS:
        with order(seed), watching(check=False) as watcher:
            run(case.body, **case.launch)
        (launch,) = watcher.launches
        assert {key: getattr(launch.counts, key) for key in case.counts} == case.counts
        assert watcher.counts == launch.counts == launch.counts + Counts()
        assert {site.file for site in launch.sites} == {"test.cu"}


def test_a_line_tells_its_accesses() -> None:
    with watching() as watcher:
        run(LINES, n=128)
    sites = {
        (site.line, site.memory, site.write): (site.size, site.requests, site.bytes, site.moved, site.ideal)
        for site in watcher.launches[0].sites
    }
    assert sites == {
        (3, "global", False): (4, 2, 256, 16, 8),
        (3, "shared", True): (4, 2, 256, 2, 2),
        (5, "shared", False): (4, 2, 256, 2, 2),
        (5, "global", True): (4, 2, 256, 8, 8),
    }
    assert watcher.counts.coalescing == 512 / 24
    assert watcher.counts.l2_bytes == 24 * 32


def test_what_one_kernel_leaves_unwritten_the_next_may_not_read() -> None:
    half, copy = HALF, COPY
    with watching():
        y = run(half)
        assert marks(y[32:])
        z = np.zeros(64, np.float32)
        with pytest.raises(KernelError, match="uninitialised: reads a number of x that nobody has written"):
            kernel(copy)((1,), (64,), (y, z, int32(64)))
        y[32:] = 1  # what NumPy writes is written
        kernel(copy)((1,), (64,), (y, z, int32(64)))
    np.testing.assert_array_equal(z, y)


def test_arrays_that_share_memory_are_seen_as_one() -> None:
    both = np.arange(96, dtype=np.float32)
    with watching():
        kernel(SHIFT)((1,), (64,), (both[:64], both[32:], int32(64)))
    np.testing.assert_array_equal(both, np.concatenate([np.arange(32), np.arange(64)]))
    with watching(), pytest.raises(KernelError, match="race"):
        kernel("y[threadIdx.x] = x[threadIdx.x];")((1,), (64,), (both[:64], both[32:], int32(64)))


X, Y = np.zeros(8, np.float32), np.zeros(8, np.float32)
READ_ONLY = np.zeros(8, np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("args", "sizes", "message"),
    [
        ((X, Y, 8), {}, ": n is a int: np.int32 is wanted"),
        ((X, Y, np.int64(8)), {}, ": n is a int64: np.int32 is wanted"),
        ((X, Y, np.float32(8)), {}, ": n is a float32: np.int32 is wanted"),
        ((X.astype(np.float64), Y, int32(8)), {}, ": x is an array of float64: a NumPy array of float32 is wanted"),
        ((X, [1.0], int32(8)), {}, ": y is a list: a NumPy array of float32 is wanted"),
        ((X, Y), {}, r": 2 arguments: 3 are wanted \(x, y, n\)"),
        ((X[::2], Y, int32(4)), {}, ": x is not C-contiguous"),
        ((X, READ_ONLY, int32(8)), {}, ": y is written to, and the array is read-only"),
        ((X, Y, int32(8)), {"block": (32, 64)}, ": a block of 2048 threads: 1 to 1024 are wanted"),
        ((X, Y, int32(8)), {"grid": (0,)}, ": the grid is"),
        ((X, Y, int32(8)), {"grid": (1, 70000)}, ": the grid is"),
        (
            (X, Y, int32(8)),
            {"shared_mem": 50000},
            "50000 bytes of dynamic shared memory: at most 49152 are wanted, or more after",
        ),
    ],
)
def test_arguments_that_a_gpu_would_misread_are_refused(
    args: tuple[Any, ...], sizes: dict[str, Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        kernel(COPY)(sizes.pop("grid", (1,)), sizes.pop("block", (8,)), args, **sizes)
    kernel(COPY)((1,), (8,), (X, Y, int32(8)))


def test_more_shared_memory_must_be_asked_for_as_on_a_gpu() -> None:
    big = kernel(RIGHT["dynamic shared memory"][0])
    big.max_dynamic_shared_size_bytes = 100_000
    big((1,), (8,), (np.zeros(64, np.float32), np.zeros(64, np.float32), int32(64)), shared_mem=60_000)


def test_what_does_not_compile_is_named_with_its_line() -> None:
    with pytest.raises(BuildError, match=r"test\.cu:2:.*error.*nothing_of_the_kind"):
        run("\n y[0] = nothing_of_the_kind(x[0]);\n")
    with pytest.raises(KeyError, match="no kernel 'other': there are k0"):
        module("").get_function("other")


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "compiler", lambda: None)
    with pytest.raises(BuildError, match="need a C\\+\\+ compiler to run on the CPU"):
        run("y[0] = x[1];  // a text that has not been compiled before")


def test_mma_multiplies_as_the_tensor_cores_do(rng: np.random.Generator) -> None:
    """16 x 8 by 8 x 8, from fragments laid out as the PTX manual says; the operands are rounded to TF32."""
    x, y = rng.standard_normal(192).astype(np.float32), np.zeros(128, np.float32)
    with watching() as watcher:
        kernel(MMA)((1,), (32,), (x, y, int32(0)))
    rounded = ((x.view(np.uint32) + 0x1000) & ~np.uint32(0x1FFF)).view(np.float32).astype(np.float64)
    a, b = rounded[:128].reshape(16, 8), rounded[128:].reshape(8, 8)
    np.testing.assert_allclose(y.reshape(16, 8), a @ b + 1, atol=1e-6)
    assert watcher.counts.operations == 2 * 16 * 8 * 8
