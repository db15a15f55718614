"""Training: a generator of metric records, so that the command line can print them, a lesson plot them, and a test slice them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tinyresnet_kernels import array_module, fetch

from .data import Dataset
from .data.augment import Augment
from .data.batches import Batch, eval_batches, prefetch, steps_per_epoch, train_batches
from .device import beside
from .errors import InputError, unknown
from .evaluate import evaluate
from .fuse import fuse
from .layers import Layer
from .loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from .nonfinite import NonFiniteError, first_nonfinite
from .optim import SGD, AdamW, Optimiser, scale_down, squared_sums
from .resnet import ResNet
from .run_folder import Progress, Record, RunFolder, rng_states, set_rng_states
from .schedule import learning_rate, schedule_named
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
    augment: Augment = field(default_factory=Augment)
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
    model: ResNet,
    data: tuple[Dataset, Dataset],
    settings: Settings,
    *,
    run: RunFolder | None = None,
    resume: bool = False,
    about: dict[str, Any] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Record]:
    """Train the model in place on data = (training set, test set); yields a record after each step and each epoch.

    {"kind": "start", "step", "steps"}, then {"kind": "step", "step", "epoch", "loss", "top1", "lr", "grad_norm", "seconds"}, where `step`
    counts the updates made so far and the gradients that made the last one are still in the model, and
    {"kind": "epoch", "step", "epoch", "train_loss", "train_top1", "val_loss", "val_top1"}. At last {"kind": "end", "step", "best_top1"}, or
    {"kind": "stopped", "step"} when `stop()` was true after a step. Only steps and epochs are written to the log.
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
        model: ResNet,
        data: tuple[Dataset, Dataset],
        settings: Settings,
        run: RunFolder | None,
        about: dict[str, Any],
    ) -> None:
        self.model, (self.train_set, self.test_set), self.settings, self.run = model, data, settings, run
        self.network: Layer = (
            fuse(model, input_gradient=False) if settings.fuse else model
        )  # the same parameters either way
        config = model.config
        for what, has, wants in (
            ("classes", len(self.train_set.classes), config.num_classes),
            ("channels", self.train_set.x.shape[1], config.in_channels),
        ):
            if has != wants:
                raise InputError(f"{self.train_set.name} has {has} {what}, the model {config.name} is made for {wants}")
        self.optimiser = settings.make_optimiser(model)
        self.schedule = schedule_named(settings.schedule)
        self.per_epoch = steps_per_epoch(self.train_set, settings.batch_size)
        self.steps = settings.steps or settings.epochs * self.per_epoch
        learning_rate(
            self.schedule, settings.lr, 0, self.steps, settings.warmup
        )  # complains now rather than in the first step
        self.progress = Progress(blas_threads=blas_threads())
        self.header = Header(
            config,
            self.train_set.classes,
            self.train_set.mean,
            self.train_set.std,
            self.train_set.x.shape[2],
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
        batches = prefetch(
            train_batches(
                self.train_set,
                batch_size=settings.batch_size,
                seed=settings.seed,
                start_step=progress.step,
                stop_step=self.steps,
                augment=settings.augment,
            )
        )
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
        yield {"kind": "end", "step": progress.step, "best_top1": progress.best_top1}

    def step(self, batch: Batch) -> Record:
        """One update from one batch, which was made on the host. On a GPU, two copies there (pictures, targets) and one back (figures)."""
        model, settings, progress = self.model, self.settings, self.progress
        started, dropout = time.perf_counter(), rng_states(model)
        lr = learning_rate(self.schedule, settings.lr, progress.step, self.steps, settings.warmup)
        self.optimiser.zero_grad()
        x, smoothing = beside(model, batch.x), settings.label_smoothing
        grads = [param.grad for param in self.optimiser.params.values()]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite is looked for below
            logits, cache = self.network.forward(x, train=True)
            mean_loss, loss_cache = softmax_cross_entropy_forward(logits, batch.labels, label_smoothing=smoothing)
            dloss = array_module(logits).ones_like(mean_loss)
            self.network.backward(softmax_cross_entropy_backward(dloss, loss_cache), cache)
            fetched, squares, predicted = fetch(mean_loss, squared_sums(grads), logits.argmax(axis=1))
            loss, norm = float(fetched), math.sqrt(sum(squares.tolist()))
            if not math.isfinite(loss) or not math.isfinite(norm):
                set_rng_states(model, dropout)
                where = first_nonfinite(model, x, batch.labels, label_smoothing=smoothing)
                raise NonFiniteError(f"a NaN or an infinity appeared in step {progress.step + 1}, {where}")
            scale_down(grads, norm, settings.clip or math.inf)
            self.optimiser.step(lr)
        labels = batch.labels if batch.labels.ndim == 1 else batch.labels.argmax(axis=1)
        correct = int((predicted == labels).sum())
        progress.step += 1
        progress.loss_sum += loss * len(labels)
        progress.correct += correct
        progress.count += len(labels)
        return {
            "kind": "step",
            "step": progress.step,
            "epoch": batch.epoch,
            "loss": loss,
            "top1": correct / len(labels),
            "lr": lr,
            "grad_norm": norm,
            "seconds": time.perf_counter() - started,
        }

    def end_epoch(self, epoch: int) -> Record:
        """Measure the test set, keep the best weights, and start the next epoch's sums."""
        progress = self.progress
        batches = eval_batches(self.test_set, batch_size=256, mean=self.train_set.mean, std=self.train_set.std)
        measured = evaluate(self.network, batches, self.test_set.classes)
        if measured.top1 > progress.best_top1:
            progress.best_top1 = measured.top1
            if self.run is not None:
                save(self.run.best, self.model, header=self.header)
        record = {
            "kind": "epoch",
            "step": progress.step,
            "epoch": epoch,
            "train_loss": progress.loss_sum / progress.count,
            "train_top1": progress.correct / progress.count,
            "val_loss": measured.loss,
            "val_top1": measured.top1,
        }
        progress.loss_sum, progress.correct, progress.count = 0.0, 0, 0
        return record

    def log(self, record: Record) -> Record:
        """The record, also written to the run's log."""
        if self.run is not None:
            self.run.append(record)
        return record
