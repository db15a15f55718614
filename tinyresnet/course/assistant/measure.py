"""The verifier on a student's backward pass: the library's forward pass, the student's backward, slopes with error bars."""

from __future__ import annotations

import inspect
from typing import Any

from ...gradcheck import check_subject
from ...gradcheck.subject import Subject, of_pair
from ..exercises.model import Case, Function
from ..grade.judge import Student


def subject_of(function: Function, case: Case, student: Student) -> Subject:
    """The right forward pass with the student's backward, as a function of what has a gradient: running statistics have none."""
    right = function.forward
    if right is None or case.inputs is None:
        raise TypeError(f"{function.name} is no backward pass")
    names = list(inspect.signature(right).parameters)
    given = dict(zip(names, case.inputs, strict=True))
    free = [name.removeprefix("d") for name in function.gives]

    def forward(*values: Any) -> Any:
        return right(**given | dict(zip(free, values, strict=True)))

    def backward(dy: Any, cache: Any) -> Any:
        return student.call(function.name, dy, cache)

    return of_pair(forward, backward, *(given[name] for name in free), name=function.name)


def measured(function: Function, case: Case, student: Student) -> float:
    """The smallest relative error in one element that would have been seen; 0 where the verifier has nothing to say."""
    report = check_subject(subject_of(function, case, student), seed=0, locate=False, sizes=False)
    return report.limit if report.verdict == "correct" else 0.0
