"""The checks of `tinyresnet doctor`: Python, packages, BLAS, GPU, cache. None fails, whatever is missing or broken."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

Mark = Literal["ok", "missing", "optional"]


class Check(NamedTuple):
    """One line: `missing` is needed and not here, `optional` is not here either, but only what `advice` names is lost."""

    name: str
    mark: Mark
    found: str
    advice: str = ""


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
    return checks + [_guarded(check) for check in (_gpu, _toolkit, _cupy, _kernels, _cache)]


def _guarded(check: Callable[[], Check]) -> Check:
    """The check's result; a check that fails says so, as what it looks at is broken in a way nobody foresaw."""
    try:
        return check()
    except Exception as error:
        return Check(check.__name__.strip("_"), "missing", f"broken: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:100]}"


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
    if not _present(package.module):
        return Check(name, mark, "not installed", f"for {package.use}: {install}")
    version = ""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version(name)
    if package.light:
        try:
            module = importlib.import_module(package.module)
        except Exception as error:  # whatever a broken installation raises
            return Check(name, mark, f"broken: {_one_line(error)}", f"for {package.use}: {install} --force-reinstall")
        version = str(getattr(module, "__version__", version))
    return Check(name, "ok", version.removeprefix("v"))


def _gpu() -> Check:
    """NVIDIA's driver and its first GPU, asked without any package."""
    driver = _driver()
    if driver is None or driver.cuInit(0) != 0:
        return Check(
            "GPU driver", "optional", "none", "everything runs on the CPU; for an NVIDIA GPU install NVIDIA's driver"
        )
    count, version, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(100)
    driver.cuDeviceGetCount(ctypes.byref(count))
    if count.value == 0:
        return Check("GPU driver", "optional", "a driver, but no GPU", "everything runs on the CPU")
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGetName(name, len(name), 0)
    about = f"{count.value} x {name.value.decode('utf-8', 'replace')}"
    return Check("GPU driver", "ok", f"{about}, driver for CUDA {_cuda(version.value)}")


def _driver() -> ctypes.CDLL | None:
    for library in ("libcuda.so.1", "nvcuda.dll"):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(library)
    return None


def _cuda(version: int) -> str:
    """13000 is CUDA 13.0."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _toolkit() -> Check:
    """The compiler of CUDA's toolkit, which CuPy and the kernels need at run time: from a wheel, or installed beside the driver."""
    for wheel in ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"):  # since CUDA 13 without a number
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return Check("CUDA toolkit", "ok", f"{wheel} {importlib.metadata.version(wheel)}")
    for library in ("libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(library)
            return Check("CUDA toolkit", "ok", library)
    if os.environ.get("CUDA_PATH"):
        return Check("CUDA toolkit", "ok", f"CUDA_PATH is {os.environ['CUDA_PATH']}")
    return Check("CUDA toolkit", "optional", "none", f"for an NVIDIA GPU its wheels are enough: {_extra()}")


def _extra() -> str:
    """How to install what a GPU needs, by the driver that is here."""
    driver, version = _driver(), ctypes.c_int()
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return "pip install 'tinyresnet[cuda12]' (or cuda13, by the driver)"
    return f"pip install 'tinyresnet[cuda{13 if version.value >= 13000 else 12}]'"


def _cupy() -> Check:
    use = f"for arrays on an NVIDIA GPU: {_extra()}"
    if not _present("cupy"):
        return Check("cupy", "optional", "not installed", use)
    try:
        cupy = importlib.import_module("cupy")
        runtime = cupy.cuda.runtime
        return Check("cupy", "ok", f"{cupy.__version__}, CUDA {_cuda(runtime.runtimeGetVersion())}")
    except Exception as error:  # no driver, or not this CUDA
        return Check("cupy", "optional", f"broken: {_one_line(error)}", use)


def _kernels() -> Check:
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


def _present(module: str) -> bool:
    """Whether the package can be found, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: imported already, in an odd way
        return module in sys.modules


def importable(module: str) -> bool:
    """Whether the package imports."""
    try:
        importlib.import_module(module)
    except Exception:
        return False
    return True
