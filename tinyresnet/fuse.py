"""`fuse(model)`: the same network with whole blocks replaced by units, sharing the model's parameters, buffers and names.

A block's convolutions, batch norms, ReLUs and add run as units (`units.py`), which make one visit to memory where the layers make many. The
readable layers stay as they are and may be used beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tinyresnet_kernels import Array, array_module, like_memory

from .errors import InputError
from .layers import BatchNorm2d, Chain, Conv2d, Layer, ReLU, Residual, checks
from .layers.conv import ConvCache, conv2d_shape
from .units import Pending, close, conv_unit_backward, conv_unit_forward, settle


class UnitCache(NamedTuple):
    """What a unit's backward needs."""

    before: Pending
    before_mean: Array | None  # of before.x, as its batch norm took it
    z: Array | None  # the pending value before, where it was written down
    y: Array
    mean: Array
    var: Array
    train: bool


@dataclass(frozen=True, eq=False)
class Unit:
    """A convolution and the batch norm behind it. Its input is pending; so is its output: relu(norm(y)), which the next unit computes."""

    conv: Conv2d
    norm: BatchNorm2d

    def forward(
        self, before: Pending, before_mean: Array | None, *, keep: bool, train: bool
    ) -> tuple[Pending, UnitCache]:
        """The pending output, and the cache."""
        conv, norm = self.conv, self.norm
        N, _, OH, OW = conv2d_shape(ConvCache(before.x, conv.weight.data, None, conv.stride, conv.pad, (1, 1), 1))
        if train and N * OH * OW < 2:
            raise InputError(f"batch_norm: {N} x {OH} x {OW} values per channel: at least 2 are wanted in training")
        y, z, moments = conv_unit_forward(*before, conv.weight.data, conv.stride, conv.pad, keep, train)
        mean, var = moments if moments is not None else (norm.running_mean.copy(), norm.running_var.copy())
        if train:
            norm.track(mean, var, y.size // y.shape[1])
        scale = norm.weight.data / (var + norm.eps) ** 0.5
        shift = norm.bias.data - mean * scale
        return Pending(y, scale, shift), UnitCache(before, before_mean, z, y, mean, var, train)

    def backward(
        self, g: Array, sums: Any, cache: UnitCache, extra: Array | None, *, through: bool = True
    ) -> tuple[Array | None, Any]:
        """The gradient at the unit before (None if not `through`), and its sums; `extra` is the gradient that comes by the shortcut.

        Batch norm's backward (see `layers/norm.py`), gathered by powers: dy = k0 g + k1 y + k2 per channel.
        """
        conv, norm, y = self.conv, self.norm, cache.y
        total, dot = sums
        inverse_std = 1 / (cache.var + norm.eps) ** 0.5
        norm.bias.grad += total
        norm.weight.grad += dot * inverse_std
        k0 = norm.weight.data * inverse_std
        k1 = k2 = k0 * 0
        if cache.train:
            M = y.size // y.shape[1]
            k1 = -k0 * inverse_std**2 * dot / M
            k2 = -k0 * total / M - k1 * cache.mean
        k = array_module(y).stack([k0, k1, k2])
        before = cache.before
        dx, dweight, sums = conv_unit_backward(
            g,
            y,
            k,
            before.x,
            before.scale,
            before.shift,
            cache.before_mean,
            cache.z,
            conv.weight.data,
            extra,
            conv.stride,
            conv.pad,
            through,
        )
        conv.weight.grad += dweight
        return dx, sums


@dataclass(frozen=True, eq=False)
class Block:
    """Units in a row, each followed by a ReLU; with a shortcut from the first one's input to before the last ReLU, or without (None)."""

    units: tuple[Unit, ...]
    shortcut: Layer | None


class Units(Layer):
    """Blocks in a row. Takes and gives whole arrays; within, everything is pending."""

    def __init__(self, blocks: list[Block], *, through: bool) -> None:
        self.blocks, self.through = blocks, through

    def forward(self, x: Array, *, train: bool) -> tuple[Array, list[Any]]:
        """y (N, O, OH, OW) of x (N, C, H, W)."""
        pending, mean, caches = Pending(x), None, []
        for block in self.blocks:
            unit_caches = []
            for i, unit in enumerate(block.units):
                keep = (
                    pending.scale is not None
                    and i == 0
                    and (block.shortcut is not None or pending.shortcut is not None)
                )
                pending, cache = unit.forward(pending, mean, keep=keep, train=train)
                mean = cache.mean
                unit_caches.append(cache)
            shortcut_cache = None
            if block.shortcut is not None:
                first = unit_caches[0]
                come = first.before.x if first.z is None else first.z
                shortcut, shortcut_cache = block.shortcut.forward(come, train=train)
                pending = pending._replace(shortcut=shortcut)
            caches.append((unit_caches, shortcut_cache))
        y = settle(*pending)
        return like_memory(y, x), [y, *caches]

    def backward(self, dy: Array, cache: list[Any]) -> Array | None:
        """dx (N, C, H, W), for dy (N, O, OH, OW); None if these are units that do not let it through."""
        y, *caches = cache
        first, last = caches[0][0][0], caches[-1][0][-1]
        checks.upstream("units_backward", dy, y.shape, y)
        g, sums = close(dy, y, last.y, last.mean)
        for block, (unit_caches, shortcut_cache) in zip(reversed(self.blocks), reversed(caches), strict=True):
            by_shortcut = block.shortcut.backward(g, shortcut_cache) if block.shortcut is not None else None
            for i, (unit, unit_cache) in reversed(list(enumerate(zip(block.units, unit_caches, strict=True)))):
                through = self.through or unit_cache is not first
                extra = by_shortcut if i == 0 else None
                g, sums = unit.backward(g, sums, unit_cache, extra, through=through)
        return like_memory(g, first.before.x) if self.through else None


class Fused(Layer):
    """A model whose blocks run as units. Parameters, buffers and names are the model's own."""

    def __init__(self, model: Layer, steps: list[Layer], *, through: bool) -> None:
        self.model, self.steps, self.through = model, steps, through

    def children(self) -> dict[str, Layer]:
        """The model's."""
        return self.model.children()

    def forward(self, x: Array, *, train: bool) -> tuple[Array, list[Any]]:
        """As the model's."""
        caches = []
        for step in self.steps:
            x, cache = step.forward(x, train=train)
            caches.append(cache)
        return x, caches

    def backward(self, dy: Array, cache: list[Any]) -> Array | None:
        """As the model's; None where it was fused with `input_gradient=False`."""
        for step, step_cache in zip(reversed(self.steps), reversed(cache), strict=True):
            dy = step.backward(dy, step_cache)
        return dy if self.through else None


def fuse(model: Layer, *, input_gradient: bool = True) -> Layer:
    """The same network, with units in place of the blocks they can stand for: basic, bottleneck and plain ones, and the stem.

    Blocks of other kinds (pre-activation) run as the layers they are. Training wants no gradient at the pictures: with
    `input_gradient=False` none is made, and `backward` returns None. Detectors and segmenters know themselves how (their method
    `fused`). Raises InputError if `model` is no chain of layers.
    """
    if hasattr(model, "fused"):
        made: Layer = model.fused(input_gradient=input_gradient)
        return made
    if not isinstance(model, Chain):
        raise InputError(f"fuse: the model is a {type(model).__name__}: a network made of a chain of layers is wanted")
    steps: list[Layer] = []
    blocks: list[Block] = []
    rest = list(model.children().values())

    def units() -> Units:
        return Units(blocks, through=input_gradient or bool(steps))

    while rest:
        if block := _stem(rest):
            rest = rest[3:]
        elif block := _block(rest[0]):
            rest = rest[1:]
        elif isinstance(rest[0], Chain):
            rest = [*rest[0].children().values(), *rest[1:]]
            continue
        if block:
            blocks.append(block)
            continue
        if blocks:
            steps.append(units())
            blocks = []
        steps.append(rest.pop(0))
    return Fused(model, [*steps, units()] if blocks else steps, through=input_gradient)


def _stem(layers: list[Layer]) -> Block | None:
    """A block of the convolution, batch norm and ReLU at the head of the layers, if they are there."""
    if len(layers) < 3 or not isinstance(layers[2], ReLU):
        return None
    units = _units(layers[:2])
    return Block(units, None) if units else None


def _block(layer: Layer) -> Block | None:
    """A residual block that ends in a ReLU, or its plain twin, as units; None if it is something else."""
    if isinstance(layer, Residual) and isinstance(layer.relu, ReLU) and isinstance(layer.branch, Chain):
        units = _units(list(layer.branch.children().values()))
        return Block(units, layer.shortcut) if units else None
    parts = list(layer.children().values()) if type(layer) is Chain else []
    if parts and isinstance(parts[-1], ReLU) and (units := _units(parts[:-1])):
        return Block(units, None)
    return None


def _units(layers: list[Layer]) -> tuple[Unit, ...] | None:
    """Units of layers that go: convolution, batch norm, ReLU, convolution, batch norm ...; None if they do not."""
    units = []
    for i in range(0, len(layers), 3):
        conv, norm, *relu = layers[i : i + 3] if i + 1 < len(layers) else (None, None)
        if (
            not isinstance(conv, Conv2d)
            or not isinstance(norm, BatchNorm2d)
            or not all(isinstance(r, ReLU) for r in relu)
        ):
            return None
        if conv.bias is not None or conv.groups != 1 or conv.dilation != (1, 1) or (relu and i + 3 >= len(layers)):
            return None
        units.append(Unit(conv, norm))
    return tuple(units)
