"""The text of a student's file: code with gaps (rungs b and c), planted bugs, or numbers to predict (rung a)."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

import numpy as np

from ..gradcheck.signs import SIGNS
from .cuts import RUNGS, Gap, Solution, drawn, outermost, planted

WIDTH = 96
TODO = "NotImplementedError"
BUG_RUNGS = {"a": "name the lines", "b": "repair them, with a word on each", "c": "repair them"}


def code(whole: Solution, rung: str, seed: int) -> str:
    """The code with its gaps, or with one wrong line in every function."""
    plants = planted(whole, seed)
    rows: list[str] = []
    last: Gap | None = None
    count = 0
    for index, line in enumerate(whole.lines):
        gap = None if rung == "a" else outermost(line, rung)
        if gap is None:
            rows.append(plants[index][1] if index in plants else line.text)
        elif gap is not last:
            count += 1
            indent = line.text[: len(line.text) - len(line.text.lstrip())]
            rows += _hole(gap.words, count, indent, whole.suffix)
        last = gap
    told = _bugs_to_find(rung) if plants else _gaps_to_fill(rung, count, whole.suffix)
    text = _with_head("\n".join(rows).rstrip() + "\n", whole, rung, seed, told)
    if plants and rung != "c":
        text = _with_kinds(text, whole, seed) if rung == "b" else text + _bug_answers(text, whole, seed)
    return text


def numbers(whole: Solution, seed: int) -> str:
    """Rung a: the formulas, the numbers, and a dict to type the answers into."""
    values = drawn(whole, seed)
    told = ["Work these numbers out on paper, and type them in for None. Three decimals are enough.",
            "A sum like 2*3 - 1 may stand there too; names may not."]  # fmt: skip
    rows = ["import numpy as np", ""]
    rows += [f"{name} = {_literal(values[name]) if 'rng' in how else how}" for name, how in whole.draws]
    rows += ["", "answers = {"]
    for name, question, _ in whole.questions:
        rows += [f"    # {part}" for part in textwrap.wrap(question, WIDTH - 6)]
        rows.append(f'    "{name}": None,')
    return f'"""{_opening(whole)}\n"""\n\n' + "\n".join([*_head(whole, "a", seed, told), "", *rows, "}", ""])


def bug_lines(text: str, whole: Solution, seed: int) -> dict[str, tuple[int, str]]:
    """Where the planted bugs are in a student's file as it was written: function -> (line, kind)."""
    from ..gradcheck.museum import MUSEUM

    kinds = {bug.name: bug.sign for bug in MUSEUM}
    rows = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            for name, wrong in planted(whole, seed).values():
                lines = range(node.lineno, (node.end_lineno or 0) + 1)
                if place := next((n for n in lines if rows[n - 1].strip() == wrong.strip()), None):
                    found[node.name] = (place, kinds[name])
    return found


def _hole(words: str, number: int, indent: str, suffix: str) -> list[str]:
    comment = "#" if suffix == ".py" else "//"
    rows = [f"{indent}{comment} {part}" for part in textwrap.wrap(f"gap {number}: {words}", WIDTH - len(indent) - 3)]
    stop = f'{indent}raise {TODO}("gap {number}")' if suffix == ".py" else f'#error "gap {number} is not filled yet"'
    return [*rows, stop]


def _gaps_to_fill(rung: str, count: int, suffix: str) -> list[str]:
    what = f"`raise {TODO}`" if suffix == ".py" else "`#error`"
    gaps = f"the {count} gaps" if count > 1 else "the gap"
    how = "whole bodies" if rung == "c" else "one to five lines each"
    told = [f"Fill {gaps} ({how}): write code in place of each line {what}."]
    if suffix == ".py":
        told += ["NumPy is all it takes; other libraries are refused. Functions are checked one by one,",
                 "on right numbers; where one calls another of yours, it needs that one."]  # fmt: skip
    return told


def _bugs_to_find(rung: str) -> list[str]:
    told = ["Every function here has one wrong line. Somebody really wrote each of them once."]
    if rung == "a":
        told += ["Find it, and fill in `answers` at the end. Change nothing else: the line numbers count."]
        return told
    return [*told, "Find it, and repair it."]


def _with_kinds(text: str, whole: Solution, seed: int) -> str:
    """Above each function, what its wrong gradient looks like."""
    kinds = {name: kind for name, (_, kind) in bug_lines(text, whole, seed).items()}
    rows = []
    for row in text.splitlines():
        name = row[4:].split("(")[0] if row.startswith("def ") else ""
        rows += [f"# its gradient, as it is: {SIGNS[kinds[name]]}", row] if name in kinds else [row]
    return "\n".join(rows) + "\n"


def _bug_answers(text: str, whole: Solution, seed: int) -> str:
    kinds = textwrap.wrap(", ".join(sign.replace(" ", "_") for sign in SIGNS), WIDTH - 4)
    asked = [f'    "{name}": (None, ""),' for name in bug_lines(text, whole, seed)]
    told = ["# Of each: the number of the wrong line in this file, and the kind of its mistake, one of"]
    return "\n".join(
        ["", "", *told, *(f"#   {row.replace('_', ' ')}" for row in kinds), "answers = {", *asked, "}", ""]
    )


def _head(whole: Solution, rung: str, seed: int, told: list[str]) -> list[str]:
    python = whole.suffix == ".py" or rung == "a"
    planted_here = any(line.plants for line in whole.lines)
    what = (BUG_RUNGS if planted_here else RUNGS)[rung]
    rows = [f"exercise: {whole.name}, rung {rung}, seed {seed}  ({what})", *told]
    return [
        f"{'#' if python else '//'} {row}"
        for row in [*rows, "Check it with: tinyresnet lesson check and this file's name"]
    ]


def _with_head(text: str, whole: Solution, rung: str, seed: int, told: list[str]) -> str:
    """The text with the instructions below its docstring, or its first comment."""
    rows, head = text.splitlines(), _head(whole, rung, seed, told)
    if whole.suffix == ".py":
        end = ast.parse(text).body[0].end_lineno or 1
        return "\n".join([*rows[:end], "", *head, *rows[end:]]) + "\n"
    end = rows.index("")
    return "\n".join([*rows[:end], "//", *head, *rows[end:]]) + "\n"


def _opening(whole: Solution) -> str:
    """What the solution begins with: title, shapes and formula."""
    if whole.suffix == ".py":
        return ast.get_docstring(ast.parse(whole.text())) or whole.name
    rows = [line.text for line in whole.lines]
    return "\n".join(row.removeprefix("//").removeprefix(" ") for row in rows[: rows.index("")])


def _literal(value: Any) -> str:
    """The number or array as Python text."""
    if not isinstance(value, np.ndarray):
        return repr(value.item() if isinstance(value, np.generic) else value)
    rows = np.array2string(value, separator=", ", max_line_width=200).splitlines()
    return f"np.array({' '.join(row.strip() for row in rows)})"
