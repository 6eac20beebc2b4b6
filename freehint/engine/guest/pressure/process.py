"""Steps on anonymous memory: fill, dirty and frag; exit; and the process that the OOM kills.

A process touches its pages in order and writes each.  Page tables are pages of the kernel.

Source: do_anonymous_page() and do_swap_page() of mm/memory.c, oom_badness() and
oom_kill_process() of mm/oom_kill.c, Linux 6.1.
"""

from freehint.engine.guest.pressure.cache import OUT
from freehint.engine.guest.pressure.huge import (
    AGAIN,
    HUGE,
    get_huge_page,
    give_back_huge,
    may_be_huge,
)
from freehint.engine.guest.pressure.pages import (
    PLACES_PER_TABLE,
    get_anon_page,
    give_back,
    give_back_tables,
    is_resident,
    store_page,
)
from freehint.engine.guest.pressure.steps import (
    ANONYMOUS,
    KEPT,
    S_KIND,
    S_LAST,
    S_MORE,
    S_PAGES,
    S_PLACE,
    S_SOURCE,
)
from freehint.engine.world.jobs import (
    EXIT,
    KILLED,
    L_BEGIN,
    L_END,
    L_OOMS,
    L_OUTCOME,
    NEXT,
    R_EXIT,
    R_FILL,
    R_HUGE,
    R_OOM,
    R_REWRITE,
)
from freehint.jit import kernel
from freehint.mm.memory import PAGEBLOCK_NR_PAGES
from freehint.mm.reclaim.counts import OOM_KILL, PAGEOUTRUN
from freehint.mm.reclaim.lru import MINOR_FAULT, touch
from freehint.units import NS_PER_MS

SWAP_AHEAD_PAGES = 8  # vm.page-cluster = 3
PACE_PAGES = 64  # "dirty" looks at the clock after so many pages
PACE_NS = 2 * NS_PER_MS  # and sleeps if it is ahead by more than this


@kernel(cold=True)
def fill_page(world, row, now_ns):
    """Fault in and write page ``at`` of a mapping, or 512; return the time in ns, or OUT."""
    state = world.jobs.state[0]
    if may_be_huge(world, row, state.at):
        got = get_huge_page(world, row[S_PLACE] + state.at, now_ns)
        if got == HUGE:
            state.at += PAGEBLOCK_NR_PAGES
            return PAGEBLOCK_NR_PAGES * world.jobs.rate[R_HUGE]
        if got == AGAIN:
            return OUT
    if not get_anon_page(world, row[S_PLACE] + state.at, True, now_ns):
        return OUT
    state.at += 1
    return world.jobs.rate[R_FILL]


@kernel(cold=True)
def swap_extents(reclaim, first, end):
    """Separate reads that bring some places from swap: neighbours there are one.

    So in linux-6.1/rc_swap2, where scattered pages took about 0.1 ms each.
    Source: blk_attempt_plug_merge().
    """
    extents, last = 0, -1
    for place in range(first, end):
        if reclaim.place[place] < 0:
            slot = reclaim.swap[place]
            extents += slot != last + 1
            last = slot
    return extents


@kernel(cold=True)
def rewrite_page(world, place, end, now_ns):
    """Write a page again.  If it is in swap, it comes with those that follow, up to ``end``.

    The read is the process's own time, as in the recordings, where kswapd never runs meanwhile.
    The pages that were read ahead are not mapped: each takes a fault of its own.
    Source: do_swap_page(), swap_vma_readahead() for a process that goes forward.

    Returns
    -------
    (int, bool)
        Time in ns, or OUT; whether the page is written.
    """
    state, rate = world.jobs.state[0], world.jobs.rate
    if state.ahead < state.window:
        coming = state.ahead
        if world.reclaim.place[coming] >= 0:
            state.ahead += 1
            return 0, False
        if not get_anon_page(world, coming, False, now_ns):
            return OUT, False
        state.ahead += 1
        if state.ahead == state.window:
            return rate[R_FILL] + state.extents * state.swap_in_ns, False
        return rate[R_FILL], False
    if is_resident(world, place):
        met = touch(world.memory, world.reclaim, place, True)
        store_page(world, place, world.reclaim.place[place] - 1)
        return rate[R_FILL] if met == MINOR_FAULT else rate[R_REWRITE], True
    table_end = (place // PLACES_PER_TABLE + 1) * PLACES_PER_TABLE
    state.ahead, state.window = place, min(place + SWAP_AHEAD_PAGES, end, table_end)
    state.extents = swap_extents(world.reclaim, state.ahead, state.window)
    return 0, False


@kernel(cold=True)
def dirty_step(world, row, now_ns):
    """DIRTY: fill, then rewrite page after page at a rate until its time, the fill's too, is over.

    Source: the recorder's load, which a timeout kills.
    """
    state, pages = world.jobs.state[0], row[S_PAGES]
    swaps = world.reclaim.count[PAGEOUTRUN] > state.runs_before
    state.slow = state.slow_swap if swaps else state.slow_fill
    if now_ns - world.jobs.log[state.step, L_BEGIN] >= row[S_LAST]:
        state.part = EXIT
        state.exit_at = 0
        return 0
    if state.at < pages:
        spent = fill_page(world, row, now_ns)
        state.began_ns = now_ns  # the pace is that of the rewriting alone
        return spent
    at = state.at % pages
    spent, done = rewrite_page(world, row[S_PLACE] + at, row[S_PLACE] + pages, now_ns)
    if not done:
        return spent
    state.at += 1
    written = state.at - pages
    if written % PACE_PAGES == 1:
        due_ns = state.began_ns + written * row[S_MORE]
        if due_ns > now_ns + PACE_NS:
            state.ready_ns = max(state.ready_ns, due_ns)
    return spent


@kernel(cold=True)
def frag_step(world, row, now_ns):
    """FRAG: fill, then give back pieces in random order; what is left stays for good."""
    jobs, state = world.jobs, world.jobs.state[0]
    pages, chunk = row[S_PAGES], row[S_LAST]
    if state.at < pages:
        return fill_page(world, row, now_ns)
    given = state.at - pages
    if given // chunk >= pages // chunk * row[S_MORE] // 100:
        state.part = NEXT
        return 0
    piece = jobs.pieces[row[S_SOURCE] + given // chunk]
    give_back(world, row[S_PLACE] + piece * chunk + given % chunk)
    state.at += 1
    return jobs.rate[R_EXIT]


@kernel(cold=True)
def exit_step(world, row):
    """Give back the next page of a process that exits, or its page tables after the last.

    Returns
    -------
    (int, bool)
        Time in ns; whether it is gone.
    """
    state = world.jobs.state[0]
    while state.exit_at < row[S_PAGES]:
        place = row[S_PLACE] + state.exit_at
        if give_back_huge(world, place):
            state.exit_at += PAGEBLOCK_NR_PAGES
            return world.jobs.rate[R_EXIT], False
        state.exit_at += 1
        if give_back(world, place):
            return world.jobs.rate[R_EXIT], False
    give_back_tables(world, row[S_PLACE], row[S_PAGES])
    return 0, True


@kernel(cold=True)
def release_step(world, row):
    """RELEASE: give back the next page that is held; return the time in ns, 0 if none is left.

    First come those of the steps before, then those of a process from before time 0.
    """
    state, pages, more = world.jobs.state[0], row[S_PAGES], row[S_MORE]
    while state.at < pages + more:
        at = state.at
        place = row[S_PLACE] + at if at < pages else row[S_SOURCE] + at - pages
        if give_back_huge(world, place):
            state.at += PAGEBLOCK_NR_PAGES
            return world.jobs.rate[R_EXIT]
        state.at += 1
        if give_back(world, place):
            return world.jobs.rate[R_EXIT]
    if pages > 0:
        give_back_tables(world, row[S_PLACE], pages)
    if more > 0:
        give_back_tables(world, row[S_SOURCE], more)
    return 0


@kernel(inline=True)
def is_kept(kind):
    """Does what a step of this kind has mapped stay after its end?"""
    kept = False
    for one in KEPT:
        kept = kept or kind == one
    return kept


@kernel(cold=True)
def badness(world, step):
    """Pages of a step's process, in memory, in swap and in page tables; 0 if it is gone.

    Source: oom_badness().
    """
    row, jobs = world.jobs.step[step], world.jobs
    if row[S_KIND] not in ANONYMOUS or jobs.log[step, L_OUTCOME] == KILLED:
        return 0
    if step != jobs.state[0].step and not is_kept(row[S_KIND]):
        return 0
    pages = 0
    for place in range(row[S_PLACE], row[S_PLACE] + row[S_PAGES]):
        pages += world.reclaim.place[place] != 0
    first = row[S_PLACE] // PLACES_PER_TABLE
    for table in range(first, (row[S_PLACE] + row[S_PAGES] - 1) // PLACES_PER_TABLE + 1):
        pages += jobs.table[table] != 0
    return pages


@kernel(cold=True)
def out_of_memory(world, now_ns):
    """Kill the largest process: its step ends as soon as all its pages are given back.

    If no process has anonymous memory, the one that runs is killed.  Its printed report takes time
    too.  Source: out_of_memory(), select_bad_process(), oom_kill_process().
    """
    jobs, state = world.jobs, world.jobs.state[0]
    victim = most = 0
    for step in range(state.step + 1):
        pages = badness(world, step)
        if pages > most:
            victim, most = step, pages
    if most == 0:
        victim = state.step
    world.reclaim.node[0].oom = 0
    world.reclaim.count[OOM_KILL] += 1
    state.ooms += 1
    jobs.log[victim, L_OOMS] += 1
    jobs.log[victim, L_OUTCOME] = KILLED
    jobs.log[victim, L_END] = now_ns
    state.oom_of, state.exit_at = 1 + victim, 0
    return jobs.rate[R_OOM]
