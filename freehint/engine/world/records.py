"""The records of the actors, with int64 fields."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from freehint.config import parameters
from freehint.inputs.rules import Checked, Cost


@dataclass(frozen=True)
class Costs(Checked):
    """The costs of operations in nanoseconds.  A sweep can vary each.

    Attributes
    ----------
    walk_block_ns : int
        Looking at one block of a list: one dependent load from memory, 134 to 186 ns measured
        on a server-class machine (`make bench` measures it here).
    report_ns : int
        Putting one block on the ring: virtqueue_add and the callback.  Assumed.
    rotate_ns : int
        Moving one block to the tail, which writes three more cache lines.  Assumed.
    lock_ns : int
        Handing the zone lock over.  Assumed: two cache-line transfers.
    notify_ns : int
        The guest's side of a notification (a VM exit).  Assumed.
    pcp_ns : int
        An allocation or free on a pcp list.  Assumed.
    buddy_ns : int
        Taking one block from the buddy lists or putting it back, under the zone lock: 30 to
        110 ns with 64-byte page structures (`make bench`).
    fault_ns : int
        The guest's first touch of a page that the destination host does not have: an EPT
        violation, and a page that the host allocates and clears.  Assumed.
    huge_fault_ns : int
        The same where the host backs 2 MiB at once: 512 pages as ``write_ns``.  Assumed.
    migrate_page_ns : int
        Moving one page by compaction: unmap, copy, map.  Assumed.
    write_ns : int
        Writing one page of 4096 B at 10.3 GB/s, the rate of one thread
        (Wrenger et al., EuroSys '25, STREAM).
    scan_page_ns : int
        Looking at one page of an LRU list in reclaim.  Calibrated, with reclaim_page_ns, on
        kswapd in linux-6.1/rc_cache and rc_oom, which ran under emulation and were traced.
    deactivate_page_ns : int
        Moving one page from an active list to its inactive one.  Assumed: as scanning.
    reclaim_page_ns : int
        Reclaiming one page: unmap, separate from its file, free.  Calibrated: 8.0 us a page in
        rc_cache, less what scanning takes; 17 us in rc_oom, on a machine half as fast.
    swap_out_ns : int
        Giving one page to swap: a slot, and the request to the disk.  Calibrated on
        linux-6.1/rc_cache, where the flusher's turns took 0.73 s for 85,773 pages.
    throttle_ns : int
        One wait of direct reclaim, which a kswapd at work cuts short.  Assumed: 1 of the 100 ms
        of VMSCAN_THROTTLE_NOPROGRESS.
    compact_scan_ns : int
        Looking at one page frame in compaction.  Assumed.
    read_from : Input, optional
        The costs file that the numbers were read from, for the provenance; it decides nothing.
    """

    walk_block_ns: Cost = 150
    report_ns: Cost = 200
    rotate_ns: Cost = 50
    lock_ns: Cost = 100
    notify_ns: Cost = 2_000
    pcp_ns: Cost = 50
    buddy_ns: Cost = 100
    migrate_page_ns: Cost = 2_000
    fault_ns: Cost = 2_000
    huge_fault_ns: Cost = 205_000
    write_ns: Cost = 400
    scan_page_ns: Cost = 1_000
    deactivate_page_ns: Cost = 1_000
    reclaim_page_ns: Cost = 7_000
    swap_out_ns: Cost = 8_500
    throttle_ns: Cost = 1_000_000
    compact_scan_ns: Cost = 100
    read_from: tuple | None = field(default=None, compare=False, repr=False)

    where = "costs."


# Kinds of waits: for a zone lock to allocate or to free, and stalls of an allocation.
WAIT_ALLOC, WAIT_FREE, WAIT_RECLAIM, WAIT_COMPACT = range(4)
WAIT_KINDS = ("alloc", "free", "reclaim", "compact")
# Numbers of the rare actors' kernels (engine/rare.py): entries of World.apart.
KTHREADS, PROGRAM, RECORDED, MIGRATION, PRESSURE, PRESSURE_THREADS, NR_RARE = range(7)
HINT_STOP, HINT_REQUESTED, HINT_START = range(3)  # hw/virtio/virtio-balloon.c
IDLE, PUBLISHING, WAIT_RING, WAIT_USED, PUBLISHED, WAIT_LOCK, DRAINING = range(7)


def _record(*names) -> np.dtype:
    return np.dtype([(name, np.int64) for name in names])


# One guest CPU.
CPU_DTYPE = _record(
    "word_at",  # index of its next random word
    "nr_blocks",  # number of blocks it holds
    "live_pages",  # pages in these blocks
    "wait_since",  # time_ns since which it waits for a zone lock, or -1
    "asked",  # 1: it has asked a policy to give back pages, and tries again
    # of a recorded guest
    "row",  # its next row of World.trace
    "first_row",
    "last_row",  # after its recorded rows; from here a lap frees what it leaves allocated
    "end_row",  # after these frees
    "due_ns",  # time_ns at which the row was to run
    "slip_ns",  # time by which it is later than recorded
    "awaits",  # 1 + the place in ``held`` that another CPU has still to fill, AT_LAPS_END, or 0
    "rows",  # rows done
)

# The state of the other actors and of the whole run; one record.
STATE_DTYPE = _record(
    "locked_zones",  # one bit for each zone whose lock a stroke holds
    "shrinkers",  # number of policies that give pages back under pressure
    "starving",  # 1 + the CPU whose allocation failed and asks these policies, or 0
    "reporting",  # bits of World.fate: users whose pages may not be used before the host has
    "reporters",  # policies that wait for a free to ask for a report
    "cpu_kernel",  # 1 + the rare kernel of the CPUs' turns (engine/rare.py), or 0
    "threads_kernel",  # the rare kernel of the kernel threads
    # the workload
    "interval_ns",
    "target_pages",  # pages that a CPU comes to hold
    "write_threshold",  # operations that write, of 256
    "growth_threshold",  # operations that allocate while below the target, of 256
    # a program, which takes the workload's place
    "program",  # 0: none; 1 + IDLE, DIRTY, CHURN, BURST, FORK or CACHE
    "page_ns",  # time from one touched page to the next
    "page_at",  # time_ns of the next touch
    "huge_pages",
    "nr_pages",  # rows of World.pages
    "next_page",
    "live_pages",  # churn: most pages alive; burst: pages of one burst
    "alive",  # pages alive
    "first_piece",  # oldest piece alive
    "nr_pieces",  # pieces begun since the start
    "piece_left",  # pages of the newest piece that are still to be mapped
    "owed",  # 1 + the type of a page that the newest piece still lacks, or 0
    "life_ns",  # fork: time from a process's last allocation to its exit
    "oldest",  # cache: place in ``held`` where reclaim goes on
    "init_on_free",  # 1: pages are cleared as they are freed
    "rest_ns",  # burst: time from the end of a burst to the next
    "has_mem_map",
    "nr_background",
    "background_at",  # time_ns
    # a recorded guest, which takes the workload's place
    "recorded",  # 1: a recorded guest runs
    "lap",  # lap of the trace, from 0
    "laps",  # number of laps
    "lap_ns",  # time from the trace's first row to its last
    "at_laps_end",  # number of CPUs that have ended this lap
    "nr_slots",  # each lap fills the places 1 .. nr_slots - 1 of ``held`` anew
    # the kernel threads
    "vmstat_at",  # time_ns of the vmstat worker's next turn
    "vmstat_cpu",  # the CPU that it looks at then
    "kcompactd_at",  # time_ns of kcompactd's next turn
    "compact_zone",  # the zone that it compacts, or -1
    "compact_score",  # the node's score when it began
    "clusters",  # rounds since the start
    "compact_asked",  # 1: compact_memory was written, and kcompactd has not begun
    "compact_all",  # 1: it compacts every zone until the scanners meet
    "kthreads_since",  # time_ns since which they wait for a zone lock
    # the host
    "service_ns",
    "kick_ns",
    "gap_at",  # time_ns of the next gap
    "gap_row",  # its row of World.gaps
    "asleep",  # 1: it waits for a notification
    "turn",  # the user whose ring it looked at last
    # number of rows in the tables
    "nr_reports",
    "nr_waits",
    "nr_used",
)

# One user of the interface: a policy's worker and the properties of its policy.
USER_DTYPE = _record(
    "row",  # next row of the report to publish
    "rows",  # number of rows to publish
    "filled",  # rows that the policy filled; more than ``rows`` if it was interrupted
    "mode",  # IDLE .. DRAINING
    "wait_since",  # time_ns since which it waits for a zone lock
    "on_full",
    "under_lock",  # 1: rows are published under the zone lock
    "wait_used",  # 1: a stroke ends when the host has used everything
    "one_buffer",  # 1: a stroke's rows are one scatterlist
    "reserved",  # descriptors kept for the command id
    "kick_half_full",  # 1: notify when the ring is more than half full; 0: for each buffer
    "block_ns",  # time to make one page of a block ready
    "stop",  # 1: the host has sent STOP
    "hinting",  # HINT_STOP, HINT_REQUESTED, HINT_START: how the device treats its buffers
    "valid_from",  # earlier buffers belong to an older command id
    # for the monitor, which trusts neither side
    "reports",  # 1: free page reporting, without command ids; 0: hints
    "id",  # the host's command id, STOP or DONE
    "id_stamp",  # versions given before it was issued
    "id_sent",  # the command id of the walk
    "id_from",  # buffers added before that was sent
    "sent_stamp",  # versions given before it was issued
    "stroke",  # number of strokes ended
    "zone",
    "all_zones",  # 1: it takes the locks of all zones, and keeps them for a whole call
    "holds",  # 1: it has kept them from its last stroke
    "allocates",  # 1: a block that a full ring lost is freed, and soon offered again
    "awaits",  # 1: it waits for compact_memory to end
    # pages
    "offered",
    "hinted",
    "lost",
    "duplicate",
    "retried",  # offered again after they were lost in the same walk
)

# The counts of a run, in pages unless noted; one record.
TALLY_DTYPE = _record(
    "stale",  # allocated before the host took the hint
    "reused",  # hinted, then allocated
    "first_hinted",  # hinted while no other hint for them was valid
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
    "compact_memory_ns",  # time that compact_memory spent on moving pages
    "rows",  # rows done of a recorded trace
    "as_recorded",  # number of allocations that returned the recorded block
    "unknown_frees",  # number of rows that free a block which the guest does not have
    "skipped_frees",  # number of rows in later laps that free pages in use at T0
    "lock_holds",  # number, by guest CPUs
    "lock_held_ns",
)


# A migration; one record.
MIGRATION_DTYPE = _record(
    "phase",  # OFF, PRECOPY, COMPLETION
    "others_at",  # time_ns of the next event of another actor, or of the stretch's end
    "at",  # next page of the scan
    "pages_left",  # pages in the bitmap
    "window_end",  # time_ns
    "window_bytes",  # bytes sent in the window
    "check_at",  # time_ns of the next look at the pages left
    "quota_bytes",  # limit of a window
    "threshold_bytes",  # bytes that may be left when the guest is stopped
    *("downtime_limit_ns", "zero_page_ns", "normal_page_ns"),
    "sent_bytes",
    "normal",  # pages sent
    "zero",  # pages sent as 9 bytes
    "hinted",  # pages that hints took out of the bitmap
    "stamp",  # versions given so far
)

# Faults on pages that the host does not back (World.present); one record.
HOST_DTYPE = _record(
    "discards",  # 1: the host takes away the memory behind a hinted or reported block
    "faulting",  # 1: touching a page that is not present faults
    "noting",  # 1: touching one that is present is noted
    "faults",  # number of touches of pages that were not present
    "fault_ns",  # cost of a fault, unless the page comes from swap
    "fault_debt_ns",  # time of faults that the CPU has still to spend
    "fault_sum_ns",  # time of all faults
)


def new_record(dtype: np.dtype, length: int = 1, **values) -> np.recarray:
    """Records in which all fields but the named ones are 0."""
    record = np.zeros(length, dtype)
    for name, value in values.items():
        record[name] = value
    return record.view(np.recarray)


def columns(records: np.recarray) -> SimpleNamespace:
    """Each field of the records as an array.  (numpy needs 3 µs for an attribute of a record.)"""
    plain = records.view(np.ndarray)
    return SimpleNamespace(**{name: plain[name] for name in records.dtype.names})


COST_DTYPE = _record(*(f.name for f in parameters(Costs)))


def cost_record(costs: Costs) -> np.recarray:
    """Costs as one record."""
    return new_record(COST_DTYPE, **{f.name: getattr(costs, f.name) for f in parameters(Costs)})


def grown(table: np.ndarray) -> np.ndarray:
    """A copy of a table with as many empty rows appended."""
    return np.concatenate([table, np.zeros_like(table)])
