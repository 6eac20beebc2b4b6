"""Another walker in the place of the recorded one: the same calls, the same demand, other blocks.

The trace tells when the recorder's thread makes a call, when it takes a lock in it, and when the
host takes a report from the ring.  A policy's call does its first stroke where the recorded call
took its first lock, and so on; strokes that the recorded call had no lock for are done at its end.
"""

import numpy as np

from freehint.formats.traces.recording import Recording
from freehint.policies.call_walker import CallWalker
from freehint.policies.drive import Drive
from freehint.replay.walker.demand import Demand
from freehint.replay.walker.five_steps import leave_out_own_rows
from freehint.replay.walker.ring import Ring
from freehint.replay.walker.walks import CallWalks

LOCKS = ("w_list_begin", "w_hold_begin", "w_stroke_end")


class OtherWalks(CallWalks):
    """The walks of a policy under the demand of a recording.

    Attributes
    ----------
    hints : list of tuple
        Each report: the position of the row before which it was made, node, order, number of the
        walk, whether the ring took it, and whether it is a duplicate.
    """

    guest = Demand

    def __init__(self, recording: Recording, knobs: dict[str, int], policy: CallWalker):
        super().__init__(recording, knobs, None)
        own = {"full": int(policy.on_full == "stop"), "mark": 1}
        self.ring, self.policy = Ring(self.memory, knobs | own), policy
        self.hints: list[tuple] = []
        leave_out_own_rows(recording.trace, self.advance.columns.kind)

    def play(self, at: np.ndarray) -> None:
        """Play every walk; ``at`` are the positions of the recorded walker's rows."""
        recorded = self.recording.trace.iloc[at]
        events, taken = recorded["event"].astype(str).tolist(), recorded["a"].tolist()
        in_ring = 0  # of the recorded walker
        for row, event, a in zip(at.tolist(), events, taken, strict=True):
            self.go_on(row)
            if event == "w_walk_begin":
                self._begin_walk(row)
            elif event == "w_stroke_begin":
                self.begin_call(row)
            elif event in LOCKS:
                self._strokes(row, all_left=event == "w_stroke_end" or self.polled)
            elif event == "w_report":
                in_ring += a
            elif event == "w_used":
                in_ring -= 1
                # If the recorded ring is empty now, so is this one.
                self.ring.take(1 if in_ring else len(self.ring.slots))
                self.tell_policy()
        self.go_on(len(self.recording.trace))

    def begin_walk(self) -> None:
        self.drive = Drive(self.policy, self.memory, self._offer, host_is_slow=True)

    def _strokes(self, row: int, all_left: bool) -> None:
        """Do one stroke of the call, or all that are left."""
        while not self._call_over():
            self.written = []
            self.drive.stroke()
            for told in self.written:
                if told.event == "w_report":
                    node = told.pfn - self.memory.base_pfn
                    self.hints.append((row, node, told.order, self.walk, told.a, told.c))
            if self.polled:
                self.ring.take(len(self.ring.slots))
                self.tell_policy()
            if not all_left:
                return

    def _takes(self, n: int) -> list[int]:
        return [0] * n

    @property
    def polled(self) -> bool:
        return self.policy.holds_until_used
