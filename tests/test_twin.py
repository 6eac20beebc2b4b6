"""The kernels and their plain twin do the same, list for list, operation for operation."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehint.mm import buddy, bulk, fallback, highatomic, isolate, pcp, zone
from freehint.mm.check import check_memory
from freehint.mm.highatomic import (
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
)
from freehint.mm.memory import (
    BUDDY,
    HIGHATOMIC,
    ISOLATE,
    MAX_ORDER_NR_PAGES,
    MOVABLE,
    NR_PCP_LISTS,
    PAGEBLOCK_NR_PAGES,
    ZONE_RECLAIM_ACTIVE,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import LINUX_4_15, LINUX_5_10, LINUX_6_1
from freehint.mm.reference import buddy as twin_buddy
from freehint.mm.reference import fallback as twin_fallback
from freehint.mm.reference import highatomic as twin_highatomic
from freehint.mm.reference import isolate as twin_isolate
from freehint.mm.reference import pcp as twin_pcp
from freehint.mm.reference import zone as twin_zone
from freehint.mm.reference.check import verify
from freehint.mm.reference.convert import differences, from_memory
from memories import SETTINGS, SPANS, block_type, busy_memory, empty_memory

EXAMPLES = int(os.environ.get("FREEHINT_EXAMPLES", "2000"))
JIT_DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"

# Small orders most of the time, as a kernel asks for them; every order sometimes.
ORDERS = (0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10)
FLAGS = (0, fallback.ALLOC_NOFRAGMENT)
NO_LOCK = -1
# What 6.1 makes of GFP_ATOMIC and others; GFP_ATOMIC of a high order may use the reserve.
ATOMIC = ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK
RESERVE_FLAGS = (ATOMIC | ALLOC_HIGHATOMIC, ATOMIC, ALLOC_OOM, ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK)
PROFILES = (LINUX_6_1, LINUX_6_1, LINUX_5_10, LINUX_4_15)


class Pair:
    """A memory and its twin, and what is allocated in both; every step is compared."""

    def __init__(self, memory, live):
        self.memory, self.live = memory, live
        self.twin = from_memory(memory)
        self.done = Counter()
        self.compare()

    def pfn(self, node):
        return None if node < 0 else node + self.memory.base_pfn

    def compare(self):
        check_memory(self.memory)
        assert list(differences(self.twin, self.memory)) == []

    def keep(self, node, pfn, order, movable=False):
        """Both must have handed out the same block, or none."""
        assert self.pfn(node) == pfn
        if pfn is None:
            self.done["refused"] += 1
            return
        self.live.append((node, order))
        if movable:
            zone.mark_lru(self.memory, node, order)
            self.twin.lru.update(range(pfn, pfn + (1 << order)))

    def take(self, which):
        """Forget one allocated block: it is about to be freed."""
        return self.live.pop(which % len(self.live))

    def alloc_pages(self, a, b, c):
        cpu, order, migratetype = c % self.memory.nr_cpus, ORDERS[a % len(ORDERS)], b % 3
        boost = self.memory.zones.watermark_boost.sum()
        node, z, _under_lock = zone.alloc_pages(self.memory, cpu, order, migratetype, NO_LOCK)
        pfn, where = twin_zone.alloc_pages(self.twin, cpu, order, migratetype) or (None, None)
        if pfn is not None:
            assert self.twin.zones[z] is where
            self.done["lower zone"] += z < len(self.twin.zones) - 1
        self.keep(node, pfn, order, movable=migratetype == MOVABLE and b & 4)
        self.done["boost"] += self.memory.zones.watermark_boost.sum() > boost

    def free_pages(self, a, b, c):
        cpu = c % self.memory.nr_cpus
        node, order = self.take(a | b << 8)
        before = self.memory.pcp.count.sum()
        done, _z, _under_lock = zone.free_pages(self.memory, node, cpu, order, NO_LOCK)
        twin_zone.free_pages(self.twin, self.pfn(node), cpu, order)
        assert done
        self.done["drained by a free"] += self.memory.pcp.count.sum() < before

    def rmqueue(self, a, b, c):
        z, order, migratetype = c % len(self.twin.zones), ORDERS[a % len(ORDERS)], b % 3
        flags = FLAGS[b // 3 % 2]
        types = self.memory.pageblock.copy()
        node, _mode = fallback.rmqueue(
            self.memory, z, order, migratetype, flags, fallback.RMQUEUE_NORMAL
        )
        pfn = twin_fallback.rmqueue(self.twin, self.twin.zones[z], order, migratetype, flags)
        self.keep(node, pfn, order)
        self.done["claimed"] += (types != self.memory.pageblock).any()

    def rmqueue_highatomic(self, a, b, c):
        z, order = c % len(self.twin.zones), ORDERS[a % len(ORDERS)]
        node = buddy.rmqueue_smallest(self.memory, z, order, HIGHATOMIC)
        pfn = twin_buddy.rmqueue_smallest(self.twin, self.twin.zones[z], order, HIGHATOMIC)
        self.keep(node, pfn, order)
        self.done["from the reserve"] += pfn is not None

    def free_one_page(self, a, b, c):
        node, order = self.take(a)
        migratetype, fpi_flags = b % 4, b // 4 % 2 * buddy.FPI_TO_TAIL
        if block_type(self.memory, node) == ISOLATE:  # read again where pageblocks are isolated
            migratetype = ISOLATE
        z = zone.page_zone(self.memory, node)
        self.memory.frame[node : node + (1 << order)] = 0
        self.twin.lru.difference_update(range(self.pfn(node), self.pfn(node) + (1 << order)))
        buddy.free_one_page(self.memory, node, z, order, migratetype, fpi_flags)
        twin_buddy.free_one_page(
            self.twin, self.twin.zones[z], self.pfn(node), order, migratetype, fpi_flags
        )

    def drain(self, a, b, c):
        z, cpu = c % len(self.twin.zones), c // 4 % self.memory.nr_cpus
        pindex = b % NR_PCP_LISTS
        freed = pcp.free_pcppages_bulk(self.memory, z, cpu, a, pindex)
        twin_pcp.free_pcppages_bulk(self.twin, self.twin.zones[z], cpu, a, pindex)
        self.done["drained"] += freed > 0

    def refill(self, a, b, c):
        z, cpu = c % len(self.twin.zones), c // 4 % self.memory.nr_cpus
        order, migratetype, flags = (0, 1, 2, 3, 9)[a % 5], b % 3, FLAGS[b // 3 % 2]
        if not twin_pcp.pcp_allowed_order(self.twin, order):
            order = 0
        got = pcp.rmqueue_bulk(self.memory, z, cpu, order, migratetype, flags)
        assert got == twin_pcp.rmqueue_bulk(
            self.twin, self.twin.zones[z], cpu, order, migratetype, flags
        )
        self.done["refilled"] += got > 0

    def alloc_pages_flags(self, a, b, c):
        cpu, order, migratetype = c % self.memory.nr_cpus, ORDERS[a % len(ORDERS)], b % 3
        flags = RESERVE_FLAGS[b // 3 % len(RESERVE_FLAGS)]
        if order == 0:
            flags &= ~ALLOC_HIGHATOMIC
        reserved = self.memory.zones.nr_reserved_highatomic.sum()
        lower = zone.alloc_pages_flags(self.memory, cpu, order, migratetype, flags, NO_LOCK)
        got = twin_zone.alloc_pages(self.twin, cpu, order, migratetype, flags)
        self.keep(lower[0], got and got[0], order)
        self.done["reserved"] += self.memory.zones.nr_reserved_highatomic.sum() > reserved

    def unreserve(self, a, b, c):
        migratetype, force = a % 3, bool(b % 4)
        gave = highatomic.unreserve_highatomic_pageblock(self.memory, migratetype, force)
        assert gave == twin_highatomic.unreserve_highatomic_pageblock(self.twin, migratetype, force)
        self.done["unreserved"] += gave

    def isolate_free_page(self, a, b, c):
        free = np.flatnonzero(self.memory.frame & BUDDY)
        if len(free):
            node, user = int(free[(a | b << 8) % len(free)]), c % 3
            could = isolate.isolate_free_page(self.memory, node, user)
            assert could == twin_isolate.isolate_free_page(self.twin, self.pfn(node), user)
            self.done["isolated"] += could

    def putback(self, a, b, c):
        held = [block for blocks in self.twin.private for block in blocks]
        if held:
            pfn, order = held[a % len(held)]
            isolate.putback_isolated_page(self.memory, pfn - self.memory.base_pfn)
            twin_isolate.putback_isolated_page(self.twin, pfn, order)
            self.done["put back"] += 1

    def isolate_pageblocks(self, a, b, c):
        """Set an order-10 range apart, or give it back if it is."""
        where = self.twin.zones[c % len(self.twin.zones)]
        first = -(-where.start_pfn // MAX_ORDER_NR_PAGES)
        behind = where.end_pfn // MAX_ORDER_NR_PAGES
        start = (first + a % (behind - first)) * MAX_ORDER_NR_PAGES if behind > first else None
        for pfn in (start, start + PAGEBLOCK_NR_PAGES) if start is not None else ():
            node = pfn - self.memory.base_pfn
            if get_pageblock_migratetype(self.memory, node) == ISOLATE:
                isolate.unset_migratetype_isolate(self.memory, node, b % 3)
                twin_isolate.unset_migratetype_isolate(self.twin, pfn, b % 3)
                self.done["no longer apart"] += 1
            else:
                isolate.set_migratetype_isolate(self.memory, node)
                twin_isolate.set_migratetype_isolate(self.twin, pfn)

    def alloc_pages_bulk(self, a, b, c):
        cpu, migratetype = c % self.memory.nr_cpus, b % 3
        nodes = np.full(a % 40, -1)
        got = bulk.alloc_pages_bulk(self.memory, cpu, migratetype, nodes)
        pfns = twin_zone.alloc_pages_bulk(self.twin, cpu, migratetype, len(nodes))
        assert [self.pfn(node) for node in nodes[:got]] == pfns
        self.live += [(int(node), 0) for node in nodes[:got]]
        self.done["bulk"] += got > 0

    def drain_pages_zone(self, a, b, c):
        z, cpu = c % len(self.twin.zones), c // 4 % self.memory.nr_cpus
        drained = pcp.drain_pages_zone(self.memory, z, cpu)
        twin_pcp.drain_pages_zone(self.twin, self.twin.zones[z], cpu)
        assert self.memory.pcp.count[z, cpu] == 0
        self.done["all drained"] += drained > 0

    def balance(self, a, b, c):
        """kswapd begins or ends to balance a zone."""
        z = c % len(self.twin.zones)
        self.memory.zones["flags"][z] ^= ZONE_RECLAIM_ACTIVE
        self.twin.zones[z].reclaim_active ^= True


KINDS = (
    [Pair.alloc_pages] * 7
    + [Pair.free_pages] * 7
    + [Pair.rmqueue, Pair.rmqueue_highatomic]
    + [Pair.free_one_page, Pair.drain, Pair.refill]
    + [Pair.alloc_pages_flags, Pair.alloc_pages_flags, Pair.unreserve]
    + [Pair.isolate_free_page, Pair.putback, Pair.isolate_pageblocks]
    + [Pair.alloc_pages_bulk, Pair.drain_pages_zone, Pair.balance]
)
FREES = (Pair.free_pages, Pair.free_one_page)


def run_sequence(spans, seed, profile, choices) -> Counter:
    """Do what the bytes say, four to an operation, in both; what was done."""
    pair = Pair(*busy_memory(spans, seed, profile))
    for i in range(0, len(choices) - 3, 4):
        kind, a, b, c = choices[i : i + 4]
        # High bits repeat an operation: only runs of frees or allocations fill pcp lists.
        operation = KINDS[kind % len(KINDS)]
        for again in range(6 if kind >= 204 else 1):
            if operation in FREES and not pair.live:
                break
            operation(pair, (a + again * c) % 256, b, c)
            pair.done[operation.__name__] += 1
            pair.compare()
    verify(pair.twin)
    return pair.done


def test_kernels_and_twin_agree_after_every_operation():
    done = Counter()

    @settings(SETTINGS, max_examples=EXAMPLES)
    @given(
        spans=st.sampled_from(sorted(SPANS)),
        seed=st.integers(0, 99),
        profile=st.sampled_from(PROFILES),
        choices=st.binary(min_size=32, max_size=96),
    )
    def agree(spans, seed, profile, choices):
        done.update(run_sequence(spans, seed, profile, choices))
        done[profile.release] += 1
        done["sequences"] += 1

    agree()
    # So that the test cannot shrink, or miss a mechanism, unseen.
    assert done["sequences"] >= EXAMPLES
    assert EXAMPLES >= 2000 or "FREEHINT_EXAMPLES" in os.environ
    for operation in KINDS:
        assert done[operation.__name__] >= EXAMPLES // 4, done
    for profile in PROFILES:
        assert done[profile.release] >= EXAMPLES // 8, done
    seen = ("refused", "lower zone", "boost", "claimed", "from the reserve", "refilled")
    new = ("reserved", "unreserved", "isolated", "put back", "no longer apart", "bulk")
    for what in (*seen, *new, "all drained", "drained", "drained by a free"):
        assert done[what] >= EXAMPLES // 200, (what, done)


def test_a_long_run_of_frees_doubles_the_drain_to_its_limit():
    # Too long a run for the random sequences: 32 pages must go at once, and again.
    memory = empty_memory({"DMA32": (4096, 4096 + 2048)}, nr_cpus=1)
    memory.pcp.batch[:], memory.pcp.high[:] = 1, 40
    pair = Pair(memory, [(node, 0) for node in range(0, 400, 2)])
    factors = []
    while pair.live:
        pair.free_pages(0, 0, 0)
        pair.compare()
        factors.append(int(memory.pcp.free_factor[0, 0]))
    assert factors == sorted(factors)
    assert factors[-60:] == [5] * 60


def test_jit_is_on_unless_it_was_disabled():
    assert numba.config.DISABLE_JIT == JIT_DISABLED
    assert hasattr(zone.alloc_pages, "py_func") != JIT_DISABLED


@pytest.mark.skipif(JIT_DISABLED, reason="this is that run")
def test_this_module_passes_without_jit():
    env = os.environ | {"NUMBA_DISABLE_JIT": "1", "FREEHINT_EXAMPLES": "60"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    root = Path(__file__).parent.parent
    run = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    # One test there says that JIT was off indeed; this one is skipped there.
    assert "3 passed, 1 skipped" in run.stdout
