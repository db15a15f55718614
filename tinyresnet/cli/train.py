"""`tinyresnet train`: train a classifier, a detector or a segmenter; keep its best weights, its log and its curves."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import arguments

if TYPE_CHECKING:
    from ..models import Model
    from ..run_folder import Record, RunFolder
    from ..train import Settings

HELP = "train a classifier, a detector or a segmenter on built-in shapes or data of your own"
EXAMPLE = """\
examples:
  tinyresnet train                                         resnet20 on the built-in shapes
  tinyresnet train --data digits --epochs 30               handwritten digits
  tinyresnet train --model resnet32 --data my_pictures/    my_pictures/train/CLASS/*.jpg
  tinyresnet train --data cifar10 --epochs 30 --crop 4 --flip --out runs/cifar
  tinyresnet train --resume runs/cifar                     go on where it stopped, to the same bits
  tinyresnet train --task segment                          a class for every pixel of drawn scenes
  tinyresnet train --task detect --data my_coco/ --backbone runs/resnet20-shapes --model resnet20
"""
MODEL = (
    "task",
    "model",
    "width",
    "shortcut",
    "dropout",
    "zero_init_residual",
    "head",
    "channels",
    "output_stride",
    "backbone",
)
DATA = ("data", "train_size", "test_size", "picture_size", "endless", "skip_bad")
AUGMENT = ("crop", "flip", "cutout", "mixup", "jitter")
SCENE_AUGMENT = ("crop", "flip", "scale", "jitter", "paste")
ADAMW = {"model": "resnet8", "optimiser": "adamw", "weight_decay": 0.01, "flip": True}
SCENES: dict[str, dict[str, Any]] = {  # what is not given
    "detect": {**ADAMW, "batch_size": 16, "lr": 0.006, "epochs": 4},
    "segment": {**ADAMW, "batch_size": 8, "lr": 0.01, "epochs": 5},
}
PASTE = {"detect": 2, "segment": 3}  # for drawn scenes, which have masks
METRICS = {"classify": ("top1", "accuracy"), "segment": ("mean_iou", "mean IoU"), "detect": ("ap50", "AP50")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments; a default of None means: as the library has it."""
    run = parser.add_argument_group("the run")
    run.add_argument(
        "--task", choices=tuple(METRICS), default="classify", help="what is learned of the pictures (default: classify)"
    )
    run.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for weights, log and curves (default: runs/[TASK-]MODEL-DATA)"
    )
    run.add_argument("--resume", type=Path, metavar="DIR", help="go on with the run in DIR; all its settings are kept")
    run.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="passes over the training set (default: 10; of scenes 4 to detect, 5 to segment)",
    )
    run.add_argument("--steps", type=int, metavar="N", help="stop after N updates, instead of --epochs")
    run.add_argument("--seed", type=int, metavar="N", help="first weights, order and augmentation (default: 0)")
    run.add_argument("--save-seconds", type=float, metavar="S", help="longest time between checkpoints (default: 60)")
    run.add_argument(
        "--no-fuse", dest="fuse", action="store_const", const=False, help="run the readable layers one by one; slower"
    )
    arguments.add_device_argument(run)
    run.add_argument("--json", action="store_true", help="print every record as a line of JSON")

    model = parser.add_argument_group("the network")
    model.add_argument(
        "--model",
        metavar="NAME",
        help="e.g. resnet20, plain20, preact_resnet20, resnet18 (default: resnet20; under a detector or segmenter resnet8)",
    )
    model.add_argument("--width", type=int, metavar="C", help="channels of the first stage (default: the model's own)")
    model.add_argument("--shortcut", metavar="A|B|C|D", help="how blocks change shape (default: the model's own)")
    model.add_argument(
        "--dropout", type=float, default=0.0, metavar="P", help="drop with probability P before the last layer"
    )
    model.add_argument("--zero-init-residual", action="store_true", help="start every block as its shortcut alone")
    model.add_argument(
        "--backbone",
        metavar="FILE",
        help="detect, segment: start from a classifier's weights (a file or the folder of a run)",
    )
    model.add_argument(
        "--head", choices=("fpn", "fcn"), help="segment: feature pyramid or transposed convolutions (default: fpn)"
    )
    model.add_argument("--channels", type=int, metavar="C", help="detect, segment: channels of the head (default: 32)")
    model.add_argument(
        "--output-stride",
        type=int,
        metavar="S",
        help="detect, segment: the backbone's largest stride, kept by dilation",
    )

    data = parser.add_argument_group("the data")
    data.add_argument(
        "--data", default="shapes", metavar="SPEC", help="a source (see `tinyresnet data`) or a path (default: shapes)"
    )
    data.add_argument("--train-size", type=int, metavar="N", help="use the first N training pictures")
    data.add_argument("--test-size", type=int, metavar="N", help="use the first N test pictures")
    data.add_argument("--picture-size", type=int, metavar="S", help="resize pictures to S x S")
    data.add_argument("--endless", action="store_true", help="shapes only: never the same picture twice")
    data.add_argument("--crop", type=int, metavar="P", help="pad by P pixels and crop at random")
    data.add_argument("--scale", type=float, metavar="S", help="detect, segment: enlarge or shrink by up to a share S")
    data.add_argument(
        "--paste",
        type=int,
        metavar="N",
        help="detect, segment: lay the objects of N other scenes over each, by their masks (default: 0; of shapes 2, 3)",
    )
    data.add_argument("--skip-bad", action="store_true", help="detect, segment: leave bad records out and count them")
    data.add_argument("--flip", action="store_const", const=True, help="mirror half of the pictures")
    data.add_argument("--cutout", type=int, metavar="S", help="blank an S x S square")
    data.add_argument("--mixup", type=float, metavar="A", help="blend pairs of pictures, alpha A")
    data.add_argument("--jitter", type=float, metavar="J", help="vary brightness, contrast, saturation by up to J")

    how = parser.add_argument_group("the optimisation")
    how.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="pictures a step (default: 128; of scenes 16 to detect, 8 to segment)",
    )
    how.add_argument("--optimiser", metavar="NAME", help="sgd or adamw (default: sgd; on scenes adamw)")
    how.add_argument(
        "--lr",
        type=float,
        metavar="LR",
        help="highest learning rate (default: 0.1 for sgd, 0.001 for adamw; on scenes 0.006 to detect, 0.01 to segment)",
    )
    how.add_argument("--schedule", metavar="NAME", help="onecycle, multistep, cosine or constant (default: onecycle)")
    how.add_argument("--warmup", type=int, metavar="N", help="steps of rising learning rate")
    how.add_argument("--momentum", type=float, metavar="M", help="of sgd (default: 0.9)")
    how.add_argument("--nesterov", action="store_const", const=True, help="Nesterov's momentum")
    how.add_argument("--weight-decay", type=float, metavar="W", help="(default: 1e-4; on scenes 0.01)")
    how.add_argument(
        "--decay-all", action="store_const", const=True, help="decay batch norm's parameters and biases too"
    )
    how.add_argument("--clip", type=float, metavar="G", help="largest joint norm of the gradients")
    how.add_argument(
        "--label-smoothing", type=float, metavar="S", help="share of the uniform distribution in the labels"
    )


def run(args: argparse.Namespace) -> int:
    """Train; exit code 1 when a NaN or an infinity stopped the run."""
    from ..device import array_library, move
    from ..nonfinite import NonFiniteError
    from ..run_folder import RunFolder
    from ..train import train

    array_library(args.device)  # complains now rather than after a download
    settings, about, folder = _started(args) if args.resume else _new(args)
    data = _load(about)
    for part in data:
        for reason, count in getattr(part, "skipped", {}).items():
            print(f"left out of {part.name}: {count} x {reason}", file=sys.stderr)
    model = move(_model(about, data[0], settings.seed, fresh=not args.resume), args.device)
    run_folder = RunFolder(folder)
    with _finish_step_on_interrupt() as interrupted:
        records = train(
            model,
            data,
            settings,
            run=run_folder,
            resume=args.resume is not None,
            about=about,
            stop=lambda: bool(interrupted),
        )
        try:
            title = f"{model.config.name} on {about['data']}"
            return _show(records, args, about["task"], settings, run_folder, title)
        except NonFiniteError as error:
            return _say_nonfinite(str(error), run_folder)


def _load(about: dict[str, Any]) -> tuple[Any, Any]:
    """Training and test set."""
    from ..data import load, load_scenes

    sizes = {name: about[name] for name in ("train_size", "test_size", "picture_size", "endless")}
    if about["task"] == "classify":
        return load(about["data"], **sizes, progress=True)
    return load_scenes(about["data"], task=about["task"], **sizes, skip_bad=about["skip_bad"], progress=True)


def _model(about: dict[str, Any], data: Any, seed: int, *, fresh: bool) -> Model:
    """The network to train; `fresh`: with the classifier's weights in its backbone, if any were named."""
    import numpy as np

    from ..detect import DetectorConfig
    from ..models import load_backbone, make
    from ..resnet import Config, build
    from ..segment import SegmenterConfig
    from ..weights import read_network

    rng = np.random.default_rng(seed)
    sizes = (len(data.classes), data.shape[1], about["width"], about["shortcut"])
    if about["task"] == "classify":
        config = Config(about["model"], *sizes, about["dropout"])
        return build(**config.as_dict(), zero_init_residual=about["zero_init_residual"], rng=rng)
    given = {name: about[name] for name in ("channels", "output_stride") if about[name] is not None}
    if about["task"] == "segment" and about["head"] is not None:
        given["head"] = about["head"]
    kinds: dict[str, type[DetectorConfig | SegmenterConfig]] = {"detect": DetectorConfig, "segment": SegmenterConfig}
    made = kinds[about["task"]](Config(about["model"], *sizes), **given)
    model = make(made, rng)
    if about["backbone"] and fresh:
        classifier, _ = read_network(about["backbone"])
        try:
            load_backbone(model, classifier.state_dict())
        except InputError as error:
            raise InputError(f"--backbone {about['backbone']} ({classifier.config.name}): {error}") from error
    return model


def _new(args: argparse.Namespace) -> tuple[Settings, dict[str, Any], Path]:
    """Settings, what the checkpoint tells of model and data, and the folder of a new run."""
    from ..data import Augment, SceneAugment
    from ..train import Settings

    scenes = args.task != "classify"
    _check_task(args)
    given = {name: value for name, value in vars(args).items() if value is not None}
    given = {"model": "resnet20", **SCENES.get(args.task, {}), **given}
    if scenes and args.data == "shapes":
        given.setdefault("paste", PASTE[args.task])
    if given.get("optimiser") == "adamw" and not scenes:
        given.setdefault("lr", 0.001)
    if given.get("optimiser") == "sgd" and scenes and args.lr is None:
        given["lr"] = 0.02
    fields = {field.name for field in dataclasses.fields(Settings)}
    changes = {name: given[name] for name in (SCENE_AUGMENT if scenes else AUGMENT) if name in given}
    augment = {"scene_augment": SceneAugment(**changes)} if scenes else {"augment": Augment(**changes)}
    settings = Settings(**{name: value for name, value in given.items() if name in fields}, **augment)
    about = {name: getattr(args, name) for name in MODEL + DATA} | {"model": given["model"]}
    for name in ("data", "backbone"):
        if about[name] and Path(about[name]).exists():
            about[name] = str(Path(about[name]).resolve())
    prefix = f"{args.task}-" if scenes else ""
    return settings, about, args.out or _free_folder(f"{prefix}{given['model']}-{Path(args.data).name.split('.')[0]}")


def _check_task(args: argparse.Namespace) -> None:
    """Raise InputError on an option that the task has no use for."""
    only = {
        "backbone": ("detect", "segment"),
        "channels": ("detect", "segment"),
        "output_stride": ("detect", "segment"),
        "scale": ("detect", "segment"),
        "paste": ("detect", "segment"),
        "skip_bad": ("detect", "segment"),
        "head": ("segment",),
        **dict.fromkeys(("dropout", "zero_init_residual", "cutout", "mixup", "label_smoothing"), ("classify",)),
    }
    for name, tasks in only.items():
        if getattr(args, name) and args.task not in tasks:
            raise InputError(f"--{name.replace('_', '-')} is for --task {' or '.join(tasks)}, not for {args.task}")


def _started(args: argparse.Namespace) -> tuple[Settings, dict[str, Any], Path]:
    """The same, of the run in the folder to resume. Raises InputError if there is none, or if other settings are given too."""
    from ..data import Augment, SceneAugment
    from ..run_folder import RunFolder
    from ..train import Settings
    from ..weights import read_arrays

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    allowed = ("resume", "json", "save_seconds", "device")
    changed = [name for name, value in vars(args).items() if name not in allowed and parser.get_default(name) != value]
    changed = [name for name in changed if name in vars(parser.parse_args([]))]
    if changed:
        raise InputError(f"--{changed[0].replace('_', '-')} cannot be changed by --resume: the run keeps its settings")
    folder = RunFolder(args.resume)
    if not folder.started:
        raise InputError(f"{args.resume}: there is no run to resume ({folder.last.name} is missing)")
    _, header = read_arrays(folder.last)
    try:
        saved = dict(header.extra["settings"])
        saved["augment"] = Augment(**saved["augment"])
        saved["scene_augment"] = SceneAugment(**saved["scene_augment"])
        if args.save_seconds is not None:
            saved["save_seconds"] = args.save_seconds
        about = {name: header.extra["about"][name] for name in MODEL + DATA}
        return Settings(**saved), about, args.resume
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder.last}: not a checkpoint of `tinyresnet train`: {error}") from error


def _free_folder(name: str) -> Path:
    """runs/NAME, or runs/NAME-2, -3 ... if that is taken."""
    path, number = Path("runs") / name, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path


def _show(
    records: Iterator[Record], args: argparse.Namespace, task: str, settings: Settings, folder: RunFolder, title: str
) -> int:
    """Print the records as they come, and at the end where everything is."""
    from ..plots import curves, save_png
    from .console import progress

    best, words = METRICS[task]
    if args.json:
        for record in records:
            print(json.dumps(record), flush=True)
    else:
        print(f"{title}, to {folder.path}")
        with contextlib.ExitStack() as stack:
            for record in records:
                if record["kind"] == "start":
                    bar = stack.enter_context(progress(record["steps"], "training", start=record["step"]))
                elif record["kind"] == "step":
                    rate = settings.batch_size / record["seconds"]
                    seen = {"accuracy": record["top1"]} if task == "classify" else {}
                    bar.update(1, loss=record["loss"], **seen, images_per_s=rate)
                elif record["kind"] == "epoch":
                    print(f"epoch {record['epoch'] + 1}: {_epoch(record, task)}", flush=True)
    save_png(curves(folder.records()), folder.curves)
    if not args.json:
        if record["kind"] == "stopped":
            device = "" if args.device == "cpu" else f" --device {args.device}"
            print(f"stopped after step {record['step']}; go on with: tinyresnet train --resume {folder.path}{device}")
        else:
            print(f"best test {words} {record[f'best_{best}']:.3f}; weights: {folder.best}; curves: {folder.curves}")
            more = " --out found.png" if task != "classify" else ""
            print(f"try: tinyresnet predict --weights {folder.best} picture.png{more}")
    return 0


def _epoch(record: Record, task: str) -> str:
    """An epoch's figures in one line."""
    if task == "detect":
        losses = f"training loss {record['train_loss']:.4f} (class {record['train_class_loss']:.4f}, box {record['train_box_loss']:.4f})"
        if record["val_ap"] is None:
            return f"{losses}; the test pictures have nothing to find"
        return f"{losses}; test AP {record['val_ap']:.3f}, AP50 {record['val_ap50']:.3f}, AP75 {record['val_ap75']:.3f}"
    if task == "segment":
        learned = f"training loss {record['train_loss']:.4f}, pixels {record['train_pixel_accuracy']:.3f}"
        measured = f"mean IoU {record['val_mean_iou']:.3f}, pixels {record['val_pixel_accuracy']:.3f}"
        return f"{learned}; test loss {record['val_loss']:.4f}, {measured}"
    return (
        f"training loss {record['train_loss']:.4f}, accuracy {record['train_top1']:.3f}; "
        f"test loss {record['val_loss']:.4f}, accuracy {record['val_top1']:.3f}"
    )


def _say_nonfinite(message: str, folder: RunFolder) -> int:
    advice = f"the last checkpoint in {folder.path} is from before; a smaller --lr, --warmup or --clip may help"
    print(f"tinyresnet: stopped: {message}; {advice}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def _finish_step_on_interrupt() -> Iterator[list[int]]:
    """A list that Ctrl-C fills, so that the step under way is finished and saved; a second Ctrl-C stops at once."""
    interrupted: list[int] = []

    def note(number: int, frame: Any) -> None:
        if interrupted:
            raise KeyboardInterrupt
        interrupted.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
