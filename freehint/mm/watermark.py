"""Watermarks, reserves and pcp limits from zone sizes: the kernel's formulas, in numpy.

Within 1.5 % of the recorded guests (tests/formats/test_boot.py); what is left comes from the order
of events at boot, which sees smaller zones.
Source: mm/page_alloc.c and mm/khugepaged.c of Linux 6.1, where no other is named.
"""

import math

import numpy as np

from freehint.mm.memory import MIGRATE_PCPTYPES, PAGEBLOCK_NR_PAGES, WMARK_LOW, Memory
from freehint.mm.profile import HIGH_AUTO_TUNED, HIGH_SIX_BATCHES, LINUX_6_1, Profile

LOWMEM_RATIO = (256, 256, 32, 0)  # vm.lowmem_reserve_ratio of DMA, DMA32, Normal, Movable


def min_free_pages(managed, huge_pages=True) -> int:
    """Pages of vm.min_free_kbytes.

    4 * sqrt(lowmem kB) kB; with huge pages on at least khugepaged's wish: two pageblocks a zone
    and one for each pair of types that could mix, but at most 5 % of the memory.
    Source: calculate_min_free_kbytes(), set_recommended_min_free_kbytes().
    """
    total = int(np.sum(managed))
    plain = math.isqrt(total * 4 * 16) // 4
    if not huge_pages:
        return plain
    pairs = MIGRATE_PCPTYPES * MIGRATE_PCPTYPES
    recommended = len(managed) * PAGEBLOCK_NR_PAGES * (2 + pairs)
    return max(plain, min(recommended, total // 20))


def zone_watermarks(managed, huge_pages=True) -> np.ndarray:
    """min, low and high of every zone; int64[Z, 3], pages.  Source: setup_per_zone_wmarks()."""
    managed = np.asarray(managed, np.int64)
    lowest = min_free_pages(managed, huge_pages) * managed // managed.sum()
    step = np.maximum(lowest // 4, managed * 10 // 10_000)
    return np.stack([lowest, lowest + step, lowest + 2 * step], axis=1)


def lowmem_reserves(index, managed) -> np.ndarray:
    """Pages each zone keeps from requests that may use a higher one; int64[Z, 5].

    Source: setup_per_zone_lowmem_reserve().
    """
    reserve = np.zeros((len(index), 5), np.int64)
    for z, kernel_index in enumerate(index):
        for highest in range(kernel_index + 1, 5):
            above = [m for i, m in zip(index, managed, strict=True) if kernel_index < i <= highest]
            ratio = LOWMEM_RATIO[kernel_index]
            reserve[z, highest] = sum(above) // ratio if ratio else 0
    return reserve


def zone_batchsize(managed: int, cap: int) -> int:
    """A quarter of a thousandth of the zone, or of ``cap`` pages, as 2^n - 1; perhaps 0.

    Source: the same name; the cap is 512 KiB in v4.15, 1 MiB in v5.10 and 6.1.
    """
    quarter = max(min(managed >> 10, cap) // 4, 1)
    return (1 << ((quarter + quarter // 2).bit_length() - 1)) - 1


def pcp_batch(managed: int, profile: Profile = LINUX_6_1) -> int:
    """Pages of one refill."""
    return max(1, zone_batchsize(managed, profile.pcp_batch_cap))


def pcp_high(memory: Memory, zone: int) -> int:
    """Pages at which a CPU's lists are drained.

    Six batches, before the batch is raised to 1: small zones keep nothing (pageset_set_batch() of
    v4.15 and v5.10).  From 5.14 on each CPU's share of the low watermark (zone_highsize()).
    """
    managed, profile = int(memory.zones.managed[zone]), memory.profile
    if profile.pcp_high == HIGH_SIX_BATCHES:
        return 6 * zone_batchsize(managed, profile.pcp_batch_cap)
    share = int(memory.zones.watermark[zone, WMARK_LOW]) // memory.nr_cpus
    return max(share, 4 * pcp_batch(managed, profile))


def set_pcp_limits(memory: Memory) -> None:
    """Give every CPU the batch and high that follow from zone and number of CPUs.

    Source: zone_set_pageset_high_and_batch(); 6.12 keeps high between high_min (the same) and
    high_max = managed / 8 / CPUs.
    """
    for z, managed in enumerate(memory.zones.managed):
        batch = pcp_batch(int(managed), memory.profile)
        memory.pcp.batch[z] = batch
        memory.pcp.high[z] = pcp_high(memory, z)
        if memory.profile.pcp_high == HIGH_AUTO_TUNED:
            memory.pcp.high_min[z] = memory.pcp.high[z]
            memory.pcp.high_max[z] = max(int(managed) // 8 // memory.nr_cpus, 4 * batch)
