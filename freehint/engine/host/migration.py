"""A migration beside the engine: rounds, syncs and switch-over.

The sending is compiled; this module does what happens only a few times in a migration.  Around
each sync the balloon device acts as QEMU's does: it sends STOP before the sync, so that no hint is
under way; a new command id after it, so that hinting begins anew in every round; and DONE at every
end, also of a failed migration, so that the guest gets its memory back.

Source: migration/migration.c, migration/ram.c, virtio_balloon_free_page_hint_notify() of QEMU 10.0.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from freehint.engine.host.paused import Paused
from freehint.engine.host.precopy import (
    COMPLETION,
    NORMAL_PAGE_BYTES,
    OFF,
    PRECOPY,
    WINDOW_NS,
    begin_window,
    few_left,
)
from freehint.engine.world.clock import schedule, suspend
from freehint.engine.world.dirty import (
    CHUNK_SHIFT,
    GENERATION,
    LOGGING,
    sync_bitmap,
)
from freehint.engine.world.records import HINT_REQUESTED, HINT_STOP
from freehint.inputs.rules import Checked, OneOf, Switch, Time, TimeOrNever, Whole
from freehint.jit import kernel
from freehint.mm.memory import BUDDY, ISOLATED, NO_PAGEBLOCK, PCP, frame_order
from freehint.units import NS_PER_MS, NS_PER_S

GENERATIONS = ("G1", "G2", "G3")
PageTime = Annotated[int, Whole(0, NS_PER_S)]


@dataclass(frozen=True)
class MigrationConfig(Checked):
    """A live migration of the guest.

    Attributes
    ----------
    start_at_ns : int
        Time at which it begins.
    bandwidth_Bps : int
        QEMU's max-bandwidth in bytes/s; its default is 128 MiB/s.
    downtime_limit_ms : int
        QEMU's downtime-limit; its default is 300 ms.
    generation : "G1", "G2", "G3"
        How the dirty log is cleared; see :mod:`freehint.engine.world.dirty`.
    chunk_shift : int
        In G2 and G3 the log is cleared ``2^chunk_shift`` pages at a time (x-clear-bitmap-shift).
    initially_set : bool
        Whether the log begins with every page dirty (KVM_DIRTY_LOG_INITIALLY_SET).
    zero_page_ns, normal_page_ns : int
        The sender's CPU time for a page: to scan 4096 B; to scan them and write them to a socket.
        Assumed.
    hint_latency_ns : int
        Time from the sync to the guest's first hint: an interrupt and a work item.  Assumed.
    cancel_at_ns : int
        Time at which it is cancelled; -1 for never.
    """

    start_at_ns: Time = 20 * NS_PER_MS
    bandwidth_Bps: Annotated[int, Whole(10 * NORMAL_PAGE_BYTES, 1 << 50)] = 128 << 20
    downtime_limit_ms: Annotated[int, Whole(0, 1 << 30)] = 300
    generation: Annotated[str, OneOf(GENERATIONS)] = "G3"
    chunk_shift: Annotated[int, Whole(6, 31)] = CHUNK_SHIFT
    initially_set: Switch = False
    zero_page_ns: PageTime = 500
    normal_page_ns: PageTime = 3_000
    hint_latency_ns: Time = 1_000_000
    cancel_at_ns: TimeOrNever = -1

    where = "migration."


ROUND_COLUMNS = (
    "time_ns",
    "sent_bytes",
    "normal_pages",
    "zero_pages",
    "hinted_pages",
    "dirty_pages",
    "left_pages",
)


@kernel
def lost_writes(world):
    """Number of pages in use with other content at the destination.  Free pages may differ."""
    memory, page, lost = world.memory, 0, 0
    while page < memory.nr_pages:
        frame = memory.frame[page]
        if frame & (BUDDY | PCP | ISOLATED):
            page += 1 << frame_order(frame)
            continue
        if world.copy[page] != world.version[page]:
            lost += 1
        page += 1
    return lost


class Migration:
    """One migration of the engine's guest.

    ``rounds`` has one row for each sync, with ROUND_COLUMNS; counts are since the beginning.
    """

    def __init__(self, engine, config: MigrationConfig):
        self.engine, self.config = engine, config
        self.rounds = []
        self.status = "none"
        self.begin_ns = self.stopped_ns = self.end_ns = -1
        self.lost_writes = -1  # not compared yet
        self.paused = Paused()
        self.actor = len(engine.world.key) - 1
        record = engine.world.migration[0]
        record.quota_bytes = config.bandwidth_Bps * WINDOW_NS // 1_000_000_000
        record.downtime_limit_ns = config.downtime_limit_ms * NS_PER_MS
        record.zero_page_ns = config.zero_page_ns
        record.normal_page_ns = config.normal_page_ns
        engine.world.host[0].fault_ns = engine.world.cost[0].fault_ns

    def begin(self, now_ns: int) -> None:
        """Set up the migration and do the first sync: every page is to be sent."""
        world, record = self.engine.world, self.engine.world.migration[0]
        dirty = world.dirty
        dirty.rule[GENERATION] = GENERATIONS.index(self.config.generation)
        dirty.rule[LOGGING] = 1
        dirty.log[:] = ~np.uint64(0) if self.config.initially_set else 0
        dirty.bitmap[:] = ~np.uint64(0)
        holes = np.flatnonzero(world.memory.pageblock == NO_PAGEBLOCK)  # no memory of the host
        for bits in (dirty.log, dirty.bitmap):
            bits.reshape(len(world.memory.pageblock), -1)[holes] = 0
        self.status, self.begin_ns = "active", now_ns
        self.engine.note_work(now_ns)
        record.phase = PRECOPY
        record.at = record.sent_bytes = record.normal = record.zero = record.hinted = 0
        begin_window(record, now_ns)
        self._sync(now_ns)
        self._start_hints(now_ns)
        schedule(world, self.actor, now_ns)

    def _sync(self, now_ns: int) -> None:
        world, record = self.engine.world, self.engine.world.migration[0]
        new, record.pages_left = map(int, sync_bitmap(world.dirty))
        counts = (record.sent_bytes, record.normal, record.zero, record.hinted)
        self.rounds.append((now_ns, *map(int, counts), new, int(record.pages_left)))
        self.engine.tell("round_synced", now_ns)

    def _start_hints(self, now_ns: int) -> None:
        """Send a new command id, whose hints the device takes; the guest begins after a latency."""
        for user in self.engine.strokes.users:
            if not user.by_itself:
                self.engine.world.user[user.number].hinting = HINT_REQUESTED
        self.engine.commands.new_id(now_ns)
        self.engine.commands.later(now_ns + self.config.hint_latency_ns, "start")

    def _stop_hints(self, now_ns: int) -> None:
        """Send STOP: buffers that are still on the ring are popped and ignored."""
        self.engine.world.user["hinting"] = HINT_STOP
        self.engine.commands.forget("start")
        self.engine.commands.stop(now_ns)

    def turn(self, now_ns: int) -> None:
        """Sync when few pages are left, and stop the guest if they are still few after it."""
        world, record = self.engine.world, self.engine.world.migration[0]
        if record.phase == COMPLETION:
            self._complete(now_ns)
            return
        self._stop_hints(now_ns)
        self._sync(now_ns)
        if record.pages_left == 0 or few_left(record):
            self._stop_guest(now_ns)
            self._sync(now_ns)
            record.phase = COMPLETION
        else:
            self._start_hints(now_ns)
        schedule(world, self.actor, now_ns)

    def _stop_guest(self, now_ns: int) -> None:
        """Let all actors sleep (vm_stop()), also the device's thread, which waits for the guest."""
        self.stopped_ns = now_ns
        world = self.engine.world
        self.paused.pause(world, range(len(world.key) - 1), now_ns)

    def _complete(self, now_ns: int) -> None:
        """When all is sent, compare contents, and let the guest go on at the destination."""
        world = self.engine.world
        self.lost_writes = int(lost_writes(self.engine.pinned))
        self.status = "completed"
        world.host[0].faulting = 1
        self._end(now_ns)

    def cancel(self, now_ns: int) -> None:
        """Cancel the migration (migrate_cancel, or a failure): the guest goes on where it is."""
        if self.status == "active":
            self.status = "cancelled"
            self._stop_hints(now_ns)
            self._end(now_ns)

    def _end(self, now_ns: int) -> None:
        """Send DONE, wake the actors, and stop logging writes."""
        world = self.engine.world
        self.end_ns = now_ns
        world.migration[0].phase = OFF
        world.dirty.rule[LOGGING] = 0
        suspend(world, self.actor)
        self.paused.go_on(world, now_ns)
        self.engine.note_work(now_ns)
        self.engine.commands.done(now_ns)
