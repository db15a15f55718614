"""A term too many or too few: of the input itself, of another gradient, of one of several outputs, a constant one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tinyresnet_kernels import Array

from .diagnosis import Diagnosis, axis_words, listed
from .evidence import Evidence, claim, gather

SMALL = 4000  # entries of a matrix that may be measured once more


def without_upstream(e: Evidence) -> Iterator[Diagnosis]:
    """Something is claimed for no upstream at all."""
    if np.abs(e.at_zero).max(initial=0) == 0:
        return
    ones = e.true.sum(axis=1)
    rest = float(np.abs(e.claimed).max(initial=0)) <= 1e-9 * float(np.abs(e.at_zero).max())
    if rest:
        same = np.allclose(e.at_zero, ones, rtol=1e-6, atol=1e-6 * float(np.abs(ones).max()))
        what = "it is the gradient for an upstream of ones" if same else "it does not change with the upstream"
        yield Diagnosis("upstream", f"{what}: dy is not multiplied in")
        return
    for name, array in e.subject.inputs.items():
        if array.shape == e.shape and not e.wrong.any():
            factor = float(e.at_zero @ array.ravel() / (array.ravel() @ array.ravel() or 1))
            if np.allclose(e.at_zero, factor * array.ravel(), rtol=1e-6, atol=1e-9 * float(np.abs(e.at_zero).max())):
                what = "weight decay?" if name == e.name else f"what is {name} doing here?"
                yield Diagnosis("extra term", f"{factor:.4g} times {name} is added to it: {what}")
                return
    if not e.wrong.any():
        yield Diagnosis("extra term", "something that does not come of the upstream is added to it")
    yield Diagnosis("upstream", "it is not zero for an upstream of zeros")


def by_outputs(e: Evidence) -> Iterator[Diagnosis]:
    """Each of several outputs' shares comes with a factor of its own."""
    k = len(e.shapes)
    if k < 2 or len(set(e.shapes)) > 1:
        return
    true, claimed = (a.reshape(len(a), k, -1) for a in (e.true, e.claimed))
    size = (true**2).sum(axis=(0, 2))
    factors = (true * claimed).sum(axis=(0, 2)) / np.where(size > 0, size, 1)
    if not e.explains((true * factors[:, None]).reshape(e.true.shape)):
        return
    words = listed([f"{f:.3g}" for f in factors])
    if np.all((factors == 0) | (np.abs(factors - 1) < 1e-9)) or np.abs(factors).max() == 0:
        yield Diagnosis("missing term", f"what comes by the outputs is weighed by {words}: all of it adds up")
    elif (np.abs(factors) < 1e-9).any():
        yield Diagnosis("upstream", f"the outputs' upstreams are weighed by {words}: is one taken for the other?")
    elif (factors > 0).all() and (np.abs(factors - 1) < 1e-9).any():
        yield Diagnosis("extra term", f"what comes by the outputs is weighed by {words}: each counts once")
    else:
        yield Diagnosis("sign" if (factors < 0).any() else "scale", f"what comes by the outputs is weighed by {words}")


def of_another(e: Evidence) -> Iterator[Diagnosis]:
    """It is another input's gradient, or contains it."""
    for name, array in e.subject.inputs.items():
        if name == e.name or array.shape != e.shape or e.true.size > 10 * SMALL:
            continue
        other = gather(e.subject, name, e.rng, claims=False)
        if np.abs(other.true - e.true).max() <= e.bar:
            continue
        if e.explains(other.true):
            yield Diagnosis("permuted", f"it is the gradient of {name}: are the two exchanged?")
            return
        size = (other.true**2).sum(axis=1)
        each = (e.error * other.true).sum(axis=1) / np.where(size > 0, size, 1)
        if each.any() and e.explains(e.true + each[:, None] * other.true):
            yield Diagnosis("extra term", f"a multiple of the gradient of {name} is added to it")
            return


def of_the_upstream(e: Evidence) -> Iterator[Diagnosis]:
    """A multiple of the upstream, number by number, is added or left out."""
    seen = e.wrong
    if not seen.any() or seen.sum(axis=0).max() > 1 or seen.sum(axis=1).max() > 1 or not e.known.all():
        return
    values = e.error[seen]
    if np.ptp(values) > 2 * e.bar or seen.sum() < 4 or not (np.abs(e.true[~seen]) > e.bar).any():
        return
    if values[0] > 0:
        yield Diagnosis("extra term", f"{values[0]:.4g} times the upstream is added, number by number")
        yield Diagnosis("missing term", f"{values[0]:.4g} times the upstream is too much, number by number")
    else:
        yield Diagnosis(
            "missing term", f"{-values[0]:.4g} times the upstream is left out, number by number: a shortcut?"
        )
        yield Diagnosis("extra term", f"{-values[0]:.4g} times the upstream is taken off, number by number")


def constant_terms(e: Evidence) -> Iterator[Diagnosis]:
    """The error of a loss's gradient, or all of the claim, stays the same when the input moves."""
    if e.linear or e.true.shape[1] > 1 or e.true.size > SMALL or not e.known.all():
        return
    x = e.subject.inputs[e.name]
    moved = x + 0.3 * float(np.std(x) or 1) * e.rng.standard_normal(x.shape)
    there = gather(replace(e.subject, inputs=e.subject.at(**{e.name: moved})), e.name, e.rng)
    if not there.known.all() or np.abs(there.true - e.true).max() < 1e-6 * np.abs(e.true).max():
        return
    bar = e.bar + there.bar
    if np.abs(there.claimed - e.claimed).max() <= bar:
        yield Diagnosis("missing term", "it stays the same wherever the input is: all that depends on it is left out")
    elif np.abs(there.error - e.error).max() <= bar:
        signs = ["missing term", "extra term"]
        if np.linalg.norm(e.claimed) > np.linalg.norm(e.true):
            signs.reverse()
        words = {"missing term": "a constant term is left out", "extra term": "a constant term is added"}
        for sign in signs:
            yield Diagnosis(sign, f"{words[sign]}: the error stays the same wherever the input is")


def averaged_upstream(e: Evidence) -> Iterator[Diagnosis]:
    """It is the gradient for an upstream that was averaged, or summed, over an axis or more."""
    words = axis_words(e, output=True)
    axes = [a for a, size in enumerate(e.out_shape) if size > 1]
    subsets = [[a for k, a in enumerate(axes) if bits >> k & 1] for bits in range(1, 1 << len(axes))]
    for some in sorted(subsets, key=len):
        mean = e.moved_outputs(e.true, _mean(tuple(some)))
        over = listed([words[a] for a in some])
        if e.explains(mean):
            yield Diagnosis("upstream", f"it is the gradient for an upstream averaged over the {over}")
            return
        if e.explains(mean * float(np.prod([e.out_shape[a] for a in some]))):
            yield Diagnosis("extra term", f"the upstream is summed over the {over}, which belong to themselves alone")
            yield Diagnosis("upstream", f"it is the gradient for an upstream summed over the {over}")
            return


def _mean(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda array: np.broadcast_to(array.mean(axis=axes, keepdims=True), array.shape)


def of_another_upstream(e: Evidence) -> Iterator[Diagnosis]:
    """The claim is not linear in the upstream: of which form of it is it the gradient?"""
    if e.linear_upstream:
        return
    forms: dict[str, Callable[[Array], Array]] = {
        "its sign": np.sign, "its absolute value": np.abs, "its square": np.square, "its positive part": lambda r: np.maximum(r, 0),
        "its negative part": lambda r: np.minimum(r, 0), "it clipped to [-1, 1]": lambda r: np.clip(r, -1, 1), "tanh of it": np.tanh,
    }  # fmt: skip
    known = e.known.all(axis=1)
    r: Array = 2 * e.rng.standard_normal((3, e.true.shape[1]))
    claimed = np.array([claim(e.subject, e.name, one) for one in r])
    for words, form in forms.items():
        wanted = np.array([e.true @ form(one) for one in r])
        if np.linalg.norm((claimed - wanted)[:, known]) <= 1e-5 * np.linalg.norm(wanted[:, known]):
            yield Diagnosis("upstream", f"it is the gradient for another form of the upstream: {words}")
            if "part" in words:
                yield Diagnosis("mask", f"the upstream is masked by its own sign: {words} alone passes")
            return
    yield Diagnosis("upstream", "it is not linear in the upstream: twice the dy must give twice the gradient")
