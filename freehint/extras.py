"""Libraries of the extra ``sweep``: asked for where they are used, and named where they miss."""

from importlib import import_module

from freehint.config import InputError


def extra(module: str, what_for: str):
    """A module of a library that only the extra ``sweep`` brings.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{what_for} needs {error.name}, which is not installed; the extra 'sweep' brings it:"
            " pip install 'freehint[sweep]'"
        ) from None
