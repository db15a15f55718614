"""A report: at most 15 lines of 80 columns, and the same as figures for a program."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .check import Report
    from .network import ModelReport
    from .tensor import TensorCheck

WIDTH = 80
LINES = 15
SHOWN = 2  # gradients of which all is told; of more only of the first
HINTS = {
    "zero": "the line that should compute it, and the one that returns it",
    "sign": "every minus, and the order of differences",
    "scale": "every division and mean, and what is divided by twice",
    "channel scale": "the factors per channel, and where each is applied",
    "transposed": "every .T, transpose, reshape and the operands of @",
    "flipped": "the order of the kernel's places, and every [::-1]",
    "shifted": "the padding, and the first index of every slice",
    "permuted": "every reshape and transpose, and which axis runs fastest",
    "missing sum": "what meets in one number: += or a sum over that axis",
    "mean for sum": "every mean: gradients of what is used often sum",
    "missing term": "all ways from this input to the loss",
    "extra term": "what else is added to it",
    "mean path": "the mean depends on every x: its way back",
    "variance path": "the variance depends on every x: its way back",
    "overwritten": "windows that overlap: does a number keep what it got before?",
    "border": "the padding, and the ends of every range",
    "part": "the ends of every range and slice, and remainders",
    "mask": "which array's sign or choice the mask is made of",
    "winners": "which element of a window gets the gradient, and on ties",
    "upstream": "where dy enters, and that it does so just once",
}


def as_text(report: Report) -> str:
    """The report for a person."""
    lines = [f"{report.name}: {report.verdict.upper() if report.verdict != 'correct' else 'correct'}"]
    lines += _wrap(_body(report), LINES - 2)
    tail = f"{report.forwards} forward passes a gradient at most, {report.seconds:.2f} s, {report.dtype}"
    return "\n".join([*lines, f"  {tail}"])


def model_as_text(report: ModelReport) -> str:
    """What was found of a network: the first wrong layer's report in full, of the others how many there are."""
    verdict = report.verdict.upper() if report.verdict != "correct" else "correct"
    lines = [
        f"{report.name}: {verdict}, {len(report.reports)} layers checked from the last to the first, {report.seconds:.1f} s"
    ]
    if report.first_wrong is not None:
        lines += [f"the first wrong layer is {report.first_wrong}:", str(report.reports[report.first_wrong])]
    unclear = [path for path, one in report.reports.items() if one.verdict == "inconclusive"]
    if unclear:
        lines.append(f"nothing can be said of {', '.join(unclear)}: with another --seed it may")
    return "\n".join(lines)


def _body(report: Report) -> Iterator[str]:
    for finding in report.findings:
        of = f"gradient of {', '.join(finding.names)}: " if finding.names else ""
        yield f"{of}{finding.detail}"
        if finding.check == "upstream":
            for diagnosis in report.diagnoses.get(finding.names[0], ())[:1]:
                yield f"  likely: {diagnosis.sentence}"
    wrong = [tensor for tensor in report.tensors if tensor.verdict == "wrong"]
    shown = wrong if len(wrong) <= SHOWN else wrong[:1]
    for tensor in shown:
        yield from _wrong(report, tensor)
    if others := ", ".join(dict.fromkeys(tensor.name for tensor in wrong if tensor not in shown)):
        yield f"wrong too: {others}"
    unclear = [t for t in report.tensors if t.verdict == "inconclusive" and t.point == "as given"]
    for tensor in unclear[:3]:
        yield f"{tensor.name}: {_why_unclear(report, tensor)}"
    right = [
        t for t in report.tensors if t.verdict == "correct" and t.point == "as given" and t.name not in report.wrong
    ]
    if right:
        least = max(right, key=lambda tensor: tensor.limit)
        names = ", ".join(t.name for t in right) if len(right) < 5 else f"{len(right)} gradients"
        sharp = f"an error of {max(least.limit, 1e-15):.0e} of its size in one element of {least.name} would show"
        yield f"right: {names} ({sharp})"
    verdicts = {t.point: set[str]() for t in report.tensors if t.point != "as given"}
    for tensor in report.tensors:
        verdicts.get(tensor.point, set()).add(tensor.verdict)
    if points := [point for point, found in verdicts.items() if found == {"correct"}]:
        yield f"right also {' and '.join([', '.join(points[:-1]), points[-1]] if points[1:] else points)}"


def _wrong(report: Report, tensor: TensorCheck) -> Iterator[str]:
    worst, place = tensor.worst, report.places.get(tensor.name)
    where = "" if tensor.point == "as given" else f" {tensor.point}"
    times = f"{worst.off:.0f} times the error bar" if worst.off < 1e4 else "far more than the error bar"
    yield f"gradient of {tensor.name} {tensor.shape} is wrong{where}: off by {times}"
    if place is not None:
        for element in place.elements[:1]:
            index = ", ".join(map(str, element.index))
            yield f"  at [{index}]: {element.got:.9g}, and {element.expected:.9g} +- {element.bar:.0e} is right; {place}"
    if place is None or tensor.point == "beside kinks":
        return
    diagnoses = report.diagnoses.get(tensor.name, ())
    for diagnosis in diagnoses[:1]:
        yield f"  likely: {diagnosis.sentence}"
        if diagnosis.sign in HINTS:
            yield f"  look at: {HINTS[diagnosis.sign]}"
    for diagnosis in diagnoses[1:2]:
        yield f"  or: {diagnosis.sentence}"
    if not diagnoses:
        yield "  unknown pattern: --html FILE draws where it is wrong"


def _why_unclear(report: Report, tensor: TensorCheck) -> str:
    if tensor.on_kinks:
        beside = any(t.name == tensor.name and t.point == "beside kinks" for t in report.tensors)
        return "most outputs stand on kinks; its slope lies between both sides" + ("; beside them it is right" * beside)
    return f"no statement: only an error above {tensor.limit:.0e} of its size would show"


def _wrap(lines: Iterator[str], most: int) -> list[str]:
    wrapped: list[str] = []
    for line in lines:
        indent = " " * (2 + len(line) - len(line.lstrip()))
        text = textwrap.wrap(line.strip(), WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
        wrapped += text
    return wrapped if len(wrapped) <= most else [*wrapped[: most - 1], "  ..."]


def as_dict(report: Report) -> dict[str, Any]:
    """The report for a program: numbers that are not finite are None."""
    return {
        "name": report.name,
        "verdict": report.verdict,
        "wrong": list(report.wrong),
        "dtype": report.dtype,
        "largest_relative_error": _finite(report.error),
        "detection_limit": _finite(report.limit),
        "forward_passes": report.forwards,
        "seconds": round(report.seconds, 4),
        "findings": [{"check": f.check, "detail": f.detail, "gradients": list(f.names)} for f in report.findings],
        "gradients": [_gradient(report, tensor) for tensor in report.tensors],
    }


def _gradient(report: Report, tensor: TensorCheck) -> dict[str, Any]:
    place = report.places.get(tensor.name) if tensor.verdict == "wrong" else None
    told: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "point": tensor.point,
        "verdict": tensor.verdict,
        "method": tensor.comparisons[0].method if tensor.comparisons else None,
        "error_bars_off": _finite(tensor.worst.off) if tensor.comparisons else None,
        "detection_limit": _finite(tensor.limit),
        "kinks": max((c.kinks for c in tensor.comparisons), default=0),
        "forward_passes": tensor.forwards,
    }
    if place is not None:
        told["wrong_elements"] = {
            "all_found": place.complete,
            "wrong": place.wrong,
            "looked_at": place.looked_at,
            "elements": [
                {"index": list(e.index), "got": _finite(e.got), "expected": _finite(e.expected), "bar": _finite(e.bar)}
                for e in place.elements
            ],
        }
        told["diagnoses"] = [{"sign": d.sign, "sentence": d.sentence} for d in report.diagnoses.get(tensor.name, ())]
    return told


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
