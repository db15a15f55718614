"""Vectors as a Numba type: as many numbers as one register of this machine holds, and what can be done with them.

A kernel written with these is one source for every machine and both precisions: `load(a, i)` gives the vector that starts at a[i], of
`lanes(dtype)` numbers of a's dtype. Every primitive has a NumPy twin of the same name in `twins.py`, which serves where Numba's
compiler is switched off (NUMBA_DISABLE_JIT=1), so that every kernel also runs as plain Python, under coverage and in a debugger.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from . import host, twins

INT = ir.IntType(64)


class VectorType(types.Type):
    """As many float32 or float64 as fit one register."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"vector({dtype})")


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """A Numba vector is an LLVM vector."""

    def __init__(self, manager: Any, frontend_type: VectorType) -> None:
        super().__init__(manager, frontend_type, llvm_vector(frontend_type.dtype))


def llvm_vector(dtype: Any) -> ir.VectorType:
    """LLVM's type for a vector of this Numba dtype."""
    single = dtype == types.float32
    return ir.VectorType(ir.FloatType() if single else ir.DoubleType(), host.lanes(4 if single else 8))


def zeros(dtype: Any) -> ir.Constant:
    """The LLVM constant of a vector of zeros."""
    vector = llvm_vector(dtype)
    return ir.Constant(vector, [0.0] * vector.count)


def address(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The LLVM pointer to the first element of a contiguous array; an array with strides would be read as if it had none."""
    if array_type.layout != "C":
        raise numba.errors.TypingError(f"{array_type} came: a contiguous array is wanted")
    return context.make_array(array_type)(context, builder, array).data


def load_at(builder: Any, pointer: Any, index: Any, dtype: Any) -> Any:
    """LLVM: the vector that starts at pointer[index]; no alignment is assumed beyond the element's."""
    vector = llvm_vector(dtype)
    value = builder.load(builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer()))
    value.align = 4 if dtype == types.float32 else 8
    return value


def store_at(builder: Any, pointer: Any, index: Any, value: Any, dtype: Any) -> None:
    """LLVM: pointer[index], pointer[index + 1] ... = value."""
    place = builder.bitcast(builder.gep(pointer, [index]), llvm_vector(dtype).as_pointer())
    builder.store(value, place).align = 4 if dtype == types.float32 else 8


def splat(builder: Any, scalar: Any, dtype: Any) -> Any:
    """LLVM: a vector of one number."""
    vector = llvm_vector(dtype)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    zero = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, zero)


def fused_multiply_add(builder: Any, x: Any, y: Any, z: Any, dtype: Any) -> Any:
    """LLVM: x * y + z, rounded once."""
    vector = llvm_vector(dtype)
    name = f"llvm.fma.v{vector.count}f{32 if dtype == types.float32 else 64}"
    return builder.call(
        cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name), [x, y, z]
    )


def first_lanes(builder: Any, count: Any, dtype: Any) -> Any:
    """LLVM: a mask that is true for the first `count` lanes."""
    lanes = llvm_vector(dtype).count
    numbers = ir.Constant(ir.VectorType(INT, lanes), list(range(lanes)))
    undefined = ir.Constant(numbers.type, ir.Undefined)
    wide = builder.insert_element(undefined, count, ir.Constant(ir.IntType(32), 0))
    wide = builder.shuffle_vector(wide, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))
    return builder.icmp_signed("<", numbers, wide)


def store_first_at(builder: Any, pointer: Any, index: Any, value: Any, count: Any, dtype: Any) -> None:
    """LLVM: store the first `count` lanes alone; not a byte behind them is touched."""
    vector = llvm_vector(dtype)
    place = builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())
    mask = first_lanes(builder, count, dtype)
    kind = ir.FunctionType(ir.VoidType(), [vector, place.type, ir.IntType(32), mask.type])
    name = f"llvm.masked.store.v{vector.count}f{32 if dtype == types.float32 else 64}.p0"
    align = ir.Constant(ir.IntType(32), 4 if dtype == types.float32 else 8)
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [value, place, align, mask])


def load_first_at(builder: Any, pointer: Any, index: Any, count: Any, dtype: Any) -> Any:
    """LLVM: load the first `count` lanes alone, the others are 0; not a byte behind them is read."""
    vector = llvm_vector(dtype)
    place = builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())
    mask = first_lanes(builder, count, dtype)
    kind = ir.FunctionType(vector, [place.type, ir.IntType(32), mask.type, vector])
    name = f"llvm.masked.load.v{vector.count}f{32 if dtype == types.float32 else 64}.p0"
    align = ir.Constant(ir.IntType(32), 4 if dtype == types.float32 else 8)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [place, align, mask, zeros(dtype)])


def primitive(make: Callable[..., Any]) -> Callable[..., Any]:
    """An intrinsic made by `make(typing context, *types)`, or its NumPy twin where Numba's compiler is off."""
    if numba.config.DISABLE_JIT:
        return getattr(twins, make.__name__)
    return intrinsic(make)


@primitive
def load(context: Any, array: Any, index: Any) -> Any:
    """load(a, i): the vector a[i], a[i+1], ..."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature.args[0], args[0])
        return load_at(builder, pointer, args[1], signature.args[0].dtype)

    return VectorType(array.dtype)(array, types.int64), generate


@primitive
def store(context: Any, array: Any, index: Any, value: Any) -> Any:
    """store(a, i, v): a[i], a[i+1], ... = v."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature.args[0], args[0])
        store_at(builder, pointer, args[1], args[2], signature.args[0].dtype)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), generate


@primitive
def load_first(context: Any, array: Any, index: Any, count: Any) -> Any:
    """load_first(a, i, n): the n numbers from a[i] on, and zeros behind; nothing behind them is read."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature.args[0], args[0])
        return load_first_at(builder, pointer, args[1], args[2], signature.args[0].dtype)

    return VectorType(array.dtype)(array, types.int64, types.int64), generate


@primitive
def store_first(context: Any, array: Any, index: Any, value: Any, count: Any) -> Any:
    """store_first(a, i, v, n): a[i] ... a[i+n-1] = the first n numbers of v; nothing behind them is written."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature.args[0], args[0])
        store_first_at(builder, pointer, args[1], args[2], args[3], signature.args[0].dtype)
        return context.get_dummy_value()

    return types.void(array, types.int64, value, types.int64), generate


@primitive
def spread(context: Any, array: Any, index: Any) -> Any:
    """spread(a, i): a vector of a[i] alone."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature.args[0], args[0])
        return splat(builder, builder.load(builder.gep(pointer, [args[1]])), signature.args[0].dtype)

    return VectorType(array.dtype)(array, types.int64), generate


@primitive
def zero(context: Any, array: Any) -> Any:
    """zero(a): a vector of zeros of a's dtype."""
    return VectorType(array.dtype)(array), lambda context, builder, signature, args: zeros(signature.args[0].dtype)


@primitive
def multiply_add(context: Any, x: Any, y: Any, z: Any) -> Any:
    """multiply_add(x, y, z): x * y + z, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return fused_multiply_add(builder, args[0], args[1], args[2], signature.return_type.dtype)

    return x(x, y, z), generate


def _arithmetic(name: str, operation: str) -> Any:
    def make(context: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, operation)(*args)

        return x(x, y), generate

    make.__name__ = name
    return primitive(make)


add, subtract, multiply = (
    _arithmetic(*names) for names in (("add", "fadd"), ("subtract", "fsub"), ("multiply", "fmul"))
)


@primitive
def where_positive(context: Any, condition: Any, value: Any) -> Any:
    """where_positive(c, v): v where c > 0 or c is NaN, else 0: ReLU and its gradient, with NaN passing through."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        nothing = zeros(signature.return_type.dtype)
        return builder.select(builder.fcmp_unordered(">", args[0], nothing), args[1], nothing)

    return value(condition, value), generate


def mask_pointer(builder: Any, pointer: Any, index: Any, dtype: Any) -> Any:
    """LLVM: the place of as many bytes, from pointer[index] on, as a vector has lanes."""
    byte_lanes = ir.VectorType(ir.IntType(8), llvm_vector(dtype).count)
    return builder.bitcast(builder.gep(pointer, [index]), byte_lanes.as_pointer())


@primitive
def store_positive(context: Any, mask: Any, index: Any, value: Any) -> Any:
    """store_positive(m, i, v): m[i], m[i+1], ... = whether v > 0 or v is NaN, for an array m of bool."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        dtype = signature.args[2].dtype
        place = mask_pointer(builder, address(context, builder, signature.args[0], args[0]), args[1], dtype)
        positive = builder.fcmp_unordered(">", args[2], zeros(dtype))
        builder.store(builder.zext(positive, place.type.pointee), place).align = 1
        return context.get_dummy_value()

    return types.void(mask, types.int64, value), generate


@primitive
def where_mask(context: Any, mask: Any, index: Any, value: Any) -> Any:
    """where_mask(m, i, v): v where m[i], m[i+1], ... are true, else 0, for an array m of bool."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        dtype = signature.return_type.dtype
        place = mask_pointer(builder, address(context, builder, signature.args[0], args[0]), args[1], dtype)
        bits = builder.load(place)
        bits.align = 1
        true = builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, [0] * bits.type.count))
        return builder.select(true, args[2], zeros(dtype))

    return value(mask, types.int64, value), generate


@functools.cache
def lanes(itemsize: int) -> int:
    """Numbers of this many bytes in one vector."""
    return host.lanes(itemsize)
