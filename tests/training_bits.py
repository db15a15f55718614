"""A few training steps of ResNet-20 in float32, boiled down to one hash: equal hashes, equal bits.

python training_bits.py THREADS [fused]
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np

import tinyresnet as tr
from tinyresnet.fuse import fuse


def training_bits(threads: int, *, fused: bool, batch: int = 20, steps: int = 3) -> str:
    """The hash of all weights, running statistics, losses and input gradients of these steps, with kernels on so many threads."""
    from tinyresnet_kernels.cpu.threads import set_threads

    set_threads(threads)
    rng = np.random.default_rng(3)
    model = tr.resnet20(num_classes=10, rng=rng)
    optimiser = tr.SGD(model.named_params(), momentum=0.9, weight_decay=1e-4)
    digest = hashlib.sha256()
    network = fuse(model) if fused else model
    for _ in range(steps):
        x, labels = rng.standard_normal((batch, 3, 32, 32), np.float32), rng.integers(0, 10, batch)
        y, cache = network.forward(x, train=True)
        loss, dlogits = tr.softmax_cross_entropy(y, labels)
        optimiser.zero_grad()
        digest.update(np.float64(loss).tobytes() + network.backward(dlogits, cache).tobytes())
        optimiser.step(lr=0.1)
    for array in model.state_dict().values():
        digest.update(array.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    print(training_bits(int(sys.argv[1]), fused="fused" in sys.argv))
