"""The degradation experiment (He et al. 2016, section 1 and figures 1 and 6): plain and residual networks of growing depth, trained alike.

Every network gets the same pictures in the same order, and the same number of updates. Its learning rate is its own: each rate of a grid
is tried for a few epochs with seed 0, and the one with the lowest training loss is taken, so that no network loses for a rate that suits
another. The file has two kinds of rows:

    {"part": "grid", "kind", "depth", "rate", "train_loss"}
    {"part": "run", "kind", "depth", "seed", "rate", "train_loss", "train_error", "test_loss", "test_error", "curve", "first_grad_norms",
     "last_grad_norms", "seconds"}

Training figures are means over the last epoch's batches. "curve" is the training loss in 40 points; null stands for what is not finite.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cli.arguments import png, positive
from ...errors import InputError
from ...train import Settings
from ..figures import BLUE, GREEN, ORANGE, PURPLE
from .networks import (
    DEPTHS,
    FAMILIES,
    Budget,
    Trained,
    add_budget_arguments,
    blocks_of_mean,
    budget,
    command,
    keep,
    tell,
    train_one,
)
from .results import Results, Row, mean_and_spread, rounded, select

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE = 40
BY_DEPTH = (BLUE, GREEN, PURPLE, ORANGE)
BY_KIND = {"plain": (ORANGE, "s"), "residual": (BLUE, "o"), "preact": (GREEN, "^")}
BY = ("part", "kind", "depth", "seed", "rate")
EXAMPLE = """\
examples:
  python -m tinyresnet.course.experiments.degradation --out shapes.json --plot shapes.png
  python -m tinyresnet.course.experiments.degradation --data cifar.npz --epochs 10 --seeds 3 --out cifar.json
"""


def run(size: Budget, results: Results, plan: argparse.Namespace) -> None:
    """Make every row that the results do not have yet: the grid first, then a seed after the other."""
    data = size.load()

    def train_row(kind: str, depth: int, seed: int, rate: float, epochs: int) -> Trained:
        model = size.network(kind, depth, seed, data[0])
        return train_one(model, data, Settings(epochs=epochs, lr=rate, seed=seed, batch_size=size.batch_size))

    networks = [(kind, depth) for depth in plan.depths for kind in plan.kinds]
    for kind, depth in networks:
        for rate in plan.rates:
            row: Row = {"part": "grid", "kind": kind, "depth": depth, "rate": rate}
            if row not in results:
                made = train_row(kind, depth, 0, rate, plan.grid_epochs)
                results.add(row | {"train_loss": rounded(made.last("train_loss"))})
                tell(f"grid {kind} {depth}, rate {rate}: loss {made.last('train_loss'):.3f} ({made.seconds:.0f} s)")
    for seed in range(plan.seeds):
        for kind, depth in networks:
            rate = best_rate(results.rows.values(), kind, depth)
            row = {"part": "run", "kind": kind, "depth": depth, "seed": seed, "rate": rate}
            if row not in results:
                made = train_row(kind, depth, seed, rate, plan.epochs)
                results.add(row | figures(made))
                if plan.weights and seed == 0:
                    keep(made.model, plan.weights, kind, depth)
                tell(
                    f"seed {seed}: {kind} {depth}, rate {rate}: loss {made.last('train_loss'):.3f} ({made.seconds:.0f} s)"
                )


def best_rate(rows: Iterable[Row], kind: str, depth: int) -> float:
    """The rate of the grid with the lowest training loss; a run that overflowed counts as the worst. Raises InputError if all did."""
    grid = [row for row in select(rows, part="grid", kind=kind, depth=depth) if row["train_loss"] is not None]
    if not grid:
        raise InputError(f"{kind} {depth}: no learning rate of the grid kept the loss finite; lower ones are wanted")
    return float(min(grid, key=lambda row: row["train_loss"])["rate"])


def figures(made: Trained) -> dict[str, Any]:
    """What is kept of one run."""
    more = {
        "curve": blocks_of_mean(made.losses, CURVE),
        "first_grad_norms": list(made.first_grad_norms.values()),
        "last_grad_norms": list(made.last_grad_norms.values()),
    }
    return made.figures() | rounded(more)  # type: ignore[no-any-return]


def summary(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One row a network: {"kind", "depth", "rate", "seeds"} and of each figure (mean, standard deviation) over the seeds."""
    runs = select(rows, part="run")
    networks = dict.fromkeys((row["kind"], row["depth"]) for row in runs)
    table = []
    for kind, depth in sorted(networks, key=lambda network: (network[1], list(FAMILIES).index(network[0]))):
        own = select(runs, kind=kind, depth=depth)
        row = {"kind": kind, "depth": depth, "rate": own[0]["rate"], "seeds": len(own)}
        for name in ("train_loss", "train_error", "test_loss", "test_error"):
            row[name] = mean_and_spread(run[name] for run in own)
        table.append(row)
    return table


def as_table(rows: Iterable[Row]) -> str:
    """The summary as text."""
    lines = ["layers  kind      rate   training loss   training error     test error  seeds"]
    for row in summary(rows):
        loss, error, test = row["train_loss"], row["train_error"], row["test_error"]
        lines.append(
            f"{row['depth']:6}  {row['kind']:8} {row['rate']:5g}   {loss[0]:5.3f} ± {loss[1]:5.3f}"
            f"  {100 * error[0]:5.1f} ± {100 * error[1]:3.1f} %  {100 * test[0]:5.1f} ± {100 * test[1]:3.1f} %  {row['seeds']:5}"
        )
    return "\n".join(lines)


def plot(rows: Iterable[Row]) -> Figure:
    """Training loss over the updates, by depth, and the last training error against depth."""
    from matplotlib.figure import Figure

    rows = list(rows)
    runs, table = select(rows, part="run"), summary(rows)
    kinds = [kind for kind in FAMILIES if select(runs, kind=kind)]
    depths = sorted({row["depth"] for row in runs})
    figure = Figure(figsize=(3.2 * (len(kinds) + 1), 3.2), layout="constrained")
    axes = figure.subplots(1, len(kinds) + 1)
    highest = max(value for row in runs for value in row["curve"] if value is not None)
    for ax, kind in zip(axes, kinds, strict=False):
        for depth, colour in zip(depths, BY_DEPTH * len(depths), strict=False):
            for number, row in enumerate(select(runs, kind=kind, depth=depth)):
                done = [100 * (i + 0.5) / len(row["curve"]) for i in range(len(row["curve"]))]
                curve = [float("nan") if value is None else value for value in row["curve"]]
                ax.plot(done, curve, color=colour, linewidth=1.2, label=None if number else f"{depth} layers")
        ax.set(title=kind, xlabel="% of the updates", ylabel="training loss", ylim=(0, 1.05 * highest))
        ax.legend(fontsize=8)
    for kind in kinds:
        own = select(table, kind=kind)
        means, spreads = ([100 * row["train_error"][part] for row in own] for part in (0, 1))
        colour, marker = BY_KIND[kind]
        places = [row["depth"] for row in own]
        axes[-1].errorbar(places, means, yerr=spreads, color=colour, marker=marker, capsize=3, label=kind)
    axes[-1].set(title="after the last update", xlabel="layers", ylabel="training error, %", xticks=depths)
    axes[-1].legend(fontsize=8)
    return figure


def numbers(kind: type) -> Any:
    """Numbers with commas between, for argparse."""

    def parse(text: str) -> list[Any]:
        try:
            values = [kind(part) for part in text.split(",")]
        except ValueError:
            values = []
        if not values or min(values) <= 0:
            raise argparse.ArgumentTypeError(f"{text!r}: numbers above 0 with commas between are wanted")
        return values

    return parse


def kinds(text: str) -> list[str]:
    """Kinds of network with commas between, for argparse."""
    names = text.split(",")
    if not set(names) <= set(FAMILIES):
        raise argparse.ArgumentTypeError(f"{text!r}: of {', '.join(FAMILIES)} are wanted, with commas between")
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment, or what is still missing of it, and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyresnet.course.experiments.degradation",
        description="Train plain and residual networks of growing depth alike. Goes on where it was cut off.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_budget_arguments(parser)
    parser.add_argument("--epochs", type=positive, default=10, metavar="E", help="of every run (default: 10)")
    parser.add_argument(
        "--grid-epochs", type=positive, default=3, metavar="E", help="of every run of the grid (default: 3)"
    )
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="seeds 0 to N - 1 (default: 3)")
    parser.add_argument(
        "--rates", type=numbers(float), default=[0.02, 0.05, 0.1, 0.2], metavar="R,R", help="the grid of learning rates"
    )
    parser.add_argument(
        "--depths", type=numbers(int), default=list(DEPTHS), metavar="D,D", help="layers (default: 8,20,32,56)"
    )
    parser.add_argument(
        "--kinds",
        type=kinds,
        default=["plain", "residual"],
        metavar="K,K",
        help="of plain, residual, preact (default: the first two)",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file of results")
    parser.add_argument(
        "--weights", type=Path, metavar="FOLDER", help="keep the networks of seed 0, for lesions and surface"
    )
    parser.add_argument("--plot", type=png, metavar="FILE", help="also draw the curves")
    args = parser.parse_args(argv)
    try:
        size = budget(args)
        settings = size.as_dict() | {"epochs": args.epochs, "grid_epochs": args.grid_epochs, "rates": args.rates}
        lists = {"seeds": args.seeds, "depths": args.depths, "kinds": args.kinds}
        results = Results(args.out, command=command("degradation", settings | lists), seed=0, settings=settings, by=BY)
        run(size, results, args)
        print(as_table(results.rows.values()))
        if args.plot:
            from ...plots import save_png

            save_png(plot(results.rows.values()), args.plot)
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
