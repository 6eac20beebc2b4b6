"""Watermarks, reserves and pcp limits from zone sizes: the kernel's formulas, in numpy.

They agree with the recorded guests within 1.5 % (tests/formats/test_boot.py); the rest is due to
the order of events at boot, when the zones are still smaller.
Source: mm/page_alloc.c and mm/khugepaged.c of Linux 6.1, unless a docstring names another release.
"""

import math

import numpy as np

from freehint.mm.memory import MIGRATE_PCPTYPES, PAGEBLOCK_NR_PAGES, WMARK_LOW, Memory
from freehint.mm.profile import HIGH_AUTO_TUNED, HIGH_SIX_BATCHES, LINUX_6_1, Profile

LOWMEM_RATIO = (256, 256, 32, 0)  # vm.lowmem_reserve_ratio of DMA, DMA32, Normal, Movable


def min_free_pages(managed, huge_pages=True) -> int:
    """vm.min_free_kbytes, in pages.

    It is 4 * sqrt(lowmem kB) kB.  With huge pages it is at least what khugepaged recommends: in
    each zone two pageblocks and one for each pair of types that could mix, but at most 5 % of
    the memory.
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
    """The min, low and high watermark of every zone, as int64[Z, 3] in pages.

    Source: setup_per_zone_wmarks().
    """
    return watermarks_from(managed, min_free_pages(managed, huge_pages))


def watermarks_from(managed, min_free: int, scale_factor=10) -> np.ndarray:
    """Every zone's watermarks, as int64[Z, 3] in pages, from the pages of vm.min_free_kbytes.

    ``scale_factor`` is vm.watermark_scale_factor, the least distance in 1/10000 of a zone.
    Source: __setup_per_zone_wmarks().
    """
    managed = np.asarray(managed, np.int64)
    lowest = min_free * managed // managed.sum()
    step = np.maximum(lowest // 4, managed * scale_factor // 10_000)
    return np.stack([lowest, lowest + step, lowest + 2 * step], axis=1)


def lowmem_reserves(index, managed) -> np.ndarray:
    """Pages that each zone keeps from requests that may use a higher zone, as int64[Z, 5].

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
    """A quarter of ``managed / 1024`` or of ``cap`` pages, rounded to 2^n - 1 (perhaps 0).

    Source: zone_batchsize(); the cap is 512 KiB in v4.15, 1 MiB in v5.10 and 6.1.
    """
    quarter = max(min(managed >> 10, cap) // 4, 1)
    return (1 << ((quarter + quarter // 2).bit_length() - 1)) - 1


def pcp_batch(managed: int, profile: Profile = LINUX_6_1) -> int:
    """pcp.batch: the pages of one refill."""
    return max(1, zone_batchsize(managed, profile.pcp_batch_cap))


def pcp_high(memory: Memory, zone: int) -> int:
    """pcp.high: the number of pages at which a CPU's lists are drained.

    In v4.15 and v5.10 it is six batches as they are before the batch is raised to 1, so small
    zones keep nothing (pageset_set_batch()).  From 5.14 on it is the CPU's share of the low
    watermark (zone_highsize()).
    """
    managed, profile = int(memory.zones.managed[zone]), memory.profile
    if profile.pcp_high == HIGH_SIX_BATCHES:
        return 6 * zone_batchsize(managed, profile.pcp_batch_cap)
    share = int(memory.zones.watermark[zone, WMARK_LOW]) // memory.nr_cpus
    return max(share, 4 * pcp_batch(managed, profile))


def set_pcp_limits(memory: Memory) -> None:
    """Set pcp.batch and pcp.high of every CPU from the zone's size and the number of CPUs.

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
