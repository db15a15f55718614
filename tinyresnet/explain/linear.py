"""The linear layer, cell by cell."""

from __future__ import annotations

from .terms import Index, Rule, Tensors, Term


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """y[n,o] = sum over i of x[n,i] weight[o,i] + bias[o]."""
    n, o = index
    terms = [Term((t.factor("x", (n, i)), t.factor("weight", (o, i)))) for i in range(t["x"].shape[1])]
    return Rule("sum of x × weight + bias", [*terms, Term((t.factor("bias", (o,)),), "bias")])


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx[n,i] = sum over o of dy weight; dweight[o,i] = sum over n of dy x; dbias[o] = sum over n of dy."""
    N, O = t["dy"].shape
    if name == "dx":
        n, i = index
        return Rule(
            "sum over the outputs of dy × weight",
            [Term((t.factor("dy", (n, o)), t.factor("weight", (o, i)))) for o in range(O)],
        )
    if name == "dweight":
        o, i = index
        return Rule(
            "sum over the pictures of dy × x",
            [Term((t.factor("dy", (n, o)), t.factor("x", (n, i)))) for n in range(N)],
        )
    return Rule("sum over the pictures of dy", [Term((t.factor("dy", (n, index[0])),)) for n in range(N)])
