"""ReLU, forward and backward.

Forward: each number that is not positive becomes 0. Backward: dy passes where x was positive, and nowhere else.
"""

import numpy as np


def relu_forward(x):
    """y = x where x > 0, else 0, for x of any shape. Returns y and the cache, which is x."""
    #[ c: y has x's shape and dtype, and x itself must not change.
    #[ b: make y: x where it is positive, else 0. A new array: x must not change.
    y = np.where(x > 0, x, 0)
    #]
    return y, x
    #]


def relu_backward(dy, cache):
    """dx, of x's shape, for dy of x's shape; the cache is x. At x = 0 the gradient is 0."""
    #[ c: which numbers of dy pass? Look at x, not at dy.
    x = cache
    #[ b: return dx: which numbers of dy pass, and what stands where they do not?
    return np.where(x > 0, dy, 0)
    #]
    #]


#! x = rng.permutation([-3.0, -1.0, 0.0, 2.0, 4.0])
#! dy = rng.integers(1, 6, 5) * rng.choice([-1.0, 1.0], 5)
#? y_sum: the sum of all numbers of y = relu(x)  = relu_forward(x)[0].sum()
#? dx_first: dx[0], when dy is the gradient of the loss by y  = relu_backward(dy, x)[0]
#? dx_sum: the sum of all numbers of dx  = relu_backward(dy, x).sum()
#? dx_negative: the gradient at x = -3 if dy were 7 there  = 0
