"""The checks of `tinyresnet doctor`: Python, packages, BLAS, what CUDA needs, cache. None fails, whatever is missing or broken."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import environment_cuda
from .check import Check, Mark, importable, one_line, present


class Package(NamedTuple):
    """A Python package. `light` ones are imported to see that they work; of the others only the version is looked up."""

    module: str
    distribution: str
    required: bool
    use: str
    light: bool = True


PACKAGES = (
    Package("matplotlib", "matplotlib", True, "plots"),
    Package("rich", "rich", True, "tables and progress on a terminal"),
    Package("safetensors", "safetensors", True, "weight files"),
    Package("pooch", "pooch", True, "downloads"),
    Package("PIL", "pillow", True, "reading pictures"),
    Package("threadpoolctl", "threadpoolctl", True, "exact resume"),
    Package(
        "numba",
        "numba",
        False,
        "the fast CPU kernels; without it the readable NumPy forms serve, and training takes more than 10 times as long",
    ),
    Package("sklearn", "scikit-learn", False, "the data set digits", light=False),
    Package("torch", "torch", False, "comparing with PyTorch in tests, nothing else", light=False),
)


def examine() -> list[Check]:
    """Every check."""
    checks = [_guarded(check) for check in (_python, _tinyresnet, _threads, _numpy, _blas)]
    checks += [_package(package) for package in PACKAGES]
    checks += [_guarded(check, "optional") for check in environment_cuda.CHECKS]
    return checks + [_guarded(check) for check in (_kernels, _cache)]


def _guarded(check: Callable[[], Check], mark: Mark = "missing") -> Check:
    """The check's result; a check that fails says so, as what it looks at is broken in a way nobody foresaw."""
    try:
        return check()
    except Exception as error:
        return Check(check.__name__.strip("_"), mark, f"broken: {one_line(error)}")


def _python() -> Check:
    return Check("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _tinyresnet() -> Check:
    from .. import __version__

    return Check("tinyresnet", "ok", __version__)


def _threads() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    thread = threading.Thread(target=lambda: None)
    try:
        thread.start()
    except RuntimeError:
        return Check("CPUs", "optional", f"{count}, no threads", "batches are prepared in line")
    thread.join()
    return Check("CPUs", "ok", f"{count} of {os.cpu_count() or count} usable")


def _numpy() -> Check:
    return _package(Package("numpy", "numpy", True, "everything"))


def _blas() -> Check:
    """The library behind NumPy's matrix products, and its threads."""
    if not importable("numpy"):
        return Check("BLAS", "optional", "unknown without numpy")
    import numpy as np

    name = str(np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"])
    if not importable("threadpoolctl"):
        return Check("BLAS", "ok", name, "its threads are unknown without threadpoolctl")
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not pools:
        return Check("BLAS", "ok", name)
    pool = pools[0]
    return Check("BLAS", "ok", f"{pool['internal_api']} {pool['version']}, threads: {pool['num_threads']}")


def _package(package: Package) -> Check:
    mark: Mark = "missing" if package.required else "optional"
    name, install = package.distribution, f"pip install {package.distribution}"
    if not present(package.module):
        return Check(name, mark, "not installed", f"for {package.use}: {install}")
    version = ""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version(name)
    if package.light:
        try:
            module = importlib.import_module(package.module)
        except Exception as error:  # whatever a broken installation raises
            return Check(name, mark, f"broken: {one_line(error)}", f"for {package.use}: {install} --force-reinstall")
        version = str(getattr(module, "__version__", version))
    return Check(name, "ok", version.removeprefix("v"))


def _kernels() -> Check:
    if not importable("numpy"):
        return Check("kernels", "optional", "unknown without numpy")
    from tinyresnet_kernels import available

    return Check("kernels", "ok", ", ".join(available()))


def _cache() -> Check:
    """Whether downloads can be kept, tried without leaving anything behind."""
    if not importable("pooch"):
        return Check("cache", "optional", "unknown without pooch")
    import pooch

    folder = Path(pooch.os_cache("tinyresnet"))
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        reason = error.strerror or str(error)
        return Check("cache", "optional", f"{folder}: {reason}", "tinyresnet data get cifar10 --cache FOLDER")
    return Check("cache", "ok", f"{folder}, {free / 1e9:.1f} GB free")
