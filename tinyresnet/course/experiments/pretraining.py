"""What a backbone brings with it: a detector and a segmenter on few scenes, from first weights and from a trained classifier's.

One classifier is trained on `shapes` pictures. On the first 50, 200, ... `shapes` scenes a segmenter (or a detector) then starts
  scratch     from first weights,
  pretrained  from the same ones, but for the backbone, which has the classifier's (`load_backbone`),
  longer      as scratch, with `LONGER` times the steps (only if --starts names it).
All else is alike. A seed draws first weights and batches; the scenes and the classifier are the same for all seeds.
The file's rows: {"task", "scenes", "start", "seed", "score", "train_loss", "seconds"}; the score is the top-1 of the classifier (its
scenes are 0), the mean IoU of a segmenter, the AP50 of a detector, on pictures that no training saw.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyresnet_kernels.cpu.threads import set_threads

from ...cli.arguments import positive
from ...data import SceneAugment, load, load_scenes
from ...detect import DetectorConfig
from ...errors import InputError, unknown
from ...models import Model, load_backbone, make
from ...resnet import Config
from ...segment import SegmenterConfig
from ...tasks import task_of
from ...train import Settings, train
from .degradation import numbers
from .networks import command, tell
from .results import Results, Row, mean_and_spread, rounded, select

BACKBONE = "resnet8"
HEADS = {"segment": SegmenterConfig, "detect": DetectorConfig}
STARTS = ("scratch", "pretrained", "longer")
LONGER = 2
CLASSIFIER = Settings(lr=0.1, batch_size=64)
SCENES = Settings(optimiser="adamw", scene_augment=SceneAugment(flip=True))  # nothing pasted
RATES = {"segment": 0.01, "detect": 0.003}  # learning rates
EXAMPLE = """\
example:
  python -m tinyresnet.course.experiments.pretraining --out pretraining.json
"""


@dataclass(frozen=True)
class Budget:
    """The size of the experiment."""

    pictures: int = 8000
    classifier_steps: int = 800
    test_scenes: int = 200
    picture_size: int = 48
    width: int = 8
    channels: int = 16
    steps: int = 200
    batch_size: int = 8


HELP = {
    "pictures": "pictures of 32 x 32 for the classifier",
    "classifier_steps": "its updates",
    "test_scenes": "scenes to measure on",
    "picture_size": "pixels a side of a scene",
    "width": "channels of the backbone's first stage",
    "channels": "channels of the feature pyramid",
    "steps": "updates on scenes",
    "batch_size": "scenes an update",
}


def classifier(size: Budget) -> tuple[Model, Row]:
    """The trained classifier, and its row."""
    data = load("shapes", train_size=size.pictures, test_size=500, picture_size=32, seed=0)
    model = make(Config(BACKBONE, len(data[0].classes), width=size.width), np.random.default_rng(0))
    row: Row = {"task": "classify", "scenes": 0, "start": "scratch", "seed": 0}
    return model, row | learn(model, data, CLASSIFIER, size.classifier_steps, 0)


def on_scenes(size: Budget, task: str, scenes: int, start: str, seed: int, arrays: Any) -> Row:
    """The row of one segmenter or detector; `arrays` are the classifier's parameters and buffers."""
    data = load_scenes(
        "shapes", task=task, train_size=scenes, test_size=size.test_scenes, picture_size=size.picture_size
    )
    backbone = Config(BACKBONE, len(data[0].classes), width=size.width)
    model = make(HEADS[task](backbone, channels=size.channels), np.random.default_rng(seed))
    if start == "pretrained":
        load_backbone(model, arrays)
    steps = size.steps * (LONGER if start == "longer" else 1)
    row: Row = {"task": task, "scenes": scenes, "start": start, "seed": seed}
    settings = Settings(**vars(SCENES) | {"batch_size": size.batch_size, "lr": RATES[task]})
    return row | learn(model, data, settings, steps, seed)


def learn(model: Model, data: tuple[Any, Any], settings: Settings, steps: int, seed: int) -> Row:
    """Train in place; score, loss of the last epoch, seconds. Few scenes make many epochs: all test scenes are looked at at the end."""
    train_set, test_set = data
    settings, loss, began = Settings(**vars(settings) | {"steps": steps, "seed": seed}), 0.0, time.perf_counter()
    for record in train(model, (train_set, test_set.head(min(8, len(test_set)))), settings):
        if record["kind"] == "epoch":
            loss = record["train_loss"]
    seconds, task = time.perf_counter() - began, task_of(model, settings)
    score = task.measure(model, test_set, train_set.mean, train_set.std)[task.best]
    found: Row = rounded({"score": score, "train_loss": loss, "seconds": seconds})
    return found


def run(size: Budget, results: Results, plan: argparse.Namespace) -> None:
    """Make every row that the results do not have yet, and the classifier first if one of them is missing."""
    wanted = [
        (task, scenes, start, seed)
        for task in plan.tasks
        for start in plan.starts
        for seed in range(plan.seeds)
        for scenes in plan.scenes
    ]
    missing = [row for row in wanted if dict(zip(results.by, row, strict=True)) not in results]
    if not missing:
        return
    model, row = classifier(size)
    results.add(row)
    tell(f"classifier: {row['score']:.1%} ({row['seconds']:.0f} s)")
    for task, scenes, start, seed in missing:
        row = on_scenes(size, task, scenes, start, seed, model.state_dict())
        results.add(row)
        tell(f"{task} on {scenes} scenes, {start}, seed {seed}: {row['score']:.3f} ({row['seconds']:.0f} s)")


def summary(rows: Iterable[Row], task: str) -> list[dict[str, Any]]:
    """By number of scenes: {"scenes", "seeds"} and of each start {"score", "gain"} as (mean, standard deviation) over the seeds.

    The gain is by how much the score is higher than from scratch with the same seed: what the seeds share drops out of it.
    """
    rows, table = list(rows), []
    for scenes in sorted({row["scenes"] for row in select(rows, task=task)}):
        by_start = {
            start: {row["seed"]: row["score"] for row in select(rows, task=task, scenes=scenes, start=start)}
            for start in STARTS
        }
        base = by_start["scratch"]
        line: dict[str, Any] = {"scenes": scenes, "seeds": len(base)}
        for start, scores in by_start.items():
            if scores:
                gains = [score - base[seed] for seed, score in scores.items() if seed in base]
                line[start] = {"score": mean_and_spread(scores.values()), "gain": mean_and_spread(gains)}
        table.append(line)
    return table


def as_table(rows: Iterable[Row]) -> str:
    """All tasks as text."""
    rows, lines = list(rows), []
    for task in HEADS:
        if table := summary(rows, task):
            lines.append(f"{task:8} scenes   start                score   gain on scratch")
        for line in table:
            for start in STARTS:
                if start in line:
                    (mean, spread), (gain, gain_spread) = line[start]["score"], line[start]["gain"]
                    cells = f"{mean:.3f} ± {spread:.3f}    {gain:+.3f} ± {gain_spread:.3f}"
                    lines.append(f"{line['scenes']:15}   {start:10} {cells}")
    return "\n".join(lines)


def names_of(what: str, known: Iterable[str]) -> Any:
    """Some of the known names with commas between, for argparse."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(str(unknown(what, name, known)))
        return names

    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment, or what is still missing of it, and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyresnet.course.experiments.pretraining",
        description="Segmenters and detectors on few scenes, with and without a trained backbone. Goes on where it was cut off.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, value in vars(Budget()).items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=positive, default=value, metavar="N", help=f"{HELP[name]} (default: {value})")
    parser.add_argument("--scenes", type=numbers(int), default=[50, 200, 800], metavar="N,...", help="training scenes")
    starts, tasks = names_of("start", STARTS), names_of("task", HEADS)
    parser.add_argument(
        "--tasks", type=tasks, default=["segment"], metavar="T,...", help="segment, detect (default: segment)"
    )
    parser.add_argument(
        "--starts",
        type=starts,
        default=["scratch", "pretrained"],
        metavar="S,...",
        help="scratch, pretrained, longer (default: the first two)",
    )
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="seeds 0 to N - 1 (default: 3)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the kernels (default: all processors)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file of results")
    args = parser.parse_args(argv)
    try:
        if args.threads:
            set_threads(args.threads)
        size = Budget(**{name: getattr(args, name) for name in vars(Budget())})
        flags = vars(size) | {name: getattr(args, name) for name in ("scenes", "tasks", "starts", "seeds")}
        results = Results(
            args.out,
            command=command("pretraining", flags),
            seed=0,
            settings=vars(size),
            by=("task", "scenes", "start", "seed"),
        )
        run(size, results, args)
        print(as_table(results.rows.values()))
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
