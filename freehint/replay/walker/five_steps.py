"""The five steps, played beside a recorded kernel's, row by row."""

import numpy as np
import pandas as pd

from freehint.formats.traces import rows
from freehint.mm.memory import (
    ISOLATED,
    MARK_SHIFT,
    PAGEBLOCK_ORDER,
    PAGEBLOCK_TYPE_MASK,
    frame_order,
    page_zone,
)
from freehint.policies.call_five_step import note_used
from freehint.policies.call_five_step_state import (
    AT_CALL_OVER,
    AT_CAPACITY,
    AT_EMPTY,
    AT_END,
    AT_KEPT_BLOCK,
    AT_MISSED,
    AT_REFUSED,
    AT_WALKED,
    AT_WATERMARK,
    AT_ZONE,
    called_list,
    held_mark,
)
from freehint.policies.drive import Drive
from freehint.policies.policy import Outcome
from freehint.replay.walker.knobs import policy_of
from freehint.replay.walker.ring import Row, Slot
from freehint.replay.walker.walks import BUFFER_FULL, INTERRUPTED, LISTS_DONE, Walks

# How a list ended, in the recorder's numbers.
LIST_ENDS = {AT_CAPACITY: 1, AT_WATERMARK: 5, AT_KEPT_BLOCK: 6}
AT_HOLD, IN_ALLOCATOR = range(2)  # why a block was put back: step 4, step 5


def leave_out_own_rows(trace: pd.DataFrame, kind: np.ndarray) -> None:
    """Set the kernel's rows of isolations and putbacks that the recorder made to IGNORED."""
    told, pids = trace["event"].isin(("w_isolate", "w_putback")).to_numpy(), trace["pid"].to_numpy()
    own: dict[int, list] = {}  # by process, its rows since its last isolation or putback
    theirs = np.isin(kind, (rows.ISOLATE_PAGE, rows.PUTBACK, rows.MOVE_BLOCK))
    for row in np.flatnonzero(theirs | told):
        if told[row]:
            kind[own.pop(pids[row], [])] = rows.IGNORED
        elif kind[row] == rows.MOVE_BLOCK:
            own.setdefault(pids[row], []).append(row)
        else:
            own[pids[row]] = [row]


class FiveStepWalks(Walks):
    """The walks of a CallFiveStep.

    The kernel's own rows of the same isolations and putbacks are left out of the replay, because
    the policy does them.  While blocks are held, the policy is asked after each allocation.
    """

    mark = 1 << MARK_SHIFT

    def __init__(self, recording, knobs, ablation):
        super().__init__(recording, knobs, ablation)
        self.begin_walk()
        self.held: list[Slot] = []  # blocks of this call, in the order in which they were taken
        self.nodes = np.zeros(0, np.int64)  # theirs
        self.interrupted, self.told_interrupted, self.holds = False, False, 0
        leave_out_own_rows(recording.trace, self.advance.columns.kind)

    def begin_walk(self) -> None:
        self.drive = Drive(self.ablated(policy_of(self.knobs)), self.memory)

    def begin_call(self, row: int) -> None:
        self.go_on(row)
        self.holds, self.told_interrupted = 0, False
        if not self.state.held.any():  # Otherwise the call before still waits for the host.
            self.interrupted, self.held, self.taken = False, [], 0
            self.nodes = self.nodes[:0]
            self.drive.begin()

    def go_on(self, row: int) -> None:
        """Let the guest go on; after each block that left a list the policy may interrupt."""
        columns, begin = self.advance.columns, self.advance.row
        later = np.flatnonzero(columns.kind[begin:row] == rows.ZONE_LOCKED) + begin
        for at in later.tolist():
            if not (self.knobs["trigger"] and self.state.held.any()):
                break
            self.advance.to(at + 1)
            self._step_5(
                int(columns.node[at]), int(columns.order[at]), int(columns.migratetype[at])
            )
        self.advance.to(row)

    def _step_5(self, node: int, order: int, migratetype: int) -> None:
        zone = page_zone(self.memory, node)
        before = self._before_putback()
        if not self.drive.call("on_empty", zone, order, migratetype):
            return
        at, pfn = self.state.at, node + self.memory.base_pfn
        counts = {"a": zone, "b": order, "c": int(at[AT_MISSED])}
        found = [Row("w_interrupt", pfn, int(at[AT_EMPTY]), migratetype, **counts)]
        if self.ring.slots:
            found.append(Row("w_withdraw", a=len(self.ring.slots), c=zone))
            self.ring.slots.clear()
        self.interrupted = True
        blocks = self._held_in(zone, *before)
        self.wait_for(found + self._putbacks(blocks, IN_ALLOCATOR), step_5=True)

    def _before_putback(self) -> tuple:
        """Nodes, frames and pageblocks of all blocks of this call."""
        memory, nodes = self.memory, self.nodes
        return nodes, memory.frame[nodes], memory.pageblock[nodes >> PAGEBLOCK_ORDER]

    def _held_in(self, zone: int, nodes, frames, pageblocks) -> list:
        """Node, order, pageblock's type, and whether it was used, of each held block of a zone."""
        found = []
        for node, frame, pageblock in zip(*map(np.ndarray.tolist, (nodes, frames, pageblocks))):
            if frame & ISOLATED and page_zone(self.memory, node) == zone:
                used = bool(frame & held_mark(self.state))
                found.append((node, frame_order(frame), pageblock & PAGEBLOCK_TYPE_MASK, used))
        return found

    def _putbacks(self, blocks: list, why: int) -> list[Row]:
        """The rows of blocks that the policy has just put back."""
        found = []
        for node, order, migratetype, used in blocks:
            merged = bool(self.state.merged[node])
            if used and not merged:
                self.ring.begin_stay(node)
            pfn = node + self.memory.base_pfn
            found.append(
                Row("w_putback", pfn, order, int(migratetype), int(merged), int(used), why)
            )
        return found

    def expect(self, row: int, event: str) -> None:
        if event in ("w_list_begin", "w_report", "w_hold_begin", "w_interrupt"):
            self.go_on(row)
        self.told_interrupted |= event == "w_interrupt"
        if event == "w_list_begin":
            self.wait_for([] if self._has_taken() else self._list())
        elif event == "w_report":
            self._finish_taking()
            self.wait_for(self._report())
        elif event == "w_hold_begin":
            self._finish_taking()
            if self.holds == 0:
                self.ended = self._how_ended()
            due = self._is_settled() and self.holds < len(self.memory.zones)
            self.wait_for(self._step_4(self.holds) if due else [])
            self.holds += 1
        elif event == "w_stroke_end":
            self.wait_for([Row(event, a=self.stroke, b=self.taken, c=self.ended)])
        elif event == "w_walk_end":
            self.wait_for([Row(event, a=self.walk, b=0, c=self.ended)])

    @property
    def state(self):
        """The policy's CallFiveStepState."""
        return self.drive.state

    def tell_policy(self) -> None:
        for node, _, _ in self.ring.used:
            note_used(self.memory, self.state, node)
        self.ring.used.clear()

    def _has_taken(self) -> bool:
        """Whether step 2 is over."""
        at = self.state.at
        return bool(at[AT_CALL_OVER]) or at[AT_ZONE] >= len(self.memory.zones)

    def _is_settled(self) -> bool:
        """Whether it is time for step 4, at its recorded time.

        If step 5 came in the recording and not here, the call still waits for the host.
        """
        all_used = self.taken == len(self.held) and not self.ring.slots
        return all_used or self.interrupted or not self.told_interrupted

    def _finish_taking(self) -> None:
        """Do the rest of step 2, if the recorded one ended too soon."""
        while not self._has_taken():
            self.wait_for(self._list())

    def _how_ended(self) -> int:
        if self.interrupted:
            return INTERRUPTED
        return BUFFER_FULL if self.state.at[AT_CALL_OVER] else LISTS_DONE

    def _list(self) -> list[Row]:
        """Let the policy take blocks of the next list, and return the rows."""
        state, memory = self.state, self.memory
        self.drive.begin()
        zone = self.drive.zone
        report, n, _ = self.drive.choose()
        order, migratetype = map(int, called_list(state, int(state.at[AT_WALKED])))
        here = {"order": order, "migratetype": migratetype}
        found = [Row("w_list_begin", a=zone, **here)]
        self.nodes = np.append(self.nodes, report[:n, 0])
        for node in self.nodes[len(self.nodes) - n :].tolist():
            self.held.append(Slot(node, order, migratetype, zone, self.ring.begin_stay(node)))
            found.append(Row("w_isolate", node + memory.base_pfn, a=1 << order, c=zone, **here))
        how = int(state.at[AT_END])
        if how == AT_WATERMARK:
            pfn = int(state.at[AT_REFUSED]) + memory.base_pfn
            found.append(Row("w_isolate", pfn, a=0, c=zone, **here))
        looked = int(report[: n + 1, 2].sum())
        found.append(Row("w_list_end", a=zone, b=looked, c=LIST_ENDS.get(how, 0), **here))
        return found

    def _report(self) -> list[Row]:
        """Step 3: the next held block goes to the ring."""
        if self.interrupted or self.taken == len(self.held) or self.ring.full():
            return []
        slot = self.held[self.taken]
        self.ring.slots.append(slot)
        self.taken += 1
        pfn = slot.node + self.memory.base_pfn
        return [Row("w_report", pfn, slot.order, slot.migratetype, 1, slot.stay, 0)]

    def _step_4(self, zone: int) -> list[Row]:
        before = self._held_in(zone, *self._before_putback())
        report = np.zeros((len(before) + 1, 3), np.int64)
        for row, (node, order, _, _) in enumerate(before):
            report[row, :2] = node, order
        self.drive.zone = zone
        self.drive.settle(report, np.full(len(before), Outcome.TAKEN, np.uint8))
        found = [Row("w_hold_begin", a=zone), *self._putbacks(before, AT_HOLD)]
        return [*found, Row("w_hold_end", a=zone)]
