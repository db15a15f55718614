"""Optimisers: from gradients to new weights. State is named by parameter, so that a checkpoint can hold it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tinyresnet_kernels import Array, accelerated, array_module, fetch, same_kind

from .errors import InputError
from .layers import Param


class Optimiser:
    """What SGD and AdamW share: named parameters, their decay, and state arrays that can be saved and loaded.

    Weight decay leaves out batch norm's parameters and all biases (the vectors among the parameters) unless `decay_all`.
    """

    slots: tuple[str, ...] = ()  # state arrays per parameter

    def __init__(self, named_params: Iterable[tuple[str, Param]], *, weight_decay: float, decay_all: bool) -> None:
        self.params = dict(named_params)
        self.decay = {name: weight_decay if decay_all or p.data.ndim > 1 else 0.0 for name, p in self.params.items()}
        self.state = {
            slot: {name: array_module(p.data).zeros_like(p.data) for name, p in self.params.items()}
            for slot in self.slots
        }
        self.steps = 0

    def zero_grad(self) -> None:
        """Set every gradient to zero: backward passes add."""
        for param in self.params.values():
            param.grad[...] = 0

    def step(self, lr: float) -> None:
        """Move every parameter once, with learning rate lr."""
        self.steps += 1
        for name, param in self.params.items():
            self.update(param, lr, self.decay[name], *(self.state[slot][name] for slot in self.slots))

    def update(self, param: Param, lr: float, decay: float, *state: Array) -> None:
        """Move one parameter and its state arrays, in place."""
        raise TypeError(f"{type(self).__name__} has no update of its own")

    def state_dict(self) -> dict[str, Array]:
        """Copies of the state arrays as "velocity.layer1.0.conv1.weight", and "steps"."""
        arrays = {f"{slot}.{name}": a.copy() for slot, named in self.state.items() for name, a in named.items()}
        return arrays | {"steps": np.array(self.steps, np.int64)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy the state from `state_dict`'s form. Raises InputError if it is another optimiser's or another model's."""
        wanted = {f"{slot}.{name}": a for slot, named in self.state.items() for name, a in named.items()}
        if set(state) != set(wanted) | {"steps"} or any(state[name].shape != a.shape for name, a in wanted.items()):
            raise InputError(
                f"the saved optimiser state does not fit {type(self).__name__} and this model's parameters"
            )
        for name, array in wanted.items():
            array[...] = same_kind(state[name], array)
        self.steps = int(state["steps"])


class SGD(Optimiser):
    """velocity = momentum velocity + (grad + weight_decay param); param -= lr velocity, as in PyTorch.

    With Nesterov (Sutskever et al. 2013) param -= lr (grad + weight_decay param + momentum velocity) instead.
    """

    slots = ("velocity",)

    def __init__(
        self,
        named_params: Iterable[tuple[str, Param]],
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        decay_all: bool = False,
    ) -> None:
        if not 0 <= momentum < 1:
            raise InputError(f"SGD: momentum is {momentum}: 0 <= momentum < 1 is wanted")
        super().__init__(named_params, weight_decay=weight_decay, decay_all=decay_all)
        self.momentum, self.nesterov = momentum, nesterov

    def update(self, param: Param, lr: float, decay: float, *state: Array) -> None:
        (velocity,) = state
        sgd_update(param.data, param.grad, velocity, lr, decay, self.momentum, self.nesterov)


@accelerated
def sgd_update(
    data: Array, grad: Array, velocity: Array, lr: float, decay: float, momentum: float, nesterov: bool
) -> None:
    """Move data and velocity, in place."""
    if decay:
        grad = grad + decay * data
    velocity *= momentum
    velocity += grad
    data -= lr * (grad + momentum * velocity if nesterov else velocity)


class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), as in PyTorch.

    param -= lr weight_decay param; m and v are running means of grad and grad^2; param -= lr m' / (sqrt(v') + eps), where m' and v' are
    m and v with their start at zero corrected.
    """

    slots = ("m", "v")

    def __init__(
        self,
        named_params: Iterable[tuple[str, Param]],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decay_all: bool = False,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas):
            raise InputError(f"AdamW: betas are {betas}: 0 <= beta < 1 is wanted")
        super().__init__(named_params, weight_decay=weight_decay, decay_all=decay_all)
        self.betas, self.eps = betas, eps

    def update(self, param: Param, lr: float, decay: float, *state: Array) -> None:
        m, v = state
        adamw_update(param.data, param.grad, m, v, lr, decay, *self.betas, self.eps, self.steps)


@accelerated
def adamw_update(
    data: Array,
    grad: Array,
    m: Array,
    v: Array,
    lr: float,
    decay: float,
    beta1: float,
    beta2: float,
    eps: float,
    steps: int,
) -> None:
    """Move data, m and v for the step number `steps` (from 1), in place."""
    m += (1 - beta1) * (grad - m)
    v += (1 - beta2) * (grad * grad - v)
    scale = math.sqrt(1 - beta2**steps)
    data *= 1 - lr * decay
    data -= lr / (1 - beta1**steps) * m / (v**0.5 / scale + eps)


def clip_grad_norm(named_params: Iterable[tuple[str, Param]], max_norm: float) -> float:
    """Scale all gradients so that their joint Euclidean norm is at most max_norm; returns the norm before (Pascanu et al. 2013)."""
    grads = [param.grad for _, param in named_params]
    norm = grad_norm(grads)
    scale_down(grads, norm, max_norm)
    return norm


def scale_down(grads: Iterable[Array], norm: float, max_norm: float) -> None:
    """Scale gradients of this joint norm, in place, so that it is at most max_norm."""
    if norm > max_norm:
        for grad in grads:
            grad *= max_norm / norm


def grad_norm(grads: Iterable[Array]) -> float:
    """The Euclidean norm of all numbers together, summed in float64."""
    grads = list(grads)
    return math.sqrt(sum(fetch(squared_sums(grads))[0].tolist())) if grads else 0.0


def squared_sums(grads: Sequence[Array]) -> Array:
    """The sum of the squares of each of P arrays (P,), in float64, where the arrays are: a norm but for what has to be fetched."""
    sums = [(grad.astype(np.float64) ** 2).sum() for grad in grads]
    return array_module(grads[0]).stack(sums)  # type: ignore[no-any-return]
