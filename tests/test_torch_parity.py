"""Every row of `cases.py`, every network and every optimiser against PyTorch in float64; and the three forms of a convolution.

Error: the largest difference over the largest value, per tensor; absolute where the true value is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyresnet as tr
from cases import CASES, Case, draw
from conftest import Trained
from parity import OPTIMISERS, error, errors, ours, start, theirs, train_ours, train_theirs, worst
from tinyresnet.layers import Conv2d
from tinyresnet.layers.conv import conv2d_backward, conv2d_forward
from tinyresnet.layers.conv_loops import conv2d_backward_loops, conv2d_forward_loops
from tinyresnet_kernels import available, use

needs_torch = pytest.mark.torch


@needs_torch
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_row(torch: Any, case: Case, train: bool) -> None:
    for shape in case.x_shapes:
        x = case.x(shape)
        found = errors(ours(case, x, train), theirs(torch, case, x, train))
        assert worst(found)[0] <= 1e-10, worst(found)


Shape = tuple[int, int, int, int]


def random_conv(rng: np.random.Generator) -> tuple[dict[str, Any], Shape, Shape]:
    """Settings, x's and the weight's shape of a convolution that fits."""
    pairs = {
        name: tuple(rng.integers(*ends, 2).tolist())
        for name, ends in {"stride": (1, 4), "pad": (0, 4), "dilation": (1, 4)}.items()
    }
    groups = int(rng.choice([1, 1, 2, 3]))
    CG, OG, KH, KW = rng.integers(1, 4), rng.integers(1, 4), *rng.integers(1, 5, 2)
    spans = [(k - 1) * d + 1 - 2 * p for k, d, p in zip((KH, KW), pairs["dilation"], pairs["pad"], strict=True)]
    H, W = (max(1, int(span)) + int(rng.integers(0, 7)) for span in spans)
    N = int(rng.integers(1, 4))
    return {**pairs, "groups": groups}, (N, int(CG) * groups, H, W), (int(OG) * groups, int(CG), int(KH), int(KW))


@needs_torch
@pytest.mark.parametrize("seed", range(10))
def test_random_convolutions(torch: Any, seed: int) -> None:
    """Forty configurations a seed."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        settings, x_shape, weight_shape = random_conv(rng)
        x, weight = rng.standard_normal(x_shape), rng.standard_normal(weight_shape)
        bias = rng.standard_normal(weight_shape[0]) if rng.random() < 0.5 else None
        y, cache = conv2d_forward(x, weight, bias, **settings)
        dy = rng.standard_normal(y.shape)
        got = [y, *(a for a in conv2d_backward(dy, cache) if a is not None)]

        leaves = [torch.from_numpy(a).requires_grad_() for a in (x, weight, bias) if a is not None]
        words = {"padding" if word == "pad" else word: value for word, value in settings.items()}
        result = torch.nn.functional.conv2d(*leaves, **words)
        result.backward(torch.from_numpy(dy))
        wanted = [result.detach(), *(leaf.grad for leaf in leaves)]
        found = [error(a, b.numpy()) for a, b in zip(got, wanted, strict=True)]
        assert max(found) <= 1e-10, (settings, x_shape, weight_shape, found)


@pytest.mark.parametrize("seed", range(24))
def test_three_forms_of_a_convolution_are_equal(seed: int) -> None:
    """Six loops, im2col with one matrix product, and what the layer uses."""
    rng = np.random.default_rng(100 + seed)
    settings, x_shape, weight_shape = random_conv(rng)
    x, weight = rng.standard_normal(x_shape), rng.standard_normal(weight_shape)
    bias = rng.standard_normal(weight_shape[0]) if seed % 2 else None
    y, cache = conv2d_forward_loops(x, weight, bias, **settings)
    dy = rng.standard_normal(y.shape)
    wanted = [y, *(a for a in conv2d_backward_loops(dy, cache) if a is not None)]

    layer = Conv2d(
        x_shape[1], weight_shape[0], weight_shape[2:], bias=bias is not None, rng=rng, dtype=np.float64, **settings
    )
    for param, data in zip(layer.params().values(), (weight, bias), strict=False):
        param.data[...] = data
    y, layer_cache = layer.forward(x, train=True)
    by_layer = [y, layer.backward(dy, layer_cache), *(param.grad for param in layer.params().values())]
    for backend in available():
        with use(backend):
            y, cache = conv2d_forward(x, weight, bias, **settings)
            got = [y, *(a for a in conv2d_backward(dy, cache) if a is not None)]
        assert max(map(error, got, wanted)) <= 1e-13
    assert max(map(error, by_layer, wanted)) <= 1e-13


# Whole networks: the same in plain torch.nn, with our names so that the weights carry over.


def torch_network(torch: Any, name: str, shortcut: str, classes: int) -> Any:
    """CIFAR or ImageNet ResNet, plain and pre-activation twins, after the papers."""
    nn, F = torch.nn, torch.nn.functional
    Module: Any = nn.Module
    blocks, width = {"18": ((2, 2, 2, 2), 64), "50": ((3, 4, 6, 3), 64)}.get(name[-2:], ((3, 3, 3), 16))
    imagenet = len(blocks) == 4
    expansion = 4 if name == "resnet50" else 1

    def conv(C: int, O: int, kernel: int, stride: int = 1) -> Any:
        return nn.Conv2d(C, O, kernel, stride, kernel // 2, bias=False)

    class PadChannels(Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            C = x.shape[1]
            return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, C // 2, C // 2))

    class Block(Module):  # type: ignore[misc]
        def __init__(self, C: int, middle: int, stride: int) -> None:
            super().__init__()
            O = middle * expansion
            if expansion == 4:
                sizes = [(C, middle, 1, 1), (middle, middle, 3, stride), (middle, O, 1, 1)]
            else:
                sizes = [(C, O, 3, stride), (O, O, 3, 1)]
            self.count = len(sizes)
            for i, size in enumerate(sizes, 1):
                self.add_module(f"conv{i}", conv(*size))
                self.add_module(f"bn{i}", nn.BatchNorm2d(size[0] if name.startswith("preact") else size[1]))
            if not name.startswith("plain") and (stride > 1 or O != C):
                projection = nn.Sequential(conv(C, O, 1, stride), nn.BatchNorm2d(O))
                self.downsample = PadChannels() if shortcut == "A" else projection

        def forward(self, x: Any) -> Any:
            way = self.downsample(x) if hasattr(self, "downsample") else x
            for i in range(1, self.count + 1):
                conv, norm = getattr(self, f"conv{i}"), getattr(self, f"bn{i}")
                if name.startswith("preact"):
                    x = conv(F.relu(norm(x)))
                else:
                    x = norm(conv(x))
                    x = F.relu(x) if i < self.count else x
            if name.startswith("plain"):
                return F.relu(x)
            return x + way if name.startswith("preact") else F.relu(x + way)

    class Network(Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = conv(3, width, 7, 2) if imagenet else conv(3, width, 3)
            C = width
            if not name.startswith("preact"):
                self.bn1 = nn.BatchNorm2d(width)
            for stage, count in enumerate(blocks):
                row = []
                for i in range(count):
                    row.append(Block(C, width * 2**stage, 2 if stage and not i else 1))
                    C = width * 2**stage * expansion
                self.add_module(f"layer{stage + 1}", nn.Sequential(*row))
            if name.startswith("preact"):
                self.bn = nn.BatchNorm2d(C)
            self.fc = nn.Linear(C, classes)

        def forward(self, x: Any) -> Any:
            x = self.conv1(x)
            x = x if name.startswith("preact") else F.relu(self.bn1(x))
            x = F.max_pool2d(x, 3, 2, 1) if imagenet else x
            for stage in range(len(blocks)):
                x = getattr(self, f"layer{stage + 1}")(x)
            x = F.relu(self.bn(x)) if name.startswith("preact") else x
            return self.fc(x.mean((2, 3)))

    return Network()


def twin(torch: Any, model: tr.ResNet, shortcut: str = "A") -> Any:
    """PyTorch's form of the network, with its weights."""
    network = torch_network(torch, model.config.name, shortcut, model.config.num_classes)
    network.to(getattr(torch, str(next(param.data.dtype for _, param in model.named_params()))))
    network.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    return network


NETWORKS = [
    ("resnet20", "A", (3, 3, 32, 32)),
    ("resnet20", "B", (2, 3, 32, 32)),
    ("plain20", "A", (2, 3, 32, 32)),
    ("preact_resnet20", "A", (2, 3, 33, 30)),
    ("resnet18", "B", (2, 3, 64, 80)),
    ("resnet50", "B", (2, 3, 64, 64)),
]


@needs_torch
@pytest.mark.parametrize(("name", "shortcut", "shape"), NETWORKS, ids=lambda value: str(value))
def test_network(torch: Any, name: str, shortcut: str, shape: tuple[int, ...]) -> None:
    """Logits, loss, all gradients and running statistics of a training step, then the logits in evaluation."""
    model = start(name, shortcut if name.endswith("20") else None)
    network = twin(torch, model, shortcut)
    x, labels = draw(1, shape), np.arange(shape[0]) * 4 % 10
    logits, cache = model.forward(x, train=True)
    loss, dlogits = tr.softmax_cross_entropy(logits, labels)
    dx = model.backward(dlogits, cache)

    leaf = torch.from_numpy(x).requires_grad_()
    y = network(leaf)
    their_loss = torch.nn.functional.cross_entropy(y, torch.from_numpy(labels))
    their_loss.backward()
    got = {"logits": logits, "loss": np.array(loss), "dx": dx}
    got |= {name: param.grad for name, param in model.named_params()} | dict(model.named_buffers())
    wanted = {"logits": y, "loss": their_loss, "dx": leaf.grad}
    wanted |= {name: param.grad for name, param in network.named_parameters()} | dict(network.named_buffers())

    network.eval()
    got["logits in evaluation"] = model.forward(x, train=False)[0]
    wanted["logits in evaluation"] = network(leaf)
    found = errors(got, {name: tensor.detach().numpy() for name, tensor in wanted.items()})
    assert worst(found)[0] <= 1e-9, worst(found)


@needs_torch
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20"])
def test_ten_training_steps(torch: Any, name: str, optimiser: str) -> None:
    """Losses, and the weights in the end."""
    model = start(name)
    network = twin(torch, model)
    losses, _ = train_ours(model, optimiser, steps=10)
    wanted, _ = train_theirs(torch, network, list(network.parameters()), optimiser, steps=10)
    assert np.abs(losses / wanted - 1).max() <= 1e-8
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    found = errors(model.state_dict(), state)
    assert worst(found)[0] <= 1e-7, worst(found)


@needs_torch
@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e9])
def test_gradient_clipping(torch: Any, max_norm: float) -> None:
    """As torch.nn.utils.clip_grad_norm_, which adds 1e-6 to the norm it divides by."""
    grads = [draw(1, (3, 4)), draw(2, (5,)), draw(3, (2, 3, 3, 3))]
    params = [(str(i), tr.Param(np.zeros_like(grad))) for i, grad in enumerate(grads)]
    tensors = [torch.zeros(grad.shape, dtype=torch.float64, requires_grad=True) for grad in grads]
    for (_, param), tensor, grad in zip(params, tensors, grads, strict=True):
        param.grad[...] = grad
        tensor.grad = torch.from_numpy(grad.copy())
    norm = tr.clip_grad_norm(params, max_norm)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(tensors, max_norm)), rel=1e-12)
    for (_, param), tensor in zip(params, tensors, strict=True):
        assert error(param.grad, tensor.grad.numpy()) <= 1e-6


@needs_torch
def test_logits_of_trained_weights(torch: Any, trained: Trained) -> None:
    """On 1,000 real pictures, in float32: to 1e-4."""
    network = twin(torch, trained.model).eval()
    with torch.no_grad():
        wanted = np.concatenate([network(torch.from_numpy(x)).numpy() for x in np.split(trained.x, 10)])
    assert np.abs(trained.logits - wanted).max() <= 1e-4
