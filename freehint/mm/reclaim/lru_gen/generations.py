"""Generations of the multi-generation LRU: which one a page belongs to, and how often it was used.

A generation is a number that grows, its *sequence number*; four exist at most, so a page notes it
modulo 4.  There is a list for each generation, kind of page (anonymous, file) and zone.  A page
that the aging has promoted stays where it is until reclaim comes by: its bits count, not its list.

Pages of one generation are told apart by *tiers*: how often they were read by read(2).

Source: include/linux/mm_inline.h (lru_gen_..), mm/workingset.c, mm/swap.c of Linux 6.12.
"""

from freehint.jit import kernel
from freehint.mm.list import list_add, list_add_tail, list_del
from freehint.mm.memory import PAGEBLOCK_NR_PAGES, page_zone
from freehint.mm.reclaim.counts import (
    WORKINGSET_ACTIVATE_ANON,
    WORKINGSET_REFAULT_ANON,
    WORKINGSET_RESTORE_ANON,
)
from freehint.mm.reclaim.state import (
    EVICTED,
    GENERATION_HEADS,
    MAX_NR_GENS,
    MIN_NR_GENS,
    NR_GEN_ZONES,
    PG_ACTIVE,
    PG_DIRTY,
    PG_GENERATION,
    PG_GENERATION_SHIFT,
    PG_HUGE,
    PG_RECLAIM,
    PG_REFERENCED,
    PG_REFS,
    PG_REFS_SHIFT,
    PG_SWAPBACKED,
    PG_SWAPCACHE,
    PG_WORKINGSET,
    PG_WRITEBACK,
    REFAULTED,
    REFS_WIDTH,
    SHADOW_BITS,
)

LRU_REFS_FLAGS = PG_REFERENCED | PG_WORKINGSET
SHADOW_MASK = (1 << SHADOW_BITS) - 1
SHADOW_SEQ_MASK = SHADOW_MASK >> REFS_WIDTH


@kernel(inline=True)
def lru_gen_enabled(reclaim):
    """Is the multi-generation LRU in use?  Source: lru_gen_enabled()."""
    return reclaim.node[0].lru_gen != 0


@kernel(inline=True)
def gen_from_seq(seq):
    """The number modulo 4 that a page notes.  Source: lru_gen_from_seq()."""
    return seq % MAX_NR_GENS


@kernel(inline=True)
def folio_lru_gen(reclaim, node):
    """Generation of a page modulo 4, or -1 if it is on no list.  Source: folio_lru_gen()."""
    return ((int(reclaim.page[node]) & PG_GENERATION) >> PG_GENERATION_SHIFT) - 1


@kernel(inline=True)
def is_file(reclaim, node):
    """1 for a page of a file, 0 for an anonymous one.  Source: folio_is_file_lru()."""
    return 0 if reclaim.page[node] & PG_SWAPBACKED else 1


@kernel(inline=True)
def gen_head(memory, gen, kind, zone):
    """Node in Reclaim.links that heads a generation's list.  Source: lrugen->folios."""
    return memory.nr_pages + GENERATION_HEADS + (2 * gen + kind) * NR_GEN_ZONES + zone


@kernel(inline=True)
def nr_gens(reclaim, kind):
    """Generations that a kind of page has now, 2 to 4.  Source: get_nr_gens()."""
    return reclaim.node[0].max_seq - reclaim.min_seq[kind] + 1


@kernel(inline=True)
def lru_gen_is_active(reclaim, gen):
    """Do pages of the generation count as active?  Source: lru_gen_is_active()."""
    newest = reclaim.node[0].max_seq
    return gen == gen_from_seq(newest) or gen == gen_from_seq(newest - 1)


@kernel(inline=True)
def set_generation(reclaim, node, gen):
    """Note a page's generation; -1: none."""
    others = reclaim.page[node] & (0xFFFFFFFF ^ PG_GENERATION)
    reclaim.page[node] = others | ((gen + 1) << PG_GENERATION_SHIFT)


@kernel(cold=True)
def lru_gen_update_size(memory, reclaim, node, old, new):
    """Count a page out of one generation and into another; -1: none.

    Source: lru_gen_update_size().
    """
    kind, zone = is_file(reclaim, node), page_zone(memory, node)
    pages = PAGEBLOCK_NR_PAGES if reclaim.page[node] & PG_HUGE else 1
    if old >= 0:
        reclaim.gen_pages[old, kind, zone] -= pages
        reclaim.zone_lru[zone, 2 * kind + lru_gen_is_active(reclaim, old)] -= pages
    if new >= 0:
        reclaim.gen_pages[new, kind, zone] += pages
        reclaim.zone_lru[zone, 2 * kind + lru_gen_is_active(reclaim, new)] += pages


@kernel(inline=True)
def seq_of_new(reclaim, node, reclaiming):
    """The generation for a page that comes to the lists: the four cases of lru_gen_add_folio().

    A faulted page goes to the youngest; one that cannot be evicted at once to the second youngest;
    one that waited for its writeback to the oldest; other pages, as those read by read(2), to the
    second oldest, or the oldest if there are only three.
    """
    page, kind, newest = reclaim.page[node], is_file(reclaim, node), reclaim.node[0].max_seq
    oldest = reclaim.min_seq[kind]
    if page & PG_ACTIVE:
        return newest
    if kind == 0 and page & PG_SWAPCACHE == 0:
        return newest - 1
    if page & PG_RECLAIM and page & (PG_DIRTY | PG_WRITEBACK):
        return newest - 1
    if reclaiming or oldest + MIN_NR_GENS >= newest:
        return oldest
    return oldest + 1


@kernel(cold=True)
def lru_gen_add_folio(memory, reclaim, node, reclaiming):
    """Put a page on its generation's list: first, or last if ``reclaiming``.

    Source: lru_gen_add_folio().
    """
    gen = gen_from_seq(seq_of_new(reclaim, node, reclaiming))
    reclaim.page[node] &= 0xFFFFFFFF ^ PG_ACTIVE
    set_generation(reclaim, node, gen)
    lru_gen_update_size(memory, reclaim, node, -1, gen)
    head = gen_head(memory, gen, is_file(reclaim, node), page_zone(memory, node))
    if reclaiming:
        list_add_tail(reclaim.links, node, head)
    else:
        list_add(reclaim.links, node, head)


@kernel(cold=True)
def lru_gen_del_folio(memory, reclaim, node, reclaiming):
    """Take a page off its generation's list; unless it is ``reclaiming``, it stays active.

    Source: lru_gen_del_folio().
    """
    gen = folio_lru_gen(reclaim, node)
    lru_gen_update_size(memory, reclaim, node, gen, -1)
    set_generation(reclaim, node, -1)
    if not reclaiming and lru_gen_is_active(reclaim, gen):
        reclaim.page[node] |= PG_ACTIVE
    list_del(reclaim.links, node)


@kernel(inline=True)
def forget_uses(reclaim, node):
    """Clear what is noted of a page's uses.  Source: LRU_REFS_MASK, LRU_REFS_FLAGS."""
    reclaim.page[node] &= 0xFFFFFFFF ^ (PG_REFS | LRU_REFS_FLAGS)


@kernel(cold=True)
def folio_inc_gen(memory, reclaim, node, reclaiming):
    """Let a page of the oldest generation be one younger, unless it was promoted already.

    The caller puts it on the list of the generation that is returned.  Source: folio_inc_gen().
    """
    oldest = gen_from_seq(reclaim.min_seq[is_file(reclaim, node)])
    gen = folio_lru_gen(reclaim, node)
    if gen != oldest:
        return gen
    gen = gen_from_seq(oldest + 1)
    lru_gen_update_size(memory, reclaim, node, oldest, gen)
    forget_uses(reclaim, node)
    set_generation(reclaim, node, gen)
    if reclaiming:
        reclaim.page[node] |= PG_RECLAIM
    return gen


@kernel(cold=True)
def folio_update_gen(memory, reclaim, node):
    """Promote a page that was used through a page table to the youngest generation.

    A page that reclaim holds just now only notes the use.  Source: folio_update_gen().
    """
    old = folio_lru_gen(reclaim, node)
    if old < 0:
        reclaim.page[node] |= PG_REFERENCED
        return
    gen = gen_from_seq(reclaim.node[0].max_seq)
    forget_uses(reclaim, node)
    if old != gen:
        lru_gen_update_size(memory, reclaim, node, old, gen)
        set_generation(reclaim, node, gen)


@kernel(cold=True)
def keep_off_oldest(reclaim, node):
    """A rejected page goes to the youngest generation, unless it is on its way to the disk.

    Source: evict_folios().
    """
    page = reclaim.page[node]
    if page & PG_RECLAIM and page & (PG_DIRTY | PG_WRITEBACK):
        if page & PG_WORKINGSET:
            reclaim.page[node] |= PG_REFERENCED
    else:
        forget_uses(reclaim, node)
        reclaim.page[node] |= PG_ACTIVE


# Tiers


@kernel(cold=True)
def folio_inc_refs(reclaim, node):
    """A page was read by read(2): referenced, working set, then a counter up to 3.

    Source: folio_inc_refs().
    """
    page = reclaim.page[node]
    if page & PG_REFERENCED == 0:
        reclaim.page[node] |= PG_REFERENCED
    elif page & PG_WORKINGSET == 0:
        reclaim.page[node] |= PG_WORKINGSET
    elif page & PG_REFS != PG_REFS:
        reclaim.page[node] += 1 << PG_REFS_SHIFT


@kernel(inline=True)
def folio_lru_refs(reclaim, node):
    """Uses beyond the first, 0 to 4.  Source: folio_lru_refs()."""
    page = int(reclaim.page[node])
    return ((page & PG_REFS) >> PG_REFS_SHIFT) + (1 if page & PG_WORKINGSET else 0)


@kernel(inline=True)
def lru_tier_from_refs(refs):
    """The tier of pages used so often: log2(refs + 1), rounded up.

    Source: lru_tier_from_refs().
    """
    tier = 0
    while (1 << tier) < refs + 1:
        tier += 1
    return tier


# The working set


@kernel(cold=True)
def lru_gen_eviction(reclaim, node):
    """The shadow that an evicted page leaves: its generation and its uses.

    Source: lru_gen_eviction(), pack_shadow().
    """
    kind, refs = is_file(reclaim, node), folio_lru_refs(reclaim, node)
    pages = PAGEBLOCK_NR_PAGES if reclaim.page[node] & PG_HUGE else 1
    reclaim.tiers[EVICTED, kind, lru_tier_from_refs(refs)] += pages
    token = (reclaim.min_seq[kind] << REFS_WIDTH) | max(refs - 1, 0)
    return -1 - (2 * (token & SHADOW_MASK) + (1 if refs else 0))


@kernel(cold=True)
def lru_gen_refault(reclaim, node, shadow):
    """A page is back; if its generation is still the oldest, its tier is charged with a refault.

    Source: lru_gen_refault(), lru_gen_test_recent().
    """
    kind = is_file(reclaim, node)
    pages = PAGEBLOCK_NR_PAGES if reclaim.page[node] & PG_HUGE else 1
    reclaim.count[WORKINGSET_REFAULT_ANON + kind] += pages
    token, workingset = (-1 - shadow) >> 1, (-1 - shadow) & 1
    if token >> REFS_WIDTH != reclaim.min_seq[kind] & SHADOW_SEQ_MASK:
        return
    refs = (token & ((1 << REFS_WIDTH) - 1)) + workingset
    reclaim.tiers[REFAULTED, kind, lru_tier_from_refs(refs)] += pages
    reclaim.count[WORKINGSET_ACTIVATE_ANON + kind] += pages
    if kind == 0 or refs >= (1 << REFS_WIDTH) - 1:  # anonymous pages come by faults
        reclaim.page[node] |= PG_REFS | PG_WORKINGSET
        reclaim.count[WORKINGSET_RESTORE_ANON + kind] += pages
