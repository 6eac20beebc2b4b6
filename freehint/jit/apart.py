"""Kernels that others call by their address, so that they are compiled only where they are wanted.

A kernel becomes part of each that calls it, and is compiled with it, wanted or not.  One whose
address stands in an array is compiled and kept by itself (:func:`address_of`); who calls it
(:func:`call_at`) loads that address.
"""

from llvmlite import ir
from numba import typeof
from numba.core import cgutils, types
from numba.core import config as numba_config
from numba.core.errors import TypingError
from numba.extending import intrinsic

from freehint.jit.pinned import PinnedTuple


def address_of(kernel, *arguments) -> int:
    """Where a kernel lies that was compiled for such arguments, in this process.

    Returns
    -------
    int
        Never 0; 1 where kernels run as plain Python.
    """
    if numba_config.DISABLE_JIT:
        return 1
    entry = kernel.python_entry()
    signature = tuple(map(typeof, arguments))
    entry.compile(signature)
    compiled = entry.overloads[signature]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@intrinsic
def call_at(typing_context, address, pinned, actor, now_ns):
    """Call the kernel that lies at ``address``: it takes a pinned tuple and two int64.

    It returns a bool.  Plain Python has no addresses: there nobody may call this.
    """
    if not isinstance(pinned, PinnedTuple):
        raise TypingError(f"only kernels that take a pinned tuple lie at an address: {pinned}")
    returned, taken = types.boolean, (pinned, types.int64, types.int64)

    def build(context, builder, _signature, arguments):
        convention = context.call_conv
        kind = convention.get_function_type(returned, taken)
        function = builder.inttoptr(arguments[0], ir.PointerType(kind))
        status, result = convention.call_function(builder, function, returned, taken, arguments[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result

    return returned(types.int64, *taken), build
