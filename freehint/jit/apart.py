"""Kernels that others call by their address, so that they are compiled only where they are wanted.

A kernel becomes part of each that calls it, and is compiled with it, wanted or not.  One whose
address stands in an array is compiled and kept by itself (:func:`address_of`); who calls it
(:func:`calling`) loads that address.
"""

from llvmlite import ir
from numba import typeof
from numba.core import cgutils, types
from numba.core import config as numba_config
from numba.core.errors import TypingError
from numba.extending import intrinsic

from freehint.jit.pinned import PinnedTuple

NOTHING, FLAG, NUMBER = types.none, types.boolean, types.int64  # what such a kernel returns
PAIR, TRIPLE = types.UniTuple(NUMBER, 2), types.UniTuple(NUMBER, 3)


def address_of(kernel, returned, *arguments) -> int:
    """Where a kernel lies that was compiled for such arguments, in this process.

    Parameters
    ----------
    kernel : Kernel
    returned : NOTHING, FLAG, NUMBER, PAIR or TRIPLE
        What its callers expect.
    arguments
        Examples.

    Returns
    -------
    int
        Never 0; 1 where kernels run as plain Python.

    Raises
    ------
    TypeError
        It returns something else.
    """
    if numba_config.DISABLE_JIT:
        return 1
    return compiled_address(kernel, returned, tuple(map(typeof, arguments)))


def compiled_address(kernel, returned, signature: tuple) -> int:
    """As :func:`address_of`, for arguments of these types."""
    entry = kernel.python_entry()
    entry.compile(signature)
    compiled = entry.overloads[signature]
    if types.unliteral(compiled.signature.return_type) != returned:
        raise TypeError(f"{kernel} returns {compiled.signature.return_type}, not {returned}")
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


def calling(returned):
    """A function for kernels: it calls what lies at an address with the members of a tuple.

    What is called takes a pinned tuple first.  Arrays among the members must belong to somebody
    who keeps them; nobody counts references.  In plain Python the address is the function itself.

    Parameters
    ----------
    returned : NOTHING, FLAG, NUMBER, PAIR or TRIPLE
    """
    if numba_config.DISABLE_JIT:
        return lambda function, arguments: function(*arguments)

    @intrinsic
    def call(typing_context, address, arguments):
        taken = tuple(arguments)
        if not isinstance(taken[0], PinnedTuple):
            raise TypingError(f"a kernel at an address takes a pinned tuple first: {taken[0]}")

        def build(context, builder, _signature, values):
            convention = context.call_conv
            kind = convention.get_function_type(returned, taken)
            function = builder.inttoptr(values[0], ir.PointerType(kind))
            members = cgutils.unpack_tuple(builder, values[1])
            status, result = convention.call_function(builder, function, returned, taken, members)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return result

        return returned(types.int64, arguments), build

    return call


@intrinsic
def _pointer(_typing_context, _address):
    def build(_context, builder, _signature, values):
        return builder.inttoptr(values[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), build


def _itself(value):
    return value


# A pinned tuple of any type, given where it lies, as what is called at an address takes it.
lying_at = _itself if numba_config.DISABLE_JIT else _pointer
