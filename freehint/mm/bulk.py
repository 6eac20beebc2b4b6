"""Many order-0 pages at once, from one pcp list.

Source: mm/page_alloc.c of Linux 6.1: __alloc_pages_bulk().  Kernels before 5.13 do not have it.
"""

from freehint.jit import kernel
from freehint.mm.memory import WMARK_LOW
from freehint.mm.pcp import pcp_head_page
from freehint.mm.zone import zone_watermark_ok


@kernel(inline=True)
def bulk_zone(memory, nr_pages):
    """The highest zone that keeps its low watermark without the pages, or -1.

    The lowmem reserve is that against the preferred zone, not against the highest usable one.
    """
    top = memory.zones.shape[0] - 1
    preferred = memory.zones[top].index
    for zone in range(top, -1, -1):
        if zone_watermark_ok(memory, zone, 0, WMARK_LOW, nr_pages, preferred, 0):
            return zone
    return -1


@kernel
def alloc_pages_bulk(memory, cpu, migratetype, nodes):
    """Fill ``nodes`` (int64 array) with pages from one zone; pages got, perhaps fewer.

    The list is refilled as often as need be; it does not call off a run of frees as single
    allocations do.  0 where no zone has enough, or a single page is wanted: the caller then
    allocates one page by itself, as the kernel does.
    """
    zone = bulk_zone(memory, nodes.shape[0]) if nodes.shape[0] > 1 else -1
    if zone < 0:
        return 0
    for got in range(nodes.shape[0]):
        nodes[got] = pcp_head_page(memory, zone, cpu, 0, migratetype, 0)
        if nodes[got] < 0:
            return got
    return nodes.shape[0]
