"""The kernels of reclaim and their plain twin do the same through random histories.

Whatever a guest under pressure does, lists, flags, places, swap, counters, what kswapd remembers
and the free lists are the same afterwards.
"""

import random
from collections import Counter

import numpy as np
from lru_guest import shrink_node

from freehint.mm.check import check_memory
from freehint.mm.memory import MOVABLE, PAGEBLOCK_NR_PAGES
from freehint.mm.reclaim import direct as kernel_direct
from freehint.mm.reclaim import kswapd as kernel_kswapd
from freehint.mm.reclaim import lru as kernel_lru
from freehint.mm.reclaim import slowpath as kernel_slowpath
from freehint.mm.reclaim import writeback as kernel_writeback
from freehint.mm.reclaim.direct import drop_caches, memory_reclaim
from freehint.mm.reclaim.kswapd import kswapd_step
from freehint.mm.reclaim.slowpath import alloc, alloc_no_reclaim
from freehint.mm.reclaim.state import BY_KSWAPD, BY_TASK, PG_EXEC, new_reclaim
from freehint.mm.reclaim.sysctl import Sysctl, set_sysctls
from freehint.mm.reference import zone as twin_zone
from freehint.mm.reference.reclaim import (
    kswapd,
    lru,
    operators,
    scan,
    slowpath,
    writeback,
)
from freehint.mm.reference.reclaim.control import ScanControl
from freehint.mm.reference.reclaim.convert import differences, from_reclaim
from freehint.mm.zone import NO_PAGE, free_pages
from memories import empty_memory, examples, free_everything

GUESTS = (  # zones of less than four pageblocks have no boosts
    {"DMA32": (0, 1536)},
    {"DMA32": (0, 2048)},
    {"DMA": (1, 1024), "DMA32": (1024, 2560)},
    {"DMA32": (1024, 2048), "Normal": (2048, 4096)},
)
FILES, PLACES = 1800, 3600  # places below FILES are of files, the others anonymous
HUGE_FROM = 2560  # places that huge pages may back
RESULTS = {NO_PAGE: slowpath.FAILED, kernel_slowpath.WAITS: slowpath.WAITS}


class Pair:
    """A guest under pressure and its twin, and the pages in use."""

    def __init__(self, seed):
        self.chance = chance = random.Random(seed)
        nr_cpus, swap = chance.choice((1, 2)), chance.choice((0, 5, 60, 400, 4000))
        memory = empty_memory(chance.choice(GUESTS), nr_cpus)
        if chance.random() < 0.5:
            memory.zones.lowmem_reserve[0, -2:] = chance.choice((16, 64))
        self.memory = free_everything(memory)
        self.reclaim = new_reclaim(memory, PLACES, swap)
        self.twin = from_reclaim(memory, self.reclaim)
        self.blocks, self.done = [], Counter()
        self.set_swappiness()
        self.take_memory(chance.choice((150, 400, 1000, 1800, 4096)))
        if chance.random() < 0.4:
            self.fill_and_scatter()
        self.compare("at first")

    @property
    def base(self):
        return self.memory.base_pfn

    def compare(self, what):
        check_memory(self.memory, self.reclaim)
        found = list(differences(self.twin, self.memory, self.reclaim))
        assert not found, (what, found[:8])
        self.reclaim.node.nr_freed = 0
        self.twin.freed.clear()

    def resident(self, first=0, end=PLACES):
        return [place for place in self.twin.page if first <= place < end]

    def node(self, place):
        return int(self.reclaim.place[place]) - 1

    # allocations

    def alloc(self, order, migratetype, may_reclaim=True):
        """A node, or None; while the task has to wait, others go on."""
        cpu = self.chance.randrange(self.memory.nr_cpus)
        allocate = alloc if may_reclaim else alloc_no_reclaim
        for _ in range(8):
            node, _, _ = allocate(self.memory, self.reclaim, cpu, order, migratetype, 0)
            theirs = slowpath.alloc(self.twin, cpu, order, migratetype, may_reclaim)
            ours = RESULTS[node] if node < 0 else node + self.base
            assert ours == theirs, (order, migratetype, ours, theirs)
            if node >= 0:
                return node
            self.compare((ours, order, migratetype))
            self.done[ours] += 1
            if ours == slowpath.FAILED:
                break
            self.kswapd()
            self.disk()
        self.reclaim.node.reclaiming = self.twin.request.reclaiming = 0
        if self.reclaim.node[0].oom:
            self.reclaim.node.oom = self.twin.request.oom = 0
            self.done["oom"] += 1
            self.end_process()
        return None

    def take_memory(self, left):
        """The kernel takes all memory but about ``left`` pages, in single pages and in blocks."""
        largest = self.chance.choice((0, 3, 6))
        while int(self.memory.zones.nr_free_pages.sum()) > left:
            order = self.chance.randint(0, largest)
            node = self.alloc(order, self.chance.choice((0, 0, 1, 2)), may_reclaim=False)
            if node is None:
                break
            self.blocks.append((node, order))

    def fill_place(self, place, dirty=False):
        """Let a page back a place that has none; False if there is no page."""
        node = self.alloc(0, MOVABLE)
        if node is None or place in self.twin.page:  # waiting, others may have filled it
            if node is not None:
                self.blocks.append((node, 0))
            return False
        if place < FILES:
            kernel_lru.add_file_page(self.memory, self.reclaim, node, place, dirty)
            lru.add_file_page(self.twin, node + self.base, place, dirty)
        else:
            kernel_lru.add_anon_page(self.memory, self.reclaim, node, place)
            lru.add_anon_page(self.twin, node + self.base, place)
        return True

    def read_file(self):
        """Read a stretch of a file; what is in the cache is used."""
        first = self.chance.randrange(self.chance.choice((100, FILES)))  # some are read often
        length = self.chance.choice((1, 30, 300))
        for place in range(first, min(first + length, FILES)):
            if place in self.twin.page:
                self.mark(place)
            elif not self.fill_place(place):
                return

    def write_file(self):
        first, length = self.chance.randrange(FILES), self.chance.choice((1, 30, 100))
        for place in range(first, min(first + length, FILES)):
            if place not in self.twin.page:
                if not self.fill_place(place, True):
                    return
                continue
            kernel_writeback.set_page_dirty(self.reclaim, self.node(place))
            writeback.account_dirtied(self.twin, self.twin.flags[self.twin.page[place]])

    def use_memory(self):
        """A process uses some of its memory, or maps more."""
        end = self.chance.choice((FILES + 100, PLACES))
        first, length = self.chance.randrange(FILES, end), self.chance.choice((1, 30, 300))
        for place in range(first, min(first + length, PLACES)):
            if place in self.twin.page:
                self.touch_place(place)
            elif not self.fill_place(place):
                return

    def huge_page(self):
        place = HUGE_FROM + PAGEBLOCK_NR_PAGES * self.chance.randrange(2)
        room = range(place, place + PAGEBLOCK_NR_PAGES)
        used = {*self.twin.page, *self.twin.shadow, *self.twin.swap}
        if used.isdisjoint(room):
            node = self.alloc(9, MOVABLE)
            if node is not None and {*self.twin.page}.isdisjoint(room):
                kernel_lru.add_huge_page(self.memory, self.reclaim, node, place)
                lru.add_huge_page(self.twin, node + self.base, place)
                self.done["huge"] += 1
            elif node is not None:
                self.blocks.append((node, 9))

    def kernel_memory(self):
        for _ in range(self.chance.choice((1, 1, 20))):
            order = self.chance.choice((0, 0, 0, 1, 2, 3, 3, 4, 5, 9))
            may_reclaim = self.chance.random() < 0.8
            node = self.alloc(order, self.chance.choice((0, 0, 2)), may_reclaim)
            if node is not None:
                self.blocks.append((node, order))

    def free_kernel_memory(self):
        self.chance.shuffle(self.blocks)
        for _ in range(min(len(self.blocks), self.chance.choice((1, 20)))):
            self.free(*self.blocks.pop())

    def free(self, node, order):
        cpu = self.chance.randrange(self.memory.nr_cpus)
        free_pages(self.memory, node, cpu, order, 0)
        twin_zone.free_pages(self.twin.compactor.twin, node + self.base, cpu, order)

    # uses

    def mark(self, place):
        kernel_lru.mark_page_accessed(self.memory, self.reclaim, self.node(place))
        lru.mark_page_accessed(self.twin, self.twin.page[place])

    def touch_place(self, place):
        write = self.chance.random() < 0.4
        there = kernel_lru.touch(self.memory, self.reclaim, place, write) >= 0
        assert there == lru.touch(self.twin, place, write)

    def touch(self):
        for _ in range(self.chance.choice((1, 50))):
            self.touch_place(self.chance.randrange(PLACES))

    def map_code(self):
        for place in self.chance.sample(self.resident(0, FILES), len(self.resident(0, FILES)) // 9):
            if kernel_lru.touch(self.memory, self.reclaim, place, False) >= 0:
                lru.touch(self.twin, place, False)
                self.reclaim.page[self.node(place)] |= PG_EXEC
                self.twin.flags[self.twin.page[place]].add("exec")

    def unmap(self):
        mapped = [p for p in self.resident(0, FILES) if "mapped" in self.flags(p)]
        for place in self.chance.sample(mapped, len(mapped) // 2):
            kernel_lru.unmap_page(self.memory, self.reclaim, self.node(place))
            lru.unmap_page(self.twin, self.twin.page[place])

    def flags(self, place):
        return self.twin.flags[self.twin.page[place]]

    def deactivate(self):
        for place in self.chance.sample(self.resident(0, FILES), len(self.resident(0, FILES)) // 9):
            kernel_lru.deactivate_page(self.memory, self.reclaim, self.node(place))
            lru.deactivate_page(self.twin, self.twin.page[place])

    # ends

    def forget(self, places):
        for place in places:
            if "huge" in self.twin.flags.get(self.twin.page.get(place), ()):
                self.forget_huge(place)
                continue
            if place in self.twin.page and self.twin.page[place] not in self.twin.flags:
                continue  # the tail of a huge page goes with its head
            node = kernel_lru.forget_place(self.memory, self.reclaim, place)
            pfn = lru.forget_place(self.twin, place)
            assert pfn == (None if node < 0 else node + self.base)
            if pfn is not None:
                self.free(node, 0)

    def forget_huge(self, place):
        node = self.node(place)
        kernel_lru.forget_page(self.memory, self.reclaim, node)
        lru.forget_page(self.twin, node + self.base)
        self.free(node, 9)

    def end_process(self):
        first = self.chance.randrange(FILES, PLACES)
        self.forget(range(first, min(first + 600, PLACES)))

    def scatter(self):
        """Pages here and there become free, so that there are hardly any blocks."""
        self.forget(self.chance.sample(list(self.twin.page), len(self.twin.page) // 3))

    def fill_and_scatter(self):
        """The cache takes all memory, and then pages become free between others."""
        for place in range(FILES):
            if int(self.memory.zones.nr_free_pages.sum()) < 70:
                break
            if place not in self.twin.page and not self.fill_place(place):
                break
        self.scatter()

    def truncate(self):
        first = self.chance.randrange(FILES)
        self.forget(range(first, min(first + self.chance.choice((1, 200)), FILES)))

    # the disk

    def sync(self):
        dirty = [p for p in self.resident(0, FILES) if "dirty" in self.flags(p)]
        for place in self.chance.sample(dirty, len(dirty) // 2):
            if "writeback" not in self.flags(place):
                kernel_writeback.start_writeback(self.memory, self.reclaim, self.node(place))
                writeback.start_writeback(self.twin, self.twin.page[place])
        self.reclaim.node.flusher_wanted = self.twin.node.flusher_wanted = 0

    def disk(self):
        for _ in range(self.chance.choice((1, 40, 200))):
            node = kernel_writeback.next_writeback(self.reclaim)
            if node < 0:
                assert not self.twin.disk
                return
            assert self.twin.disk.pop(0) == node + self.base
            kernel_writeback.end_writeback(self.memory, self.reclaim, node)
            writeback.end_writeback(self.twin, node + self.base)

    # kernel threads and operators

    def kswapd(self):
        for _ in range(self.chance.choice((1, 10, 100))):
            ours = kswapd_step(self.memory, self.reclaim, 0)
            assert bool(ours) == kswapd.kswapd_step(self.twin)
            if not ours:
                break
            self.done["steps"] += 1
        if self.chance.random() < 0.3:
            kernel_kswapd.end_nap(self.memory, self.reclaim)
            kswapd.end_nap(self.twin)

    def kcompactd(self):
        self.reclaim.node.kcompactd_order = self.twin.node.kcompactd_order = -1

    def one_pass(self):
        """kswapd or a task passes over the lists once, at any priority."""
        who, order = self.chance.choice((BY_KSWAPD, BY_TASK)), 0
        if self.chance.random() < 0.5 or self.reclaim.node[0].kswapd_awake:
            who = BY_TASK
        priority, wanted = self.chance.choice((0, 1, 2, 3, 5, 12)), self.chance.choice((1, 32, 60))
        kernel_direct.begin_direct_reclaim(self.reclaim, order, 3, wanted)
        self.reclaim.control[who] = self.reclaim.control[BY_TASK]
        self.reclaim.control[who].priority = priority
        shrink_node(self.memory, self.reclaim, who, 0)
        sc = ScanControl(who == BY_KSWAPD, 3, wanted, order, priority=priority)
        for _ in scan.shrink_node(self.twin, sc, 0):
            pass
        control = self.reclaim.control[who]
        assert (control.nr_scanned, control.nr_reclaimed) == (sc.nr_scanned, sc.nr_reclaimed)

    def memory_reclaim(self):
        pages = self.chance.choice((1, 40, 300))
        got = memory_reclaim(self.memory, self.reclaim, 0, pages)
        assert got == operators.memory_reclaim(self.twin, 0, pages)

    def drop_caches(self):
        limit = self.chance.choice((3, 100, 2000))
        dropped = drop_caches(self.memory, self.reclaim, 0, limit)
        assert dropped == operators.drop_caches(self.twin, 0, limit)

    def set_swappiness(self):
        self.sysctl(Sysctl(swappiness=self.chance.choice((0, 1, 60, 100, 199, 200))))

    def set_watermarks(self):
        self.sysctl(Sysctl(min_free_kbytes=self.chance.choice((100, 400, 1000))))

    def sysctl(self, sysctl):
        set_sysctls(self.memory, self.reclaim.node, sysctl)
        self.reclaim.node.lru_gen = 0
        self.twin.node.swappiness = sysctl.swappiness
        for zone, record in zip(self.twin.compactor.twin.zones, self.memory.zones, strict=True):
            zone.watermark = record.watermark.tolist()


STEPS = (
    *("read_file", "read_file", "read_file", "write_file", "use_memory", "use_memory"),
    *("kswapd", "kswapd", "kswapd", "disk", "disk", "sync", "touch", "kernel_memory"),
    *("free_kernel_memory", "huge_page", "map_code", "unmap", "end_process", "truncate"),
    *("one_pass", "memory_reclaim", "drop_caches", "set_swappiness", "set_watermarks"),
    *("deactivate", "kcompactd", "scatter", "kernel_memory", "fill_and_scatter"),
)


def history(seed, steps, done):
    pair = Pair(seed)
    for _ in range(steps):
        step = pair.chance.choice(STEPS)
        getattr(pair, step)()
        pair.compare(step)
    done.update(pair.done)
    done.update(pair.twin.counts)


FIRST = 7  # a seed whose history goes far, and the next one's reclaims in the other ways


def test_reclaim_and_its_twin_agree():
    done = Counter()
    for seed in range(FIRST, FIRST + examples(4)):
        history(seed, 40, done)
    seen = {what for what, times in done.items() if times}
    assert {"steps", "pgsteal_kswapd", "pgsteal_direct", "pswpout", "pswpin"} <= seen, done
    assert {"workingset_refault_anon", "workingset_refault_file", "pgmigrate_success"} <= seen, done
    assert np.all([done[name] for name in ("huge", "pgrotated", "pageoutrun")]), done
