"""Batch norm, cell by cell: the statistics, xhat, y, and dx as its three terms."""

from __future__ import annotations

from itertools import product

from tinyresnet_kernels import Array

from ..trace import Step
from .terms import MINUS, Index, Rule, Tensors, Term, constant, share


def derived(step: Step) -> dict[str, Array]:
    """What the layer computes on its way and does not keep: centred, inverse_std, xhat; backward also the two means of dx."""
    x, mean, var = (step.tensors[name] for name in ("x", "mean", "var"))
    centred = x - mean[:, None, None]
    inverse_std = 1 / (var + step.settings["eps"]) ** 0.5
    found = {"centred": centred, "inverse_std": inverse_std, "xhat": centred * inverse_std[:, None, None]}
    if step.direction == "backward" and step.train:
        M = x.size // x.shape[1]
        found |= {"mean_dy": step.tensors["dbias"] / M, "mean_dy_xhat": step.tensors["dweight"] / M}
    return found


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """mean, var, centred, inverse_std, xhat or y."""
    if len(index) == 1:
        return statistic(t, name, index)
    c = index[1]
    if name == "centred":
        return Rule("x − mean", [Term((t.factor("x", index),)), Term((MINUS, t.factor("mean", (c,))))])
    if name == "xhat":
        return Rule("centred × inverse_std", [Term((t.factor("centred", index), t.factor("inverse_std", (c,))))])
    scaled = Term((t.factor("weight", (c,)), t.factor("xhat", index)))
    return Rule("weight × xhat + bias", [scaled, Term((t.factor("bias", (c,)),), "bias")])


def statistic(t: Tensors, name: str, index: Index) -> Rule:
    """mean, var or inverse_std of a channel; mean and var run over pictures, rows and columns."""
    (c,) = index
    N, _, H, W = t["x"].shape
    places = [(n, c, h, w) for n, h, w in product(range(N), range(H), range(W))]
    M = share(len(places))
    if name == "mean":
        return Rule("the mean of x over pictures, rows and columns", [Term((t.factor("x", p), M)) for p in places])
    if name == "var":
        squares = [Term((t.factor("centred", p), t.factor("centred", p), M)) for p in places]
        return Rule("the mean of centred²", squares)
    eps = constant("eps", t.settings["eps"])
    return Rule("1 / sqrt(var + eps)", [Term((t.factor("var", (c,)),)), Term((eps,))], "1/sqrt")


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dweight, dbias, the two means, and dx: direct − by the mean − by the variance."""
    if name == "dx":
        return input_gradient(t, index)
    N, _, H, W = t["x"].shape
    (c,) = index
    if name == "mean_dy":
        return Rule("dbias / M", [Term((t.factor("dbias", index), share(N * H * W)))])
    if name == "mean_dy_xhat":
        return Rule("dweight / M", [Term((t.factor("dweight", index), share(N * H * W)))])
    places = [(n, c, h, w) for n, h, w in product(range(N), range(H), range(W))]
    if name == "dbias":
        return Rule("sum of dy over pictures, rows and columns", [Term((t.factor("dy", p),)) for p in places])
    return Rule("sum of dy × xhat", [Term((t.factor("dy", p), t.factor("xhat", p))) for p in places])


def input_gradient(t: Tensors, index: Index) -> Rule:
    """dx = weight inverse_std (dy − mean_dy − xhat mean_dy_xhat); in evaluation mean and var are constants: the direct term alone."""
    c = (index[1],)
    scale = (t.factor("weight", c), t.factor("inverse_std", c))
    terms = [Term((*scale, t.factor("dy", index)), "direct")]
    if not t.step.train:
        return Rule("weight × inverse_std × dy", terms)
    terms.append(Term((MINUS, *scale, t.factor("mean_dy", c)), "mean"))
    terms.append(Term((MINUS, *scale, t.factor("xhat", index), t.factor("mean_dy_xhat", c)), "variance"))
    return Rule("weight × inverse_std × (dy − mean_dy − xhat × mean_dy_xhat)", terms)
