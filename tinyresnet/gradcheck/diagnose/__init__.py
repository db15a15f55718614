"""`diagnose`: what kind of mistake a wrong gradient shows.

Hypotheses are tested on numbers: one that does not explain all of the error is none.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from ..subject import Subject, guarded
from . import factors, inside, order, parts, places, statistics, terms
from .diagnosis import Diagnosis, Hypothesis
from .evidence import Evidence, gather
from .reduce import reduced

__all__ = ["Diagnosis", "diagnose"]

MOST = 3

# the simplest first, and before each one those that say more; what explains all of it ends the search
PLAIN: tuple[Hypothesis, ...] = (factors.zero, factors.one_factor, terms.by_outputs)
HYPOTHESES: tuple[Hypothesis, ...] = (
    factors.channel_factors, parts.overwritten, parts.kept_block, places.moved, parts.border, parts.kept_outputs,
    parts.masked, order.permuted, places.moved_beyond, order.numbers_permuted, places.window_on_its_side, places.label_shifted,
    terms.averaged_upstream, order.selected, parts.stopped, statistics.statistics, terms.of_the_upstream, parts.last_ones,
)  # fmt: skip
COSTLY: tuple[Hypothesis, ...] = (places.moved_elsewhere, terms.of_another, terms.constant_terms)


def diagnose(subject: Subject, name: str, rng: np.random.Generator) -> tuple[Diagnosis, ...]:
    """At most three kinds of mistake that explain all of the error in the gradient of `name`, the likeliest first; () if none does."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        small, shape, shapes = reduced(guarded(subject), name)
        evidence = gather(small, name, rng, whole=(shape, shapes))
        found: dict[str, Diagnosis] = {}
        for diagnosis in _tried(evidence):
            found.setdefault(diagnosis.sign, diagnosis)
            if len(found) == MOST:
                break
    return tuple(found.values())


def _tried(e: Evidence) -> Iterator[Diagnosis]:
    if not np.isfinite(e.claimed).all() or not np.isfinite(e.at_zero).all():
        e.linear_upstream = False
    elif e.at_zero.any():
        yield from terms.without_upstream(e)
        return
    if not e.linear_upstream:
        yield from terms.of_another_upstream(e)
        return
    yield from order.on_kinks(e)
    if not e.wrong.any():
        return
    for group in (PLAIN, (inside.inside,), HYPOTHESES, COSTLY):
        found = False
        for hypothesis in group:
            for diagnosis in hypothesis(e):
                yield diagnosis
                found = True
            if found and group is not HYPOTHESES:
                break
        if found:
            return
        if group is HYPOTHESES and inside.is_composite(e):
            return
