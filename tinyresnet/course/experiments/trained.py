"""Trained networks for the experiments that look into them, with the budget and the learning rates of a degradation experiment."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyresnet_kernels.cpu.threads import set_threads

from ...data import Dataset, train_batches
from ...data.batches import Batch
from ...errors import InputError
from ...resnet import ResNet
from ...train import Settings
from ...weights import load
from .degradation import best_rate
from .networks import Budget, keep, kept_at, tell, train_one
from .results import read

Networks = list[tuple[str, int]]  # (kind, depth)


def add_like_arguments(parser: argparse.ArgumentParser) -> None:
    """--like, --data, --weights, --threads, --out."""
    parser.add_argument(
        "--like",
        required=True,
        type=Path,
        metavar="FILE",
        help="results of the degradation experiment, whose budget and rates are used",
    )
    parser.add_argument("--data", required=True, metavar="SPEC", help="the data set of that experiment, or its path")
    parser.add_argument(
        "--weights", type=Path, metavar="FOLDER", help="keep trained networks here, and take them from here"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the kernels (default: all processors)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file of results")


def like_flags(args: argparse.Namespace) -> dict[str, str]:
    """Of these, what belongs into the command that makes the file again, without folders."""
    return {"like": args.like.name, "data": Path(args.data).name}


def prepare(args: argparse.Namespace) -> tuple[dict[str, Any], Budget, dict[str, Any]]:
    """The results that --like names, their budget with the data found at --data, and the settings for the new file. Raises InputError."""
    if args.threads:
        set_threads(args.threads)
    held = read(args.like)
    settings = {name: value for name, value in held["settings"].items() if name not in ("grid_epochs", "rates")}
    size = replace(Budget(**{name: settings[name] for name in vars(Budget())}), data=args.data)
    if size.as_dict()["data"] != settings["data"]:
        raise InputError(f"{args.like} was made with the data {settings['data']}, not {args.data}")
    return held, size, settings


def trained(
    held: Mapping[str, Any], size: Budget, data: tuple[Dataset, Dataset], kind: str, depth: int, folder: Path | None
) -> ResNet:
    """The network of a degradation experiment with seed 0: trained again, or read from the folder."""
    model = size.network(kind, depth, 0, data[0])
    if folder and kept_at(folder, kind, depth).exists():
        load(kept_at(folder, kind, depth), model)
        return model
    rate, epochs = best_rate(held["results"], kind, depth), held["settings"]["epochs"]
    made = train_one(model, data, Settings(epochs=epochs, lr=rate, seed=0, batch_size=size.batch_size))
    tell(f"trained {kind} {depth}: loss {made.last('train_loss'):.3f} ({made.seconds:.0f} s)")
    if folder:
        keep(model, folder, kind, depth)
    return model


def some_pictures(train_set: Dataset, count: int) -> Batch:
    """The first batch of `count` training pictures, normalised."""
    batch = next(train_batches(train_set, batch_size=count, seed=0, stop_step=1))
    return batch._replace(x=np.ascontiguousarray(batch.x))
