"""Record an engine while it runs, at evenly spaced moments and around every stroke."""

import numpy as np

from freehint.engine.watcher import Watcher
from freehint.engine.world.clock import NEVER
from freehint.engine.world.ring import ADDED, USED
from freehint.mm.memory import (
    NO_PAGEBLOCK,
    NR_USERS,
    PAGEBLOCK_ORDER,
    PAGEBLOCK_TYPE_MASK,
)
from freehint.runs.trajectory.look import CHANNELS, NR_CHANNELS, NR_LENGTHS, look

MOMENT, CHOSEN, SETTLED, CALLED_BACK = range(4)  # why a moment was kept
SMALL_GUEST = 1 << 14  # pages; up to here a cell is a page, and strokes give moments of their own
MOST_CELLS = 1 << 13
MOST_EXTRA = 2000
FROM_HEAD, FROM_TAIL = 64, 16  # blocks shown of each list

# Holder of a zone lock: nobody, a short hold of a CPU or a kernel thread, 2 + a policy's user.
NOBODY, SHORT_HOLD, FIRST_USER = range(3)
USER_COUNTS = ("offered", "hinted", "lost", "duplicate", "stroke", "mode", "row", "rows")
TALLY = ("stale", "reused", "allocations", "frees", "failed_allocations")
MIGRATION = ("phase", "sent_bytes", "pages_left", "normal", "zero", "hinted")


def cell_shift(nr_pages: int) -> int:
    """Log2 of the pages per cell: 0 for a small guest, else at least a pageblock's order."""
    if nr_pages <= SMALL_GUEST:
        return 0
    shift = PAGEBLOCK_ORDER
    while nr_pages >> shift > MOST_CELLS:
        shift += 1
    return shift


class Recorder(Watcher):
    """Records an engine moment by moment; :meth:`arrays` returns everything recorded.

    Parameters
    ----------
    moments : int
        Number of evenly spaced moments; a small guest is recorded around every stroke too.
    until_ns : int
        The run's end.
    only : sequence of int, optional
        Numbers of the moments to look at, in order and with moment 0; the others repeat the last
        one before them.  Only for a guest that is too large to be recorded around every stroke.
    """

    def __init__(self, moments: int, until_ns: int, only=None):
        self.times_ns = [round(until_ns * i / (moments - 1)) for i in range(moments)]
        self.only = list(range(moments) if only is None else only)
        self.due_ns = [self.times_ns[i] for i in self.only]
        self.extra = self.left_out = 0
        self.moments = []  # one dict of small arrays per moment
        self.levels, self.types = [], []
        self.versions = []  # (moment, list, blocks, entries from the head)
        self.windows = []

    def begin(self, engine) -> None:
        """Allocate the arrays that a moment is written to."""
        self.engine = engine
        memory = engine.world.memory
        self.shift = cell_shift(memory.nr_pages)
        self.counts = np.zeros((NR_CHANNELS, memory.nr_pages >> self.shift), np.int32)
        free_lists = memory.nr_free.size
        self.entries = np.zeros((free_lists + NR_USERS, FROM_HEAD + FROM_TAIL), np.uint32)
        self.lengths = np.zeros((free_lists + NR_USERS, NR_LENGTHS), np.int32)
        self.blocks = np.zeros(free_lists + NR_USERS, np.int64)

    def next_stop_ns(self) -> int:
        """The time of the next moment."""
        return self.due_ns[0] if self.due_ns else NEVER

    def advanced(self, time_ns: int) -> None:
        """Keep a moment if one is due."""
        if self.next_stop_ns() == time_ns:
            self.due_ns.pop(0)
            self.look(time_ns, MOMENT)

    def stroke_chosen(self, user, now_ns: int) -> None:
        """Keep a moment after a stroke has chosen its blocks."""
        self._look_between(now_ns, CHOSEN)

    def stroke_settled(self, user, now_ns: int) -> None:
        """Keep a moment after a stroke has settled its blocks."""
        self._look_between(now_ns, SETTLED)

    def called_back(self, now_ns: int) -> None:
        """Keep a moment after a callback."""
        self._look_between(now_ns, CALLED_BACK)

    def _look_between(self, now_ns: int, why: int) -> None:
        if self.shift > 0:
            return
        if self.extra == MOST_EXTRA:
            self.left_out += 1
            return
        self.extra += 1
        self.look(now_ns, why)

    def look(self, time_ns: int, why: int) -> None:
        """Keep the engine's present state as one moment."""
        world = self.engine.world
        memory = world.memory
        frames, fates = memory.frame.view(np.uint64), world.fate.view(np.uint64)
        entries, lengths = np.empty_like(self.entries), np.empty_like(self.lengths)
        held = np.zeros(NR_USERS, np.int64)
        bookmarks = np.zeros((len(self.engine.strokes.users), 2), np.int32)
        windows = (FROM_HEAD, FROM_TAIL, self.counts, entries, lengths, held, bookmarks)
        look(self.engine.pinned, frames, fates, self.shift, *windows)
        self._keep_cells(memory)
        self._keep_lists(entries, lengths, np.concatenate([memory.nr_free.ravel(), held]))
        user = world.user
        record = world.migration[0]
        self.moments.append(
            {
                "time_ns": np.float64(time_ns),
                "why": np.uint8(why),
                "holder": self._holders(world, time_ns),
                "waiting": np.uint32(self._waiting_cpus(world)),
                "in_flight": (world.ring.count[:, ADDED] - world.ring.count[:, USED]).astype(
                    np.uint32
                ),
                "walking": np.array([u.walking for u in self.engine.strokes.users], np.uint8),
                "user": np.array([user[name] for name in USER_COUNTS], np.uint32).T,
                "bookmark": bookmarks,
                "tally": np.array([world.tally[0][name] for name in TALLY], np.uint32),
                "migration": np.array([record[name] for name in MIGRATION], np.float64),
                "pcp_pages": np.uint32(world.memory.pcp["count"].sum()),
                "free_pages": np.uint32(self.counts[0].sum()),
            }
        )

    def _keep_cells(self, memory) -> None:
        pages = 1 << self.shift
        # Shares are rounded up, so that one page of many can be seen.
        self.levels.append(((self.counts * 255 + pages - 1) >> self.shift).astype(np.uint8))
        kind = memory.pageblock.copy()
        kind[kind != NO_PAGEBLOCK] &= PAGEBLOCK_TYPE_MASK
        self.types.append(kind)

    def _keep_lists(self, entries, lengths, blocks) -> None:
        changed = (entries != self.entries).any(axis=1) | (lengths != self.lengths).any(axis=1)
        changed |= blocks != self.blocks
        for i in np.flatnonzero(changed):
            from_head, from_tail = lengths[i]
            self.versions.append((len(self.moments), i, blocks[i], from_head))
            self.windows.append(entries[i, : from_head + from_tail])
        self.entries, self.lengths, self.blocks = entries, lengths, blocks

    def _holders(self, world, time_ns: int) -> np.ndarray:
        holders = np.where(world.lock_until > time_ns, SHORT_HOLD, NOBODY).astype(np.uint8)
        for user in self.engine.strokes.users:
            record = world.user[user.number]
            if record.filled and record.under_lock and world.state[0].locked_zones >> user.zone & 1:
                holders[user.zone] = FIRST_USER + user.number
        for number, _, zone, since, held, _ in self.engine.strokes.last_locks(4).tolist():
            if since <= time_ns < since + held:
                holders[zone] = FIRST_USER + number
        return holders

    def _waiting_cpus(self, world) -> int:
        waiting = (world.cpu["wait_since"] >= 0) & (world.key[: len(world.cpu)] == NEVER)
        return sum(1 << int(cpu) for cpu in np.flatnonzero(waiting))

    def arrays(self) -> dict:
        """Everything recorded, as arrays with one row per moment, version of a list, or entry."""
        levels = np.stack(self.levels, axis=1)  # channel, moment, cell
        found = {f"cells.{name}": levels[c] for c, name in enumerate(CHANNELS)}
        found["types"] = np.stack(self.types)
        for name in self.moments[0]:
            found[name] = np.stack([moment[name] for moment in self.moments])
        versions = np.array(self.versions, np.int64).reshape(-1, 4).astype(np.int32)
        for column, name in enumerate(("moment", "list", "blocks", "from_head")):
            found[f"versions.{name}"] = versions[:, column].copy()
        sizes = [len(window) for window in self.windows]
        found["versions.end"] = np.cumsum(sizes).astype(np.int32)
        found["entries"] = np.concatenate([np.zeros(0, np.uint32), *self.windows])
        return found if len(self.only) == len(self.times_ns) else self._repeated(found)

    def _repeated(self, found: dict) -> dict:
        """The arrays with a row for each moment that was not looked at."""
        number = np.array(self.only, np.int32)
        rows = np.repeat(np.arange(len(number)), np.diff(number, append=len(self.times_ns)))
        each = [name for name in found if name.startswith("cells.")] + ["types", *self.moments[0]]
        found |= {name: found[name][rows] for name in each}
        found["time_ns"] = np.array(self.times_ns, np.float64)
        found["versions.moment"] = number[found["versions.moment"]]
        return found
