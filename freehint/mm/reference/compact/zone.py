"""A zone's compaction from beginning to end.

Source: mm/compaction.c and mm/migrate.c, Linux 6.1 and 6.12.
"""

from freehint.mm.reference.buddy import free_block, free_one_page
from freehint.mm.reference.compact.data import (
    ASYNC,
    PAGE_ALLOC_COSTLY_ORDER,
    SYNC,
    block_of,
    compaction_restarting,
    is_aligned,
    nr_freepages,
    reset_cached_positions,
    reset_isolation_suitable,
)
from freehint.mm.reference.compact.free import compaction_alloc
from freehint.mm.reference.compact.migrate import isolate_migratepages, putback
from freehint.mm.reference.fallback import can_steal_fallback, find_suitable_fallback
from freehint.mm.reference.lists import (
    ISOLATE,
    MAX_ORDER,
    MIGRATETYPES,
    WMARK_LOW,
    WMARK_MIN,
    get_pageblock_migratetype,
    page_zone,
)
from freehint.mm.reference.pcp import drain_pages_zone, free_unref_page, pcp_allowed_order
from freehint.mm.reference.zone import zone_watermark_ok

# enum compact_result
SKIPPED, DEFERRED, _, CONTINUE, COMPLETE, PARTIAL_SKIPPED, CONTENDED, SUCCESS = range(1, 9)


def fragmentation_score(zone):
    """Percentage of the free pages in blocks below order 9.  Source: extfrag_for_order()."""
    pages = {o: sum(len(zone.free_list[o, t]) << o for t in MIGRATETYPES) for o in range(MAX_ORDER)}
    free = sum(pages.values())
    return (free - pages[9] - pages[10]) * 100 // free if free else 0


def fragmentation_index(zone, order):
    """Source: __fragmentation_index() of mm/vmstat.c."""
    blocks = {o: sum(len(zone.free_list[o, t]) for t in MIGRATETYPES) for o in range(MAX_ORDER)}
    if not any(blocks.values()):
        return 0
    if any(blocks[o] for o in range(order, MAX_ORDER)):
        return -1000
    free = sum(count << o for o, count in blocks.items())
    return 1000 - (1000 + free * 1000 // (1 << order)) // sum(blocks.values())


def watermark_ok(twin, zone, order, mark, more, highest, flags=0):
    """A watermark test with the boost.  Source: wmark_pages(), zone_watermark_ok()."""
    wanted = zone.watermark[mark] + zone.watermark_boost + more
    return zone_watermark_ok(twin, zone, order, wanted, highest, flags)


def compaction_suitable(twin, zone, order, highest):
    """Would compaction help?  Source: compaction_suitable(), __compaction_suitable()."""
    costly = order > PAGE_ALLOC_COSTLY_ORDER
    if not watermark_ok(twin, zone, 0, WMARK_LOW if costly else WMARK_MIN, 2 << order, highest):
        return False
    return not costly or not 0 <= fragmentation_index(zone, order) <= 500


def scanners_met(cc):
    """Source: compact_scanners_met()."""
    return block_of(cc.free_pfn)[0] <= block_of(cc.migrate_pfn)[0]


def compact_finished(cc):
    """How the compaction ends now, or CONTINUE.  Source: __compact_finished()."""
    zone = cc.zone.zone
    if scanners_met(cc):
        reset_cached_positions(cc.zone)
        cc.zone.blockskip_flush |= cc.direct
        return COMPLETE if cc.whole_zone else PARTIAL_SKIPPED
    if cc.proactive_low is not None:
        return CONTINUE if fragmentation_score(zone) > cc.proactive_low else SUCCESS
    if cc.order == -1 or not is_aligned(cc.migrate_pfn):
        return CONTINUE
    for order in range(cc.order, MAX_ORDER):
        if zone.free_list[order, cc.migratetype]:
            return SUCCESS
        steals = can_steal_fallback(order, cc.migratetype)
        if steals and find_suitable_fallback(zone, [order], cc.migratetype):
            return SUCCESS
    return CONTINUE


def free_pages_of(compactor, cc, pfn, order):
    """Free a page.  Source: __free_pages(), free_unref_page(), free_one_page()."""
    twin, zone = compactor.twin, page_zone(compactor.twin, pfn)
    migratetype = get_pageblock_migratetype(twin, pfn)
    if pcp_allowed_order(twin, order) and migratetype != ISOLATE:
        free_unref_page(twin, zone, pfn, cc.cpu, order, migratetype)
    elif order > 9:
        free_block(twin, zone, pfn, order)
    else:
        free_one_page(twin, zone, pfn, order, migratetype)


def move(compactor, cc, source, target):
    """The target takes the source's place.  Source: migrate_folio_move()."""
    twin = compactor.twin
    if source in twin.lru:
        twin.lru.remove(source)
        twin.lru.add(target)
    if source in compactor.place:
        compactor.place[target] = compactor.place.pop(source)
    for pfns in compactor.lru:
        if source in pfns:
            pfns.remove(source)
            pfns.insert(0, target)
    free_pages_of(compactor, cc, source, 0)
    cc.moves.append((source, target))


def migrate_pages(compactor, cc):
    """Move what is isolated; did all of it find a target?

    6.12 takes all targets before it moves the first page.
    Source: migrate_pages(); migrate_pages_batch() of 6.12.
    """
    pairs = []
    while cc.migratepages:
        target = compaction_alloc(compactor, cc)
        if target is None:
            break
        pairs.append((cc.migratepages.pop(0), target))
        if compactor.twin.release < 603:
            move(compactor, cc, *pairs.pop())
    for source, target in pairs:
        move(compactor, cc, source, target)
    cc.nr_migratepages = 0
    left = putback(compactor, cc)
    cc.failed += left > 0
    return left == 0


def set_scanners(cc):
    """Where the scanners begin.  Source: compact_zone()."""
    memory, zone = cc.zone, cc.zone.zone
    last, sync = block_of(zone.end_pfn - 1)[0], cc.mode != ASYNC
    if cc.whole_zone:
        cc.migrate_pfn, cc.free_pfn = zone.start_pfn, last
        return
    cc.migrate_pfn, cc.free_pfn = memory.cached_migrate_pfn[sync], memory.cached_free_pfn
    if not zone.start_pfn <= cc.free_pfn < zone.end_pfn:
        cc.free_pfn = memory.cached_free_pfn = last
    if not zone.start_pfn <= cc.migrate_pfn < zone.end_pfn:
        cc.migrate_pfn = zone.start_pfn
        memory.cached_migrate_pfn = [zone.start_pfn] * 2
    cc.whole_zone = cc.migrate_pfn <= memory.init_migrate_pfn


def one_round(compactor, cc, last, update_cached):
    """Isolate and move.  Return (result, last_migrated_pfn, update_cached).

    Source: the loop in compact_zone(), up to check_drain.
    """
    new, memory = compactor.twin.release >= 603, cc.zone
    begin = cc.migrate_pfn
    cc.finish_pageblock = block_of(last)[0] == block_of(begin)[0]
    while True:
        if not isolate_migratepages(compactor, cc):
            if update_cached:
                memory.cached_migrate_pfn[1] = memory.cached_migrate_pfn[0]
            return CONTINUE, last, update_cached
        update_cached = False
        last = max(memory.zone.start_pfn, block_of(cc.migrate_pfn - 1)[0]) if new else begin
        if migrate_pages(compactor, cc):
            return CONTINUE, last, False
        if not scanners_met(cc):
            return CONTENDED, last, False
        if new:
            again = not is_aligned(cc.migrate_pfn) and cc.mode < SYNC
            if not again or cc.ignore_skip_hint or cc.finish_pageblock:
                return CONTINUE, last, False
            cc.finish_pageblock = True
            last = 0 if cc.order == 9 else last
        else:
            if cc.direct and cc.mode == ASYNC:
                size = 1 << cc.order
                cc.migrate_pfn = ((cc.migrate_pfn - 1) // size + 1) * size
                last = 0
            return CONTINUE, last, False


def release_freepages(compactor, cc):
    """Give back what is left.  Source: release_freepages(); release_free_list() of 6.12."""
    highest = 0
    for order, pfns in enumerate(cc.freepages):
        while pfns:
            pfn = pfns.pop(0)
            highest = max(highest, pfn)
            free_pages_of(compactor, cc, pfn, order)
    return highest


def compact_zone(compactor, cc):
    """Compact a zone and return how that ended.  Source: compact_zone()."""
    twin, memory, zone = compactor.twin, cc.zone, cc.zone.zone
    if cc.order != -1:
        if watermark_ok(twin, zone, cc.order, cc.mark, 0, cc.highest_zoneidx, cc.alloc_flags):
            return SUCCESS
        if not compaction_suitable(twin, zone, cc.order, cc.highest_zoneidx):
            return SKIPPED
    if compaction_restarting(memory, cc.order):
        reset_isolation_suitable(compactor, memory)
    set_scanners(cc)
    last = 0
    update = cc.mode == ASYNC and len(set(memory.cached_migrate_pfn)) == 1
    while (result := compact_finished(cc)) == CONTINUE:
        result, last, update = one_round(compactor, cc, last, update)
        if result != CONTINUE:
            break
        caught = twin.capture is not None and twin.capture.pfn is not None
        if caught and twin.release >= 603:
            result = SUCCESS
            break
        if cc.order > 0 and last and last < cc.migrate_pfn >> cc.order << cc.order:
            drain_pages_zone(twin, zone, cc.cpu)
            last = 0
        if twin.capture is not None and twin.capture.pfn is not None:
            result = SUCCESS
            break
    if nr_freepages(cc):
        start = block_of(release_freepages(compactor, cc))[0]
        memory.cached_free_pfn = max(memory.cached_free_pfn, start)
    return result
