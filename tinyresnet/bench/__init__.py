"""Measuring speed: first compare with the readable form, only then time. The command `tinyresnet bench` and kernels/bench.py use it.

It stands here, and not beside the kernels, because it measures layers and whole networks, of which `tinyresnet_kernels` knows nothing,
and because here an installed wheel has it too.
"""
