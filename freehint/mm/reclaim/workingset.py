"""The working set: a page that comes back soon after its eviction is active at once.

Source: mm/workingset.c, lru_note_cost() of mm/swap.c, Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.reclaim.counts import (
    WORKINGSET_ACTIVATE_ANON,
    WORKINGSET_REFAULT_ANON,
    WORKINGSET_RESTORE_ANON,
)
from freehint.mm.reclaim.lists import is_file, lru_pages, nr_pages_of, set_bits
from freehint.mm.reclaim.lru_gen.generations import (
    lru_gen_enabled,
    lru_gen_eviction,
    lru_gen_refault,
)
from freehint.mm.reclaim.state import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    INACTIVE_ANON,
    INACTIVE_FILE,
    PG_ACTIVE,
    PG_WORKINGSET,
    SHADOW_BITS,
    UNEVICTABLE,
)
from freehint.mm.reclaim.writeback import swap_pages_free

SHADOW_MASK = (1 << SHADOW_BITS) - 1


@kernel(inline=True)
def workingset_eviction(reclaim, node):
    """The shadow that an evicted page leaves.  Source: workingset_eviction(), pack_shadow()."""
    if lru_gen_enabled(reclaim):
        return lru_gen_eviction(reclaim, node)
    state = reclaim.node[0]
    age = state.nonresident_age & SHADOW_MASK
    state.nonresident_age += nr_pages_of(reclaim, node)
    return -1 - (2 * age + (1 if reclaim.page[node] & PG_WORKINGSET else 0))


@kernel(inline=True)
def workingset_size(reclaim, file):
    """Pages against which a refault distance is compared.  Source: workingset_refault()."""
    size = lru_pages(reclaim, ACTIVE_FILE)
    if not file:
        size += lru_pages(reclaim, INACTIVE_FILE)
    if swap_pages_free(reclaim) > 0:
        size += lru_pages(reclaim, ACTIVE_ANON)
        if file:
            size += lru_pages(reclaim, INACTIVE_ANON)
    return size


@kernel(cold=True)
def lru_note_cost(reclaim, file, pages):
    """Note I/O that a kind of pages has cost; older costs fade.  Source: lru_note_cost()."""
    state = reclaim.node[0]
    if file:
        state.file_cost += pages
    else:
        state.anon_cost += pages
    size = 0
    for lru in range(UNEVICTABLE):
        size += lru_pages(reclaim, lru)
    if state.file_cost + state.anon_cost > size // 4:
        state.file_cost //= 2
        state.anon_cost //= 2


@kernel(cold=True)
def workingset_refault(reclaim, node, shadow):
    """A page that was evicted is back: activate it if it was away for a short time only.

    Source: workingset_refault(), workingset_age_nonresident().
    """
    if lru_gen_enabled(reclaim):
        lru_gen_refault(reclaim, node, shadow)
        return
    state, file, pages = reclaim.node[0], is_file(reclaim, node), nr_pages_of(reclaim, node)
    reclaim.count[WORKINGSET_REFAULT_ANON + file] += pages
    eviction = (-1 - shadow) >> 1
    distance = (state.nonresident_age - eviction) & SHADOW_MASK
    if distance > workingset_size(reclaim, file):
        return
    set_bits(reclaim, node, PG_ACTIVE)
    state.nonresident_age += pages
    reclaim.count[WORKINGSET_ACTIVATE_ANON + file] += pages
    if (-1 - shadow) & 1:
        set_bits(reclaim, node, PG_WORKINGSET)
        lru_note_cost(reclaim, file, pages)
        reclaim.count[WORKINGSET_RESTORE_ANON + file] += pages
