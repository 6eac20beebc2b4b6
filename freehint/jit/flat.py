"""Flat access to arrays where Numba's own costs time: prefetch, add in place, store two at once."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.core import config as numba_config
from numba.extending import intrinsic

from freehint.jit.kernel import kernel


@intrinsic
def _prefetch(typing_context, array, index):
    """Ask for the cache line of ``array[index]``, an index into the flat data."""

    def build(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        call = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [address.type, number, number, number]),
            "llvm.prefetch.p0",
        )
        builder.call(call, [address, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), build


def _no_prefetch(array, index):
    """Plain Python has no cache lines."""


@kernel(inline=True, plain=_no_prefetch)
def prefetch(array, index):
    """Ask for the cache line of ``array.flat[index]``, which is wanted a few 100 ns later."""
    _prefetch(array, index)


@intrinsic
def _seldom(typing_context, condition):
    """Tell LLVM that a condition is mostly false."""

    def build(context, builder, signature, arguments):
        truth = ir.IntType(1)
        expect = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(truth, [truth, truth]), "llvm.expect.i1"
        )
        return builder.call(expect, [arguments[0], truth(0)])

    return types.boolean(types.boolean), build


def _as_it_is(condition):
    return condition


# Of a condition that mostly does not hold: what it guards is laid out of the way of all else.
seldom = _as_it_is if numba_config.DISABLE_JIT else _seldom


@intrinsic
def _add_at(typing_context, array, index, change):
    """Add to the flat data of an int64 array."""

    def build(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.gep(data, [arguments[1]])
        value = builder.add(builder.load(address), arguments[2])
        builder.store(value, address)
        return value

    return types.int64(array, index, change), build


def _plain_add_at(array, index, change):
    array.flat[index] += change
    return int(array.flat[index])


@kernel(inline=True, plain=_plain_add_at)
def add_at(array, index, change):
    """``array.flat[index] += change`` in a contiguous int64 array; the new value.

    Numba's index into three dimensions multiplies by shapes that it has to load: with this
    one the allocator's operations take 0.93 of the time (``make bench``).
    """
    return _add_at(array, index, change)


@intrinsic
def _store_pair(typing_context, array, index, first, second):
    """Store two neighbouring elements of an integer array's flat data."""

    def build(context, builder, signature, arguments):
        array = signature.args[0]
        data = context.make_array(array)(context, builder, arguments[0]).data
        kinds = signature.args[2:]
        values = [
            context.cast(builder, value, kind, array.dtype)
            for value, kind in zip(arguments[2:], kinds)
        ]
        pair = ir.Constant(ir.VectorType(values[0].type, 2), ir.Undefined)
        for place, value in enumerate(values):
            pair = builder.insert_element(pair, value, ir.IntType(32)(place))
        address = builder.gep(data, [arguments[1]])
        store = builder.store(pair, builder.bitcast(address, pair.type.as_pointer()))
        store.align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, index, first, second), build


def _plain_store_pair(array, index, first, second):
    array[index], array[index + 1] = first, second


@kernel(inline=True, plain=_plain_store_pair)
def store_pair(array, index, first, second):
    """``array[index], array[index + 1] = first, second``, in one store where processors have it.

    A store that waits for its cache line holds up those behind it, so a store less is worth more
    than the instruction.  The index is not tested, as :func:`add_at`'s is not.
    """
    _store_pair(array, index, first, second)
