"""What Numba finds out again and again while it compiles, found out once."""

import contextlib
import functools
import operator
import sys

import numpy as np
from numba.core import base, cgutils, ir, types, typing, utils
from numba.core.errors import NumbaNotImplementedError
from numba.core.imputils import lower_builtin
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


_lists = {}


def _declared(context) -> int:
    """How many declarations a context's registries and its typing context's have."""
    registries = context._registries
    _, known, lists = _lists.get(id(registries), (None, 0, ()))
    if known != len(registries):
        lists = [
            getattr(registry, name)
            for registry, loader in registries.items()
            for name in loader.registry_items
        ]
        _lists[id(registries)] = registries, len(registries), lists  # its id stays its own
    found = sum(map(len, lists))
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


_resolve = types.Function.get_call_type
_resolved = {}


def _get_call_type(function, context, args, kws):
    """The signature of an operator or built-in function, which Numba looks up for every use.

    For some of integers it compiles a function, by its whole pipeline, for each kind and number.
    """
    if kws:
        return _resolve(function, context, args, kws)
    key = function, args
    found = _resolved.get(key)
    if found is None:
        found = _of_integers(function.typing_key, tuple(map(types.unliteral, args)))
        if found is None:
            found = _resolve(function, context, args, kws)
        else:
            function._impl_keys[found.args] = function.typing_key
        _resolved[key] = found
    return found


def _of_integers(called, kinds):
    """The signature of what is written for LLVM below, or None."""
    if called is int and len(kinds) == 1:
        if isinstance(kinds[0], types.Integer):
            return typing.signature(kinds[0], *kinds)
        return typing.signature(types.int64, *kinds) if kinds[0] == types.boolean else None
    if called in (min, max) and len(kinds) > 1 and set(kinds) == {types.int64}:
        return typing.signature(types.int64, *kinds)
    if called is operator.contains and isinstance(kinds[0], types.UniTuple):
        if kinds[0].dtype == kinds[1] == types.int64:
            return typing.signature(types.boolean, *kinds)
    return None


@lower_builtin(int, types.Integer)
@lower_builtin(int, types.Boolean)
def _integer(context, builder, signature, arguments):
    """``int(x)``, also in other people's functions."""
    return context.cast(builder, *arguments, *signature.args, signature.return_type)


def _extreme(sign):
    """The one of several integers that is less, or greater, than the others."""

    def build(context, builder, signature, arguments):
        found = arguments[0]
        for other in arguments[1:]:
            found = builder.select(builder.icmp_signed(sign, other, found), other, found)
        return found

    return build


for _called, _sign in ((min, "<"), (max, ">")):
    lower_builtin(_called, types.VarArg(types.Integer))(_extreme(_sign))


@lower_builtin(operator.contains, types.UniTuple, types.Integer)
def _contains(context, builder, signature, arguments):
    """``x in (a, b)``."""
    members = cgutils.unpack_tuple(builder, arguments[0])
    equal = [builder.icmp_signed("==", one, arguments[1]) for one in members]
    return functools.reduce(builder.or_, equal, cgutils.false_bit)


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
    # A dispatcher asks twice as it is made; an import of this package makes 500.
    utils.pysignature = functools.lru_cache(maxsize=1)(utils.pysignature)
    for context in (base.BaseContext, typing.BaseContext):
        context.refresh = _refresh_if_declared(context.refresh)
    typing.BaseContext.resolve_getattr = _attribute
    types.Function.get_call_type = _get_call_type
    ir.Inst._rec_list_vars = _variables
    typeof_impl.register(np.ndarray)(_type_of_array)
