"""What an operator asks for: drop_caches and memory.reclaim.

Source: fs/drop_caches.c, mm/truncate.c, mm/memcontrol.c of Linux 6.1.
"""

from freehint.mm.reference.reclaim.control import ScanControl
from freehint.mm.reference.reclaim.direct import do_try_to_free_pages
from freehint.mm.reference.reclaim.lists import (
    MAX_RECLAIM_RETRIES,
    SWAP_CLUSTER_MAX,
    add_folio,
    del_folio,
    is_file,
)
from freehint.mm.reference.reclaim.lru import unlink_place
from freehint.mm.reference.reclaim.pages import free_unref_page_list

PAGEVEC_SIZE = 15
ZONE_MOVABLE = 3


def memory_reclaim(reclaimer, cpu, nr_pages):
    """Source: memory_reclaim(), try_to_free_mem_cgroup_pages()."""
    reclaimed, retries = 0, MAX_RECLAIM_RETRIES
    while reclaimed < nr_pages:
        wanted = max(nr_pages - reclaimed, SWAP_CLUSTER_MAX)
        sc = ScanControl(False, ZONE_MOVABLE, wanted, cgroup=True)
        got = do_try_to_free_pages(reclaimer, sc, cpu)
        if not got:
            if not retries:
                break
            retries -= 1
        reclaimed += got
    return reclaimed


def drop_caches(reclaimer, cpu, limit):
    """Drop what is clean and not in use; the other pages become inactive.

    Entries of the cache, shadows too, are looked at 15 at a time.
    Source: drop_pagecache_sb(), invalidate_mapping_pages(), mapping_evict_folio().
    """
    node = reclaimer.node
    reclaimer.counts["drop_pagecache"] += node.drop_at == 0
    dropped, looked, batch = 0, 0, []
    while node.drop_at < reclaimer.nr_places and dropped < limit:
        place, node.drop_at = node.drop_at, node.drop_at + 1
        pfn = reclaimer.page.get(place)
        if pfn is None:
            if place in reclaimer.shadow and place not in reclaimer.swap:
                del reclaimer.shadow[place]
                looked += 1
        elif pfn in reclaimer.flags and is_file(reclaimer.flags[pfn]):
            looked += 1
            if reclaimer.flags[pfn] & {"dirty", "writeback", "mapped"}:
                deactivate_file(reclaimer, pfn)
            else:
                del_folio(reclaimer, pfn)
                unlink_place(reclaimer, pfn)
                batch.insert(0, pfn)
                dropped += 1
        if looked == PAGEVEC_SIZE:
            free_unref_page_list(reclaimer, batch, cpu)
            looked, batch = 0, []
    free_unref_page_list(reclaimer, batch, cpu)
    if dropped < limit:
        node.drop_at = 0
    return dropped


def deactivate_file(reclaimer, pfn):
    """A page that is not mapped goes as soon as the disk has it.

    Source: deactivate_file_folio(), lru_deactivate_file_fn().
    """
    flags = reclaimer.flags[pfn]
    if "mapped" in flags:
        return
    active = "active" in flags
    del_folio(reclaimer, pfn)
    flags -= {"active", "referenced"}
    flags.add("reclaim")
    add_folio(reclaimer, pfn)
    reclaimer.counts["pgdeactivate"] += active
