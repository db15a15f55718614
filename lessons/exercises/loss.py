"""Softmax cross-entropy: the loss of a classifier, and the gradient of its logits.

p = softmax(logits), loss = mean over the rows of -log p[n, labels[n]].  N rows, K classes.
"""

import numpy as np


def softmax_loss_forward(logits, labels):
    """The loss (a number) of logits (N, K) and labels (N,), whole numbers 0 to K-1. Returns loss, cache = (p (N, K), labels)."""
    #[ c: logits may be as large as 1000: what may you subtract from a row without changing its p?
    #[ b: make p (N, K): each row sums to 1. A logit of 1000 must not overflow: subtract each row's largest first.
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = powers / powers.sum(axis=1, keepdims=True)
    #]
    N = len(labels)
    #[ b: make loss: the mean over the rows of -log of the p at the row's label.
    loss = -np.log(p[np.arange(N), labels]).mean()
    #]
    return loss, (p, labels)
    #]


def softmax_loss_backward(dloss, cache):
    """dlogits (N, K) for dloss, the gradient by the loss (a number, not always 1)."""
    #[ c: work out dloss/dlogits on paper first: it is short. p is not yours to change.
    p, labels = cache
    target = np.zeros_like(p)
    target[np.arange(len(labels)), labels] = 1
    #[ b: return dlogits. p and the one-hot target (N, K) are all it takes, the mean over the N rows, and dloss.
    return dloss * (p - target) / len(labels)
    #]
    #]


#! powers = rng.permutation([[1.0, 2.0, 5.0], [4.0, 1.0, 3.0]])
#! logits = np.log(powers)
#! labels = rng.integers(0, 3, 2)
#! dloss = 1.0 * rng.integers(2, 5)
#? p_top: the largest number of p in row 0 (exp of log is easy)  = softmax_loss_forward(logits, labels)[1][0][0].max()
#? p_row: the sum of row 1 of p  = 1
#? dlogits_label: dlogits[0, labels[0]]: mind dloss, and the mean over 2 rows  = softmax_loss_backward(dloss, softmax_loss_forward(logits, labels)[1])[0, labels[0]]
#? dlogits_row: the sum of row 1 of dlogits  = 0
