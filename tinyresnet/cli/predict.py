"""`tinyresnet predict`: what is in a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from . import arguments, console

if TYPE_CHECKING:
    from tinyresnet_kernels import Array

    from ..resnet import ResNet
    from ..weights import Header

HELP = "say what is in pictures of any size: the best classes, the objects found, or every pixel's class"
EXAMPLE = """\
examples:
  tinyresnet predict --weights runs/resnet20-shapes cat.png dog.jpg
  tinyresnet predict --weights other.safetensors --model resnet20 --normalize imagenet --classes cat,dog cat.png --json
  tinyresnet predict --task detect drawing.png --out annotated.png          with the weights that are built in
  tinyresnet predict --weights runs/segment-resnet8-shapes drawing.png --out annotated.png
"""
BAR = 20  # characters of a probability of 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    arguments.add_network_arguments(parser)
    arguments.add_device_argument(parser)
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="JPEG, PNG, BMP, GIF or WebP")
    parser.add_argument("--classes", metavar="A,B,C", help="class names (default: what the file says, else numbers)")
    parser.add_argument(
        "--threshold", type=arguments.fraction, default=0.3, metavar="P", help="detect: the least score (default: 0.3)"
    )
    parser.add_argument(
        "-o",
        "--out",
        "--plot",
        dest="plot",
        type=arguments.png,
        metavar="FILE.png",
        help="draw the pictures and what was found",
    )
    parser.add_argument("--json", action="store_true", help="print the classes as JSON")


def run(args: argparse.Namespace) -> int:
    """Predict; the exit code."""
    from ..data import normalize
    from ..device import move
    from ..evaluate import logits_of, softmax
    from ..resnet import ResNet

    model, header = arguments.network(args)
    if not isinstance(model, ResNet):
        from .predict_scenes import run as run_scenes

        return run_scenes(args, model, header)
    move(model, args.device)
    classes = _classes(args.classes, model, header)
    norm = arguments.normalization(args.normalize, header)
    if norm is None:
        raise InputError(f"{args.weights} does not say how pictures were normalised: give --normalize, e.g. imagenet")
    arguments.check_channels(model, norm, model.config.in_channels, "a picture")
    size = arguments.checked_size(args.picture_size or header.picture_size or model.picture_size)
    pictures = _read(args.pictures, size, model.config.in_channels)  # all of them first: a broken one stops it here

    step = arguments.default_batch_size(size, size)
    parts = [
        softmax(logits_of(model, normalize(pictures[i : i + step], norm.mean, norm.std)))
        for i in range(0, len(pictures), step)
    ]
    p = np.concatenate(parts)
    best = np.argsort(-p, axis=1, kind="stable")[:, :5]
    found = [[(classes[k], int(k), float(p[n, k])) for k in row] for n, row in enumerate(best)]
    if args.json:
        rows = [
            {"picture": name, "best": [{"class": c, "index": k, "probability": round(v, 6)} for c, k, v in row]}
            for name, row in zip(args.pictures, found, strict=True)
        ]
        console.print_json({"model": model.config.name, "normalize": norm.source, "pictures": rows})
    else:
        for name, row in zip(args.pictures, found, strict=True):
            lines = [(c, f"{100 * v:.1f} %", "#" * round(BAR * v)) for c, _, v in row]
            console.table(name, ("class", "probability", ""), lines)
    if args.plot:
        from .. import plots

        named = [[(c, v) for c, _, v in row] for row in found]
        plots.save_png(plots.predictions(pictures, args.pictures, named), args.plot)
        print(f"plot: {args.plot}", file=sys.stderr)
    return 0


def _classes(given: str | None, model: ResNet, header: Header) -> tuple[str, ...]:
    K = model.config.num_classes
    if given is None:
        return header.classes or tuple(str(k) for k in range(K))
    classes = tuple(name.strip() for name in given.split(","))
    if len(classes) != K:
        raise InputError(f"--classes names {len(classes)} classes, but the model's head has {K}")
    return classes


def _read(names: list[str], size: int, channels: int) -> Array:
    """The pictures (N, channels, size, size) uint8."""
    from ..data import read_picture

    if channels not in (1, 3):
        raise InputError(f"the model is made for {channels} channels: pictures have 1 (grey) or 3 (colour)")
    for name in names:
        if Path(name).is_dir():
            raise InputError(f"{name} is a folder: name the pictures in it")
    return np.stack([read_picture(Path(name), size, channels) for name in names])
