"""Arguments that several commands share, and what they lead to: a normalisation, a batch size."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..device import DEVICES
from ..errors import InputError, unknown

if TYPE_CHECKING:
    from ..models import Model
    from ..weights import Header

MAX_SIZE = 4096
TASKS = ("classify", "detect", "segment")
Size = TypeVar("Size", bound=int | None)
T = TypeVar("T")


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """--weights, --task, --model and --normalize."""
    parser.add_argument("--weights", metavar="FILE", help="safetensors file, or the folder of a run")
    parser.add_argument(
        "--task",
        choices=TASKS,
        help="what the weights are for (default: what the file says); detect and segment have small weights built in",
    )
    parser.add_argument("--model", metavar="NAME", help="e.g. resnet20; only for files that do not say it themselves")
    parser.add_argument(
        "--normalize",
        metavar="NAME",
        help="how pixels are normalised: imagenet, cifar10, cifar100, half or none (default: what the file says)",
    )
    parser.add_argument("--picture-size", type=positive, metavar="N", help="pixels (default: what the file says)")


def network(args: argparse.Namespace) -> tuple[Model, Header]:
    """The network of --weights, or the built-in one of --task, and its header. Raises InputError if neither is given or they do not fit."""
    from ..resnet import ResNet
    from ..trained import built_in
    from ..weights import read_model

    if args.weights is None:
        if args.task not in ("detect", "segment"):
            raise InputError("no weights: give --weights FILE, or --task detect or segment for those that are built in")
        return built_in(args.task)
    model, header = read_model(args.weights, args.model)
    task = "classify" if isinstance(model, ResNet) else model.config.as_dict()["task"]
    if args.task not in (None, task):
        raise InputError(f"{args.weights}: these are weights to {task}, not to {args.task}")
    return model, header


def add_device_argument(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """--device."""
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="cuda: an NVIDIA GPU, with the extra cuda12 or cuda13 (default: cpu)",
    )


def positive(text: str) -> int:
    """A whole number of 1 or more, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return value


def fraction(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def png(text: str) -> Path:
    """A path that ends in .png, for argparse."""
    if Path(text).suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png")
    return Path(text)


def recorded(header: Header, part: str, key: str, kind: type[T]) -> T | None:
    """What a run noted in the header's `extra` under part and key, if it did and the value is of this kind."""
    values = header.extra.get(part)
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if isinstance(value, kind) else None


def checked_size(size: Size) -> Size:
    """`size`, the pixels that pictures are brought to (None: as they are). Raises InputError if it is absurd."""
    if size is not None and not 1 <= size <= MAX_SIZE:
        raise InputError(f"the picture size is {size}: 1 to {MAX_SIZE} is wanted")
    return size


class Normalization(NamedTuple):
    """Mean and standard deviation per channel, of pixels in [0, 1], and where they come from."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str


def normalization(name: str | None, header: Header) -> Normalization | None:
    """What --normalize names, else what the file's header says; None if neither does. Raises InputError."""
    from ..data import NORMALIZE

    if name is not None:
        if name not in NORMALIZE:
            raise unknown("normalisation", name, NORMALIZE)
        return Normalization(*NORMALIZE[name], f"{name} (--normalize)")
    try:
        known = header.normalization()
    except InputError as error:
        raise InputError(f"{error}; give --normalize") from error
    return Normalization(*known, "as the weight file says") if known else None


def check_channels(model: Model, normalize: Normalization, channels: int, what: str) -> None:
    """Raise InputError unless the model and the normalisation are made for `what`'s number of channels."""
    if model.config.in_channels != channels:
        raise InputError(f"{what} has {channels} channels, but the model is made for {model.config.in_channels}")
    if not {len(normalize.mean), len(normalize.std)} <= {1, channels}:
        counts = f"{len(normalize.mean)} means and {len(normalize.std)} standard deviations"
        raise InputError(f"{what} has {channels} channels, but the normalisation has {counts}: give --normalize")


def default_batch_size(height: int, width: int) -> int:
    """128 pictures of 32 x 32, fewer of larger ones, so that the memory stays about the same."""
    return max(1, min(128, 128 * 32 * 32 // (height * width)))
