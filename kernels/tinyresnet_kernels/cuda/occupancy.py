"""Occupancy: how many blocks of a kernel an SM holds at once, and which resource runs out first.

An SM hides the wait for memory by working on another warp meanwhile, so it matters how many warps fit. Blocks are handed to an SM
whole, until warps, places for blocks, registers or shared memory run out.

The limits are those of the table "Technical Specifications per Compute Capability" in NVIDIA's CUDA C++ Programming Guide. The
granularity in which registers and shared memory are given out is that of NVIDIA's occupancy calculator (`cuda_occupancy.h` of the toolkit).
"""

from __future__ import annotations

from typing import NamedTuple

WARP = 32  # threads
REGISTERS = 65_536  # 32-bit registers of an SM, and the most that one block gets
REGISTER_UNIT = 256  # registers are given to a warp in units of this many
PARTITIONS = 4  # of an SM, each with a quarter of the registers; a warp lives in one
MOST_REGISTERS = 255  # of a thread
MOST_THREADS = 1024  # of a block
KIB = 1024


class Limits(NamedTuple):
    """What an SM of one architecture has. From sm_80 on each block takes `reserved` bytes of shared memory for the system."""

    warps: int
    blocks: int
    shared: int  # bytes of shared memory of an SM
    shared_unit: int  # bytes in which it is given out
    reserved: int

    @property
    def block_shared(self) -> int:
        """Bytes of shared memory that one block can have, dynamic included."""
        return self.shared - self.reserved


LIMITS = {
    "sm_75": Limits(warps=32, blocks=16, shared=64 * KIB, shared_unit=256, reserved=0),
    "sm_80": Limits(warps=64, blocks=32, shared=164 * KIB, shared_unit=128, reserved=KIB),
    "sm_86": Limits(warps=48, blocks=16, shared=100 * KIB, shared_unit=128, reserved=KIB),
    "sm_90": Limits(warps=64, blocks=32, shared=228 * KIB, shared_unit=128, reserved=KIB),
    "sm_120": Limits(warps=48, blocks=24, shared=100 * KIB, shared_unit=128, reserved=KIB),
}


class Occupancy(NamedTuple):
    """Blocks and warps on an SM at once, the warps' share of the most that it holds, and what allows no further block."""

    blocks: int
    warps: int
    share: float
    bound: str


def occupancy(arch: str, threads: int, registers: int, shared: int = 0) -> Occupancy:
    """The occupancy of a kernel with this many threads a block, registers a thread and bytes of shared memory a block.

    0 blocks: it cannot be launched. Raises ValueError for an architecture without limits here.
    """
    if arch not in LIMITS:
        raise ValueError(f"no limits are known for {arch!r}: known are {', '.join(LIMITS)}")
    limits = LIMITS[arch]
    block_warps = -(-threads // WARP)
    fits = {
        "warps": limits.warps // block_warps if threads <= MOST_THREADS else 0,
        "blocks": limits.blocks,
        "registers": _by_registers(block_warps, registers),
        "shared memory": _by_shared(limits, shared),
    }
    bound = min(fits, key=lambda name: fits[name])  # of equals the first
    blocks = fits[bound]
    return Occupancy(blocks, blocks * block_warps, blocks * block_warps / limits.warps, bound)


def _by_registers(block_warps: int, registers: int) -> int:
    """Blocks for which there are registers."""
    warp_registers = _round_up(max(registers, 1) * WARP, REGISTER_UNIT)
    # The hardware's check at launch assumes that each partition gets equally many of the block's warps.
    if registers > MOST_REGISTERS or warp_registers * _round_up(block_warps, PARTITIONS) > REGISTERS:
        return 0
    return REGISTERS // PARTITIONS // warp_registers * PARTITIONS // block_warps


def _by_shared(limits: Limits, shared: int) -> int:
    """Blocks for which there is shared memory."""
    if shared > limits.block_shared:
        return 0
    block = _round_up(shared + limits.reserved, limits.shared_unit)
    return limits.shared // block if block else limits.blocks


def _round_up(n: int, unit: int) -> int:
    return -(-n // unit) * unit
