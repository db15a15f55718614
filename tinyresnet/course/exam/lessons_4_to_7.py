"""Questions on lessons 04 to 07: batch norm, gradient checks, the residual add, depth."""

from __future__ import annotations

import math

import numpy as np

from ...layers import BatchNorm2d, Chain, Conv2d, Layer, Linear, ReLU, Residual
from ...layers.linear import LinearCache, linear_backward
from ...layers.norm import batch_norm_backward, batch_norm_forward
from ...layers.relu import relu_backward, relu_forward
from ...layers.residual import fork_backward
from ...layers.shortcut import projection
from .question import Array, Ask, Question, Rng, whole

XHAT = np.array([-1.5, -0.5, 0, 0.5, 1.5])  # mean 0, variance 1


def norm(rng: Rng) -> Question:
    """Batch norm in training, five numbers."""
    mean, std = int(rng.integers(1, 6)), float(rng.choice([2, 4]))
    xhat, gamma = rng.permutation(XHAT), float(rng.choice([-4, -2, 2, 4]))
    dy = whole(rng, (5,))
    while dy.sum() % 5 or (dy * xhat).sum() % 2.5:  # means that a pencil can write
        dy = whole(rng, (5,))
    x = (mean + std * xhat).reshape(5, 1, 1, 1)
    _, cache = batch_norm_forward(x, np.array([gamma]), np.zeros(1), eps=0.0)
    dx, dweight, dbias = batch_norm_backward(dy.reshape(x.shape), cache)
    return Question(
        "norm", 4, "Batch norm, in training",
        "Five pictures of one pixel, one channel. The weight is γ, the bias 0, and ε is left out. "
        "The mean of x and its standard deviation are whole numbers.",
        {"x": x.ravel(), "γ": gamma, "dy": dy},
        (Ask("dbias", 1, dbias[0]), Ask("dweight", 1, dweight[0]), Ask("dx[0]", 3, dx.flat[0]), Ask("the sum of dx", 1, dx.sum())),
        f"xhat = {', '.join(f'{one:g}' for one in xhat)}; dx = (γ / σ) (dy − mean(dy) − xhat mean(dy · xhat)), with σ = {std:g}, "
        f"mean(dy) = {dy.mean():g} and mean(dy · xhat) = {(dy * xhat).mean():g}.",
    )  # fmt: skip


def running(rng: Rng) -> Question:
    """Evaluation, and how the running mean moves."""
    layer = BatchNorm2d(1, eps=0.0, dtype=np.float64)
    x, dy = 1.0 + rng.permutation(8)[:2], whole(rng, (1,))
    gamma, mean, var = whole(rng, (1,)), whole(rng, (1,), -2, 3), rng.choice([4.0, 16.0], 1)
    layer.weight.data, layer.running_mean, layer.running_var = gamma, mean.copy(), var.copy()
    y, cache = layer.forward(x[:1].reshape(1, 1, 1, 1), train=False)
    dx = layer.backward(dy.reshape(1, 1, 1, 1), cache)
    layer.forward(x.reshape(2, 1, 1, 1), train=True)
    return Question(
        "running", 4, "Batch norm, in evaluation",
        "One channel, weight γ, bias 0, no ε. First the picture x[0] alone goes through in evaluation, and dy comes back to it. "
        "Then both pictures go through in training, with momentum 0.1.",
        {"γ": gamma, "running mean": mean, "running variance": var, "x": x, "dy": dy},
        (Ask("y of x[0] in evaluation", 1, y.item()), Ask("its dx", 1, dx.item()),
         Ask("the running mean at the end", 2, layer.running_mean.item())),
        "In evaluation y = γ (x − mean) / √variance, and dx = γ dy / √variance: the statistics are constants. "
        "Training moves the running mean by a tenth of the way to the batch's mean.",
    )  # fmt: skip


def kink(rng: Rng) -> Question:
    """A central difference across ReLU's kink."""
    h = 0.01
    x = float(rng.integers(1, 10)) / 1000
    above, below = (float(relu_forward(np.array([x + step]))[0][0]) for step in (h, -h))
    right = float(relu_backward(np.ones(1), relu_forward(np.array([x]))[1])[0])
    return Question(
        "kink", 5, "A check beside a kink",
        "Somebody checks y = max(x, 0) at this x by a central difference with step h.",
        {"x": x, "h": h},
        (Ask("the slope that is measured", 2, (above - below) / (2 * h)), Ask("what backward says for dy = 1", 1, right)),
        "(max(x + h, 0) − max(x − h, 0)) / 2h = (x + h) / 2h. Nothing is wrong with the layer: the step reaches over the kink.",
    )  # fmt: skip


def ones(rng: Rng) -> Question:
    """A wrong gradient that an upstream of ones does not see."""
    right, row = whole(rng, (2, 2)), whole(rng, (2,))
    wrong = right + np.stack([row, -row])
    upstreams = np.ones(2), np.array([2.0, -1.0])

    def dx(dy: Array, weight: Array) -> Array:
        return np.asarray(linear_backward(dy[None], LinearCache(np.zeros((1, 2)), weight))[0][0])

    off = [dx(dy, wrong) - dx(dy, right) for dy in upstreams]
    return Question(
        "ones", 5, "What ones do not see",
        "y = x Wᵀ for one picture. By mistake, backward uses the matrix V in place of W. How far is its dx[0] off?",
        {"W": right, "V": wrong},
        (Ask("dx[0] minus the right one, for dy = (1, 1)", 1, off[0][0]), Ask("the same for dy = (2, −1)", 2, off[1][0])),
        "The error is dy (V − W). The columns of V − W sum to 0, and ones see nothing but these sums.",
    )  # fmt: skip


def block(rng: Rng) -> Question:
    """A residual block of 2 x 2 pixels."""
    while True:
        x, dy = whole(rng, (1, 1, 2, 2)), whole(rng, (1, 1, 2, 2))
        w1, w2 = float(rng.choice([-1, 1, 2])), float(rng.choice([-3, -2, 2, 3]))
        z = np.maximum(w1 * x, 0) * w2 + x
        if (z != 0).all() and 1 < (z > 0).sum() < 4 and ((z > 0) & (w1 * x > 0)).any() and (w1 * x < 0).any():
            break  # both ReLUs stop something, and the branch gets a gradient
    first, second = (Conv2d(1, 1, 1, rng=rng, dtype=np.float64) for _ in range(2))
    first.weight.data[:], second.weight.data[:] = w1, w2
    layer = Residual(Chain({"conv1": first, "relu1": ReLU(), "conv2": second}), None, ReLU())
    _, cache = layer.forward(x, train=True)
    dx = layer.backward(dy, cache)
    asks = [Ask(f"dx[{i}, {j}]", 1, dx[0, 0, i, j]) for i, j in np.ndindex(2, 2)]
    weights = Ask("dw1", 1, first.weight.grad.item()), Ask("dw2", 1, second.weight.grad.item())
    return Question(
        "block", 6, "A residual block on paper",
        "One picture of 2 × 2, one channel: y = relu(w2 · relu(w1 · x) + x).",
        {"w1": w1, "w2": w2, "x": x[0, 0], "dy": dy[0, 0]},
        (*asks, *weights),
        f"z = w2 relu(w1 x) + x = {z.ravel().tolist()}, row by row. dz = dy where z > 0; the add copies dz to both ways; "
        "dh = w2 dz where w1 x > 0; the fork sums: dx = w1 dh + dz. dw2 = Σ dz relu(w1 x), dw1 = Σ dh x.",
    )  # fmt: skip


def three_ways(rng: Rng) -> Question:
    """A fork with three ways."""
    w, dy = whole(rng, (2,)), float(rng.integers(2, 6))
    dx = fork_backward((fork_backward((w[:1] * dy, w[1:] * dy), None), np.array([dy])), None).item()
    return Question(
        "three_ways", 6, "A block with three ways",
        "y = w[0] x + w[1] x + x, for one number x: two branches and a shortcut.",
        {"w": w, "dy": dy},
        (Ask("dx", 1, dx), Ask("what someone gets who averages at the fork", 1, dx / 3)),
        "The add copies dy to all three ways, the fork sums what comes back: dx = (w[0] + w[1] + 1) dy.",
    )  # fmt: skip


def shortcut_b(rng: Rng) -> Question:
    """Parameters and pixels of shortcut B."""
    C, H = int(rng.choice([8, 16, 32, 64])), int(rng.choice([8, 16, 32]))
    layer: Layer = projection(C, 2 * C, stride=2, rng=rng, dtype=np.float64)
    y, cache = layer.forward(rng.standard_normal((2, C, H, H)), train=True)
    dx = layer.backward(rng.standard_normal(y.shape), cache)
    count = sum(param.data.size for _, param in layer.named_params())
    return Question(
        "shortcut_b", 6, "Shortcut B",
        "A stage begins: stride 2, from C to O channels, pictures of H × H before it. Shortcut B is a 1 × 1 convolution and a batch norm.",
        {"C": C, "O": 2 * C, "H": H},
        (Ask("its parameters", 2, count), Ask("of the pixels of x, so many percent get a gradient by it", 1, 100 * (dx != 0).mean())),
        "C O weights, and 2 O numbers of the batch norm. Stride 2 reads every second row and column.",
    )  # fmt: skip


def stack(w: Array, *, residual: bool, without: int | None = None) -> float:
    """The gradient at the bottom of a tower of scalar blocks, for 1 at its top; plain or residual, or with a block taken out."""
    blocks: list[Layer] = []
    for number, one in enumerate(w):
        linear = Linear(1, 1, rng=np.random.default_rng(0), dtype=np.float64)
        linear.weight.data[:] = 0 if number == without else one
        blocks.append(Residual(Chain({"fc": linear})) if residual else linear)
    tower = Chain({f"block{number}": block for number, block in enumerate(blocks)})
    _, cache = tower.forward(np.ones((1, 1)), train=True)
    return float(tower.backward(np.ones((1, 1)), cache).item())


def tower(rng: Rng) -> Question:
    """One product against a product of sums."""
    w, gone = rng.choice([-0.5, 0.1, 0.2, 0.5, 1.0], 4), int(rng.integers(4))
    return Question(
        "tower", 7, "A tower of blocks",
        "Four blocks of one number each: plain x ← w[l] x, or residual x ← x + w[l] x, for l = 0 to 3. "
        "The loss sends 1 back to the last block's output.",
        {"w": w},
        (Ask("plain: the gradient at the input", 1, stack(w, residual=False)), Ask("residual: the same", 2, stack(w, residual=True)),
         Ask(f"residual, with the branch of block {gone} taken out", 2, stack(w, residual=True, without=gone))),
        "Plain: the product of all w[l]. Residual: the product of all 1 + w[l]; a block without its branch has the factor 1.",
    )  # fmt: skip


def paths(rng: Rng) -> Question:
    """The paths of a residual network."""
    L = int(rng.integers(4, 9))
    k = int(rng.integers(2, L - 1))
    through = stack(np.ones(L), residual=True)
    return Question(
        "paths", 7, "Paths",
        "Multiplied out, the gradient through L residual blocks is a sum over paths: at each block, through the branch or around it.",
        {"L": L},
        (Ask("how many paths", 1, through), Ask(f"how many go through exactly {k} branches", 1, math.comb(L, k)),
         Ask("how many are left when one branch is taken out", 1, stack(np.ones(L), residual=True, without=0))),
        f"2^L in all; {k} of L branches can be chosen in L! / ({k}! (L − {k})!) ways; half of the paths do not use a given branch.",
    )  # fmt: skip


DRAWS = (norm, running, kink, ones, block, three_ways, shortcut_b, tower, paths)
