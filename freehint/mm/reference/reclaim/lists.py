"""The data of reclaim, and how pages come onto and off the LRU lists.

An LRU list is a Python list of first pfns: index 0 is the newest page.
Source: include/linux/mmzone.h (struct lruvec, pg_data_t), include/linux/mm_inline.h, Linux 6.1.
"""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

from freehint.mm.reference.compact.data import Compactor
from freehint.mm.reference.lists import PAGEBLOCK_NR_PAGES, page_zone

INACTIVE_ANON, ACTIVE_ANON, INACTIVE_FILE, ACTIVE_FILE = EVICTABLE = range(4)
MAX_NR_ZONES = 5
SWAP_CLUSTER_MAX = 32
DEF_PRIORITY = 12
MAX_RECLAIM_RETRIES = 16


@dataclass
class Node:
    """What the node remembers: fields of pg_data_t and struct lruvec, kernel threads, sysctls."""

    kswapd_order: int = 0
    kswapd_highest_zoneidx: int = MAX_NR_ZONES
    kswapd_failures: int = 0
    kswapd_awake: int = 0
    kswapd_sleeps: int = 0
    dirty_pages_at_tail: int = 0
    writeback_pages_at_tail: int = 0
    congested: int = 0
    anon_cost: int = 0
    file_cost: int = 0
    nonresident_age: int = 0
    refaults_anon: int = 0
    refaults_file: int = 0
    kcompactd_order: int = -1
    kcompactd_zoneidx: int = 0
    flusher_wanted: int = 0
    drop_at: int = 0
    swappiness: int = 60


@dataclass
class Request:
    """What the allocation in the slow path remembers; the fields are named as in Reclaim.node."""

    oom: int = 0
    reclaiming: int = 0
    retrying: int = 0
    progress: int = 0
    no_progress_loops: int = 0
    compact_priority: int = 0
    compact_result: int = 0
    compact_retries: int = 0
    waits: int = 0


@dataclass
class Reclaimer:
    """A twin's reclaim.

    compactor  the twin's memory, its LRU lists (``lru``) and the places that pages back (``place``)
    flags      first pfn of a folio -> the names of its flags
    page       place -> the pfn that backs it
    shadow     place of an evicted page -> (nonresident_age, was it in the working set?)
    nr_places  places are numbered from 0 to this
    swap       place -> its swap slot
    slots      for each swap slot the place that it belongs to, or None
    swap_next  slot at which the next search begins
    disk       pfns that the disk is writing, the oldest first
    plugs      is it kswapd's?  -> requests that have still to go to the disk: (pfn, slot) each
    counts     the counters by their names in /proc/vmstat
    freed      pages that reclaim has freed
    kswapd     the thread, which yields at the end of each step
    napping    it sleeps for 100 ms
    """

    compactor: Compactor
    nr_places: int
    slots: list[int | None]
    flags: dict[int, set[str]] = field(default_factory=dict)
    page: dict[int, int] = field(default_factory=dict)
    shadow: dict[int, tuple[int, bool]] = field(default_factory=dict)
    swap: dict[int, int] = field(default_factory=dict)
    swap_next: int = 0
    disk: list[int] = field(default_factory=list)
    plugs: dict[bool, list] = field(default_factory=lambda: {True: [], False: []})
    counts: Counter = field(default_factory=Counter)
    freed: list[int] = field(default_factory=list)
    node: Node = field(default_factory=Node)
    request: Request = field(default_factory=Request)
    kswapd: Generator | None = None
    napping: bool = False


def is_file(flags):
    """Is it a page of a file?  Source: folio_is_file_lru()."""
    return "swapbacked" not in flags


def kind(flags):
    """How counters call it."""
    return "file" if is_file(flags) else "anon"


def nr_pages(flags):
    """Source: folio_nr_pages()."""
    return PAGEBLOCK_NR_PAGES if "huge" in flags else 1


def lru_list(reclaimer, flags):
    """The list for a page with these flags.  Source: folio_lru_list()."""
    lists = (INACTIVE_ANON, ACTIVE_ANON) if "swapbacked" in flags else (INACTIVE_FILE, ACTIVE_FILE)
    return reclaimer.compactor.lru[lists["active" in flags]]


def lru_size(reclaimer, lru, zones=None):
    """Pages on a list, of some zones or all.  Source: lruvec_lru_size(), lruvec_page_state()."""
    pfns = reclaimer.compactor.lru[lru]
    if zones is not None:
        spans = [(zone.start_pfn, zone.end_pfn) for zone in zones]
        pfns = [pfn for pfn in pfns if any(first <= pfn < end for first, end in spans)]
    huge = sum("huge" in reclaimer.flags[pfn] for pfn in pfns)
    return len(pfns) + huge * (PAGEBLOCK_NR_PAGES - 1)


def add_folio(reclaimer, pfn, tail=False):
    """Source: lruvec_add_folio(), lruvec_add_folio_tail()."""
    flags = reclaimer.flags[pfn]
    pfns = lru_list(reclaimer, flags)
    flags.add("lru")
    pfns.insert(len(pfns) if tail else 0, pfn)


def del_folio(reclaimer, pfn):
    """Source: lruvec_del_folio()."""
    flags = reclaimer.flags[pfn]
    flags.remove("lru")
    lru_list(reclaimer, flags).remove(pfn)


def zones_of(reclaimer):
    """The zones of the twin's memory, ascending."""
    return reclaimer.compactor.twin.zones


def zones_up_to(reclaimer, highest_zoneidx):
    """The zones that a request may use, ascending."""
    return [zone for zone in zones_of(reclaimer) if zone.index <= highest_zoneidx]


def zone_index(reclaimer, pfn):
    """Source: folio_zonenum()."""
    return page_zone(reclaimer.compactor.twin, pfn).index
