"""The guest's kernel threads: the vmstat worker that shrinks pcp lists, and kcompactd.

One actor plays both.  The vmstat worker looks at each CPU once per second and lets pcp.high decay
(from 6.7 on).  kcompactd tests twice per second whether most free memory is in small blocks; if
so, it compacts zone by zone, 32 pages at a time, until the score is down or the scanners meet.
When compact_memory is written it compacts every zone until the scanners meet.  (In a kernel the
process that writes does that; here compaction that already runs ends first.)  Both wait while a
policy's stroke holds the lock of a zone that they need.

Source: refresh_cpu_vm_stats() of mm/vmstat.c; kcompactd(), proactive_compact_node() of
mm/compaction.c, Linux 6.1 and 6.12.
"""

from freehint.engine.guest.balloon import move_balloon_page, note_places, place_of
from freehint.engine.world.clock import hold_lock, schedule, suspend
from freehint.engine.world.content import copy_page, has_content, pages_freed, write_page_structure
from freehint.engine.world.hints import pages_allocated
from freehint.jit import kernel
from freehint.mm.compact.proactive import (
    COMPACT_CLUSTER_MAX,
    MIGRATE_AT,
    NR_TARGETS,
    SCORE_HIGH,
    SCORE_LOW,
    begin_compaction,
    fragmentation_score_node,
    fragmentation_score_zone,
    isolate_freepages,
    scanners_met,
    take_target,
)
from freehint.mm.memory import LRU, PAGEBLOCK_NR_PAGES, page_zone
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp import decay_pcp_high, free_unref_page
from freehint.units import NS_PER_MS

STAT_INTERVAL_NS = 1000 * NS_PER_MS  # vm.stat_interval, 1 s
CPU_SKEW_NS = 12 * NS_PER_MS  # round_jiffies(): 3 jiffies per CPU at 250 Hz
FRAG_CHECK_INTERVAL_NS = 500 * NS_PER_MS  # HPAGE_FRAG_CHECK_INTERVAL_MSEC
MAX_DEFER_SHIFT = 6  # COMPACT_MAX_DEFER_SHIFT: without progress, the next test is 32 s later
RMAP_CLUSTERS = 64  # clusters moved between two calls of read_owners()
NOBODY, IN_BALLOON = -1, -2  # whose a page is; see owned_slot()


@kernel
def read_owners(world):
    """Note the place in ``held`` of every page of order 0 that a CPU holds."""
    world.owner[:] = 0
    room = world.held.shape[1]
    for cpu in range(world.held.shape[0]):
        for i in range(world.cpu[cpu].nr_blocks):
            block = world.held[cpu, i]
            if block & 0xF == 0:
                world.owner[block >> 4] = 1 + cpu * room + i
    note_places(world)


@kernel(inline=True)
def owned_slot(world, node):
    """The place in ``held`` of a movable page of order 0, IN_BALLOON - its place there, or NOBODY.

    A page that has changed its place since read_owners() is skipped, like one that cannot be
    migrated at the moment.
    """
    if world.memory.frame[node] & LRU == 0:
        return NOBODY
    place = place_of(world, node)
    if place >= 0:
        return IN_BALLOON - place
    slot = int(world.owner[node]) - 1
    room = world.held.shape[1]
    if slot < 0 or slot % room >= world.cpu[slot // room].nr_blocks:
        return NOBODY
    return slot if world.held[slot // room, slot % room] == node << 4 else NOBODY


@kernel
def migrate_page(world, source, target, slot, cpu):
    """Move one page: its owner gets the target, and the source goes to the pcp list.

    Source: migrate_pages(), folio_migrate_flags().
    """
    memory, room = world.memory, world.held.shape[1]
    pages_allocated(world, target, 0)
    if has_content(world):
        if slot >= 0:
            copy_page(world, source, target)
        write_page_structure(world, source)
        write_page_structure(world, target)
        pages_freed(world, source, 0)
    memory.frame[target] = LRU
    memory.frame[source] = 0
    if slot >= 0:
        world.held[slot // room, slot % room] = target << 4
    else:
        move_balloon_page(world, IN_BALLOON - slot, target)
    world.owner[target], world.owner[source] = world.owner[source], 0
    zone, migratetype = page_zone(memory, source), get_pageblock_migratetype(memory, source)
    free_unref_page(memory, source, zone, cpu, 0, migratetype)
    world.tally[0].migrated += 1


@kernel
def migrate_cluster(world, zone):
    """Move up to 32 pages, not beyond the end of one pageblock; return the number moved.

    Source: isolate_migratepages(), one round of compact_zone().
    """
    control, moved = world.control, 0
    start = control.at[MIGRATE_AT]
    end = (start & ~(PAGEBLOCK_NR_PAGES - 1)) + PAGEBLOCK_NR_PAGES
    node = start
    while node < end and moved < COMPACT_CLUSTER_MAX:
        slot = owned_slot(world, node)
        if slot != NOBODY:
            if control.at[NR_TARGETS] == 0:
                wanted = COMPACT_CLUSTER_MAX - moved
                if isolate_freepages(world.memory, control, zone, wanted) == 0:
                    break
            migrate_page(world, node, take_target(control), slot, 0)
            moved += 1
        node += 1
    control.at[MIGRATE_AT] = node
    return moved


@kernel
def end_compaction(world):
    """Give back the free pages that are still in hand.  Source: release_freepages()."""
    memory = world.memory
    while world.control.at[NR_TARGETS] > 0:
        node = take_target(world.control)
        zone, migratetype = page_zone(memory, node), get_pageblock_migratetype(memory, node)
        free_unref_page(memory, node, zone, 0, 0, migratetype)


@kernel(inline=True)
def zone_is_done(world, zone):
    """Is the compaction of a zone finished?  Source: __compact_finished()."""
    if world.state[0].compact_all:
        return scanners_met(world.control)
    return scanners_met(world.control) or fragmentation_score_zone(world.memory, zone) <= SCORE_LOW


@kernel
def compact_step(world, now_ns):
    """Do one round of kcompactd, and return the time in ns when the next is due."""
    state, zone = world.state[0], world.state[0].compact_zone
    before = world.control.at[MIGRATE_AT]
    moved = migrate_cluster(world, zone)
    state.clusters += 1
    if state.clusters % RMAP_CLUSTERS == 0:
        read_owners(world)
    stuck = world.control.at[MIGRATE_AT] == before and moved == 0
    done = now_ns + moved * world.cost[0].migrate_page_ns
    if state.compact_all:
        world.tally[0].compact_memory_ns += done - now_ns
    if moved > 0:
        hold_lock(world, zone, now_ns, moved * world.cost[0].buddy_ns)
    if not stuck and not zone_is_done(world, zone):
        return done
    end_compaction(world)
    return next_zone_to_compact(world, zone + 1, done)


@kernel
def end_compact_memory(world, now_ns):
    """End compact_memory, and wake the policies that wait for it."""
    world.state[0].compact_all = 0
    first = world.cpu.shape[0] + 2  # the CPUs, these threads and the host come before the workers
    for user in range(world.user.shape[0]):
        if world.user[user].awaits:
            world.user[user].awaits = 0
            schedule(world, first + user, now_ns)


@kernel
def next_zone_to_compact(world, zone, now_ns):
    """Begin with the next zone, from ``zone`` on, that is above the low score.

    Source: proactive_compact_node(), kcompactd().

    Returns
    -------
    int
        When kcompactd's next turn is due, in ns: now, or after the last zone the next test.
    """
    state = world.state[0]
    while zone < world.memory.zones.shape[0]:
        begin_compaction(world.memory, world.control, zone)
        if not zone_is_done(world, zone):
            state.compact_zone = zone
            return now_ns
        zone += 1
    state.compact_zone = -1
    if state.compact_all:
        end_compact_memory(world, now_ns)
        return now_ns + FRAG_CHECK_INTERVAL_NS
    if state.compact_asked:
        return now_ns
    progress = fragmentation_score_node(world.memory) < state.compact_score
    return now_ns + (FRAG_CHECK_INTERVAL_NS << (0 if progress else MAX_DEFER_SHIFT))


@kernel
def kcompactd_event(world, now_ns):
    """Test the score, or move a cluster; return the time in ns when the next turn is due."""
    state = world.state[0]
    if state.compact_zone >= 0:
        return compact_step(world, now_ns)
    if state.compact_asked:
        state.compact_asked, state.compact_all = 0, 1
        read_owners(world)
        return next_zone_to_compact(world, 0, now_ns)
    score = fragmentation_score_node(world.memory)
    if score <= SCORE_HIGH or not world.memory.profile.proactive_compaction:
        return now_ns + FRAG_CHECK_INTERVAL_NS
    world.tally[0].compactions += 1
    state.compact_score = score
    read_owners(world)
    return next_zone_to_compact(world, 0, now_ns)


@kernel
def vmstat_event(world, now_ns):
    """Let the next CPU's pcp lists decay; return the time in ns when the next turn is due."""
    state = world.state[0]
    cpu = state.vmstat_cpu
    for zone in range(world.memory.zones.shape[0]):
        drained = decay_pcp_high(world.memory, zone, cpu)
        if drained > 0:
            world.tally[0].decayed += drained
            hold_lock(world, zone, now_ns, drained * world.cost[0].buddy_ns)
    last = cpu + 1 == world.held.shape[0]
    state.vmstat_cpu = 0 if last else cpu + 1
    if last:
        return now_ns - cpu * CPU_SKEW_NS + STAT_INTERVAL_NS
    return now_ns + CPU_SKEW_NS


@kernel
def kthreads_event(world, actor, now_ns):
    """Take the turn of the thread that is due, or sleep while a stroke holds a zone it needs."""
    state = world.state[0]
    vmstat = state.vmstat_at <= now_ns
    compacts = state.compact_zone >= 0 and state.locked_zones >> state.compact_zone & 1
    if state.locked_zones and (vmstat or compacts):
        state.kthreads_since = now_ns
        suspend(world, actor)
        return
    if vmstat:
        state.vmstat_at = vmstat_event(world, now_ns)
    else:
        state.kcompactd_at = kcompactd_event(world, now_ns)
    schedule(world, actor, max(now_ns, min(state.vmstat_at, state.kcompactd_at)))
