"""One row of `cases.py` computed by us and by PyTorch, and the error between the two."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinyresnet as tr
from cases import Case, draw, fill, like, parts, upstream
from tinyresnet import Array, Layer

ZERO = 1e-11  # values that are zero in theory, such as the gradient of a bias before a batch norm, come out smaller than this


def error(got: Array, wanted: Array) -> float:
    """Largest difference over largest value; the largest difference itself where the value is zero."""
    assert got.shape == wanted.shape
    size = np.abs(wanted).max(initial=0)
    return float(np.abs(got - wanted).max(initial=0) / (size if size > ZERO else 1))


def errors(got: dict[str, Array], wanted: dict[str, Array]) -> dict[str, float]:
    """The error of every array by name; both must have the same names."""
    assert got.keys() == wanted.keys()
    return {name: error(got[name], wanted[name]) for name in got}


def worst(found: dict[str, float]) -> tuple[float, str]:
    """The largest error and its name."""
    return max((value, name) for name, value in found.items())


def ours(case: Case, x: Any, train: bool) -> dict[str, Array]:
    """y, dx, every gradient and every running statistic of one row, for a random dy."""
    layer = case.layer()
    y, cache = layer.forward(x, train=train)
    dx = layer.backward(upstream(y), cache)
    found = {f"y{i}": np.asarray(array) for i, array in enumerate(parts(y))}
    found |= {f"dx{i}": array for i, array in enumerate(parts(dx))}
    found |= {f"d {name}": param.grad for name, param in layer.named_params()}
    return found | {name: buffer for name, buffer in layer.named_buffers() if "running" in name}


def theirs(torch: Any, case: Case, x: Any, train: bool) -> dict[str, Array]:
    """The same from PyTorch."""
    p = tensors(torch, case.layer())
    leaves = [torch.from_numpy(np.array(array)).requires_grad_() for array in parts(x)]
    y: list[Any] = parts(case.torch(torch.nn.functional, like(x, leaves), p, train))
    dys = parts(upstream(like(tuple(y) if len(y) > 1 else y[0], [part.detach().numpy() for part in y])))
    torch.autograd.backward(y, [torch.from_numpy(np.array(dy)) for dy in dys])
    found = {f"y{i}": part.detach().numpy() for i, part in enumerate(y)}
    found |= {f"dx{i}": leaf.grad.numpy() for i, leaf in enumerate(leaves)}
    found |= {f"d {name}": tensor.grad.numpy() for name, tensor in p.items() if tensor.requires_grad}
    return found | {name: tensor.numpy() for name, tensor in p.items() if "running" in name}


def tensors(torch: Any, layer: Layer) -> dict[str, Any]:
    """The layer's parameters, which ask for gradients, and buffers as tensors of their own."""
    found = {name: torch.from_numpy(array) for name, array in layer.state_dict().items()}
    for name, _ in layer.named_params():
        found[name].requires_grad_()
    return found


OPTIMISERS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "weight_decay": 1e-2},
    "SGD, Nesterov": {"momentum": 0.8, "weight_decay": 1e-3, "nesterov": True},
    "SGD, no momentum": {"momentum": 0.0},
    "AdamW": {"weight_decay": 0.1},
    "AdamW, other betas": {"betas": (0.8, 0.95), "weight_decay": 0.02, "eps": 1e-6},
}


def kind_and_rate(optimiser: str, step: int) -> tuple[str, float]:
    """The class's name and the learning rate, which falls from step to step."""
    kind = optimiser.split(",")[0]
    return kind, (0.1 if kind == "SGD" else 0.002) * (1 - 0.08 * step)


def batch(step: int) -> tuple[Array, Array]:
    """Pictures (6, 3, 16, 16) and labels of a step."""
    return draw(step, (6, 3, 16, 16)), (np.arange(6) + step) * 3 % 10


def start(name: str, shortcut: str | None = None) -> tr.ResNet:
    """A network in float64 with numbers from `draw`: weights of He's size, norm weights from 0 to 1, biases from -1/2 to 1/2."""
    model = tr.build(name, shortcut=shortcut, rng=np.random.default_rng(0), dtype=np.float64)
    fill(model)
    for _, param in model.named_params():
        if param.data.ndim > 1:
            fan = param.data[0].size
            param.data *= np.sqrt(2 / fan) * np.sqrt(3)  # from a variance of 1/3 to 2/fan
    for path, layer in model.named_layers():
        if "bn" in path or "downsample.1" in path:
            for param in layer.params().values():
                param.data += 0.5 if param is layer.params()["weight"] else 0
    return model


def train_ours(model: tr.ResNet, optimiser: str, steps: int) -> tuple[Array, Array]:
    """Losses (steps,) and logits (steps, 6, 10) of training."""
    kind, _ = kind_and_rate(optimiser, 0)
    opt = getattr(tr, kind)(model.named_params(), **OPTIMISERS[optimiser])
    losses, outputs = [], []
    for step in range(steps):
        x, labels = batch(step)
        logits, cache = model.forward(x, train=True)
        loss, dlogits = tr.softmax_cross_entropy(logits, labels)
        model.backward(dlogits, cache)
        opt.step(kind_and_rate(optimiser, step)[1])
        opt.zero_grad()
        losses.append(loss)
        outputs.append(logits)
    return np.array(losses), np.array(outputs)


def train_theirs(torch: Any, forward: Any, params: list[Any], optimiser: str, steps: int) -> tuple[Array, Array]:
    """The same from PyTorch, for a function from pictures to logits; vectors are not decayed."""
    kind, _ = kind_and_rate(optimiser, 0)
    settings = dict(OPTIMISERS[optimiser])
    decay = settings.pop("weight_decay", 0.0)
    matrices, vectors = ([p for p in params if (p.ndim > 1) == many] for many in (True, False))
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    opt = getattr(torch.optim, kind)(groups, lr=1.0, **settings)
    losses, outputs = [], []
    for step in range(steps):
        x, labels = (torch.from_numpy(array) for array in batch(step))
        logits = forward(x)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        opt.zero_grad()
        loss.backward()
        for group in opt.param_groups:
            group["lr"] = kind_and_rate(optimiser, step)[1]
        opt.step()
        losses.append(loss.item())
        outputs.append(logits.detach().numpy())
    return np.array(losses), np.array(outputs)
