"""The event loop: guest CPUs, kernel threads, the host and the policies' workers, in exact order.

:func:`advance` is compiled and runs until something needs Python: a stroke of a policy (its
verbs may be anybody's), more random words, or more room for rows.
:mod:`freehint.engine.engine` answers.
"""

from freehint.engine.guest.vcpu import cpu_event
from freehint.engine.host.device import host_event
from freehint.engine.rare import rare_turn
from freehint.engine.worker import STROKE_BEGINS, STROKE_ENDS, worker_event
from freehint.engine.world.clock import ACTOR_BITS, actor_of, smallest_but
from freehint.engine.world.paging import FREE, MIN, shares_host
from freehint.engine.world.records import MIGRATION
from freehint.jit import kernel, seldom
from freehint.mm.memory import EMPTIED, REPORT_REQUESTED

# What advance() came back for.
(
    TIME_IS_UP,
    NEED_WORDS,
    NEED_GAPS,
    NEED_ROOM,
    STROKE_DUE,
    STROKE_PUBLISHED,
    LIST_EMPTIED,
    REPORT_WANTED,
    NEED_PAGES,
    MIGRATION_TURN,
    HOST_SHORT,
    NEED_KERNEL,
) = range(12)


@kernel(inline=True)
def somebody_is_called(world):
    """Did the event before empty a list, ask for a report, or fail for want of pages?  -1: no."""
    notify, state = world.memory.notify, world.state[0]
    if seldom(notify[EMPTIED] != 0):
        return LIST_EMPTIED
    if seldom(notify[REPORT_REQUESTED] != 0) and state.reporters > 0:
        return REPORT_WANTED
    if seldom(state.starving > 0):
        return NEED_PAGES
    return -1


@kernel(inline=True)
def no_room(world):
    """Is one of the tables full?"""
    state = world.state[0]
    return (
        state.nr_waits == world.waits.shape[0]
        or state.nr_reports == world.reports.shape[0]
        or state.nr_used == world.used.shape[0]
    )


@kernel(inline=True)
def rare_event(world, rare, actor, now_ns):
    """One event of a rare actor; returns as :func:`turn` does."""
    if world.apart[rare] == 0:
        return NEED_KERNEL, rare
    if rare_turn(world, rare, actor, now_ns):
        return MIGRATION_TURN, -1
    return somebody_is_called(world) if rare != MIGRATION else -1, actor


@kernel(inline=True)
def cpu_turn(world, cpu, now_ns, until_ns):
    """One event of a guest CPU of a synthetic load; returns what Python must do, or -1.

    A write that follows before ``until_ns`` may be done with it.
    """
    if seldom(world.state[0].nr_waits == world.waits.shape[0]):  # it adds rows to no other table
        return NEED_ROOM
    if seldom(world.cpu[cpu].word_at == world.words.shape[1]):
        return NEED_WORDS
    cpu_event(world, cpu, now_ns, until_ns)
    return somebody_is_called(world)


@kernel(inline=True)
def turn(world, actor, now_ns, others_at):
    """One event of any actor but a CPU of a synthetic load; nobody else acts before ``others_at``.

    Returns
    -------
    (int, int)
        What Python must do, before it or after it, or -1; and the CPU, the user or the rare actor
        that it is about.
    """
    nr_cpus, state = world.cpu.shape[0], world.state[0]
    if no_room(world):
        return NEED_ROOM, -1
    if actor < nr_cpus:
        if world.cpu[actor].word_at == world.words.shape[1]:
            return NEED_WORDS, actor
        return rare_event(world, state.cpu_kernel - 1, actor, now_ns)
    if actor == nr_cpus:
        return rare_event(world, state.threads_kernel, actor, now_ns)
    host = nr_cpus + 1
    if actor == host:
        if state.gap_row + 1 == world.gaps.shape[0]:
            return NEED_GAPS, -1
        host_event(world, host, now_ns)
        return -1, -1
    user = actor - host - 1
    if user >= world.user.shape[0]:
        world.migration[0].others_at = others_at
        return rare_event(world, MIGRATION, actor, now_ns)
    due = worker_event(world, user, actor, now_ns)
    if due == STROKE_BEGINS:
        return STROKE_DUE, user
    return STROKE_PUBLISHED if due == STROKE_ENDS else -1, user


@kernel
def advance(world, until_ns):
    """Run events before ``until_ns``; why it stopped, and when.

    Returns
    -------
    (int, int, int)
        TIME_IS_UP .. NEED_KERNEL, the time in ns of the event that comes next, and the CPU, the
        user or the rare actor that it is about.
    """
    keys, actors = world.key, world.key.shape[0]
    shared = shares_host(world.paging)
    cpus = world.cpu.shape[0] if world.state[0].cpu_kernel == 0 else 0
    # CPUs with three actors beside them: those of the rest, two at least, may be compared twice.
    # Compared with an actor below, or LLVM would compile the loop twice, for few and for many.
    few = cpus if 2 <= cpus <= 4 else 0
    actor = actors - 1
    while True:
        # Apart from its own: a loop over all would load several at a time, and a processor
        # waits before it loads together what was stored apart.
        rest = min(keys[actor], smallest_but(keys, actor, cpus, actors))
        key = min(rest, smallest_but(keys, actor, 0, cpus))
        actor, now_ns = actor_of(key), key >> ACTOR_BITS
        # A CPU's turn changes no other actor's key, so the other CPUs' are compared while it takes
        # its turn, and the rest's only after a turn of theirs.
        while actor < cpus and now_ns < until_ns:
            if seldom(shared) and world.paging.host[FREE] < world.paging.host[MIN]:
                break
            if actor < few:
                # Their numbers are its own with some bits turned over.
                others = min(rest, keys[actor ^ 1], keys[actor ^ 2], keys[actor ^ 3])
            else:
                others = min(rest, smallest_but(keys, actor, 0, cpus))
            why = cpu_turn(world, actor, now_ns, until_ns)
            if seldom(why >= 0):
                return why, now_ns, actor
            key = min(others, keys[actor])
            actor, now_ns = actor_of(key), key >> ACTOR_BITS
        if shared and world.paging.host[FREE] < world.paging.host[MIN]:
            return HOST_SHORT, now_ns, -1
        if now_ns >= until_ns:
            return TIME_IS_UP, until_ns, -1
        others = smallest_but(keys, actor, 0, actors)
        why, who = turn(world, actor, now_ns, min(others >> ACTOR_BITS, until_ns))
        if why >= 0:
            return why, now_ns, who
