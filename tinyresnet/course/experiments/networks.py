"""What all experiments share: small plain, residual and pre-activation networks, the pictures they see, and how one is trained."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyresnet_kernels.cpu.threads import set_threads

from ...data import Dataset, load
from ...nonfinite import NonFiniteError
from ...resnet import ResNet, build
from ...train import Settings, train
from ...twins import convolution_grad_norms
from ...weights import save
from .results import rounded

FAMILIES = {"plain": "plain", "residual": "resnet", "preact": "preact_resnet"}
DEPTHS = (8, 20, 32, 56)


@dataclass(frozen=True)
class Budget:
    """The size of an experiment: what every network in it gets alike."""

    data: str = "shapes"
    train_size: int = 4000
    test_size: int = 1000
    picture_size: int = 16
    width: int = 8
    batch_size: int = 128

    def load(self) -> tuple[Dataset, Dataset]:
        """The training and the test set."""
        return load(
            self.data, train_size=self.train_size, test_size=self.test_size, picture_size=self.picture_size, seed=0
        )

    def network(self, kind: str, depth: int, seed: int, data: Dataset) -> ResNet:
        """A network whose first weights depend on depth and seed alone: shortcut A draws none of its own."""
        return build(
            f"{FAMILIES[kind]}{depth}",
            width=self.width,
            num_classes=len(data.classes),
            in_channels=data.x.shape[1],
            shortcut="A",
            rng=np.random.default_rng(seed),
        )

    def as_dict(self) -> dict[str, Any]:
        """For the file of results, without the folder that the data happened to be in."""
        return vars(self) | {"data": Path(self.data).name}


@dataclass
class Trained:
    """A network after its training, and what was recorded on the way. What is not finite is infinity."""

    model: ResNet
    losses: list[float] = field(default_factory=list)  # of every step
    epochs: list[dict[str, Any]] = field(default_factory=list)
    first_grad_norms: dict[str, float] = field(default_factory=dict)  # of every convolution's weight, in the first step
    last_grad_norms: dict[str, float] = field(default_factory=dict)  # and in the last
    seconds: float = 0.0

    def last(self, name: str) -> float:
        """A figure of the last epoch, such as "train_loss" (the mean over its batches, as they were met) or "val_top1"."""
        return float(self.epochs[-1][name]) if self.epochs else float("inf")

    def figures(self) -> dict[str, Any]:
        """What a file of results keeps of every run."""
        figures = {
            "train_loss": self.last("train_loss"),
            "train_error": 1 - self.last("train_top1"),
            "test_loss": self.last("val_loss"),
            "test_error": 1 - self.last("val_top1"),
            "seconds": self.seconds,
        }
        return rounded(figures)  # type: ignore[no-any-return]


def train_one(
    model: ResNet, data: tuple[Dataset, Dataset], settings: Settings, tell: Callable[[str], object] = lambda line: None
) -> Trained:
    """Train the model in place. A run in which a number overflows ends there, without a figure for it."""
    made, started = Trained(model), time.perf_counter()
    try:
        for record in train(model, data, settings):
            if record["kind"] == "step":
                made.losses.append(record["loss"])
                if record["step"] == 1:
                    made.first_grad_norms = convolution_grad_norms(model)
            elif record["kind"] == "epoch":
                made.epochs.append(dict(record))
                tell(f"epoch {record['epoch'] + 1}: loss {record['train_loss']:.3f}, test {record['val_top1']:.1%}")
        made.last_grad_norms = convolution_grad_norms(model)
    except NonFiniteError:
        made.epochs = []
    made.seconds = time.perf_counter() - started
    return made


def kept_at(folder: Path, kind: str, depth: int) -> Path:
    """Where the trained network of seed 0 is kept."""
    return folder / f"{kind}{depth}.safetensors"


def keep(model: ResNet, folder: Path, kind: str, depth: int) -> None:
    """Keep a trained network."""
    folder.mkdir(parents=True, exist_ok=True)
    save(kept_at(folder, kind, depth), model)


def blocks_of_mean(values: list[float], count: int) -> list[float]:
    """A curve in `count` points, each the mean over an equal part of the values: a small file, and less noise."""
    return [float(part.mean()) for part in np.array_split(np.array(values), min(count, len(values)))]


def add_budget_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that make a Budget, and --threads."""
    default = Budget()
    parser.add_argument(
        "--data", default="shapes", metavar="SPEC", help="shapes, or the path of a data set (default: shapes)"
    )
    for name, help_text in (
        ("train_size", "training pictures"),
        ("test_size", "test pictures"),
        ("picture_size", "pixels a side"),
        ("width", "channels of the first stage"),
        ("batch_size", "pictures a step"),
    ):
        value = getattr(default, name)
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=int, default=value, metavar="N", help=f"{help_text} (default: {value})")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the kernels (default: all processors)")


def budget(args: argparse.Namespace) -> Budget:
    """The Budget that the arguments say."""
    if args.threads:
        set_threads(args.threads)
    return Budget(**{name: getattr(args, name) for name in vars(Budget())})


def command(experiment: str, flags: Mapping[str, Any]) -> str:
    """The command that makes a file of results again."""
    words = []
    for name, value in flags.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        words.append(f"--{name.replace('_', '-')} {text}")
    return f"python -m tinyresnet.course.experiments.{experiment} {' '.join(words)} --out FILE"


def tell(line: str) -> None:
    """A line of progress."""
    print(line, file=sys.stderr, flush=True)
