"""The bug museum: wrong backward passes that people really write, to see whether a checker catches them.

Each is a small variant of the real one, in a file by the layer it belongs to, with a sentence on the mistake behind it.
"""

from importlib import import_module

from .bug import MUSEUM, Bug, Setting

ROOMS = (
    "avg_pool", "block", "concat", "conv", "conv_bias", "conv_input", "conv_transpose", "dropout", "flatten", "focal", "giou",
    "linear", "loss", "loss_labels", "max_pool", "norm", "norm_modes", "pixel_loss", "point_boxes", "relu", "residual", "shortcut",
    "sigmoid", "smooth_l1", "upsample",
)  # fmt: skip

for room in ROOMS:
    import_module(f"{__name__}.{room}")

__all__ = ["MUSEUM", "Bug", "Setting"]
