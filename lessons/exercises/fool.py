"""Write a wrong backward pass that a poor check calls right.

Many a check takes the loss to be the sum of all outputs, so that dy is all ones. What can it not see?
"""

import numpy as np


def fooling_backward(dy, x):
    """For y = relu(x), x and dy (N, D): right for a dy of all ones, whatever x is, and wrong for almost every other dy."""
    #[ c: start from the right one, dy * (x > 0), and spoil it.
    passed = x > 0
    #[ b: return something that is right where dy is 1, and wrong elsewhere.
    return np.where(passed, dy * dy, 0)
    #]
    #]


def fooling_norm_backward(dy, xhat):
    """For y = xhat = (x - mean) / std per column, std 1, xhat (N, D): right for a dy of all ones, wrong for others."""
    #[ c: what is the true gradient when dy is all ones? Work it out: the mean and the variance path take everything away.
    #[ b: return an array that is right for a dy of ones. It can be very simple.
    return np.zeros_like(xhat)
    #]
    #]


#! x = rng.permutation([3.0, -1.0, 2.0, -2.0])
#? ones: the sum of dx of y = relu(x) for dy of ones  = (x > 0).sum()
#? forgotten: a backward pass that forgets dy gives the mask alone. For dy of ones, how far off is it?  = 0
#? norm: y = (x - mean) / std of 4 numbers. By how much does the sum of the four y change when x[0] grows a little?  = 0
