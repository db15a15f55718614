"""The experiment behind residual learning: a plain network and its residual twin, from the same first weights, on the same batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tinyresnet_kernels import fetch

from .data import Dataset
from .layers import Conv2d
from .optim import squared_sums
from .resnet import ResNet, build
from .run_folder import Record
from .train import Settings, train

KINDS = ("plain", "residual")


@dataclass
class Twin:
    """One of the two: its network, and what was recorded of its training."""

    kind: str
    model: ResNet
    records: list[Record] = field(default_factory=list)
    first_grad_norms: dict[str, float] = field(default_factory=dict)  # of every convolution, by path, in the first step
    last_grad_norms: dict[str, float] = field(default_factory=dict)  # and in the last

    @property
    def losses(self) -> list[float]:
        """The training loss of every step."""
        return [record["loss"] for record in self.records if record["kind"] == "step"]

    @property
    def final_loss(self) -> float:
        """The mean training loss over the last tenth of the steps: one batch alone says little."""
        last = self.losses[-max(1, len(self.losses) // 10) :]
        return float(np.mean(last))

    @property
    def top1(self) -> float:
        """Accuracy on the test set after the last epoch."""
        return float([record["val_top1"] for record in self.records if record["kind"] == "epoch"][-1])


def make_twins(depth: int, *, width: int, num_classes: int, seed: int, in_channels: int = 3) -> tuple[Twin, Twin]:
    """The plain and the residual network of this depth, with equal first weights: shortcut A draws none of its own."""
    plain, residual = (
        build(
            f"{name}{depth}",
            width=width,
            num_classes=num_classes,
            in_channels=in_channels,
            shortcut="A",
            rng=np.random.default_rng(seed),
        )
        for name in ("plain", "resnet")
    )
    return Twin("plain", plain), Twin("residual", residual)


def train_twins(
    twins: tuple[Twin, Twin], data: tuple[Dataset, Dataset], settings: Settings
) -> Iterator[tuple[Twin, Record]]:
    """Train both in turn, a step each, on the same batches; yields each record with the twin it belongs to."""
    runs = [(twin, train(twin.model, data, settings)) for twin in twins]
    for records in zip(*(run for _, run in runs), strict=True):
        for twin, record in zip(twins, records, strict=True):
            twin.records.append(record)
            if record["kind"] == "step":
                twin.last_grad_norms = convolution_grad_norms(twin.model)
                twin.first_grad_norms = twin.first_grad_norms or twin.last_grad_norms
            yield twin, record


def convolution_grad_norms(model: ResNet) -> dict[str, float]:
    """The norm of every convolution's weight gradient, by path, from the first layer to the last."""
    grads = {path: layer.weight.grad for path, layer in model.named_layers() if isinstance(layer, Conv2d)}
    norms = np.sqrt(fetch(squared_sums(list(grads.values())))[0])
    return dict(zip(grads, norms.tolist(), strict=True))
