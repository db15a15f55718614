"""A small run of every CUDA kernel on a GPU, for compute-sanitizer: `make sanitize-gpu`. Exit code 1 where there is no GPU."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import tinyresnet as tr
from kernel_checks import compare, random_call, replaced
from kernel_table import KERNELS
from tinyresnet.device import array_library, move
from tinyresnet.errors import InputError
from tinyresnet_kernels.cuda import versions

CALLS = 4  # of each op; the sanitizer slows kernels down a hundredfold


def ops(calls: int = CALLS) -> int:
    """Every replaced function, and every rung of the ladders, both dtypes in turn; how many calls that were."""
    names = [name for name in replaced("cuda") if name in KERNELS]
    for name in names:
        for seed in range(calls):
            compare(name, random_call(name, (np.float32, np.float64)[seed % 2], "plain", seed, small=True), "cuda")
    rungs = [(op, rung) for op in versions.VERSIONS if op in KERNELS for rung in versions.VERSIONS[op]]
    exact = [(op, rung) for op, rung in rungs if rung not in versions.INEXACT]
    for op, rung in exact:
        with versions.version(rung):
            for seed in range(calls):
                compare(op, random_call(op, (np.float32, np.float64)[seed % 2], "plain", seed, small=True), "cuda")
    return calls * (len(names) + len(exact))


def step(xp: Any) -> float:
    """A training step of ResNet-8; its loss."""
    model = move(tr.resnet8(num_classes=4, rng=np.random.default_rng(0)), "cuda")
    network = tr.fuse(model)
    x = xp.asarray(np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32))
    logits, cache = network.forward(x, train=True)
    loss, dlogits = tr.softmax_cross_entropy(logits, np.array([0, 3]))
    network.backward(dlogits, cache)
    tr.SGD(model.named_params(), momentum=0.9).step(0.1)
    return float(loss)


def main() -> int:
    """Every array gets memory of its own, so that the tools see where one ends, and which number nobody has written."""
    try:
        cupy = array_library("cuda")
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    cupy.cuda.set_allocator(None)
    print(f"{ops()} calls are right; the loss of a step is {step(cupy):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
