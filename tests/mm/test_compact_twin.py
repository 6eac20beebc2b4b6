"""Compaction's kernels and their plain twin do the same through random histories."""

import random
from collections import Counter

import numpy as np
import pytest

from freehint.mm import zone
from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.check import check_memory
from freehint.mm.compact import kcompactd, skip
from freehint.mm.compact.direct import compact_node, try_to_compact_pages
from freehint.mm.compact.kcompactd import kcompactd_step
from freehint.mm.compact.state import (
    KCOMPACTD,
    PROCESS,
    hand_head,
    new_compaction,
    sources_head,
)
from freehint.mm.list import list_empty
from freehint.mm.memory import (
    LRU,
    MOVABLE,
    NO_PAGEBLOCK,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    SKIP_BIT,
    WMARK_LOW,
    WMARK_MIN,
)
from freehint.mm.profile import LINUX_6_1, LINUX_6_12, LINUX_7_3
from freehint.mm.reclaim.counts import (
    COMPACT_FREE_SCANNED,
    COMPACT_ISOLATED,
    COMPACT_MIGRATE_SCANNED,
    PGMIGRATE_FAIL,
    PGMIGRATE_SUCCESS,
)
from freehint.mm.reclaim.lru import add_anon_page, add_file_page, add_huge_page, forget_page
from freehint.mm.reclaim.state import NR_LISTS, PG_WRITEBACK, new_reclaim
from freehint.mm.reference import zone as twin_zone
from freehint.mm.reference.compact import callers
from freehint.mm.reference.compact import data as twin_compaction
from freehint.mm.reference.convert import differences, from_memory
from memories import SPANS, busy_memory, empty_memory, examples

COUNTED = (
    *(COMPACT_MIGRATE_SCANNED, COMPACT_FREE_SCANNED, COMPACT_ISOLATED),
    *(PGMIGRATE_SUCCESS, PGMIGRATE_FAIL),
)
ZONE_FIELDS = (
    *("cached_free_pfn", "init_migrate_pfn", "init_free_pfn", "considered", "defer_shift"),
    *("order_failed", "blockskip_flush"),
)
WIDE = {"DMA": (1, 1024), "DMA32": (1024, 1024 + 10_000)}


def wide_memory(seed, profile):
    """A guest of 20 pageblocks, so that the searches have room; most pages are single."""
    chance = random.Random(seed)
    memory = empty_memory(WIDE, nr_cpus=1, watermark=(20, 25, 30), profile=profile)
    memory.pcp.high[:] = memory.pcp.high_min[:] = memory.pcp.high_max[:] = 60
    types = chance.choices((MOVABLE, MOVABLE, MOVABLE, 0, 2), k=len(memory.pageblock))
    memory.pageblock[memory.pageblock != NO_PAGEBLOCK] = np.array(types, np.uint8)[
        memory.pageblock != NO_PAGEBLOCK
    ]
    share, live = chance.choice((0.3, 0.6, 0.9)), []
    for z in range(len(memory.zones.index)):
        for node, order in cut_block_by_block(memory, z, chance):
            if chance.random() < share:
                live.append((node, order))
                if order == 0 and chance.random() < 0.85:
                    memory.frame[node] = LRU
            else:
                free_block(memory, node, z, order, FPI_NONE)
    return memory, live


def cut_block_by_block(memory, z, chance):
    """A zone in blocks; each pageblock has a largest order of its own."""
    node = int(memory.zones.start_pfn[z]) - memory.base_pfn
    end = node + int(memory.zones.spanned[z])
    largest = 0
    while node < end:
        if node % PAGEBLOCK_NR_PAGES == 0:
            largest = chance.choice((0, 0, 1, 4, 6, 8))
        order = largest
        while node % (1 << order) or node + (1 << order) > end:
            order -= 1
        yield node, order
        node += 1 << order


class Pair:
    """A guest with compaction, its twin, and the blocks in use; every step is compared."""

    def __init__(self, memory, live, chance):
        self.memory, self.chance, self.done = memory, chance, Counter()
        self.reclaim = new_reclaim(memory, memory.nr_pages)
        self.compaction = new_compaction(memory)
        self.live = []
        for node, order in live:
            movable = memory.frame[node] & LRU != 0
            huge = order == 9 and node % PAGEBLOCK_NR_PAGES == 0 and movable
            if movable and not huge:
                self.live += [(page, 0) for page in range(node, node + (1 << order))]
            else:
                self.live.append((node, order))
        for node, order in self.live:
            self.fill(node, order)
        twin = from_memory(memory)
        self.twin = twin_compaction.Compactor(
            twin, [twin_compaction.ZoneMemory(zone) for zone in twin.zones]
        )
        self.read_pages()
        self.compare()

    def fill(self, node, order):
        """Let reclaim know most of the movable pages; a few are under writeback."""
        if self.memory.frame[node] & LRU == 0 or self.chance.random() < 0.1:
            return
        if order == 9:
            add_huge_page(self.memory, self.reclaim, node, node)
            return
        add = self.chance.choice((add_file_page, add_anon_page))
        add(self.memory, self.reclaim, node, node, *((False,) if add is add_file_page else ()))
        if self.chance.random() < 0.01:
            self.reclaim.page[node] |= PG_WRITEBACK

    def places(self):
        slots = np.flatnonzero(self.reclaim.slot)
        return {int(n) + self.memory.base_pfn: int(self.reclaim.slot[n]) - 1 for n in slots}

    def lru_lists(self):
        base, links = self.memory.base_pfn, self.reclaim.links
        lists = []
        for lru in range(NR_LISTS):
            head = self.memory.nr_pages + lru
            node, pfns = int(links[2 * head]), []
            while node != head:
                pfns.append(node + base)
                node = int(links[2 * node])
            lists.append(pfns)
        return lists

    def read_pages(self):
        """Tell the twin what only reclaim knows."""
        base, page = self.memory.base_pfn, self.reclaim.page
        self.twin.place, self.twin.lru = self.places(), self.lru_lists()
        self.twin.writeback = set((np.flatnonzero(page & PG_WRITEBACK) + base).tolist())
        self.twin.huge = set((np.flatnonzero(page & 0x400) + base).tolist())

    def compare(self):
        memory, base = self.memory, self.memory.base_pfn
        check_memory(memory)
        assert list(differences(self.twin.twin, memory)) == []
        assert set((np.flatnonzero(memory.frame & LRU) + base).tolist()) == self.twin.twin.lru
        marked = (memory.pageblock != NO_PAGEBLOCK) & (memory.pageblock & SKIP_BIT != 0)
        assert set((np.flatnonzero(marked) + (base >> 9)).tolist()) == self.twin.skip
        assert self.places() == self.twin.place
        assert self.lru_lists() == self.twin.lru
        for ours, theirs in zip(self.compaction.zone, self.twin.zones, strict=True):
            cached = ours["compact_cached_migrate_pfn"].tolist()
            assert cached == theirs.cached_migrate_pfn
            for name in ZONE_FIELDS:
                assert ours[f"compact_{name}"] == getattr(theirs, name), name
        for who in (KCOMPACTD, PROCESS):
            heads = [hand_head(memory, who, order) for order in range(NR_ORDERS)]
            for head in (*heads, sources_head(memory, who)):
                assert list_empty(self.compaction.links, head)

    def counted(self):
        return self.reclaim.count[list(COUNTED)].copy()

    def account(self, before, used):
        """The counters have grown by what the twin's controls say; pages in use have moved."""
        theirs = np.zeros(len(COUNTED), int)
        for cc in used:
            moved = len(cc.moves)
            theirs += (cc.migrate_scanned, cc.free_scanned, cc.isolated, moved, cc.failed)
            where = {node + self.memory.base_pfn: i for i, (node, _) in enumerate(self.live)}
            for source, target in cc.moves:
                i = where.pop(source)
                self.live[i] = (target - self.memory.base_pfn, 0)
                where[target] = i
            self.done["moved"] += moved > 0
            self.done["failed"] += cc.failed > 0
            self.done["searched"] += cc.search_order != cc.order
        assert (self.counted() - before).tolist() == theirs.tolist()
        self.read_pages_that_are_equal()

    def read_pages_that_are_equal(self):
        self.twin.writeback &= set(self.places())

    def compact(self):
        chance = self.chance
        order, migratetype = chance.choice((1, 3, 4, 6, 9, 9, 9, 10)), chance.choice((0, 1, 1, 2))
        mark, priority = chance.choice((WMARK_MIN, WMARK_LOW)), chance.choice((0, 1, 1, 2, 2))
        before = self.counted()
        cpu = chance.randrange(self.memory.nr_cpus)
        result, _ = try_to_compact_pages(
            self.memory,
            self.reclaim,
            self.compaction,
            cpu,
            order,
            migratetype,
            (mark, 0, priority),
        )
        theirs, pfn, used = callers.try_to_compact_pages(
            self.twin, cpu, order, migratetype, mark, 0, priority
        )
        assert result == theirs
        node = int(self.compaction.control[PROCESS].captured)
        assert (None if node < 0 else node + self.memory.base_pfn) == pfn
        self.account(before, used)
        self.done[f"result {result}"] += 1
        if pfn is not None:
            self.live.append((node, order))
            self.done["captured"] += 1

    def kcompactd(self):
        order, highest = self.chance.choice((1, 3, 9, 9, 10)), self.chance.choice((0, 1, 2, 3))
        daemon = self.compaction.daemon[0]
        before = self.counted()
        kcompactd.wakeup_kcompactd(self.memory, self.compaction, order, highest)
        if not daemon.awake:  # the order stays pending until the sleep is over
            assert not kcompactd.kcompactd_timeout(self.memory, self.reclaim, self.compaction)
            self.done["pending"] += 1
        highest = int(daemon.kcompactd_highest_zoneidx)
        while kcompactd_step(self.memory, self.reclaim, self.compaction, 0):
            self.done["steps"] += 1
        used = callers.kcompactd_do_work(self.twin, 0, order, highest)
        self.account(before, used)
        self.done["kcompactd"] += bool(used)

    def proactive(self):
        self.reclaim.node.compaction_proactiveness = self.chance.choice((20, 60, 90))
        before = self.counted()
        low = int(kcompactd.proactive_low(self.reclaim))
        if not kcompactd.wake_proactively(self.memory, self.reclaim, self.compaction):
            return
        while kcompactd_step(self.memory, self.reclaim, self.compaction, 0):
            self.done["steps"] += 1
        used = callers.proactive_compact_node(self.twin, 0, low)
        self.account(before, used)
        self.done["proactive"] += 1

    def compact_node(self):
        before = self.counted()
        compact_node(self.memory, self.reclaim, self.compaction, 0)
        used = callers.compact_node(self.twin, 0)
        self.account(before, used)
        self.done["compact_memory"] += 1

    def reset(self):
        skip.reset_isolation_suitable(self.memory, self.reclaim, self.compaction)
        marked = len(self.twin.skip)
        for memory in self.twin.zones:
            twin_compaction.reset_isolation_suitable(self.twin, memory)
        self.done["unmarked"] += len(self.twin.skip) < marked

    def alloc(self):
        for _ in range(self.chance.choice((1, 40))):
            order, migratetype = (
                self.chance.choice((0, 0, 0, 0, 1, 2, 3, 5)),
                self.chance.choice((0, 1, 1, 1, 2)),
            )
            node, _z, _locked = zone.alloc_pages(self.memory, 0, order, migratetype, 0)
            got = twin_zone.alloc_pages(self.twin.twin, 0, order, migratetype)
            assert (None if node < 0 else node + self.memory.base_pfn) == (got and got[0])
            if node < 0:
                break
            self.live.append((node, order))
            if migratetype == MOVABLE and order == 0:
                zone.mark_lru(self.memory, node, 0)
                self.twin.twin.lru.add(got[0])
                place = int(np.flatnonzero(self.reclaim.place == 0)[0])
                add_file_page(self.memory, self.reclaim, node, place, False)
        self.read_pages()

    def free(self):
        for _ in range(min(self.chance.choice((1, 60)), len(self.live))):
            node, order = self.live.pop(self.chance.randrange(len(self.live)))
            if self.reclaim.slot[node]:
                self.reclaim.page[node] &= ~np.uint32(PG_WRITEBACK)
                forget_page(self.memory, self.reclaim, node)
            zone.free_pages(self.memory, node, 0, order, 0)
            twin_zone.free_pages(self.twin.twin, node + self.memory.base_pfn, 0, order)
        self.read_pages()


STEPS = (
    *("compact", "compact", "compact", "kcompactd", "kcompactd", "proactive"),
    *("compact_node", "reset", "alloc", "alloc", "alloc", "free", "free"),
)


def history(seed, profile, steps, done):
    chance = random.Random(seed)
    if seed % 2:
        memory, live = wide_memory(seed, profile)
    else:
        memory, live = busy_memory(chance.choice(sorted(SPANS)), seed, profile)
    pair = Pair(memory, live, chance)
    for _ in range(steps):
        getattr(pair, chance.choice(STEPS))()
        pair.compare()
    done.update(pair.done)


FIRST = 24  # a seed from which on all rare ends come soon


@pytest.mark.parametrize("profile", [LINUX_6_1, LINUX_6_12, LINUX_7_3], ids=["6.1", "6.12", "7.3"])
def test_compaction_and_its_twin_agree(profile):
    done = Counter()
    for seed in range(FIRST, FIRST + examples(14)):
        history(seed, profile, 8, done)
    rare = {
        *("moved", "failed", "searched", "captured", "kcompactd", "proactive"),
        *("compact_memory", "unmarked", "result 1", "result 2", "result 6", "result 8"),
    }
    assert len(rare - {what for what, times in done.items() if times}) == 0, done
