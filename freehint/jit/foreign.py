"""Functions of other people, called by kernels that know only their addresses.

So a kernel that calls them is compiled and kept once, whoever they are; they themselves are
compiled with checked indices, in this process alone, and no file keeps them.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from freehint.config import InputError
from freehint.jit.kernel import checked_entry, kernel
from freehint.jit.pinned import WORD, Pinned, load_member

ROWS = types.Array(types.int64, 2, "A")
NUMBERS = types.Array(types.int64, 1, "C")
BYTES = types.Array(types.uint8, 1, "A")


@intrinsic
def call_foreign(typing_context, address, arguments):
    """Call what lies at ``address`` with the members of a tuple; it returns an int64.

    Arrays among them must belong to somebody who keeps them; nobody counts references.
    """
    taken = tuple(arguments)

    def build(context, builder, _signature, values):
        convention = context.call_conv
        kind = convention.get_function_type(types.int64, taken)
        function = builder.inttoptr(values[0], ir.PointerType(kind))
        members = cgutils.unpack_tuple(builder, values[1])
        status, result = convention.call_function(builder, function, types.int64, taken, members)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result

    return types.int64(types.int64, arguments), build


def pinned_at(kind, member=None):
    """A function for kernels that gives the pinned tuple that lies at an address.

    Parameters
    ----------
    kind : PinnedTuple
        The tuple's type.
    member : str, optional
        The name of the array in it that the function is to give.
    """
    given = kind if member is None else kind[kind.fields.index(member)]

    @intrinsic
    def at(_typing_context, _address):
        def build(context, builder, _signature, values):
            place = builder.inttoptr(values[0], WORD.as_pointer())
            return place if member is None else load_member(context, builder, kind, place, member)

        return given(types.int64), build

    return at


def as_kernel(function):
    """A function that kernels can call; one of plain Python becomes a kernel."""
    return function if isinstance(function, Dispatcher) else kernel(function)


def type_of(value: tuple):
    """The type of a pinned tuple."""
    return Pinned(value)._numba_type_


def foreign_address(function, taken: tuple, what: str) -> tuple:
    """Compile a function with checked indices.

    Parameters
    ----------
    function : function
        Of plain Python; it returns an int64.
    taken : tuple of types
    what : str
        It begins the message of an error.

    Returns
    -------
    (object, int)
        What must be kept as long as the address is used, and the address.

    Raises
    ------
    InputError
        It cannot be compiled.
    """
    entry = checked_entry(function)
    try:
        entry.compile(taken)
    except NumbaError as error:
        why = next(filter(None, map(str.strip, str(error).splitlines()[1:])), str(error))
        raise InputError(f"{what} cannot be compiled: {why:.200}") from error
    compiled = entry.overloads[taken]
    return entry, compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
