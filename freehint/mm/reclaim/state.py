"""The arrays of reclaim: LRU lists, places that pages back, counters, and what kswapd remembers.

A *place* is one page of a file or of an anonymous mapping.  It stays the same while pages come and
go, so it keeps the shadow of an evicted page.  ``place`` and ``slot`` are each other's reverse map.

Source: include/linux/mmzone.h (struct lruvec, pg_data_t), struct scan_control of mm/vmscan.c,
include/linux/vm_event_item.h, Linux 6.1.
"""

from typing import NamedTuple

import numpy as np

from freehint.config import InputError
from freehint.mm.compact.state import Compaction, new_compaction
from freehint.mm.memory import Memory
from freehint.mm.reclaim.counts import COUNTS, NR_COUNTS, NR_WORK
from freehint.mm.reclaim.shrinker import new_shrinkers
from freehint.mm.reclaim.sysctl import Sysctl, set_sysctls

INACTIVE_ANON, ACTIVE_ANON, INACTIVE_FILE, ACTIVE_FILE, UNEVICTABLE = range(5)
NR_LISTS = 5
LIST_NAMES = ("inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable")
# Lists of one batch, empty between batches: isolated pages, pages skipped because of their zone,
# pages to be freed.
ISOLATED, SKIPPED, FREED = range(NR_LISTS, NR_LISTS + 3)
# The multi-generation LRU's lists: one for each generation, kind of page and zone.
GENERATION_HEADS = NR_LISTS + 3
MAX_NR_GENS, MIN_NR_GENS, MAX_NR_TIERS, NR_GEN_ZONES = 4, 2, 4, 4
NR_HEADS = GENERATION_HEADS + 2 * MAX_NR_GENS * NR_GEN_ZONES

# The bits of Reclaim.page.
PG_ON_LRU = 0x001  # stands on one of the lists
PG_ACTIVE = 0x002
PG_REFERENCED = 0x004
PG_DIRTY = 0x008
PG_WRITEBACK = 0x010
PG_RECLAIM = 0x020  # to be reclaimed as soon as its writeback ends
PG_SWAPBACKED = 0x040  # anonymous
PG_WORKINGSET = 0x080
PG_MAPPED = 0x100
PTE_YOUNG = 0x200
PG_HUGE = 0x400  # head of an order-9 folio
PG_SWAPCACHE = 0x800  # has a swap slot, and stays in memory
PG_EXEC = 0x1000  # mapped from an executable file (VM_EXEC)
PG_GENERATION, PG_GENERATION_SHIFT = 0xE000, 13  # 1 + the generation modulo 4 (LRU_GEN_MASK)
PG_REFS, PG_REFS_SHIFT, REFS_WIDTH = 0x30000, 16, 2  # uses beyond the second (LRU_REFS_MASK)
PG_HELD = 0x40000  # a file system holds its buffers (PG_private, filemap_release_folio() fails)
# Reclaim.tiers: what the controller of the multi-generation LRU counts (struct lru_gen_folio).
AVG_REFAULTED, AVG_TOTAL, REFAULTED, EVICTED, PROTECTED = range(5)

SWAP_CLUSTER_MAX = 32
DEF_PRIORITY = 12
MAX_RECLAIM_RETRIES = MAX_COMPACT_RETRIES = 16
PAGE_ALLOC_COSTLY_ORDER = 3
MAX_NR_ZONES = 5
PAGEVEC_SIZE = 15
SHADOW_BITS = 30  # of nonresident_age, in a place's shadow

# Wrong rules, for validation: bits of ``ablations``.
NO_BOOST, NO_KSWAPD_FLAG, CACHE_NEVER_RECLAIMED, SWAP_IGNORED = 1, 2, 4, 8
WRONG_RULES = {
    "no_boost": NO_BOOST,
    "no_kswapd_flag": NO_KSWAPD_FLAG,
    "cache_never_reclaimed": CACHE_NEVER_RECLAIMED,
    "swap_ignored": SWAP_IGNORED,
}

# kswapd_at: asleep; asleep for at most 100 ms; about to look whether it may sleep; at the top of
# balance_pgdat()'s loop; inside shrink_lruvec().
KSWAPD_ASLEEP, KSWAPD_NAPS, KSWAPD_TRIES_TO_SLEEP, KSWAPD_BALANCES, KSWAPD_SHRINKS = range(5)
# Of a task in direct reclaim: at the top of do_try_to_free_pages(), before a pass, inside of it.
DIRECT_BEGINS, DIRECT_PASSES, DIRECT_SHRINKS = range(3)
BY_KSWAPD, BY_TASK = range(2)  # who scans: rows of Reclaim.control

# Pages that a plug can hold: 31 requests of less than 32 pages, and one of 254.
PLUG_PAGES = 1280

NODE_DTYPE = np.dtype(
    [
        (name, np.int64)
        for name in (
            # pg_data_t
            "kswapd_order",
            "kswapd_highest_zoneidx",  # MAX_NR_ZONES: no request since kswapd last read it
            "kswapd_failures",
            "dirty_pages_at_tail",  # PGDAT_DIRTY
            "writeback_pages_at_tail",  # PGDAT_WRITEBACK
            "congested",  # LRUVEC_CONGESTED
            # struct lruvec
            "anon_cost",
            "file_cost",
            "nonresident_age",
            "refaults_anon",  # workingset_activate_.. at the end of the last reclaim
            "refaults_file",
            # kswapd
            "kswapd_awake",  # 1 if it is to run
            "kswapd_at",
            "alloc_order",
            "reclaim_order",
            "zoneidx",
            "boost_left",
            "boosted",
            "reclaimed_before",
            "kcompactd_order",  # -1, or the order for which kcompactd was woken
            "kcompactd_zoneidx",
            "kswapd_sleeps",
            # places
            "swap_total",  # swap slots
            "swap_free",
            "swap_next",  # slot at which the next search begins
            "nr_dirty",  # file pages
            "nr_writeback",
            "writeback_first",  # ring
            "writeback_count",
            "nr_freed",  # entries of Reclaim.freed
            "drop_at",  # next place of drop_caches()
            "flusher_wanted",  # 1 if reclaim met unqueued dirty pages alone
            # the allocation that is in the slow path
            "oom",  # 1 when an allocation has given up: a process must die
            "retrying",  # 1 after its first round
            "reclaiming",  # 1 while it reclaims and has given up the CPU
            "step_by_step",  # 1: alloc() returns PREEMPTED after each round of direct reclaim
            "progress",  # 1 if its last round has reclaimed something
            "no_progress_loops",  # its rounds in a row without that
            "compact_priority",  # PRIO_.., COMPACT_.. of mm/compact/state.py
            "compact_result",
            "compact_retries",
            "waits",  # 1 while it waits for kswapd (throttle_direct_reclaim)
            # sysctls
            *("swappiness", "min_free_kbytes", "watermark_scale_factor", "watermark_boost_factor"),
            *("compaction_proactiveness", "dirty_ratio", "dirty_background_ratio"),
            "ablations",
            # the multi-generation LRU: in use?  the youngest generation
            "lru_gen",
            "max_seq",
            # counters of the lists (struct lruvec_stats), which lag behind the lists
            "stat_lag",  # changes after which they are brought up to date; 0: at once
            "stat_changes",
        )
    ]
)

# struct scan_control and the local variables of shrink_lruvec(); one record for kswapd and one for
# the task in direct reclaim.
CONTROL_DTYPE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "at",  # DIRECT_.. of a task
            "before",  # pages reclaimed before the pass
            "zone",  # that the pass is for
            "order",
            "priority",
            "reclaim_idx",
            "nr_to_reclaim",
            "nr_scanned",
            "nr_reclaimed",
            "may_writepage",
            "may_swap",
            "deactivate_anon",
            "deactivate_file",
            "force_deactivate",
            "skipped_deactivate",
            "full_walk",
            "cache_trim_mode",
            "file_is_tiny",
            "compaction_ready",
            "proactive",
            # sc->nr
            *("dirty", "unqueued_dirty", "nr_congested", "writeback", "immediate"),
            *("taken", "file_taken"),
            # shrink_lruvec()
            "lru_reclaimed",
            "proportional",
            # try_to_shrink_lruvec(): pages scanned, -1 if nothing is to be scanned
            "gen_scanned",
            # struct blk_plug: its pages, its requests, pages of its last request, their last slot
            *("plugged", "plug_requests", "plug_run", "plug_slot"),
        )
    ]
)


class Reclaim(NamedTuple):
    """What reclaim knows of a guest with ``N`` pages, ``Z`` zones and ``P`` places.

    links : int32[2 (N + 40)]   the LRU lists; the head of list l is node N + l; first = newest
    page : uint32[N]            PG_.. bits of each page
    slot : int32[N]             1 + the place that the page backs; 0: reclaim does not know the page
    place : int32[P]            1 + the page; 0: never there; < 0: evicted, -1 - shadow
    swap : int32[P]             1 + the swap slot of the place, 0 if it has none
    swap_map : int32[S]         1 + the place that a swap slot belongs to, 0: free
    zone_lru : int64[Z, 5]      pages of each zone on each list
    count : int64[NR_COUNTS]    counters of /proc/vmstat, COUNTS
    work : int64[NR_WORK]       work since the engine last set it to 0, WORK_..
    node : record[1]            NODE_DTYPE
    control : record[2]         CONTROL_DTYPE, of kswapd and of the task in direct reclaim
    nr : int64[2, 4]            pages that shrink_lruvec() still has to scan on each list
    targets : int64[2, 4]       pages that it had to scan at first
    boosts : int64[Z]           the zones' boosts when kswapd began to balance
    compaction : Compaction     what mm/compact/ works with
    writeback : int32[N]        ring of pages handed to the disk, oldest first; -1: taken out
    request_ends : uint8[N]     1 where a page of the ring is the last of its request
    plug : int32[2, 1280]       pages that kswapd or the task has still to hand to the disk
    min_seq : int64[2]          oldest generation of anonymous pages, of files' pages
    gen_pages : int64[4, 2, 4]  pages of each generation modulo 4, kind and zone
    tiers : int64[5, 2, 4]      AVG_REFAULTED .. PROTECTED of each kind and tier
    seen : int64[4]             pages on each list when its counter was last brought up to date
    freed : int32[2 N]          pages that reclaim freed since the engine last set nr_freed to 0
    shrinkers : record[3]       SHRINKER_DTYPE, of the policies that hold blocks for the host
    """

    links: np.ndarray
    page: np.ndarray
    slot: np.ndarray
    place: np.ndarray
    swap: np.ndarray
    swap_map: np.ndarray
    zone_lru: np.ndarray
    count: np.ndarray
    work: np.ndarray
    node: np.recarray
    control: np.recarray
    nr: np.ndarray
    targets: np.ndarray
    boosts: np.ndarray
    compaction: Compaction
    writeback: np.ndarray
    request_ends: np.ndarray
    plug: np.ndarray
    min_seq: np.ndarray
    gen_pages: np.ndarray
    tiers: np.ndarray
    seen: np.ndarray
    freed: np.ndarray
    shrinkers: np.recarray


def new_reclaim(memory: Memory, places: int, swap_pages: int = 0, sysctl=None) -> Reclaim:
    """LRU lists without a page, for a guest whose programs use ``places`` places.

    If ``sysctl`` sets min_free_kbytes or watermark_scale_factor, the watermarks of ``memory`` are
    set anew.

    Raises
    ------
    InputError
        Swap is smaller than 0, or larger than int32 can number.
    """
    sysctl = sysctl or Sysctl()
    if not 0 <= swap_pages < 2**31:
        raise InputError(f"swap must have 0 to {2**31 - 1} pages, got {swap_pages}")
    if not 0 <= places < 2**31:
        raise InputError(f"a guest has 0 to {2**31 - 1} places, got {places}")
    heads = np.arange(memory.nr_pages, memory.nr_pages + NR_HEADS, dtype=np.int32)
    links = np.zeros(2 * (memory.nr_pages + NR_HEADS), np.int32)
    links[2 * memory.nr_pages :] = np.repeat(heads, 2)
    node = np.zeros(1, NODE_DTYPE).view(np.recarray)
    node.kswapd_highest_zoneidx = MAX_NR_ZONES
    node.zoneidx = MAX_NR_ZONES - 1
    node.kcompactd_order = -1
    node.max_seq = MIN_NR_GENS + 1
    node.swap_total = node.swap_free = swap_pages
    set_sysctls(memory, node, sysctl)
    zones = len(memory.zones)
    return Reclaim(
        links=links,
        page=np.zeros(memory.nr_pages, np.uint32),
        slot=np.zeros(memory.nr_pages, np.int32),
        place=np.zeros(places, np.int32),
        swap=np.zeros(places, np.int32),
        swap_map=np.zeros(swap_pages, np.int32),
        zone_lru=np.zeros((zones, NR_LISTS), np.int64),
        count=np.zeros(NR_COUNTS, np.int64),
        work=np.zeros(NR_WORK, np.int64),
        node=node,
        control=np.zeros(2, CONTROL_DTYPE).view(np.recarray),
        nr=np.zeros((2, 4), np.int64),
        targets=np.zeros((2, 4), np.int64),
        boosts=np.zeros(zones, np.int64),
        compaction=new_compaction(memory),
        writeback=np.full(memory.nr_pages, -1, np.int32),
        request_ends=np.zeros(memory.nr_pages, np.uint8),
        plug=np.full((2, PLUG_PAGES), -1, np.int32),
        min_seq=np.zeros(2, np.int64),
        gen_pages=np.zeros((MAX_NR_GENS, 2, NR_GEN_ZONES), np.int64),
        tiers=np.zeros((5, 2, MAX_NR_TIERS), np.int64),
        seen=np.zeros(4, np.int64),
        freed=np.zeros(2 * memory.nr_pages, np.int32),
        shrinkers=new_shrinkers(),
    )


def vmstat(reclaim: Reclaim) -> dict[str, int]:
    """The counters by their names in /proc/vmstat, those that are 0 left out."""
    return {name: int(n) for name, n in zip(COUNTS, reclaim.count, strict=True) if n}
