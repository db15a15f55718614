"""What goes wrong because of what came in: one sentence, the value that came, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Wrong input: a shape, a dtype, a name, a file. The command line prints it as one line and exits with 2."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a `name` that is none of the `known` ones of its `kind`; it names the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {kind} {name!r}: {hint}known: {', '.join(names)}")
