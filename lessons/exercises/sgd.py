"""SGD with momentum and weight decay: from a gradient to a new weight.

velocity = momentum velocity + (grad + weight_decay param),  param = param - lr velocity.
"""

import numpy as np


def sgd_step(param, grad, velocity, lr, momentum, weight_decay):
    """The new param and the new velocity, as new arrays of the same shape: the given ones must not change."""
    #[ c: the decay joins the gradient, the gradient joins the velocity, and the velocity moves the parameter. In this order.
    #[ b: make new_velocity. Weight decay acts like a part of the gradient.
    new_velocity = momentum * velocity + (grad + weight_decay * param)
    #]
    #[ b: make new_param: one step downhill.
    new_param = param - lr * new_velocity
    #]
    return new_param, new_velocity
    #]


def sgd_run(param, grads, lr, momentum, weight_decay):
    """param after len(grads) steps, grads (T, *param.shape) one after the other; the velocity starts at zero."""
    #[ c: the velocity goes on from step to step. Write the step out here once more, so that it is judged alone.
    speed = np.zeros_like(param)
    for grad in grads:
        #[ b: move speed and param once, by this grad. Make new arrays: `param` belongs to the caller.
        speed = momentum * speed + grad + weight_decay * param
        param = param - lr * speed
        #]
    return param
    #]


#! param = 1.0 * rng.integers(2, 6)
#! grad = 1.0 * rng.integers(-4, 5)
#! velocity = 1.0 * rng.integers(-3, 4)
#? plain: the new param with lr 0.1, no momentum, no decay  = sgd_step(param, grad, velocity, 0.1, 0, 0)[0]
#? momentum: the new velocity with momentum 0.5, no decay  = sgd_step(param, grad, velocity, 0.1, 0.5, 0)[1]
#? decay: the new param with lr 0.1, momentum 0.5, weight decay 0.1  = sgd_step(param, grad, velocity, 0.1, 0.5, 0.1)[0]
#? far: the gradient is 1 at every step, momentum 0.5: towards what does the velocity go?  = 2
