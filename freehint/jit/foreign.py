"""Functions of other people, called by kernels that know only their addresses.

So a kernel that calls them is compiled and kept once, whoever they are; they themselves are
compiled with checked indices, in this process alone, and no file keeps them.
"""

from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from freehint.config import InputError
from freehint.jit.kernel import checked_entry, kernel


def as_kernel(function):
    """A function that kernels can call; one of plain Python becomes a kernel."""
    return function if isinstance(function, Dispatcher) else kernel(function)


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
