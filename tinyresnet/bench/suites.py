"""The named suites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import unknown
from ..resnet import build
from . import convolution, ladder, network, ops
from .work import Case


@dataclass(frozen=True)
class NetworkSuite:
    """A network's training step at this batch, inference at those, and each of its convolutions at the step's batch."""

    name: str
    batch: int
    inference: tuple[int, ...]


NETWORKS = {
    "resnet20": NetworkSuite("resnet20", 128, (128, 1)),
    "resnet18": NetworkSuite("resnet18", 8, (8, 1)),
}
OPS = ("op:conv2d", *(f"op:{name}" for name in ops.OPS))
SUITES = (*NETWORKS, *OPS, "ladder")


def cases(suite: str, *, version: str | None = None, fused: bool = True, device: str = "cpu") -> list[Case]:
    """The cases of the suite of this name; the ladder is the one of the device's kernels. Raises InputError on an unknown one."""
    if suite in NETWORKS:
        chosen = NETWORKS[suite]
        model = build(chosen.name, rng=np.random.default_rng(0))
        whole = network.cases(chosen.name, chosen.batch, chosen.inference, fused=fused)
        return whole + convolution.cases(convolution.shapes_of(model, chosen.batch))
    if suite == "op:conv2d":
        return convolution.cases(dict.fromkeys((*convolution.COMMON, *convolution.ODD), 1))
    if suite in OPS:
        return ops.cases(suite.removeprefix("op:"))
    if suite == "ladder" and device == "cuda":
        from . import ladder_cuda

        return ladder_cuda.cases(version)
    if suite == "ladder":
        return ladder.cases(version)
    raise unknown("suite", suite, SUITES)
