"""Predict a recorded kernel's walker, row by row, with freehint's own policies.

The recorded guest is replayed at buddy level.  Whenever the recorded walker takes a zone's lock,
the policy with the recorded knobs does its next stroke on the model's lists; so the trace tells
when a stroke happens, and the policy tells everything else: the list, the blocks, their order,
the rotations, and where and why it ended.  Likewise the trace tells when the host takes reports
from the ring, and the model which ones.  Nothing is ever corrected.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.formats.traces import rows as replay_rows
from freehint.formats.traces.recording import Recording, load_recording
from freehint.mm.memory import HINTED, REPORTED, Memory
from freehint.policies.drive import Drive
from freehint.policies.policy import Outcome
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
from freehint.replay.replay import compare_lists
from freehint.replay.walker_knobs import (
    CURSOR,
    EACH_REPORT,
    NEVER,
    ON_EXIT,
    RESTART,
    knobs_before,
    walker_of,
)
from freehint.replay.walker_ring import Ring, Row

# Rows that only say when something happens; all others are predicted.
TIMES = ("w_walk_begin", "w_stroke_begin", "w_consume")
BUFFER_FULL, LISTS_DONE, RING_FULL = range(3)  # how a stroke ended
MOVED_BLOCK = 6  # how a list ended: each_report came to a block that it had moved
FIELDS = ("event", "pfn", "order", "migratetype", "a", "b", "c")


@dataclass(frozen=True)
class WalkerPrediction:
    """The prediction of one recording with walks.

    Attributes
    ----------
    recording : str
    knobs : dict
        The knobs of its last walk.
    rows : DataFrame
        One row per recorded row of the walker: recording, row (``seq``), predicted_X and
        measured_X for each of FIELDS, and equal.
    extra : int
        Rows that were predicted and not recorded.
    scored, hits, refused : int
        Blocks that left the buddy lists, those predicted, rows that the lists contradicted.
    lists : DataFrame
        T1's lists; see :func:`freehint.replay.replay.compare_lists`.
    marks : int
        Free blocks at T1 whose Reported mark differs.
    """

    recording: str
    knobs: dict
    rows: pd.DataFrame
    extra: int
    scored: int
    hits: int
    refused: int
    lists: pd.DataFrame
    marks: int

    @property
    def good(self) -> bool:
        """Whether everything is predicted."""
        walks = bool(self.rows["equal"].all()) and self.extra == 0
        guest = self.hits == self.scored and self.refused == 0
        return walks and guest and bool(self.lists["equal"].all()) and self.marks == 0


def predict_walker(stem) -> WalkerPrediction | None:
    """Predict every walk in a recording; None if there is none.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0 with Reported marks, NAME.T1 and NAME.trace.

    Raises
    ------
    InputError
        The recording cannot be used.
    """
    recording = load_recording(stem)
    at = np.flatnonzero(recording.trace["event"].astype(str).str.startswith("w_"))
    if not len(at):
        return None
    for moment, memory in (("T0", recording.t0), ("T1", recording.t1)):
        if not memory.reported_known:
            raise InputError(
                f"{stem}.{moment}.freelist.parquet: has no column 'reported', but the trace has"
                f" walks from row {recording.trace['seq'].iloc[at[0]]} on"
            )
    walks = Walks(recording)
    walks.play(at)
    walks.advance.to(len(recording.trace))
    counts, memory = walks.advance.run.counts, walks.advance.memory
    lists = compare_lists(memory, recording.t1)
    return WalkerPrediction(
        Path(stem).name,
        knobs=walks.knobs,
        rows=walks.table(),
        extra=walks.extra,
        scored=int(counts[replay_rows.C_SCORED]),
        hits=int(counts[replay_rows.C_HITS]),
        refused=int(counts[replay_rows.C_REFUSED]),
        lists=lists,
        marks=_wrong_marks(memory, recording.t1, bool(walks.knobs["mark"])),
    )


def _wrong_marks(model: Memory, recorded: Memory, marks: bool) -> int:
    """The number of blocks whose mark differs; the model's is HINTED, the kernel's is Reported."""
    hinted = (model.frame & HINTED != 0) & marks
    return int((hinted != (recorded.frame & REPORTED != 0)).sum())


class Walks:
    """The walks of a recording, played beside it.

    ``pairs`` holds (row, predicted Row or None, recorded Row), and ``extra`` counts rows that were
    predicted and not recorded.
    """

    def __init__(self, recording: Recording):
        self.recording = recording
        self.advance = Advance(recording)
        self.memory = self.advance.memory
        self.knobs, self.ring, self.drive = {}, None, None
        self.walk = self.stroke = -1
        self.taken, self.ended = 0, LISTS_DONE
        self.waiting: deque[Row] = deque()  # predicted rows that are still to be recorded
        self.written: list[Row] = []
        self.pairs: list = []
        self.extra = 0

    def play(self, at: np.ndarray) -> None:
        """Play every walk; ``at`` are the positions of the walker's rows."""
        recorded = self.recording.trace.iloc[at]
        pids = recorded["pid"].tolist()
        walker = None
        texts = recorded.assign(event=recorded["event"].astype(str))[list(FIELDS)]
        for row, pid, fields in zip(at.tolist(), pids, texts.itertuples(index=False)):
            told = Row(*fields)
            if told.event == "w_walk_begin":
                walker = pid
                self._begin_walk(row)
            elif walker is None:
                seq = self.recording.trace["seq"].iloc[row]
                path = f"{self.recording.stem}.trace.parquet"
                raise InputError(f"{path}: row {seq} ({told.event}): its walk began before T0")
            elif told.event == "w_stroke_begin":
                self._begin_stroke()
            elif told.event == "w_used" and pid != walker:
                self.advance.to(row)
                used = self.ring.take(1)
                self._tell_policy()
                self.pairs.append((row, used[0] if used else None, told))
            elif told.event not in TIMES:
                self._expect(row, told.event)
                predicted = self.waiting.popleft() if self.waiting else None
                self.pairs.append((row, predicted, told))
        self.extra += len(self.waiting)

    def _expect(self, row: int, event: str) -> None:
        """Predict what the walker writes from a row on, if the row begins something."""
        alone = not self.knobs["lock"]
        if event == "w_list_begin" and alone:
            self.advance.to(row)
            self._wait_for(self._list() if not self._call_over() else [])
        elif event == "w_hold_begin":
            self.advance.to(row)
            self._wait_for(self._whole_call())
        elif event == "w_stroke_end":
            while alone and not self._call_over():  # the recorded stroke ended too soon
                self._wait_for(self._list())
            self.ended = self._how_ended()
            offered = int(self.drive.state.at[AT_OFFERED])
            self._wait_for([Row(event, a=self.stroke, b=offered, c=self.ended)])
        elif event == "w_walk_end":
            self._wait_for([Row(event, a=self.walk, b=self.taken, c=self.ended)])

    def _wait_for(self, predicted: list[Row]) -> None:
        self.extra += len(self.waiting)
        self.waiting = deque(predicted)

    def _begin_walk(self, row: int) -> None:
        self.advance.to(row)
        self.knobs = knobs_before(self.recording, row)
        self.walk, self.stroke, self.taken = self.walk + 1, -1, 0
        self.ring = self.ring or Ring(self.memory, self.knobs)
        self._new_drive()

    def _new_drive(self) -> None:
        policy = walker_of(self.knobs)
        self.drive = Drive(policy, self.memory, self._offer, host_is_slow=True)

    def _begin_stroke(self) -> None:
        """Begin the next call; a policy that restarts begins anew after the last list, too."""
        self.stroke += 1
        state = self.drive.state
        if self.knobs["resume"] == RESTART and not state.at[AT_CALL_OVER] and self._call_over():
            self._new_drive()
        self.drive.policy.next_zone(self.memory, self.drive.state)

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
        polled = bool(self.knobs["lock"])
        outcomes, self.written = self.ring.offer(rows, self.drive.zone, migratetype, polled)
        return outcomes

    def _tell_policy(self) -> None:
        if self.ring.used:
            self.drive.use(np.array(self.ring.used, np.int64))
            self.ring.used.clear()

    def _whole_call(self) -> list[Row]:
        """The rows of a call that holds all locks, while the host is polled under them."""
        found = [Row("w_hold_begin")]
        while not self._call_over():
            found += self._list()
            found += self.ring.take(len(self.ring.slots))
            self._tell_policy()
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
        looked = stroke.looked + (at[AT_END] in (AT_CAPACITY, AT_FIRST, AFTER_LAP))
        if at[AT_END] == AT_A_FULL_RING:
            looked = len([row for row in self.written if row.event == "w_report"])
        how = at[AT_END]
        if how == AT_ITS_END and rotate == EACH_REPORT and looked > 1 and moved:
            how = MOVED_BLOCK
        found.append(Row("w_list_end", a=zone, b=looked, c=how, **here))
        return found

    def table(self) -> pd.DataFrame:
        """One row per recorded row, with what was predicted for it."""
        nothing = Row("none")
        rows = [(row, *(one or nothing), *told, one == told) for row, one, told in self.pairs]
        sides = [f"{side}_{name}" for side in ("predicted", "measured") for name in FIELDS]
        table = pd.DataFrame(rows, columns=["row", *sides, "equal"])
        table["row"] = self.recording.trace["seq"].to_numpy()[table["row"].to_numpy(int)]
        table.insert(0, "recording", self.recording.stem.name)
        return table
