"""What the actors of a simulation share: the clock, the zone locks, the fate of every hint.

Time is integer nanoseconds.  Every actor has one key, ``time << 5 | actor``: the smallest key
is the next event, and ties go to the lower actor, so the order of events is exact.
"""

from dataclasses import fields
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from freehint.config import Costs
from freehint.dirty import DirtyLog, log_write, set_bit, test_bit
from freehint.jit import kernel
from freehint.mm.compaction import CompactControl
from freehint.mm.memory import NR_USERS, Memory
from freehint.paging import SWAP_IN_NS, Paging, page_in, shares_host
from freehint.ring import Ring

ACTOR_BITS = 5
MAX_CPUS = 24  # the kernel threads, the host and the policies' workers take the rest
NEVER = 1 << 62
STRUCTURES_SHIFT = 6  # struct page takes 64 bytes

# Bits of World.page; but for HOST_HAS the bit of user u is so often shifted left.
HOST_HAS = 1
IN_FLIGHT = 1 << 1
FREE_THROUGHOUT = IN_FLIGHT << NR_USERS
HINTED_THIS_WALK = FREE_THROUGHOUT << NR_USERS
IN_ANY_FLIGHT = IN_FLIGHT * ((1 << NR_USERS) - 1)
PAGE_BITS = 0xFFFF  # ~ would leave uint16 where kernels run as plain Python
STALE = HINTED_THIS_WALK << NR_USERS  # allocated while a ring had a hint for it

WAIT_ALLOC, WAIT_FREE = 0, 1
HINT_STOP, HINT_REQUESTED, HINT_START = range(3)  # hw/virtio/virtio-balloon.c
IDLE, PUBLISHING, WAIT_RING, WAIT_USED, PUBLISHED, WAIT_LOCK, DRAINING = range(7)


def _record(*names) -> np.dtype:
    return np.dtype([(name, np.int64) for name in names])


# One guest CPU.
CPU_DTYPE = _record(
    "word_at",  # next random word
    "nr_blocks",  # blocks it holds
    "live_pages",  # pages in them
    "wait_since",  # time_ns since when it waits for a zone lock, or -1
    "asked",  # 1: it asked for pages to be given back, and tries again
    # a recorded guest's
    "row",  # its next row of World.trace
    "first_row",
    "last_row",  # behind the recorded ones; from here what a lap leaves allocated is freed
    "end_row",  # behind those
    "due_ns",  # time_ns when the row was to run
    "slip_ns",  # so much later than recorded
    "awaits",  # 1 + the place in ``held`` that another CPU has still to fill, AT_LAPS_END, or 0
    "rows",  # done
)

# What the actors remember; one record.
STATE_DTYPE = _record(
    "locked_zones",  # whose locks strokes hold, a bit each
    "shrinkers",  # policies that give pages back under pressure
    "starving",  # 1 + the CPU whose allocation failed and that asks them, or 0
    "reporters",  # policies that wait for a free to ask for a report
    # the workload
    "interval_ns",
    "target_pages",  # pages a CPU comes to hold
    "write_threshold",  # of 256: operations that write
    "growth_threshold",  # of 256: operations that allocate while below the target
    # a program in place of it
    "program",  # 0: none; 1 + IDLE, DIRTY, CHURN, BURST, FORK or CACHE
    "page_ns",  # from one page touched to the next
    "page_at",  # time_ns of the next
    "huge_pages",
    "nr_pages",  # rows of World.pages
    "next_page",
    "live_pages",  # churn: alive at most; burst: of one burst
    "alive",
    "first_piece",  # oldest alive
    "nr_pieces",  # ever
    "piece_left",  # pages of the newest still to be mapped
    "life_ns",  # fork: from a process's last allocation to its exit
    "oldest",  # cache: place in ``held`` where reclaim goes on
    "init_on_free",  # 1: pages are cleared as they are freed
    "rest_ns",  # burst: from leaving to the next
    "has_mem_map",
    "nr_background",
    "background_at",  # time_ns
    # a recorded guest in place of it
    "recorded",  # 1: that is what runs
    "lap",  # of the trace, from 0
    "laps",
    "lap_ns",  # from the trace's first row to its last
    "at_laps_end",  # CPUs
    "nr_slots",  # of ``held`` that each lap fills anew: 1 .. nr_slots - 1
    # the kernel threads
    "vmstat_at",  # time_ns of the vmstat worker's next turn
    "vmstat_cpu",  # whose
    "kcompactd_at",  # time_ns of kcompactd's next turn
    "compact_zone",  # the zone that it compacts, or -1
    "compact_score",  # the node's score when it began
    "clusters",  # rounds, ever
    "kthreads_since",  # time_ns since when they wait for a zone lock
    # the host
    "service_ns",
    "kick_ns",
    "gap_at",  # time_ns of the next gap
    "gap_row",  # its row of World.gaps
    "discards",  # 1: takes the memory behind a block that it was told of
    "asleep",  # 1: waits for a notification
    "turn",  # the user whose ring it looked at last
    # rows used of the tables
    "nr_reports",
    "nr_waits",
    "nr_used",
)

# One user of the interface: a policy's worker and what it asked for.
USER_DTYPE = _record(
    "row",  # next row of the report to publish
    "rows",  # to publish
    "filled",  # by the policy; more than rows where it was interrupted
    "mode",  # IDLE .. DRAINING
    "wait_since",  # time_ns since when it waits for a zone lock
    "on_full",
    "under_lock",  # 1: rows are published under the zone lock
    "wait_used",  # 1: a stroke ends when the host has used everything
    "one_buffer",  # 1: a stroke's rows are one scatterlist
    "reserved",  # descriptors kept for the command id
    "kick_half_full",  # 1: notify when the ring is more than half full; 0: for each buffer
    "block_ns",  # to make a block ready, a page of it
    "stop",  # 1: the host said STOP
    "hinting",  # HINT_STOP, HINT_REQUESTED, HINT_START: what the device makes of its buffers
    "valid_from",  # buffers added before are of an older command id
    "stroke",  # strokes ended before
    "zone",
    # pages
    "offered",
    "hinted",
    "lost",
    "duplicate",
)

# What a run counts, in pages unless said; one record.
TALLY_DTYPE = _record(
    "stale",  # allocated before the host took the hint
    "reused",  # hinted, then allocated
    "first_hinted",  # hinted while no hint for them stood
    "notifications",  # number
    "allocations",  # number
    "frees",  # number
    "writes",  # number
    "failed_allocations",  # number
    "discarded",  # resident before the host took them
    "lost_to_discard",  # written by the guest before a stale hint for them was used
    "decayed",  # drained as pcp.high decayed
    "compactions",  # number of times that kcompactd began
    "migrated",  # by kcompactd
    "rows",  # of a recorded trace, done
    "as_recorded",  # allocations that returned the recorded block
    "unknown_frees",  # rows: of blocks that the guest has not got
    "skipped_frees",  # rows: of what was in use at T0, in later laps
    "lock_holds",  # number, by guest CPUs
    "lock_held_ns",
)


# A migration, and what became of the guest's pages after it; one record.
MIGRATION_DTYPE = _record(
    "phase",  # OFF, PRECOPY, COMPLETION
    "at",  # next page of the scan
    "pages_left",  # in the bitmap
    "window_end",  # time_ns
    "window_bytes",
    "check_at",  # time_ns when it looks at what is left
    "quota_bytes",  # of a window
    "threshold_bytes",  # what may be left when the guest is stopped
    "downtime_limit_ns",
    "zero_page_ns",
    "normal_page_ns",
    "sent_bytes",
    "normal",  # pages sent
    "zero",  # pages sent as 9 bytes
    "hinted",  # pages that hints took out of the bitmap
    "stamp",  # versions given so far
    "arrived",  # 1: touching a page that is not present faults
    "faults",  # touches of pages that were not there
    "fault_ns",  # what such a touch costs, unless the page comes from swap
    "fault_debt_ns",  # faults whose time the CPU has still to spend
)


class World(NamedTuple):
    """Everything that moves.  ``C`` CPUs, ``Z`` zones; then come the kernel threads (actor C), the
    host (C + 1) and the workers of ``U`` users (C + 2 ..).

    memory : Memory
    key : int64[C + 2 + U]          time_ns << 5 | actor
    lock_until : int64[Z]       time_ns from which a zone lock is free of short holds
    cost : record[1]            one field for each of Costs, ns
    state : record[1]           STATE_DTYPE
    tally : record[1]           TALLY_DTYPE
    user : record[U]            USER_DTYPE
    cpu : record[C]             CPU_DTYPE
    words : int64[C, W]         random words drawn beforehand, one an event, a stream a CPU
    held : int64[C, capacity]   blocks that each CPU holds: node << 4 | order; a recorded guest's
                                pages are all in row 0, see guest/recorded.py
    pages : int64[n]            a program's pages in its order: place in ``held`` << 9 | page within
                                that block
    pieces : int64[m, 3]        a ring of places in ``held`` from and to, then pages (churn), or
                                time_ns of the exit (fork); cache: a row a file
    background : int64[b]       pages that the idle kernel writes
    trace : int64[rows, 6]      a recorded guest's allocations and frees, CPU after CPU: T_TIME ..
                                T_NODE of guest/recorded.py
    mem_map : int64[nr_pages / 64 or 0]   pages that hold the array of page structures
    owner : int32[nr_pages]     1 + the place in ``held``, flat, of each page of order 0, or 0; read
                                now and then by kcompactd, and true where ``held`` agrees
    control : CompactControl    kcompactd's scanners
    wish : uint8[2, 4096]       quantiles of the wanted orders (row 0) and types (row 1)
    gaps : int64[n, 2]          host: (time until the next gap, its length), drawn beforehand
    ring : Ring
    report : int64[U, capacity + 1, 3]   a stroke's rows: (node, order, blocks looked at)
    outcome : uint8[U, capacity]         Outcome of each row
    page : uint16[nr_pages]     the fate of every hint, page by page: HOST_HAS (the host used the
                                buffer), and for each user IN_FLIGHT (its ring has it),
                                FREE_THROUGHOUT (not allocated since its walk began),
                                HINTED_THIS_WALK; STALE, until it is allocated or hinted anew
    migration : record[1]       MIGRATION_DTYPE
    dirty : DirtyLog
    version : uint32[nr_pages or 0]   a page's content: 0 = a zero page, else no two are equal
    copy : uint32[nr_pages or 0]      content as last sent
    present : uint64[nr_pages / 64 or 0]  resident on the host; on a migration's destination: sent
                                with content
    paging : Paging             the guest on a host that it shares with others
    reports, waits, used : int64[rows, columns]   tables; their lengths are in ``state``
    """

    memory: Memory
    key: np.ndarray
    lock_until: np.ndarray
    cost: np.recarray
    state: np.recarray
    tally: np.recarray
    user: np.recarray
    cpu: np.recarray
    words: np.ndarray
    held: np.ndarray
    pages: np.ndarray
    pieces: np.ndarray
    background: np.ndarray
    trace: np.ndarray
    mem_map: np.ndarray
    owner: np.ndarray
    control: CompactControl
    wish: np.ndarray
    gaps: np.ndarray
    ring: Ring
    report: np.ndarray
    outcome: np.ndarray
    page: np.ndarray
    migration: np.recarray
    dirty: DirtyLog
    version: np.ndarray
    copy: np.ndarray
    present: np.ndarray
    paging: Paging
    reports: np.ndarray
    waits: np.ndarray
    used: np.ndarray


def new_record(dtype: np.dtype, length: int = 1, **values) -> np.recarray:
    """Records of zeros but for the named fields."""
    record = np.zeros(length, dtype)
    for name, value in values.items():
        record[name] = value
    return record.view(np.recarray)


def columns(records: np.recarray) -> SimpleNamespace:
    """Each field of some records as an array; an attribute of a record takes numpy 3 µs."""
    plain = records.view(np.ndarray)
    return SimpleNamespace(**{name: plain[name] for name in records.dtype.names})


COST_DTYPE = _record(*(f.name for f in fields(Costs)))


def cost_record(costs: Costs) -> np.recarray:
    """Costs as one record."""
    return new_record(COST_DTYPE, **{f.name: getattr(costs, f.name) for f in fields(Costs)})


def grown(table: np.ndarray) -> np.ndarray:
    """The same rows with room for as many again."""
    return np.concatenate([table, np.zeros_like(table)])


@kernel(inline=True)
def schedule(world, actor, time_ns):
    """Let ``actor`` act at ``time_ns``."""
    world.key[actor] = (time_ns << ACTOR_BITS) | actor


@kernel(inline=True)
def suspend(world, actor):
    """Let ``actor`` act only when somebody schedules it."""
    world.key[actor] = NEVER


@kernel(inline=True)
def ask_to_shrink(world, cpu):
    """May who holds pages for the host give some back, before this allocation fails?  Asked once.

    Source: the shrinker of drivers/virtio/virtio_balloon.c, called by direct reclaim.
    """
    asked = world.cpu[cpu].asked
    world.cpu[cpu].asked = 0
    if world.state[0].shrinkers == 0 or asked:
        return False
    world.cpu[cpu].asked = 1
    world.state[0].starving = 1 + cpu
    return True


@kernel(inline=True)
def hold_lock(world, zone, now_ns, hold_ns):
    """Take a zone lock for a known short time, behind whoever holds it; when it was got."""
    start = max(now_ns, world.lock_until[zone])
    world.lock_until[zone] = start + world.cost[0].lock_ns + hold_ns
    return start


@kernel(inline=True)
def pages_allocated(world, node, order):
    """Pages go to a user: hints in flight are stale, hints used are reused."""
    for page in range(node, node + (1 << order)):
        bits = world.page[page]
        if bits:
            if bits & IN_ANY_FLIGHT:
                world.tally[0].stale += 1
            if bits & (IN_ANY_FLIGHT | HOST_HAS):
                world.tally[0].reused += 1
            world.page[page] = STALE if bits & IN_ANY_FLIGHT else 0


@kernel(inline=True)
def pages_hinted(world, user, node, order):
    """The user's ring took a hint for these pages."""
    mine = (IN_FLIGHT | HINTED_THIS_WALK) << user
    for page in range(node, node + (1 << order)):
        bits = world.page[page]
        if not bits & (IN_ANY_FLIGHT | HOST_HAS):
            world.tally[0].first_hinted += 1
        world.page[page] = bits & (PAGE_BITS ^ STALE) | mine


@kernel(inline=True)
def pages_used(world, user, node, order):
    """The host used the buffer; pages allocated meanwhile were stale and stay out."""
    mine = IN_FLIGHT << user
    for page in range(node, node + (1 << order)):
        bits = world.page[page]
        if bits & mine:
            world.page[page] = bits & (PAGE_BITS ^ mine) | HOST_HAS


@kernel(inline=True)
def has_content(world):
    """Does this run keep the content of pages?"""
    return world.version.shape[0] > 0


@kernel(cold=True)
def fault(world, page):
    """The host gives a page: cleared, or from swap."""
    record = world.migration[0]
    set_bit(world.present, page)
    record.faults += 1
    if shares_host(world.paging) and page_in(world.paging, page):
        record.fault_debt_ns += world.paging.host[SWAP_IN_NS]
    else:
        record.fault_debt_ns += record.fault_ns


@kernel(inline=True)
def arrive(world, page):
    """A page is touched: where the host has it not, or no longer, it faults."""
    if world.migration[0].arrived:
        if not test_bit(world.present, page):
            fault(world, page)
        elif shares_host(world.paging):
            set_bit(world.paging.accessed, page)


@kernel(inline=True)
def write_page(world, page):
    """The guest gives a page new content."""
    record = world.migration[0]
    record.stamp += 1
    world.version[page] = record.stamp
    log_write(world.dirty, page)
    arrive(world, page)


@kernel(inline=True)
def zero_page(world, page):
    """The guest clears a page: that is a write too."""
    world.version[page] = 0
    log_write(world.dirty, page)
    arrive(world, page)


@kernel(inline=True)
def write_page_structure(world, page):
    """The kernel changes a page's 64-byte structure: that dirties a page of the array of them."""
    if world.state[0].has_mem_map:
        write_page(world, world.mem_map[page >> STRUCTURES_SHIFT])


@kernel(cold=True)
def write_block(world, node, order, zeroed):
    """Clear or write every page of a block."""
    for page in range(node, node + (1 << order)):
        if zeroed:
            zero_page(world, page)
        else:
            write_page(world, page)


@kernel(inline=True)
def pages_freed(world, node, order):
    """Pages are about to be freed: with init_on_free=1 cleared.  Source: free_pages_prepare()."""
    if world.state[0].init_on_free:
        write_block(world, node, order, True)


@kernel(inline=True)
def copy_page(world, source, target):
    """The guest copies a page: that is a write of the target, and a touch of a swapped source."""
    if shares_host(world.paging) and test_bit(world.paging.swapped, source):
        arrive(world, source)
    world.version[target] = world.version[source]
    log_write(world.dirty, target)
    arrive(world, target)


@kernel(inline=True)
def pay_faults(world):
    """Time that faults since the last call cost, ns."""
    debt = world.migration[0].fault_debt_ns
    world.migration[0].fault_debt_ns = 0
    return debt
