"""A host that parks its guest: it pauses it, writes a snapshot, and restores it later.

Hints that are still on the ring when the guest is paused matter.  Pausing the vCPUs does not stop
the balloon device: "run" lets it go on while the snapshot is written, as Firecracker does (e2b-dev
infra #3001), "wait" lets it sleep until the guest runs again, as QEMU's iothread does, and "drop"
restores the device with STOP as its command id, so that it ignores what it finds on the ring
(firecracker PR #5491).

The snapshot is written in chunks, in the order of their addresses.  A chunk whose pages are all
absent, or all zero, need not be stored.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from freehint.engine.host.device import next_user, use_buffer, wake_worker
from freehint.engine.host.migration import lost_writes
from freehint.engine.host.paused import Paused
from freehint.engine.host.snapshot import (
    NOTHING_ELIDED,
    UNBACKED,
    ZERO,
    chunks_with,
    count_causes,
    restore_content,
    write_chunks,
)
from freehint.engine.world.backing import CHUNK_SHIFT, COUNTS, LOAD_NS, SPECIAL
from freehint.engine.world.records import HINT_STOP
from freehint.engine.world.ring import ring_in_flight
from freehint.inputs.rules import Checked, OneOf, PowerOfTwo, Time, Whole
from freehint.jit import kernel
from freehint.mm.bitmap import count_bits
from freehint.units import NS_PER_MS, NS_PER_S, PAGE_SIZE

LATE_HINTS = ("run", "wait", "drop")
ELIDE = {"zero": ZERO, "unbacked": UNBACKED, "nothing": NOTHING_ELIDED}
RESTORE = ("eager", "lazy", "prefetch")
STEP_BUFFERS = 16  # that the host uses between two looks at the snapshot's progress
Rate = Annotated[int, Whole(1 << 20, 1 << 40)]


@dataclass(frozen=True)
class ParkConfig(Checked):
    """How a guest is parked and restored.

    Attributes
    ----------
    at_ns : int
        Time of the order to park.
    every_ns : int
        Time from one order to the next; 0 parks once.
    drain_ns : int
        The host says STOP and waits at most so long, before the pause, until the ring is empty.
    late_hints : str
        What becomes of hints that are on the ring at the pause: "run", "wait" or "drop".
    chunk_KiB : int
        The snapshot is stored in chunks of this size; a power of two, at least 4.
    elide : str
        Chunks that are not stored: those whose pages are all "zero" or absent, those whose pages
        are all absent ("unbacked"), or "nothing".
    write_Bps, read_Bps : int
        The store's rates in bytes/s.  Assumed: an NVMe drive.
    parked_ns : int
        Time from the end of writing to the order to restore.
    restore : str
        "eager" loads all before the guest runs, "lazy" each chunk when it is touched first, and
        "prefetch" before that the chunks that the guest touched in the ``record_ns`` after it was
        restored last (lazily the first time).
    record_ns : int
    load_ns : int
        Latency of a load of one chunk, beside its bytes.  Assumed: a user fault and an NVMe read.
    """

    at_ns: Time = 100 * NS_PER_MS
    every_ns: Time = 0
    drain_ns: Time = 0
    late_hints: Annotated[str, OneOf(LATE_HINTS)] = "wait"
    chunk_KiB: Annotated[int, PowerOfTwo(4, 1 << 20)] = 4
    elide: Annotated[str, OneOf(tuple(ELIDE))] = "zero"
    write_Bps: Rate = 2 * 10**9
    read_Bps: Rate = 2 * 10**9
    parked_ns: Time = 0
    restore: Annotated[str, OneOf(RESTORE)] = "lazy"
    record_ns: Time = 50 * NS_PER_MS
    load_ns: Time = 100_000

    where = "park."

    def commands(self, until_ns: int) -> list:
        """The (time_ns, command) pairs of a run that ends at ``until_ns``."""
        times = range(self.at_ns, until_ns, self.every_ns or until_ns)
        return [(time_ns, "park") for time_ns in times]


PARK_COLUMNS = (
    *("order_ns", "pause_ns", "written_ns", "resume_ns", "left_hints", "late_hints"),
    *("chunks", "stored_chunks", "stored_bytes", "resident_bytes", "prefetched_bytes"),
    "lost_pages",
)
# What is counted from one park's resume to the next order or the run's end.
AFTER_COLUMNS = ("faults", "fault_ns", "discard_lost_pages", *COUNTS)


@kernel
def use_buffers(world, most):
    """Use up to ``most`` buffers, of all rings in turn; return the number of buffers used."""
    for used in range(most):
        user = next_user(world)
        if user < 0 or world.state[0].nr_used == world.used.shape[0]:
            return used
        world.state[0].turn = user
        use_buffer(world, user)
    return most


@kernel
def wake_workers(world, now_ns):
    """Wake the workers that waited for what was used while the guest stood still."""
    for user in range(world.user.shape[0]):
        wake_worker(world, user, world.cpu.shape[0] + 2 + user, now_ns)


class Park:
    """Parks the engine's guest when the command "park" comes.

    ``rows`` has one row for each park, with PARK_COLUMNS and then AFTER_COLUMNS; ``causes`` one
    for each park and cause: park, cause, resident pages, stored pages.
    """

    def __init__(self, engine, config: ParkConfig):
        self.engine, self.config = engine, config
        self.paused, self.rows, self.causes = Paused(), [], []
        self.row = None  # of the park that is under way
        self.deferred = []
        nr_pages = engine.world.memory.nr_pages
        self.shift = (config.chunk_KiB * 1024 // PAGE_SIZE).bit_length() - 1
        self.stored = np.zeros(-(-nr_pages >> self.shift), np.bool_)
        self.before = np.zeros(nr_pages, np.uint32)
        self.wanted = np.zeros(nr_pages // 64, np.uint64)  # the working set
        self.recorded = False
        self.at = 0  # next chunk
        engine.commands.does |= {
            name: getattr(self, f"_{name}")
            for name in ("park", "drain", "write", "restore", "go_on", "record")
        }

    def _later(self, time_ns: int, command: str) -> None:
        self.engine.commands.later(time_ns, command)

    def _left(self) -> int:
        ring, users = self.engine.world.ring, self.engine.strokes.users
        return sum(int(ring_in_flight(ring, user.number)) for user in users)

    def _park(self, now_ns: int) -> None:
        """Begin to park, unless an earlier park is not over."""
        if self.row is not None:
            return
        self.count_after()
        self.row = dict.fromkeys(PARK_COLUMNS, -1) | {"order_ns": now_ns}
        if self.config.drain_ns:
            self.engine.commands.stop(now_ns)
        self._drain(now_ns)

    def _drain(self, now_ns: int) -> None:
        left, until_ns = self._left(), self.row["order_ns"] + self.config.drain_ns
        if left and now_ns < until_ns:
            step_ns = left * self.engine.host_config.service_ns
            self._later(min(now_ns + step_ns, until_ns), "drain")
        else:
            self._pause(now_ns)

    def _pause(self, now_ns: int) -> None:
        """Let the guest stand still; its host's thread goes on only if ``late_hints`` says so."""
        engine, world = self.engine, self.engine.world
        self.paused.pause(world, range(len(world.key)), now_ns)
        self.host_ns = max(self.paused.due_ns(len(world.cpu) + 1), now_ns)
        waiting = engine.commands.waiting
        if any(command == "record" for _, command in waiting):
            self._record(now_ns)
            engine.commands.forget("record")
        self.deferred = waiting.copy()
        waiting.clear()
        self.row |= {"pause_ns": now_ns, "left_hints": self._left()}
        self.row["resident_bytes"] = int(count_bits(world.present)) * PAGE_SIZE
        self.before[:] = world.version
        self.at, self.stored[:] = 0, False
        world.copy[:] = 0
        self._write(now_ns)

    def _write(self, now_ns: int) -> None:
        """Write chunks: as many as fit before the next look, or all if the host is idle."""
        engine, config = self.engine, self.config
        service_ns, step_ns = engine.host_config.service_ns, -1
        if config.late_hints == "run" and self._left():
            step_ns = STEP_BUFFERS * service_ns
            due = max(0, (now_ns + step_ns - self.host_ns) // service_ns)
            self._use(min(due, STEP_BUFFERS))
        self.at, took_ns = write_chunks(
            engine.pinned, self.stored, self.shift, self.at, ELIDE[config.elide], step_ns,
            config.write_Bps,
        )  # fmt: skip
        done = self.at == len(self.stored)
        self._later(now_ns + max(int(took_ns), step_ns), "restore" if done else "write")

    def _use(self, most: int) -> int:
        """Let the host use buffers while the guest stands still; return their number."""
        self.engine.make_room()
        return int(use_buffers(self.engine.pinned, most))

    def _restore(self, now_ns: int) -> None:
        """The snapshot is written: describe it, and restore the guest from it."""
        world, config, row = self.engine.world, self.config, self.row
        size = PAGE_SIZE << self.shift
        row |= {
            "written_ns": now_ns,
            "late_hints": row["left_hints"] - self._left(),
            "chunks": len(self.stored),
            "stored_chunks": int(self.stored.sum()),
            "stored_bytes": int(self.stored.sum()) * size,
        }
        orders = [user.policy.smallest_order for user in self.engine.strokes.users]
        counted = count_causes(self.engine.pinned, self.stored, self.shift, min(orders, default=0))
        self.causes += [
            (len(self.rows), cause, int(resident), int(stored))
            for cause, (resident, stored) in enumerate(counted)
        ]
        restore_content(self.engine.pinned, self.stored, self.shift)
        world.copy[:] = self.before
        row["lost_pages"] = int(lost_writes(self.engine.pinned))
        loaded = self._load_at_once()
        row["prefetched_bytes"] = loaded * PAGE_SIZE
        ready_ns = now_ns + config.parked_ns + loaded * PAGE_SIZE * NS_PER_S // config.read_Bps
        self._later(ready_ns, "go_on")

    def _load_at_once(self) -> int:
        """Load what is to be there before the guest runs; return the number of pages."""
        world, config = self.engine.world, self.config
        backing = world.backing
        chunk_ns = (PAGE_SIZE << self.shift) * NS_PER_S // config.read_Bps
        backing.rule[[SPECIAL, CHUNK_SHIFT, LOAD_NS]] = 1, self.shift, config.load_ns + chunk_ns
        if config.restore == "eager":
            world.present[:] = backing.stored
        elif config.restore == "prefetch" and self.recorded:
            world.present[:] = backing.stored & chunks_with(self.wanted, self.shift)
        backing.stored[:] &= ~world.present
        return int(count_bits(world.present))

    def _go_on(self, now_ns: int) -> None:
        """Let the guest run again."""
        engine, world = self.engine, self.engine.world
        self.paused.go_on(world, now_ns)
        if self.config.late_hints == "drop":
            self._drop_hints()
        wake_workers(engine.pinned, now_ns)
        self.row["resume_ns"] = now_ns
        world.backing.touched[:] = 0
        self._since = self._counts()
        for time_ns, command in self.deferred:
            self._later(max(time_ns, now_ns), command)
        self._later(now_ns + self.config.record_ns, "record")
        engine.note_work(now_ns)
        self.rows.append(self.row)
        self.row = None

    def _drop_hints(self) -> None:
        """Let the restored device take the buffers that it finds, and ignore them."""
        world = self.engine.world
        discards, world.host[0].discards = int(world.host[0].discards), 0
        world.user["hinting"] = HINT_STOP
        while self._left():
            self._use(STEP_BUFFERS)
        self.engine.world.host[0].discards = discards

    def _record(self, now_ns: int) -> None:
        """Keep the guest's working set for the next restore."""
        self.wanted[:] = self.engine.world.backing.touched
        self.recorded = True

    def _counts(self) -> list:
        host = self.engine.world.host[0]
        return [
            int(host.faults),
            int(host.fault_sum_ns),
            int(self.engine.world.tally[0].lost_to_discard),
            *map(int, self.engine.world.backing.count),
        ]

    def count_after(self) -> None:
        """Complete the last park's row, at the next order to park or at the run's end."""
        if self.rows and AFTER_COLUMNS[0] not in self.rows[-1]:
            gained = np.subtract(self._counts(), self._since).tolist()
            self.rows[-1] |= dict(zip(AFTER_COLUMNS, gained, strict=True))
