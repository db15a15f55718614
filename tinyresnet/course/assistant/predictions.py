"""Rung a: the numbers that a student has typed into `answers`. They are read, not run."""

from __future__ import annotations

import ast
import operator
from typing import Any

from ...errors import InputError
from ..cuts import answers, generate, solution
from ..exercises.model import Exercise
from ..rungs import bug_lines
from .finding import Finding

NEAR = 2e-3  # three decimals are enough
OPERATIONS: dict[type[ast.AST], Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
MOST_POWER = 64


def typed(text: str, file: str) -> dict[str, Any]:
    """What `answers = {...}` holds: numbers, sums of numbers, None, pairs. Raises InputError on anything else."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise InputError(f"{file}, line {error.lineno}: this is no Python: {error.msg}") from error
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if targets == ["answers"]:
                keys = [key.value if isinstance(key, ast.Constant) else None for key in node.value.keys]
                return {str(key): _value(value, file) for key, value in zip(keys, node.value.values, strict=True)}
    raise InputError(f"{file}: there is no `answers = {{...}}` in it")


def numbers(exercise: Exercise, seed: int, text: str, file: str) -> list[Finding]:
    """A finding for each question."""
    whole = solution(exercise.source)
    given, right = typed(text, file), answers(whole, seed)
    return [_number(name, question, given.get(name), right) for name, question, _ in whole.questions]


def bugs(exercise: Exercise, seed: int, text: str, file: str) -> list[Finding]:
    """A finding for each planted bug: its line and its kind."""
    whole, given = solution(exercise.source), typed(text, file)
    places = bug_lines(generate(exercise.source, "a", seed), whole, seed)
    return [_bug(name, place, given.get(name), text) for name, place in places.items()]


def _number(name: str, question: str, given: Any, right: dict[str, float]) -> Finding:
    if given is None:
        return Finding(name, "blank", [question])
    if not isinstance(given, int | float):
        return Finding(name, "wrong", [f"{name} is a {type(given).__name__}; a number is wanted"])
    wanted = right[name]
    if abs(given - wanted) <= NEAR * max(1.0, abs(wanted)):
        return Finding(name, "right", checked="as computed")
    likely = ""
    if abs(given + wanted) <= NEAR * max(1.0, abs(wanted)):
        likely = "the sign is turned"
    elif wanted and given and any(abs(given / wanted - k) < NEAR for k in (2, 3, 4, 0.5, 1 / 3, 0.25)):
        likely = f"it is too {'large' if abs(given) > abs(wanted) else 'small'} by a whole factor: something is counted twice, or divided"
    elif same := [other for other, value in right.items() if other != name and abs(given - value) < NEAR and value]:
        likely = f"that is the answer to {same[0]}"
    hints = [
        "write down every product that is summed in it, one below the other",
        f"{given:g} is too {'large' if given > wanted else 'small'}",
    ]
    return Finding(name, "wrong", [f"{given:g} is not right. The question: {question}"], likely, hints)


def _bug(name: str, place: tuple[int, str], given: Any, text: str) -> Finding:
    line, kind = place
    if not isinstance(given, tuple) or len(given) != 2:
        return Finding(name, "wrong", [f"{name}: a pair (line, kind) is wanted"])
    if given[0] is None or not given[1]:
        return Finding(name, "blank", ["not answered yet"])
    if given[0] != line:
        rows = text.splitlines()
        told = rows[int(given[0]) - 1].strip() if isinstance(given[0], int) and 0 < given[0] <= len(rows) else "nothing"
        hints = [
            "which line decides how large the gradient is, which one where it goes, and which one what is summed?",
            f"it is one of the lines {line // 4 * 4} to {line // 4 * 4 + 3}",
        ]
        return Finding(name, "wrong", [f"line {given[0]} ({told}) is right as it stands"], hints=hints)
    if given[1] != kind:
        hint = "compare what the line gives with what is right: by a factor, at other places, for other numbers?"
        return Finding(
            name, "wrong", [f"line {line} is the one. {given[1]!r} is not what the gradient shows"], hints=[hint]
        )
    return Finding(name, "right", checked=f"line {line}, {kind}")


def _value(node: ast.AST, file: str) -> Any:
    """A number, None, text, a pair, or a sum of numbers."""
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, int | float | str)):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(_value(part, file) for part in node.elts)
    try:
        if isinstance(node, ast.UnaryOp):
            return OPERATIONS[type(node.op)](_value(node.operand, file))
        if isinstance(node, ast.BinOp):
            left, right = _value(node.left, file), _value(node.right, file)
            if isinstance(node.op, ast.Pow) and not abs(right) <= MOST_POWER:
                raise OverflowError
            return OPERATIONS[type(node.op)](left, right)
    except (TypeError, KeyError, ArithmeticError):
        pass
    line = getattr(node, "lineno", 0)
    raise InputError(f"{file}, line {line}: a number, or a sum like 2*3 - 1 of numbers, is wanted in `answers`")
