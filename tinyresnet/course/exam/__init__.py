"""An exam of numbers: questions drawn by a seed, answers computed by the library's own layers. A sample to take, cut and change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinyresnet_kernels import use

from ...errors import InputError
from . import lesson_11, lessons_1_to_3, lessons_4_to_7
from .question import Ask, Question

__all__ = ["DRAWS", "Ask", "Question", "exam"]

DRAWS: tuple[Callable[[np.random.Generator], Question], ...] = (
    *lessons_1_to_3.DRAWS,
    *lessons_4_to_7.DRAWS,
    *lesson_11.DRAWS,
)


def exam(seed: int, lessons: Sequence[int] = ()) -> list[Question]:
    """The questions of a seed, on all lessons or on these. A question's numbers do not depend on the others. Raises InputError."""
    if seed < 0:
        raise InputError(f"seed {seed} cannot be had: a whole number from 0 on is wanted")
    with use("reference"):
        questions = [draw(np.random.default_rng([seed, number])) for number, draw in enumerate(DRAWS)]
    there = sorted({question.lesson for question in questions})
    if missing := [number for number in lessons if number not in there]:
        listed = ", ".join(f"{number:02}" for number in there)
        raise InputError(f"lesson {missing[0]:02} has no exam questions: lessons {listed} have")
    return [question for question in questions if not lessons or question.lesson in lessons]
