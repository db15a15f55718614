"""Which rung of its ladder an op uses: the last exact one, or within `version(name)` the one of this name.

A rung is one function's way; most names stand for kernels of the same name. `correlate` runs `implicit_gemm_v4` by default, and within

    with use("cuda-host"), version("implicit_gemm_v2"):
        y = correlate(x, weight, stride, pad, dilation, groups)

the second rung of its ladder. Other ops keep theirs.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

DESCRIPTIONS: dict[str, dict[str, str]] = {
    "correlate": {
        "columns": "im2col writes the columns, and one matrix product a picture reads them",
        "implicit_gemm_v1": "one thread, one output: straight loops",
        "implicit_gemm_v2": "tiles in shared memory; the columns by address arithmetic",
        "implicit_gemm_v3": "a tile of outputs in the registers of a thread",
        "implicit_gemm_v4": "a patch for all kernel places, 16 bytes at a time, brought while products are made",
        "implicit_gemm_v5": "products by the tensor cores, in TF32: faster and coarser, from sm_80 on",
    },
    "input_gradient": {
        "implicit_gemm_input_v1": "one thread, one pixel and channel: straight loops",
        "implicit_gemm_input_v2": "tiles in shared memory; pixels by the kernel places that saw them",
        "implicit_gemm_input_v3": "a tile of pixels and channels in the registers of a thread",
        "implicit_gemm_input_v4": "the forward product's patches, a class of pixels at a time",
    },
    "weight_gradient": {
        "implicit_gemm_weight_v1": "one thread, one weight: straight loops over all pixels",
        "implicit_gemm_weight_v2": "tiles in shared memory; pixels shared out among blocks, partial sums added in order",
        "implicit_gemm_weight_v3": "a tile of weights in the registers of a thread",
        "implicit_gemm_weight_v4": "a patch for all kernel places, 16 bytes at a time, brought while products are made",
    },
    "matmul": {
        "matmul_v1": "one thread, one output",
        "matmul_v2": "tiles in shared memory",
        "matmul_v3": "4x4 outputs in the registers of a thread",
        "matmul_v4": "16 bytes at a time into two pairs of tiles, one barrier a step",
    },
    "moments": {
        "moments_v1": "one thread a channel, two passes",
        "moments_v2": "one block a channel, a tree in shared memory",
        "moments_v3": "one pass: coalesced chunks of pixels, shuffles, joined in order",
    },
}  # op: its rungs, from the first to the last, and what each changes
INEXACT = frozenset(
    {"implicit_gemm_v5"}
)  # rungs whose products are rounded to less than float32: never chosen by default
VERSIONS = {op: tuple(rungs) for op, rungs in DESCRIPTIONS.items()}

_chosen: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("tinyresnet_cuda_version", default=())


def chosen(op: str) -> str:
    """The rung that the op uses now."""
    asked = [name for name in _chosen.get() if name in VERSIONS[op]]
    return asked[-1] if asked else [name for name in VERSIONS[op] if name not in INEXACT][-1]


@contextlib.contextmanager
def version(name: str) -> Iterator[None]:
    """Within the block, the op that has a rung of this name uses it. Raises ValueError if there is none."""
    if not any(name in rungs for rungs in VERSIONS.values()):
        raise ValueError(f"no kernel {name!r}: there are {', '.join(n for rungs in VERSIONS.values() for n in rungs)}")
    token = _chosen.set((*_chosen.get(), name))
    try:
        yield
    finally:
        _chosen.reset(token)
