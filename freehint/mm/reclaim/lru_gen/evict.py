"""The eviction of the multi-generation LRU: batches of 64 pages from the oldest generation.

Simplified: a page that reclaim rejects is not tried a second time in the same batch.

Source: evict_folios() and what it calls, mm/vmscan.c of Linux 6.12.
"""

from freehint.jit import kernel
from freehint.mm.list import list_add, list_del, list_empty, list_prev
from freehint.mm.memory import page_zone
from freehint.mm.reclaim.counts import (
    PGREFILL,
    PGSCAN_ANON,
    PGSCAN_KSWAPD,
    PGSTEAL_ANON,
    PGSTEAL_KSWAPD,
    WORK_BATCHES,
    WORK_RECLAIMED,
    WORK_SCANNED,
)
from freehint.mm.reclaim.lists import (
    clear_bits,
    has,
    list_head,
    nr_pages_of,
)
from freehint.mm.reclaim.lru_gen.aging import (
    ANON,
    FILE,
    MIN_LRU_BATCH,
    last_tier_to_evict,
    move_to_generation,
    positive_ctrl_err,
    try_to_inc_min_seq,
)
from freehint.mm.reclaim.lru_gen.generations import (
    folio_inc_gen,
    folio_lru_gen,
    folio_lru_refs,
    gen_from_seq,
    gen_head,
    is_file,
    lru_gen_del_folio,
    lru_tier_from_refs,
    nr_gens,
)
from freehint.mm.reclaim.pages import shrink_page_list
from freehint.mm.reclaim.state import (
    CACHE_NEVER_RECLAIMED,
    ISOLATED,
    MIN_NR_GENS,
    PG_DIRTY,
    PG_ON_LRU,
    PG_RECLAIM,
    PG_REFERENCED,
    PG_REFS,
    PG_WORKINGSET,
    PG_WRITEBACK,
    PROTECTED,
    REFS_WIDTH,
)
from freehint.mm.reclaim.writeback import swap_pages_free

MAX_LRU_BATCH = 64 * MIN_LRU_BATCH
MAX_SWAPPINESS = 200


# Which pages


@kernel(cold=True)
def sort_folio(memory, reclaim, who, node, last_tier):
    """Put a page aside that is not to be evicted now; True if it is none to evict.

    It was promoted already, or is of a tier worth keeping, or of a zone that is not wanted, or
    waits to be written.  Source: sort_folio().
    """
    kind, gen, sc = is_file(reclaim, node), folio_lru_gen(reclaim, node), reclaim.control[who]
    if gen != gen_from_seq(reclaim.min_seq[kind]):
        move_first(memory, reclaim, node, gen)
        return True
    refs = folio_lru_refs(reclaim, node)
    tier = lru_tier_from_refs(refs)
    if tier > last_tier or refs == 1 << REFS_WIDTH:
        reclaim.tiers[PROTECTED, kind, tier] += nr_pages_of(reclaim, node)
        move_to_generation(memory, reclaim, node, folio_inc_gen(memory, reclaim, node, 0))
        return True
    if memory.zones[page_zone(memory, node)].index > sc.reclaim_idx:
        move_to_generation(memory, reclaim, node, folio_inc_gen(memory, reclaim, node, 0))
        return True
    dirty = kind == FILE and has(reclaim, node, PG_DIRTY)
    writeback = has(reclaim, node, PG_WRITEBACK)
    if dirty:
        sc.file_taken += nr_pages_of(reclaim, node)
        sc.unqueued_dirty += 0 if writeback else nr_pages_of(reclaim, node)
    if dirty or writeback:
        move_first(memory, reclaim, node, folio_inc_gen(memory, reclaim, node, 1))
        return True
    return False


@kernel(inline=True)
def move_first(memory, reclaim, node, gen):
    """Put a page first on a generation's list.  Source: list_move()."""
    list_del(reclaim.links, node)
    head = gen_head(memory, gen, is_file(reclaim, node), page_zone(memory, node))
    list_add(reclaim.links, node, head)


@kernel(inline=True)
def isolate_folio(memory, reclaim, node):
    """Take a page off its list, to be looked at.  Source: isolate_folio()."""
    if not has(reclaim, node, PG_REFERENCED):
        clear_bits(reclaim, node, PG_REFS | PG_WORKINGSET)
    clear_bits(reclaim, node, PG_RECLAIM | PG_REFERENCED | PG_ON_LRU)
    lru_gen_del_folio(memory, reclaim, node, True)
    list_add(reclaim.links, node, list_head(memory, ISOLATED))


@kernel(inline=True)
def zone_at(memory, reclaim_idx, turn):
    """Zones in the order of scan_folios(): the highest wanted first, unwanted ones last."""
    zones = memory.zones.shape[0]
    wanted = 0
    for zone in range(zones):
        wanted += 1 if memory.zones[zone].index <= reclaim_idx else 0
    return wanted - 1 - turn if turn < wanted else zones - 1 - (turn - wanted)


@kernel(cold=True)
def scan_folios(memory, reclaim, who, kind, last_tier):
    """Isolate up to 64 pages of the oldest generation; return the pages looked at.

    Source: scan_folios().
    """
    sc = reclaim.control[who]
    scanned = isolated = 0
    if nr_gens(reclaim, kind) == MIN_NR_GENS:
        return 0
    if kind == FILE and reclaim.node[0].ablations & CACHE_NEVER_RECLAIMED:
        return 0
    remaining = MAX_LRU_BATCH
    gen = gen_from_seq(reclaim.min_seq[kind])
    for turn in range(memory.zones.shape[0]):
        head = gen_head(memory, gen, kind, zone_at(memory, sc.reclaim_idx, turn))
        while remaining > 0 and isolated < MIN_LRU_BATCH and not list_empty(reclaim.links, head):
            node = list_prev(reclaim.links, head)
            pages = nr_pages_of(reclaim, node)
            scanned += pages
            remaining -= 1
            if not sort_folio(memory, reclaim, who, node, last_tier):
                isolate_folio(memory, reclaim, node)
                isolated += pages
    if not sc.proactive:
        reclaim.count[PGSCAN_KSWAPD + who] += isolated
        reclaim.count[PGREFILL] += scanned - isolated
    reclaim.count[PGSCAN_ANON + kind] += isolated
    reclaim.work[WORK_SCANNED] += scanned
    sc.taken += isolated
    sc.file_taken += isolated if kind == FILE else 0
    return scanned if isolated or remaining == 0 else 0


@kernel(inline=True)
def swappiness_now(reclaim, who):
    """Swappiness; 0 if less than a batch of swap is free.  Source: get_swappiness()."""
    if not reclaim.control[who].may_swap or swap_pages_free(reclaim) < MIN_LRU_BATCH:
        return 0
    return reclaim.node[0].swappiness


@kernel(cold=True)
def kind_and_tier(reclaim, swappiness):
    """Which kind of page to scan, up to which tier.

    Source: isolate_folios(), get_type_to_scan(), get_tier_idx().
    """
    anon, file = reclaim.min_seq[ANON], reclaim.min_seq[FILE]
    if not swappiness or (anon >= file and swappiness == 1):
        return FILE, last_tier_to_evict(reclaim, FILE, 1, FILE, 2)
    if anon < file or swappiness == MAX_SWAPPINESS:
        return ANON, last_tier_to_evict(reclaim, ANON, 1, ANON, 2)
    rest = MAX_SWAPPINESS - swappiness
    if positive_ctrl_err(reclaim, ANON, swappiness, FILE, 0, rest):
        return FILE, last_tier_to_evict(reclaim, ANON, swappiness, FILE, rest)
    return ANON, last_tier_to_evict(reclaim, FILE, rest, ANON, swappiness)


@kernel(cold=True)
def isolate_folios(memory, reclaim, who, swappiness):
    """Isolate a batch of the better kind of page, else of the other.

    Source: isolate_folios().

    Returns
    -------
    (int, int)
        Pages looked at; the kind that was scanned last.
    """
    kind, tier = kind_and_tier(reclaim, swappiness)
    scanned = scan_folios(memory, reclaim, who, kind, tier)
    if scanned or not swappiness:
        return scanned, kind
    kind = 1 - kind
    tier = last_tier_to_evict(reclaim, kind, 1, kind, 2)
    return scan_folios(memory, reclaim, who, kind, tier), kind


@kernel(cold=True)
def evict_folios(memory, reclaim, who, cpu, swappiness):
    """Evict a batch; return what it has scanned, 0 if there is nothing more to scan.

    Source: evict_folios().
    """
    sc = reclaim.control[who]
    scanned, kind = isolate_folios(memory, reclaim, who, swappiness)
    scanned += try_to_inc_min_seq(memory, reclaim, swappiness > 0)
    if nr_gens(reclaim, ANON if swappiness else FILE) == MIN_NR_GENS:
        scanned = 0
    if list_empty(reclaim.links, list_head(memory, ISOLATED)):
        return scanned
    reclaim.work[WORK_BATCHES] += 1
    reclaimed, _ = shrink_page_list(memory, reclaim, who, cpu)
    if not sc.proactive:
        reclaim.count[PGSTEAL_KSWAPD + who] += reclaimed
    reclaim.count[PGSTEAL_ANON + kind] += reclaimed
    reclaim.work[WORK_RECLAIMED] += reclaimed
    sc.lru_reclaimed += reclaimed
    return scanned
