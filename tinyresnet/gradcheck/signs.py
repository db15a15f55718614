"""The kinds of mistakes that a wrong gradient shows: what its error looks like, in a few words each."""

from __future__ import annotations

SIGNS: dict[str, str] = {
    "zero": "it is zero",
    "sign": "its sign is turned",
    "scale": "it is too large or too small by one factor",
    "channel scale": "each channel is too large or too small by a factor of its own",
    "transposed": "two axes are exchanged",
    "flipped": "an axis runs backwards",
    "shifted": "it is moved by a place or more",
    "permuted": "channels, groups or places are in another order",
    "missing sum": "only one part of a sum was taken",
    "mean for sum": "an average stands where a sum belongs, or the other way round",
    "missing term": "one of the ways that lead to the loss is left out",
    "extra term": "something is added that does not belong there",
    "mean path": "the way through the batch's mean is left out, or wrong",
    "variance path": "the way through the batch's variance is left out, or wrong",
    "overwritten": "where several numbers meet they overwrite each other instead of adding up",
    "border": "only the border is wrong",
    "part": "a part is left out: the last pictures, rows, channels",
    "mask": "the wrong numbers are let through",
    "winners": "a maximum's gradient goes to the wrong place, or to several",
    "upstream": "the upstream gradient is left out, or used in another than its own form",
    "stale": "it comes of another forward pass",
    "manners": "the numbers may be right, but it writes where it must not, or keeps what it must not keep",
    "other": "none of these",
}
