"""Concatenation, cell by cell: every number is the same number in another place."""

from __future__ import annotations

from .terms import Index, Rule, Tensors, Term


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """y: the number of the array that has this channel."""
    n, c, h, w = index
    arm = 0
    while c >= (C := t[f"x{arm}"].shape[1]):
        arm, c = arm + 1, c - C
    return Rule("the same number", [Term((t.factor(f"x{arm}", (n, c, h, w)),))])


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx0, dx1, ...: dy of the channel that this one became, behind those of the arrays before."""
    n, c, h, w = index
    before = sum(t[f"dx{arm}"].shape[1] for arm in range(int(name.removeprefix("dx"))))
    return Rule("the same number", [Term((t.factor("dy", (n, before + c, h, w)),))])
