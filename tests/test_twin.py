"""The kernels and their plain twin do the same, list for list, operation for operation."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numba
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehint.mm import buddy, fallback, pcp, zone
from freehint.mm.check import check_memory
from freehint.mm.memory import HIGHATOMIC, MOVABLE, NR_PCP_LISTS
from freehint.mm.reference import buddy as twin_buddy
from freehint.mm.reference import fallback as twin_fallback
from freehint.mm.reference import pcp as twin_pcp
from freehint.mm.reference import zone as twin_zone
from freehint.mm.reference.check import verify
from freehint.mm.reference.convert import differences, from_memory
from memories import SETTINGS, SPANS, busy_memory, empty_memory

EXAMPLES = int(os.environ.get("FREEHINT_EXAMPLES", "2000"))
JIT_DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"

# Small orders most of the time, as a kernel asks for them; every order sometimes.
ORDERS = (0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10)
FLAGS = (0, fallback.ALLOC_NOFRAGMENT)
NO_LOCK = -1


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
        node = fallback.rmqueue(self.memory, z, order, migratetype, flags)
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
        got = pcp.rmqueue_bulk(self.memory, z, cpu, order, migratetype, flags)
        assert got == twin_pcp.rmqueue_bulk(
            self.twin, self.twin.zones[z], cpu, order, migratetype, flags
        )
        self.done["refilled"] += got > 0


KINDS = (
    [Pair.alloc_pages] * 7
    + [Pair.free_pages] * 7
    + [Pair.rmqueue, Pair.rmqueue_highatomic]
    + [Pair.free_one_page, Pair.drain, Pair.refill]
)
FREES = (Pair.free_pages, Pair.free_one_page)


def run_sequence(spans, seed, choices) -> Counter:
    """Do what the bytes say, four to an operation, in both; what was done."""
    pair = Pair(*busy_memory(spans, seed))
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
        choices=st.binary(min_size=32, max_size=96),
    )
    def agree(spans, seed, choices):
        done.update(run_sequence(spans, seed, choices))
        done["sequences"] += 1

    agree()
    # So that the test cannot shrink, or miss a mechanism, unseen.
    assert done["sequences"] >= EXAMPLES
    assert EXAMPLES >= 2000 or "FREEHINT_EXAMPLES" in os.environ
    for operation in KINDS:
        assert done[operation.__name__] >= EXAMPLES // 2, done
    seen = ("refused", "lower zone", "boost", "claimed", "from the reserve", "refilled")
    for what in (*seen, "drained", "drained by a free"):
        assert done[what] >= EXAMPLES // 100, (what, done)


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
