"""The aging of the multi-generation LRU: new generations, young pages, refaults by tier.

The aging makes a new youngest generation when the oldest is nearly used up, and promotes to it the
pages that were used through page tables meanwhile.  What is evicted is in evict.py.

Simplified: one memory cgroup; the walk looks at every mapped page, where the kernel leaves out
page tables that its Bloom filter does not name, and it costs nothing; no min_ttl_ms.

Source: mm/vmscan.c of Linux 6.12.
"""

from freehint.jit import kernel
from freehint.mm.list import list_add_tail, list_del, list_empty, list_prev
from freehint.mm.memory import PAGEBLOCK_NR_PAGES, page_zone
from freehint.mm.reclaim.lru_gen.generations import (
    folio_inc_gen,
    folio_update_gen,
    gen_from_seq,
    gen_head,
    is_file,
    nr_gens,
)
from freehint.mm.reclaim.state import (
    AVG_REFAULTED,
    AVG_TOTAL,
    EVICTED,
    MAX_NR_GENS,
    MAX_NR_TIERS,
    MIN_NR_GENS,
    PG_HUGE,
    PROTECTED,
    PTE_YOUNG,
    REFAULTED,
)

MIN_LRU_BATCH = 64  # BITS_PER_LONG
ANON, FILE = range(2)


# The controller: are the pages of a tier, or of a kind, faulted back more often than others?


@kernel(inline=True)
def refaulted(reclaim, kind, tier):
    """Refaults of a tier, old ones at half their weight.  Source: read_ctrl_pos()."""
    return reclaim.tiers[AVG_REFAULTED, kind, tier] + reclaim.tiers[REFAULTED, kind, tier]


@kernel(inline=True)
def evicted_or_protected(reclaim, kind, tier):
    """Pages of a tier that met reclaim, old ones at half their weight.  Source: read_ctrl_pos()."""
    tiers = reclaim.tiers
    return tiers[AVG_TOTAL, kind, tier] + tiers[EVICTED, kind, tier] + tiers[PROTECTED, kind, tier]


@kernel(inline=True)
def positive_ctrl_err(reclaim, set_kind, set_gain, kind, tier, gain):
    """Do pages of a tier come back no more often than the first tier of ``set_kind``?

    Source: positive_ctrl_err().
    """
    back = refaulted(reclaim, kind, tier)
    if back < MIN_LRU_BATCH:
        return True
    set_total = evicted_or_protected(reclaim, set_kind, 0) + MIN_LRU_BATCH
    set_back = refaulted(reclaim, set_kind, 0) + 1
    total = evicted_or_protected(reclaim, kind, tier)
    return back * set_total * set_gain <= set_back * total * gain


@kernel(cold=True)
def last_tier_to_evict(reclaim, set_kind, set_gain, kind, gain):
    """The last tier of a kind that is no worse than the first of ``set_kind``.

    Source: get_tier_idx(), get_type_to_scan().
    """
    tier = 1
    while tier < MAX_NR_TIERS:
        if not positive_ctrl_err(reclaim, set_kind, set_gain, kind, tier, gain):
            break
        tier += 1
    return tier - 1


@kernel(cold=True)
def reset_ctrl_pos(reclaim, kind):
    """The oldest generation ends: its counts go into the averages.  Source: reset_ctrl_pos()."""
    tiers = reclaim.tiers
    for tier in range(MAX_NR_TIERS):
        tiers[AVG_REFAULTED, kind, tier] = refaulted(reclaim, kind, tier) // 2
        tiers[AVG_TOTAL, kind, tier] = evicted_or_protected(reclaim, kind, tier) // 2
        tiers[REFAULTED, kind, tier] = 0
        tiers[EVICTED, kind, tier] = 0
        tiers[PROTECTED, kind, tier] = 0


# Generations end and begin


@kernel(inline=True)
def lists_empty(memory, reclaim, gen, kind):
    """Has a generation no page on its lists?  Source: try_to_inc_min_seq()."""
    for zone in range(memory.zones.shape[0]):
        if not list_empty(reclaim.links, gen_head(memory, gen, kind, zone)):
            return False
    return True


@kernel(inline=True)
def oldest_with_pages(memory, reclaim, kind):
    """The oldest generation with pages; two are always left.  Source: try_to_inc_min_seq()."""
    seq, newest = reclaim.min_seq[kind], reclaim.node[0].max_seq
    while seq + MIN_NR_GENS <= newest:
        if not lists_empty(memory, reclaim, gen_from_seq(seq), kind):
            break
        seq += 1
    return seq


@kernel(inline=True)
def end_oldest(reclaim, kind, seq):
    """Let ``seq`` be the oldest generation; return 1 if it was not.

    Source: try_to_inc_min_seq().
    """
    if seq == reclaim.min_seq[kind]:
        return 0
    reset_ctrl_pos(reclaim, kind)
    reclaim.min_seq[kind] = seq
    return 1


@kernel(cold=True)
def try_to_inc_min_seq(memory, reclaim, can_swap):
    """Let the oldest generations end that are empty; return 1 if one has ended.

    Source: try_to_inc_min_seq().
    """
    file = oldest_with_pages(memory, reclaim, FILE)
    if not can_swap:
        return end_oldest(reclaim, FILE, file)
    anon = min(oldest_with_pages(memory, reclaim, ANON), file)
    file = max(anon, reclaim.min_seq[FILE])
    return end_oldest(reclaim, ANON, anon) | end_oldest(reclaim, FILE, file)


@kernel(cold=True)
def inc_min_seq(memory, reclaim, kind, can_swap):
    """End the oldest generation of a kind; what is left of it becomes one generation younger.

    Without swap, anonymous pages stay where they are: nobody looks for them.
    Source: inc_min_seq(), without the breaks after 4,096 pages.
    """
    if kind == FILE or can_swap:
        old = gen_from_seq(reclaim.min_seq[kind])
        for zone in range(memory.zones.shape[0]):
            head = gen_head(memory, old, kind, zone)
            while not list_empty(reclaim.links, head):
                node = list_prev(reclaim.links, head)
                move_to_generation(memory, reclaim, node, folio_inc_gen(memory, reclaim, node, 0))
    reset_ctrl_pos(reclaim, kind)
    reclaim.min_seq[kind] += 1


@kernel(inline=True)
def move_to_generation(memory, reclaim, node, gen):
    """Put a page last on a generation's list.  Source: list_move_tail()."""
    list_del(reclaim.links, node)
    head = gen_head(memory, gen, is_file(reclaim, node), page_zone(memory, node))
    list_add_tail(reclaim.links, node, head)


@kernel(cold=True)
def inc_max_seq(memory, reclaim, can_swap):
    """Begin a new youngest generation; the second youngest does not count as active any more.

    Source: inc_max_seq().
    """
    state = reclaim.node[0]
    for i in range(2):
        kind = FILE - i
        if nr_gens(reclaim, kind) == MAX_NR_GENS:
            inc_min_seq(memory, reclaim, kind, can_swap)
    before, after = gen_from_seq(state.max_seq - 1), gen_from_seq(state.max_seq + 1)
    for kind in range(2):
        for zone in range(memory.zones.shape[0]):
            pages = reclaim.gen_pages[before, kind, zone] - reclaim.gen_pages[after, kind, zone]
            reclaim.zone_lru[zone, 2 * kind] += pages
            reclaim.zone_lru[zone, 2 * kind + 1] -= pages
    state.max_seq += 1


@kernel(cold=True)
def try_to_inc_max_seq(memory, reclaim, can_swap):
    """Promote the pages used since, then begin a generation.  Source: try_to_inc_max_seq()."""
    walk_mm(memory, reclaim, can_swap)
    inc_max_seq(memory, reclaim, can_swap)


@kernel(cold=True)
def should_run_aging(reclaim, can_swap):
    """Are there too few generations, or too few old pages?

    Source: should_run_aging().

    Returns
    -------
    (bool, int)
        The answer; the pages that may be scanned.
    """
    newest, old, young, total = reclaim.node[0].max_seq, 0, 0, 0
    oldest = reclaim.min_seq[ANON if can_swap else FILE]
    if oldest + MIN_NR_GENS > newest:
        return True, 0
    for kind in range(ANON if can_swap else FILE, 2):
        for seq in range(reclaim.min_seq[kind], newest + 1):
            size = pages_of_generation(reclaim, gen_from_seq(seq), kind)
            total += size
            young += size if seq == newest else 0
            old += size if seq + MIN_NR_GENS == newest else 0
    if oldest + MIN_NR_GENS < newest:
        return False, total
    return young * MIN_NR_GENS > total or old * (MIN_NR_GENS + 2) < total, total


@kernel(inline=True)
def pages_of_generation(reclaim, gen, kind):
    """Pages of one kind in a generation, of all zones.  Source: lrugen->nr_pages."""
    pages = 0
    for zone in range(reclaim.gen_pages.shape[2]):
        pages += reclaim.gen_pages[gen, kind, zone]
    return pages


# Uses through page tables


@kernel(inline=True)
def folio_of(reclaim, place):
    """The folio that backs a place, -1 if none does."""
    node = int(reclaim.place[place]) - 1
    if node < 0:
        return -1
    head = node & ~(PAGEBLOCK_NR_PAGES - 1)
    return head if reclaim.page[head] & PG_HUGE else node


@kernel(inline=True)
def promote_if_young(memory, reclaim, node):
    """Clear a page table entry's accessed bit and promote the page if it was set.

    Source: ptep_clear_young_notify(), folio_update_gen().
    """
    if reclaim.page[node] & PTE_YOUNG:
        reclaim.page[node] &= 0xFFFFFFFF ^ PTE_YOUNG
        folio_update_gen(memory, reclaim, node)


@kernel(cold=True)
def walk_mm(memory, reclaim, can_swap):
    """Look at the accessed bits of all mapped pages.  Source: walk_mm(), walk_pte_range()."""
    for place in range(reclaim.place.shape[0]):
        node = folio_of(reclaim, place)
        if node >= 0 and (can_swap or is_file(reclaim, node) == FILE):
            promote_if_young(memory, reclaim, node)


@kernel(cold=True)
def lru_gen_look_around(memory, reclaim, node):
    """Reclaim has met a young page: promote its young neighbours, 64 places in all.

    Places stand for addresses: 64 around this one, of its own 512.  Source: lru_gen_look_around().
    """
    place = int(reclaim.slot[node]) - 1
    if place < 0:
        return
    first = place & ~(PAGEBLOCK_NR_PAGES - 1)
    last = min(first + PAGEBLOCK_NR_PAGES, reclaim.place.shape[0])
    begin = min(max(place - MIN_LRU_BATCH // 2, first), max(last - MIN_LRU_BATCH, first))
    for other in range(begin, min(begin + MIN_LRU_BATCH, last)):
        near = folio_of(reclaim, other)
        if near >= 0 and near != node and is_file(reclaim, near) == is_file(reclaim, node):
            promote_if_young(memory, reclaim, near)
