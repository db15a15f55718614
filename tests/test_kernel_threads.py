"""The same bits for any number of threads and on every run; and threads that stand what programs do with them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from child import TESTS, python
from kernel_calls import Call, arrays_of
from kernel_table import KERNELS
from training_bits import training_bits

pytest.importorskip("numba", reason="there are no kernels without Numba")

from kernel_checks import random_call, run, scratch_of
from tinyresnet_kernels.cpu import threads


@pytest.fixture(autouse=True)
def same_threads_after() -> Iterator[None]:
    before = threads.threads()
    yield
    threads.set_threads(before)


def bits(name: str, call: Call) -> bytes:
    """All bits of the kernel's results."""
    return b"".join(array.tobytes() for array in arrays_of(run(name, call)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_gives_the_same_bits_for_any_number_of_threads(name: str, dtype: Any) -> None:
    """Batches smaller than the threads, batches that do not divide into their shares, one picture in bands: numbers of all sizes."""
    for seed in range(30):
        call = random_call(name, dtype, "wide range", seed)
        with scratch_of((1 << 18, 1 << 10)[seed % 2]):
            threads.set_threads(1)
            wanted = bits(name, call)
            for count in (1, 2, 3, 4, 4):
                threads.set_threads(count)
                assert bits(name, call) == wanted, f"{name}, {count} threads, seed {seed}: {call}"


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "layers"])
def test_training_gives_the_same_bits_for_any_number_of_threads(fused: bool) -> None:
    """Whole steps of ResNet-20: forward, loss, backward, update; in this process, and with 4 threads in one of its own."""
    wanted = training_bits(1, fused=fused)
    for count in (1, 2, 3, 4):
        assert training_bits(count, fused=fused) == wanted, f"{count} threads"
    out, _ = python(str(TESTS / "training_bits.py"), "4", *(["fused"] if fused else []))
    assert out.strip() == wanted, "4 threads in a process of their own"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("total", [0, 1, 2, 3, 5, 16, 17, 100])
def test_chunks_cover_everything_once(count: int, total: int) -> None:
    threads.set_threads(count)
    visits = np.zeros(total, int)

    def work(first: int, last: int) -> None:
        visits[first:last] += 1

    threads.in_chunks(work, total)
    assert (visits == 1).all()


@pytest.mark.parametrize("failing", [0, 1, 7, 15])
def test_an_error_in_any_chunk_reaches_the_caller(failing: int) -> None:
    threads.set_threads(3)

    def work(first: int, last: int) -> None:
        if first <= failing < last:
            raise RuntimeError("chunk lost")

    with pytest.raises(RuntimeError, match="chunk lost"):
        threads.in_chunks(work, 16)
    test_chunks_cover_everything_once(3, 16)  # and the threads are still there


@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_thread_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"kernels cannot use {count} threads: at least 1 is wanted"):
        threads.set_threads(count)


def test_callers_on_several_threads_do_not_disturb_each_other() -> None:
    threads.set_threads(3)
    calls = [(name, random_call(name, np.float32, "plain", seed)) for seed in range(10) for name in KERNELS]
    wanted = [bits(name, call) for name, call in calls]
    found: list[list[bytes]] = [[] for _ in range(4)]

    def work(caller: int) -> None:
        found[caller] += [bits(name, call) for name, call in calls]

    callers = [threading.Thread(target=work, args=(i,)) for i in range(len(found))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(results == wanted for results in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """A pool's threads do not live on in a fork: a kernel that waited for them would wait for ever."""
    code = """
import os, signal, warnings
import numpy as np
from tinyresnet.layers.conv import conv2d_forward
from tinyresnet_kernels.cpu import threads
warnings.simplefilter("ignore")
threads.set_threads(3)
threads.WORTH_A_THREAD = 0
x, weight = np.ones((5, 3, 8, 8)), np.ones((4, 3, 3, 3))
before = conv2d_forward(x, weight)[0].tobytes()
assert threads._helpers.cache_info().currsize == 1
signal.alarm(30)
child = os.fork()
if child == 0:
    signal.alarm(30)  # a fork inherits none: it would wait unseen
    os._exit(0 if conv2d_forward(x, weight)[0].tobytes() == before else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    out, _ = python("-c", code)
    assert out.strip() == "0"
