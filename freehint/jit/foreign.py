"""Functions of other people, called by kernels that know only their addresses.

So a kernel that calls them is compiled and kept once, whoever they are; they themselves are
compiled with checked indices, in this process alone, and no file keeps them.
"""

from typing import NamedTuple

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from freehint.config import InputError
from freehint.jit.kernel import checked_entry, kernel
from freehint.jit.pinned import load_member


class Alone(NamedTuple):
    """An array that is pinned."""

    array: np.ndarray


@intrinsic
def unwrapped(_typing_context, value):
    """A pinned tuple itself, or the array of an Alone."""
    alone = value.instance_class is Alone
    given = value[0] if alone else value

    def build(context, builder, _signature, values):
        return load_member(context, builder, value, values[0], "array") if alone else values[0]

    return given(value), build


def as_kernel(function):
    """A function that kernels can call; one of plain Python becomes a kernel."""
    return function if isinstance(function, Dispatcher) else kernel(function)


def foreign_address(function, taken: tuple, what: str) -> tuple:
    """Compile a function with checked indices.

    Parameters
    ----------
    function : function
        Of plain Python; what calls it knows what it returns.
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
