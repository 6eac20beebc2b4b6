"""A guest CPU waits for a zone lock: after short holds, or asleep until a stroke ends."""

from freehint.engine.world.clock import hold_lock, suspend
from freehint.jit import kernel

WAIT_COLUMNS = ("since_ns", "cpu", "zone", "kind", "wait_ns")


@kernel(inline=True)
def under_zone_lock(world, cpu, zone, kind, blocks, now_ns):
    """Hold the zone lock for ``blocks`` blocks, with a row of the wait; return the time it ends."""
    hold = blocks * world.cost[0].buddy_ns
    got = hold_lock(world, zone, now_ns, hold)
    world.tally[0].lock_holds += 1
    world.tally[0].lock_held_ns += hold
    end_wait(world, cpu, zone, kind, now_ns, got)
    return world.lock_until[zone]


@kernel(inline=True)
def end_wait(world, cpu, zone, kind, now_ns, got):
    """Write a row if the operation that goes on at ``got`` had to wait, now or in earlier tries."""
    since = world.cpu[cpu].wait_since
    world.cpu[cpu].wait_since = -1
    if since < 0:
        since = now_ns
    if got > since:
        row = world.state[0].nr_waits
        world.waits[row, 0] = since
        world.waits[row, 1] = cpu
        world.waits[row, 2] = zone
        world.waits[row, 3] = kind
        world.waits[row, 4] = got - since
        world.state[0].nr_waits = row + 1


@kernel(inline=True)
def wait_for_release(world, cpu, now_ns):
    """Let the CPU spin until the stroke ends."""
    if world.cpu[cpu].wait_since < 0:
        world.cpu[cpu].wait_since = now_ns
    suspend(world, cpu)
