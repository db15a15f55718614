"""Our networks as PyTorch modules, with the same weights: the other side of the comparison."""

from __future__ import annotations

from typing import Any

from tinyresnet_kernels import Array

from ..layers import (
    BatchNorm2d,
    Chain,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    ShortcutA,
)
from .work import Run, Torch


def as_module(torch: Any, layer: Layer) -> Any:
    """The layer as a `torch.nn.Module` with copies of its parameters and buffers. Raises TypeError on a layer that no ResNet has."""
    nn = torch.nn
    if isinstance(layer, Chain):
        return nn.Sequential(*(as_module(torch, child) for child in layer.children().values()))
    if isinstance(layer, Residual):
        return _residual(torch, *(as_module(torch, part) for part in (layer.branch, layer.shortcut, layer.relu)))
    if isinstance(layer, ShortcutA):
        return _shortcut_a(torch, layer.out_channels, layer.stride)
    module = _leaf(nn, layer)
    with torch.no_grad():
        for name, array in layer.state_dict().items():
            module.state_dict()[name].copy_(torch.from_numpy(array))
    return module


def _leaf(nn: Any, layer: Layer) -> Any:
    if isinstance(layer, Conv2d):
        O, CG, KH, KW = layer.weight.data.shape
        settings = {"stride": layer.stride, "padding": layer.pad, "dilation": layer.dilation, "groups": layer.groups}
        return nn.Conv2d(CG * layer.groups, O, (KH, KW), bias=layer.bias is not None, **settings)
    if isinstance(layer, BatchNorm2d):
        return nn.BatchNorm2d(len(layer.weight.data), eps=layer.eps, momentum=layer.momentum)
    if isinstance(layer, Linear):
        return nn.Linear(*layer.weight.data.shape[::-1])
    if isinstance(layer, MaxPool2d):
        return nn.MaxPool2d(layer.kernel, layer.stride, layer.pad)
    for ours, theirs in ((ReLU, nn.ReLU(inplace=True)), (Identity, nn.Identity()), (Flatten, nn.Flatten())):
        if isinstance(layer, ours):
            return theirs
    if isinstance(layer, GlobalAvgPool):
        return nn.AdaptiveAvgPool2d(1)
    raise TypeError(f"there is no PyTorch module for {type(layer).__name__}")


def _residual(torch: Any, branch: Any, shortcut: Any, relu: Any) -> Any:
    class Residual(torch.nn.Module):  # type: ignore[misc]
        """relu(branch(x) + shortcut(x))."""

        def __init__(self) -> None:
            super().__init__()
            self.branch, self.shortcut, self.relu = branch, shortcut, relu

        def forward(self, x: Any) -> Any:
            """y (N, O, OH, OW)."""
            return self.relu(self.branch(x) + self.shortcut(x))

    return Residual()


def _shortcut_a(torch: Any, O: int, stride: int) -> Any:
    class ShortcutA(torch.nn.Module):  # type: ignore[misc]
        """Every stride-th pixel, between zero channels."""

        def forward(self, x: Any) -> Any:
            """y (N, O, OH, OW)."""
            more = O - x.shape[1]
            channels = (more // 2, more - more // 2)
            return torch.nn.functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, *channels))

    return ShortcutA()


def network(torch: Torch, model: Layer) -> Any:
    """The network in this memory format, compiled if asked for."""
    last = torch.format == "channels-last"
    kind = torch.module.channels_last if last else torch.module.contiguous_format
    module = as_module(torch.module, model).to(torch.device, memory_format=kind)
    return torch.module.compile(module) if torch.compiled else module


def training_step(torch: Torch, model: Layer, x: Array, labels: Array, momentum: float, decay: float, lr: float) -> Run:
    """forward, loss, backward, SGD (PyTorch's own fused one, its fastest); the loss. Vectors are not decayed."""
    module = network(torch, model).train()
    params = list(module.parameters())
    matrices, vectors = ([p for p in params if (p.ndim > 1) == many] for many in (True, False))
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.module.optim.SGD(groups, lr=lr, momentum=momentum, fused=True)
    pictures, wanted = torch.tensor(x), torch.tensor(labels)
    cross_entropy = torch.module.nn.functional.cross_entropy

    def step() -> float:
        optimiser.zero_grad()
        loss = cross_entropy(module(pictures), wanted)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def inference_step(torch: Torch, model: Layer, x: Array) -> Run:
    """Logits (N, K), in evaluation and inference mode."""
    module, pictures = network(torch, model).eval(), torch.tensor(x)

    def infer() -> Any:
        with torch.module.inference_mode():
            return module(pictures)

    return infer
