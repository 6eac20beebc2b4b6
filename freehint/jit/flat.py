"""What kernels write out where they use it: prefetch, add in place, store two at once, seldom.

Numba's own access to flat data costs time, and kernels for these would have to be compiled.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.core import config as numba_config
from numba.extending import _Intrinsic, intrinsic


class WrittenOut(_Intrinsic):
    """An intrinsic; Python, which cannot call Numba's, runs ``plain``."""

    def __call__(self, *arguments):
        return self.plain(*arguments)


def _written_out(plain):
    """An intrinsic for kernels, ``plain`` for Python."""

    def made(define):
        if numba_config.DISABLE_JIT:
            return plain
        one = intrinsic(define)
        one.__class__, one.plain = WrittenOut, plain
        return one

    return made


def _on_data(write):
    """How Numba writes what takes an array; ``freehint.jit.lowering`` gives its data alone."""

    def build(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return write(builder, data, *arguments[1:])

    build.on_data = write
    return build


def _no_prefetch(array, index):
    """Plain Python has no cache lines."""


@_written_out(_no_prefetch)
def prefetch(typing_context, array, index):
    """Ask for the cache line of ``array.flat[index]``, which is wanted a few 100 ns later."""

    def write(builder, data, index):
        address = builder.bitcast(builder.gep(data, [index]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        call = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [address.type, number, number, number]),
            "llvm.prefetch.p0",
        )
        builder.call(call, [address, number(1), number(3), number(1)])
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(array, types.int64), _on_data(write)


def _as_it_is(condition):
    return condition


@_written_out(_as_it_is)
def seldom(typing_context, condition):
    """A condition that mostly does not hold: what it guards is laid out of the way of all else."""

    def build(context, builder, signature, arguments):
        truth = ir.IntType(1)
        expect = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(truth, [truth, truth]), "llvm.expect.i1"
        )
        return builder.call(expect, [arguments[0], truth(0)])

    return types.boolean(types.boolean), build


def _plain_add_at(array, index, change):
    array.flat[index] += change
    return int(array.flat[index])


@_written_out(_plain_add_at)
def add_at(typing_context, array, index, change):
    """``array.flat[index] += change`` in a contiguous int64 array; the new value.

    Numba's index into three dimensions multiplies by shapes that it has to load: with this
    one the allocator's operations take 0.93 of the time (``make bench``).
    """

    def write(builder, data, index, change):
        address = builder.gep(data, [index])
        value = builder.add(builder.load(address), change)
        builder.store(value, address)
        return value

    return types.int64(array, types.int64, types.int64), _on_data(write)


def _plain_store_pair(array, index, first, second):
    array[index], array[index + 1] = first, second


@_written_out(_plain_store_pair)
def store_pair(typing_context, array, index, first, second):
    """``array[index], array[index + 1] = first, second``, in one store where processors have it.

    A store that waits for its cache line holds up those behind it, so a store less is worth more
    than the instruction.  The index is not tested, as :func:`add_at`'s is not.
    """
    kind = array.dtype

    def write(builder, data, index, *values):
        pair = ir.Constant(ir.VectorType(values[0].type, 2), ir.Undefined)
        for place, value in enumerate(values):
            pair = builder.insert_element(pair, value, ir.IntType(32)(place))
        address = builder.gep(data, [index])
        store = builder.store(pair, builder.bitcast(address, pair.type.as_pointer()))
        store.align = kind.bitwidth // 8
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(array, types.int64, kind, kind), _on_data(write)
