"""A guest CPU: each event allocates, writes or frees, through the real allocator.

An operation that stays on the pcp lists needs no zone lock.  One that refills, drains or goes
straight to the buddy lists takes the lock after other CPUs' short holds.  While a policy's stroke
holds the lock, the CPU sleeps until the release, and the wait becomes a row.
"""

from freehint.engine.guest.programs import DIRTY, program_event
from freehint.engine.guest.waiting import end_wait, under_zone_lock, wait_for_release
from freehint.engine.world.clock import ask_to_shrink, schedule, suspend
from freehint.engine.world.content import has_content, pay_faults, write_block, write_page
from freehint.engine.world.hints import pages_allocated
from freehint.engine.world.records import WAIT_ALLOC, WAIT_FREE
from freehint.jit import kernel, prefetch, seldom
from freehint.mm.list import list_next, prefetch_links
from freehint.mm.memory import LRU, MOVABLE, pcp_list_head
from freehint.mm.zone import NO_PAGE, alloc_pages, free_pages, mark_lru

# A word's bits, from the lowest: 8 choose write or not, 8 allocate or free, then 12 the order and
# 12 the type of an allocation, or 24 the victim of a free; the highest 11 draw the interval.
QUANTILES = 4096
WISH_ORDER, WISH_TYPE = 0, 1


@kernel(inline=True)
def alloc_event(world, cpu, word, now_ns):
    """Allocate a block of a drawn order and type.

    Returns
    -------
    int
        When it is done, in ns; -1 if the CPU has to wait.
    """
    order = int(world.wish[WISH_ORDER, (word >> 16) & (QUANTILES - 1)])
    migratetype = int(world.wish[WISH_TYPE, (word >> 28) & (QUANTILES - 1)])
    locked = world.state[0].locked_zones
    node, zone, blocks = alloc_pages(world.memory, cpu, order, migratetype, locked)
    if seldom(node < NO_PAGE):  # a lock is held, or a policy is called first
        return -1
    done = now_ns + world.cost[0].pcp_ns
    if seldom(node == NO_PAGE) and ask_to_shrink(world, cpu):
        return -1
    if seldom(node == NO_PAGE):
        world.tally[0].failed_allocations += 1
        end_wait(world, cpu, 0, WAIT_ALLOC, now_ns, now_ns)
        return done
    if seldom(blocks > 0):
        done = under_zone_lock(world, cpu, zone, WAIT_ALLOC, blocks, now_ns)
    elif seldom(world.cpu[cpu].wait_since >= 0):  # its second try: another zone's list served it
        end_wait(world, cpu, zone, WAIT_ALLOC, now_ns, now_ns)
    # Whether a page is movable is a coin's throw to the processor, so it does not branch there.
    world.memory.frame[node] = LRU if migratetype == MOVABLE else 0
    if seldom(order > 0) and migratetype == MOVABLE:
        mark_lru(world.memory, node, order)
    pages_allocated(world, node, order)
    if has_content(world):
        if order == 0:
            write_page(world, node)
        else:
            write_block(world, node, order, False)
    world.held[cpu, world.cpu[cpu].nr_blocks] = (node << 4) | order
    world.cpu[cpu].nr_blocks += 1
    world.cpu[cpu].live_pages += 1 << order
    world.tally[0].allocations += 1
    return done


@kernel(inline=True)
def free_event(world, cpu, word, now_ns):
    """Free one of the CPU's blocks, drawn evenly.

    Returns
    -------
    int
        When it is done, in ns; -1 if the CPU has to wait.
    """
    last = world.cpu[cpu].nr_blocks - 1
    victim = drawn_block(word, last + 1)
    node = world.held[cpu, victim] >> 4
    order = world.held[cpu, victim] & 0xF
    locked = world.state[0].locked_zones
    freed, zone, blocks = free_pages(world.memory, node, cpu, order, locked)
    if seldom(not freed):
        return -1
    world.held[cpu, victim] = world.held[cpu, last]
    world.cpu[cpu].nr_blocks = last
    world.cpu[cpu].live_pages -= 1 << order
    world.tally[0].frees += 1
    if seldom(blocks > 0):
        return under_zone_lock(world, cpu, zone, WAIT_FREE, blocks, now_ns)
    if seldom(world.cpu[cpu].wait_since >= 0):
        end_wait(world, cpu, zone, WAIT_FREE, now_ns, now_ns)
    return now_ns + world.cost[0].pcp_ns


@kernel(inline=True)
def drawn_block(word, blocks):
    """The place of the block that a word draws from a CPU's ``blocks``."""
    return (((word >> 16) & 0xFFFFFF) * blocks) >> 24


@kernel(inline=True)
def pass_write(world, cpu, due_ns, until_ns):
    """In a guest without content, let the CPU's next event, at ``due_ns``, pass if it writes.

    It changes nothing that another actor or Python sees before ``until_ns``.  Nobody can foresee
    whether it is one, so the processor is not asked to: there is no branch.

    Returns
    -------
    int
        The time of the event after it, in ns; ``due_ns`` if it is none.
    """
    record = world.cpu[cpu]
    at = record.word_at
    if seldom(at == world.words.shape[1]):
        return due_ns
    word = world.words[cpu, at]
    writes = ((word & 0xFF) < world.state[0].write_threshold) & (record.nr_blocks > 0)
    passes = int(writes & (due_ns < until_ns))
    record.word_at = at + passes
    world.tally[0].writes += passes
    # 0.5 to 1.5 of the mean interval, as behind each event.
    interval_ns = (world.state[0].interval_ns * (1024 + (word >> 52))) >> 11
    return due_ns + passes * (world.cost[0].write_ns + interval_ns)


@kernel(inline=True)
def ask_for_next_block(world, cpu):
    """Prefetch the entry of ``held`` that the CPU's next event reads if it frees or writes.

    That load takes as long as an event.  To prefetch the block's frame and links too, once its
    entry is there, gained nothing without content: 0.93 to 1.04 times the events per second at 16
    and 64 GiB.
    """
    at = world.cpu[cpu].word_at
    if at < world.words.shape[1]:
        place = drawn_block(world.words[cpu, at], world.cpu[cpu].nr_blocks)
        prefetch(world.held, cpu * world.held.shape[1] + place)
        prefetch(world.words, cpu * world.words.shape[1] + at + 16)


@kernel(inline=True)
def ask_for_content(world, cpu):
    """Prefetch what four more loads of the CPU's next event reach in a guest with content.

    If it frees or writes, they wait for the entry of ``held``, so that is asked for two events
    before; if it allocates, most likely the next page of its MOVABLE list.
    """
    memory = world.memory
    page = list_next(memory.links, pcp_list_head(memory, memory.zones.shape[0] - 1, cpu, MOVABLE))
    prefetch(world.fate, page)
    prefetch(world.version, page)
    prefetch(world.present, page >> 6)
    prefetch_links(memory.links, page)
    at, blocks = world.cpu[cpu].word_at, world.cpu[cpu].nr_blocks
    if at + 1 < world.words.shape[1]:
        place = drawn_block(world.words[cpu, at + 1], blocks)
        prefetch(world.held, cpu * world.held.shape[1] + place)
        node = world.held[cpu, drawn_block(world.words[cpu, at], blocks)] >> 4
        prefetch(world.version, node)
        prefetch(world.present, node >> 6)
        prefetch(memory.frame, node)
        prefetch_links(memory.links, node)


@kernel(inline=True)
def write_held_page(world, cpu, word):
    """Write the first page of one of the CPU's blocks, drawn evenly."""
    victim = drawn_block(word, world.cpu[cpu].nr_blocks)
    write_page(world, world.held[cpu, victim] >> 4)


@kernel(inline=True)
def program_event_of_cpu(world, cpu, now_ns):
    """A program's next page.  A program that allocates waits while a stroke holds a zone's lock."""
    word = world.words[cpu, world.cpu[cpu].word_at]
    if world.state[0].locked_zones and world.state[0].program > 1 + DIRTY:
        wait_for_release(world, cpu, now_ns)
        return
    end_wait(world, cpu, 0, WAIT_ALLOC, now_ns, now_ns)
    due_ns = program_event(world, word, now_ns)
    if due_ns < 0:
        suspend(world, cpu)
    else:
        world.cpu[cpu].word_at += 1
        schedule(world, cpu, due_ns + pay_faults(world))


@kernel(inline=True)
def cpu_event(world, cpu, now_ns, until_ns):
    """One event of a CPU, and a write that follows before ``until_ns`` where nobody sees it.

    A CPU that had to wait repeats its word, and so its operation.
    """
    state = world.state[0]
    word = world.words[cpu, world.cpu[cpu].word_at]
    blocks = world.cpu[cpu].nr_blocks
    writes = ((word & 0xFF) < state.write_threshold) & (blocks > 0)
    if seldom(writes):  # most writes have been passed
        world.tally[0].writes += 1
        done = now_ns + world.cost[0].write_ns
        if has_content(world):
            write_held_page(world, cpu, word)
    else:
        # Below its target a CPU mostly allocates, above it mostly frees.
        threshold = state.growth_threshold
        if world.cpu[cpu].live_pages >= state.target_pages:
            threshold = 256 - threshold
        # One branch, which is a coin's throw, and not a second one behind it.
        allocates = (((word >> 8) & 0xFF) < threshold) & (blocks < world.held.shape[1])
        if allocates | (blocks == 0):
            done = alloc_event(world, cpu, word, now_ns)
        else:
            done = free_event(world, cpu, word, now_ns)
    if seldom(done < 0):
        wait_for_release(world, cpu, now_ns)
    else:
        world.cpu[cpu].word_at += 1
        due_ns = done + ((state.interval_ns * (1024 + (word >> 52))) >> 11)
        if has_content(world):
            ask_for_next_block(world, cpu)
            ask_for_content(world, cpu)
            due_ns += pay_faults(world)
        else:
            due_ns = pass_write(world, cpu, due_ns, until_ns)
            ask_for_next_block(world, cpu)
        schedule(world, cpu, due_ns)
