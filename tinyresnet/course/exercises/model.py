"""What an exercise is: its functions, how their arguments are drawn, and which functions of the library are right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Rng = np.random.Generator
Call = Callable[..., Any]
CASES = 12  # calls that a function is judged by


class Slip(NamedTuple):
    """A known mistake: its name, its kind (a key of SIGNS), a sentence on it, and the function with the mistake in it."""

    name: str
    sign: str
    sentence: str
    wrong: Call


class Case(NamedTuple):
    """One call: the arguments, and the settings that they were drawn with; for a backward pass also the forward's inputs."""

    args: tuple[Any, ...]
    settings: Mapping[str, Any]
    inputs: tuple[Any, ...] | None


@dataclass(frozen=True)
class Function:
    """One function of an exercise, judged alone: a backward pass gets the cache of the right forward pass.

    `draw(rng, **settings)` gives arguments of random sizes; `settings` are those that every judgement must meet. With `forward`
    the function is its backward: `draw` then draws the forward's inputs, and the function is called as f(dy, cache).
    """

    name: str
    points: int
    draw: Callable[..., tuple[Any, ...]]
    reference: Call
    gives: tuple[str, ...]  # the results' names
    settings: tuple[Mapping[str, Any], ...] = ({},)
    forward: Call | None = None
    hints: tuple[str, ...] = ()
    slips: Callable[[], Iterable[Slip]] = field(default=lambda: ())
    judge: Callable[[Callable[[tuple[Any, ...]], Any], Rng], str | None] | None = (
        None  # instead of comparing with a reference
    )

    def case(self, rng: Rng, settings: Mapping[str, Any] | None = None) -> Case:
        """One call with numbers of this rng, of these settings or of any."""
        chosen = self.settings[rng.integers(len(self.settings))] if settings is None else settings
        drawn = self.draw(rng, **chosen)
        if self.forward is None:
            return Case(drawn, chosen, None)
        y, cache = self.forward(*drawn)
        ys = y if isinstance(y, tuple) else (y,)
        dys = tuple(np.asarray(rng.standard_normal(np.shape(part)), np.asarray(part).dtype) for part in ys)
        return Case((dys if isinstance(y, tuple) else dys[0], cache), chosen, drawn)

    def cases(self, seed: int, count: int = CASES) -> Iterator[Case]:
        """So many calls or more: every setting at least once."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        for settings in self.settings:
            yield self.case(rng, settings)
        for _ in range(count - len(self.settings)):
            yield self.case(rng)

    def expected(self, case: Case) -> tuple[Any, ...]:
        """What is right: `gives`, one by one."""
        return as_tuple(self.reference(*case.args), len(self.gives))


@dataclass(frozen=True)
class Exercise:
    """A file to fill in. `source` is its solution, with cut marks."""

    name: str
    lesson: int
    title: str
    functions: tuple[Function, ...]
    file: str = ""  # its name, where it is not NAME.py
    place: Path | None = None  # the folder of its solution, where it is not lessons/exercises
    rungs: str = "abc"
    variant_of: str = ""  # a transfer variant: of this exercise

    @property
    def source(self) -> Path:
        """Its solution."""
        from ..cuts import source_of

        file = self.file or f"{self.name}.py"
        return self.place / file if self.place else source_of(file)

    @property
    def points(self) -> int:
        """Of all its functions."""
        return sum(function.points for function in self.functions)

    def function(self, name: str) -> Function:
        """The function of this name."""
        return next(function for function in self.functions if function.name == name)


def as_tuple(result: Any, count: int) -> tuple[Any, ...]:
    """The results as a tuple: one result may itself be a tuple (a cache), so `count` says how many there are."""
    return tuple(result) if count > 1 and isinstance(result, tuple | list) else (result,)
