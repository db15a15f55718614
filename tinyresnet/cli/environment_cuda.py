"""The checks of `tinyresnet doctor` for CUDA: driver, toolkit, compilers, CuPy. All of it is optional."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.metadata
import os
import sys
from pathlib import Path

from .check import Check, importable, one_line, present

NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
OLDEST_CUDA = 12000  # that CuPy and the extras serve
TOOLKITS = (os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda")


def _gpu() -> Check:
    """NVIDIA's driver and its first GPU, asked without any package."""
    driver, on_cpu = _driver(), "everything runs on the CPU"
    if driver is None:
        return Check("GPU driver", "optional", "none", f"{on_cpu}; for an NVIDIA GPU install NVIDIA's driver")
    status, count, name = driver.cuInit(0), ctypes.c_int(), ctypes.create_string_buffer(100)
    if status == 0:
        driver.cuDeviceGetCount(ctypes.byref(count))
    if status not in (0, NO_DEVICE):
        advice = f"{on_cpu}; restart the machine, or install NVIDIA's driver again"
        return Check("GPU driver", "optional", f"a driver that does not start (error {status})", advice)
    if count.value == 0:
        return Check("GPU driver", "optional", "a driver, but no GPU", on_cpu)
    driver.cuDeviceGetName(name, len(name), 0)
    about = f"{count.value} x {name.value.decode('utf-8', 'replace')}, driver for CUDA {_version(_driver_version())}"
    if _driver_version() < OLDEST_CUDA:
        return Check("GPU driver", "optional", about, f"CuPy wants one for CUDA {_version(OLDEST_CUDA)} or newer")
    return Check("GPU driver", "ok", about)


def _driver() -> ctypes.CDLL | None:
    return _loaded("libcuda.so.1", "nvcuda.dll")


def _loaded(*libraries: str) -> ctypes.CDLL | None:
    """The first of these libraries that is here."""
    for library in libraries:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(library)
    return None


def _driver_version() -> int:
    """The newest CUDA that the driver runs, 12040 for 12.4; 0 without a driver."""
    driver, version = _driver(), ctypes.c_int()
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return 0
    return version.value


def _version(cuda: int) -> str:
    """13000 is CUDA 13.0."""
    return f"{cuda // 1000}.{cuda % 1000 // 10}"


def _extra() -> str:
    """How to install what a GPU needs, by the driver that is here."""
    if version := _driver_version():
        return f"pip install 'tinyresnet[cuda{13 if version >= 13000 else 12}]'"
    return "pip install 'tinyresnet[cuda12]' (or cuda13, by the driver)"


def _toolkit() -> Check:
    """CUDA's libraries, which CuPy loads at run time: from wheels, or installed beside the driver."""
    if wheel := _wheel("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12"):  # since CUDA 13 without a number
        return Check("CUDA toolkit", "ok", wheel)
    for folder in TOOLKITS:
        if folder and Path(folder).is_dir():
            return Check("CUDA toolkit", "ok", str(Path(folder).resolve()))
    if _loaded("libcudart.so.13", "libcudart.so.12", "cudart64_13.dll", "cudart64_12.dll"):
        return Check("CUDA toolkit", "ok", "installed with the system")
    return Check("CUDA toolkit", "optional", "none", f"for an NVIDIA GPU its wheels are enough: {_extra()}")


def _wheel(*names: str) -> str:
    """The first of these distributions that is installed, and its version; empty if none is."""
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    return ""


def _nvrtc() -> Check:
    """CUDA's run-time compiler: with CuPy it compiles the kernels for the GPU that is here, alone for any."""
    if not importable("numpy"):
        return Check("NVRTC", "optional", "unknown without numpy")
    from tinyresnet_kernels.cuda import nvrtc

    try:
        nvrtc.library()
    except OSError:
        install = "pip install nvidia-cuda-nvrtc-cu12" if sys.platform != "darwin" else "there is none for macOS"
        return Check("NVRTC", "optional", "none", f"compiles the CUDA kernels, also without a GPU: {install}")
    return Check("NVRTC", "ok", "CUDA {}.{}".format(*nvrtc.version()))


def _cupy() -> Check:
    use = f"for arrays on an NVIDIA GPU: {_extra()}"
    if not present("cupy"):
        return Check("cupy", "optional", "not installed", use)
    several = [name for name in ("cupy", "cupy-cuda12x", "cupy-cuda13x") if _wheel(name)]
    if len(several) > 1:
        return Check("cupy", "optional", f"broken: {' and '.join(several)}", "keep one: pip uninstall the others")
    try:
        cupy = importlib.import_module("cupy")
        version = cupy.cuda.runtime.runtimeGetVersion()
    except Exception as error:  # not this NumPy, or not this CUDA
        return Check("cupy", "optional", f"broken: {one_line(error)}", use)
    found = f"{cupy.__version__}, CUDA {_version(version)}"
    if 0 < _driver_version() // 1000 < version // 1000:
        return Check("cupy", "optional", found, f"the driver is for CUDA {_version(_driver_version())}: {_extra()}")
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception:
        return Check("cupy", "optional", f"{found}, but it finds no NVRTC", f"its toolkit's wheels: {_extra()}")
    return Check("cupy", "ok", found)


def _compiler() -> Check:
    """The C++ compiler with which the CUDA kernels run on the CPU."""
    if not importable("numpy"):
        return Check("C++ compiler", "optional", "unknown without numpy")
    from tinyresnet_kernels.host import compiler

    if path := compiler():
        return Check("C++ compiler", "ok", path)
    how = {"win32": "use Linux in WSL", "darwin": "xcode-select --install"}
    advice = how.get(sys.platform, "install g++ (apt install g++, dnf install gcc-c++)")
    return Check("C++ compiler", "optional", "none", f"runs the CUDA kernels on the CPU: {advice}")


CHECKS = (_gpu, _toolkit, _nvrtc, _cupy, _compiler)
