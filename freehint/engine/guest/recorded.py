"""A recorded trace as the guest: each CPU's allocations and frees ask our allocator.

Each page that the trace allocates has a place in ``held``, in row 0 for all CPUs.  An allocation
stores the model's block there, and the row that frees the page reads it there.  So kcompactd may
move a page meanwhile.  Pages in use at T0 that the trace frees have places after these, which are
filled from the start.

A CPU runs a row at its recorded time plus its slip: the time that it has lost so far to locks,
faults, waits for pages that a policy gives back, waits for other CPUs, or while the guest was
stopped.  The recorded times contain the time of the row itself, so that is no slip.
"""

from freehint.engine.guest.waiting import end_wait, under_zone_lock, wait_for_release
from freehint.engine.world.clock import ask_to_shrink, schedule, suspend
from freehint.engine.world.content import pay_faults, write_block, write_page_structure
from freehint.engine.world.hints import pages_allocated
from freehint.engine.world.records import WAIT_ALLOC, WAIT_FREE
from freehint.formats.traces.rows import ALLOC, FREE, FREE_BATCHED, TO_PCP_LATER
from freehint.jit import kernel
from freehint.mm.memory import MOVABLE
from freehint.mm.zone import NO_PAGE, alloc_pages, free_pages, mark_lru

# Columns of World.trace: ns since the first row, ALLOC or FREE, order, migratetype, first place in
# ``held``, recorded block.  The run writes the last two for an allocation, in its last lap: the
# block that it got, NO_PAGE if none, and the time in ns at which it asked.
T_TIME, T_KIND, T_ORDER, T_TYPE, T_SLOT, T_NODE, T_GOT, T_AT, TRACE_COLUMNS = range(9)
# Entries of ``held`` that are no blocks: their low four bits are no order that could be moved.
GONE, NOT_YET = -1, -2  # freed or not served; the allocation has not run in this lap
IN_USE_AT_T0 = 0xF
NOBODYS = 0  # place of the blocks that the trace frees without a known allocation: always GONE
AT_LAPS_END = -1


@kernel
def number_places(rows, in_use, place_of, slots, freed):
    """Find the place in ``held`` for each row, in the order of the trace.

    Parameters
    ----------
    rows : Rows
        The trace's rows with settled orders and fates.
    in_use : bool[nr_pages]
        Pages in use at T0.
    place_of : int64[nr_pages] of -1
        Scratch space: the place of the trace's last allocation in this page.
    slots : int64[rows]
        Output: first place; -1 for rows that neither allocate nor free; -2 - page for a page in
        use at T0.
    freed : bool[1 + pages allocated]
        Output: whether a row frees the place.

    Returns
    -------
    int
        Number of places.
    """
    behind = 1
    for row in range(rows.kind.shape[0]):
        kind, node, pages = rows.kind[row], rows.node[row], 1 << max(rows.order[row], 0)
        slots[row] = -1
        if kind == ALLOC:
            slots[row] = behind
            for i in range(pages):
                place_of[node + i] = behind + i
            behind += pages
        elif kind == FREE_BATCHED or (kind == FREE and rows.fate[row] != TO_PCP_LATER):
            first = place_of[node]
            known = first != NOBODYS
            for i in range(pages):
                same = place_of[node + i] == (first + i if first > 0 else first)
                known = known and same and (first > 0 or in_use[node + i])
            slots[row] = NOBODYS
            if known:
                slots[row] = first if first > 0 else -2 - node
            for i in range(pages):
                if first > 0 and known:
                    freed[first + i] = True
                place_of[node + i] = NOBODYS
    return behind


@kernel(inline=True)
def fill_places(world, slot, node, order):
    """Store an allocation's block, or GONE if ``node`` is -1, in its places of ``held``."""
    for i in range(1 << order):
        world.held[0, slot + i] = GONE if node < 0 else ((node + i) << 4) | order


@kernel(inline=True)
def wake_who_awaits(world, slot, order, now_ns):
    """Wake the CPUs that wait to free a block that was just allocated."""
    for cpu in range(world.cpu.shape[0]):
        awaited = world.cpu[cpu].awaits - 1
        if slot <= awaited < slot + (1 << order):
            world.cpu[cpu].awaits = 0
            schedule(world, cpu, now_ns)


@kernel(inline=True)
def finish_under_lock(world, cpu, zone, kind, blocks, now_ns):
    """Hold the zone lock for a row, count the wait as slip, and return the time of its end."""
    done = under_zone_lock(world, cpu, zone, kind, blocks, now_ns)
    held_ns = world.cost[0].lock_ns + blocks * world.cost[0].buddy_ns
    world.cpu[cpu].slip_ns += done - held_ns - now_ns
    return done


@kernel
def recorded_alloc(world, cpu, now_ns):
    """Allocate the block that the CPU's row asks for.

    Returns
    -------
    int
        When it is done, in ns; -1 if the CPU has to wait.
    """
    row = world.trace[world.cpu[cpu].row]
    order, migratetype, slot = row[T_ORDER], row[T_TYPE], row[T_SLOT]
    locked = world.state[0].locked_zones
    node, zone, blocks = alloc_pages(world.memory, cpu, order, migratetype, locked)
    if node < NO_PAGE or (node == NO_PAGE and ask_to_shrink(world, cpu)):
        wait_for_release(world, cpu, now_ns)
        return -1
    done = now_ns + world.cost[0].pcp_ns
    if node == NO_PAGE:
        world.tally[0].failed_allocations += 1
        end_wait(world, cpu, 0, WAIT_ALLOC, now_ns, now_ns)
    else:
        if blocks > 0:
            done = finish_under_lock(world, cpu, zone, WAIT_ALLOC, blocks, now_ns)
        else:
            end_wait(world, cpu, zone, WAIT_ALLOC, now_ns, now_ns)
        if migratetype == MOVABLE:
            mark_lru(world.memory, node, order)
        pages_allocated(world, node, order)
        write_block(world, node, order, False)
        write_page_structure(world, node)
        world.tally[0].allocations += 1
        world.tally[0].as_recorded += node == row[T_NODE]
    row[T_GOT], row[T_AT] = node, now_ns
    fill_places(world, slot, node, order)
    wake_who_awaits(world, slot, order, done)
    return done


@kernel
def recorded_free(world, cpu, now_ns):
    """Free the block that the CPU's row frees.

    Returns
    -------
    int
        When it is done, in ns; -1 if the CPU has to wait.
    """
    row = world.trace[world.cpu[cpu].row]
    order, slot = row[T_ORDER], row[T_SLOT]
    block = world.held[0, slot]
    if block == NOT_YET:
        world.cpu[cpu].awaits = 1 + slot
        suspend(world, cpu)
        return -1
    if block == GONE:
        later = slot >= world.state[0].nr_slots and world.state[0].lap > 0
        world.tally[0].skipped_frees += later
        world.tally[0].unknown_frees += not later
        return now_ns
    node = block >> 4
    locked = world.state[0].locked_zones
    freed, zone, blocks = free_pages(world.memory, node, cpu, order, locked)
    if not freed:
        wait_for_release(world, cpu, now_ns)
        return -1
    for i in range(1 << order):
        world.held[0, slot + i] = GONE
    write_page_structure(world, node)
    world.tally[0].frees += 1
    if blocks > 0:
        return finish_under_lock(world, cpu, zone, WAIT_FREE, blocks, now_ns)
    end_wait(world, cpu, zone, WAIT_FREE, now_ns, now_ns)
    return now_ns + world.cost[0].pcp_ns


@kernel(inline=True)
def behind_last_row(world, cpu):
    """The end of a CPU's rows in this lap; the last lap frees nothing that it leaves allocated."""
    state, record = world.state[0], world.cpu[cpu]
    return record.last_row if state.lap + 1 == state.laps else record.end_row


@kernel(inline=True)
def plan_row(world, cpu, ready_ns):
    """Schedule the CPU's next row, or its end of the lap, for when it is due and the CPU ready."""
    state, record = world.state[0], world.cpu[cpu]
    since_t0 = state.lap_ns
    if record.row < behind_last_row(world, cpu):
        since_t0 = world.trace[record.row, T_TIME]
    due_ns = max(state.lap * state.lap_ns + since_t0 + record.slip_ns, ready_ns)
    record.due_ns = due_ns
    schedule(world, cpu, due_ns)


@kernel
def end_lap(world, cpu, now_ns):
    """End a CPU's lap.  The last CPU to do so begins the next lap for all, with one common slip."""
    state = world.state[0]
    world.cpu[cpu].awaits = AT_LAPS_END
    suspend(world, cpu)
    state.at_laps_end += 1
    if state.at_laps_end < world.cpu.shape[0] or state.lap + 1 == state.laps:
        return
    state.at_laps_end = 0
    state.lap += 1
    slip_ns = 0
    for other in range(world.cpu.shape[0]):
        slip_ns = max(slip_ns, world.cpu[other].slip_ns)
    world.held[0, 1 : state.nr_slots] = NOT_YET
    for other in range(world.cpu.shape[0]):
        record = world.cpu[other]
        record.awaits = 0
        record.row = record.first_row
        record.slip_ns = slip_ns
        plan_row(world, other, now_ns)


@kernel
def recorded_event(world, cpu, now_ns):
    """Run a CPU's next row, again if the row had to wait, or end the CPU's lap."""
    record = world.cpu[cpu]
    if record.awaits == AT_LAPS_END:
        suspend(world, cpu)  # the release of a lock has woken all CPUs
        return
    record.slip_ns += now_ns - record.due_ns
    record.due_ns = now_ns
    if record.row == behind_last_row(world, cpu):
        end_lap(world, cpu, now_ns)
        return
    kind = world.trace[record.row, T_KIND]
    done = (
        recorded_alloc(world, cpu, now_ns) if kind == ALLOC else recorded_free(world, cpu, now_ns)
    )
    if done < 0:
        return
    faults_ns = pay_faults(world)
    record.slip_ns += faults_ns
    if record.row < record.last_row:
        record.rows += 1
        world.tally[0].rows += 1
    record.row += 1
    plan_row(world, cpu, done + faults_ns)
