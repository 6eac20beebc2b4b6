"""The data of compaction: what each zone remembers, and what a running compaction has in hand.

Two compactions can be under way at once: kcompactd's, which rests between its steps, and that of
a process (a direct compaction or a write to compact_memory), which runs to its end in between.
Positions are pfns, as in the kernel, where 0 means "not set".

Source: struct zone (include/linux/mmzone.h), struct compact_control and struct capture_control
(mm/internal.h), enum compact_result and enum compact_priority (include/linux/compaction.h) of
Linux 6.1.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.memory import NR_ORDERS, PAGEBLOCK_NR_PAGES, Memory

COMPACT_CLUSTER_MAX = 32  # pages moved at a time (SWAP_CLUSTER_MAX)
COMPACT_MAX_DEFER_SHIFT = 6
PAGE_ALLOC_COSTLY_ORDER = 3
VIA_COMPACT_MEMORY = -1  # the order of a compaction that no request waits for
EXTFRAG_THRESHOLD = 500  # vm.extfrag_threshold

# enum migrate_mode
MIGRATE_ASYNC, MIGRATE_SYNC_LIGHT, MIGRATE_SYNC = range(3)
# enum compact_priority: the lower, the harder it tries
PRIO_SYNC_FULL, PRIO_SYNC_LIGHT, PRIO_ASYNC = range(3)
# enum compact_result, whose order try_to_compact_pages() relies on
(
    COMPACT_NOT_SUITABLE_ZONE,
    COMPACT_SKIPPED,
    COMPACT_DEFERRED,
    COMPACT_NO_SUITABLE_PAGE,
    COMPACT_CONTINUE,
    COMPACT_COMPLETE,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_CONTENDED,
    COMPACT_SUCCESS,
) = range(9)
RESULT_NAMES = (
    *("not_suitable_zone", "skipped", "deferred", "no_suitable_page", "continue", "complete"),
    *("partial_skipped", "contended", "success"),
)

KCOMPACTD, PROCESS, NR_CONTROLS = range(3)
NR_HANDS = NR_ORDERS + 1  # lists of a control: free blocks in hand by order, pages to be moved
# Rows of ``log``, each (kind, ..), as the kernel's tracepoints and our probes tell them:
# ISOLATED (pfn, order): a block is to be taken in hand; TURNED_TAIL, TURNED_HEAD (pfn): a list was
# turned; SCANNED (first pfn, pfn behind, scanned, taken): isolate_freepages_block(); FREED (pfn);
# MIGRATED (moved, left): migrate_pages()
ISOLATED, TURNED_TAIL, TURNED_HEAD, SCANNED, FREED, MIGRATED = range(6)
NO_FAST_START = -1  # fast_start_pfn: the lowest pfn of the fast search was used up

COMPACT_ZONE_DTYPE = np.dtype(
    [
        ("compact_cached_migrate_pfn", np.int64, (2,)),  # where async and sync scans go on
        ("compact_cached_free_pfn", np.int64),
        ("compact_init_migrate_pfn", np.int64),
        ("compact_init_free_pfn", np.int64),
        ("compact_considered", np.int64),  # attempts since the last failure
        ("compact_defer_shift", np.int64),  # 1 << shift attempts are skipped after a failure
        ("compact_order_failed", np.int64),  # smallest order that failed
        ("compact_blockskip_flush", np.int64),  # 1: skip bits are to be cleared
    ]
)

CONTROL_DTYPE = np.dtype(
    [
        # what is wanted
        ("zone", np.int64),
        ("cpu", np.int64),
        ("order", np.int64),  # VIA_COMPACT_MEMORY: as much as there is
        ("migratetype", np.int64),
        ("mode", np.int64),  # MIGRATE_..
        ("mark", np.int64),  # WMARK_.. that the request is tested against
        ("alloc_flags", np.int64),
        ("highest_zoneidx", np.int64),
        ("direct_compaction", np.int64),
        ("proactive_compaction", np.int64),
        ("proactive_low", np.int64),  # score at which a proactive compaction ends
        ("whole_zone", np.int64),
        ("ignore_skip_hint", np.int64),
        ("ignore_block_suitable", np.int64),
        # how far it is
        ("migrate_pfn", np.int64),
        ("free_pfn", np.int64),
        ("fast_start_pfn", np.int64),
        ("search_order", np.int64),
        ("fast_search_fail", np.int64),
        ("last_migrated_pfn", np.int64),
        ("update_cached", np.int64),
        ("finish_pageblock", np.int64),  # cc->rescan in 6.1
        ("nr_freepages", np.int64),
        ("nr_migratepages", np.int64),
        ("captures", np.int64),  # 1: a block of ``order`` that frees merge is taken
        ("captured", np.int64),  # the node of that block, or -1
        # what it did
        ("total_migrate_scanned", np.int64),
        ("total_free_scanned", np.int64),
        ("isolated", np.int64),  # pages of both scanners
        ("migrated", np.int64),
        ("failed", np.int64),
        ("nr_moves", np.int64),  # rows of ``moves`` that the last step filled
        ("drained", np.int64),  # pages drained under the zone lock
    ]
)

DAEMON_DTYPE = np.dtype(
    [
        ("kcompactd_max_order", np.int64),  # what kswapd asked for; 0: nothing
        ("kcompactd_highest_zoneidx", np.int64),
        ("awake", np.int64),  # 1: kcompactd_step() has work
        ("proactive", np.int64),  # 1: the work is proactive
        ("zone", np.int64),  # position of the zone that comes next or is under way
        ("running", np.int64),  # 1: that zone's compaction has begun
        ("score", np.int64),  # the node's score when a proactive compaction began
        ("progress", np.int64),  # 1: the last proactive compaction lowered it
        ("logged", np.int64),  # rows of ``log`` in use
        ("nr_strangers", np.int64),  # rows of ``strangers`` in use
    ]
)


class Compaction(NamedTuple):
    """Compaction in a guest of ``Z`` zones.

    zone : record[Z]         COMPACT_ZONE_DTYPE, the fields of ``struct zone``
    control : record[2]      CONTROL_DTYPE, ``struct compact_control`` of KCOMPACTD and of PROCESS
    daemon : record[1]       DAEMON_DTYPE
    links : int32[2 * (nr_pages + 24)]  next and prev of pages that are isolated; each control has
                             11 lists of free blocks by order and one of pages to be moved
    moves : int32[2, 1024, 2]  source and target of each page that a control's last step moved
    strangers : int32[n, 2]  source and target of each moved page that reclaim does not know, until
                             their owner is told: pages of a balloon
    log : int64[L, 5]        what was done, ISOLATED .. MIGRATED, until the array is full; L is 0
                             unless a compaction is held against a recording
    """

    zone: np.ndarray
    control: np.ndarray
    daemon: np.ndarray
    links: np.ndarray
    moves: np.ndarray
    strangers: np.ndarray
    log: np.ndarray


def new_compaction(memory: Memory, log_rows: int = 0) -> Compaction:
    """Compaction as it is at boot: nothing is scanned, nothing deferred, kcompactd sleeps."""
    nodes = memory.nr_pages + NR_CONTROLS * NR_HANDS
    links = np.zeros(2 * nodes, np.int32)
    heads = np.arange(memory.nr_pages, nodes, dtype=np.int32)
    links[2 * memory.nr_pages :] = np.repeat(heads, 2)
    control = np.zeros(NR_CONTROLS, CONTROL_DTYPE).view(np.recarray)
    control["captured"] = -1
    daemon = np.zeros(1, DAEMON_DTYPE).view(np.recarray)
    daemon["kcompactd_highest_zoneidx"] = memory.zones["index"][-1]
    return Compaction(
        zone=np.zeros(len(memory.zones), COMPACT_ZONE_DTYPE).view(np.recarray),
        control=control,
        daemon=daemon,
        links=links,
        moves=np.zeros((NR_CONTROLS, 2 * PAGEBLOCK_NR_PAGES, 2), np.int32),
        strangers=np.zeros((memory.nr_pages, 2), np.int32),
        log=np.zeros((log_rows, 5), np.int64),
    )


def copy_compaction(compaction: Compaction) -> Compaction:
    """An independent copy that shares no array with the original."""
    return Compaction(*(array.copy() for array in compaction))


@kernel
def note(compaction, kind, first, second, third, fourth):
    """Write a row of the log, if it has room."""
    at = compaction.daemon[0].logged
    if at == compaction.log.shape[0]:
        return
    row = compaction.log[at]
    row[0], row[1], row[2], row[3], row[4] = kind, first, second, third, fourth
    compaction.daemon[0].logged = at + 1


@kernel(inline=True)
def hand_head(memory, who, order):
    """Node that heads a control's list of free blocks in hand; see ``Compaction.links``."""
    return memory.nr_pages + who * NR_HANDS + order


@kernel(inline=True)
def sources_head(memory, who):
    """Node that heads a control's list of pages to be moved."""
    return memory.nr_pages + who * NR_HANDS + NR_ORDERS


@kernel(inline=True)
def pageblock_start_pfn(pfn):
    """First pfn of a pageblock."""
    return pfn & ~(PAGEBLOCK_NR_PAGES - 1)


@kernel(inline=True)
def pageblock_end_pfn(pfn):
    """First pfn after a pageblock."""
    return pageblock_start_pfn(pfn) + PAGEBLOCK_NR_PAGES


@kernel(inline=True)
def zone_end_pfn(memory, zone):
    """First pfn after a zone."""
    return memory.zones[zone].start_pfn + memory.zones[zone].spanned
