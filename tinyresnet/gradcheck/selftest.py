"""The checker proves itself: every wrong gradient of the museum must be caught, and no right one blamed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .check import Report, check_subject
from .configurations import draw_configuration
from .museum import MUSEUM, Bug
from .subject import of_layer


class Progress(Protocol):
    """What is told while it runs."""

    def update(self, n: int, **fields: float | str) -> None:
        """`n` more are done."""


@dataclass
class Proof:
    """How many of the museum's pieces were caught, located and diagnosed, and how many right layers were blamed."""

    pieces: int = 0
    diagnoses: bool = True
    tried: int = 0
    caught: int = 0
    numeric: int = 0  # of those tried, where numbers are wrong
    located: int = 0
    diagnosable: int = 0
    diagnosed: int = 0
    within_three: int = 0
    misled: int = 0
    right: int = 0
    false_alarms: int = 0
    inconclusive: int = 0
    seconds: float = 0.0
    missed: list[str] = field(default_factory=list)  # what went wrong, one line each

    @property
    def good(self) -> bool:
        """Whether all were caught and none was blamed."""
        return self.caught == self.tried and self.false_alarms == 0

    def rows(self) -> list[tuple[str, str]]:
        """The figures as a table."""
        return [
            ("wrong gradients in the museum", str(self.pieces)),
            ("caught", _share(self.caught, self.tried)),
            ("the wrong gradients named, and no other", _share(self.located, self.numeric)),
            *self._of_diagnoses(),
            ("right layers drawn by chance", str(self.right)),
            ("false alarms", _share(self.false_alarms, self.right)),
            ("inconclusive", _share(self.inconclusive, self.right)),
            ("seconds", f"{self.seconds:.0f}"),
        ]

    def _of_diagnoses(self) -> list[tuple[str, str]]:
        counts = {
            "first diagnosis right": self.diagnosed,
            "right within three": self.within_three,
            "diagnosed, but none right": self.misled,
        }
        return [(what, _share(count, self.diagnosable)) for what, count in counts.items() if self.diagnoses]

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return vars(self) | {"good": self.good}


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "-"


def prove(*, seeds: int, right: int, seed: int, diagnoses: bool = True, progress: Progress) -> Proof:
    """Check every piece of the museum `seeds` times, and so many right layers. The progress counts checks.

    Without `diagnoses` only verdicts are counted, which is some ten times faster.
    """
    began, proof = time.perf_counter(), Proof(pieces=len(MUSEUM), diagnoses=diagnoses)
    for bug in MUSEUM:
        for s in range(seed, seed + seeds):
            _try_bug(proof, bug, s)
            progress.update(1, caught=f"{proof.caught}/{proof.tried}")
    for s in range(seed, seed + right):
        _try_right(proof, s)
        progress.update(1, false_alarms=str(proof.false_alarms))
    proof.seconds = time.perf_counter() - began
    return proof


def _try_bug(proof: Proof, bug: Bug, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer, x = bug.make(rng), bug.setting.inputs(rng)
    report = check_subject(
        of_layer(layer, x, train=bug.setting.train, name=bug.name), seed=seed, locate=proof.diagnoses
    )
    proof.tried += 1
    if report.verdict != "wrong":
        proof.missed.append(f"{bug.name}, seed {seed}: {report.verdict}")
        return
    proof.caught += 1
    if bug.wrong:
        proof.numeric += 1
        proof.located += set(report.wrong) == set(bug.wrong)
    if bug.wrong and bug.sign != "other":  # those show no pattern that has a name
        proof.diagnosable += 1
        signs = _signs(report, bug)
        proof.diagnosed += signs[:1] == [bug.sign]
        proof.within_three += bug.sign in signs
        proof.misled += bool(signs) and bug.sign not in signs


def _signs(report: Report, bug: Bug) -> list[str]:
    """What the report says of the first wrong gradient that it says something about."""
    for name in bug.wrong:
        if diagnoses := report.diagnoses.get(name):
            return [diagnosis.sign for diagnosis in diagnoses]
    # what needs no slope has a name of its own
    return [finding.check for finding in report.findings if finding.check in ("upstream", "stale")][:1]


def _try_right(proof: Proof, seed: int) -> None:
    drawn = draw_configuration(np.random.default_rng(seed))
    report = check_subject(of_layer(drawn.layer, drawn.x, train=drawn.train, name=drawn.name), seed=seed)
    proof.right += 1
    proof.false_alarms += report.verdict == "wrong"
    proof.inconclusive += report.verdict == "inconclusive"
    if report.verdict != "correct":
        proof.missed.append(f"a right {drawn.name}, seed {seed}: {report.verdict}")
