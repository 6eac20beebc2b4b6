"""A policy's walks, played beside a recorded kernel's, row by row."""

from collections import deque

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.formats.traces.recording import Recording
from freehint.mm.memory import HINTED
from freehint.policies.drive import Drive
from freehint.policies.policy import Outcome, Policy
from freehint.policies.walk_state import (
    AFTER_LAP,
    AT_A_FULL_RING,
    AT_CALL_OVER,
    AT_CAPACITY,
    AT_CURSOR,
    AT_END,
    AT_FIRST,
    AT_GONE,
    AT_ITS_END,
    AT_NODE,
    AT_OFFERED,
    AT_WALKED,
    AT_ZONE,
    walked_list,
)
from freehint.replay.prediction import Advance
from freehint.replay.walker.ablations import ABLATIONS
from freehint.replay.walker.knobs import (
    CURSOR,
    EACH_REPORT,
    FIVE_STEP,
    NEVER,
    ON_EXIT,
    knobs_before,
    policy_of,
)
from freehint.replay.walker.ring import Ring, Row

# Rows that only say when something happens; all others are predicted.
TIMES = ("w_walk_begin", "w_stroke_begin", "w_consume")
FIELDS = ("event", "pfn", "order", "migratetype", "a", "b", "c")
BUFFER_FULL, LISTS_DONE, RING_FULL, INTERRUPTED = range(4)  # how a stroke ended
MOVED_BLOCK = 6  # how a list ended: each_report came to a block that it had moved


def in_allocator(row: Row) -> bool:
    """Whether the allocator wrote a row, because it called step 5."""
    return row.event in ("w_interrupt", "w_withdraw") or (row.event == "w_putback" and row.c == 1)


class Walks:
    """The walks of a recording; a subclass plays those of one policy.

    Attributes
    ----------
    pairs : list of (int, Row or None, Row)
        Each recorded row of the walker: its position, the predicted row and the recorded one.
    extra : int
        Rows that were predicted and not recorded.
    """

    mark = HINTED  # the bit of a frame that is the kernel's Reported flag
    guest: type[Advance] = Advance

    def __init__(self, recording: Recording, knobs: dict[str, int], ablation: str | None):
        self.recording, self.knobs, self.ablation = recording, knobs, ablation
        self.advance = self.guest(recording)
        self.memory = self.advance.memory
        self.ring = Ring(self.memory, knobs)
        self.walk = self.stroke = -1
        self.taken, self.ended = 0, LISTS_DONE
        # Predicted rows that are still to be recorded: the walker's, and those of step 5.
        self.waiting: tuple[deque, deque] = (deque(), deque())
        self.pairs: list = []
        self.extra = 0
        self.told: list[Row] = []  # every recorded row of the walker and its host
        self.by_walker: list[bool] = []
        self.place = 0  # the index of the row that is played

    def play(self, at: np.ndarray) -> None:
        """Play every walk; ``at`` are the positions of the walker's rows."""
        recorded = self.recording.trace.iloc[at]
        texts = recorded.assign(event=recorded["event"].astype(str))[list(FIELDS)]
        self.told = [Row(*fields) for fields in texts.itertuples(index=False)]
        self.by_walker = (recorded["pid"] == recorded["pid"].iloc[0]).tolist()
        for self.place, row in enumerate(at.tolist()):
            told = self.told[self.place]
            if told.event == "w_walk_begin":
                self._begin_walk(row)
            elif told.event == "w_stroke_begin":
                self.stroke += 1
                self.begin_call(row)
            elif told.event == "w_used" and not self.by_walker[self.place]:
                self.go_on(row)
                used = self.ring.take(1)
                self.tell_policy()
                self.pairs.append((row, used[0] if used else None, told))
            elif told.event not in TIMES:
                self.expect(row, told.event)
                waiting = self.waiting[in_allocator(told)]
                self.pairs.append((row, waiting.popleft() if waiting else None, told))
        self.go_on(len(self.recording.trace))
        self.extra += sum(map(len, self.waiting))

    def _begin_walk(self, row: int) -> None:
        knobs = knobs_before(self.recording, row)
        for name in (FIVE_STEP, "ring", "mark"):
            if knobs[name] != self.knobs[name]:
                path, seq = self.recording.stem, self.recording.trace["seq"].iloc[row]
                raise InputError(
                    f"{path}.trace.parquet: row {seq} (w_walk_begin): knob {name!r} must stay"
                    f" {self.knobs[name]} in a recording, got {knobs[name]}"
                )
        self.knobs.update(knobs)
        self.walk, self.stroke, self.taken = self.walk + 1, -1, 0
        self.go_on(row)
        self.begin_walk()

    def wait_for(self, predicted: list[Row], step_5: bool = False) -> None:
        """The rows that must come next; those before them that did not come are extra."""
        waiting = self.waiting[step_5]
        self.extra += len(waiting)
        waiting.clear()
        waiting.extend(predicted)

    def go_on(self, row: int) -> None:
        """Let the guest go on until a row."""
        self.advance.to(row)

    def ablated(self, policy: Policy) -> Policy:
        """The policy with one rule made wrong, if there is an ablation."""
        return ABLATIONS[self.ablation](policy) if self.ablation else policy

    def begin_walk(self) -> None:
        """Begin a walk, with the recorded knobs."""
        raise NotImplementedError

    def begin_call(self, row: int) -> None:
        """Begin the next stroke of the recorder, which is a call of the policy."""
        raise NotImplementedError

    def expect(self, row: int, event: str) -> None:
        """Predict what the walker writes from a row on, if the row begins something."""
        raise NotImplementedError

    def tell_policy(self) -> None:
        """Tell the policy which blocks the host has used."""
        raise NotImplementedError

    def table(self) -> pd.DataFrame:
        """One row per recorded row, with what was predicted for it."""
        nothing = Row("none")
        rows = [(row, *(one or nothing), *told, one == told) for row, one, told in self.pairs]
        sides = [f"{side}_{name}" for side in ("predicted", "measured") for name in FIELDS]
        table = pd.DataFrame(rows, columns=["row", *sides, "equal"])
        table["row"] = self.recording.trace["seq"].to_numpy()[table["row"].to_numpy(int)]
        table.insert(0, "recording", self.recording.stem.name)
        return table


class CallWalks(Walks):
    """The walks of a CallWalker."""

    drive: Drive
    written: list[Row]

    def begin_walk(self) -> None:
        policy = self.ablated(policy_of(self.knobs))
        self.drive = Drive(policy, self.memory, self._offer, host_is_slow=True)

    def begin_call(self, row: int) -> None:
        self.drive.begin()

    def expect(self, row: int, event: str) -> None:
        alone = not self.knobs["lock"]
        if event == "w_list_begin" and alone:
            self.go_on(row)
            self.wait_for([] if self._call_over() else self._list())
        elif event == "w_hold_begin":
            self.go_on(row)
            self.wait_for(self._whole_call())
        elif event == "w_stroke_end":
            while alone and not self._call_over():  # The recorded stroke ended too soon.
                self.wait_for(self._list())
            self.ended = self._how_ended()
            offered = int(self.drive.state.at[AT_OFFERED])
            self.wait_for([Row(event, a=self.stroke, b=offered, c=self.ended)])
        elif event == "w_walk_end":
            self.wait_for([Row(event, a=self.walk, b=self.taken, c=self.ended)])

    def tell_policy(self) -> None:
        if self.ring.used:
            self.drive.use(np.array(self.ring.used, np.int64))
            self.ring.used.clear()

    def _call_over(self) -> bool:
        at = self.drive.state.at
        return bool(at[AT_CALL_OVER]) or at[AT_ZONE] >= len(self.memory.zones)

    def _how_ended(self) -> int:
        at = self.drive.state.at
        if not at[AT_CALL_OVER]:
            return LISTS_DONE
        return RING_FULL if at[AT_END] == AT_A_FULL_RING else BUFFER_FULL

    def _offer(self, rows: list) -> list:
        """The outcomes of a stroke's rows."""
        state = self.drive.state
        _, migratetype = walked_list(state, state.at[AT_WALKED])
        zone, takes = self.drive.zone, self._takes(len(rows))
        outcomes, self.written = self.ring.offer(rows, zone, migratetype, self.polled, takes)
        return outcomes

    @property
    def polled(self) -> bool:
        """Whether the host is polled while the lock is held."""
        return bool(self.knobs["lock"])

    def _takes(self, n: int) -> list[int]:
        """How many reports the host of another CPU takes in this hold before each of n reports."""
        found, takes = [], 0
        for place in range(self.place, len(self.told)):
            event = self.told[place].event
            if event == "w_list_end" or len(found) == n:
                break
            takes += event == "w_used" and not self.by_walker[place]
            found += [takes] if event == "w_report" else []
        return found + [takes] * (n - len(found))

    def _whole_call(self) -> list[Row]:
        """The rows of a call that holds all locks, while the host is polled under them."""
        found = [Row("w_hold_begin")]
        while not self._call_over():
            found += self._list()
            found += self.ring.take(len(self.ring.slots))
            self.tell_policy()
        found.append(Row("w_hold_end", a=int(self.drive.state.at[AT_OFFERED])))
        return found

    def _list(self) -> list[Row]:
        """Let the policy do its next stroke, and return its rows."""
        self.written = []
        stroke, state = self.drive.stroke(), self.drive.state
        at, i = state.at.tolist(), int(state.at[AT_WALKED])
        zone, base = stroke.zone, self.memory.base_pfn
        order, migratetype = map(int, walked_list(state, i))
        here = {"order": order, "migratetype": migratetype}
        self.taken += int((stroke.outcomes == Outcome.TAKEN).sum())
        found = [Row("w_list_begin", a=zone, **here)]
        if self.knobs["resume"] == CURSOR:
            pfn = -1 if at[AT_CURSOR] < 0 else at[AT_CURSOR] + base
            found.append(Row("w_cursor", pfn, a=at[AT_GONE], c=zone, **here))
        moved, rotate = [], self.knobs["rotate"]
        for row in self.written:
            found.append(row)
            if row.event == "w_report" and row.a and rotate != NEVER:
                number = len(moved) if rotate == ON_EXIT else 0
                moved.append(Row("w_rotate", row.pfn, a=zone, b=number, **here))
                found += moved[-1:] if rotate == EACH_REPORT else []
        if at[AT_END] in (AT_FIRST, AFTER_LAP):
            event = "w_first" if at[AT_END] == AT_FIRST else "w_lap"
            counts = {"a": int(state.taken[i]), "b": int(state.lap[i]), "c": zone}
            found.append(Row(event, at[AT_NODE] + base, **here, **counts))
        found += moved if rotate == ON_EXIT else []
        visited, how = sum(stroke.looked), at[AT_END]
        if how in (AT_CAPACITY, AT_FIRST, AFTER_LAP):
            visited += 1
        elif how == AT_A_FULL_RING:
            visited = sum(stroke.looked[: stroke.outcomes.tolist().index(Outcome.REFUSED) + 1])
        elif how == AT_ITS_END and rotate == EACH_REPORT:
            # The node after the list's last block is the first block that was moved before it.
            before_last = np.cumsum(stroke.looked)[: len(stroke.outcomes)] < visited
            moved_before = (stroke.outcomes == Outcome.TAKEN) & before_last
            how = MOVED_BLOCK if moved_before.any() else how
        found.append(Row("w_list_end", a=zone, b=visited, c=how, **here))
        return found
