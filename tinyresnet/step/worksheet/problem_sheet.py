"""Problems as they are printed: the tables that are needed, the question, room to write; never an answer."""

from __future__ import annotations

import html
from itertools import groupby
from typing import Any

from ...explain import Explainer
from ...trace import Step, Trace
from ..session import Session
from .problems import Problem
from .sheet_tables import Tables, axes, named


def questions(session: Session, asked: list[Problem], words: dict[str, Any]) -> str:
    """All problems of a sheet."""
    tables = Tables(Explainer(session.trace), {problem.working.asked.cell for problem in asked}, words)
    return "".join(_question(problem, number, tables) for number, problem in enumerate(asked, 1))


def _question(problem: Problem, number: int, tables: Tables) -> str:
    words, trace = tables.words, tables.explainer.trace
    room = 12 + 3 * min(sum(len(line.terms) for line in problem.working.lines), 9)
    return f"""<section>
{heading(problem, number, trace, words)}
<p>{_context(problem, trace[problem.cell.step], words)}</p>
{tables.of(problem)}
<p><b>{_asked(problem, tables.explainer, words)}</b></p>
<div class="room" style="height: {room}mm"><span>{words["working"]}</span><p>{words["answer"]}<i></i></p></div>
</section>
"""


def heading(problem: Problem, number: int, trace: Trace, words: dict[str, Any]) -> str:
    """The problem's number and title, and which step of the network it is about."""
    step = trace[problem.cell.step]
    numbers = {"number": step.index + 1, "count": len(trace)}
    where = words["step"].format(path=step.path, direction=words[step.direction], **numbers)
    return f"<h2>{number}. {words['kinds'][problem.kind.name][0]} <small>{where}</small></h2>"


def _context(problem: Problem, step: Step, words: dict[str, Any]) -> str:
    """What the layer does forward, and what has come back."""
    shape = step.tensors["x"].shape if "x" in step.tensors else step.settings.get("x_shape", ())
    sizes = {"M": shape[0] * shape[2] * shape[3], "HW": shape[2] * shape[3]} if len(shape) == 4 else {}
    if step.kind == "Conv2d":
        stride, pad = step.settings["stride"][0], step.settings["pad"][0]
        sizes["conv"] = words["conv"].format(stride=stride, pad=pad)
    return html.escape(words["kinds"][problem.kind.name][1].format(**sizes))


def _asked(problem: Problem, explainer: Explainer, words: dict[str, Any]) -> str:
    step, name, at = problem.cell
    shape = explainer.tensors(step)[name].shape
    places = named(axes(explainer.trace[step], name, len(at)), at, shape, words)
    return str(words["question"].format(name=name, place=words["place_join"].join(places)))


def network(trace: Trace) -> str:
    """The layers in order, those of a block in brackets."""
    paths = [step.path.rpartition(".") for step in trace if step.direction == "forward"]
    parts = []
    for block, group in groupby(paths, lambda path: path[0]):
        names = " → ".join(name for _, _, name in group)
        parts.append(f"{block} ( {names} )" if block else names)
    return " → ".join(parts)
