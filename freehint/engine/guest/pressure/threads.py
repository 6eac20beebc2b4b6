"""What comes from outside of the tasks: the disk, the flusher, the vmstat worker, and the clock.

They take no time of the CPU here.  The clock notes the course of free memory and of the counters.
"""

from freehint.engine.guest.kthreads import vmstat_event
from freehint.engine.guest.pressure.cache import flush_turn, io_turn
from freehint.engine.guest.pressure.forked import exit_forked
from freehint.engine.guest.pressure.outside import compact_everything
from freehint.engine.world.clock import NEVER, schedule
from freehint.engine.world.jobs import NR_COURSE_STATE
from freehint.jit import kernel
from freehint.mm.reclaim.counts import NR_COUNTS
from freehint.mm.reclaim.kswapd import end_nap
from freehint.mm.reclaim.lists import lru_pages
from freehint.mm.reclaim.state import UNEVICTABLE
from freehint.units import NS_PER_MS

LATER_NS = NS_PER_MS  # the vmstat worker tries again if a stroke holds a zone lock


@kernel(cold=True)
def note_course(world, now_ns):
    """Write a row of the course.  Its columns are COURSE and COUNTS."""
    jobs, state, node = world.jobs, world.jobs.state[0], world.reclaim.node[0]
    state.course_at = now_ns + state.course_ns
    if state.nr_course == jobs.course.shape[0]:
        return
    row = jobs.course[state.nr_course]
    state.nr_course += 1
    row[0] = now_ns
    for zone in range(world.memory.zones.shape[0]):
        row[1] += world.memory.zones[zone].nr_free_pages
        row[2] += world.memory.pcp[zone, 0].count
    row[3] = node.kswapd_awake
    for lru in range(UNEVICTABLE):
        row[4 + lru] = lru_pages(world.reclaim, lru)
    row[8], row[9], row[10] = node.nr_dirty, node.nr_writeback, node.swap_free
    for i in range(NR_COUNTS):
        row[NR_COURSE_STATE + i] = world.reclaim.count[i]


@kernel
def threads_event(world, actor, now_ns):
    """Do everything that is due, wake the CPU if it idles, and plan the next turn."""
    state, jobs = world.state[0], world.jobs.state[0]
    if jobs.course_at <= now_ns:
        note_course(world, now_ns)
    if jobs.io_at <= now_ns:
        io_turn(world, now_ns)
    if jobs.flush_at <= now_ns:
        flush_turn(world, now_ns)
    if jobs.nap_at <= now_ns:
        jobs.nap_at = NEVER
        end_nap(world.memory, world.reclaim)
    if state.vmstat_at <= now_ns:
        if state.locked_zones:
            state.vmstat_at = now_ns + LATER_NS
        else:
            state.vmstat_at = vmstat_event(world, now_ns)
    if not state.locked_zones:
        exit_forked(world, now_ns)
    waits = state.compact_asked and (state.locked_zones or not compact_everything(world, now_ns))
    if jobs.task < 0 and world.cpu[0].wait_since < 0:
        schedule(world, 0, now_ns)
    due_ns = min(jobs.course_at, jobs.io_at, jobs.flush_at, jobs.nap_at, state.vmstat_at)
    if waits:
        due_ns = min(due_ns, now_ns + LATER_NS)
    schedule(world, actor, max(due_ns, now_ns + 1))
