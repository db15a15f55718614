"""Sigmoid, cell by cell: one number becomes one, and its gradient needs that one alone."""

from __future__ import annotations

from .terms import MINUS, Index, Rule, Tensors, Term


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """y = 1 / (1 + exp(−x))."""
    return Rule("1 / (1 + exp(−x))", [Term((t.factor("x", index),))], "sigmoid")


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = dy × y × (1 − y), the y of the forward pass."""
    dy, y = t.factor("dy", index), t.factor("y", index)
    return Rule("dy × y × (1 − y)", [Term((dy, y)), Term((MINUS, dy, y, y))])
