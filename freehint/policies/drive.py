"""Drive a policy's verbs over a memory, stroke by stroke, without an engine and without time.

The caller decides what the ring and the host do with each row, and may change the memory between
two strokes::

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
    outcomes : uint8[n]         Outcome of each row
    status : Stroke             the status that ``fill`` returned
    looked : list of int        blocks looked at to find each row, and then those after the last
    """

    zone: int
    rows: list
    outcomes: np.ndarray
    status: Stroke
    looked: list


class Drive:
    """One policy at work on one memory: an iterator over the strokes of its walk.

    ``state`` is the state that the verbs share, ``zone`` the zone of the next stroke, and ``over``
    tells whether the walk is over.

    Parameters
    ----------
    policy : Policy
    memory : Memory
        The verbs change it.
    outcomes : callable, optional
        ``outcomes(rows)`` returns the Outcome of each row of a stroke.  By default the ring takes
        each row, or the host uses it if the policy waits for the host.
    meanwhile : callable, optional
        Called with the Drive between ``fill`` and ``drain``, if the policy drops the lock there;
        it plays the guest.
    host_is_slow : bool
        Whether the caller calls ``use`` when the host has used a block.  By default the host has
        used each block as soon as the ring took it.
    """

    def __init__(
        self, policy: Policy, memory: Memory, outcomes=None, meanwhile=None, host_is_slow=False
    ):
        self.policy, self.memory = policy, memory
        self.outcomes, self.meanwhile = outcomes, meanwhile
        self.host_is_slow = host_is_slow
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
        """Do one stroke: ``fill``, decide the outcomes, ``drain``.

        Returns
        -------
        Driven or None
            None if the walk was over before.
        """
        policy, memory = self.policy, self.memory
        if not self.begin():
            return None
        report, n, status = self.choose()
        rows = [(int(node), int(order)) for node, order, _ in report[:n]]
        outcomes = np.array(self.decide(rows), np.uint8)
        note_hints(memory, rows, outcomes)
        if policy.report != "under_lock" and self.meanwhile:
            self.meanwhile(self)
        if n:
            self.settle(report, outcomes)
            taken = report[:n][outcomes == Outcome.TAKEN]
            if len(taken) and not self.host_is_slow:
                self.use(taken)
        stroke = Driven(self.zone, rows, outcomes, Stroke(status), report[: n + 1, 2].tolist())
        self._go_on(stroke)
        return stroke

    # The parts of a stroke, for a caller in whose strokes others come between.

    def begin(self) -> bool:
        """Choose the zone of the next stroke, and return whether there is one."""
        if self.policy.next_zone:
            self.zone = int(self.policy.next_zone(self.memory, self.state))
        self.over |= not 0 <= self.zone < len(self.memory.zones)
        return not self.over

    def choose(self) -> tuple:
        """Call ``fill`` in the zone.

        Returns
        -------
        (int64[capacity + 1, 3], int, int)
            The report, its number of rows and the status.
        """
        policy, memory = self.policy, self.memory
        capacity = policy.stroke_capacity or int(memory.nr_free[self.zone].sum()) + 1
        report = np.zeros((capacity + 1, 3), np.int64)
        return report, *policy.fill(memory, self.state, self.zone, report, capacity)

    def settle(self, report: np.ndarray, outcomes: np.ndarray) -> None:
        """Call ``drain`` in the zone with the outcomes of the report's rows."""
        n = len(outcomes)
        self.policy.drain(self.memory, self.state, self.zone, report, n, outcomes)

    def decide(self, rows: list) -> list:
        """Decide the outcomes of the rows that ``fill`` chose.

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

    def use(self, rows: np.ndarray) -> None:
        """Tell the policy, if it wants to hear of it, that the host has used some blocks.

        Parameters
        ----------
        rows : int64[n, 3]
            As in a report.
        """
        if self.policy.wants_feedback:
            used = np.full(len(rows), Outcome.USED, np.uint8)
            self.policy.drain(self.memory, self.state, self.zone, rows, len(rows), used)

    def _go_on(self, stroke: Driven) -> None:
        refused = bool((stroke.outcomes == Outcome.REFUSED).any())
        self.over = stroke.status == Stroke.STOPPED
        if stroke.status == Stroke.ZONE_DONE and not refused and not self.policy.next_zone:
            self.zone += 1

    def call(self, verb: str, *arguments) -> int:
        """Call ``on_empty``, ``end_walk``, ``release`` or ``shrink``, if the policy has it.

        Parameters
        ----------
        verb : str
        arguments
            The verb's arguments after ``state``: see :mod:`freehint.policies.policy`.

        Returns
        -------
        int
            The verb's result; 0 if there is no result or no such verb.
        """
        does = getattr(self.policy, verb)
        return int(does(self.memory, self.state, *arguments) or 0) if does else 0


def note_hints(memory: Memory, rows: list, outcomes: np.ndarray) -> None:
    """Mark the stays of the blocks that the ring took as HINTED, as the engine does."""
    for (node, order), what in zip(rows, outcomes, strict=True):
        frame = memory.frame[node]
        if what == Outcome.TAKEN and frame & BUDDY and frame_order(frame) == order:
            memory.frame[node] |= HINTED
