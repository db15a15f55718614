"""The segmenter and the detector from PyTorch's functions, with our names, so that the weights carry over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tensors = dict[str, Any]


def padded(F: Any, x: Any, multiple: int) -> Any:
    return F.pad(x, (0, -x.shape[3] % multiple, 0, -x.shape[2] % multiple))


def conv(F: Any, x: Any, p: Tensors, at: str, stride: int = 1) -> Any:
    weight = p[f"{at}.weight"]
    return F.conv2d(x, weight, p.get(f"{at}.bias"), stride=stride, padding=weight.shape[2] // 2)


def norm(F: Any, x: Any, p: Tensors, at: str, train: bool) -> Any:
    names = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(p[f"{at}.{name}"] for name in names), training=train)


def backbone(F: Any, x: Any, p: Tensors, train: bool) -> list[Any]:
    """The outputs of the second and third stage of a CIFAR ResNet-8 with option A."""
    x = F.relu(norm(F, conv(F, x, p, "backbone.conv1"), p, "backbone.bn1", train))
    features = []
    for stage, stride in ((1, 1), (2, 2), (3, 2)):
        at = f"backbone.layer{stage}.0."
        y = F.relu(norm(F, conv(F, x, p, f"{at}conv1", stride), p, f"{at}bn1", train))
        y = norm(F, conv(F, y, p, f"{at}conv2"), p, f"{at}bn2", train)
        more = y.shape[1] - x.shape[1]
        x = F.relu(y + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, more // 2, more - more // 2)))
        features.append(x)
    return features[1:]


def unit(F: Any, x: Any, p: Tensors, at: str, train: bool, stride: int = 1) -> Any:
    return F.relu(norm(F, conv(F, x, p, f"{at}.conv", stride), p, f"{at}.bn", train))


def pyramid(F: Any, features: list[Any], p: Tensors, at: str, train: bool, extra: int = 0) -> list[Any]:
    """Lin et al. 2017."""
    tops = [conv(F, c, p, f"{at}lateral{i}") for i, c in enumerate(features, start=1)]
    for i in reversed(range(len(tops) - 1)):
        tops[i] = tops[i] + F.interpolate(tops[i + 1], scale_factor=2, mode="nearest")

    levels = [unit(F, top, p, f"{at}output{i}", train) for i, top in enumerate(tops, start=1)]
    for i in range(1, extra + 1):
        levels.append(unit(F, levels[-1], p, f"{at}extra{i}", train, stride=2))
    return levels


def decoder(F: Any, features: list[Any], p: Tensors, train: bool, extra: int) -> Any:
    """A level after the other, from the coarsest on."""
    levels = list(features)
    for i in range(len(features) + 1, len(features) + extra + 1):
        levels.append(unit(F, levels[-1], p, f"head.down{i}", train, stride=2))
    y = unit(F, levels[-1], p, f"head.merge{len(levels)}", train)
    for i in range(len(levels) - 1, 0, -1):
        if f"head.narrow{i}.weight" in p:
            y = conv(F, y, p, f"head.narrow{i}")
        y = F.interpolate(y, scale_factor=2, mode="nearest") + conv(F, levels[i - 1], p, f"head.lateral{i}")
        y = unit(F, y, p, f"head.merge{i}", train)
    weight, bias = p["head.score.weight"], p["head.score.bias"]
    return F.conv_transpose2d(y, weight, bias, stride=2) if weight.shape[2] > 1 else F.conv2d(y, weight, bias)


def segmenter(head: str) -> Callable[[Any, Any, Tensors, bool], Any]:
    """Logits (N, K + 1, H, W)."""

    def graph(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        H, W = x.shape[2:]
        features = backbone(F, padded(F, x, 16 if head == "fpn" else 4), p, train)
        if head == "fpn":
            y = decoder(F, features, p, train, extra=2)
        else:
            coarse = F.conv_transpose2d(
                conv(F, features[1], p, "head.score2"), p["head.up1.weight"], stride=2, padding=1
            )
            y = conv(F, features[0], p, "head.score1") + coarse
            y = F.conv_transpose2d(y, p["head.full.weight"], stride=2, padding=1)
        return y[:, :, :H, :W]

    return graph


def detector(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    """(logits (N, P, K), boxes (N, P, 4)) of a detector with one extra level and a head of one convolution."""
    import torch

    features = backbone(F, padded(F, x, 8), p, train)
    logits, boxes = [], []
    levels = pyramid(F, features, p, "pyramid.", train, extra=1)
    for i, (level, stride) in enumerate(zip(levels, (2, 4, 8), strict=True), start=1):
        y = F.relu(norm(F, conv(F, level, p, "head.conv1"), p, f"head.bn1_level{i}", train))
        logits.append(conv(F, y, p, "head.score").flatten(2).transpose(1, 2))
        l, t, r, b = (stride * conv(F, y, p, "head.box").clamp(max=torch.tensor(64.0).log().item()).exp()).unbind(1)
        px = (torch.arange(l.shape[2], dtype=x.dtype) + 0.5) * stride
        py = ((torch.arange(l.shape[1], dtype=x.dtype) + 0.5) * stride)[:, None]
        boxes.append(torch.stack([px - l, py - t, px + r, py + b], dim=1).flatten(2).transpose(1, 2))
    return torch.cat(logits, dim=1), torch.cat(boxes, dim=1)


def detection_loss(F: Any, y: Any, labels: Any, wanted: Any) -> Any:
    """The loss of `tinyresnet/assign.py` for targets labels (N, P) (-1 nothing, -2 ignored) and boxes (N, P, 4)."""
    import torch

    logits, boxes = y
    positive = labels >= 0
    a, b = boxes[positive], wanted[positive]
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    around = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    iou = shared / union
    box_loss = (1 - iou + (around - union) / around).sum() / len(a)
    target = torch.zeros_like(logits)
    target[positive] = F.one_hot(labels[positive], logits.shape[2]).to(logits.dtype) * iou.detach()[:, None]
    p = logits.sigmoid()
    focal = (target - p).abs() ** 2 * F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return focal[labels != -2].sum() / len(a) + 2 * box_loss
