"""For any number of a trace, the arithmetic that made it: `explain(trace, step, name, index)`.

One file an op, like the layers. A cell that was only read where it is asked for is explained where it was computed, so that from any term
one can travel on: back to the pixel, forward to the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from tinyresnet_kernels import Array

from ..errors import InputError
from ..trace import Step, Trace
from . import (
    concat,
    conv,
    conv_transpose,
    cross_entropy,
    focal,
    giou,
    linear,
    moves,
    norm,
    pixel_cross_entropy,
    point_boxes,
    pool,
    sigmoid,
    smooth_l1,
    softmax,
    upsample,
)
from .terms import FUNCTIONS, Cell, Explanation, Factor, Index, Rule, Tensors, Term

__all__ = ["FUNCTIONS", "OPS", "Cell", "Explainer", "Explanation", "Factor", "Term", "explain"]

Explain = Callable[[Tensors, str, Index], Rule]


class Op(NamedTuple):
    """How one kind of layer is explained. `made` and `made_back` name what each pass computes, in an order in which it can be."""

    forward: Explain
    backward: Explain
    made: tuple[str, ...] = ("y",)
    made_back: tuple[str, ...] = ("dx",)
    derived: Callable[[Step], dict[str, Array]] = lambda step: {}


OWN = "computed by the layer's own code"  # the rule of a kind that is not explained
NORM = ("mean", "centred", "var", "inverse_std", "xhat", "y")
NORM_BACK = ("dbias", "dweight", "mean_dy", "mean_dy_xhat", "dx")
LOSS = (*softmax.PARTS, "losses", "y")
PIXEL_LOSS = (*softmax.PARTS, "weights", "weight_sum", "inverse_weight_sum", "losses", "y")
FOCAL = ("p", "q", "log_p", "log_q", "difference", "miss", "log_miss", "modulating", "bce", "weights", "losses", "y")

POINTS = ("mask", "clipped", "exp", "ltrb", "y")
GIOU_EDGES = ("inside", "inner_edges", "outer_edges", "size", "target_size", "meets", "overlap", "outer")
GIOU_AREAS = ("area", "target_area", "intersection", "enclosing", "union", "inverse_union", "inverse_enclosing")
GIOU = (*GIOU_EDGES, *GIOU_AREAS, "iou", "giou", "losses", "y")
GIOU_BACK = ("dgiou", "dunion", "dintersection", "denclosing", "dx")

OPS: dict[str, Op] = {
    "Conv2d": Op(conv.forward, conv.backward, made_back=("dbias", "dweight", "dx")),
    "ConvTranspose2d": Op(conv_transpose.forward, conv_transpose.backward, made_back=("dbias", "dweight", "dx")),
    "BatchNorm2d": Op(norm.forward, norm.backward, NORM, NORM_BACK, norm.derived),
    "ReLU": Op(moves.relu_forward, moves.relu_backward, ("mask", "y")),
    "Sigmoid": Op(sigmoid.forward, sigmoid.backward),
    "MaxPool2d": Op(pool.max_forward, pool.max_backward, ("winner", "y")),
    "AvgPool2d": Op(pool.average_forward, pool.average_backward),
    "GlobalAvgPool": Op(pool.global_forward, pool.global_backward),
    "UpsampleNearest": Op(upsample.nearest_forward, upsample.nearest_backward),
    "UpsampleBilinear": Op(upsample.bilinear_forward, upsample.bilinear_backward, ("rows", "columns", "y")),
    "Identity": Op(moves.identity_forward, moves.identity_backward),
    "Flatten": Op(moves.flatten_forward, moves.flatten_backward),
    "Dropout": Op(moves.dropout_forward, moves.dropout_backward),
    "Linear": Op(linear.forward, linear.backward, made_back=("dbias", "dweight", "dx")),
    "PointBoxes": Op(point_boxes.forward, point_boxes.backward, POINTS, ("dx",), point_boxes.derived),
    "Fork": Op(moves.fork_forward, moves.fork_backward, ("a", "b")),
    "Add": Op(moves.add_forward, moves.add_backward, ("y",), ("da", "db")),
    "Concat": Op(concat.forward, concat.backward),  # dx: dx0, dx1 and so on
    "ShortcutA": Op(moves.shortcut_a_forward, moves.shortcut_a_backward),
    "SmoothL1": Op(
        smooth_l1.forward, smooth_l1.backward, ("error", "slope", "losses", "y"), ("dx",), smooth_l1.derived
    ),
    "GIoU": Op(giou.forward, giou.backward, GIOU, GIOU_BACK, giou.derived),
    "CrossEntropy": Op(cross_entropy.forward, cross_entropy.backward, LOSS, ("dx",), cross_entropy.derived),
    "PixelCrossEntropy": Op(
        pixel_cross_entropy.forward, pixel_cross_entropy.backward, PIXEL_LOSS, ("dx",), pixel_cross_entropy.derived
    ),
    "FocalLoss": Op(focal.forward, focal.backward, FOCAL, ("inverse_difference", "slope", "dx"), focal.derived),
}


class Explainer:
    """Explains cells of one trace; what it derives of a step it keeps."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.tensors: Callable[[int], Tensors] = cache(self._tensors)

    def _tensors(self, index: int) -> Tensors:
        step = self.trace[index]
        op = OPS.get(step.kind)
        return Tensors(step, op.derived(step) if op else {})

    def made(self, index: int) -> tuple[str, ...]:
        """The tensors that this step computed and that can be explained, in the order of computation."""
        step, op = self.trace[index], OPS.get(self.trace[index].kind)
        if op is None:
            return ()
        names = op.made if step.direction == "forward" else op.made_back
        names += tuple(name for name in step.made if name not in names and name.rstrip("0123456789") in names)
        constants = ("mean", "var") if not step.train else ()  # of batch norm in evaluation: the running ones
        return tuple(name for name in names if name in self.tensors(index) and name not in constants)

    def locate(self, cell: Cell) -> Cell:
        """The same number where it was computed; the cell itself, if that was here or outside."""
        step, name, index = cell
        if name in self.made(step):
            return cell
        here = self.trace[step]
        if name in here.sources:
            source = here.sources[name]
            return self.locate(Cell(source.step, source.name, index))
        if here.forward is not None and name in self.tensors(here.forward):
            return self.locate(Cell(here.forward, name, index))
        return cell

    def explain(self, cell: Cell) -> Explanation:
        """How this number came about. Raises InputError if there is no such cell."""
        self._check(cell)
        place = self.locate(cell)
        t = self.tensors(place.step)
        value = float(t[place.name][place.at])
        step = self.trace[place.step]
        if place.name not in self.made(place.step):
            own = place.name in step.made and step.kind not in OPS
            return Explanation(place, value, OWN if own else "", given=True)
        op = OPS[step.kind]
        rule = (op.forward if step.direction == "forward" else op.backward)(t, place.name, place.at)
        return Explanation(place, value, rule.text, tuple(rule.terms), rule.function, padding=rule.padding)

    def _check(self, cell: Cell) -> None:
        step, name, index = cell
        if not 0 <= step < len(self.trace):
            raise InputError(f"step {step} is not there: 0 to {len(self.trace) - 1} is wanted")
        t = self.tensors(step)
        if name not in t:
            raise InputError(f"step {step} has no tensor {name!r}: {', '.join(t.arrays)} are there")
        shape = t[name].shape
        if len(index) != len(shape) or not all(0 <= i < size for i, size in zip(index, shape, strict=True)):
            raise InputError(f"{name} has shape {shape}: there is no cell {index}")


def explain(trace: Trace, step: int, name: str, index: Index) -> Explanation:
    """How one number of a trace came about. Raises InputError if there is no such cell."""
    return Explainer(trace).explain(Cell(step, name, tuple(index)))
