"""Which zone serves an allocation: watermarks, lowmem_reserve and the zonelist.

Source: mm/page_alloc.c of Linux 6.1, unless a docstring names another release:
__zone_watermark_ok(), get_page_from_freelist(), alloc_flags_nofragment(); __alloc_pages() and
__alloc_pages_slowpath() for the order of attempts.
"""

from freehint.jit import kernel, seldom
from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.callback import call_back_first, end_callbacks, wants_callback
from freehint.mm.fallback import ALLOC_NOFRAGMENT, RMQUEUE_NORMAL, rmqueue
from freehint.mm.highatomic import (
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    ALLOC_RESERVES,
    alloc_harder,
    counts_highatomic_blocks,
    lowered_mark,
    reserve_highatomic_pageblock,
    rmqueue_reserve,
    unusable_highatomic,
    uses_reserve,
)
from freehint.mm.list import list_next
from freehint.mm.memory import (
    ISOLATE,
    LRU,
    MIGRATE_PCPTYPES,
    MOVABLE,
    NR_ORDERS,
    PAGEBLOCK_ORDER,
    WMARK_HIGH,
    WMARK_LOW,
    WMARK_MIN,
    ZONE_BELOW_HIGH,
    ZONE_MOVABLE,
    ZONE_NORMAL,
    page_zone,
    pcp_list_head,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp import (
    free_unref_page,
    order_to_pindex,
    pcp_allowed_order,
    pcp_head_page,
    pcp_list_empty,
    rmqueue_pcplist,
    take_off_pcp_list,
)
from freehint.mm.pcp_limits import end_run_of_frees, free_would_drain, zone_flag
from freehint.mm.profile import HIGH_AUTO_TUNED, NOFRAGMENT_NONE

GFP_ATOMIC_FLAGS = ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK
NO_PAGE = -1
LOCKED = -2  # a policy's stroke holds the zone's lock, so nothing was done


@kernel(inline=True)
def unusable_free(memory, zone, order, alloc_flags):
    """Free pages that a watermark test counts as taken.

    Source: __zone_watermark_unusable_free().
    """
    harder = alloc_harder(memory, alloc_flags)
    return (1 << order) - 1 + (0 if harder else unusable_highatomic(memory, zone))


@kernel(inline=True)
def boost_of(memory, zone, order, mark, alloc_flags):
    """Pages that the boost adds to a watermark.

    A GFP_ATOMIC request of order 0 ignores the boost at the min watermark; in 6.12 __GFP_HIGH
    is enough for that.  Source: wmark_pages(), zone_watermark_fast().
    """
    rights = ALLOC_MIN_RESERVE if memory.profile.high_ignores_boost else GFP_ATOMIC_FLAGS
    if order == 0 and mark == WMARK_MIN and alloc_flags & rights == rights:
        return 0
    return memory.zones[zone].watermark_boost


@kernel(inline=True)
def zone_watermark_ok(memory, zone, order, mark, more, highest_zone, alloc_flags):
    """Can the zone give a block and keep ``more`` pages above its watermark ``mark``?

    ``mark`` is WMARK_MIN, WMARK_LOW or WMARK_HIGH; ``highest_zone`` is the kernel index of the
    highest zone that the request could use.
    Source: zone_watermark_fast(), __zone_watermark_ok().
    """
    zones = memory.zones
    needed = zones[zone].watermark[mark] + boost_of(memory, zone, order, mark, alloc_flags) + more
    reserve = zones[zone].lowmem_reserve[highest_zone]
    # v4.15 first tests order 0 without subtracting the HIGHATOMIC reserve.
    if order == 0 and memory.profile.fast_check_ignores_reserve:
        if zones[zone].nr_free_pages > needed + reserve:
            return True
    free = zones[zone].nr_free_pages - unusable_free(memory, zone, order, alloc_flags)
    if seldom(free <= lowered_mark(memory, needed, alloc_flags) + reserve):
        return False
    if not seldom(order > 0):
        return True
    # HIGHATOMIC is the type after the pcp types.
    nr_types = MIGRATE_PCPTYPES + int(counts_highatomic_blocks(memory, alloc_flags))
    for current in range(order, NR_ORDERS):
        for migratetype in range(nr_types):
            if memory.nr_free[zone, current, migratetype] > 0:
                return True
    return False


@kernel(inline=True)
def rmqueue_buddy(memory, zone, order, migratetype, alloc_flags):
    """Take a block from the buddy lists; return its node, or -1 if there is none.

    Source: rmqueue_buddy().
    """
    if alloc_flags & ALLOC_RESERVES:
        return rmqueue_reserve(memory, zone, order, migratetype, alloc_flags)
    node, _ = rmqueue(memory, zone, order, migratetype, alloc_flags, RMQUEUE_NORMAL)
    return node


@kernel(inline=True)
def rmqueue_zone(memory, zone, cpu, order, migratetype, alloc_flags, locked_zones):
    """Try to take a block from one zone.

    Returns
    -------
    node, taken : int
        The block's node, NO_PAGE, LOCKED or NEEDS_CALLBACK; the blocks taken under the zone lock.
    """
    if not pcp_allowed_order(memory, order):
        if locked_zones >> zone & 1:
            return LOCKED, 0
        if wants_callback(memory, zone, order, migratetype):
            return call_back_first(memory, zone, order, migratetype), 0
        return rmqueue_buddy(memory, zone, order, migratetype, alloc_flags), 1
    refills = pcp_list_empty(memory, zone, cpu, order, migratetype)
    if refills and locked_zones >> zone & 1:
        return LOCKED, 0
    if refills and wants_callback(memory, zone, order, migratetype):
        return call_back_first(memory, zone, order, migratetype), 0
    before = memory.pcp[zone, cpu].count
    node = rmqueue_pcplist(memory, zone, cpu, order, migratetype, alloc_flags)
    if node < 0 and alloc_flags & ALLOC_RESERVES:
        return rmqueue_reserve(memory, zone, order, migratetype, alloc_flags), 1
    handed_out = 1 << order if node >= 0 else 0
    taken = (memory.pcp[zone, cpu].count + handed_out - before) >> order
    # A refill that finds no block takes the lock too; it counts as one block.
    return node, max(taken, 1) if refills else 0


@kernel(inline=True)
def above_high(memory, zone, order, highest_zone, alloc_flags):
    """Is the zone above its high watermark?  Tested only where pcp.high tunes itself.

    If it is not, ZONE_BELOW_HIGH is set, and the test is not repeated while the flag is set.
    Source: ZONE_BELOW_HIGH in get_page_from_freelist() of 6.12.
    """
    if memory.profile.pcp_high != HIGH_AUTO_TUNED or zone_flag(memory, zone, ZONE_BELOW_HIGH):
        return False
    if zone_watermark_ok(memory, zone, order, WMARK_HIGH, 0, highest_zone, alloc_flags):
        return True
    memory.zones[zone]["flags"] |= ZONE_BELOW_HIGH
    return False


@kernel(inline=True)
def has_room(memory, zone, order, mark, highest_zone, alloc_flags):
    """May this zone serve a request in this round?  Source: get_page_from_freelist()."""
    if above_high(memory, zone, order, highest_zone, alloc_flags):
        return True
    return zone_watermark_ok(memory, zone, order, mark, 0, highest_zone, alloc_flags)


@kernel(inline=True)
def first_attempt(memory):
    """Number of the first round: 0, which must not mix types in pageblocks, or 1 without that.

    Source: alloc_flags_nofragment().
    """
    top = memory.zones.shape[0] - 1
    has_nofragment = memory.profile.nofragment != NOFRAGMENT_NONE
    return 0 if has_nofragment and memory.zones[top].index == ZONE_NORMAL else 1


@kernel(inline=True)
def attempt_rules(memory, attempt, reserve_flags):
    """Watermark and alloc flags of a round: 7.3 has ALLOC_HIGHATOMIC from the first one on.

    Source: __alloc_pages(), gfp_to_alloc_flags().
    """
    if attempt == 2:
        return WMARK_MIN, reserve_flags
    flags = ALLOC_NOFRAGMENT if attempt == 0 else 0
    if memory.profile.highatomic_skips_pcp:
        flags |= reserve_flags & ALLOC_HIGHATOMIC
    return WMARK_LOW, flags


@kernel(inline=True)
def reserve_grows(memory, mark, from_list):
    """May a high-order atomic request add its pageblock to the reserve?

    In 7.3 only one may that is served by the buddy lists at the min watermark.
    Source: get_page_from_freelist(); rmqueue_buddy() of 7.3.
    """
    return not memory.profile.highatomic_skips_pcp or (mark == WMARK_MIN and not from_list)


@kernel(inline=True)
def highest_zone_of(migratetype):
    """Kernel index of the highest zone that a request may use.  Source: gfp_zone()."""
    return ZONE_MOVABLE if migratetype == MOVABLE else ZONE_NORMAL


@kernel(inline=True)
def may_serve(memory, zone, order, migratetype, alloc_flags):
    """May a zone with room serve a request under ALLOC_NOFRAGMENT without mixing its pageblocks?

    A request of pageblock order or above never mixes them.
    """
    if order >= PAGEBLOCK_ORDER or alloc_flags & ALLOC_NOFRAGMENT == 0:
        return True
    for current in range(order, NR_ORDERS):
        for other in range(MIGRATE_PCPTYPES):
            fits = other == migratetype or current >= PAGEBLOCK_ORDER
            if fits and memory.nr_free[zone, current, other] > 0:
                return True
    return False


@kernel
def serving_zone(memory, order, migratetype):
    """Find the zone that would serve a request that neither reclaims nor wakes kswapd.

    No block is taken, so the answer holds until the next block is taken.
    Source: get_page_from_freelist(), __alloc_pages_slowpath().

    Returns
    -------
    zone, alloc_flags : int
        (-1, 0) if the request would fail.
    """
    highest = highest_zone_of(migratetype)
    for attempt in range(first_attempt(memory), 3):
        mark, flags = attempt_rules(memory, attempt, 0)
        for zone in range(memory.zones.shape[0] - 1, -1, -1):
            if not has_room(memory, zone, order, mark, highest, flags):
                continue
            if may_serve(memory, zone, order, migratetype, flags):
                return zone, flags
    return -1, 0


@kernel(inline=True)
def get_page_from_freelist(memory, cpu, order, migratetype, mark, flags, locked_zones):
    """Try zone after zone, from the highest down, at one watermark; see :func:`alloc_pages`.

    Source: get_page_from_freelist().
    """
    highest = highest_zone_of(migratetype)
    under_lock = 0
    for zone in range(memory.zones.shape[0] - 1, -1, -1):
        if not has_room(memory, zone, order, mark, highest, flags):
            if wants_callback(memory, zone, order, migratetype):
                return call_back_first(memory, zone, order, migratetype), zone, under_lock
            continue
        atomic = uses_reserve(memory, order, flags)
        if atomic and locked_zones >> zone & 1:
            return LOCKED, zone, under_lock
        node, taken = rmqueue_zone(memory, zone, cpu, order, migratetype, flags, locked_zones)
        under_lock += taken
        if node >= 0 and atomic and reserve_grows(memory, mark, taken == 0):
            reserve_highatomic_pageblock(memory, node, zone, order)
        if node != NO_PAGE:
            return node, zone, under_lock
    return NO_PAGE, -1, under_lock


@kernel(inline=True)
def take_from_pcp(memory, zone, cpu, order, migratetype):
    """Serve an ordinary request as its first attempt mostly does: from a pcp list of this zone.

    The zone is the one that is tried first.

    Returns
    -------
    int
        The block's node; NO_PAGE, with nothing done, if the list is empty or the zone short.
    """
    if seldom(not pcp_allowed_order(memory, order)):
        return NO_PAGE
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    node = list_next(memory.links, head)
    if seldom(node == head):
        return NO_PAGE
    mark, flags = attempt_rules(memory, first_attempt(memory), 0)
    if seldom(not has_room(memory, zone, order, mark, highest_zone_of(migratetype), flags)):
        return NO_PAGE
    end_run_of_frees(memory, zone, cpu)
    take_off_pcp_list(memory, node, zone, cpu, order)
    return node


@kernel(cold=True)
def alloc_from_zonelist(memory, cpu, order, migratetype, reserve_flags, locked_zones):
    """Try all zones at each attempt's watermark; see :func:`alloc_pages`.

    ``reserve_flags`` are ALLOC_.. flags of mm/highatomic.py; they apply only at the min
    watermark.  A request with ALLOC_HIGHATOMIC waits for a held lock even if a pcp list could
    serve it.  Source: __alloc_pages().
    """
    under_lock = 0
    for attempt in range(first_attempt(memory), 3):
        mark, flags = attempt_rules(memory, attempt, reserve_flags)
        node, zone, taken = get_page_from_freelist(
            memory, cpu, order, migratetype, mark, flags, locked_zones
        )
        under_lock += taken
        if node != NO_PAGE:
            return node, zone, under_lock
    return NO_PAGE, -1, under_lock


@kernel
def alloc_pages(memory, cpu, order, migratetype, locked_zones):
    """Allocate a block for a request that may wake kswapd but does not reclaim itself.

    Zones are tried from the highest down: at the low watermark without mixing types within
    pageblocks (only if the preferred zone is Normal), at the low watermark, and at the min
    watermark.

    Parameters
    ----------
    locked_zones : int
        One bit for each zone whose lock a stroke holds.

    Returns
    -------
    (node, zone, under_lock)
        ``node`` is NO_PAGE if all attempts failed, LOCKED (with no page taken) if the lock of
        ``zone`` is needed and held, and NEEDS_CALLBACK (with no page taken) if a policy watches
        and is to be called for ``zone`` before the same allocation is tried again.  ``under_lock``
        counts the blocks taken from the buddy lists, and an attempt that finds none as one.
    """
    zone, taken = memory.zones.shape[0] - 1, 0
    node = take_from_pcp(memory, zone, cpu, order, migratetype)
    if seldom(node == NO_PAGE):
        node, zone, taken = alloc_from_zonelist(memory, cpu, order, migratetype, 0, locked_zones)
    end_callbacks(memory, node)
    return node, zone, taken


@kernel(inline=True)
def mark_lru(memory, node, order):
    """Note that the pages of an allocation are movable (PageLRU)."""
    memory.frame[node] = LRU
    for page in range(node + 1, node + (1 << order)):
        memory.frame[page] = LRU


@kernel(inline=True)
def clear_lru(memory, node, order):
    """Take pages that are about to be freed off the LRU."""
    memory.frame[node] = 0  # apart: the loop becomes a call of memset()
    for page in range(node + 1, node + (1 << order)):
        memory.frame[page] = 0


@kernel
def free_pages(memory, node, cpu, order, locked_zones):
    """Free a block through the pcp lists if they take its order, else straight to the buddy.

    Returns
    -------
    (done, zone, under_lock)
        ``done`` is False (and nothing was changed) if the zone's lock is needed and held;
        ``under_lock`` counts the pages put back under the zone lock, a block straight to the
        buddy as one.

    Source: __free_pages(), free_unref_page(), __free_pages_ok().
    """
    zone = page_zone(memory, node)
    migratetype = get_pageblock_migratetype(memory, node)
    if seldom(not pcp_allowed_order(memory, order)) or seldom(migratetype == ISOLATE):
        if locked_zones >> zone & 1:
            return False, zone, 0
        clear_lru(memory, node, order)
        free_block(memory, node, zone, order, FPI_NONE)
        return True, zone, 1
    if seldom(locked_zones >> zone & 1 != 0) and free_would_drain(memory, zone, cpu, order):
        return False, zone, 0
    clear_lru(memory, node, order)
    return True, zone, free_unref_page(memory, node, zone, cpu, order, migratetype)


@kernel(inline=True)
def bulk_zone(memory, nr_pages):
    """The highest zone that keeps its low watermark without the pages, or -1.

    The lowmem reserve is the one against the preferred zone, not the highest usable one.
    """
    top = memory.zones.shape[0] - 1
    preferred = memory.zones[top].index
    for zone in range(top, -1, -1):
        if zone_watermark_ok(memory, zone, 0, WMARK_LOW, nr_pages, preferred, 0):
            return zone
    return -1


@kernel
def alloc_pages_bulk(memory, cpu, migratetype, nodes):
    """Fill ``nodes`` (an int64 array) with pages from one zone.

    The pcp list is refilled as often as necessary.  Unlike single allocations, this does not
    end a run of frees.

    Returns
    -------
    int
        Number of pages allocated, perhaps fewer than wanted.  0 if no zone has enough or only
        one page is wanted: the caller then allocates a single page, as the kernel does.
    """
    zone = bulk_zone(memory, nodes.shape[0]) if nodes.shape[0] > 1 else -1
    if zone < 0:
        return 0
    for got in range(nodes.shape[0]):
        nodes[got] = pcp_head_page(memory, zone, cpu, 0, migratetype, 0)
        if nodes[got] < 0:
            return got
    return nodes.shape[0]
