"""One thing changed at a time in a small ResNet-8: initialisation, learning rate, schedule, weight decay, augmentation, more data.

Every setting of `SETTINGS` is trained with several seeds, which draw first weights and batches. All settings are changes of one base, so
each row of a group is compared with the base's, over the same seeds. All get the same number of updates, but for the group "length".
The file's rows: {"group", "name", "seed", "train_loss", "train_error", "test_loss", "test_error", "seconds"}; null is what is not finite.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...cli.arguments import positive
from ...data import Dataset
from ...data.augment import Augment
from ...errors import InputError
from ...layers import Conv2d
from ...layers.norm import zero_init
from ...layers.residual import Residual
from ...resnet import ResNet
from ...step.depth_dial import draw_as_pytorch, leave_out_norms
from ...train import Settings
from .networks import Budget, Trained, add_budget_arguments, budget, command, tell, train_one
from .results import Results, Row, mean_and_spread, select

DEPTH = 8
BASE = Settings(lr=0.2)  # one cycle, weight decay 1e-4, no augmentation, batches of 128
BOTH = Augment(crop=2, flip=True)  # pictures of 16 x 16: half of the paper's 4 pixels
EXAMPLE = """\
example:
  python -m tinyresnet.course.experiments.ablations --data cifar.npz --out ablations.json
"""


@dataclass(frozen=True)
class Setting:
    """One change of the base."""

    group: str
    name: str
    train: Mapping[str, Any] = field(default_factory=dict)  # changes of BASE
    init: str = "he"  # or "pytorch", "tenth", "zero"
    norm: bool = True
    warmup: float = 0.0  # part of the updates
    share: float = 1.0  # of the training pictures
    longer: int = 1  # times the epochs


SETTINGS = (
    Setting("base", "base"),
    Setting("init", "PyTorch's default", init="pytorch"),
    Setting("init", "He / 10", init="tenth"),
    Setting("init", "blocks start as identity", init="zero"),
    Setting("init", "He, no batch norm", norm=False),
    Setting("init", "He / 10, no batch norm", init="tenth", norm=False),
    *(Setting("rate", f"{rate:g}", {"lr": rate}) for rate in (0.006, 0.06, 0.6, 2.0, 6.0)),
    *(Setting("schedule", name, {"schedule": name}) for name in ("constant", "multistep", "cosine")),
    Setting("schedule", "constant, warm-up", {"schedule": "constant"}, warmup=0.2),
    Setting("schedule", "constant, rate 2", {"schedule": "constant", "lr": 2.0}),
    Setting("schedule", "constant, rate 2, warm-up", {"schedule": "constant", "lr": 2.0}, warmup=0.2),
    *(Setting("decay", f"{decay:g}", {"weight_decay": decay}) for decay in (0.0, 1e-3, 1e-2)),
    Setting("augment", "crop and flip", {"augment": BOTH}),
    Setting("augment", "cutout", {"augment": Augment(cutout=8)}),
    Setting("augment", "mixup", {"augment": Augment(mixup=1.0)}),
    *(Setting("data", f"1/{parts}", share=1 / parts) for parts in (8, 4, 2)),
    Setting("length", "4x", longer=4),
    Setting("length", "4x, crop and flip", {"augment": BOTH}, longer=4),
)


def train_setting(setting: Setting, seed: int, size: Budget, data: tuple[Dataset, Dataset], epochs: int) -> Trained:
    """Train one setting from one seed."""
    train_set, test_set = data
    count = round(setting.share * len(train_set))
    steps = setting.longer * epochs * (len(train_set) // size.batch_size)
    changes = {"seed": seed, "steps": steps, "batch_size": size.batch_size, "warmup": round(setting.warmup * steps)}
    settings = Settings(**vars(BASE) | changes | {"fuse": setting.norm} | dict(setting.train))
    model = size.network("residual", DEPTH, seed, train_set)
    prepare(model, setting, np.random.default_rng(seed))
    return train_one(model, (train_set.head(count), test_set), settings)


def prepare(model: ResNet, setting: Setting, rng: np.random.Generator) -> None:
    """Give the model its first weights, and take out its batch norms if the setting has none."""
    if setting.init == "pytorch":
        draw_as_pytorch(model, rng)
    for _, layer in model.named_layers():
        if setting.init == "tenth" and isinstance(layer, Conv2d):
            layer.weight.data *= np.float32(0.1)
        if setting.init == "zero" and isinstance(layer, Residual):
            zero_init(layer["bn2"])  # type: ignore[arg-type]
    if not setting.norm:
        leave_out_norms(model)


def run(size: Budget, results: Results, epochs: int, seeds: int) -> None:
    """Make every row that the results do not have yet."""
    data = size.load()
    for seed in range(seeds):
        for setting in SETTINGS:
            row: Row = {"group": setting.group, "name": setting.name, "seed": seed}
            if row not in results:
                made = train_setting(setting, seed, size, data, epochs)
                results.add(row | made.figures())
                tell(
                    f"seed {seed}, {setting.group}: {setting.name}: test error {1 - made.last('val_top1'):.1%} ({made.seconds:.0f} s)"
                )


def summary(rows: Iterable[Row], group: str) -> list[dict[str, Any]]:
    """The base and the settings of one group: {"name", "seeds"} and of each figure (mean, standard deviation) over the seeds.

    "gain" is by how much the test error is lower than the base's with the same seed: what the seeds share drops out of it.
    """
    rows = list(rows)
    base = {row["seed"]: row for row in select(rows, group="base")}
    table = []
    for setting in SETTINGS:
        own = select(rows, group=setting.group, name=setting.name)
        if setting.group not in ("base", group) or not own:
            continue
        gains = [
            None if run["test_error"] is None else base[run["seed"]]["test_error"] - run["test_error"] for run in own
        ]
        row: dict[str, Any] = {"name": setting.name, "seeds": len(own), "gain": mean_and_spread(gains)}
        for name in ("train_loss", "train_error", "test_loss", "test_error"):
            row[name] = mean_and_spread(run[name] for run in own)
        table.append(row)
    return table


def as_table(rows: Iterable[Row]) -> str:
    """All groups as text."""
    rows = list(rows)
    lines = ["                            training error     test error   gain on the base"]
    for group in dict.fromkeys(setting.group for setting in SETTINGS if setting.group != "base"):
        lines.append(group)
        for row in summary(rows, group):
            (train, train_spread), (test, test_spread), (gain, spread) = (
                row["train_error"],
                row["test_error"],
                row["gain"],
            )
            lines.append(
                f"  {row['name']:26} {100 * train:5.1f} ± {100 * train_spread:3.1f} %"
                f"  {100 * test:5.1f} ± {100 * test_spread:3.1f} %  {100 * gain:+5.1f} ± {100 * spread:3.1f}"
            )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ablations, or what is still missing of them, and print their table."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyresnet.course.experiments.ablations",
        description="Train a small ResNet-8 with one thing changed at a time. Goes on where it was cut off.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_budget_arguments(parser)
    parser.add_argument("--epochs", type=positive, default=10, metavar="E", help="of every run (default: 10)")
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="seeds 0 to N - 1 (default: 3)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file of results")
    args = parser.parse_args(argv)
    try:
        size = budget(args)
        settings = size.as_dict() | {"epochs": args.epochs, "depth": DEPTH}
        flags = size.as_dict() | {"epochs": args.epochs, "seeds": args.seeds}
        results = Results(
            args.out, command=command("ablations", flags), seed=0, settings=settings, by=("group", "name", "seed")
        )
        run(size, results, args.epochs, args.seeds)
        print(as_table(results.rows.values()))
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
