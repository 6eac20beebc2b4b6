"""How much of which list is scanned, and what becomes of the pages: one batch at a time.

``who`` is the row of Reclaim.control: kswapd, or the task in direct reclaim.  Slab caches are not
modelled: shrink_slab() only frees what policies hold for the host.

Source: mm/vmscan.c of Linux 6.1 (classic LRU).
"""

from freehint.jit import kernel
from freehint.mm.list import list_add, list_del, list_empty, list_prev, list_splice
from freehint.mm.memory import PAGEBLOCK_NR_PAGES, WMARK_HIGH, page_zone
from freehint.mm.reclaim.lru import (
    add_to_lru,
    add_to_swap,
    clear_bits,
    count_on_list,
    del_from_lru,
    free_swap,
    has,
    is_file,
    list_head,
    lru_note_cost,
    lru_pages,
    nr_pages_of,
    set_bits,
    split_huge_page,
    start_writeback,
    swap_pages_free,
    unlink_place,
    vm_swap_full,
    workingset_eviction,
)
from freehint.mm.reclaim.shrinker import shrink_slab
from freehint.mm.reclaim.state import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    BY_KSWAPD,
    CACHE_NEVER_RECLAIMED,
    DEF_PRIORITY,
    FREED,
    INACTIVE_ANON,
    INACTIVE_FILE,
    ISOLATED,
    NR_VMSCAN_IMMEDIATE_RECLAIM,
    NR_VMSCAN_WRITE,
    PG_ACTIVE,
    PG_DIRTY,
    PG_EXEC,
    PG_HUGE,
    PG_MAPPED,
    PG_ON_LRU,
    PG_RECLAIM,
    PG_REFERENCED,
    PG_SWAPCACHE,
    PG_WORKINGSET,
    PG_WRITEBACK,
    PGACTIVATE,
    PGDEACTIVATE,
    PGREFILL,
    PGSCAN_ANON,
    PGSCAN_KSWAPD,
    PGSKIP_DMA,
    PGSTEAL_ANON,
    PGSTEAL_KSWAPD,
    PSWPOUT,
    PTE_YOUNG,
    SKIPPED,
    SLABS_SCANNED,
    SWAP_CLUSTER_MAX,
    SWAP_IGNORED,
    THP_SPLIT_PAGE,
    THP_SWPOUT_FALLBACK,
    WORK_BATCHES,
    WORK_DEACTIVATED,
    WORK_RECLAIMED,
    WORK_SCANNED,
    WORK_SWAPPED,
    WORK_THROTTLED,
    WORK_UNDER_LOCK,
    WORKINGSET_ACTIVATE_ANON,
    WORKINGSET_ACTIVATE_FILE,
)
from freehint.mm.zone import free_pages

SCAN_EQUAL, SCAN_FRACT, SCAN_ANON, SCAN_FILE = range(4)
REFERENCED_ACTIVATE, REFERENCED_KEEP, REFERENCED_CLEAN, REFERENCED_NOT = range(4)
KEEP, ACTIVATE, RECLAIM = range(3)  # what becomes of a page
MAX_NR_SWAPPINESS = 200


# How much


@kernel(inline=True)
def lruvec_lru_size(memory, reclaim, lru, zone_idx):
    """Pages of a list in zones up to ``zone_idx``.  Source: lruvec_lru_size()."""
    size = 0
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index <= zone_idx:
            size += reclaim.zone_lru[zone, lru]
    return size


@kernel(inline=True)
def inactive_is_low(reclaim, inactive_lru):
    """Has the inactive list too few pages for the active one?  Source: inactive_is_low()."""
    inactive = lru_pages(reclaim, inactive_lru)
    active = lru_pages(reclaim, inactive_lru + 1)
    square = 10 * ((inactive + active) >> 18)  # GiB
    ratio = 1
    while (ratio + 1) * (ratio + 1) <= square:
        ratio += 1
    return inactive * ratio < active


@kernel(inline=True)
def can_reclaim_anon_pages(reclaim):
    """Is there room in swap?  Source: can_reclaim_anon_pages()."""
    return swap_pages_free(reclaim) > 0


@kernel(inline=True)
def can_age_anon_pages(reclaim):
    """Is there any swap?  Source: can_age_anon_pages()."""
    state = reclaim.node[0]
    return state.swap_total > 0 and state.ablations & SWAP_IGNORED == 0


@kernel(cold=True)
def prepare_scan_count(memory, reclaim, who):
    """Decide whether active lists are shrunk, and whether one kind of page is let alone.

    Source: prepare_scan_count().
    """
    state, sc = reclaim.node[0], reclaim.control[who]
    anon, file = reclaim.count[WORKINGSET_ACTIVATE_ANON], reclaim.count[WORKINGSET_ACTIVATE_FILE]
    if sc.force_deactivate:
        sc.deactivate_anon = sc.deactivate_file = 1
    else:
        anon_low = inactive_is_low(reclaim, INACTIVE_ANON)
        file_low = inactive_is_low(reclaim, INACTIVE_FILE)
        sc.deactivate_anon = 1 if anon_low or anon != state.refaults_anon else 0
        sc.deactivate_file = 1 if file_low or file != state.refaults_file else 0
    plenty = lru_pages(reclaim, INACTIVE_FILE) >> sc.priority
    sc.cache_trim_mode = 1 if plenty and not sc.deactivate_file else 0
    cache = lru_pages(reclaim, INACTIVE_FILE) + lru_pages(reclaim, ACTIVE_FILE)
    high = 0
    for zone in range(memory.zones.shape[0]):
        record = memory.zones[zone]
        cache += record.nr_free_pages
        high += record.watermark[WMARK_HIGH] + record.watermark_boost
    some = lru_pages(reclaim, INACTIVE_ANON) >> sc.priority
    sc.file_is_tiny = 1 if cache <= high and not sc.deactivate_anon and some else 0


@kernel(inline=True)
def scan_balance(reclaim, who):
    """Which kind of page is to be scanned, by which rule.  Source: get_scan_count()."""
    state, sc = reclaim.node[0], reclaim.control[who]
    if not sc.may_swap or not can_reclaim_anon_pages(reclaim):
        return SCAN_FILE
    if sc.priority == 0 and state.swappiness:
        return SCAN_EQUAL
    if sc.file_is_tiny:
        return SCAN_ANON
    if sc.cache_trim_mode:
        return SCAN_FILE
    return SCAN_FRACT


@kernel(cold=True)
def get_scan_count(memory, reclaim, who):
    """Set the pages to scan on each list: Reclaim.nr[who].  Source: get_scan_count()."""
    state, sc = reclaim.node[0], reclaim.control[who]
    balance = scan_balance(reclaim, who)
    total = state.anon_cost + state.file_cost
    anon_cost, file_cost = total + state.anon_cost, total + state.file_cost
    total = anon_cost + file_cost
    anon = state.swappiness * (total + 1) // (anon_cost + 1)
    file = (MAX_NR_SWAPPINESS - state.swappiness) * (total + 1) // (file_cost + 1)
    for lru in range(4):
        scan = lruvec_lru_size(memory, reclaim, lru, sc.reclaim_idx) >> sc.priority
        of_file = lru >= INACTIVE_FILE
        if balance == SCAN_FRACT:
            scan = scan * (file if of_file else anon) // (anon + file)
        elif balance != SCAN_EQUAL and (balance == SCAN_FILE) != of_file:
            scan = 0
        if of_file and state.ablations & CACHE_NEVER_RECLAIMED:
            scan = 0
        reclaim.nr[who, lru] = reclaim.targets[who, lru] = scan


# Which pages


@kernel(cold=True)
def isolate_lru_pages(memory, reclaim, who, wanted, lru):
    """Take pages from a list's end to the ISOLATED list; return pages scanned and pages taken.

    Pages of zones above reclaim_idx go to the list's head, and count as scanned.
    Source: isolate_lru_folios().
    """
    links, source = reclaim.links, list_head(memory, lru)
    skipped, isolated = list_head(memory, SKIPPED), list_head(memory, ISOLATED)
    scan = total = 0
    while scan < wanted and not list_empty(links, source):
        node = list_prev(links, source)
        pages = nr_pages_of(reclaim, node)
        total += pages
        zone = page_zone(memory, node)
        list_del(links, node)
        if memory.zones[zone].index > reclaim.control[who].reclaim_idx:
            reclaim.count[PGSKIP_DMA + memory.zones[zone].index] += pages
            list_add(links, node, skipped)
            continue
        scan += pages
        clear_bits(reclaim, node, PG_ON_LRU)
        count_on_list(memory, reclaim, node, lru, -1)
        list_add(links, node, isolated)
    list_splice(links, skipped, source)
    reclaim.work[WORK_SCANNED] += total
    return total, scan


@kernel(inline=True)
def next_isolated(memory, reclaim):
    """Take the oldest isolated page; -1 if there is none."""
    head = list_head(memory, ISOLATED)
    node = list_prev(reclaim.links, head)
    if node == head:
        return -1
    list_del(reclaim.links, node)
    return node


@kernel(inline=True)
def putback_page(memory, reclaim, node):
    """Put an isolated page first on its list.  Source: move_folios_to_lru()."""
    add_to_lru(memory, reclaim, node)
    if has(reclaim, node, PG_ACTIVE):
        reclaim.node[0].nonresident_age += nr_pages_of(reclaim, node)


@kernel(cold=True)
def shrink_active_list(memory, reclaim, who, wanted, lru):
    """Deactivate pages from the end of an active list, but for used pages of programs' code.

    Source: shrink_active_list().
    """
    scanned, _ = isolate_lru_pages(memory, reclaim, who, wanted, lru)
    reclaim.count[PGREFILL] += scanned
    node = next_isolated(memory, reclaim)
    while node >= 0:
        young = has(reclaim, node, PTE_YOUNG)
        clear_bits(reclaim, node, PTE_YOUNG)
        if not (young and has(reclaim, node, PG_EXEC) and is_file(reclaim, node)):
            pages = nr_pages_of(reclaim, node)
            clear_bits(reclaim, node, PG_ACTIVE)
            set_bits(reclaim, node, PG_WORKINGSET)
            reclaim.count[PGDEACTIVATE] += pages
            reclaim.work[WORK_DEACTIVATED] += pages
        putback_page(memory, reclaim, node)
        node = next_isolated(memory, reclaim)


@kernel(inline=True)
def check_references(reclaim, node):
    """Was the page used since it was last looked at?  Source: folio_check_references()."""
    young, referenced = has(reclaim, node, PTE_YOUNG), has(reclaim, node, PG_REFERENCED)
    clear_bits(reclaim, node, PTE_YOUNG | PG_REFERENCED)
    if young:
        set_bits(reclaim, node, PG_REFERENCED)
        if referenced or (has(reclaim, node, PG_EXEC) and is_file(reclaim, node)):
            return REFERENCED_ACTIVATE
        return REFERENCED_KEEP
    return REFERENCED_CLEAN if referenced and is_file(reclaim, node) else REFERENCED_NOT


@kernel(cold=True)
def split_isolated(memory, reclaim, node):
    """Split a huge page; its other pages are looked at next.  Source: split_folio_to_list()."""
    split_huge_page(memory, reclaim, node)
    reclaim.count[THP_SPLIT_PAGE] += 1
    reclaim.count[THP_SWPOUT_FALLBACK] += 1
    for i in range(1, PAGEBLOCK_NR_PAGES):
        list_add(reclaim.links, node + i, list_head(memory, ISOLATED))


@kernel(cold=True)
def pageout(memory, reclaim, node):
    """Begin to write a dirty page.  Source: pageout(), swap_writepage()."""
    pages = nr_pages_of(reclaim, node)
    set_bits(reclaim, node, PG_RECLAIM)
    reclaim.count[NR_VMSCAN_WRITE] += pages
    if not is_file(reclaim, node):
        reclaim.count[PSWPOUT] += pages
        reclaim.work[WORK_SWAPPED] += pages
    start_writeback(memory, reclaim, node)


@kernel(inline=True)
def page_in_writeback(reclaim, who, node):
    """A page that the disk has not yet written stays; note why.  Source: shrink_folio_list()."""
    state, sc = reclaim.node[0], reclaim.control[who]
    pages = nr_pages_of(reclaim, node)
    if who == BY_KSWAPD and has(reclaim, node, PG_RECLAIM) and state.writeback_pages_at_tail:
        sc.immediate += pages
    else:
        set_bits(reclaim, node, PG_RECLAIM)
        sc.writeback += pages
    return ACTIVATE


@kernel(inline=True)
def note_dirty(reclaim, who, node):
    """Count dirty pages and pages under writeback; True if dirty and not yet on its way.

    Source: folio_check_dirty_writeback(), shrink_folio_list().
    """
    sc, pages = reclaim.control[who], nr_pages_of(reclaim, node)
    writeback = has(reclaim, node, PG_WRITEBACK)
    dirty = has(reclaim, node, PG_DIRTY) and is_file(reclaim, node)
    if dirty or (writeback and is_file(reclaim, node)):
        sc.dirty += pages
    unqueued = dirty and not writeback
    if unqueued:
        sc.unqueued_dirty += pages
    if writeback and is_file(reclaim, node) and has(reclaim, node, PG_RECLAIM):
        sc.nr_congested += pages
    return unqueued


@kernel(inline=True)
def write_dirty(memory, reclaim, who, node, references):
    """Begin to write a dirty page, if it may be written here.  Source: shrink_folio_list().

    Returns
    -------
    what becomes of the page, pages handed to the disk
    """
    by_flusher = who != BY_KSWAPD or not has(reclaim, node, PG_RECLAIM)
    if is_file(reclaim, node) and (by_flusher or not reclaim.node[0].dirty_pages_at_tail):
        reclaim.count[NR_VMSCAN_IMMEDIATE_RECLAIM] += nr_pages_of(reclaim, node)
        set_bits(reclaim, node, PG_RECLAIM)
        return ACTIVATE, 0
    if references == REFERENCED_CLEAN or not reclaim.control[who].may_writepage:
        return KEEP, 0
    pageout(memory, reclaim, node)
    return KEEP, nr_pages_of(reclaim, node)


@kernel(cold=True)
def look_at_page(memory, reclaim, who, node):
    """Decide what becomes of an isolated page: (fate, pages handed to the disk).

    Source: shrink_folio_list().
    """
    reclaim.control[who].nr_scanned += nr_pages_of(reclaim, node)
    if has(reclaim, node, PG_WRITEBACK):
        return page_in_writeback(reclaim, who, node), 0
    references = check_references(reclaim, node)
    if references == REFERENCED_ACTIVATE:
        return ACTIVATE, 0
    if references == REFERENCED_KEEP:
        return KEEP, 0
    if not is_file(reclaim, node) and not has(reclaim, node, PG_SWAPCACHE):
        if swap_pages_free(reclaim) <= 0:
            return ACTIVATE, 0
        if has(reclaim, node, PG_HUGE):
            split_isolated(memory, reclaim, node)
        add_to_swap(reclaim, node)
    clear_bits(reclaim, node, PG_MAPPED)
    if has(reclaim, node, PG_DIRTY):
        return write_dirty(memory, reclaim, who, node, references)
    return RECLAIM, 0


@kernel(inline=True)
def keep_page(memory, reclaim, node, fate):
    """Put a page that is not reclaimed back on a list.  Source: shrink_folio_list()."""
    if fate == ACTIVATE:
        if has(reclaim, node, PG_SWAPCACHE) and vm_swap_full(reclaim):
            if not has(reclaim, node, PG_WRITEBACK):
                free_swap(reclaim, node)
        set_bits(reclaim, node, PG_ACTIVE)
        reclaim.count[PGACTIVATE] += nr_pages_of(reclaim, node)
    putback_page(memory, reclaim, node)


@kernel(cold=True)
def free_reclaimed(memory, reclaim, cpu):
    """Free the pages that were reclaimed, the newest first; return their number.

    Source: free_unref_page_list().
    """
    head, links = list_head(memory, FREED), reclaim.links
    pages = 0
    while not list_empty(links, head):
        node = list_prev(links, head)
        list_del(links, node)
        reclaim.work[WORK_UNDER_LOCK] += free_folio(memory, reclaim, node, cpu)
        pages += 1
    return pages


@kernel(cold=True)
def free_folio(memory, reclaim, node, cpu):
    """Free a page that backs no place any more; return the blocks put back under the zone lock."""
    state = reclaim.node[0]
    if state.nr_freed < reclaim.freed.shape[0]:
        reclaim.freed[state.nr_freed] = node
        state.nr_freed += 1
    _, _, under_lock = free_pages(memory, node, cpu, 0, 0)
    return under_lock


@kernel(inline=True)
def evict_page(memory, reclaim, node):
    """Separate a clean page from its place, which keeps a shadow.  Source: __remove_mapping()."""
    unlink_place(reclaim, node, workingset_eviction(reclaim, node))
    # FREED is emptied from its end: the last page evicted is the first that is freed.
    list_add_last(memory, reclaim, node)


@kernel(inline=True)
def list_add_last(memory, reclaim, node):
    """Put a page last on the list of pages to be freed."""
    list_add(reclaim.links, node, list_prev(reclaim.links, list_head(memory, FREED)))


@kernel(cold=True)
def shrink_page_list(memory, reclaim, who, cpu):
    """Look at all isolated pages; return pages reclaimed and pages handed to the disk.

    Source: shrink_folio_list().
    """
    handed = dirty = looked = 0
    node = next_isolated(memory, reclaim)
    while node >= 0:
        looked += nr_pages_of(reclaim, node)
        dirty += nr_pages_of(reclaim, node) if note_dirty(reclaim, who, node) else 0
        fate, written = look_at_page(memory, reclaim, who, node)
        handed += written
        if fate == RECLAIM:
            evict_page(memory, reclaim, node)
        else:
            keep_page(memory, reclaim, node, fate)
        node = next_isolated(memory, reclaim)
    if looked > 0 and dirty == looked:
        reclaim.node[0].flusher_wanted = 1
    return free_reclaimed(memory, reclaim, cpu), handed


@kernel(cold=True)
def shrink_inactive_list(memory, reclaim, who, cpu, wanted, lru):
    """Reclaim pages from the end of an inactive list; return their number.

    Source: shrink_inactive_list().
    """
    sc, file = reclaim.control[who], 1 if lru >= INACTIVE_FILE else 0
    scanned, taken = isolate_lru_pages(memory, reclaim, who, wanted, lru)
    reclaim.work[WORK_BATCHES] += 1
    if not sc.proactive:
        reclaim.count[PGSCAN_KSWAPD + who] += scanned
    reclaim.count[PGSCAN_ANON + file] += scanned
    if taken == 0:
        return 0
    reclaimed, handed = shrink_page_list(memory, reclaim, who, cpu)
    if not sc.proactive:
        reclaim.count[PGSTEAL_KSWAPD + who] += reclaimed
    reclaim.count[PGSTEAL_ANON + file] += reclaimed
    reclaim.work[WORK_RECLAIMED] += reclaimed
    lru_note_cost(reclaim, file, handed)
    sc.taken += taken
    sc.file_taken += taken if file else 0
    return reclaimed


@kernel(cold=True)
def shrink_list(memory, reclaim, who, cpu, wanted, lru):
    """Shrink one list by a batch; return the pages reclaimed.  Source: shrink_list()."""
    if lru != ACTIVE_ANON and lru != ACTIVE_FILE:
        return shrink_inactive_list(memory, reclaim, who, cpu, wanted, lru)
    sc = reclaim.control[who]
    if sc.deactivate_file if lru == ACTIVE_FILE else sc.deactivate_anon:
        shrink_active_list(memory, reclaim, who, wanted, lru)
    else:
        sc.skipped_deactivate = 1
    return 0


# One pass over a node


@kernel(cold=True)
def begin_shrink_node(memory, reclaim, who):
    """Begin a pass over the node's lists.  Source: shrink_node(), shrink_lruvec()."""
    sc = reclaim.control[who]
    sc.dirty = sc.unqueued_dirty = sc.nr_congested = sc.writeback = sc.immediate = 0
    sc.taken = sc.file_taken = sc.lru_reclaimed = 0
    prepare_scan_count(memory, reclaim, who)
    get_scan_count(memory, reclaim, who)
    direct = who != BY_KSWAPD and not sc.proactive
    sc.proportional = 1 if direct and sc.priority == DEF_PRIORITY else 0


@kernel(inline=True)
def lists_left(reclaim, who):
    """Is there a list that the pass has still to scan?  Source: shrink_lruvec()."""
    nr = reclaim.nr
    return nr[who, INACTIVE_ANON] + nr[who, ACTIVE_FILE] + nr[who, INACTIVE_FILE] > 0


@kernel(inline=True)
def rescale(reclaim, who, lru, percentage):
    """Scan as large a part of a list as of the other kind's.  Source: shrink_lruvec()."""
    scanned = reclaim.targets[who, lru] - reclaim.nr[who, lru]
    left = reclaim.targets[who, lru] * (100 - percentage) // 100
    reclaim.nr[who, lru] = left - min(left, scanned)


@kernel(cold=True)
def keep_proportion(reclaim, who):
    """Enough is reclaimed: stop the smaller kind of page, and give the other its share.

    Source: shrink_lruvec().

    Returns
    -------
    bool
        False if the pass is over.
    """
    nr, targets = reclaim.nr, reclaim.targets
    anon = nr[who, INACTIVE_ANON] + nr[who, ACTIVE_ANON]
    file = nr[who, INACTIVE_FILE] + nr[who, ACTIVE_FILE]
    if anon == 0 or file == 0:
        return False
    small, left = (INACTIVE_ANON, anon) if file > anon else (INACTIVE_FILE, file)
    percentage = left * 100 // (targets[who, small] + targets[who, small + 1] + 1)
    nr[who, small] = nr[who, small + 1] = 0
    other = INACTIVE_FILE - small
    rescale(reclaim, who, other, percentage)
    rescale(reclaim, who, other + 1, percentage)
    return True


@kernel(cold=True)
def shrink_round(memory, reclaim, who, cpu):
    """Scan at most 32 pages of each list; True while the pass has more to do.

    Source: shrink_lruvec(), one round.
    """
    if not lists_left(reclaim, who):
        return False
    sc = reclaim.control[who]
    for lru in range(4):
        wanted = min(reclaim.nr[who, lru], SWAP_CLUSTER_MAX)
        if wanted > 0:
            reclaim.nr[who, lru] -= wanted
            sc.lru_reclaimed += shrink_list(memory, reclaim, who, cpu, wanted, lru)
    if sc.lru_reclaimed < sc.nr_to_reclaim or sc.proportional:
        return lists_left(reclaim, who)
    return keep_proportion(reclaim, who) and lists_left(reclaim, who)


@kernel(inline=True)
def age_anon(memory, reclaim, who):
    """Deactivate a batch of anonymous pages if few are inactive.  Source: kswapd_age_node()."""
    if can_age_anon_pages(reclaim) and inactive_is_low(reclaim, INACTIVE_ANON):
        shrink_active_list(memory, reclaim, who, SWAP_CLUSTER_MAX, ACTIVE_ANON)


@kernel(cold=True)
def end_shrink_node(memory, reclaim, who):
    """End a pass: age anonymous pages, ask shrinkers, look at what was dirty.

    Source: shrink_lruvec(), shrink_node_memcgs(), shrink_node().
    """
    state, sc = reclaim.node[0], reclaim.control[who]
    sc.nr_reclaimed += sc.lru_reclaimed
    age_anon(memory, reclaim, who)
    _, scanned = shrink_slab(memory, reclaim.shrinkers, sc.priority)
    reclaim.count[SLABS_SCANNED] += scanned
    if who == BY_KSWAPD:
        if sc.writeback and sc.writeback == sc.taken:
            state.writeback_pages_at_tail = 1
        if sc.unqueued_dirty == sc.file_taken:
            state.dirty_pages_at_tail = 1
        if sc.immediate:
            reclaim.work[WORK_THROTTLED] += 1
        if sc.dirty and sc.dirty == sc.nr_congested:
            state.congested = 1
    elif state.congested and not sc.proactive:
        reclaim.work[WORK_THROTTLED] += 1
    if sc.lru_reclaimed > 0:
        state.kswapd_failures = 0


@kernel(cold=True)
def shrink_node(memory, reclaim, who, cpu):
    """A whole pass over the node's lists.  Source: shrink_node()."""
    begin_shrink_node(memory, reclaim, who)
    while shrink_round(memory, reclaim, who, cpu):
        pass
    end_shrink_node(memory, reclaim, who)


@kernel(inline=True)
def snapshot_refaults(reclaim):
    """Remember how many pages were activated at refaults.  Source: snapshot_refaults()."""
    state = reclaim.node[0]
    state.refaults_anon = reclaim.count[WORKINGSET_ACTIVATE_ANON]
    state.refaults_file = reclaim.count[WORKINGSET_ACTIVATE_FILE]


@kernel(cold=True)
def drop_page(memory, reclaim, node):
    """Take a page out of the cache, to be freed; return False if it is in use.

    Source: mapping_evict_folio().
    """
    busy = PG_DIRTY | PG_WRITEBACK | PG_MAPPED
    if has(reclaim, node, busy) or not is_file(reclaim, node):
        return False
    del_from_lru(memory, reclaim, node)
    unlink_place(reclaim, node, 0)
    list_add_last(memory, reclaim, node)
    return True
