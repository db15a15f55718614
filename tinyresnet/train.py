"""Training: a generator of metric records, so that the command line can print them, a lesson plot them, and a test slice them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tinyresnet_kernels import fetch

from .data.augment import Augment
from .data.batches import prefetch, steps_per_epoch
from .data.scene_augment import SceneAugment
from .device import beside
from .errors import InputError, unknown
from .fuse import fuse
from .layers import Layer
from .nonfinite import NonFiniteError, first_nonfinite
from .optim import SGD, AdamW, Optimiser, scale_down, squared_sums
from .run_folder import Progress, Record, RunFolder, rng_states, set_rng_states
from .schedule import learning_rate, schedule_named
from .tasks import task_of
from .threads import blas_threads, using_blas_threads
from .weights import Header, read_arrays, save


@dataclass(frozen=True)
class Settings:
    """How to train. The defaults are the paper's for CIFAR (He et al. 2016, section 4.2), with a one-cycle schedule for short runs."""

    epochs: int = 10
    steps: int | None = None  # instead of epochs
    batch_size: int = 128
    optimiser: str = "sgd"  # or "adamw"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_all: bool = False  # decay batch norm's parameters and the biases too
    schedule: str = "onecycle"  # or "multistep", "cosine", "constant"
    warmup: int = 0  # steps
    clip: float = 0.0  # largest joint norm of the gradients; 0: any
    label_smoothing: float = 0.0
    augment: Augment = field(default_factory=Augment)  # of a classifier's pictures
    scene_augment: SceneAugment = field(default_factory=SceneAugment)  # of a detector's and a segmenter's
    seed: int = 0
    fuse: bool = True  # run blocks as units (see `fuse.py`): the same network, faster
    save_seconds: float = 60.0  # a checkpoint after each epoch, and within one when this much time has passed

    def __post_init__(self) -> None:
        wrong = [name for name in ("epochs", "batch_size", "lr") if not getattr(self, name) > 0]
        wrong += [name for name in ("weight_decay", "warmup", "clip", "seed") if not getattr(self, name) >= 0]
        if wrong or (self.steps is not None and self.steps < 1):
            name = wrong[0] if wrong else "steps"
            raise InputError(f"{name} is {getattr(self, name)}: a larger number is wanted")

    def make_optimiser(self, model: Layer) -> Optimiser:
        """The optimiser of these settings. Raises InputError on an unknown name."""
        if self.optimiser == "sgd":
            return SGD(
                model.named_params(),
                momentum=self.momentum,
                nesterov=self.nesterov,
                weight_decay=self.weight_decay,
                decay_all=self.decay_all,
            )
        if self.optimiser == "adamw":
            return AdamW(model.named_params(), weight_decay=self.weight_decay, decay_all=self.decay_all)
        raise unknown("optimiser", self.optimiser, ("sgd", "adamw"))


def train(
    model: Layer,
    data: tuple[Any, Any],
    settings: Settings,
    *,
    run: RunFolder | None = None,
    resume: bool = False,
    about: dict[str, Any] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Record]:
    """Train a classifier, detector or segmenter in place on data = (training set, test set); a record comes after each step and each epoch.

    {"kind": "start", "step", "steps"}, then {"kind": "step", "step", "epoch", "loss", "top1", "lr", "grad_norm", "seconds"}, where `step`
    counts the updates made so far and the gradients that made the last one are still in the model, and
    {"kind": "epoch", "step", "epoch", "train_loss", "train_top1", "val_loss", "val_top1"}. At last {"kind": "end", "step", "best_top1"}, or
    {"kind": "stopped", "step"} when `stop()` was true after a step. Only steps and epochs are written to the log. In place of top1 a
    segmenter has pixel_accuracy and val_mean_iou, a detector class_loss, box_loss and val_ap50 (see `tasks/`).
    With a run folder, checkpoints and the log are kept in it; `resume` goes on from its last checkpoint and ends with the same bits as
    a run that was never cut off. `about` (JSON values) is kept in the checkpoint for the caller.
    Raises InputError on settings or data that do not fit, NonFiniteError where a NaN or an infinity appears.
    """
    trainer = Trainer(model, data, settings, run, about or {})
    if resume:
        trainer.resume()
    elif run is not None:
        if run.started:
            raise InputError(f"{run.path} already holds a run: resume it, or choose another folder")
        trainer.checkpoint()
    with using_blas_threads(trainer.progress.blas_threads):
        yield from trainer.records(stop)


class Trainer:
    """One run: what it works on, how far it is, and where it is kept."""

    def __init__(
        self,
        model: Any,
        data: tuple[Any, Any],
        settings: Settings,
        run: RunFolder | None,
        about: dict[str, Any],
    ) -> None:
        self.model, (self.train_set, self.test_set), self.settings, self.run = model, data, settings, run
        self.task = task_of(model, settings)
        self.network: Layer = (
            fuse(model, input_gradient=False) if settings.fuse else model
        )  # the same parameters either way
        config, shape = model.config, self.train_set.shape
        for what, has, wants in (
            ("classes", len(self.train_set.classes), config.num_classes),
            ("channels", shape[1], config.in_channels),
        ):
            if has != wants:
                raise InputError(f"{self.train_set.name} has {has} {what}, the model {config.name} is made for {wants}")
        self.optimiser = settings.make_optimiser(model)
        self.schedule = schedule_named(settings.schedule)
        self.per_epoch = steps_per_epoch(self.train_set, settings.batch_size)
        self.steps = settings.steps or settings.epochs * self.per_epoch
        # What these complain of, they complain of now rather than in the first step.
        learning_rate(self.schedule, settings.lr, 0, self.steps, settings.warmup)
        self.task.batches(self.train_set, settings, 0, self.steps)
        self.progress = Progress(blas_threads=blas_threads())
        self.header = Header(
            config,
            self.train_set.classes,
            self.train_set.mean,
            self.train_set.std,
            shape[2],
            {"settings": asdict(settings), "about": about},
        )

    def resume(self) -> None:
        """Go back to the run folder's last checkpoint. Raises InputError if there is none or its settings were others."""
        if self.run is None or not self.run.started:
            raise InputError(f"{self.run.path if self.run else 'no folder'}: there is no run to resume")
        _, header = read_arrays(self.run.last)
        was, now = header.extra.get("settings", {}), asdict(self.settings)
        for name, value in now.items():
            if name != "save_seconds" and was.get(name) != value:
                raise InputError(
                    f"{self.run.path} was started with {name} {was.get(name)}, not {value}: resume it as it was"
                )
        self.progress = self.run.restore(self.model, self.optimiser)

    def checkpoint(self) -> None:
        """Save all that resuming needs."""
        if self.run is not None:
            self.run.save(self.model, self.optimiser, self.progress, self.header)

    def records(self, stop: Callable[[], bool]) -> Iterator[Record]:
        """Train from where the progress is to the end; see `train`."""
        settings, progress = self.settings, self.progress
        batches = prefetch(self.task.batches(self.train_set, settings, progress.step, self.steps))
        saved = time.monotonic()
        yield {"kind": "start", "step": progress.step, "steps": self.steps}
        with contextlib.closing(batches):
            for batch in batches:
                yield self.log(self.step(batch))
                stopping, epoch_ends = stop(), progress.step % self.per_epoch == 0
                if epoch_ends or progress.step == self.steps:
                    yield self.log(self.end_epoch(batch.epoch))
                if (
                    stopping
                    or epoch_ends
                    or progress.step == self.steps
                    or time.monotonic() - saved > settings.save_seconds
                ):
                    self.checkpoint()
                    saved = time.monotonic()
                if stopping and progress.step < self.steps:
                    yield {"kind": "stopped", "step": progress.step}
                    return
        yield {"kind": "end", "step": progress.step, f"best_{self.task.best}": progress.best}

    def step(self, batch: Any) -> Record:
        """One update from one batch, which was made on the host. On a GPU, two copies there (pictures, targets) and one back (figures)."""
        model, settings, progress = self.model, self.settings, self.progress
        started, dropout = time.perf_counter(), rng_states(model)
        lr = learning_rate(self.schedule, settings.lr, progress.step, self.steps, settings.warmup)
        self.optimiser.zero_grad()
        x = beside(model, batch.x)
        grads = [param.grad for param in self.optimiser.params.values()]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite is looked for below
            y, cache = self.network.forward(x, train=True)
            learned = self.task.learn(y, batch)
            self.network.backward(learned.gradient, cache)
            fetched, squares, *seen = fetch(learned.loss, squared_sums(grads), *learned.seen)
            loss, norm = float(fetched), math.sqrt(sum(squares.tolist()))
            if not math.isfinite(loss) or not math.isfinite(norm):
                set_rng_states(model, dropout)
                where = first_nonfinite(model, x, lambda y: self.task.learn(y, batch)[:2])
                raise NonFiniteError(f"a NaN or an infinity appeared in step {progress.step + 1}, {where}")
            scale_down(grads, norm, settings.clip or math.inf)
            self.optimiser.step(lr)
        figures = {"loss": loss, **self.task.figures(batch, seen)}
        progress.step += 1
        progress.add(figures, len(batch.x))
        record = {"kind": "step", "step": progress.step, "epoch": batch.epoch, **figures}
        return record | {"lr": lr, "grad_norm": norm, "seconds": time.perf_counter() - started}

    def end_epoch(self, epoch: int) -> Record:
        """Measure the test set, keep the best weights, and start the next epoch's sums."""
        progress = self.progress
        measured = self.task.measure(self.network, self.test_set, self.train_set.mean, self.train_set.std)
        figure = measured[self.task.best] or 0.0  # None where there was nothing to find
        if figure > progress.best:
            progress.best = figure
            if self.run is not None:
                save(self.run.best, self.model, header=self.header)
        record = {"kind": "epoch", "step": progress.step, "epoch": epoch}
        record |= {f"train_{name}": value for name, value in progress.means().items()}
        return record | {f"val_{name}": value for name, value in measured.items()}

    def log(self, record: Record) -> Record:
        """The record, also written to the run's log."""
        if self.run is not None:
            self.run.append(record)
        return record
