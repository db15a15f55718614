"""Training steps in a process of their own, for what a process does once: its peak memory, and its first step.

`python -m tinyresnet.bench.child SIDE NETWORK BATCH THREADS FUSED` prints a JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

STEPS = 3


class Life(NamedTuple):
    """Seconds of the first and the second step; bytes of memory before the first step and at most (None: not known here)."""

    first_seconds: float
    second_seconds: float
    before: int | None
    peak: int | None


def live(side: str, network: str, batch: int, threads: int, *, fused: bool = True, cache: Path | None = None) -> Life:
    """A process that makes three training steps: "ours" or "torch" (in channels-last). `cache`: the folder in which kernels are kept."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
    if cache is not None:
        environment |= dict.fromkeys(("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"), str(cache))
    arguments = [side, network, str(batch), str(threads), str(int(fused))]
    done = subprocess.run(
        [sys.executable, "-m", "tinyresnet.bench.child", *arguments], capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise RuntimeError(f"the process for {side} ended with {done.returncode}: {done.stderr.strip()}")
    return Life(**json.loads(done.stdout))


def peak_memory() -> int | None:
    """Bytes of memory that this process had at most.

    On Linux from /proc: getrusage there begins with what the parent had when it started this process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(side: str, network: str, batch: str, threads: str, fused: str) -> None:
    """Make the steps and print what they took."""
    from .network import DECAY, LR, MOMENTUM, Setting, Training
    from .threads import using_threads
    from .torch_network import training_step
    from .work import Run, Torch, import_torch

    torch = import_torch() if side == "torch" else None
    ours = Training(Setting(network, int(batch), bool(int(fused))))
    step: Run = ours.step
    if torch is not None:
        step = training_step(Torch(torch, "channels-last"), ours.model, ours.x, ours.labels, MOMENTUM, DECAY, LR)
    del ours  # PyTorch's process must not hold our parameters too
    before, times = peak_memory(), [time.perf_counter()]
    with using_threads(int(threads), torch, kernels=torch is None):  # which loads the kernels: part of the first step
        for _ in range(STEPS):
            step()
            times.append(time.perf_counter())
    print(json.dumps(Life(times[1] - times[0], times[2] - times[1], before, peak_memory())._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
