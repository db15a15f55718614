"""The registry of exercises, for `lesson start`, `lesson check` and `lesson grade`."""

from __future__ import annotations

from ...errors import unknown
from .bugs import BUGS
from .compare import Mismatch, compare
from .conv_backward import CONV
from .conv_forward import CONV_FORWARD
from .first import LOSS, RELU
from .fool import FOOL
from .kernel import MATMUL
from .model import Case, Exercise, Function, Slip
from .norm import BATCH_NORM
from .pooling import POOL
from .pyramid import PYRAMID
from .residual import RESIDUAL
from .shortcuts import SHORTCUT_B
from .training import SGD
from .transfer import transfer_exercises

__all__ = [
    "EXERCISES", "Case", "Exercise", "Function", "Mismatch", "Slip", "compare", "find", "of_lesson", "transfer_exercises",
]  # fmt: skip

EXERCISES = (
    RELU, LOSS, CONV_FORWARD, CONV, POOL, BATCH_NORM, BUGS, FOOL, RESIDUAL, SHORTCUT_B, SGD, MATMUL, PYRAMID,
)  # fmt: skip


def find(name: str) -> Exercise:
    """The exercise of this name, a transfer variant among them where the instructor's folder is. Raises InputError."""
    known = {one.name: one for one in EXERCISES} | transfer_exercises(needed=False)
    if name not in known:
        raise unknown("exercise", name, known)
    return known[name]


def of_lesson(number: int) -> list[Exercise]:
    """The exercises of a lesson."""
    return [one for one in EXERCISES if one.lesson == number]
