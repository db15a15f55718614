"""The networks as a whole: sizes, names, the table, twins, observation, saved states, and trained weights on real pictures."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import tinyresnet as tr
from cases import draw, every_layer
from conftest import Trained
from tinyresnet import InputError
from tinyresnet.layers import BatchNorm2d, Chain, Conv2d, Identity, ReLU, Residual, ShortcutA

SIZES = {
    **{8: 75_290, 20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962},  # CIFAR, option A
    **{18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808},  # ImageNet, 1000 classes
}


def count(model: tr.Layer) -> int:
    return sum(param.data.size for _, param in model.named_params())


def model(name: str, seed: int = 0, **settings: Any) -> tr.ResNet:
    return tr.build(name, rng=np.random.default_rng(seed), **settings)


@pytest.mark.parametrize("depth", [8, 20, 32, 44, 56, 110])
def test_cifar_parameter_counts(depth: int) -> None:
    assert count(model(f"resnet{depth}")) == count(model(f"plain{depth}")) == SIZES[depth]


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_imagenet_parameter_counts(depth: int) -> None:
    """Counted without drawing the weights, which would take a minute."""

    class NoNumbers(np.random.Generator):
        def standard_normal(self, size: Any = None, dtype: Any = None, out: Any = None) -> Any:
            return np.broadcast_to(0.0, size)

    network = tr.build(f"resnet{depth}", num_classes=1000, rng=NoNumbers(np.random.PCG64(0)))
    assert count(network) == SIZES[depth]


@pytest.mark.parametrize(
    ("name", "entries", "some"),
    [
        (
            "resnet18",
            122,
            {
                "conv1.weight": (64, 3, 7, 7),
                "bn1.running_var": (64,),
                "bn1.num_batches_tracked": (),
                "layer1.0.conv1.weight": (64, 64, 3, 3),
                "layer2.0.downsample.0.weight": (128, 64, 1, 1),
                "layer2.0.downsample.1.running_mean": (128,),
                "layer4.1.bn2.bias": (512,),
                "fc.weight": (1000, 512),
                "fc.bias": (1000,),
            },
        ),
        (
            "resnet50",
            320,
            {
                "conv1.weight": (64, 3, 7, 7),
                "layer1.0.conv1.weight": (64, 64, 1, 1),
                "layer1.0.conv3.weight": (256, 64, 1, 1),
                "layer1.0.downsample.0.weight": (256, 64, 1, 1),
                "layer3.0.conv2.weight": (256, 256, 3, 3),
                "layer3.5.bn3.num_batches_tracked": (),
                "layer4.0.downsample.1.weight": (2048,),
                "layer4.2.conv3.weight": (2048, 512, 1, 1),
                "fc.weight": (1000, 2048),
            },
        ),
    ],
)
def test_names_are_torchvisions(name: str, entries: int, some: dict[str, tuple[int, ...]]) -> None:
    state = model(name, num_classes=1000).state_dict()
    assert len(state) == entries
    assert {key: state[key].shape for key in some} == some
    assert "layer1.0.downsample.0.weight" in state or name == "resnet18"  # nothing to project there


def test_every_name_is_made() -> None:
    """Each works as a function of its own, forward and back, on narrow versions."""
    for name in tr.ARCHITECTURES:
        if name[-3:] in ("110", "152", "101"):
            continue  # the same blocks, more of them
        network = getattr(tr, name)(num_classes=3, width=2, rng=np.random.default_rng(0))
        assert network.config.name == name
        size = 16 if network.picture_size == 32 else 40
        y, cache = network.forward(draw(1, (2, 3, size, size)).astype(np.float32), train=True)
        dx = network.backward(np.ones_like(y), cache)
        assert (y.shape, y.dtype, dx.shape) == ((2, 3), np.float32, (2, 3, size, size))
        assert all(param.grad.any() for _, param in network.named_params()), name


def test_table() -> None:
    table = str(model("resnet20")).splitlines()
    assert re.split(r"\s{2,}", table[0]) == ["path", "layer", "output", "parameters", "multiply-adds"]
    assert re.split(r"\s{2,}", table[-1])[-2:] == ["269,722", "40,551,040"]
    rows = {row[0]: row[1:] for row in (re.split(r"\s{2,}", line) for line in table[2:-2])}
    assert rows["conv1"] == ["Conv2d", "16 x 32 x 32", "432", "442,368"]
    assert rows["layer2.0.downsample"] == ["ShortcutA", "32 x 16 x 16", "0", "0"]
    assert rows["layer3.2.add"] == ["Add", "64 x 8 x 8", "0", "0"]
    assert rows["fc"] == ["Linear", "10", "650", "640"]
    assert len(rows) == len([layer for _, layer in model("resnet20").named_layers() if not layer.children()])
    assert "1,814,073,344" in str(model("resnet18", num_classes=1000)).splitlines()[-1]


@pytest.mark.parametrize("depth", [20, 56])
def test_plain_and_residual_twins_start_alike(depth: int) -> None:
    plain, residual = (dict(model(f"{kind}{depth}", seed=7).named_params()) for kind in ("plain", "resnet"))
    assert plain.keys() == residual.keys()
    for name, param in plain.items():
        np.testing.assert_array_equal(param.data, residual[name].data)
    other = dict(model(f"plain{depth}", seed=8).named_params())
    assert (other["conv1.weight"].data != plain["conv1.weight"].data).any()


def test_he_initialisation() -> None:
    network = model("resnet20", width=32)
    weight = network["layer2.1.conv1"].params()["weight"].data
    assert weight.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)
    assert weight.mean() == pytest.approx(0, abs=1e-3)
    norm = network["bn1"]
    assert isinstance(norm, BatchNorm2d)
    assert (norm.weight.data == 1).all()
    assert (norm.running_var == 1).all()


@pytest.mark.parametrize(("name", "shortcut"), [("resnet20", "A"), ("resnet20", "B"), ("resnet50", "B")])
def test_zero_init_makes_each_block_its_shortcut(name: str, shortcut: str) -> None:
    network = model(name, width=4, shortcut=shortcut, zero_init_residual=True, dtype=np.float64)
    blocks = [layer for layer in every_layer(network) if isinstance(layer, Residual)]
    assert len(blocks) == {"resnet20": 9, "resnet50": 16}[name]
    for block in blocks:
        first = next(layer for layer in every_layer(block.branch) if isinstance(layer, Conv2d))
        x = draw(3, (2, first.weight.data.shape[1], 6, 8))
        wanted = block.relu.forward(block.shortcut.forward(x, train=True)[0], train=True)[0]
        np.testing.assert_array_equal(block.forward(x, train=True)[0], wanted)
    with pytest.raises(InputError, match="zero_init_residual needs blocks that end in a batch norm"):
        model("preact_resnet20", zero_init_residual=True)


def test_shortcut_options() -> None:
    def ways(name: str, option: str) -> list[str]:
        blocks = [layer for layer in every_layer(model(name, width=4, shortcut=option)) if isinstance(layer, Residual)]
        return ["+".join(type(layer).__name__ for layer in every_layer(block.shortcut)) for block in blocks]

    plain, projected = ["Identity"], "Chain+Conv2d+BatchNorm2d"
    assert ways("resnet20", "A") == plain * 3 + ["ShortcutA", *plain * 2] * 2
    assert ways("resnet20", "B") == plain * 3 + [projected, *plain * 2] * 2
    assert ways("resnet20", "C") == [projected] * 9
    assert ways("resnet20", "D") == plain * 3 + ["Chain+AvgPool2d+Conv2d+BatchNorm2d", *plain * 2] * 2
    assert ways("resnet50", "B")[0] == projected


@pytest.mark.parametrize("name", ["resnet20", "plain20", "preact_resnet20", "resnet18", "resnet50"])
def test_no_layer_stands_twice(name: str) -> None:
    layers = every_layer(model(name, width=2))
    assert len({id(layer) for layer in layers}) == len(layers)
    relu = ReLU()
    with pytest.raises(InputError, match="no layer object may stand twice"):
        Chain({"a": relu, "b": ReLU(), "c": relu})


def test_layers_are_found_by_path() -> None:
    network = model("resnet20")
    assert isinstance(network["layer2.0.downsample"], ShortcutA)
    assert isinstance(network["layer3.2.conv2"], Conv2d)
    assert [path for path, layer in network.named_layers() if isinstance(layer, Identity)] == []
    with pytest.raises(KeyError):
        network["layer9"]


def test_observe_tells_every_leaf_and_restores_everything() -> None:
    network = model("resnet20", width=2, dtype=np.float64)
    x = draw(1, (2, 3, 8, 8))
    before = [dict(vars(layer)) for layer in every_layer(network)]
    told: list[tuple[str, str]] = []
    inner: list[str] = []
    y, cache = network.forward(x, train=False)
    plain = network.backward(np.ones_like(y), cache)
    with tr.observe(
        network,
        forward=lambda path, layer, x, y: told.append(("forward", path)),
        backward=lambda path, layer, dy, dx: told.append(("backward", path)),
    ):
        with tr.observe(network, forward=lambda path, layer, x, y: inner.append(path)):
            network.forward(x, train=False)
        seen, cache = network.forward(x, train=False)
        np.testing.assert_array_equal(network.backward(np.ones_like(seen), cache), plain)
        model("resnet20", width=2).forward(x.astype(np.float32), train=False)  # another one is not watched
    np.testing.assert_array_equal(seen, y)
    leaves = [path for path, layer in network.named_layers() if not layer.children()]
    assert sorted(inner) == sorted(leaves)
    forward, backward = ([path for kind, path in told if kind == way] for way in ("forward", "backward"))
    assert forward == inner * 2
    assert sorted(backward) == sorted(leaves)
    assert (backward[0], backward[-1]) == ("fc", "conv1")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), tr.observe(network, forward=stop, backward=stop):
        network.forward(x, train=False)
    for layer, attributes in zip(every_layer(network), before, strict=True):
        assert vars(layer).keys() == attributes.keys()
        assert all(vars(layer)[name] is value for name, value in attributes.items())


@pytest.mark.parametrize(
    ("wrong", "near"), [("resnet200", "resnet20"), ("plian56", "plain56"), ("preact20", "preact_resnet20")]
)
def test_unknown_name_suggests_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(InputError, match=f"unknown model '{wrong}': did you mean '{near}'"):
        model(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0: a whole number of at least 1 is wanted"),
        ({"in_channels": -3}, "in_channels is -3"),
        ({"width": 2.5}, r"width is 2\.5"),
        ({"shortcut": "E"}, "shortcut is 'E': A, B, C or D is wanted"),
        ({"dropout": 1.0}, r"dropout is 1\.0: a number 0 <= dropout < 1 is wanted"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model("resnet20", **settings)
    assert type(model("resnet20", num_classes=np.int64(3), width=2).config.num_classes) is int


def test_state_round_trip() -> None:
    source, target = model("preact_resnet20", width=3), model("preact_resnet20", seed=1, width=3)
    source.forward(draw(1, (2, 3, 8, 8)).astype(np.float32), train=True)
    state = source.state_dict()
    assert state["layer1.0.bn1.num_batches_tracked"] == 1
    target.load_state_dict(state)
    for array in state.values():
        array[...] = 0  # a copy: neither network is touched
    for (name, a), (_, b) in zip(source.state_dict().items(), target.state_dict().items(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert source.state_dict()["fc.weight"].any()
    old = {name: a for name, a in source.state_dict().items() if "num_batches" not in name}
    target.load_state_dict(old)


def test_mismatch_lists_everything() -> None:
    network = model("resnet20", width=2)
    state = network.state_dict()
    del state["bn1.bias"], state["layer3.2.conv2.weight"]
    state |= {"extra.weight": np.zeros(3), "fc.weight": np.zeros((10, 9))}
    with pytest.raises(InputError) as caught:
        network.load_state_dict(state)
    message = str(caught.value)
    assert "missing: bn1.bias, layer3.2.conv2.weight" in message
    assert "unexpected: extra.weight" in message
    assert "misshapen: fc.weight (10, 9) instead of (10, 8)" in message


def test_gradients_gather_until_they_are_set_to_zero() -> None:
    network = model("resnet20", width=2)
    y, cache = network.forward(draw(1, (2, 3, 8, 8)).astype(np.float32), train=True)
    network.backward(np.ones_like(y), cache)
    assert all(param.grad.any() for _, param in network.named_params())
    network.zero_grad()
    assert not any(param.grad.any() for _, param in network.named_params())


def test_dropout_is_seeded_and_acts_in_training_alone() -> None:
    x = draw(1, (4, 3, 8, 8)).astype(np.float32)
    one, two = (model("resnet20", width=4, dropout=0.5) for _ in range(2))
    np.testing.assert_array_equal(one.forward(x, train=True)[0], two.forward(x, train=True)[0])
    without = model("resnet20", width=4)
    without.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one.forward(x, train=False)[0], without.forward(x, train=False)[0])
    assert (copy.deepcopy(one).forward(x, train=True)[0] != without.forward(x, train=True)[0]).any()


def test_trained_weights_on_real_pictures(trained: Trained) -> None:
    """What PyTorch gets with these weights: 915 of 1,000."""
    assert (trained.logits.argmax(axis=1) == trained.labels).sum() == 915
    other = model("resnet20")
    assert tr.load(trained.path, other) == tr.Header()
    np.testing.assert_array_equal(other.forward(trained.x[:100], train=False)[0], trained.logits[:100])
