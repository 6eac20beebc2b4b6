"""What the actors remember: one record an actor, all fields int64."""

from dataclasses import dataclass, fields
from types import SimpleNamespace

import numpy as np

from freehint.config import Named, whole


@dataclass(frozen=True)
class Costs(Named):
    """What things cost, in nanoseconds; a sweep can vary each.

    Attributes
    ----------
    walk_block_ns : int
        Looking at one block of a list: one dependent load from memory, 134 to 186 ns measured
        on a server-class machine (`make bench` measures it here).
    report_ns : int
        Putting one block on the ring: virtqueue_add and the callback.  Assumed.
    rotate_ns : int
        Moving one block to the tail: three more lines written.  Assumed.
    lock_ns : int
        Handing the zone lock over.  Assumed: two cache-line transfers.
    notify_ns : int
        The guest's side of a notification (a VM exit).  Assumed.
    pcp_ns : int
        An allocation or free on a pcp list.  Assumed.
    buddy_ns : int
        One block taken from or put back to the buddy lists, under the zone lock: 30 to 110 ns
        with 64-byte page structures (`make bench`).
    fault_ns : int
        The guest's first touch of a page that the destination host has not got: an EPT violation,
        a page allocated and cleared by the host.  Assumed.
    migrate_page_ns : int
        Moving one page by compaction: unmap, copy, map.  Assumed.
    write_ns : int
        Writing one page: 4096 B at the 10.3 GB/s that one thread streams
        (Wrenger et al., EuroSys '25, STREAM).
    """

    walk_block_ns: int = 150
    report_ns: int = 200
    rotate_ns: int = 50
    lock_ns: int = 100
    notify_ns: int = 2_000
    pcp_ns: int = 50
    buddy_ns: int = 100
    migrate_page_ns: int = 2_000
    fault_ns: int = 2_000
    write_ns: int = 400

    def __post_init__(self):
        for field in fields(self):
            whole(f"costs.{field.name}", getattr(self, field.name), 0)


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
