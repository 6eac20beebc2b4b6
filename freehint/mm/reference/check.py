"""``verify``: the invariants of a twin."""

from collections.abc import Iterator

from freehint.mm.reference.lists import (
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PCPTYPES,
    get_pageblock_migratetype,
    page_zone,
)
from freehint.mm.reference.pcp import NR_LOWORDER_PCP_LISTS, order_to_pindex, pindex_to_order


def verify(twin) -> None:
    """Recount everything, and raise an AssertionError that names the first contradiction."""
    for complaint in complaints(twin):
        raise AssertionError(complaint)


def blocks(twin) -> Iterator[tuple]:
    """Yield (zone, place, pfn, order) of every block on a list."""
    for zone in twin.zones:
        for (order, migratetype), pfns in zone.free_list.items():
            for pfn in pfns:
                yield zone, ("free", migratetype), pfn, order
        for pcp in zone.pcp:
            for pindex, pfns in enumerate(pcp.lists):
                for pfn in pfns:
                    yield zone, ("pcp", pindex), pfn, pindex_to_order(pindex)
    for user, held in enumerate(twin.private):
        for pfn, order in held:
            yield page_zone(twin, pfn), ("private", user), pfn, order


def complaints(twin) -> Iterator[str]:
    """Yield a sentence for each broken invariant."""
    owned, free, cached = set(), {}, set()
    for zone, (kind, which), pfn, order in blocks(twin):
        pages = range(pfn, pfn + (1 << order))
        if pfn % len(pages):
            yield f"pfn {pfn} is not aligned to order {order}"
        if pages.start < zone.start_pfn or pages.stop > zone.end_pfn:
            yield f"pfn {pfn} does not lie in zone {zone.name}"
        if not owned.isdisjoint(pages):
            yield f"pfn {pfn} belongs to two blocks"
        if not twin.lru.isdisjoint(pages):
            yield f"pfn {pfn} is free but movable pages lie in it"
        if any(page >> PAGEBLOCK_ORDER not in twin.pageblock for page in pages):
            yield f"pfn {pfn} lies in a hole"
        owned.update(pages)
        if kind == "free":
            free[pfn] = order
            yield from wrong_free_list(twin, pages, which)
        elif kind == "pcp":
            cached.add(pfn)
            yield from wrong_pcp_list(twin, pfn, which)
    if free != twin.buddy:
        yield f"PageBuddy and lists differ at {sorted(set(free.items()) ^ set(twin.buddy.items()))}"
    if cached != set(twin.pcp_migratetype):
        yield f"pcp pages and lists differ at {sorted(cached ^ set(twin.pcp_migratetype))}"
    for pfn, order in free.items():
        if order < PAGEBLOCK_ORDER and free.get(pfn ^ (1 << order)) == order:
            yield f"pfn {pfn} of order {order} stands unmerged beside its free buddy"


def wrong_free_list(twin, pages, migratetype) -> Iterator[str]:
    """From 6.10 on, complain if a free block's list type is not its pageblocks' type."""
    types = {get_pageblock_migratetype(twin, pfn) for pfn in pages[::PAGEBLOCK_NR_PAGES]}
    if twin.release >= 610 and types != {migratetype}:
        yield f"pfn {pages.start} of type {migratetype} lies in pageblocks of types {types}"


def wrong_pcp_list(twin, pfn, pindex) -> Iterator[str]:
    """Complain if a block's own type does not belong on its pcp list."""
    kept = twin.pcp_migratetype.get(pfn)
    listed = kept if kept in PCPTYPES else MOVABLE
    order = pindex_to_order(pindex)
    if kept is not None and order_to_pindex(listed, order) != pindex:
        kind = "huge" if pindex >= NR_LOWORDER_PCP_LISTS else "small"
        yield f"pfn {pfn} of type {kept} is on the {kind} pcp list {pindex}"
