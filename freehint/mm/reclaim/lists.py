"""The bits of a page, and its place on the LRU lists.

Source: include/linux/mm_inline.h, include/linux/page-flags.h of Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.list import list_add, list_add_tail, list_del
from freehint.mm.memory import PAGEBLOCK_NR_PAGES, page_zone
from freehint.mm.reclaim.lru_gen.generations import (
    is_file,
    lru_gen_add_folio,
    lru_gen_del_folio,
    lru_gen_enabled,
)
from freehint.mm.reclaim.state import PG_ACTIVE, PG_HUGE, PG_ON_LRU


@kernel(inline=True)
def list_head(memory, lru):
    """Node in Reclaim.links that heads a list."""
    return memory.nr_pages + lru


@kernel(inline=True)
def has(reclaim, node, bits):
    """Has the page any of these bits?"""
    return reclaim.page[node] & bits != 0


@kernel(inline=True)
def set_bits(reclaim, node, bits):
    """Set bits of a page."""
    reclaim.page[node] |= bits


@kernel(inline=True)
def clear_bits(reclaim, node, bits):
    """Clear bits of a page."""
    reclaim.page[node] &= 0xFFFFFFFF ^ bits


@kernel(inline=True)
def nr_pages_of(reclaim, node):
    """Pages of the folio.  Source: folio_nr_pages()."""
    return PAGEBLOCK_NR_PAGES if reclaim.page[node] & PG_HUGE else 1


@kernel(inline=True)
def lru_of(reclaim, node):
    """The list for a page with these bits.  Source: folio_lru_list()."""
    return 2 * is_file(reclaim, node) + (1 if reclaim.page[node] & PG_ACTIVE else 0)


@kernel(inline=True)
def lru_pages(reclaim, lru):
    """Pages on a list.  Source: lruvec_page_state(), NR_LRU_BASE."""
    pages = 0
    for zone in range(reclaim.zone_lru.shape[0]):
        pages += reclaim.zone_lru[zone, lru]
    return pages


@kernel(inline=True)
def count_on_list(memory, reclaim, node, lru, sign):
    """Add a page to the counter of its zone and list, or take it away."""
    zone = page_zone(memory, node)
    reclaim.zone_lru[zone, lru] += sign * nr_pages_of(reclaim, node)
    reclaim.node[0].stat_changes += nr_pages_of(reclaim, node)


@kernel(cold=True)
def add_to_lru(memory, reclaim, node):
    """Put a page first on its list.  Source: lruvec_add_folio()."""
    set_bits(reclaim, node, PG_ON_LRU)
    if lru_gen_enabled(reclaim):
        lru_gen_add_folio(memory, reclaim, node, False)
        return
    lru = lru_of(reclaim, node)
    list_add(reclaim.links, node, list_head(memory, lru))
    count_on_list(memory, reclaim, node, lru, 1)


@kernel(inline=True)
def add_faulted(memory, reclaim, node):
    """Put a page on its list in a page fault: active, if there are generations.

    Source: folio_add_lru(), lru_gen_in_fault().
    """
    if lru_gen_enabled(reclaim):
        set_bits(reclaim, node, PG_ACTIVE)
    add_to_lru(memory, reclaim, node)


@kernel(cold=True)
def add_to_lru_tail(memory, reclaim, node):
    """Put a page last on its list.  Source: lruvec_add_folio_tail()."""
    set_bits(reclaim, node, PG_ON_LRU)
    if lru_gen_enabled(reclaim):
        lru_gen_add_folio(memory, reclaim, node, True)
        return
    lru = lru_of(reclaim, node)
    list_add_tail(reclaim.links, node, list_head(memory, lru))
    count_on_list(memory, reclaim, node, lru, 1)


@kernel(cold=True)
def del_from_lru(memory, reclaim, node):
    """Take a page off its list.  Source: lruvec_del_folio()."""
    clear_bits(reclaim, node, PG_ON_LRU)
    if lru_gen_enabled(reclaim):
        lru_gen_del_folio(memory, reclaim, node, False)
        return
    list_del(reclaim.links, node)
    count_on_list(memory, reclaim, node, lru_of(reclaim, node), -1)
