"""A host's memory that several guests share: watermarks, kswapd, direct reclaim, out of memory.

Between slices, kswapd begins to write old pages to swap when fewer pages are free than the low
watermark, and goes on until the high one is reached; a page takes ``swap_out_ns``.  A guest that
takes pages faster than that reclaims directly and pays the time.  Guests lose pages in proportion
to their resident pages, as control groups do.  Without a free swap slot nothing can be reclaimed:
then the guest with most pages, resident and in swap, is killed.

Source: balance_pgdat(), do_try_to_free_pages() and shrink_node_memcgs() of mm/vmscan.c,
oom_badness() of mm/oom_kill.c, Linux 6.1.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from freehint.config import require
from freehint.engine.world.backing import PAGES, SMALL
from freehint.engine.world.content import take_lazy_pages
from freehint.engine.world.paging import (
    FREE,
    MIN,
    RESIDENT,
    SWAP_FREE,
    SWAP_IN_NS,
    SWAPPED,
    list_is_whole,
    map_resident,
    new_paging,
    shrink_list,
    unmap_all,
)
from freehint.inputs.rules import MOST_MIB, Checked, Mebibytes, Whole
from freehint.mm.bitmap import count_bits
from freehint.mm.check import InvariantError
from freehint.mm.watermark import zone_watermarks
from freehint.units import NS_PER_MS, NS_PER_S, PAGES_PER_MIB

DEF_PRIORITY = 12
SWAP_CLUSTER_MAX = 32
# The most pages that one event of a guest takes: a block of the largest order, page structures.
EVENT_PAGES = 2048


@dataclass(frozen=True)
class SharedHost(Checked):
    """The host that guests share.

    Attributes
    ----------
    memory_MiB : int
        Memory for guests' pages.
    swap_MiB : int
        Swap space.
    swap_in_ns : int
        Time from a guest's touch of a page in swap until the guest goes on.  Assumed: a 4 KiB
        random read of an NVMe drive and the fault around it.
    swap_out_ns : int
        Time to write one page to swap.  Assumed: sequential writes, many under way, at 400 MB/s.
    slice_ns : int
        Time for which each guest runs in its turn; between slices the host reclaims.
    """

    memory_MiB: Annotated[int, Whole(64, MOST_MIB)] = 1536
    swap_MiB: Mebibytes = 4096
    swap_in_ns: Annotated[int, Whole(1, NS_PER_S)] = 100_000
    swap_out_ns: Annotated[int, Whole(1, NS_PER_S)] = 10_000
    slice_ns: Annotated[int, Whole(1, 100 * NS_PER_S)] = NS_PER_MS

    where = "host."


def require_guest(scenario) -> None:
    """Refuse a scenario that a shared host cannot run.

    Raises
    ------
    InputError
        Its host does not discard, or has another backing than small pages; or the guest is migrated
        or parked.
    """
    where, here = "guest.scenario.", "on a shared host"
    discards, pages = scenario.host.discard, scenario.host.pages
    require(discards, f"{where}host.discard", f"be true {here}", discards)
    require(pages == PAGES[SMALL], f"{where}host.pages", f"be {PAGES[SMALL]} {here}", pages)
    for name in ("migration", "park"):
        given = getattr(scenario, name)
        require(given is None, f"{where}{name}", f"be None {here}", given)


class HostMemory:
    """Host memory and swap while guests run.

    ``engines`` holds the guests on the host, by number; ``kills`` has one row (guest, resident
    pages, swapped pages) for each guest that was killed.
    """

    def __init__(self, config: SharedHost):
        self.config = config
        self.engines = {}
        self.kills = []
        self.total = config.memory_MiB * PAGES_PER_MIB
        self.swap_total = config.swap_MiB * PAGES_PER_MIB
        lowest, low, high = map(int, zone_watermarks([self.total], huge_pages=False)[0])
        more = max(EVENT_PAGES - lowest, 0)
        self.low, self.high = low + more, high + more
        self.count = np.zeros(4, np.int64)
        self.count[[FREE, MIN, SWAP_FREE, SWAP_IN_NS]] = (
            self.total,
            lowest + more,
            self.swap_total,
            config.swap_in_ns,
        )
        self.kswapd_awake = False
        self.kswapd_ns = 0  # time that kswapd has not spent yet
        self.kswapd_pages = self.direct_pages = 0  # pages written to swap
        self.lowest_free = self.total
        self.first = 0  # guest that the next scan begins with
        self.reclaim_ns = {}  # time of direct reclaim, by guest

    def add(self, number: int, engine) -> None:
        """Add a guest that begins.  Its resident pages take memory, and old pages make room."""
        world = engine.world
        nr_pages = world.memory.nr_pages
        engine.current.replace(paging=new_paging(nr_pages, self.count))
        engine.world.host[0].noting = 1
        engine.shared = self
        self.engines[number] = engine
        self.reclaim_ns[number] = 0
        wanted = world.present.copy()
        world.present[:] = 0
        step = EVENT_PAGES // 2
        for first in range(0, nr_pages, step):
            if engine.stopped:
                return
            paging = engine.world.paging
            map_resident(paging, world.present, wanted, first, min(first + step, nr_pages))
            while self.count[FREE] < self.high and not engine.stopped:
                if not self._reclaim(self.high - int(self.count[FREE])):
                    self._kill()

    def _reclaim(self, wanted: int) -> int:
        """Write up to ``wanted`` pages to swap, the oldest first; return the number written."""
        got, priority = 0, DEF_PRIORITY
        guests = list(self.engines.values())
        for engine in guests:
            if len(engine.world.backing.lazy):
                got += int(take_lazy_pages(engine.pinned, wanted - got))
        while got < wanted and self.count[SWAP_FREE] > 0:
            if not any(engine.world.paging.count[RESIDENT] for engine in guests):
                break
            self.first += 1
            for turn in range(len(guests)):
                world = guests[(self.first + turn) % len(guests)].world
                share = max(int(world.paging.count[RESIDENT]) >> priority, SWAP_CLUSTER_MAX)
                got += shrink_list(world.paging, world.present, share, wanted - got)
            priority = max(priority - 1, 0)
        return int(got)

    def kswapd(self, time_ns: int) -> None:
        """Let kswapd run for its share of a slice.  Source: balance_pgdat()."""
        free = int(self.count[FREE])
        self.lowest_free = min(self.lowest_free, free)
        if free < self.low:
            self.kswapd_awake = True
        if not self.kswapd_awake:
            return
        self.kswapd_ns += time_ns
        most = self.kswapd_ns // self.config.swap_out_ns
        got = self._reclaim(min(most, self.high - free))
        self.kswapd_pages += got
        self.kswapd_ns -= got * self.config.swap_out_ns
        if self.count[FREE] >= self.high or not self.count[SWAP_FREE]:
            self.kswapd_awake, self.kswapd_ns = False, 0

    def direct_reclaim(self, engine) -> None:
        """Let a guest that took the host below its min watermark make room, and wait for it.

        Source: do_try_to_free_pages(), out_of_memory().
        """
        self.lowest_free = min(self.lowest_free, int(self.count[FREE]))
        while self.count[FREE] < self.count[MIN]:
            got = self._reclaim(max(SWAP_CLUSTER_MAX, int(self.count[MIN] - self.count[FREE])))
            if not got:
                self._kill()
            self.direct_pages += got
            took_ns = got * self.config.swap_out_ns
            engine.world.host[0].fault_debt_ns += took_ns
            number = next(n for n, other in self.engines.items() if other is engine)
            self.reclaim_ns[number] += took_ns

    def _kill(self) -> None:
        """Kill the largest guest, when no memory and no swap is free.  Source: oom_badness()."""

        def badness(number):
            count = self.engines[number].world.paging.count
            return int(count[RESIDENT] + count[SWAPPED])

        victim = max((n for n in self.engines if not self.engines[n].stopped), key=badness)
        engine = self.engines[victim]
        count = engine.world.paging.count
        self.kills.append((victim, int(count[RESIDENT]), int(count[SWAPPED])))
        engine.stopped = True
        host = engine.world.host[0]
        host.faulting = host.noting = 0  # later writes of its last stroke take no memory
        unmap_all(engine.world.paging, engine.world.present)

    def check(self) -> None:
        """Recount every page of every guest.

        Raises
        ------
        InvariantError
            The message names the first count that is wrong.
        """
        resident = swapped = 0
        for number, engine in self.engines.items():
            paging, present = engine.world.paging, engine.world.present
            counts = int(count_bits(present)), int(count_bits(paging.swapped))
            for name, at, found in zip(("resident", "swapped"), (RESIDENT, SWAPPED), counts):
                _agree(f"guest {number}: {name} pages", int(paging.count[at]), found)
            both = int(count_bits(present & paging.swapped))
            _agree(f"guest {number}: pages resident and in swap", both, 0)
            whole_ = bool(list_is_whole(paging, present))
            _agree(f"guest {number}: LRU list holds the resident pages", whole_, True)
            resident, swapped = resident + counts[0], swapped + counts[1]
        _agree("host: free and resident pages", int(self.count[FREE]) + resident, self.total)
        slots = int(self.count[SWAP_FREE]) + swapped
        _agree("host: free and used swap slots", slots, self.swap_total)


def _agree(what: str, counted, found) -> None:
    if counted != found:
        raise InvariantError(f"{what}: {counted} counted, {found} found")
