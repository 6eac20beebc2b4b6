"""``for i in range(..)`` as a counter and a limit.

Numba writes a hundred instructions for each such loop: an iterator in memory, with its numbers
counted by a division, whose next number is a pair.  LLVM makes the same loop of this.
"""

from llvmlite import ir as llvm
from numba.core import ir, types

_LINKS = frozenset(("getiter", "iternext"))
_ENDS = frozenset(("pair_first", "pair_second"))  # the number; whether there is one


def counted(lower, singly_assigned) -> set:
    """Variables between a range and its numbers, unless something else reads one of them.

    Parameters
    ----------
    lower : KernelLower
    singly_assigned : set of str
    """
    ranges = [
        statement.target.name
        for block in lower.blocks.values()
        for statement in block.body
        if isinstance(statement, ir.Assign) and _is_range(lower, statement.value)
    ]
    if not ranges:
        return set()
    found, readers = set(), {}
    for block in lower.blocks.values():
        for statement in block.body:
            for name in variables_read(statement):
                readers.setdefault(name, []).append(statement)
    for one in ranges:
        found |= _chain(one, singly_assigned, readers)
    return found


def _is_range(lower, value) -> bool:
    """Is a value ``range(stop)`` or ``range(start, stop)`` of signed integers?"""
    if not isinstance(value, ir.Expr) or value.op != "call":
        return False
    kind = lower.typeof(value.func.name)
    if not isinstance(kind, types.Function) or kind.typing_key is not range:
        return False
    signature = lower.fndesc.calltypes[value]
    plain = len(value.args) < 3 and not value.kws and value.vararg is None
    return plain and signature.return_type.dtype.signed


def _chain(name, singly_assigned, readers) -> set:
    found, waiting = {name}, [name]
    while waiting:
        name = waiting.pop()
        if name not in singly_assigned:
            return set()
        for statement in readers.get(name, ()):
            value = getattr(statement, "value", None)
            op = getattr(value, "op", None)
            if op in _ENDS:
                continue
            if not isinstance(value, ir.Var) and op not in _LINKS:
                return set()
            found.add(statement.target.name)
            waiting.append(statement.target.name)
    return found


def lower_counted(lower, kind, value, known):
    """What one of these variables stands for: a range's ends, a counter, or a number.

    Parameters
    ----------
    lower : KernelLower
    kind : Type
        Of the variable.
    value : Var or Expr
        What is assigned to it.
    known : dict
        What the others stand for.

    Returns
    -------
    tuple
        Start and stop; where it counts, and stop; or a number, and whether there is one.
    """
    builder = lower.builder
    if isinstance(value, ir.Var):
        return known[value.name]
    if value.op == "call":
        given = [
            lower.context.cast(builder, lower.loadvar(one.name), lower.typeof(one.name), kind.dtype)
            for one in value.args
        ]
        return given if len(given) == 2 else (given[0].type(0), given[0])
    first, stop = known[value.value.name]
    if value.op == "getiter":
        with builder.goto_entry_block():
            place = builder.alloca(stop.type)
        builder.store(first, place)
        return place, stop
    number = builder.load(first)
    builder.store(builder.add(number, llvm.Constant(number.type, 1)), first)
    return number, builder.icmp_signed("<", number, stop)


def is_end(value, found) -> bool:
    """Is a value a counted number, or whether there is one?"""
    return isinstance(value, ir.Expr) and value.op in _ENDS and value.value.name in found


def variables_read(statement) -> list:
    """Names of the variables that a statement reads."""
    if not isinstance(statement, ir.Assign):
        return [variable.name for variable in statement.list_vars()]
    value = statement.value
    if isinstance(value, ir.Var):
        return [value.name]
    return [one.name for one in value.list_vars()] if isinstance(value, ir.Expr) else []
