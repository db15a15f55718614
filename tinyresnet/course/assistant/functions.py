"""One function of a student's file: called on random sizes, compared with the library, and if it is wrong, where and with what mistake."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..exercises.compare import Mismatch, compare, compare_part
from ..exercises.model import Case, Exercise, Function, as_tuple
from ..grade.judge import Answer, Missing, Student, StudentError, Unwritten
from .finding import Finding, listed
from .likely import likely

SEED = 0  # not one of the grader's
SINGLE = 1e-4  # tolerance in float32
WORDS = {  # for settings that are no arguments
    "zeros": "zeros in x", "wide": "large numbers", "offset": "logits near 1000", "square": "equal sizes",
    "ties": "equal numbers in a window", "negative": "all numbers negative", "nearly": "nearly equal numbers",
}  # fmt: skip


class Asked(NamedTuple):
    """A call, what is right, what came, and the first thing wrong about it."""

    case: Case
    expected: tuple[Any, ...]
    found: tuple[Any, ...]
    wrong: Mismatch | None


def look(exercise: Exercise, function: Function, student: Student) -> Finding:
    """What is to be said about this function."""
    try:
        if function.judge is not None:
            return _judged(function, student)
        return _compared(exercise, function, student)
    except Unwritten as error:
        where = f" (line {error.line}: {error.code})" if error.line else ""
        return Finding(function.name, "blank", [f"not written yet{where}"], hints=list(function.hints))
    except Missing:
        said = f"there is no function {function.name} in the file: was it renamed or taken out?"
        return Finding(function.name, "wrong", [said])
    except StudentError as error:
        return Finding(function.name, "wrong", [str(error)], hints=list(function.hints))


def _judged(function: Function, student: Student) -> Finding:
    assert function.judge is not None
    wrong = function.judge(lambda args: student.call(function.name, *args), np.random.default_rng(SEED))
    if wrong:
        return Finding(function.name, "wrong", [wrong], hints=list(function.hints))
    return Finding(function.name, "right", checked="right for ones, wrong for random numbers, 3 sizes")


def _compared(exercise: Exercise, function: Function, student: Student) -> Finding:
    names = argument_names(exercise, function)
    asked, first = [], None
    for case in function.cases(SEED):
        try:
            answer = student.ask(function.name, *case.args)
        except (Unwritten, Missing):
            raise
        except StudentError as error:
            return Finding(function.name, "wrong", [f"{error}{_with(case)}"], hints=list(function.hints))
        first = first or answer
        if answer.changed and (writes := _writes(names, answer.changed)):
            hint = "+= and a[...] = write into the array itself; a = a + b makes a new one"
            return Finding(function.name, "wrong", [writes], hints=[hint, *function.hints])
        expected = function.expected(case)
        found = as_tuple(answer.value, len(function.gives))
        asked.append(Asked(case, expected, found, compare(function, answer.value, expected)))
    if any(one.wrong for one in asked):
        return _wrong(function, asked, student)
    if (manners := _manners(function, student, first, asked)) is not None:
        return manners
    return _confirmed(function, asked, student)


def _wrong(function: Function, asked: list[Asked], student: Student) -> Finding:
    bad = [one for one in asked if one.wrong]
    first = bad[0]
    assert first.wrong is not None
    said = []
    if len(first.found) == len(function.gives) > 1:
        fine = [name for k, name in enumerate(function.gives) if not any(_part(function, one, k) for one in asked)]
        if fine:
            said.append(f"{listed(fine)} {'is' if len(fine) == 1 else 'are'} right; {first.wrong.name} is not.")
    said.append(_where(first))
    if len(bad) < len(asked):
        said.append(_when(asked) or f"It is right in {len(asked) - len(bad)} of {len(asked)} calls.")
    part = next((k for k in range(len(function.gives)) if _part(function, first, k)), 0)
    words, looks, sentence = likely(function, asked, part, student)
    hints = [*([f"look at {looks}"] if looks else []), *function.hints]
    hints += [f"somebody else's mistake that gives just your numbers: {sentence}"] if sentence else []
    return Finding(function.name, "wrong", said, words, hints)


def _part(function: Function, one: Asked, k: int) -> Mismatch | None:
    if len(one.found) != len(function.gives):
        return one.wrong
    return compare_part(function.gives[k], one.found[k], one.expected[k])


def _where(one: Asked) -> str:
    wrong = one.wrong
    assert wrong is not None
    if wrong.kind != "value":
        return f"{wrong.detail}{_with(one.case)}."
    place = f"[{', '.join(map(str, wrong.index))}]" if wrong.index else ""
    share = f"; {'all' if wrong.share == 1 else f'{wrong.share:.0%} of'} its numbers are off" if wrong.index else ""
    got, right = next(pair for digits in (5, 9, 17) if (pair := _both(wrong, digits))[0] != pair[1] or digits == 17)
    return f"{wrong.name}{place} is {got}, and {right} is right{_with(one.case)}{share}."


def _both(wrong: Mismatch, digits: int) -> tuple[str, str]:
    return f"{wrong.got:.{digits}g}", f"{wrong.wanted:.{digits}g}"


def _with(case: Case) -> str:
    told = ", ".join(WORDS.get(name) or f"{name}={value}" for name, value in case.settings.items())
    shapes = next((f"{np.shape(a)}" for a in case.inputs or case.args if isinstance(a, np.ndarray)), "")
    return f" (with {told or 'an input ' + shapes})" if told or shapes else ""


def _when(asked: list[Asked]) -> str:
    """For which settings it is right or wrong, if one of them decides."""
    for name, words in WORDS.items():
        if all((name in one.case.settings) == (one.wrong is not None) for one in asked):
            return f"Without {words} it is right."
    names = set.intersection(*(set(one.case.settings) for one in asked)) - set(WORDS)
    for name in sorted(names):
        seen: dict[Any, set[bool]] = {}
        for one in asked:
            seen.setdefault(one.case.settings[name], set()).add(one.wrong is None)
        good = [str(value) for value, found in seen.items() if found == {True}]
        bad = [str(value) for value, found in seen.items() if found == {False}]
        if good and bad and len(good) + len(bad) == len(seen):
            return f"It is right where {name} is {listed(good)}, and wrong where it is {listed(bad)}."
        if bad and len(bad) < len(seen):
            return f"It is wrong in every call where {name} is {' or '.join(bad)}, and in some of the others."
    return ""


def _manners(function: Function, student: Student, first: Answer | None, asked: list[Asked]) -> Finding | None:
    """Right numbers are not all: the same again for the same arguments, and float32 for float32."""
    again = student.call(function.name, *asked[0].case.args)
    if compare(function, again, asked[0].found) is not None:
        kept = "The first call was right. The same call later gives other numbers: something is kept from call to call."
        look_at = "is there a global, or a default argument that is an array?"
        return Finding(function.name, "wrong", [kept], "it comes of another call", [look_at])
    case = asked[0].case
    if not any(a.dtype == np.float64 for a in arrays_in(case.args)):
        return None
    single = Case(_single(case.args), case.settings, None)
    wrong = compare(function, student.call(function.name, *single.args), function.expected(single), SINGLE)
    if wrong is None:
        return None
    where = f"{wrong.detail}." if wrong.detail else _where(Asked(single, (), (), wrong))
    said = [f"In float64 all is right. For float32 arrays: {where}"]
    return Finding(
        function.name,
        "wrong",
        said,
        hints=["np.zeros(shape) is float64: np.zeros(shape, x.dtype), or np.zeros_like(x)"],
    )


def _confirmed(function: Function, asked: list[Asked], student: Student) -> Finding:
    """A backward pass that agrees with the library's is measured too: how small an error would have been seen?"""
    sizes = sorted({a.size for one in asked for a in arrays_in(one.case.args)})
    checked = f"{len(asked)} calls, arrays of {sizes[0]} to {sizes[-1]:,} numbers"
    if function.forward is not None:
        from .measure import measured

        limit = measured(function, asked[0].case, student)
        checked += f"; measured: an error of {limit:.0e} would show" if limit else ""
    return Finding(function.name, "right", checked=checked)


def argument_names(exercise: Exercise, function: Function) -> list[str]:
    """Of the function, as the exercise writes it."""
    from ..cuts import solution

    tree = ast.parse(solution(exercise.source).text())
    node = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function.name)
    return [arg.arg for arg in node.args.args]


def arrays_in(value: Any) -> Iterator[Any]:
    """All arrays in tuples of tuples."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from arrays_in(part)


def _writes(names: list[str], changed: tuple[int, ...]) -> str:
    which = [names[i] for i in changed if 0 <= i < len(names)]
    if not which:
        return ""
    return f"It writes into its argument {listed(which)}: others may still need these numbers. Make a new array."


def _single(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_single, value))
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float64 else value
