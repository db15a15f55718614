"""A residual block with a gate: y = x + a F(x), with one learnt number a for the whole block.

F(x) = tanh(x w), x and y (N, D), w (D, D), a a number (an array of shape ()).
"""

import numpy as np


def gated_forward(x, w, a):
    """y (N, D), and cache = (x, w, a, f): f (N, D) is F(x)."""
    #[ c: two lines.
    f = np.tanh(x @ w)
    #[ b: make y (N, D).
    y = x + a * f
    #]
    return y, (x, w, a, f)
    #]


def gated_backward(dy, cache):
    """dx (N, D), dw (D, D) and da (shape ()), for dy (N, D). The derivative of tanh is 1 - tanh^2."""
    #[ c: a is used in every number of y.
    x, w, a, f = cache
    #[ b: make da, shape (): every number of y used a.
    da = (dy * f).sum()
    #]
    dinner = a * dy * (1 - f * f)
    #[ b: make dx (N, D): two ways.
    dx = dy + dinner @ w.T
    #]
    return dx, x.T @ dinner, da
    #]


#! x = np.array([[1.0, 2.0]])
#! f = rng.permutation([[0.5, -0.5]])
#! dy = rng.integers(-4, 5, (1, 2)).astype(float)
#? y_first: y[0, 0], if F(x) is f and a = 2  = x[0, 0] + 2 * f[0, 0]
#? da: da  = (dy * f).sum()
#? dx_closed: dx[0, 0] if a = 0, a block that starts as the identity  = dy[0, 0]
