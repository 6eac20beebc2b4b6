"""Small sound guests for the tests: a few pageblocks per zone, fragmented as one likes."""

import os
import random
from functools import cache

import numpy as np
from hypothesis import HealthCheck, settings

from freehint.mm.buddy import FPI_NONE, FPI_TO_TAIL, free_block
from freehint.mm.memory import (
    HIGHATOMIC,
    LRU,
    MOVABLE,
    NO_PAGEBLOCK,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    RECLAIMABLE,
    UNMOVABLE,
    ZONE_NAMES,
    Memory,
    copy_memory,
    new_memory,
    new_zones,
)
from freehint.mm.pcp_limits import PCPF_FREE_HIGH_BATCH
from freehint.mm.profile import HIGH_AUTO_TUNED, LINUX_6_1, LINUX_6_12

# Reproducible in CI: the same examples on every machine, and no example is refused as slow.
SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# How many times as many examples as make test has; make properties sets it.
MORE = float(os.environ.get("FREEHINT_EXAMPLES", "1"))


def examples(count: int) -> int:
    """How many examples of a property are tried: ``count`` in ``make test``."""
    return max(1, round(count * MORE))


def empty_memory(spans, nr_cpus=2, watermark=(32, 40, 48), profile=LINUX_6_1) -> Memory:
    """Zones without a free page.

    Parameters
    ----------
    spans : dict
        Zone name -> (first pfn, first pfn after it).
    """
    start, end = np.array(list(spans.values()), np.int64).T
    zones = new_zones(
        index=[ZONE_NAMES.index(name) for name in spans],
        start_pfn=start,
        spanned=end - start,
        present=end - start,
        managed=end - start,
        watermark=watermark,
    )
    memory = new_memory(zones, nr_cpus, profile)
    memory.pcp.batch[:] = 7
    memory.pcp.high[:] = 40
    for first, behind in spans.values():
        blocks = np.arange(first >> PAGEBLOCK_ORDER, -(-behind >> PAGEBLOCK_ORDER))
        memory.pageblock[blocks - (memory.base_pfn >> PAGEBLOCK_ORDER)] = MOVABLE
    return memory


def cut(memory, zone, largest_order):
    """A zone as aligned blocks, ascending, as (node, order); ``largest_order()`` caps each."""
    node = int(memory.zones.start_pfn[zone]) - memory.base_pfn
    end = node + int(memory.zones.spanned[zone])
    while node < end:
        order = min(largest_order(), 10)
        while node % (1 << order) or node + (1 << order) > end:
            order -= 1
        yield node, order
        node += 1 << order


def free_everything(memory) -> Memory:
    """Free all pages in the largest blocks that fit, ascending, as at boot."""
    for zone in range(len(memory.zones.index)):
        for node, order in cut(memory, zone, lambda: 10):
            free_block(memory, node, zone, order, FPI_TO_TAIL)
    return memory


def block_type(memory, node) -> int:
    """Migratetype of the pageblock around a node."""
    return int(memory.pageblock[node >> PAGEBLOCK_ORDER] & 7)


def free_memory(pages=4096, start=4096, **options) -> Memory:
    """One zone DMA32 with every page free: order-10 blocks on the MOVABLE list."""
    return free_everything(empty_memory({"DMA32": (start, start + pages)}, **options))


# Zone borders as on a PC, only smaller; pfn 0 is never handed out.  "ragged" ends within a
# pageblock, which then is never moved; "dma" begins within one, which is moved from the stolen
# page on.
SPANS = {
    "one": {"DMA32": (4096, 4096 + 2048)},
    "ragged": {"DMA32": (2048, 2048 + 2412)},
    "dma": {"DMA": (1, 1024), "DMA32": (1024, 1024 + 2560)},
    "alone": {"Normal": (4096, 4096 + 2348)},
    "normal": {"DMA": (1, 1024), "DMA32": (1024, 3072), "Normal": (3072, 3072 + 2348)},
}


def _draw_limits(memory, chance) -> None:
    """Watermarks from lax to hopeless, reserves, pcp sizes and pageblock types."""
    memory.zones.watermark[:] = chance.choice(((8, 10, 12), (60, 300, 500), (300, 600, 900)))
    # A lower zone keeps pages from requests that could use a higher one.
    for z, index in enumerate(memory.zones.index.tolist()):
        memory.zones.lowmem_reserve[z, index + 1 :] = chance.choice((0, 30, 400))
    memory.pcp.batch[:] = chance.choice((1, 7, 16))
    memory.pcp.high[:] = chance.choice((0, 5, 40, 200))
    types = chance.choice(((MOVABLE,), (UNMOVABLE, MOVABLE, MOVABLE, RECLAIMABLE)))
    if chance.random() < 0.4:
        types = (*types, HIGHATOMIC)
    blocks = np.flatnonzero(memory.pageblock != NO_PAGEBLOCK)
    memory.pageblock[blocks] = chance.choices(types, k=len(blocks))


def _draw_tuning(memory, chance) -> None:
    """Limits of pcp.high for 6.12, and zones large enough to reserve pageblocks."""
    memory.pcp.high_min[:] = chance.choice((0, 7, 40))
    memory.pcp.high_max[:] = memory.pcp.high_min + chance.choice((0, 30, 300, 300))
    memory.pcp["flags"][:] = chance.choice((0, PCPF_FREE_HIGH_BATCH))
    memory.zones.managed += chance.choice((0, 60_000, 120_000))


def _reserve_highatomic(memory, zone) -> None:
    """Count the zone's whole HIGHATOMIC pageblocks as reserved; 6.12 has no others."""
    whole = [node for node, order in cut(memory, zone, lambda: PAGEBLOCK_ORDER) if order == 9]
    reserved = sum(block_type(memory, node) == HIGHATOMIC for node in whole)
    memory.zones.nr_reserved_highatomic[zone] = reserved * PAGEBLOCK_NR_PAGES
    for node, _order in cut(memory, zone, lambda: PAGEBLOCK_ORDER - 1):
        ragged = node & -PAGEBLOCK_NR_PAGES not in whole
        if ragged and memory.profile.freelist_hygiene and block_type(memory, node) == HIGHATOMIC:
            memory.pageblock[node >> PAGEBLOCK_ORDER] = MOVABLE


@cache
def _busy_memory(spans, seed, profile):
    """The pattern of :func:`busy_memory`, built once."""
    chance = random.Random(f"{spans} {seed}")
    memory = empty_memory(SPANS[spans], nr_cpus=chance.choice((1, 2, 3)), profile=profile)
    _draw_limits(memory, chance)
    if profile.pcp_high == HIGH_AUTO_TUNED:
        _draw_tuning(memory, chance)
    free_share = chance.choice((0.05, 0.4, 0.95))
    live = []
    for zone in range(len(memory.zones.index)):
        _reserve_highatomic(memory, zone)
        orders = chance.choice(((0,) * 8 + (1, 2, 3, 5, 8), (0, 3, 6, 9, 10, 10), (9, 10)))
        blocks = list(cut(memory, zone, lambda orders=orders: chance.choice(orders)))
        chance.shuffle(blocks)
        for node, order in blocks:
            if chance.random() < free_share:
                free_block(memory, node, zone, order, FPI_NONE)
            else:
                live.append((node, order))
                if chance.random() < 0.6:
                    memory.frame[node : node + (1 << order)] = LRU
    return memory, tuple(live)


def busy_memory(spans, seed, profile=LINUX_6_1):
    """A guest that has run for a while, and the blocks that it has allocated.

    Parameters
    ----------
    spans : str
        A key of SPANS.
    seed : int
        Chooses CPUs, watermarks, pcp sizes, pageblock types and the free blocks.
    profile : Profile
        The kernel by whose rules it goes on.

    Returns
    -------
    (Memory, list of (node, order))
    """
    until_now = LINUX_6_12 if profile.freelist_hygiene else LINUX_6_1
    memory, live = _busy_memory(spans, seed, until_now)
    return copy_memory(memory)._replace(profile=profile), list(live)
