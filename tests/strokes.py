"""A little engine: one policy's strokes on a memory, with outcomes of the test's choice."""

from dataclasses import dataclass

import numpy as np

from freehint.config import InputError
from freehint.mm.check import check_memory
from freehint.mm.memory import BUDDY, HINTED, frame_order
from freehint.policies.policy import Outcome, Stroke


@dataclass
class OneStroke:
    """One stroke: its zone, the (node, order) of its rows, what became of each, its status."""

    zone: int
    rows: list
    outcome: np.ndarray
    status: int


class Strokes:
    """Drives a policy's verbs as the engine does.

    Parameters
    ----------
    policy : Policy
    memory : Memory
    outcomes : callable, optional
        ``outcomes(rows) -> list of Outcome`` of a stroke; by default the host takes all.
    meanwhile : callable, optional
        Called between fill and drain where the lock is dropped: the guest goes on.
    """

    def __init__(self, policy, memory, outcomes=None, meanwhile=None):
        self.policy, self.memory = policy, memory
        self.outcomes, self.meanwhile = outcomes, meanwhile
        self.state = policy.new_state(memory, policy)
        self.zone = 0
        self.done = []

    def stroke(self) -> bool:
        """One stroke; False if the walk was over before it."""
        policy, memory = self.policy, self.memory
        if policy.next_zone:
            self.zone = policy.next_zone(memory, self.state)
        if not 0 <= self.zone < len(memory.zones):
            return False
        capacity = policy.stroke_capacity or int(memory.nr_free[self.zone].sum()) + 1
        report = np.zeros((capacity + 1, 3), np.int64)
        n, status = policy.fill(memory, self.state, self.zone, report, capacity)
        check_memory(memory)
        assert 0 <= n <= capacity and status in tuple(Stroke)
        rows = [(int(node), int(order)) for node, order, _ in report[:n]]
        outcome = np.array(self._outcomes(rows), np.uint8)
        note_hints(memory, rows, outcome)
        if policy.report != "under_lock" and self.meanwhile:
            self.meanwhile(self)
        if n:
            policy.drain(memory, self.state, self.zone, report, n, outcome)
            self._feed_back(report, outcome)
        check_memory(memory)
        self.done.append(OneStroke(self.zone, rows, outcome, status))
        refused = bool((outcome == Outcome.REFUSED).any())
        if status == Stroke.ZONE_DONE and not refused and not policy.next_zone:
            self.zone += 1
        return status != Stroke.STOPPED

    def _outcomes(self, rows):
        if self.outcomes:
            return self.outcomes(rows)
        acknowledged = self.policy.report == "acknowledged"
        return [Outcome.USED if acknowledged else Outcome.TAKEN] * len(rows)

    def _feed_back(self, report, outcome):
        taken = report[:-1][: len(outcome)][outcome == Outcome.TAKEN]
        if self.policy.wants_feedback and len(taken):
            used = np.full(len(taken), Outcome.USED, np.uint8)
            self.policy.drain(self.memory, self.state, self.zone, taken, len(taken), used)

    def to_end(self, most=10_000):
        """All strokes of a walk; fails the test if it does not end."""
        for _ in range(most):
            if not self.stroke():
                return self
        raise AssertionError(f"{self.policy} does not end")

    @property
    def reported(self):
        """(node, order) of every row that the ring took."""
        return [
            row
            for one in self.done
            for row, outcome in zip(one.rows, one.outcome)
            if outcome in (Outcome.TAKEN, Outcome.USED)
        ]


def note_hints(memory, rows, outcome):
    """The ring took it: mark the block's stay on its list, as the engine does."""
    for (node, order), what in zip(rows, outcome):
        frame = memory.frame[node]
        if what == Outcome.TAKEN and frame & BUDDY and frame_order(frame) == order:
            memory.frame[node] |= HINTED


def refused_with_a_reason(make) -> bool:
    """Does making a policy raise one clear sentence?"""
    try:
        make()
    except InputError as error:
        assert "policy." in str(error)
        return True
    return False
