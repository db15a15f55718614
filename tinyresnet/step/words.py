"""What the stepper says of a step, in the reader's language; the page says the same sentences."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from ..errors import unknown
from ..trace import Source, Step, Trace


@cache
def words(package: str = __package__) -> dict[str, Any]:
    """All sentences by language: those of the steps, or those that another face keeps in a words.json of its own."""
    return json.loads((resources.files(package) / "words.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def in_language(language: str, package: str = __package__) -> dict[str, Any]:
    """The sentences in one language. Raises InputError on an unknown one."""
    if language not in words(package):
        raise unknown("language", language, words(package))
    return words(package)[language]  # type: ignore[no-any-return]


def sentence(trace: Trace, step: Step, language: str = "en") -> str:
    """ "Step 14 of 48: the gradient reaches the add. Both ways get the same 8 numbers." Raises InputError on an unknown language."""
    of_language = in_language(language)
    known = of_language[step.direction]
    cells = next(step.tensors[name].size for name in ("dy", "x", "a", "da", "x0") if name in step.tensors)
    name = step.kind
    if not step.train and f"{name} eval" in known:
        name = f"{name} eval"
    elif f"{name} outside" in known and not in_block(trace, step):
        name = f"{name} outside"
    text = known.get(name, known["other"]).format(cells=cells, kind=step.kind)
    return str(of_language["step"].format(number=step.index + 1, count=len(trace), sentence=text))


def in_block(trace: Trace, step: Step) -> bool:
    """Whether a step is the fork or the add of a residual block: both ways into the add come from one fork."""
    index = step.index if step.forward is None else step.forward
    for add in trace:
        if add.kind == "Add" and add.direction == "forward":
            forks = {_fork_above(trace, add.sources.get(way)) for way in "ab"}
            if len(forks) == 1 and None not in forks and index in {add.index, *forks}:
                return True
    return False


def ways(trace: Trace, step: Step) -> dict[str, str]:
    """What the two ways of a fork or an add outside blocks are called: the layers that they lead to or come from."""
    if step.kind not in ("Fork", "Add") or in_block(trace, step):
        return {}
    forward = trace[step.index if step.forward is None else step.forward]
    found = {}
    for arm, name in (("a", "branch"), ("b", "shortcut")):
        if forward.kind == "Add":
            other = trace[forward.sources[arm].step] if arm in forward.sources else None
        else:
            other = next((one for one in trace if Source(forward.index, arm) in one.sources.values()), None)
        found[name] = _beyond(forward.path, other.path) if other else arm
    return found


def _fork_above(trace: Trace, source: Source | None) -> int | None:
    """The step of the last fork before this source; None if there is none."""
    while source and trace[source.step].kind != "Fork":
        source = trace[source.step].sources.get("x")
    return source.step if source else None


def _beyond(here: str, path: str) -> str:
    """A layer's path without what it shares with another's: "layer3.0.fork" beside "backbone.fork2"."""
    mine, its = here.split("."), path.split(".")
    while len(its) > 1 and mine and its[0] == mine[0]:
        mine, its = mine[1:], its[1:]
    return ".".join(its)
