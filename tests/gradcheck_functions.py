"""Functions of nobody's library, with right backward passes, and what is wrong about some others: what a user of the checker brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Function(NamedTuple):
    """A pair of functions and the shapes of its inputs."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]

    def inputs(self, rng: np.random.Generator, dtype: Any = np.float64) -> list[Any]:
        return [rng.standard_normal(shape).astype(dtype) for shape in self.shapes]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_forward(x, h, c, W, U, b):
    """One step of an LSTM cell (Hochreiter & Schmidhuber 1997); the gates stand in the order input, forget, candidate, output."""
    z, H = x @ W + h @ U + b, h.shape[1]
    i, f, g, o = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H]), np.tanh(z[:, 2 * H : 3 * H]), sigmoid(z[:, 3 * H :])
    c_new = f * c + i * g
    return (o * np.tanh(c_new), c_new), (x, h, c, W, U, i, f, g, o, np.tanh(c_new))


def lstm_backward(dy, cache):
    dh, dc = dy
    x, h, c, W, U, i, f, g, o, t = cache
    dc = dc + dh * o * (1 - t * t)
    dz = np.concatenate(
        [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)], axis=1
    )
    return dz @ W.T, dz @ U.T, dc * f, x.T @ dz, h.T @ dz, dz.sum(0)


def layer_norm_forward(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    std = np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5)
    xhat = (x - mean) / std
    return gamma * xhat + beta, (xhat, std, gamma)


def layer_norm_backward(dy, cache):
    xhat, std, gamma = cache
    d = dy * gamma
    dx = (d - d.mean(-1, keepdims=True) - xhat * (d * xhat).mean(-1, keepdims=True)) / std
    return dx, (dy * xhat).sum(0), dy.sum(0)


def softmax_forward(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return p, p


def softmax_backward(dy, p):
    return p * (dy - (dy * p).sum(-1, keepdims=True))


def embedding_forward(table, words):
    return table[words], (table.shape, words)


def embedding_backward(dy, cache):
    shape, words = cache
    dtable = np.zeros(shape, dy.dtype)
    np.add.at(dtable, words, dy)
    return dtable


def attention_forward(q, k, v):
    """softmax(q k' / sqrt(d)) v (Vaswani et al. 2017, eq. 1)."""
    p, _ = softmax_forward(q @ k.T / q.shape[1] ** 0.5)
    return p @ v, (q, k, v, p)


def attention_backward(dy, cache):
    q, k, v, p = cache
    dscore = softmax_backward(dy @ v.T, p) / q.shape[1] ** 0.5
    return dscore @ k, dscore.T @ q, p.T @ dy


def largest_forward(x):
    """The largest of each row; the first one wins a tie."""
    return x.max(1), x


def shared_among_winners(dy, x):
    """A tie's gradient in equal parts: between the slopes on both sides, and so right."""
    best = x == x.max(1, keepdims=True)
    return best / best.sum(1, keepdims=True) * dy[:, None]


def to_every_winner(dy, x):
    """A tie's gradient to all of them: too much."""
    return (x == x.max(1, keepdims=True)) * dy[:, None]


def leaky_forward(x):
    return np.where(x > 0, x, 0.25 * x), x


def leaky_backward(at_kink: float):
    """The gradient at exactly 0 is what is given: 0.25 to 1 is right."""
    return lambda dy, x: dy * np.where(x > 0, 1, np.where(x < 0, 0.25, at_kink))


RIGHT = {
    "LSTM cell": Function(lstm_forward, lstm_backward, ((3, 4), (3, 5), (3, 5), (4, 20), (5, 20), (20,))),
    "layer norm": Function(layer_norm_forward, layer_norm_backward, ((4, 6), (6,), (6,))),
    "softmax": Function(softmax_forward, softmax_backward, ((3, 5),)),
    "attention": Function(attention_forward, attention_backward, ((4, 3), (5, 3), (5, 2))),
    "sine": Function(lambda x: (np.sin(3 * x), x), lambda dy, x: 3 * dy * np.cos(3 * x), ((7,),)),
    "coarse": Function(lambda x: (np.sin(x) + 1e8 - 1e8, x), lambda dy, x: dy * np.cos(x), ((4, 5),)),
    "a number": Function(lambda x: ((x**2).sum(), x), lambda dy, x: 2 * dy * x, ((2, 3),)),
}  # fmt: skip
