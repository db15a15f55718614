"""The roofline model of named cards: what it says of kernels whose bound is known beforehand."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tinyresnet_kernels.cuda.occupancy import LIMITS
from tinyresnet_kernels.host.cards import CARDS, Card, modelled_seconds

every_card = pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)


class Counts(NamedTuple):
    """What a kernel does."""

    flops: int = 0
    itemsize: int = 4
    dram_bytes: int = 0
    l2_bytes: int = 0
    shared_wavefronts: int = 0


@every_card
def test_a_copy_runs_at_the_bandwidth_of_dram(card: Card) -> None:
    moved = 2 * 4 * 10**9
    model = modelled_seconds(Counts(flops=0, dram_bytes=moved, l2_bytes=moved), card)
    assert model.bound == "dram"
    assert model.seconds == model.dram == pytest.approx(moved / card.dram)


@every_card
@pytest.mark.parametrize("itemsize", [4, 8])
def test_much_arithmetic_runs_at_the_peak_of_its_numbers(card: Card, itemsize: int) -> None:
    model = modelled_seconds(Counts(flops=10**14, itemsize=itemsize, dram_bytes=10**6), card)
    assert model.bound == "flops"
    assert model.seconds == pytest.approx(10**14 / (card.float32 if itemsize == 4 else card.float64))


@every_card
def test_conflicts_between_banks_cost_what_they_count(card: Card) -> None:
    once = modelled_seconds(Counts(shared_wavefronts=10**9), card)
    eightfold = modelled_seconds(Counts(shared_wavefronts=8 * 10**9), card)
    assert once.bound == eightfold.bound == "shared"
    assert eightfold.seconds == pytest.approx(8 * once.seconds)
    assert once.seconds == pytest.approx(10**9 / (card.sms * card.clock))  # a wavefront is one clock of one SM


def test_the_l2_cache_counts_where_its_bandwidth_is_known() -> None:
    counts = Counts(dram_bytes=10**9, l2_bytes=10**12)
    assert modelled_seconds(counts, CARDS["a100"]).bound == "l2"
    unknown = modelled_seconds(counts, CARDS["t4"])
    assert unknown.l2 is None
    assert unknown.bound == "dram"


@every_card
def test_the_figures_agree_with_each_other(card: Card) -> None:
    lanes = {"sm_75": 64, "sm_80": 64, "sm_86": 128, "sm_90": 128, "sm_120": 128}[card.arch]  # of float32 in an SM
    assert card.float32 == pytest.approx(2 * lanes * card.sms * card.clock, rel=0.01)
    assert card.float64 < card.float32
    assert card.shared > card.dram
    assert card.l2 is None or card.dram < card.l2 < card.shared
    assert card.arch in LIMITS
