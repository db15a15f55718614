"""The demo's claim: at this depth the residual network learns where its plain twin does not, by more than seeds differ."""

from __future__ import annotations

import numpy as np

from tinyresnet.data import load
from tinyresnet.train import Settings
from tinyresnet.twins import make_twins, train_twins

SEEDS = (0, 1, 2)


def test_twins_start_from_the_same_weights_and_see_the_same_batches() -> None:
    data = load("shapes", train_size=32, test_size=8, picture_size=16)
    twins = make_twins(20, width=4, num_classes=10, seed=1)
    states = [twin.model.state_dict() for twin in twins]
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    for _ in train_twins(twins, data, Settings(steps=3, batch_size=8)):
        pass
    for twin in twins:
        assert len(twin.losses) == 3
        assert list(twin.first_grad_norms) == [p for p in twin.first_grad_norms if "conv" in p]
        assert len(twin.first_grad_norms) == 19
        assert twin.first_grad_norms != twin.last_grad_norms
    assert twins[0].losses != twins[1].losses


def test_the_gap_is_wider_than_the_noise_between_seeds() -> None:
    """The demo's own settings, with three seeds."""
    losses = []
    for seed in SEEDS:
        data = load("shapes", train_size=400 * 64, test_size=64, picture_size=16)
        twins = make_twins(32, width=8, num_classes=10, seed=seed)
        for _ in train_twins(twins, data, Settings(steps=400, batch_size=64, seed=seed)):
            pass
        losses.append([twin.final_loss for twin in twins])
    plain, residual = np.array(losses).T
    noise = np.sqrt(plain.var(ddof=1) + residual.var(ddof=1))
    print(f"plain {plain.round(3)}, residual {residual.round(3)}, noise {noise:.3f}")
    assert (plain - residual).mean() > max(2 * noise, 0.1)
    assert residual.max() < plain.min()
