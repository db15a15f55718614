"""Walking through a trace by keys: where one stands, and what each key does. It draws nothing (screen.py) and reads nothing (keys.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from ...errors import InputError
from ...explain import Cell, Explainer, Explanation, Factor
from ...trace import Step
from ..session import Session
from .nudge import finale, nudge, parameter
from .phrases import phrases
from .places import groups, result_of, start_cell
from .planes import Index, moved, turned

CURSOR = {"w": (-1, 0), "a": (0, -1), "s": (1, 0), "d": (0, 1), "k": (-1, 0), "h": (0, -1), "j": (1, 0), "l": (0, 1)}
TERMS = {"up": -1, "down": 1, "pageup": -8, "pagedown": 8}
TURNS = {",": {"pictures": -1}, ".": {"pictures": 1}, "[": {"channels": -1}, "]": {"channels": 1}}


class Place(NamedTuple):
    """A cell, and which term and which factor of its arithmetic are marked."""

    cell: Cell
    term: int = 0
    factor: int | None = None  # None: the one to begin with


class Walk:
    """`press(key)` moves; `place`, `found` and `marked` say where one is."""

    def __init__(self, session: Session, language: str = "en", at: Cell | None = None) -> None:
        self.session, self.language, self.words = session, language, phrases(language)
        self.trace = session.trace
        self.explainer = Explainer(session.trace)
        self.history: list[Place] = []
        self.mode = "look"  # or "help", "jump", "end"
        self.typed = ""  # in mode "jump"
        self.message = ""
        self.done = False
        self.place = Place(at or self._start(0))

    @property
    def cell(self) -> Cell:
        """Where the cursor is."""
        return self.place.cell

    @property
    def step(self) -> Step:
        """The step in view."""
        return self.trace[self.cell.step]

    @property
    def names(self) -> list[str]:
        """The step's tensors in the order of reading."""
        return [name for group in groups(self.explainer, self.cell.step).values() for name in group]

    @property
    def found(self) -> Explanation:
        """The arithmetic of the cell."""
        if self._explained.cell != self.explainer.locate(self.cell):
            del self._explained
        return self._explained

    @cached_property
    def _explained(self) -> Explanation:
        return self.explainer.explain(self.cell)

    @property
    def marked(self) -> Factor | None:
        """The marked factor of the marked term: at first the last that is no parameter, for that is the way the numbers flow."""
        if not self.found.terms:
            return None
        factors = self._factors
        if not factors:
            return None
        if self.place.factor is not None:
            return factors[self.place.factor % len(factors)]
        flowing = [f for f in factors if f.cell and f.cell.name not in self.trace[f.cell.step].params]
        return (flowing or factors)[-1]

    @property
    def _factors(self) -> list[Factor]:
        """Those of the marked term that have a cell."""
        return [factor for factor in self.found.terms[self.place.term].factors if factor.cell]

    @property
    def matches(self) -> list[str]:
        """The layers whose names hold what was typed: those that end in it first."""
        paths = list(dict.fromkeys(step.path for step in self.trace))
        return sorted(
            (p for p in paths if self.typed in p), key=lambda p: (p != self.typed, not p.endswith(self.typed))
        )

    def press(self, key: str) -> None:
        """Do what the key stands for; a key that stands for nothing does nothing."""
        self.message = ""
        if self.mode == "jump":
            self._type(key)
        elif self.mode in ("help", "end"):
            self.mode = "look"
            self.done = key == "q"
        elif key in CURSOR:
            self._to(moved(self._shape, self.cell.at, *CURSOR[key]))
        elif key in TURNS:
            self._to(turned(self._shape, self.cell.at, **TURNS[key]))
        elif key in TERMS:
            self._mark(self.place.term + TERMS[key])
        elif len(key) == 1 and key in "123456789":
            self._mark(int(key) - 1)
        elif key in self._actions:
            self._actions[key]()

    @cached_property
    def _actions(self) -> dict[str, Callable[[], None]]:
        return {
            "right": lambda: self._step(self.cell.step + 1),
            "left": lambda: self._step(self.cell.step - 1),
            "home": lambda: self._step(0),
            "end": lambda: self._step(len(self.trace) - 1),
            "tab": lambda: self._tensor(1),
            "backtab": lambda: self._tensor(-1),
            "o": self._other_factor,
            "enter": self._travel,
            "b": self._back,
            "backspace": self._back,
            "f": lambda: self._twin("forward"),
            "r": lambda: self._twin("backward"),
            "g": self._ask,
            "n": self._nudge,
            "?": lambda: setattr(self, "mode", "help"),
            "q": lambda: setattr(self, "done", True),
        }

    @property
    def _shape(self) -> Index:
        return self.explainer.tensors(self.cell.step)[self.cell.name].shape

    def _start(self, index: int) -> Cell:
        name = result_of(self.explainer, index)
        return Cell(index, name, start_cell(self.explainer, index, name))

    def _to(self, at: Index) -> None:
        self.place = Place(self.cell._replace(at=at))

    def _step(self, index: int) -> None:
        """Go to a step; the cursor stays in its place where the result there has the same shape."""
        if index < 0:
            self.message = self.words["first"]
        elif index == len(self.trace):
            self.mode = "end"
        else:
            at, shape = self.cell.at, self._shape
            self.place = Place(self._start(index))
            if self._shape == shape:
                self._to(at)

    def _tensor(self, by: int) -> None:
        names, (step, name, at) = self.names, self.cell
        shape = self._shape
        name = names[(names.index(name) + by) % len(names)]
        same = self.explainer.tensors(step)[name].shape == shape
        self.place = Place(Cell(step, name, at if same else start_cell(self.explainer, step, name)))

    def _mark(self, term: int) -> None:
        self.place = Place(self.cell, min(max(0, term), max(0, len(self.found.terms) - 1)))

    def _other_factor(self) -> None:
        if self.marked:
            now = self._factors.index(self.marked)
            self.place = self.place._replace(factor=(now + 1) % len(self._factors))

    def _travel(self) -> None:
        """To where the marked factor was made; from a number that was made elsewhere with no terms, nowhere."""
        if not (self.marked and self.marked.cell):
            self.message = self.words["came_from_outside"]
            return
        self.history.append(self.place)
        self.place = Place(self.explainer.locate(self.marked.cell))

    def _back(self) -> None:
        if self.history:
            self.place = self.history.pop()
        else:
            self.message = self.words["no_history"]

    def _twin(self, direction: str) -> None:
        self._go(self.step.path, direction)

    def _go(self, path: str, direction: str) -> None:
        for step in self.trace:
            if (step.path, step.direction) == (path, direction):
                if step.index != self.cell.step:
                    self._step(step.index)
                return
        self.message = self.words["no_twin"].format(path=path, direction=self.words[direction])

    def _ask(self) -> None:
        self.mode, self.typed = "jump", ""

    def _type(self, key: str) -> None:
        if key == "escape":
            self.mode = "look"
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif key == "enter":
            self.mode = "look"
            if self.matches:
                path, direction = self.matches[0], self.step.direction
                self._go(path, direction)
            else:
                self.message = self.words["no_layer"].format(typed=self.typed)
        elif len(key) == 1 and key.isprintable():
            self.typed += key

    def _nudge(self) -> None:
        """Nudge the parameter under the cursor, or the one whose gradient is under it."""
        name = self.cell.name if self.cell.name in self.step.params else self.cell.name.removeprefix("d")
        if name not in self.step.params:
            self.message = self.words["not_a_parameter"]
            return
        try:
            self.message = nudge(self.session, parameter(self.step, name), self.cell.at).said(self.language)
        except InputError as error:
            self.message = str(error)

    @cached_property
    def finale(self) -> str:
        """The last word, for mode "end"."""
        found = finale(self.session)
        return found.said(self.language) if found else str(self.words["no_parameters"])
