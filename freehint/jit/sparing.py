"""What Numba finds out again and again while it compiles, found out once."""

import contextlib
import functools
import sys

import numpy as np
from numba.core import base, ir, types, typing
from numba.core.errors import NumbaNotImplementedError
from numba.core.typing.typeof import _typeof_ndarray, typeof_impl
from numba.np.numpy_support import from_dtype, map_layout

_takes_location = functools.cache(base._has_loc)  # read from the signature at each use


def _refresh_if_declared(refresh):
    """Look for new declarations only where some registry has grown since."""

    @functools.wraps(refresh)
    def refresh_if_declared(context):
        if getattr(context, "declared", None) != _declared(context):
            refresh(context)
            context.declared = _declared(context)

    return refresh_if_declared


def _declared(context) -> int:
    """How many declarations a context's registries and its typing context's have."""
    found = sum(
        len(getattr(registry, name))
        for registry, loader in context._registries.items()
        for name in loader.registry_items
    )
    typing_context = getattr(context, "typing_context", None)
    return found if typing_context is None else found + _declared(typing_context)


_resolve_attribute = typing.BaseContext.resolve_getattr
_attributes = {}


def _attribute(context, kind, name):
    """The type of an attribute, or None, as long as nothing else is declared."""
    key = id(context), getattr(context, "declared", None), kind, name
    if key in _attributes:
        return _attributes[key]
    found = _resolve_attribute(context, kind, name)
    if not isinstance(found, types.BoundFunction):  # a method remembers its calls
        _attributes[key] = found
    return found


_PLAIN = frozenset((str, int, bool, float, type(None), ir.Loc))


def _variables(_instruction, value) -> list:
    """The variables in an instruction's members; Numba asks each member for five classes."""
    kind = type(value)
    if kind is ir.Var:
        return [value]
    if kind in _PLAIN:
        return []
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return value.list_vars() if isinstance(value, (ir.Inst, ir.Var)) else []
    found = []
    for member in value:
        kind = type(member)
        if kind is ir.Var:
            found.append(member)
        elif kind not in _PLAIN:
            found += _variables(None, member)
    return found


def _type_of_array(array, context):
    """Numba asks numpy.ma whether an array is masked; where that is not imported none can be."""
    if "numpy.ma" not in sys.modules:
        with contextlib.suppress(NumbaNotImplementedError):
            kind, layout = from_dtype(array.dtype), map_layout(array)
            return types.Array(kind, array.ndim, layout, readonly=not array.flags.writeable)
    return _typeof_ndarray(array, context)


def install() -> None:
    """Let Numba do so."""
    base._has_loc = _takes_location
    for context in (base.BaseContext, typing.BaseContext):
        context.refresh = _refresh_if_declared(context.refresh)
    typing.BaseContext.resolve_getattr = _attribute
    ir.Inst._rec_list_vars = _variables
    typeof_impl.register(np.ndarray)(_type_of_array)
