"""Learning-rate schedules as data: each is a factor on the learning rate, as a function of how much of the run is done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from .errors import InputError, unknown


class Schedule(Protocol):
    """What a schedule is."""

    def factor(self, done: float) -> float:
        """The factor on the learning rate when a fraction `done` of the run, 0 <= done < 1, lies behind."""


@dataclass(frozen=True)
class Constant:
    """Always 1."""

    def factor(self, done: float) -> float:
        return 1.0


@dataclass(frozen=True)
class MultiStep:
    """Times gamma at each milestone. The paper: 64,000 steps, divided by 10 at 32,000 and 48,000 (He et al. 2016, section 4.2)."""

    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1

    def factor(self, done: float) -> float:
        return self.gamma ** sum(done >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Cosine:
    """From 1 to 0 along half a cosine (Loshchilov & Hutter 2017, eq. 5)."""

    def factor(self, done: float) -> float:
        return (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class OneCycle:
    """Up from `start` to 1 along half a cosine, down to `end` along another (Smith & Topin 2018)."""

    peak: float = 0.3
    start: float = 0.04
    end: float = 1e-4

    def factor(self, done: float) -> float:
        if done < self.peak:
            return self.start + (1 - self.start) * (1 - math.cos(math.pi * done / self.peak)) / 2
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * (done - self.peak) / (1 - self.peak))) / 2


SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "multistep": MultiStep(),
    "cosine": Cosine(),
    "onecycle": OneCycle(),
}


def learning_rate(schedule: Schedule, lr: float, step: int, steps: int, warmup: int = 0) -> float:
    """The learning rate of step `step` (from 0) of `steps`; the first `warmup` steps lead up to it in a straight line.

    Warm-up from lr/warmup: Goyal et al. 2017, section 2.2. Raises InputError if the warm-up is longer than the run.
    """
    if not 0 <= warmup <= steps:
        raise InputError(f"warm-up of {warmup} steps does not fit a run of {steps}")
    return lr * schedule.factor(step / steps) * min(1.0, (step + 1) / max(warmup, 1))


def schedule_named(name: str) -> Schedule:
    """The schedule of this name with its default numbers. Raises InputError that names the nearest known one."""
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    return SCHEDULES[name]
