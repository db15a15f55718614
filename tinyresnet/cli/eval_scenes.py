"""`tinyresnet eval` of a detector or a segmenter: its figures in tables, and pictures of what it found."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from . import arguments, console

if TYPE_CHECKING:
    from ..average_precision import DetectionEvaluation
    from ..data import SceneSet
    from ..detect import Detector
    from ..pixel_metrics import PixelEvaluation
    from ..segment import Segmenter
    from ..weights import Header

DRAWN = 6  # pictures in a plot


def run(args: argparse.Namespace, model: Detector | Segmenter, header: Header) -> int:
    """Evaluate; the exit code."""
    from ..average_precision import DetectionEvaluation
    from ..data.batches import prefetch
    from ..data.scene_batches import scene_eval_batches
    from ..detect import Detector
    from ..device import move
    from ..tasks.detect import evaluate_detector
    from ..tasks.segment import evaluate_segmenter

    move(model, args.device)
    data = _load(args, model, header)
    normalize = arguments.normalization(args.normalize, header)
    normalize = normalize or arguments.Normalization(data.mean, data.std, f"mean and std of {data.name}")
    arguments.check_channels(model, normalize, data.shape[1], data.name)
    size = args.batch_size or arguments.default_batch_size(*data.shape[2:])
    began = time.perf_counter()
    batches = prefetch(scene_eval_batches(data, size, normalize.mean, normalize.std))
    found: DetectionEvaluation | PixelEvaluation
    with console.progress(len(data), "evaluating", unit="pictures") as bar:
        if isinstance(model, Detector):
            found = evaluate_detector(model, batches, data, bar.update)
        else:
            found = evaluate_segmenter(model, batches, data.classes, bar.update)
    speed = len(data) / (time.perf_counter() - began)
    print(f"normalisation: {normalize.source}", file=sys.stderr)
    title = f"{model.config.name}, {len(data):,} {args.split} pictures of {data.name}"
    if args.json:
        about = {"model": model.config.name, "data": data.name, "split": args.split, "normalize": normalize.source}
        console.print_json(about | found.as_dict() | {"pictures_per_second": round(speed, 1)})
    elif isinstance(found, DetectionEvaluation):
        _show_boxes(found, title, speed)
    else:
        _show_pixels(found, title, speed)
    if args.plot:
        from ..files import replacing
        from ..tasks.sheet import picture_sheet

        sheet, _ = picture_sheet(model, data, np.arange(min(DRAWN, len(data))), normalize.mean, normalize.std)
        with replacing(args.plot) as beside:
            sheet.save(beside, format="PNG")
        print(f"what was found in the first pictures: {args.plot}", file=sys.stderr)
    return 0


def _load(args: argparse.Namespace, model: Detector | Segmenter, header: Header) -> SceneSet:
    """The scenes to evaluate on. Raises InputError if their classes are not the model's."""
    from ..data import load_scenes
    from ..detect import Detector

    spec = args.data or arguments.recorded(header, "about", "data", str)
    if spec is None:
        raise InputError(f"{args.weights} does not say what it was trained on: give --data")
    seed = (arguments.recorded(header, "settings", "seed", int) or 0) if args.seed is None else args.seed
    train, test = load_scenes(
        spec,
        task="detect" if isinstance(model, Detector) else "segment",
        train_size=args.limit if args.split == "train" else 1,
        test_size=args.limit if args.split == "test" else 1,
        picture_size=arguments.checked_size(args.picture_size or header.picture_size or model.picture_size),
        seed=seed,
        skip_bad=args.skip_bad,
        progress=console.is_terminal(sys.stderr),
    )
    chosen = train if args.split == "train" else test
    for reason, count in chosen.skipped.items():
        print(f"left out of {chosen.name}: {count} x {reason}", file=sys.stderr)
    if len(chosen.classes) != model.config.num_classes:
        raise InputError(
            f"{chosen.name} has {len(chosen.classes)} classes, but the model knows {model.config.num_classes}"
        )
    if header.classes and header.classes != chosen.classes:
        if set(header.classes) == set(chosen.classes):
            raise InputError(
                f"{chosen.name} has the model's classes in another order: its records number them otherwise"
            )
        theirs, ours = ", ".join(header.classes[:3]), ", ".join(chosen.classes[:3])
        print(f"note: the weights name classes {theirs}, ..., the data {ours}, ...: matched by number", file=sys.stderr)
        return dataclasses.replace(chosen, classes=header.classes)
    return chosen


def _show_boxes(found: DetectionEvaluation, title: str, speed: float) -> None:
    rows = [
        ("AP", _percent(found.ap)),
        ("AP50", _percent(found.ap50)),
        ("AP75", _percent(found.ap75)),
        *((f"AP {size}", _percent(getattr(found, f"ap_{size}"))) for size in ("small", "medium", "large")),
        ("recall of 100 boxes", _percent(found.ar_100)),
        ("pictures/s", f"{speed:,.0f}"),
    ]
    console.table(title, ("", ""), rows)
    per_class = [(r.name, _percent(r.ap), _percent(r.ap50), _percent(r.recall), r.count) for r in found.per_class]
    console.table("every class", ("class", "AP", "AP50", "recall at IoU 0.50", "objects"), per_class)


def _show_pixels(found: PixelEvaluation, title: str, speed: float) -> None:
    rows = [
        ("mean IoU", _percent(found.mean_iou)),
        ("pixel accuracy", _percent(found.pixel_accuracy)),
        *([("loss", f"{found.loss:.4f}")] if found.loss is not None else []),
        ("pictures/s", f"{speed:,.0f}"),
    ]
    console.table(title, ("", ""), rows)
    shares = found.confusion.sum(axis=1) / found.confusion.sum()
    per_class = [
        (name, _percent(iou), _percent(float(share)))
        for name, iou, share in zip(found.classes, found.iou, shares, strict=True)
    ]
    console.table("every class", ("class", "IoU", "share of the pixels"), per_class)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f} %"
