"""An observer that reads every page frame after every event of a run."""

import numpy as np

from freehint.engine.watcher import Watcher
from freehint.engine.world.clock import ACTOR_BITS, NEVER
from freehint.mm.check import InvariantError, check_memory
from freehint.mm.list import list_empty
from freehint.mm.memory import (
    BUDDY,
    ISOLATED,
    NODES_PER_USER,
    NR_ORDERS,
    USER_BOOKMARK,
    USER_LIST,
    user_node,
)
from freehint.runs.begin import guest_memory
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import run_engine

# The observer.


class Observer(Watcher):
    """Watches an engine with at most one user, event by event.

    Arrays with an entry for each node: ``place`` is 1 + the order of the block that the node
    heads, or 0 if it heads none; ``listed`` tells whether that block is on a free list; ``hinted``
    whether the ring took it during this stay.  About the current walk: ``stayed`` tells whether
    the block has been in its place since the walk began; ``offered`` and ``taken`` whether it was
    offered to the ring, and taken, since it came to its place.
    """

    def __init__(self):
        self.rows = self.walks = self.judged = 0
        self.counted_duplicates = 0
        self.tally = dict.fromkeys(("walks", "stopped", "stayed", "unoffered", "untaken"), 0)
        self.tally["twice"] = 0
        self.faults = {}  # property -> the first sentence
        self.event_ns = NEVER  # time of the event to observe next
        self.before = True  # that event has not happened yet

    def begin(self, engine) -> None:
        """Read every page frame for the first time."""
        self.engine = engine
        nodes = self.world.memory.nr_pages
        self.frame = np.zeros(nodes, np.uint16)
        self.place = np.zeros(nodes, np.uint8)
        self.listed, self.hinted, self.stayed, self.offered, self.taken = np.zeros((5, nodes), bool)
        users = engine.strokes.users
        self.own = users[0] if users else None
        self._look()
        self.total = self._pages()

    @property
    def world(self):
        """The engine's world."""
        return self.engine.world

    def next_stop_ns(self) -> int:
        """Stop before the next event, and again after it."""
        if not self.before:
            return self.event_ns + 1
        self.event_ns = self._next_look()
        return self.event_ns

    def advanced(self, time_ns: int) -> None:
        """Read every page frame."""
        self._observe(time_ns if self.before else self.event_ns)
        self.before = not self.before or time_ns != self.event_ns

    def stroke_published(self, user, now_ns: int) -> None:
        """Look at once, because the stroke's end may wake a CPU.

        That CPU may take the last block reported in the same nanosecond.
        """
        self._look()
        self._follow_walk()

    def _next_look(self) -> int:
        """The time of the next event that may change a page frame; reports must be read before it.

        A stroke under the lock takes no block off its list, so only the guest's events need a
        look, unless a CPU sleeps that the stroke's end will wake.
        """
        guest = self.world.key[: self.engine.strokes.host]
        under_lock = self.own is None or self.own.policy.report == "under_lock"
        actors = guest if under_lock and guest.max() < NEVER else self.world.key
        return int(actors.min()) >> ACTOR_BITS

    def _observe(self, now: int) -> None:
        # Nobody counts a pressed guest's kernel pages apart from the guest itself.
        counted = not self.engine.under_pressure
        if self._look() and counted and (pages := self._pages()) != self.total:
            self._fault("whole", f"{self.total - pages} pages missing at {now} ns")
        if self.own is None:
            return
        self._follow_walk()
        if self.walks > self.judged and self.own.walks[-1][1] >= 0:
            self._walk_ends(now)

    def _look(self) -> bool:
        """Read every page frame, and clear the marks of blocks that left their place.

        Returns
        -------
        bool
            Whether any page frame has changed.
        """
        if (self.world.memory.frame == self.frame).all():
            return False
        frame = self.frame = self.world.memory.frame.copy()
        place = np.where(frame & (BUDDY | ISOLATED), (frame & 0xF) + 1, 0).astype(np.uint8)
        same = place == self.place
        self.listed = frame & BUDDY != 0
        for marks in (self.stayed, self.offered, self.taken):
            marks &= same
        self.hinted &= same & self.listed
        self.place = place
        return True

    def _pages(self) -> int:
        """The number of pages that are free, on pcp lists or allocated."""
        blocks = np.bincount(self.place, minlength=NR_ORDERS + 1)[1:]
        on_lists = int(blocks @ (1 << np.arange(NR_ORDERS)))
        world = self.world
        return on_lists + int(world.memory.pcp["count"].sum() + world.cpu["live_pages"].sum())

    def _follow_walk(self) -> None:
        if len(self.own.walks) > self.walks:
            self._walk_begins()
        self._read_reports()

    def _walk_begins(self) -> None:
        self.walks = len(self.own.walks)
        self.stayed = self.place > self.own.policy.smallest_order
        self.offered[:] = False
        self.taken[:] = False

    def _read_reports(self) -> None:
        end = int(self.world.state[0].nr_reports)
        for row in self.world.reports[self.rows : end]:
            _, _, _, _, order, _, pfn, pages, taken, _ = map(int, row)
            node = pfn - self.world.memory.base_pfn
            if self.place[node] == order + 1:
                self._reported(node, pages, bool(taken))
        self.rows = end

    def _reported(self, node: int, pages: int, taken: bool) -> None:
        self.offered[node] = True
        if not taken:
            return
        if self.taken[node]:
            self.tally["twice"] += 1
            self._fault("once", f"{self._name(node)} was taken twice in walk {self.walks}")
        self.taken[node] = True
        if self.listed[node]:
            self.counted_duplicates += pages * bool(self.hinted[node])
            self.hinted[node] = True

    def _walk_ends(self, now: int) -> None:
        self.judged = self.walks
        self._judge_clean(f"at {now} ns")
        completed = self.own.walks[-1][2]
        self.tally["walks" if completed else "stopped"] += 1
        if not completed:
            return
        self.tally["stayed"] += int(self.stayed.sum())
        for kind, marks in (("offered", self.offered), ("taken", self.taken)):
            missed = np.flatnonzero(self.stayed & ~marks)
            self.tally[f"un{kind}"] += len(missed)
            if len(missed):
                self._fault(kind, f"{self._name(missed[0])} was not {kind} in walk {self.walks}")

    def _judge_clean(self, when: str) -> None:
        memory, user = self.world.memory, self.own.number
        for which in range(USER_BOOKMARK, NODES_PER_USER):
            if not list_empty(memory.links, user_node(memory, user, which)):
                self._fault("clean", f"user node {which} is left on a list {when}")

    def done(self, now_ns: int) -> None:
        """Check that no block is still held for the host."""
        self._look()
        # A policy without ``release`` holds blocks only during a report.
        if self.own is not None and self.own.policy.release:
            self._judge_held(f"after DONE at {now_ns} ns")

    def _judge_held(self, when: str) -> None:
        memory = self.world.memory
        if not list_empty(memory.links, user_node(memory, self.own.number, USER_LIST)):
            self._fault("clean", f"blocks are held {when}")

    def broken(self, sentence: str) -> None:
        """Note that the engine found the memory broken."""
        self._fault("whole", sentence)

    def judge_duplicates(self) -> None:
        """Check that the run's duplicate_pages equals the number counted here."""
        duplicates = int(self.world.user["duplicate"].sum())
        if duplicates != self.counted_duplicates:
            counts = f"duplicate_pages is {duplicates}, but {self.counted_duplicates} were counted"
            self._fault("duplicates", counts)

    def _name(self, node) -> str:
        return f"block {node + self.world.memory.base_pfn} of order {int(self.place[node]) - 1}"

    def _fault(self, property_: str, sentence: str) -> None:
        self.faults.setdefault(property_, sentence)


def observe(scenario: Scenario) -> Observer:
    """Run one history and return its observer.  A broken list ends the history."""
    observer = Observer()
    memory, _ = guest_memory(scenario)
    try:
        engine = run_engine(scenario, memory, check=True, watchers=[observer])
        if engine.under_pressure:
            check_memory(memory, engine.world.reclaim)
    except InvariantError as error:
        observer.broken(str(error))
    observer.judge_duplicates()
    return observer
