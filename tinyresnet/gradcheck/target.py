"""What a command line names: a shipped layer, a network, or somebody's own code in a file."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError, unknown
from .objects import of_object
from .shipped import SHIPPED, Shipped
from .subject import Subject, of_pair

SHAPES = (
    (2, 3, 8, 7),
    (3, 5),
    (2, 4, 6),
    (2, 4, 8, 8),
    (2, 16, 8, 8),
    (4, 10),
    (7,),
)  # that are tried where none is given


def shipped(words: list[str]) -> Iterator[Shipped]:
    """The shipped layers that these words name: "all", or the beginnings of their names. Raises InputError."""
    for word in words:
        wanted = "" if word == "all" else word.lower().replace("_", " ")
        found = [one for one in SHIPPED if one.name.lower().startswith(wanted)]
        if not found:
            raise unknown("layer", word, sorted({one.name.split(",")[0] for one in SHIPPED} | {"all"}))
        yield from found


def shipped_subject(one: Shipped, *, seed: int) -> Subject:
    """A shipped layer with random numbers."""
    rng = np.random.default_rng(seed)
    layer = one.make(rng)
    return of_object(layer, one.inputs(rng), train=one.train, name=one.name)


def own(
    word: str, shape: tuple[tuple[int, ...], ...] | None, *, dtype: np.typing.DTypeLike, train: bool, seed: int
) -> Subject:
    """What "file.py:Name" names: a class or an object with forward and backward, or a forward function with its backward beside it.

    A class is made without arguments; "file.py:Name(3, 4)" makes it with these. The function `f_forward` goes with `f_backward`.
    Raises InputError if there is no such thing, or if no shape fits.
    """
    path, _, expression = word.partition(":")
    module = load(Path(path))
    if not expression:
        raise InputError(
            f"{word}: a name after a colon is wanted, like {path}:MyLayer; it has {', '.join(_names(module))}"
        )
    thing = _evaluated(module, expression, word)
    rng = np.random.default_rng(seed)
    shapes = [shape] if shape else [(one,) for one in SHAPES]
    error: Exception | None = None
    for tried in shapes:
        inputs = tuple(rng.standard_normal(one).astype(dtype) for one in tried)
        try:
            subject = _subject(module, thing, expression, inputs, train)
            subject.forward({name: array.copy() for name, array in subject.inputs.items()})
        except InputError:
            raise
        except Exception as caught:
            error = error or caught
            continue
        return subject
    which = f"shape {', '.join(map(str, shape))}" if shape else "none of the usual shapes"
    raise InputError(f"{word}: {which} fits ({type(error).__name__}: {error}): give --shape, like --shape 2,3,8,8")


def _subject(module: ModuleType, thing: Any, expression: str, inputs: tuple[Any, ...], train: bool) -> Subject:
    if callable(thing) and not hasattr(thing, "backward"):
        partner = expression.replace("forward", "backward") if "forward" in expression else f"{expression}_backward"
        backward = getattr(module, partner, None)
        if backward is None:
            raise InputError(f"{expression} is a function, and there is no {partner} beside it: that is wanted")
        return of_pair(thing, backward, *inputs, name=expression)
    return of_object(thing, inputs if len(inputs) > 1 else inputs[0], train=train, name=expression)


def load(path: Path) -> ModuleType:
    """Run a Python file as the user's own code. Raises InputError if it is not there, or stops."""
    if not path.is_file():
        raise InputError(f"{path} is not there: a Python file, the name of a layer, or `all` is wanted")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file: a name that ends in .py is wanted")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path} stops with {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module


def _evaluated(module: ModuleType, expression: str, word: str) -> Any:
    try:
        thing = eval(expression, vars(module))  # their own code, at their own wish
        return thing() if isinstance(thing, type) else thing
    except NameError:
        raise InputError(f"{word}: there is no {expression} in it; it has {', '.join(_names(module))}") from None
    except Exception as error:
        raise InputError(f"{word} stops with {type(error).__name__}: {error}") from error


def _names(module: ModuleType) -> list[str]:
    """What the file itself defines."""
    own_names = [n for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__]
    return own_names or ["nothing of its own"]
