"""The likely mistake: a known one that gives just these numbers, or the kind that the verifier's diagnosis sees."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ...gradcheck.diagnose import diagnose
from ...gradcheck.report import HINTS
from ...gradcheck.signs import SIGNS
from ..exercises.compare import compare_part
from ..exercises.model import Function, Slip, as_tuple
from ..grade.judge import Student, StudentError

if TYPE_CHECKING:
    from .functions import Asked

LOOKED_AT = 6  # calls that a known mistake must explain
SAYS = ("other", "manners", "stale")  # signs whose words say nothing about numbers


def likely(function: Function, asked: list[Asked], part: int, student: Student) -> tuple[str, str, str]:
    """(what kind of mistake, where to look, the whole sentence) for the result number `part`; "" for what is not known."""
    slip = known(function, asked, part)
    if slip is not None:
        words = slip.sentence if slip.sign in SAYS else SIGNS[slip.sign]
        return words, HINTS.get(slip.sign, ""), "" if slip.sign in SAYS else slip.sentence
    sign, sentence = _diagnosed(function, asked, part, student)
    return sentence, HINTS.get(sign, ""), ""


def known(function: Function, asked: list[Asked], part: int) -> Slip | None:
    """The first known mistake that gives the student's result in the wrong calls and in some right ones."""
    calls = sorted(asked, key=lambda one: one.wrong is None)[:LOOKED_AT]
    if any(len(one.found) != len(function.gives) for one in calls):
        return None
    slips = list(function.slips())
    for parts in (range(len(function.gives)), (part,)):  # two mistakes in one function: each explains its own result
        for slip in slips:
            with np.errstate(all="ignore"):
                try:
                    if all(_gives(slip, function, one, parts) for one in calls):
                        return slip
                except Exception:
                    continue  # it does not take these arguments
    return None


def _gives(slip: Slip, function: Function, one: Asked, parts: Iterable[int]) -> bool:
    wrong = as_tuple(slip.wrong(*copy.deepcopy(one.case.args)), len(function.gives))
    return all(compare_part(function.gives[k], one.found[k], wrong[k]) is None for k in parts)


def _diagnosed(function: Function, asked: list[Asked], part: int, student: Student) -> tuple[str, str]:
    """(kind, sentence) by the verifier, which measures the whole Jacobian of a small case; ("", "") if it sees none."""
    one = next((one for one in asked if one.wrong), None)
    if function.forward is None or one is None or one.wrong is None or one.wrong.kind != "value":
        return "", ""
    from .measure import subject_of

    subject = subject_of(function, one.case, student)
    name = list(subject.inputs)[part]
    try:
        found = diagnose(subject, name, np.random.default_rng(0))
    except StudentError:
        return "", ""
    except Exception:  # the diagnosis shrinks the inputs, and a student's code may not take them
        return "", ""
    return (found[0].sign, found[0].sentence) if found else ("", "")
