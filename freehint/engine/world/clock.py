"""Time: the next turn of each actor, and the time from which a zone lock is free."""

from freehint.jit import kernel
from freehint.mm.memory import CALLED
from freehint.units import NS_PER_MS

ACTOR_BITS = 5
MAX_CPUS = 24  # the kernel threads, the host and the policies' workers take the rest
NEVER = 1 << 62
TICK_NS = 4 * NS_PER_MS  # CONFIG_HZ=250


@kernel(inline=True)
def smallest_key(keys, first, behind):
    """The smallest key of the actors from ``first`` up to but not including ``behind``."""
    return smallest_but(keys, -1, first, behind)


@kernel(inline=True)
def smallest_but(keys, but, first, behind):
    """The smallest key of these actors but one."""
    smallest = NEVER
    for actor in range(first, behind):
        key = keys[actor]
        if key < smallest and actor != but:
            smallest = key
    return smallest


@kernel(inline=True)
def actor_of(key):
    """Whose key it is.  (NEVER is nobody's.)"""
    return key & ((1 << ACTOR_BITS) - 1)


@kernel(inline=True)
def schedule(world, actor, time_ns):
    """Let ``actor`` act at ``time_ns``."""
    world.key[actor] = (time_ns << ACTOR_BITS) | actor


@kernel(inline=True)
def suspend(world, actor):
    """Let ``actor`` sleep until another actor schedules it."""
    world.key[actor] = NEVER


@kernel(inline=True)
def ask_to_shrink(world, cpu):
    """Before an allocation fails, ask a policy that holds pages for the host to give some back.

    Source: the shrinker of drivers/virtio/virtio_balloon.c, called by direct reclaim.

    Returns
    -------
    bool
        Whether a policy is asked, so that the CPU tries again; at most once per allocation.  Also
        True if the allocation has not failed but returned NEEDS_CALLBACK.
    """
    if world.memory.notify[CALLED] != 0:
        return True
    asked = world.cpu[cpu].asked
    world.cpu[cpu].asked = 0
    if world.state[0].shrinkers == 0 or asked:
        return False
    world.cpu[cpu].asked = 1
    world.state[0].starving = 1 + cpu
    return True


@kernel(inline=True)
def hold_lock(world, zone, now_ns, hold_ns):
    """Take a zone lock for ``hold_ns`` after earlier short holds; return the time it begins."""
    start = max(now_ns, world.lock_until[zone])
    world.lock_until[zone] = start + world.cost[0].lock_ns + hold_ns
    return start
