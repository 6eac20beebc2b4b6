"""The result of a prediction, and a recorded guest that is advanced by its trace."""

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from freehint.formats.traces import rows
from freehint.formats.traces.columns import settle, trace_rows
from freehint.formats.traces.events import PROBE_KINDS
from freehint.formats.traces.recording import Recording
from freehint.inputs.reading import exists
from freehint.mm.memory import copy_memory
from freehint.replay.buddy_level import forget_pcp, replay_buddy_part
from freehint.replay.replay import scratch


@dataclass(frozen=True)
class Prediction:
    """The prediction of one recording, compared with the measurement.

    Attributes
    ----------
    recording : str
    reason : str
        Why nothing can be predicted; empty if a prediction was made.
    blocks : list of tuple
        Rows of HINT_COLUMNS or REPORTING_COLUMNS.
    facts : dict of str to str
        Further findings, for people.
    good : bool
        True if every block is equal and in order, and everything else that is judged is right.
    """

    recording: str
    reason: str = ""
    blocks: list = field(default_factory=list)
    facts: dict = field(default_factory=dict)
    good: bool = True


class Advance:
    """A recorded guest at buddy level that is moved on along the rows of its trace."""

    def __init__(self, recording: Recording):
        seen = set(recording.trace["event"].unique())
        inputs = "probes" if seen & set(PROBE_KINDS) else "std"
        self.columns, _, _ = trace_rows(recording, inputs)
        settle(recording.t0, self.columns, inputs, infer=True)
        self.memory = copy_memory(recording.t0)
        forget_pcp(self.memory)
        self.run = scratch(self.memory, self.columns)
        self.row = 0
        self.stops: deque[int] = deque()
        self.at_stop = None

    def stop_at(self, stops, at_stop) -> None:
        """Call ``at_stop()`` at each of these rows, which ascend, before it is applied."""
        self.stops, self.at_stop = deque(stops), at_stop

    def to(self, row: int) -> None:
        """Apply every row before ``row``, a position between T0 and T1."""
        while self.stops and self.stops[0] <= row:
            self._apply(self.stops[0])
            self.at_stop()
            self.stops.popleft()
        self._apply(row)

    def _apply(self, row: int) -> None:
        if row > self.row:
            replay_buddy_part(
                self.memory, self.columns, self.run, self.row, row, False, rows.FAITHFUL
            )
            self.row = row


def without_t0(stem) -> Prediction | None:
    """The prediction for a trace without a snapshot T0; None if the snapshot exists."""
    if exists(Path(f"{stem}.T0.meta.json")):
        return None
    return Prediction(Path(stem).name, f"there is no snapshot {Path(stem).name}.T0")
