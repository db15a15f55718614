"""`tinyresnet eval`: how good a network is on a data set."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from . import arguments, console

if TYPE_CHECKING:
    from ..data import Dataset
    from ..evaluate import Evaluation
    from ..resnet import ResNet
    from ..weights import Header

HELP = "measure a classifier, detector or segmenter on a data set: overall, and every class"
EXAMPLE = """\
examples:
  tinyresnet eval --weights runs/resnet20-shapes
  tinyresnet eval --model resnet20 --weights other.safetensors --data cifar10 --normalize imagenet --plot confusion.png
  tinyresnet eval --task detect --limit 200 --plot found.png                with the weights that are built in
  tinyresnet eval --weights runs/segment-resnet8-shapes --plot found.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    arguments.add_network_arguments(parser)
    arguments.add_device_argument(parser)
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="shapes, digits, cifar10, cifar100, or a path (default: what it was trained on)",
    )
    parser.add_argument("--split", choices=("test", "train"), default="test", help="which part of it (default: test)")
    parser.add_argument("--limit", type=arguments.positive, metavar="N", help="only the first N pictures")
    parser.add_argument(
        "--seed", type=int, help="draws shapes, and splits a folder without test (default: the training's)"
    )
    parser.add_argument(
        "--batch-size", type=arguments.positive, metavar="N", help="default: 128, fewer of large pictures"
    )
    parser.add_argument(
        "--plot",
        type=arguments.png,
        metavar="FILE.png",
        help="draw the confusion matrix; of a detector or segmenter, what it found",
    )
    parser.add_argument("--skip-bad", action="store_true", help="detect, segment: leave bad records out and count them")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Evaluate; the exit code."""
    from ..data import eval_batches, prefetch
    from ..device import move
    from ..evaluate import evaluate
    from ..resnet import ResNet

    model, header = arguments.network(args)
    if not isinstance(model, ResNet):
        from .eval_scenes import run as run_scenes

        return run_scenes(args, model, header)
    move(model, args.device)
    data = _load(args, model, header)
    normalize = arguments.normalization(args.normalize, header)
    normalize = normalize or arguments.Normalization(data.mean, data.std, f"mean and std of {data.name}")
    arguments.check_channels(model, normalize, data.x.shape[1], data.name)
    size = args.batch_size or arguments.default_batch_size(*data.x.shape[2:])

    began = time.perf_counter()
    batches = prefetch(eval_batches(data, batch_size=size, mean=normalize.mean, std=normalize.std))
    with console.progress(len(data), "evaluating", unit="pictures") as bar:
        found = evaluate(model, batches, data.classes, progress=bar.update)
    speed = found.count / (time.perf_counter() - began)
    print(f"normalisation: {normalize.source}", file=sys.stderr)

    if args.json:
        about = {"model": model.config.name, "data": data.name, "split": args.split, "normalize": normalize.source}
        console.print_json(about | found.as_dict() | {"pictures_per_second": round(speed, 1)})
    else:
        _show(found, f"{model.config.name} on {found.count:,} {args.split} pictures of {data.name}", speed)
    if args.plot:
        from .. import plots

        plots.save_png(plots.confusion_matrix(found), args.plot)
        print(f"confusion matrix: {args.plot}", file=sys.stderr)
    return 0


def _load(args: argparse.Namespace, model: ResNet, header: Header) -> Dataset:
    """The pictures to evaluate on, with their labels numbered as the model numbers them."""
    from .. import data

    spec = args.data or arguments.recorded(header, "about", "data", str)
    if spec is None:
        raise InputError(f"{args.weights} does not say what it was trained on: give --data")
    seed = (arguments.recorded(header, "settings", "seed", int) or 0) if args.seed is None else args.seed
    native = model.picture_size if Path(spec).is_dir() else None  # files of any size must be brought to one
    train, test = data.load(
        spec,
        train_size=args.limit if args.split == "train" else 1,
        test_size=args.limit if args.split == "test" else 1,
        picture_size=arguments.checked_size(args.picture_size or header.picture_size or native),
        seed=seed,
        progress=console.is_terminal(sys.stderr),
    )
    chosen = train if args.split == "train" else test
    K = model.config.num_classes
    if len(chosen.classes) != K:
        raise InputError(f"{chosen.name} has {len(chosen.classes)} classes, but the model's head has {K}")
    return _named(chosen, header.classes)


def _named(data: Dataset, classes: tuple[str, ...]) -> Dataset:
    """The data with `classes`, the names in the weight file, if there are any.

    The same names in another order mean other numbers: the labels are changed to those of the model.
    """
    import numpy as np

    if not classes or classes == data.classes:
        return data
    if set(classes) == set(data.classes):
        number = np.array([classes.index(name) for name in data.classes])
        return dataclasses.replace(data, y=number[data.y], classes=classes)
    if data.classes != tuple(str(label) for label in range(len(classes))):
        theirs, ours = ", ".join(classes[:3]), ", ".join(data.classes[:3])
        print(f"note: the weights name classes {theirs}, ..., the data {ours}, ...: matched by number", file=sys.stderr)
    return dataclasses.replace(data, classes=classes)


def _show(found: Evaluation, title: str, speed: float) -> None:
    rows = [
        ("top-1", _percent(found.top1)),
        *([("top-5", _percent(found.top5))] if found.top5 is not None else []),
        ("loss", f"{found.loss:.4f}"),
        ("pictures/s", f"{speed:,.0f}"),
    ]
    console.table(title, ("", ""), rows)
    per_class = [(row.name, _percent(row.precision), _percent(row.recall), row.count) for row in found.per_class]
    console.table("every class", ("class", "precision", "recall", "pictures"), per_class)
    if confused := found.most_confused():
        console.table("most often confused", ("true", "predicted", "pictures"), confused)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f} %"
