"""What people usually get where they go wrong: named numbers for a cell that was asked for. The names are worded in words.json."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from ...explain import Explanation
from ...explain.terms import Tensors

Mistakes: TypeAlias = dict[str, float]
Mistaken: TypeAlias = Callable[[Explanation, Tensors], Mistakes]


def none(asked: Explanation, t: Tensors) -> Mistakes:
    """No mistake is usual here."""
    return {}


def add(asked: Explanation, t: Tensors) -> Mistakes:
    """The branch takes the shortcut's place, or the mean of both is taken."""
    return {"branch_alone": asked.terms[0].value, "averaged": asked.value / 2}


def add_back(asked: Explanation, t: Tensors) -> Mistakes:
    """The gradient is shared out between the two ways."""
    return {"halved": asked.value / 2}


def fork_back(asked: Explanation, t: Tensors) -> Mistakes:
    """The two gradients are averaged, or one is forgotten."""
    branch, shortcut = (term.value for term in asked.terms)
    return {"averaged": asked.value / 2, "branch_alone": branch, "shortcut_alone": shortcut}


def shortcut(asked: Explanation, t: Tensors) -> Mistakes:
    """The pixel at the same row and column: the stride is forgotten."""
    n, c, h, w = asked.cell.at
    return {"stride_forgotten": float(t["x"][n, c - t.settings["front"], h, w])} if asked.terms else {}


def shortcut_back(asked: Explanation, t: Tensors) -> Mistakes:
    """The gradient is shared out among the pixels that were skipped too."""
    return {"shared_out": asked.value / t.settings["stride"] ** 2}


def relu(asked: Explanation, t: Tensors) -> Mistakes:
    """A negative number passes, or its sign is dropped."""
    x = float(t["x"][asked.cell.at])
    return {"let_through": x, "sign_dropped": abs(x)}


def relu_back(asked: Explanation, t: Tensors) -> Mistakes:
    """The gradient's own sign decides, or nothing does."""
    dy = float(t["dy"][asked.cell.at])
    return {"sign_of_dy": max(dy, 0.0), "mask_forgotten": dy}


def turned(asked: Explanation, t: Tensors) -> Mistakes:
    """The kernel lies turned by 180 degrees."""
    total = 0.0
    for term in asked.terms:
        factors = {factor.cell.name: factor for factor in term.factors if factor.cell}
        weight = factors.pop("weight").cell
        assert weight is not None
        o, c, i, j = weight.at
        (other,) = factors.values()
        total += other.value * float(t["weight"][o, c, -1 - i, -1 - j])
    return {"turned": total}


def conv_back(asked: Explanation, t: Tensors) -> Mistakes:
    """The kernel slides over dy as it did over x; or only one output is asked for its gradient."""
    largest = max((term.value for term in asked.terms), key=abs, default=0.0)
    return {"not_turned": turned(asked, t)["turned"], "one_output": largest}


def over_pictures(asked: Explanation, t: Tensors) -> Mistakes:
    """A sum over pictures that leaves out picture B, or that is taken for a mean."""
    first = [term.value for term in asked.terms if term.factors[0].cell and term.factors[0].cell.at[0] == 0]
    return {"picture_a_alone": math.fsum(first), "averaged_over_pictures": asked.value / len(t["dy"])}


def winner(asked: Explanation, t: Tensors) -> Mistakes:
    """Counting from 1, or giving the number in place of its place."""
    return {"from_one": asked.value + 1, "value_for_place": max(term.value for term in asked.terms)}


def pool_back(asked: Explanation, t: Tensors) -> Mistakes:
    """The window's gradient is shared out, as an average would."""
    return {"shared_out": asked.value / math.prod(t.settings["kernel"])}


def mean(asked: Explanation, t: Tensors) -> Mistakes:
    """The mean of picture A alone; the sum."""
    terms = [term.value for term in asked.terms]
    first = terms[: len(terms) // len(t["x"])]
    return {"picture_a_alone": math.fsum(first) * len(t["x"]), "not_divided": asked.value * len(terms)}


def var(asked: Explanation, t: Tensors) -> Mistakes:
    """Divided by M − 1; the standard deviation; the sum."""
    M = len(asked.terms)
    wrong = {"unbiased": asked.value * M / (M - 1), "root_taken": math.sqrt(asked.value)}
    return wrong | {"not_divided": asked.value * M}


def xhat(asked: Explanation, t: Tensors) -> Mistakes:
    """The mean is not taken off; divided by the variance and not by its root."""
    c = asked.cell.at[1]
    x, mean, inverse_std = float(t["x"][asked.cell.at]), float(t["mean"][c]), float(t["inverse_std"][c])
    return {"not_centred": x * inverse_std, "root_forgotten": (x - mean) * inverse_std**2}


def scaled(asked: Explanation, t: Tensors) -> Mistakes:
    """The bias is left out, or the weight is."""
    at, c = asked.cell.at, asked.cell.at[1]
    xhat, bias = float(t["xhat"][at]), float(t["bias"][c])
    return {"bias_left_out": asked.value - bias, "weight_left_out": xhat + bias}


def norm_sum(asked: Explanation, t: Tensors) -> Mistakes:
    """The mean in place of the sum; the wrong factor beside dy."""
    wrong = {"mean_for_sum": asked.value / len(asked.terms)}
    if asked.cell.name == "dweight":
        c = asked.cell.at[0]
        wrong |= {"xhat_left_out": float(t["dbias"][c]), "x_for_xhat": float((t["dy"] * t["x"])[:, c].sum())}
    return wrong


def norm_back(asked: Explanation, t: Tensors) -> Mistakes:
    """mean and variance are taken for constants, both or one."""
    direct, by_mean, by_variance = (term.value for term in asked.terms)
    wrong = {"without_variance": direct + by_mean, "without_mean": direct + by_variance}
    return wrong | {"direct_alone": direct}


def average(asked: Explanation, t: Tensors) -> Mistakes:
    """The sum is not divided."""
    return {"not_divided": asked.value * len(asked.terms)}


def average_back(asked: Explanation, t: Tensors) -> Mistakes:
    """Every pixel gets the whole."""
    return {"not_divided": float(t["dy"][(*asked.cell.at[:2], 0, 0)])}


def linear(asked: Explanation, t: Tensors) -> Mistakes:
    """The bias is left out."""
    return {"bias_left_out": math.fsum(term.value for term in asked.terms if term.part != "bias")}


def linear_back(asked: Explanation, t: Tensors) -> Mistakes:
    """One class alone sends its gradient back: the one with the largest share."""
    return {"one_output": max((term.value for term in asked.terms), key=abs)}


def softmax(asked: Explanation, t: Tensors) -> Mistakes:
    """Shares of the scores themselves; exp that is not divided by the total."""
    row = t["x"][asked.cell.at[0]]
    score = float(row[asked.cell.at[1]])
    wrong = {"total_forgotten": math.exp(score)}
    return wrong | ({"no_exp": score / float(row.sum())} if abs(row.sum()) > 0.1 else {})


def loss_back(asked: Explanation, t: Tensors) -> Mistakes:
    """Not divided by the pictures; target not taken off; p taken off the target."""
    p = float(t["p"][asked.cell.at])
    count = t.settings["counted"]
    return {"not_divided": asked.value * count, "target_left_out": p / count, "wrong_sign": -asked.value}
