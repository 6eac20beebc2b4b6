"""Allocations of order 9 through the slow path: compaction, capture, reclaim, and their end."""

import random
from collections import Counter

import numpy as np
import pytest

from freehint.mm.check import check_memory
from freehint.mm.compact.state import PROCESS
from freehint.mm.memory import MOVABLE, UNMOVABLE
from freehint.mm.profile import LINUX_6_1, LINUX_6_12
from freehint.mm.reclaim.kswapd import kswapd_step
from freehint.mm.reclaim.lru import add_anon_page, add_file_page, add_huge_page, forget_place
from freehint.mm.reclaim.slowpath import WAITS, alloc
from freehint.mm.reclaim.state import new_reclaim, vmstat
from freehint.mm.reclaim.writeback import end_writeback, next_writeback
from freehint.mm.zone import free_pages
from memories import empty_memory, examples, free_everything

PAGES = 10_240  # 20 pageblocks


class Guest:
    """A guest full of pages of which a share is given back here and there."""

    def __init__(self, seed, profile):
        self.chance = random.Random(seed)
        spans = {"DMA32": (4096, 4096 + PAGES)}
        self.memory = empty_memory(spans, nr_cpus=1, watermark=(64, 80, 96), profile=profile)
        self.memory.pcp.high[:] = self.memory.pcp.high_min[:] = self.memory.pcp.high_max[:] = 60
        free_everything(self.memory)
        self.reclaim = new_reclaim(self.memory, 2 * PAGES, PAGES // 2)
        self.singles, self.unused = list(range(PAGES, 2 * PAGES)), list(range(0, PAGES, 512))
        self.places, self.huge, self.done = [], [], Counter()
        anon = self.chance.choice((0, 0.3, 0.8))
        while int(self.memory.zones.nr_free_pages[0]) > 700:
            if self.chance.random() < 0.02:
                self.get(0, UNMOVABLE)
                continue
            node, place = self.get(0, MOVABLE), self.singles.pop()
            if self.chance.random() < anon:
                add_anon_page(self.memory, self.reclaim, node, place)
            else:
                add_file_page(self.memory, self.reclaim, node, place, False)
            self.places.append(place)
        self.give_back(self.chance.choice((0.15, 0.3, 0.5)))

    def get(self, order, migratetype):
        node = alloc(self.memory, self.reclaim, 0, order, migratetype, 0)[0]
        while node == WAITS:
            end_writeback(self.memory, self.reclaim, next_writeback(self.reclaim))
            node = alloc(self.memory, self.reclaim, 0, order, migratetype, 0)[0]
        return node

    def give_back(self, share):
        for place in self.chance.sample(self.places, int(share * len(self.places))):
            self.places.remove(place)
            self.singles.append(place)
            node = forget_place(self.memory, self.reclaim, place)
            if node >= 0:
                free_pages(self.memory, node, 0, 0, 0)

    def fault(self):
        """A fault of a huge page; what it took to get it is counted."""
        before, control = vmstat(self.reclaim), self.reclaim.compaction.control[PROCESS]
        control.captured = -1
        node = self.get(9, MOVABLE)
        counts = vmstat(self.reclaim)
        grew = {name: counts[name] - before.get(name, 0) for name in counts}
        assert self.reclaim.node[0].oom == 0
        assert grew.get("compact_stall", 0) == grew.get("compact_success", 0) + grew.get(
            "compact_fail", 0
        )
        if node < 0:
            self.done["failed"] += 1
            return
        assert node % 512 == 0 and not self.reclaim.slot[node : node + 512].any()
        assert not self.memory.frame[node : node + 512].any()
        if grew.get("compact_success"):
            captured = control.captured == node
            self.done["captured" if captured else "compacted"] += 1
        else:
            self.done["found"] += 1
        place = self.unused.pop()
        add_huge_page(self.memory, self.reclaim, node, place)
        self.huge.append(place)


@pytest.mark.parametrize("profile", [LINUX_6_1, LINUX_6_12], ids=["6.1", "6.12"])
def test_huge_pages_are_captured_compacted_or_given_up(profile):
    done = Counter()
    for seed in range(examples(4)):
        guest = Guest(seed, profile)
        for _ in range(8):
            guest.fault()
            for _ in range(guest.chance.choice((0, 3, 100))):
                if not kswapd_step(guest.memory, guest.reclaim, 0):
                    break
            check_memory(guest.memory, guest.reclaim)
            guest.give_back(0.02)
        done.update(guest.done)
        for place in guest.huge:  # those that kswapd has not split are still whole
            nodes = guest.reclaim.place[place : place + 512]
            if (nodes > 0).all() and (np.diff(nodes) == 1).all():
                done["whole"] += 1
    assert all(done[what] for what in ("captured", "failed", "whole")), done
