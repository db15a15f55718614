"""Where one can stand in a trace: the steps by their layers' names, their tensors in the order of reading, the cell to begin with."""

from __future__ import annotations

import difflib

from ...errors import InputError, unknown
from ...explain import Explainer
from ...trace import Step, Trace
from .planes import Index, largest

NEAREST = 8  # names that an error lists of a large network


def step_at(trace: Trace, path: str, direction: str) -> Step:
    """The step of this layer in this direction. Raises InputError, which names the nearest layers there are."""
    paths = list(dict.fromkeys(step.path for step in trace))
    if path not in paths:
        near = difflib.get_close_matches(path, paths, n=NEAREST, cutoff=0.3) or paths
        raise unknown("layer", path, paths if len(paths) <= 3 * NEAREST else near[: 3 * NEAREST])
    try:
        return trace[path, direction]
    except KeyError as error:
        raise InputError(f"{path} has no {direction} step in this trace") from error


def groups(explainer: Explainer, index: int) -> dict[str, list[str]]:
    """The tensors of a step by what they are to it: arrived, remembered, parameters, made."""
    step, names = explainer.trace[index], list(explainer.tensors(index).arrays)
    made = [name for name in explainer.made(index) or step.made if name in names]
    made += [name for name in step.made if name not in made]
    arrived = [name for name in step.given if name not in made]
    parameters = [name for name in step.params if name not in made]
    remembered = [name for name in names if name not in (*made, *arrived, *parameters)]
    return {"arrived": arrived, "remembered": remembered, "parameters": parameters, "made": made}


def result_of(explainer: Explainer, index: int) -> str:
    """The tensor that a step is there for: y or dx, of a pair the first."""
    names = [name for group in reversed(groups(explainer, index).values()) for name in group]
    return next((name for name in ("y", "dx", "a", "da", "dx0") if name in explainer.trace[index].made), names[0])


def start_cell(explainer: Explainer, index: int, name: str) -> Index:
    """The cell of the largest magnitude. Raises InputError if the tensor is empty."""
    array = explainer.tensors(index)[name]
    if not array.size:
        raise InputError(f"{name} of {explainer.trace[index].path} is empty: its shape is {array.shape}")
    return largest(array)
