"""Actors that most runs do not have: each a kernel of its own, which the event loop calls.

Compiled with the loop they would take twice its time, whether a run has them or not.  The loop
finds their addresses in ``World.apart``, under the numbers KTHREADS .. of
:mod:`freehint.engine.world.records`; where one is 0 it comes back for it.
"""

from freehint.engine.world.records import PRESSURE, PRESSURE_THREADS
from freehint.jit import kernel
from freehint.jit.apart import FLAG, calling

call = calling(FLAG)


def turn_of(which: int):
    """The kernel of a rare actor, from KTHREADS on.

    Imported when it first acts: those of a guest under pressure need a quarter of all modules.
    """
    if which in (PRESSURE, PRESSURE_THREADS):
        from freehint.engine.pressure_turns import TURNS
    else:
        from freehint.engine.turns import TURNS
    return TURNS[which]


def _plain_turn(world, which, actor, now_ns):
    return turn_of(which)(world, actor, now_ns)


@kernel(inline=True, plain=_plain_turn)
def rare_turn(world, which, actor, now_ns):
    """A turn of a rare actor whose kernel's address is there; has Python to do something?"""
    return call(world.apart[which], (world, actor, now_ns))
