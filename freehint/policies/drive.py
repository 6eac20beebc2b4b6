"""Drives a policy's verbs over a memory, stroke by stroke, without an engine and without time.

What the ring and the host do with each row is the caller's to say, and between two strokes the
caller may do with the memory what it likes::

    for stroke in Drive(policy, memory):
        print(stroke.zone, stroke.rows)
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from freehint.mm.memory import BUDDY, HINTED, Memory, frame_order
from freehint.policies.policy import Outcome, Policy, Stroke


class Driven(NamedTuple):
    """One stroke.

    zone : int
    rows : list of (int, int)   node and order of each block, in the order of ``fill``
    outcomes : uint8[n]         Outcome of each
    status : Stroke             what ``fill`` said
    """

    zone: int
    rows: list
    outcomes: np.ndarray
    status: Stroke


class Drive:
    """One policy at work on one memory; an iterator over the strokes of its walk.

    ``state`` is what its verbs share, ``zone`` where the next stroke begins, and ``over`` whether
    the walk is.

    Parameters
    ----------
    policy : Policy
    memory : Memory
        It is changed.
    outcomes : callable, optional
        ``outcomes(rows) -> sequence of Outcome``, a stroke's; by default the ring takes each row,
        and the host uses it where the policy waits for that.
    meanwhile : callable, optional
        Called between ``fill`` and ``drain`` of a policy that drops the lock there: the guest
        goes on.
    """

    def __init__(self, policy: Policy, memory: Memory, outcomes=None, meanwhile=None):
        self.policy, self.memory = policy, memory
        self.outcomes, self.meanwhile = outcomes, meanwhile
        make = policy.new_state
        self.state = make(memory, policy) if make else np.zeros(64, np.int64)
        self.zone, self.over = 0, False

    def __iter__(self) -> Iterator[Driven]:
        return self

    def __next__(self) -> Driven:
        stroke = self.stroke()
        if stroke is None:
            raise StopIteration
        return stroke

    def stroke(self) -> Driven | None:
        """``fill``, what becomes of the rows, and ``drain``.

        Returns
        -------
        Driven or None
            None: the walk was over.
        """
        policy, memory = self.policy, self.memory
        if policy.next_zone:
            self.zone = int(policy.next_zone(memory, self.state))
        self.over |= not 0 <= self.zone < len(memory.zones)
        if self.over:
            return None
        capacity = policy.stroke_capacity or int(memory.nr_free[self.zone].sum()) + 1
        report = np.zeros((capacity + 1, 3), np.int64)
        n, status = policy.fill(memory, self.state, self.zone, report, capacity)
        rows = [(int(node), int(order)) for node, order, _ in report[:n]]
        outcomes = np.array(self.decide(rows), np.uint8)
        note_hints(memory, rows, outcomes)
        if policy.report != "under_lock" and self.meanwhile:
            self.meanwhile(self)
        if n:
            self._drain(report, outcomes)
        stroke = Driven(self.zone, rows, outcomes, Stroke(status))
        self._go_on(stroke)
        return stroke

    def decide(self, rows: list) -> list:
        """What becomes of the rows that were just chosen.

        Parameters
        ----------
        rows : list of (int, int)

        Returns
        -------
        sequence of Outcome
        """
        if self.outcomes:
            return self.outcomes(rows)
        acknowledged = self.policy.report == "acknowledged"
        return [Outcome.USED if acknowledged else Outcome.TAKEN] * len(rows)

    def _drain(self, report: np.ndarray, outcomes: np.ndarray) -> None:
        """``drain``, and once more with what the host has used where the policy wants to know."""
        policy, n = self.policy, len(outcomes)
        policy.drain(self.memory, self.state, self.zone, report, n, outcomes)
        taken = report[:n][outcomes == Outcome.TAKEN]
        if policy.wants_feedback and len(taken):
            used = np.full(len(taken), Outcome.USED, np.uint8)
            policy.drain(self.memory, self.state, self.zone, taken, len(taken), used)

    def _go_on(self, stroke: Driven) -> None:
        refused = bool((stroke.outcomes == Outcome.REFUSED).any())
        self.over = stroke.status == Stroke.STOPPED
        if stroke.status == Stroke.ZONE_DONE and not refused and not self.policy.next_zone:
            self.zone += 1

    def call(self, verb: str, *arguments) -> int:
        """Another verb, if the policy has it: ``on_empty``, ``end_walk``, ``release``, ``shrink``.

        Parameters
        ----------
        verb : str
        arguments
            As of :mod:`freehint.policies.policy`, those behind ``state``.

        Returns
        -------
        int
            What it answers; 0 where it answers nothing.
        """
        does = getattr(self.policy, verb)
        return int(does(self.memory, self.state, *arguments) or 0) if does else 0


def note_hints(memory: Memory, rows: list, outcomes: np.ndarray) -> None:
    """The ring took them: mark each block's stay on its list, as the engine does."""
    for (node, order), what in zip(rows, outcomes, strict=True):
        frame = memory.frame[node]
        if what == Outcome.TAKEN and frame & BUDDY and frame_order(frame) == order:
            memory.frame[node] |= HINTED
