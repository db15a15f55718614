"""The pool of large arrays: a block is reissued when no array refers to it, and a training step needs no fresh one."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinyresnet as tr
from tinyresnet_kernels import available, memory
from tinyresnet_kernels.memory import GRAIN, LEAST_BYTES, MOST_IDLE_BYTES, PATIENCE, Pool

SHAPE = (100, 1000)


def place(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.bool_])
@pytest.mark.parametrize("shape", [(1000, 1000), (3, 5, 7), (0, 5), (1 << 20,), ()])
def test_arrays_are_as_numpys(shape: tuple[int, ...], dtype: type) -> None:
    array, like = Pool().empty(shape, dtype), np.empty(shape, dtype)
    assert (array.shape, array.dtype, array.strides) == (like.shape, like.dtype, like.strides)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    array[...] = 1
    assert (array == 1).all()
    if array.nbytes >= LEAST_BYTES:
        assert place(array) % memory.ALIGNMENT == 0


def test_a_block_is_reissued_only_when_no_array_refers_to_it() -> None:
    pool = Pool()
    first = pool.empty(SHAPE, np.float32)
    at = place(first)
    views = {
        "slice": first[3:5],
        "transposed": first.T[::2],
        "other dtype": first.view(np.int32).reshape(-1)[5:],
        "view of a view": first[1:][1:][:, 3],
        "buffer": memoryview(first),
        "broadcast": np.broadcast_to(first[:1], SHAPE),
    }
    del first
    while views:
        other = pool.empty(SHAPE, np.float32)
        assert place(other) != at
        views.popitem()
    again = pool.empty(SHAPE, np.float32)
    assert place(again) == at
    assert pool.made == 3  # the first, and two for `other` in turn


def test_live_arrays_never_overlap() -> None:
    rng, pool, live = np.random.default_rng(0), Pool(), []
    for i in range(300):
        if live and rng.random() < 0.5:
            array, value = live.pop(rng.integers(len(live)))
            assert (array == value).all()
        live.append((pool.empty((int(rng.integers(1, 5)), LEAST_BYTES), np.uint8), i % 251))
        live[-1][0][...] = live[-1][1]
        live = live[-10:]
    assert pool.made <= 4 * 11


def test_threads_share_a_pool() -> None:
    pool, wrong = Pool(), []

    def work(number: int) -> None:
        for _ in range(200):
            a, b = pool.empty(SHAPE, np.float32), pool.empty(SHAPE, np.float32)
            a[...] = number
            b[...] = -number
            if not ((a == number).all() and (b == -number).all()):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert pool.made <= 16  # each holds two while it asks for the next two


def test_idle_blocks_are_dropped() -> None:
    pool = Pool()
    pool.empty(SHAPE, np.float32)  # back at once
    for _ in range(PATIENCE + 3):
        pool.empty((LEAST_BYTES,), np.uint8)
    assert {block.nbytes for block in pool.idle} <= {LEAST_BYTES}
    assert pool.made == 2


def test_idle_blocks_have_a_limit() -> None:
    pool, nbytes = Pool(), MOST_IDLE_BYTES // 4
    arrays = [pool.empty((nbytes + i * GRAIN,), np.uint8) for i in range(8)]  # never touched, so no memory is used
    del arrays
    pool.empty((LEAST_BYTES,), np.uint8)
    assert 0 < pool.idle_bytes <= MOST_IDLE_BYTES
    assert pool.idle_bytes == sum(block.nbytes for block in pool.idle)


@pytest.mark.skipif("cpu" not in available(), reason="there are no kernels without Numba")
def test_a_training_step_needs_no_fresh_block_in_the_long_run() -> None:
    """And a step after another forward pass whose cache is still in use is right."""
    model = tr.resnet20(width=8, rng=np.random.default_rng(0))
    x, labels = np.random.default_rng(1).standard_normal((32, 3, 32, 32)).astype(np.float32), np.arange(32) % 10

    def step() -> list[np.ndarray]:
        model.zero_grad()
        logits, cache = model.forward(x, train=True)
        _, dlogits = tr.softmax_cross_entropy(logits, labels)
        dx = model.backward(dlogits, cache)
        return [logits, dx, *(param.grad.copy() for _, param in model.named_params())]

    wanted = step()
    step()
    made, requests = memory.pool.made, memory.pool.requests
    for got, want in zip(step(), wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    assert memory.pool.made == made
    assert memory.pool.requests > requests + 50
    held = model.forward(2 * x, train=True)
    copies = held[0].copy()
    for got, want in zip(step(), wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(held[0], copies)
