"""A ResNet without its head: pictures in, the outputs of its stages out, each at a stride of its own. Detectors and segmenters stand on it.

x -- stem -- layer1 -- fork -- layer2 -- fork -- layer3        a fork gives one copy to the next stage and one to whoever
                        |                |          |          stands on the backbone; going back, it sums the two
                        c1               c2         c3         gradients
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from tinyresnet_kernels import Array, Form, form, like_memory, preferred_memory

from .errors import InputError
from .fuse import fuse
from .layers import AvgPool2d, Chain, Conv2d, Fork, Layer, ShortcutA, checks
from .resnet import ARCHITECTURES, Config, ResNet

HEAD = ("avgpool", "flatten", "dropout", "fc")


class OnBackbone:
    """What the configuration of a network on a backbone says as that of a classifier does."""

    backbone: Config

    @property
    def num_classes(self) -> int:
        """K, the classes of things."""
        return self.backbone.num_classes

    @property
    def in_channels(self) -> int:
        """The channels of the pictures."""
        return self.backbone.in_channels


class BackboneCache(NamedTuple):
    """The caches of the stages, and the form of the pictures."""

    stages: list[Any]
    x: Form


class Backbone(Layer):
    """(c_first, ..., c_last), c_i (N, channels[i], H / strides[i], W / strides[i]): the outputs of a ResNet's stages from `first` on.

    Parameters have their names in the classifier, whose weights fit as they are. With `output_stride` no stage has a larger stride: later
    steps become dilations (Yu and Koltun 2016; Chen et al. 2018, "DeepLab"). Raises InputError on stages and strides that are not there.
    """

    def __init__(self, network: ResNet, *, first: int = 2, output_stride: int | None = None) -> None:
        architecture, self.config, self.first = ARCHITECTURES[network.config.name], network.config, first
        count = len(architecture.blocks)
        if not 1 <= first < count:
            raise InputError(f"{self.config.name} has stages 1 to {count}: at least two are wanted, first is {first}")
        stem = 1 if architecture.picture_size <= 32 else 4
        strides = [stem * 2**stage for stage in range(count)]
        if output_stride is not None:
            if output_stride not in strides:
                raise InputError(f"{self.config.name}: output_stride is {output_stride}: one of {strides} is wanted")
            for stage, stride in enumerate(strides):
                if stride > output_stride:
                    _dilate(network[f"layer{stage + 1}"], stride // output_stride)
            strides = [min(stride, output_stride) for stride in strides]
        width = (network.config.width or architecture.width) * architecture.expansion
        self.strides = tuple(strides[first - 1 :])
        self.channels = tuple(width * 2**stage for stage in range(first - 1, count))
        stages: list[dict[str, Layer]] = [{}]
        for name, layer in network.children().items():
            if name in HEAD:
                continue
            if name.startswith("layer") and name != "layer1":
                if len(stages) >= first:
                    setattr(self, f"fork{len(stages)}", Fork())
                stages.append({})
            setattr(self, name, layer)
            stages[-1][name] = layer
        self.stages: list[Layer] = [Chain(layers) for layers in stages]  # the same layers, as they are run

    def forward(self, x: Array, *, train: bool) -> tuple[tuple[Array, ...], BackboneCache]:
        """The features of pictures x (N, C, H, W)."""
        checks.array(self.config.name, "x", x, "N C H W")
        given, x = form(x), preferred_memory(x)
        features, caches = [], []
        for number, stage in enumerate(self.stages, start=1):
            x, cache = stage.forward(x, train=train)
            caches.append(cache)
            if fork := self.fork(number):
                (x, feature), _ = fork.forward(x, train=train)
                features.append(feature)
        return (*features, x), BackboneCache(caches, given)

    def backward(self, dy: tuple[Array, ...], cache: BackboneCache) -> Any:
        """dx (N, C, H, W), for the gradients at all outputs."""
        *dfeatures, dx = dy
        for number in range(len(self.stages), 0, -1):
            if fork := self.fork(number):
                dx = fork.backward((dx, dfeatures.pop()), None)
            dx = self.stages[number - 1].backward(dx, cache.stages[number - 1])
        return None if dx is None else like_memory(dx, cache.x)

    def fork(self, stage: int) -> Fork | None:
        """The fork behind a stage; None behind those that nobody else reads, and behind the last."""
        found: Fork | None = vars(self).get(f"fork{stage}")
        return found

    def fused(self, *, input_gradient: bool = True) -> Backbone:
        """The same backbone on the same parameters, its stages as units (`fuse.py`). Without `input_gradient`, backward returns None."""
        other = copy.copy(self)
        other.stages = [fuse(stage, input_gradient=input_gradient or i > 0) for i, stage in enumerate(self.stages)]
        return other


def _dilate(stage: Layer, dilation: int) -> None:
    """Take the stride out of a stage and put its later windows' pixels `dilation` apart, its strided one's half that.

    So each output sees what it saw, and every other pixel of the larger output is the old output, to the bit of its sums.
    """
    for _, layer in stage.named_layers():
        if isinstance(layer, Conv2d):
            apart = dilation // layer.stride[0]
            layer.stride, layer.dilation = (1, 1), (apart, apart)
            layer.pad = tuple(apart * (size // 2) for size in layer.weight.data.shape[2:])
        elif isinstance(layer, ShortcutA):
            layer.stride = 1
        elif isinstance(layer, AvgPool2d):
            raise InputError("shortcut D averages windows as it strides: such a network cannot be dilated")
