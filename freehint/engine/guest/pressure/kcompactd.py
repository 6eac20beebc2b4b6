"""Compaction of a guest under pressure: kcompactd, and a write to compact_memory, step by step.

A page that moves takes its content along.

Source: kcompactd() and compact_node() of mm/compaction.c, Linux 6.1.
"""

from freehint.engine.guest.balloon import move_balloon_page, note_places, place_of
from freehint.engine.guest.kthreads import FRAG_CHECK_INTERVAL_NS, MAX_DEFER_SHIFT
from freehint.engine.world.clock import TICK_NS
from freehint.engine.world.content import arrive, write_page_structure
from freehint.engine.world.dirty import log_write
from freehint.engine.world.hints import pages_allocated
from freehint.jit import kernel
from freehint.mm.compact.direct import set_request
from freehint.mm.compact.kcompactd import answer_kswapd, kcompactd_step, kcompactd_timeout
from freehint.mm.compact.state import (
    COMPACT_CONTINUE,
    MIGRATE_SYNC,
    PROCESS,
    VIA_COMPACT_MEMORY,
)
from freehint.mm.compact.zone import begin_zone, step_zone
from freehint.mm.memory import UNMOVABLE
from freehint.mm.reclaim.counts import WORK_MIGRATED

WHEEL_TICKS = 8


@kernel(cold=True)
def move_in_balloon(world):
    """Let the balloon know which of its pages compaction has moved."""
    compaction = world.reclaim.compaction
    moved = compaction.daemon[0].nr_strangers
    if moved:
        note_places(world)
    for row in range(moved):
        source, target = compaction.strangers[row]
        place = place_of(world, source)
        if place >= 0:
            move_balloon_page(world, place, target)
            world.owner[target] = -1 - place
            world.owner[source] = 0
    compaction.daemon[0].nr_strangers = 0


@kernel(cold=True)
def find_moved(world):
    """Let the content follow the pages that compaction has moved since this was last called."""
    content = world.jobs.content
    if world.reclaim.work[WORK_MIGRATED] == 0:
        return
    move_in_balloon(world)
    for place in range(content.shape[0]):
        node = world.reclaim.place[place] - 1
        if node >= 0 and world.version[node] != content[place]:
            pages_allocated(world, node, 0)
            write_page_structure(world, node)
            world.version[node] = content[place]
            log_write(world.dirty, node)
            arrive(world, node)
            world.tally[0].migrated += 1


@kernel(inline=True)
def look_after(now_ns, jiffies):
    """When a sleep for so many ticks ends: at the next border of 8 (125 ticks last 512 ms).

    Source: calc_wheel_index() of kernel/time/timer.c, for 63 to 503 ticks.
    """
    ticks = (now_ns // TICK_NS + jiffies) // WHEEL_TICKS + 1
    return ticks * WHEEL_TICKS * TICK_NS


@kernel(cold=True)
def kcompactd_is_due(world, now_ns):
    """Has kcompactd something to do?  Twice a second it looks at the fragmentation score."""
    memory, reclaim, compaction = world.memory, world.reclaim, world.reclaim.compaction
    state, daemon = world.jobs.state[0], world.reclaim.compaction.daemon[0]
    answer_kswapd(memory, reclaim, compaction)
    if now_ns >= state.kcompactd_at:
        state.kcompactd_at = look_after(now_ns, FRAG_CHECK_INTERVAL_NS // TICK_NS)
        if kcompactd_timeout(memory, reclaim, compaction):
            world.tally[0].compactions += 1
    return daemon.awake != 0


@kernel(cold=True)
def kcompactd_turn(world, now_ns):
    """Do one round; return True while there is more to do.

    The time until the next look at the score begins when the work is done.
    """
    state, daemon = world.jobs.state[0], world.reclaim.compaction.daemon[0]
    proactive = daemon.proactive
    more = kcompactd_step(world.memory, world.reclaim, world.reclaim.compaction, 0)
    find_moved(world)
    if not more:
        state.kcompactd_at = look_after(now_ns, FRAG_CHECK_INTERVAL_NS // TICK_NS)
        if proactive and not daemon.progress:
            state.kcompactd_at = now_ns + (FRAG_CHECK_INTERVAL_NS << MAX_DEFER_SHIFT)
    return more


@kernel(cold=True)
def compact_memory_step(world, at):
    """Do one round of the compaction of all zones; return the state that goes on, or -1.

    ``at`` is twice the zone's position, plus 1 if its compaction has begun.
    """
    memory, reclaim, compaction = world.memory, world.reclaim, world.reclaim.compaction
    zone = at >> 1
    if zone == memory.zones.shape[0]:
        return -1
    if at & 1 == 0:
        cc = compaction.control[PROCESS]
        set_request(cc, 0, VIA_COMPACT_MEMORY, UNMOVABLE, 0)
        cc.mode = MIGRATE_SYNC
        cc.whole_zone = cc.ignore_skip_hint = 1
        result = begin_zone(memory, reclaim, compaction, PROCESS, zone)
        return at + 1 if result == COMPACT_CONTINUE else at + 2
    result = step_zone(memory, reclaim, compaction, PROCESS)
    find_moved(world)
    return at if result == COMPACT_CONTINUE else at + 1
