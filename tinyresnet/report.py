"""The demo's report: one self-contained HTML page with its figures inside."""

from __future__ import annotations

import base64
import html
import io
import math
import os
import string
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .data import Dataset, normalize
from .evaluate import Evaluation, logits_of, softmax
from .files import write
from .plots import confusion_matrix
from .twins import Twin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"plain": "#c2410c", "residual": "#0b63b5"}
SAMPLES = 16
NEXT = """\
tinyresnet demo --depth 20                 is the gap still there when the network is shallow?
tinyresnet demo --steps 900                does the plain network catch up?
tinyresnet demo --depth 56                 and deeper?
tinyresnet train                           a real run: resnet20 on 10,000 pictures, with checkpoints
tinyresnet train --data cifar10 --crop 4 --flip --epochs 30
tinyresnet data show shapes --out shapes.png
tinyresnet predict --task detect picture.png --out found.png     a drawing of your own
tinyresnet train --task segment            a class for every pixel
tinyresnet doctor                          what would make it faster here"""


SCENES_TEXT = (
    "Cut its head off, and a residual network's stages carry a segmenter, which names every pixel, or a detector, which draws boxes. "
    "Both come with the library, trained on drawn scenes. This one they have not seen; it was chosen as the first with four things in it, "
    "not by what they find."
)


class Scene(NamedTuple):
    """A picture (as a PNG's bytes) of what a network found in a scene, beside what is there, and the same in words."""

    png: bytes
    words: str


@dataclass(frozen=True)
class Demo:
    """Everything that the report tells."""

    plain: Twin
    residual: Twin
    test_set: Dataset
    evaluation: Evaluation  # of the residual network
    checks: list[tuple[str, float]]  # layer, largest relative error of its gradients
    scenes: list[Scene]
    depth: int
    batch_size: int
    made: str  # how: command, versions, seconds


def write_report(path: str | os.PathLike[str], demo: Demo) -> None:
    """Write the page, all or nothing. Raises InputError if that fails."""
    template = string.Template(resources.files("tinyresnet").joinpath("report.html").read_text(encoding="utf-8"))
    plain, residual = demo.plain, demo.residual
    classes = len(demo.test_set.classes)
    worst_layer, worst_error = max(demo.checks, key=lambda check: check[1])
    page = template.substitute(
        title=f"{demo.depth} layers deep, with and without shortcuts",
        finding=html.escape(finding(demo)),
        depth=demo.depth,
        parameters=f"{sum(param.data.size for _, param in plain.model.named_params()):,}",
        plain_loss=f"{plain.final_loss:.2f}",
        residual_loss=f"{residual.final_loss:.2f}",
        plain_top1=f"{plain.top1:.1%}",
        residual_top1=f"{residual.top1:.1%}",
        batch_size=demo.batch_size,
        classes_count=classes,
        chance_loss=f"{math.log(classes):.2f}",
        chance_top1=f"{1 / classes:.0%}",
        curves=_svg(_curves(demo), "loss and accuracy of both networks by step"),
        gradient_finding=html.escape(gradient_finding(demo)),
        gradients=_svg(_gradients(demo), "gradient norm of every convolution, both networks"),
        samples="".join(_samples(demo)),
        test_count=f"{demo.evaluation.count:,}",
        confusion=_svg(confusion_matrix(demo.evaluation), "confusion matrix of the residual network"),
        checks_finding=f"{len(demo.checks)} layers, blocks and losses, against slopes measured from their forward passes in float64. "
        f"The largest relative error, {worst_error:.0e}, is that of {html.escape(worst_layer)}.",
        checks_count=len(demo.checks),
        checks="".join(f'<tr><td>{html.escape(n)}</td><td class="number">{e:.1e}</td></tr>' for n, e in demo.checks),
        scenes_text=SCENES_TEXT,
        scenes="".join(
            f'<figure><img src="{_data_uri(scene.png)}" alt="{html.escape(scene.words)}"></figure><p>{html.escape(scene.words)}</p>'
            for scene in demo.scenes
        ),
        next=html.escape(NEXT),
        made=html.escape(demo.made),
    )
    write(path, lambda file: file.write(page))


def finding(demo: Demo) -> str:
    """What the losses say, in one sentence that is read off the data and not assumed."""
    gap = demo.plain.final_loss - demo.residual.final_loss
    steps = len(demo.plain.losses)
    if abs(gap) < 0.05:
        return f"After {steps} steps there is no difference to speak of: the training losses are {abs(gap):.2f} apart."
    ahead, behind = ("residual", "plain") if gap > 0 else ("plain", "residual")
    return f"After {steps} steps the {ahead} network's training loss is {abs(gap):.2f} below the {behind} one's."


def gradient_finding(demo: Demo) -> str:
    """How the first layer's gradient compares with the last block's in each network's first step."""
    parts = []
    for twin in (demo.plain, demo.residual):
        norms = list(twin.first_grad_norms.values())
        ratio = norms[0] / norms[-1] if norms[-1] else math.inf
        words = f"{ratio:,.0f} times" if ratio >= 1.5 else f"{ratio:.2g} of"
        parts.append(f"in the {twin.kind} network the first layer gets {words} the last convolution's gradient")
    return f"In the first step, {parts[0]}; {parts[1]}."


def _curves(demo: Demo) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for twin in (demo.plain, demo.residual):
        steps = [record for record in twin.records if record["kind"] == "step"]
        for axes, name in ((left, "loss"), (right, "top1")):
            values, at = [record[name] for record in steps], [record["step"] for record in steps]
            axes.plot(at, values, color=COLOURS[twin.kind], alpha=0.25, linewidth=0.7)
            axes.plot(at, _running_mean(values), color=COLOURS[twin.kind], linewidth=2, label=twin.kind)
    left.set(xlabel="step", ylabel="training loss (cross-entropy)")
    right.set(xlabel="step", ylabel="training accuracy", ylim=(0, 1))
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _gradients(demo: Demo) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, when in zip(figure.subplots(1, 2, sharey=True), ("first", "last"), strict=True):
        for twin in (demo.plain, demo.residual):
            norms = list(getattr(twin, f"{when}_grad_norms").values())
            axes.semilogy(range(1, len(norms) + 1), norms, ".-", color=COLOURS[twin.kind], label=twin.kind, linewidth=1)
        axes.set(title=f"{when} step", xlabel="convolution, from the input on")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("norm of the weight gradient")
    figure.axes[0].legend(frameon=False)
    return figure


def _running_mean(values: list[float], window: int = 10) -> list[float]:
    """The mean of each value and up to window - 1 before it."""
    return [float(np.mean(values[max(0, i - window + 1) : i + 1])) for i in range(len(values))]


def _svg(figure: Figure, alt: str) -> str:
    """The figure as an <svg> element; text stays text."""
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tinyresnet"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


def _samples(demo: Demo) -> list[str]:
    """A figure for each of the first test pictures, with both networks' answers."""
    data = demo.test_set
    x = data.x[np.arange(min(SAMPLES, len(data)))]
    answers = {}
    for twin in (demo.plain, demo.residual):
        answers[twin.kind] = softmax(logits_of(twin.model, normalize(x, data.mean, data.std)))
    figures = []
    for i, picture in enumerate(x):
        true = int(data.y[i])
        lines = [f"<b>{html.escape(data.classes[true])}</b>"]
        for kind, p in answers.items():
            best = int(p[i].argmax())
            mark = "good" if best == true else "bad"
            said = f"{html.escape(data.classes[best])} {p[i, best]:.0%}"
            lines.append(f'{kind}: <span class="{mark}">{said}</span>')
        alt = f"a picture of class {html.escape(data.classes[true])}"
        figures.append(f'<figure><img src="{_png(picture)}" alt="{alt}">{"<br>".join(lines)}</figure>')
    return figures


def _png(picture: np.typing.NDArray[np.uint8]) -> str:
    """A picture (C, H, W) as a data URI."""
    from PIL import Image

    pixels = picture.transpose(1, 2, 0)
    out = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(out, format="PNG")
    return _data_uri(out.getvalue())


def _data_uri(png: bytes) -> str:
    """A PNG's bytes as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
