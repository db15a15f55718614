"""`check`: is this gradient right? The structure, every tensor along random directions, on kinks and beside them, and where it is wrong."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ..errors import InputError
from .diagnose import Diagnosis, diagnose
from .localise import Place, wrong_elements
from .manners import look_over
from .objects import of_object
from .probe import Probe, scale_of
from .slopes import Noise
from .structure import Finding, resized, upstreams
from .subject import Run, Subject, guarded, of_pair
from .tensor import TensorCheck, check_tensor

SHORT = 4  # steps at the points beside and on kinks: their slopes are told apart by few
BESIDE = 0.02  # how far beside a kink, in units of the input's own size
ULPS = 64  # of float32 that its rounding may make, where it is well conditioned


@dataclass(frozen=True)
class Report:
    """What was found. `tensors` holds a check of every gradient, and of some again at points of another kind."""

    subject: Subject  # what was checked, in float64
    findings: tuple[Finding, ...]
    tensors: tuple[TensorCheck, ...]
    places: dict[str, Place]
    diagnoses: dict[str, tuple[Diagnosis, ...]]
    dtype: str
    seconds: float

    @property
    def name(self) -> str:
        """What was checked."""
        return self.subject.name

    @property
    def verdict(self) -> str:
        """correct, wrong or inconclusive."""
        beside = {tensor.name for tensor in self.tensors if tensor.point == "beside kinks"}
        verdicts = {finding.verdict for finding in self.findings}
        verdicts |= {t.verdict for t in self.tensors if not (t.on_kinks and t.name in beside)}
        return next((v for v in ("wrong", "inconclusive") if v in verdicts), "correct")

    @property
    def wrong(self) -> tuple[str, ...]:
        """The gradients that are wrong."""
        names = [tensor.name for tensor in self.tensors if tensor.verdict == "wrong"]
        names += [name for finding in self.findings if finding.verdict == "wrong" for name in finding.names]
        return tuple(dict.fromkeys(names))

    @property
    def limit(self) -> float:
        """The smallest relative error in one element that would have been seen in every gradient."""
        return max((tensor.limit for tensor in self.tensors if tensor.point == "as given"), default=0.0)

    @property
    def error(self) -> float:
        """The largest difference between a claim and a measurement, relative to the size of the terms that the claim sums."""
        given = [c for tensor in self.tensors if tensor.point == "as given" for c in tensor.comparisons]
        return max((c.away / c.size for c in given if c.size > 0 and c.method != "one-sided"), default=0.0)

    @property
    def forwards(self) -> int:
        """Forward passes that the gradient which took most of them took."""
        counts: dict[tuple[str, tuple[int, ...]], int] = {}
        for tensor in self.tensors:
            key = (tensor.name, tensor.shape)
            counts[key] = counts.get(key, 0) + tensor.forwards
        return max(counts.values(), default=0)

    def __str__(self) -> str:
        from .report import as_text

        return as_text(self)


def check(
    thing: Any,
    *inputs: Any,
    backward: Callable[..., Any] | None = None,
    train: bool = True,
    name: str | None = None,
    seed: int = 0,
    **settings: Any,
) -> Report:
    """Check the gradients of a layer at an input, or of forward and `backward` functions at their inputs.

    check(layer, x): a `Layer`, or an object with forward(x) and backward(dy); x is an array or a tuple of arrays.
    check(forward, *inputs, backward=backward, **settings): forward(*inputs, **settings) -> y, cache; backward(dy, cache) -> gradients.
    A float32 function is checked through its float64 form, and its own gradients against that form's, in units of rounding.
    Raises InputError if it is neither, or if no input is an array of real numbers.
    """
    return check_subject(subject_of(thing, *inputs, backward=backward, train=train, name=name, **settings), seed=seed)


def subject_of(
    thing: Any, *inputs: Any, backward: Callable[..., Any] | None, train: bool, name: str | None, **settings: Any
) -> Subject:
    """The layer, object or pair of functions as what is checked."""
    if backward is not None:
        return of_pair(thing, backward, *inputs, name=name, **settings)
    if len(inputs) != 1:
        raise InputError(f"check of a layer takes one input (an array or a tuple of arrays), not {len(inputs)}")
    return of_object(thing, inputs[0], train=train, name=name)


def check_subject(subject: Subject, *, seed: int = 0, locate: bool = True, sizes: bool = True) -> Report:
    """As `check`; `sizes`: at other sizes too. Without `locate` no wrong element is looked for and no mistake diagnosed."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # what is checked may divide by zero; that is not what was asked
        return _check(subject, np.random.default_rng(seed), locate, sizes)


def _check(subject: Subject, rng: np.random.Generator, locate: bool, sizes: bool) -> Report:
    started = time.perf_counter()
    findings = look_over(subject, rng)
    exact = subject.cast(np.float64)
    tensors: list[TensorCheck] = []
    places: dict[str, Place] = {}
    diagnoses: dict[str, tuple[Diagnosis, ...]] = {}
    if not any(finding.ends for finding in findings):
        broken = {name for finding in findings if finding.check == "gradient_forms" for name in finding.names}
        spoils = any(finding.check == "writes" for finding in findings)
        exact = guarded(exact) if spoils else exact
        names = [name for name in subject.inputs if name not in broken]
        probes = [probe_of(exact, name, spoils=spoils) for name in names]
        noises = {probe.name: probe.noise(rng) for probe in probes if probe.point.size}
        passed = list(subject.inputs)[: subject.passed or None]
        tensors = [
            check_tensor(probe, rng, noise=noises.get(probe.name), patient=probe.name not in passed) for probe in probes
        ]
        for tensor, probe in zip(tensors, probes, strict=True):
            if locate and tensor.verdict == "wrong":
                places[tensor.name] = wrong_elements(probe, rng)
                diagnoses[tensor.name] = diagnose(exact, tensor.name, rng)
        right = [tensor for tensor in tensors if tensor.verdict != "wrong"]
        elsewhere = _at_kinks(exact, right, noises, rng, spoils=spoils)
        if sizes and len(right) == len(tensors) and all(finding.check != "other_sizes" for finding in findings):
            elsewhere += _at_other_sizes(exact, rng, spoils=spoils)
        for tensor, probe in elsewhere:
            tensors.append(tensor)
            if locate and tensor.verdict == "wrong" and tensor.name not in places:
                places[tensor.name] = wrong_elements(probe, rng)
                diagnoses[tensor.name] = diagnose(probe.subject, tensor.name, rng)
        if locate:
            for name in (name for finding in findings if finding.check == "upstream" for name in finding.names):
                diagnoses[name] = diagnoses.get(name) or diagnose(exact, name, rng)
        if any(array.dtype == np.float32 for array in subject.inputs.values()):
            findings += _single(subject, exact, names, rng)
    dtype = str(np.result_type(*subject.inputs.values()))
    seconds = time.perf_counter() - started
    return Report(exact, tuple(findings), tuple(tensors), places, diagnoses, dtype, seconds)


def probe_of(subject: Subject, name: str, *, spoils: bool = False) -> Probe:
    """A probe of one of the inputs; `spoils`: its backward writes where it must not, so that every claim needs a pass of its own."""
    return Probe(subject, name, base=None if spoils else subject.forward(subject.inputs))


def _at_kinks(
    subject: Subject, tensors: list[TensorCheck], noises: dict[str, Noise], rng: np.random.Generator, *, spoils: bool
) -> list[tuple[TensorCheck, Probe]]:
    """The bent ones among the inputs again, where numbers tie and vanish, and a little beside."""
    passed = list(subject.inputs)[: subject.passed or None]
    bent = [t.name for t in tensors if t.name in passed and any(c.method != "adjoint" for c in t.comparisons)]
    found = []
    for name in bent:
        x = subject.inputs[name]
        scale = scale_of(x)
        tied = np.asarray(np.round(x / scale) * scale)
        beside = tied + BESIDE * scale * rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1, x.shape)
        for point, moved in (("on kinks", tied), ("beside kinks", beside)):
            there = replace(subject, inputs=subject.at(**{name: moved}))
            try:
                probe = probe_of(there, name, spoils=spoils)
            except Exception:
                continue  # it does not take such numbers
            if np.isfinite(probe.here).all():
                both = point == "on kinks"
                check = check_tensor(probe, rng, levels=SHORT, noise=noises[name], positive=both, straight=False)
                if check.verdict != "inconclusive":
                    found.append((replace(check, point=point), probe))
    return found


def _at_other_sizes(subject: Subject, rng: np.random.Generator, *, spoils: bool) -> list[tuple[TensorCheck, Probe]]:
    """Every gradient again for one picture alone, and for smaller ones of unequal height and width, if the function takes them."""
    found = []
    for point, inputs in resized(subject):
        there = replace(subject, inputs=inputs)
        try:
            probes = [probe_of(there, name, spoils=spoils) for name in inputs]
        except Exception:
            continue  # it does not take such numbers
        for probe in probes:
            if probe.here.size and np.isfinite(probe.here).all():
                check = check_tensor(probe, rng, levels=SHORT, positive=False)
                if check.verdict != "inconclusive":
                    found.append((replace(check, point=point), probe))
    return found


def _single(subject: Subject, exact: Subject, names: list[str], rng: np.random.Generator) -> list[Finding]:
    """float32's gradients against float64's: off by no more than some ulps, and what rounding the inputs or dy once more would do."""
    unit = float(np.finfo(np.float32).eps)
    off: dict[str, float] = {}
    passed = list(subject.inputs)[: subject.passed or None]
    drawn = {name: rng.standard_normal(subject.inputs[name].shape).astype(np.float32) for name in passed}
    # again with numbers of a moderate size: at a kink, or far out on an exponential, the precisions may rightly differ
    for aside in (subject.inputs, subject.at(**drawn)):
        run, wide = subject.forward(aside), exact.forward({n: a.astype(np.float64) for n, a in aside.items()})
        dys = upstreams(run, rng)
        got, wanted = _gradients(run, dys), _gradients(wide, tuple(dy.astype(np.float64) for dy in dys))
        shaken = {n: a * (1 + unit * rng.standard_normal(a.shape)) for n, a in aside.items()}
        near = _gradients(exact.forward(shaken), tuple(dy.astype(np.float64) for dy in dys))
        thrice = _gradients(run, tuple(dy / 3 for dy in dys))
        for name in names:
            moved = np.linalg.norm(near[name] - wanted[name]) + np.linalg.norm(3 * thrice[name] - got[name])
            allowed = ULPS * (unit * float(np.linalg.norm(wanted[name])) + float(moved)) + 1e-30
            ratio = float(np.linalg.norm(got[name] - wanted[name])) / allowed
            off[name] = min(off.get(name, np.inf), ratio)
    return [
        Finding("single precision", f"in float32 it is off by {ULPS * ratio:.0f} times what rounding explains", (name,))
        for name, ratio in off.items()
        if not ratio <= 1
    ]


def _gradients(run: Run, dys: tuple[Array, ...]) -> dict[str, Array]:
    return {name: np.array(gradient, np.float64) for name, gradient in run.backward(dys).items()}
