"""The residual add: where a way forks gradients sum, where two ways add the gradient is copied.

             +-- @ w1 -- relu -- @ w2 --+
    x -- fork                          add -- relu -- y        y = relu(relu(x w1) w2 + x)
             +--------------------------+
x and y (N, D), w1 (D, E), w2 (E, D).
"""

import numpy as np


def add_backward(dy):
    """da and db of y = a + b, for dy of any shape."""
    #[ c: by how much does y move when a moves?
    #[ b: return da and db: by how much does y move when a moves, and when b does?
    return dy, dy
    #]
    #]


def fork_backward(da, db):
    """dx of x handed out twice, as a and as b, for da and db of one shape."""
    #[ c: x reaches the loss by two ways.
    #[ b: return dx: x reaches the loss by two ways. da and db must not change.
    return da + db
    #]
    #]


def block_forward(x, w1, w2):
    """y (N, D) = relu(relu(x w1) w2 + x), and cache = (x, w1, w2, h, z): h (N, E) after the first ReLU, z (N, D) before the last."""
    #[ c: four short lines.
    h = np.maximum(x @ w1, 0)
    #[ b: make z (N, D): the branch and the shortcut, added.
    z = h @ w2 + x
    #]
    return np.maximum(z, 0), (x, w1, w2, h, z)
    #]


def block_backward(dy, cache):
    """dx (N, D), dw1 (D, E) and dw2 (E, D), for dy (N, D)."""
    #[ c: go back through the picture from right to left: ReLU, add, branch, fork.
    x, w1, w2, h, z = cache
    #[ b: make dz (N, D): back through the last ReLU. Whose sign counts?
    dz = dy * (z > 0)
    #]
    dh = dz @ w2.T * (h > 0)
    #[ b: make dw1 (D, E) and dw2 (E, D).
    dw1, dw2 = x.T @ dh, h.T @ dz
    #]
    #[ b: make dx (N, D): what comes back through the branch, and what comes by the shortcut.
    dx = dh @ w1.T + dz
    #]
    return dx, dw1, dw2
    #]


#! x = rng.permutation([[1.0, 2.0]])
#! w1 = rng.permutation([[1.0, -1.0], [2.0, 1.0]])
#! w2 = rng.permutation([[2.0, -1.0], [1.0, 0.0]])
#! dy = rng.integers(1, 5, (1, 2)).astype(float)
#? y_first: y[0, 0]  = block_forward(x, w1, w2)[0][0, 0]
#? y_second: y[0, 1]  = block_forward(x, w1, w2)[0][0, 1]
#? dz_first: the gradient right behind the add, [0, 0]  = (dy * (block_forward(x, w1, w2)[1][4] > 0))[0, 0]
#? dx_first: dx[0, 0]: two ways  = block_backward(dy, block_forward(x, w1, w2)[1])[0][0, 0]
#? fork: at a fork 3 comes back by one way and 5 by the other. What goes on?  = fork_backward(3.0, 5.0)
#? add: 3 comes back to an add. What does the shortcut get?  = add_backward(3.0)[1]
