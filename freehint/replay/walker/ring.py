"""The ring between a recorded kernel's walker and its host, and the stays that it numbers."""

from collections import deque
from typing import NamedTuple

import numpy as np

from freehint.mm.memory import BUDDY, HINTED, ISOLATED, Memory, frame_order
from freehint.policies.drive import note_hints
from freehint.policies.policy import Outcome

STALE, STILL_FREE, STILL_HELD, FREE_BY_ORDER = range(4)


class Row(NamedTuple):
    """A row of the walker: event, pfn, order, migratetype, a, b, c."""

    event: str
    pfn: int = -1
    order: int = -1
    migratetype: int = -1
    a: int = 0
    b: int = 0
    c: int = 0


class Slot(NamedTuple):
    """A report in the ring, and the number of its block's stay."""

    node: int
    order: int
    migratetype: int
    zone: int
    stay: int


class Ring:
    """A ring of the recorded size, the host that takes from it, and the blocks' stays.

    A stay that is reported gets a number, and keeps it until the block leaves the lists; the mark
    HINTED in the model's memory tells whether it has.

    Attributes
    ----------
    used : list of int64[3]
        Rows of a report, for the policy: blocks that the host has used while their stay lasts, or
        while the policy holds them.
    """

    def __init__(self, memory: Memory, knobs: dict[str, int]):
        self.memory, self.knobs = memory, knobs
        self.slots: deque[Slot] = deque()
        self.stay = np.zeros(memory.nr_pages, np.int64)
        self.next_stay = 1
        self.used: list = []

    def offer(self, rows: list, zone: int, migratetype: int, polled: bool, takes: list):
        """Offer the blocks of a stroke.

        Parameters
        ----------
        rows : list of (int, int)
        zone, migratetype : int
        polled : bool
            Whether the host is polled when the ring is full, because the lock is held.
        takes : list of int
            How many reports the host takes meanwhile, before each report.

        Returns
        -------
        (list of Outcome, list of Row)
            The outcomes, and the recorder's rows of them and of the host, in order.
        """
        outcomes, written = [], []
        for (node, order), taken_before in zip(rows, takes, strict=True):
            twice = bool(self.memory.frame[node] & HINTED) and bool(self.knobs["mark"])
            if self.knobs["mark"] and not twice:
                self.begin_stay(node)
            if polled and self.full():
                written += self.take(self.knobs["host_batch"])
            taken, stay = not self.full(taken_before), int(self.stay[node])
            pfn = node + self.memory.base_pfn
            written.append(Row("w_report", pfn, order, migratetype, int(taken), stay, int(twice)))
            if taken:
                self.slots.append(Slot(node, order, migratetype, zone, stay))
                outcomes.append(Outcome.TAKEN)
                note_hints(self.memory, [(node, order)], [Outcome.TAKEN])
            elif self.knobs["full"]:
                outcomes += [Outcome.REFUSED] * (len(rows) - len(outcomes))
                break
            else:
                outcomes.append(Outcome.LOST)
        return outcomes, written

    def begin_stay(self, node: int) -> int:
        """Give a block's stay a number."""
        self.stay[node] = self.next_stay
        self.next_stay += 1
        return self.next_stay - 1

    def full(self, takes: int = 0) -> bool:
        """Whether the next report would find no slot, after the host has taken so many."""
        return len(self.slots) - takes >= self.knobs["ring"]

    def take(self, most: int) -> list[Row]:
        """Let the host take up to ``most`` reports."""
        return [self._use(self.slots.popleft()) for _ in range(min(most, len(self.slots)))]

    def _use(self, slot: Slot) -> Row:
        frame = int(self.memory.frame[slot.node])
        state = STALE
        if frame & ISOLATED and self.stay[slot.node] == slot.stay:
            state = STILL_HELD
            self.used.append((slot.node, slot.order, 0))
        elif frame & BUDDY and frame_order(frame) == slot.order:
            if not self.knobs["mark"]:
                state = FREE_BY_ORDER
            elif frame & HINTED and self.stay[slot.node] == slot.stay:
                state = STILL_FREE
                self.used.append((slot.node, slot.order, 0))
        pfn = slot.node + self.memory.base_pfn
        return Row("w_used", pfn, slot.order, slot.migratetype, state, slot.stay, slot.zone)
