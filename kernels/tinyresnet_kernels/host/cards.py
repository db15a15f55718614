"""Named cards, and how long a kernel takes on one at best: the roofline model (Williams, Waterman & Patterson 2009) of a kernel's counts.

A model, not a measurement. Each part of the card works at its peak, all at the same time, and the slowest says how long it takes. There is
no latency, no launch, no tail of half-empty SMs, and every SM is as full as it need be. What runs is slower; how much slower differs
from kernel to kernel. So the model tells what a kernel is bound by and what a better one could win, not how fast it will be.

The figures are the vendor's, at the boost clock; the source stands beside each card.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

WAVEFRONT = 128  # bytes that an SM's shared memory moves in a clock: 32 banks of 4 bytes


class Card(NamedTuple):
    """A card's figures: rates in a second, a multiply-add is 2 operations."""

    name: str
    arch: str
    sms: int
    clock: float  # Hz, boost
    dram: float  # bytes/s
    float32: float  # operations/s, without tensor cores
    float64: float
    l2_bytes: int
    l2: float | None  # bytes/s that it reads; None where the vendor does not say: then the model leaves this part out

    @property
    def shared(self) -> float:
        """Bytes/s of all SMs' shared memory together."""
        return WAVEFRONT * self.sms * self.clock


MIB = 1 << 20

CARDS = {
    # NVIDIA Turing GPU Architecture whitepaper, appendix on TU104, and T4 datasheet; double precision at 1/32 of the rate.
    "t4": Card("T4", "sm_75", 40, 1.590e9, 320e9, 8.1e12, 8.1e12 / 32, 4 * MIB, None),
    # NVIDIA A100 Tensor Core GPU Architecture whitepaper, the table of data center GPUs; its L2 reads 5120 bytes a clock.
    "a100": Card("A100 SXM4 40 GB", "sm_80", 108, 1.410e9, 1555e9, 19.5e12, 9.7e12, 40 * MIB, 5120 * 1.410e9),
    # NVIDIA Ampere GA102 GPU Architecture whitepaper, table of the RTX 3090; double precision at 1/64 of the rate.
    "rtx3090": Card("GeForce RTX 3090", "sm_86", 82, 1.695e9, 936e9, 35.6e12, 35.6e12 / 64, 6 * MIB, None),
    # NVIDIA H100 Tensor Core GPU Architecture whitepaper (1980 MHz is the clock that its 66.9 and 33.5 TFLOPS are given for) and
    # H100 datasheet: 3.35 TB/s.
    "h100": Card("H100 SXM5 80 GB", "sm_90", 132, 1.980e9, 3350e9, 66.9e12, 33.5e12, 50 * MIB, None),
    # NVIDIA RTX Blackwell GPU Architecture whitepaper, table of the RTX 5090; double precision at 1/64 of the rate.
    "rtx5090": Card("GeForce RTX 5090", "sm_120", 170, 2.407e9, 1792e9, 104.8e12, 104.8e12 / 64, 96 * MIB, None),
}


class Counted(Protocol):
    """What was counted while a kernel ran."""

    @property
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is 2."""

    @property
    def itemsize(self) -> int:
        """Bytes of the numbers that they are done with: 4 or 8."""

    @property
    def dram_bytes(self) -> int:
        """Bytes that DRAM must move."""

    @property
    def l2_bytes(self) -> int:
        """Bytes that the L2 cache moves to and from the SMs."""

    @property
    def shared_wavefronts(self) -> int:
        """Clocks that shared memory takes for all accesses, conflicts between banks included."""


class Roofline(NamedTuple):
    """Seconds that each part of a card is busy at its peak, the longest of them, and the part that it is; l2 is None if unknown."""

    dram: float
    l2: float | None
    shared: float
    flops: float
    seconds: float
    bound: str


def modelled_seconds(counts: Counted, card: Card) -> Roofline:
    """The model's time for a kernel's counts on a card."""
    dram = counts.dram_bytes / card.dram
    l2 = None if card.l2 is None else counts.l2_bytes / card.l2
    shared = counts.shared_wavefronts * WAVEFRONT / card.shared
    flops = counts.flops / (card.float64 if counts.itemsize == 8 else card.float32)
    parts = {"dram": dram, "l2": l2 or 0.0, "shared": shared, "flops": flops}
    bound = max(parts, key=lambda name: parts[name])
    return Roofline(dram, l2, shared, flops, parts[bound], bound)
