"""fork: processes that are forked, exec, live for a while and exit; several live at a time.

The allocations of a process are those of the recording ``fork`` (`wl_fork 25`, Linux 6.1, between
T0 and T1: 41,242 allocations).  Each process has two address spaces, the one that fork copies and
the one that exec makes in its place, each with a page directory of order 1: 1,376 directories make
688 processes.  The recording has no kernel stack of order 2: stacks are mapped page by page
(CONFIG_VMAP_STACK), and each CPU keeps two of them for the next process.

Source: data/linux-6.1/traces/fork; copy_mm(), exec_mmap(), exit_mm() of Linux 6.1.
"""

import numpy as np

from freehint.engine.guest.mapping import FREED, map_block, unmap_blocks
from freehint.engine.world.clock import ask_to_shrink
from freehint.engine.world.content import write_block
from freehint.jit import kernel
from freehint.mm.memory import MOVABLE, UNMOVABLE
from freehint.units import NS_PER_S

# (order, migratetype, blocks per process) in the order of allocation.  The sums are the recorded
# averages, rounded: 2.00 of order 1 UNMOVABLE, 20.4 of order 0 UNMOVABLE, 37.5 of order 0 MOVABLE.
COPIED = (
    (1, UNMOVABLE, 1),  # the page directory (two pages, with page table isolation)
    (0, UNMOVABLE, 8),  # page tables: 8.2 per address space
    (0, MOVABLE, 7),  # pages written, and so copied, between fork and exec in a typical process
)
OWN = (
    (1, UNMOVABLE, 1),
    (0, UNMOVABLE, 8),
    (0, MOVABLE, 21),  # zeroed anonymous pages: 21.3
    (0, UNMOVABLE, 4),  # a pipe's pages 2.0; pages with lists of pages to be freed 2.1
    (0, MOVABLE, 4),  # private pages of files, the rest of 37.5
)
FILES = ((0, MOVABLE, 5),)  # freed by another process: 3,467 pages, 5.0


def _blocks(rows) -> list:
    return [(order, migratetype) for order, migratetype, blocks in rows for _ in range(blocks)]


BLOCKS = np.array(_blocks(COPIED + OWN + FILES), np.int64)
NR_COPIED, NR_OWN, NR_BLOCKS = len(_blocks(COPIED)), len(_blocks(OWN)), len(BLOCKS)
NR_FILES = NR_BLOCKS - NR_COPIED - NR_OWN
EXEC_AT = NR_COPIED + 9  # the new directory and tables exist: exec drops the copied address space
MOST_ALIVE = 4000  # rows of World.pieces, less some


def step_ns(forks_per_s: float) -> int:
    """Time in ns from one allocation to the next."""
    return max(1, round(NS_PER_S / (forks_per_s * NR_BLOCKS)))


@kernel
def exit_processes(world, now_ns):
    """Let processes exit when their life is over, the oldest first, and give back their blocks.

    A process's files are removed when the next process exits.
    """
    state, ring = world.state[0], world.pieces.shape[0]
    while state.first_piece < state.nr_pieces:
        oldest = state.first_piece % ring
        if world.pieces[oldest, 2] > now_ns:
            return
        first = world.pieces[oldest, 0]
        files = first + NR_COPIED + NR_OWN
        unmap_blocks(world, first + NR_COPIED, files)
        if state.first_piece > 0:
            behind = world.pieces[(state.first_piece - 1) % ring, 1]
            unmap_blocks(world, behind - NR_FILES, behind)
        state.first_piece += 1


@kernel
def fork_step(world, now_ns):
    """Allocate the next block of the newest process; return False if it has to wait for memory.

    If there is no memory even after the wait, the process goes on without that block.
    """
    state = world.state[0]
    exit_processes(world, now_ns)
    order = BLOCKS[state.next_page, 0]
    slot = map_block(world, order, BLOCKS[state.next_page, 1])
    if slot >= 0:
        write_block(world, world.held[0, slot] >> 4, order, False)
    elif ask_to_shrink(world, 0):
        return False
    else:
        world.tally[0].failed_allocations += 1
        world.held[0, world.cpu[0].nr_blocks] = FREED
        world.cpu[0].nr_blocks += 1
    state.next_page += 1
    behind = world.cpu[0].nr_blocks
    if state.next_page == EXEC_AT:
        unmap_blocks(world, behind - EXEC_AT, behind - EXEC_AT + NR_COPIED)
    elif state.next_page == NR_BLOCKS:
        at = state.nr_pieces % world.pieces.shape[0]
        world.pieces[at, 0], world.pieces[at, 1] = behind - NR_BLOCKS, behind
        world.pieces[at, 2] = now_ns + state.life_ns
        state.nr_pieces += 1
        state.next_page = 0
    return True
