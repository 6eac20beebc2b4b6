"""The balloon's course: towards a target, a batch of 256 pages at a time.

Each batch is one turn of the driver's work item: it allocates or frees, tells the host, and waits
until the host has used the buffer.  A page that is not there is reclaimed, once, by a guest that
can do so.  When none is left above the min watermark, and no policy that holds blocks gives any
back, the driver tells the host what it got and sleeps for 200 ms.

Source: update_balloon_size_func(), towards_target(), virtio_balloon_oom_notify() of
drivers/virtio/virtio_balloon.c, Linux 6.1.  In a 2 MiB host page's place QEMU's device takes away
4 KiB (balloon_inflate_page() of hw/virtio/virtio-balloon.c).
"""

from freehint.config import InputError
from freehint.engine.guest.balloon import (
    ARRAY_PFNS_MAX,
    KWORKER_CPU,
    keep_pages,
    leak_pages,
    take_pages,
)
from freehint.engine.world.balloon import IN_IT, TAKEN
from freehint.engine.world.clock import NEVER, TICK_NS, hold_lock, schedule
from freehint.mm.callback import NEEDS_CALLBACK
from freehint.mm.zone import LOCKED, NO_PAGE
from freehint.units import NS_PER_MS, NS_PER_S, PAGES_PER_MIB

OUT_OF_PUFF_NS = 200 * NS_PER_MS
# What the host takes for each page beside the guest's own time: together 1.05 and 0.43 s for 1 GiB
# (Wrenger et al., EuroSys '25: 20 GiB shrunk in 21.02 s and grown in 8.53 s).
INFLATE_PAGE_NS, DEFLATE_PAGE_NS = 3_900, 1_500
LOOK_NS = 100_000  # until it looks again whether kswapd still runs.  Assumed
RETRY_NS = 1_000  # until it looks again whether a stroke still holds the lock
OOM_NR_PAGES = 256  # VIRTIO_BALLOON_OOM_NR_PAGES


class Inflation:
    """The driver of an engine's balloon.  It takes no CPU's time from the guest.

    ``course`` has a row for each batch: time_s, target_pages, pages, out_of_puff.

    Parameters
    ----------
    engine : Engine
    deflate_on_oom : bool
        VIRTIO_BALLOON_F_DEFLATE_ON_OOM.
    """

    def __init__(self, engine, deflate_on_oom: bool):
        self.engine, self.deflate_on_oom = engine, deflate_on_oom
        self.target = 0
        self.queued = False  # True: the work item is queued
        self.waits_since = NEVER  # time_ns since which kswapd has the CPU
        self.until = 0  # time_ns until which kswapd waits for the driver
        self.course = []
        self.largest = len(engine.world.balloon.pages)
        self.take = take_pages
        if engine.under_pressure:
            # Only then imported: it needs all of reclaim.
            from freehint.engine.guest.pressure.outside import take_pages_reclaiming

            self.take = take_pages_reclaiming

    @property
    def pages(self) -> int:
        """Pages in the balloon."""
        return int(self.engine.world.balloon.at[IN_IT])

    @property
    def taken(self) -> int:
        """Pages of a batch that waits for a lock."""
        return int(self.engine.world.balloon.at[TAKEN])

    def aim(self, now_ns: int, target_MiB: int) -> None:
        """Set the target, as the host does by its config interrupt.

        Raises
        ------
        InputError
            The guest has less memory than that.
        """
        target = target_MiB * PAGES_PER_MIB
        if target > self.largest:
            most = self.largest // PAGES_PER_MIB
            raise InputError(
                f"control.at: balloon must be at most the guest's {most} MiB, got {target_MiB}"
            )
        self.target = target
        self._note(now_ns, False)
        if not self.queued:
            self._later(now_ns)

    def work(self, now_ns: int) -> None:
        """One turn of the work item."""
        self.queued = False
        wanted = self.target - self.pages
        if (wanted > 0 or self.taken) and self._kswapd_has_the_cpu(now_ns):
            self._later(now_ns + LOOK_NS)
        elif wanted > 0 or self.taken:
            self._fill(max(min(wanted, ARRAY_PFNS_MAX), self.taken), now_ns)
        elif wanted < 0:
            self._leak(-wanted, now_ns)

    def _kswapd_has_the_cpu(self, now_ns: int) -> bool:
        """Does kswapd run?  It begins when it is woken; the driver and it have turns of a tick."""
        world = self.engine.world
        if not self.engine.under_pressure or not world.reclaim.node[0].kswapd_awake:
            self.waits_since, self.until = NEVER, 0
            return False
        if now_ns < self.until:
            return False
        if self.waits_since == NEVER:
            self.waits_since = now_ns
            if world.key[KWORKER_CPU] == NEVER:
                schedule(world, KWORKER_CPU, now_ns)
        if now_ns < self.waits_since + TICK_NS:
            return True
        self.waits_since, self.until = NEVER, now_ns + TICK_NS
        return False

    def _fill(self, wanted: int, now_ns: int) -> None:
        world, pinned = self.engine.world, self.engine.pinned
        at = world.balloon.at
        got, blocks, last = self.take(pinned, wanted - self.taken)
        while last == NEEDS_CALLBACK or (last == NO_PAGE and self.engine.shrink()):
            if last == NEEDS_CALLBACK:
                self.engine.call_back(-1, now_ns)
            at[TAKEN] += got
            got, more, last = self.take(pinned, wanted - self.taken)
            blocks += more
        at[TAKEN] += got
        if last == LOCKED:
            self._later(now_ns + RETRY_NS)
            return
        got = self.taken
        keep_pages(pinned, got)
        out_of_puff = got < wanted
        done_ns = self._told_ns(now_ns, got, blocks, INFLATE_PAGE_NS) + out_of_puff * OUT_OF_PUFF_NS
        self._note(now_ns, out_of_puff)
        self._goes_on(done_ns)

    def _leak(self, wanted: int, now_ns: int) -> None:
        if self.engine.world.state[0].locked_zones:
            self._later(now_ns + RETRY_NS)
            return
        freed, blocks = leak_pages(self.engine.pinned, wanted)
        self._note(now_ns, False)
        self._goes_on(self._told_ns(now_ns, freed, blocks, DEFLATE_PAGE_NS))

    def oom_notify(self, now_ns: int) -> int:
        """Give back a batch before the OOM killer comes; return the number of pages."""
        if not self.deflate_on_oom:
            return 0
        freed, _ = leak_pages(self.engine.pinned, OOM_NR_PAGES)
        if freed:
            self._note(now_ns, False)
        return int(freed)

    def _told_ns(self, now_ns: int, pages: int, blocks: int, page_ns: int) -> int:
        """When the host has used the buffer; it takes ``page_ns`` for each page."""
        world = self.engine.world
        cost, state = world.cost[0], world.state[0]
        hold_ns = int(blocks * cost.buddy_ns)
        if hold_ns:
            hold_lock(world, len(world.lock_until) - 1, now_ns, hold_ns)
        spent = pages * (int(cost.pcp_ns) + page_ns) + hold_ns
        return now_ns + spent + (int(cost.notify_ns) + int(state.kick_ns) if pages else 0)

    def _goes_on(self, time_ns: int) -> None:
        if self.pages != self.target:
            self._later(time_ns)

    def _later(self, time_ns: int) -> None:
        self.queued = True
        self.engine.commands.later(time_ns, "inflate")

    def _note(self, now_ns: int, out_of_puff: bool) -> None:
        self.course.append((now_ns / NS_PER_S, self.target, self.pages, bool(out_of_puff)))
