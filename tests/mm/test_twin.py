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

from freehint.mm import buddy, fallback, highatomic, isolate, pcp, pcp_limits, zone
from freehint.mm.check import check_memory
from freehint.mm.compact import turn
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
    PAGEBLOCK_ORDER,
    ZONE_BELOW_HIGH,
    ZONE_RECLAIM_ACTIVE,
    free_list_head,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import LINUX_4_15, LINUX_5_10, LINUX_6_1, LINUX_6_12, LINUX_7_3
from freehint.mm.reference import buddy as twin_buddy
from freehint.mm.reference import fallback as twin_fallback
from freehint.mm.reference import highatomic as twin_highatomic
from freehint.mm.reference import isolate as twin_isolate
from freehint.mm.reference import pcp as twin_pcp
from freehint.mm.reference import zone as twin_zone
from freehint.mm.reference.check import verify
from freehint.mm.reference.compact import data as twin_compaction
from freehint.mm.reference.convert import differences, from_memory
from memories import SETTINGS, SPANS, block_type, busy_memory, empty_memory, examples

EXAMPLES = examples(500)
JIT_DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"

# Small orders most of the time, as a kernel asks for them; every order sometimes.
ORDERS = (0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10)
FLAGS = (0, fallback.ALLOC_NOFRAGMENT)
NO_LOCK = 0
# What 6.1 makes of GFP_ATOMIC and others; GFP_ATOMIC of a high order may use the reserve.
ATOMIC = ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK
RESERVE_FLAGS = (ATOMIC | ALLOC_HIGHATOMIC, ATOMIC, ALLOC_OOM, ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK)
PROFILES = (LINUX_7_3, LINUX_7_3, LINUX_6_12, LINUX_6_1, LINUX_6_1, LINUX_5_10, LINUX_4_15)


class Pair:
    """A memory and its twin, and the blocks allocated in both; every step is compared."""

    def __init__(self, memory, live):
        self.memory, self.live = memory, live
        self.twin = from_memory(memory)
        self.done = Counter()
        self.compare()

    def pfn(self, node):
        return None if node < 0 else node + self.memory.base_pfn

    @property
    def claims(self):
        """Is it a kernel that claims pageblocks, steals single blocks and keeps lists clean?"""
        return self.memory.profile.release >= 612

    def name(self, what):
        """The name to count it by; 6.12 has rules of its own."""
        return f"{what} by 6.12" if self.claims else what

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

    def state(self):
        """A copy of the state beside the lists that an operation may change."""
        zones, high = self.memory.zones, self.memory.pcp.high.copy()
        types = self.memory.pageblock.copy()
        return high, zones["flags"].copy(), zones.watermark_boost.sum(), types

    def do(self, operation, a, b, c):
        """Do one operation in both, count its effects, and see that both still agree."""
        high, flags, boost, types = self.state()
        operation(self, a, b, c)
        self.compare()
        high_now, flags_now, boost_now, types_now = self.state()
        self.done[operation.__name__] += 1
        self.done["high grown"] += (high_now > high).any()
        self.done["high shrunk"] += (high_now < high).any()
        self.done["below high"] += (flags_now & ~flags & ZONE_BELOW_HIGH).any()
        self.done["above high again"] += (flags & ~flags_now & ZONE_BELOW_HIGH).any()
        if operation in TAKES:
            self.note_fallback(boost_now > boost, (types_now != types).any())
        elif operation in FREES and self.claims:
            self.done["retagged by a merge"] += (types_now != types).any()

    def note_fallback(self, boosted, retagged):
        self.done["boost"] += boosted
        if not self.claims:
            self.done["claimed"] += retagged
        elif boosted:  # 6.12 boosts where less than a pageblock is free, claimed or refused
            self.done["claimed half a pageblock" if retagged else "refused a claim"] += 1
        else:
            self.done["claimed pageblocks"] += retagged

    def take(self, which):
        """Forget one allocated block: it is about to be freed."""
        return self.live.pop(which % len(self.live))

    def alloc_pages(self, a, b, c):
        cpu, order, migratetype = c % self.memory.nr_cpus, ORDERS[a % len(ORDERS)], b % 3
        node, z, _under_lock = zone.alloc_pages(self.memory, cpu, order, migratetype, NO_LOCK)
        pfn, where = twin_zone.alloc_pages(self.twin, cpu, order, migratetype) or (None, None)
        if pfn is not None:
            assert self.twin.zones[z] is where
            self.done["lower zone"] += z < len(self.twin.zones) - 1
        self.keep(node, pfn, order, movable=migratetype == MOVABLE and b & 4)

    def free_pages(self, a, b, c):
        cpu = c % self.memory.nr_cpus
        node, order = self.take(a | b << 8)
        before = self.memory.pcp.count.sum()
        z = zone.page_zone(self.memory, node)
        drains = pcp_limits.free_would_drain(self.memory, z, cpu, order)
        done, _z, _under_lock = zone.free_pages(self.memory, node, cpu, order, NO_LOCK)
        twin_zone.free_pages(self.twin, self.pfn(node), cpu, order)
        assert done
        gained = self.memory.pcp.count.sum() - before
        # A free that was to do without the lock drained nothing.
        assert drains or gained in (0, 1 << order)
        self.done["no drain"] += not drains
        self.done["drained by a free"] += gained < 0

    def rmqueue(self, a, b, c):
        z, order, migratetype = c % len(self.twin.zones), ORDERS[a % len(ORDERS)], b % 3
        flags, mode = FLAGS[b // 3 % 2], b // 6 % 2 if self.claims else fallback.RMQUEUE_NORMAL
        node, then = fallback.rmqueue(self.memory, z, order, migratetype, flags, mode)
        where = self.twin.zones[z]
        pfn, twin_then = twin_fallback.rmqueue(self.twin, where, order, migratetype, flags, mode)
        assert then == twin_then
        self.keep(node, pfn, order)
        self.done["stolen"] += then == fallback.RMQUEUE_STEAL and node >= 0

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
        where = self.twin.zones[z]
        if self.claims:  # there is no other type than the pageblock's
            buddy.free_block(self.memory, node, z, order, fpi_flags)
            twin_buddy.free_block(self.twin, where, self.pfn(node), order, fpi_flags)
            return
        buddy.free_one_page(self.memory, node, z, order, migratetype, fpi_flags)
        twin_buddy.free_one_page(self.twin, where, self.pfn(node), order, migratetype, fpi_flags)

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
        where = self.twin.zones[z]
        assert got == twin_pcp.rmqueue_bulk(self.twin, where, cpu, order, migratetype, flags)
        self.done["refilled"] += got > 0
        if self.claims and got:
            pfns = where.pcp[cpu].lists[twin_pcp.order_to_pindex(migratetype, order)][-got:]
            types = [self.twin.pageblock[pfn >> PAGEBLOCK_ORDER] for pfn in pfns]
            self.done["steals in one refill"] += len(types) - types.count(migratetype) > 1

    def alloc_pages_flags(self, a, b, c):
        cpu, order, migratetype = c % self.memory.nr_cpus, ORDERS[a % len(ORDERS)], b % 3
        flags = RESERVE_FLAGS[b // 3 % len(RESERVE_FLAGS)]
        if order == 0:
            flags &= ~ALLOC_HIGHATOMIC
        reserved = self.memory.zones.nr_reserved_highatomic.sum()
        lower = zone.alloc_from_zonelist(self.memory, cpu, order, migratetype, flags, NO_LOCK)
        got = twin_zone.alloc_pages(self.twin, cpu, order, migratetype, flags)
        self.keep(lower[0], got and got[0], order)
        self.done["reserved"] += self.memory.zones.nr_reserved_highatomic.sum() > reserved

    def reserve(self, a, b, c):
        """Reserve the pageblock of an allocated block."""
        node, order = self.live[(a | b << 8) % len(self.live)]
        z, reserved = zone.page_zone(self.memory, node), self.memory.zones.nr_reserved_highatomic
        before = reserved.sum()
        highatomic.reserve_highatomic_pageblock(self.memory, node, z, order)
        where = self.twin.zones[z]
        twin_highatomic.reserve_highatomic_pageblock(self.twin, where, self.pfn(node), order)
        self.done[self.name("reserved")] += reserved.sum() > before

    def unreserve(self, a, b, c):
        migratetype, force = a % 3, bool(b % 4)
        gave = highatomic.unreserve_highatomic_pageblock(self.memory, migratetype, force)
        assert gave == twin_highatomic.unreserve_highatomic_pageblock(self.twin, migratetype, force)
        self.done[self.name("unreserved")] += gave

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

    def rotate(self, a, b, c):
        """Compaction's fast search comes upon a block of a list."""
        z = c % len(self.twin.zones)
        lists = self.twin.zones[z].free_list
        long = [key for key, pfns in lists.items() if len(pfns) > 1]
        if long:
            key = long[a % len(long)]
            pfns, head = lists[key], free_list_head(self.memory, z, *key)
            pfn, which = pfns[(a ^ b) % len(pfns)], ("head", "tail")[b % 2]
            before = pfns.copy()
            name = f"move_freelist_{which}"
            getattr(turn, name)(self.memory, head, pfn - self.memory.base_pfn)
            getattr(twin_compaction, name)(pfns, pfn)
            self.done[f"rotated to the {which}"] += pfns != before

    def isolate_pageblocks(self, a, b, c):
        """Set an order-10 range apart, or give it back if it is."""
        where = self.twin.zones[c % len(self.twin.zones)]
        first = -(-where.start_pfn // MAX_ORDER_NR_PAGES)
        behind = where.end_pfn // MAX_ORDER_NR_PAGES
        start = (first + a % (behind - first)) * MAX_ORDER_NR_PAGES if behind > first else None
        self.done["split to set apart"] += self.claims and self.twin.buddy.get(start) == 10
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
        got = zone.alloc_pages_bulk(self.memory, cpu, migratetype, nodes)
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

    def decay_pcp_high(self, a, b, c):
        z, cpu = c % len(self.twin.zones), c // 4 % self.memory.nr_cpus
        high = int(self.memory.pcp.high[z, cpu])
        drained = pcp.decay_pcp_high(self.memory, z, cpu)
        twin_pcp.decay_pcp_high(self.twin, self.twin.zones[z], cpu)
        self.done["decay drained"] += drained > 0
        self.done["decay lowered high"] += self.memory.pcp.high[z, cpu] < high

    def balance(self, a, b, c):
        """kswapd begins or ends to balance a zone."""
        z = c % len(self.twin.zones)
        self.memory.zones["flags"][z] ^= ZONE_RECLAIM_ACTIVE
        self.twin.zones[z].flags ^= ZONE_RECLAIM_ACTIVE


KINDS = (
    [Pair.alloc_pages] * 7
    + [Pair.free_pages] * 7
    + [Pair.rmqueue, Pair.rmqueue_highatomic]
    + [Pair.free_one_page, Pair.drain, Pair.refill]
    + [Pair.alloc_pages_flags, Pair.alloc_pages_flags, Pair.reserve, Pair.unreserve]
    + [Pair.isolate_free_page, Pair.putback, Pair.isolate_pageblocks]
    + [Pair.alloc_pages_bulk, Pair.drain_pages_zone, Pair.balance]
    + [Pair.decay_pcp_high, Pair.rotate, Pair.refill, Pair.refill]
)
TAKES = (Pair.alloc_pages, Pair.alloc_pages_bulk, Pair.rmqueue, Pair.refill)
FREES = (Pair.free_pages, Pair.free_one_page, Pair.drain, Pair.drain_pages_zone)
FREES += (Pair.decay_pcp_high, Pair.putback)
OF_LIVE = (Pair.free_pages, Pair.free_one_page, Pair.reserve)


def run_sequence(spans, seed, profile, choices) -> Counter:
    """Do in both the operations that the bytes say, four bytes for each; count them."""
    pair = Pair(*busy_memory(spans, seed, profile))
    for i in range(0, len(choices) - 3, 4):
        kind, a, b, c = choices[i : i + 4]
        # High bits repeat an operation: only runs of frees or allocations fill pcp lists.
        operation = KINDS[kind % len(KINDS)]
        for again in range(6 if kind >= 204 else 1):
            if operation in OF_LIVE and not pair.live:
                break
            pair.do(operation, (a + again * c) % 256, b, c)
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
    for operation in KINDS:
        assert done[operation.__name__] >= EXAMPLES // 4, done
    for profile in PROFILES:
        assert done[profile.release] >= EXAMPLES // 8, done
    seen = ("refused", "lower zone", "boost", "claimed", "from the reserve", "refilled")
    new = ("reserved", "unreserved", "isolated", "put back", "no longer apart", "bulk")
    claims = ("claimed pageblocks", "claimed half a pageblock", "refused a claim", "stolen")
    clean = ("steals in one refill", "retagged by a merge", "split to set apart")
    reserves = ("reserved by 6.12", "unreserved by 6.12")
    tuned = ("high grown", "high shrunk", "below high", "above high again", "decay lowered high")
    drains = ("all drained", "drained", "drained by a free", "decay drained", "no drain")
    rotations = ("rotated to the head", "rotated to the tail")
    for what in (*seen, *new, *claims, *clean, *reserves, *tuned, *drains, *rotations):
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


def tuned_pair(live, high_min=40, high_max=600):
    """6.12 with one CPU, a batch of 4 and these blocks allocated: none is its neighbour's buddy."""
    memory = empty_memory({"DMA32": (4096, 8192)}, nr_cpus=1, profile=LINUX_6_12)
    memory.zones.watermark[:] = 0
    memory.pcp.batch[:] = 4
    memory.pcp.high[:] = memory.pcp.high_min[:] = high_min
    memory.pcp.high_max[:] = high_max
    return Pair(memory, live)


def test_runs_of_frees_and_allocations_tune_the_lists_of_6_12():
    pair = tuned_pair([(node, 0) for node in range(0, 2000, 2)])
    counters = pair.memory.pcp[0, 0]
    while pair.live:
        pair.do(Pair.free_pages, 0, 0, 0)
    # 128 = batch << 5 ends the run; a run and a batch are to fit.
    assert (counters.free_count, counters.high) == (128, 132)
    for _ in range(500):
        pair.do(Pair.alloc_pages, 0, MOVABLE, 0)
    assert (counters.free_count, counters.alloc_factor) == (0, 5)
    assert counters.high > 400
    high = counters.high
    while pair.live:
        pair.do(Pair.free_pages, 0, 0, 0)
    assert (counters.alloc_factor, counters.high) == (0, high)
    while pair.done["decay drained"] < 10:
        pair.do(Pair.decay_pcp_high, 0, 0, 0)
    assert counters.count == counters.high < high / 3


def test_a_run_of_high_orders_is_drained_as_far_as_one_hold_of_the_lock_allows():
    blocks = [(node, 0) for node in range(0, 400, 2)] + [(512, 2), (520, 2)]
    pair = tuned_pair(blocks, high_min=300)
    while pair.live:
        pair.do(Pair.free_pages, 0, 0, 0)
    # Of 208 pages 128 go; high falls by as many, but not below high_min.
    assert pair.memory.pcp.count[0, 0] == 80
    assert pair.memory.pcp.high[0, 0] == 300


def test_decay_drains_batch_by_batch_from_the_first_list():
    pair = tuned_pair([(node, 3) for node in range(0, 160, 16)], high_min=71, high_max=71)
    while pair.live:
        pair.do(Pair.free_one_page, 0, MOVABLE, 0)
    while pair.memory.pcp.count[0, 0] < 80:
        pair.do(Pair.refill, 3, MOVABLE, 0)
    pair.do(Pair.decay_pcp_high, 0, 0, 0)
    # 9 pages too many are batches of 4, 4 and 1: three blocks, not the two that hold 9 pages.
    assert pair.memory.pcp.count[0, 0] == 56


def test_jit_is_on_unless_it_was_disabled():
    assert numba.config.DISABLE_JIT == JIT_DISABLED
    assert hasattr(zone.alloc_pages, "py_func") != JIT_DISABLED


@pytest.mark.skipif(JIT_DISABLED, reason="this is that run")
def test_this_module_passes_without_jit():
    env = os.environ | {"NUMBA_DISABLE_JIT": "1", "FREEHINT_EXAMPLES": "0.08"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    # Thousands of steps, each compared whole; the other runs of 6.12 go through the same kernels.
    command += ["-k", "not tune_the_lists"]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    # One test there says that JIT was off indeed; this one is skipped there.
    assert "5 passed, 1 skipped, 1 deselected" in run.stdout
