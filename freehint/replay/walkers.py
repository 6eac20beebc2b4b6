"""Predict a recorded kernel's walker, row by row, with freehint's own policies.

The recorded guest is replayed at buddy level.  Whenever the recorded walker takes a zone's lock,
the policy with the recorded knobs does its next stroke on the model's lists; so the trace tells
when a stroke happens, and the policy tells everything else: the list, the blocks, their order,
the rotations, and where and why it ended.  Likewise the trace tells when the host takes reports
from the ring, and the model which ones.  Nothing is ever corrected.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.formats.traces import rows
from freehint.formats.traces.recording import Recording, load_recording
from freehint.mm.memory import REPORTED, Memory
from freehint.replay.prediction import Advance
from freehint.replay.replay import compare_lists
from freehint.replay.walker_five_steps import FiveStepWalks
from freehint.replay.walker_knobs import knobs_before
from freehint.replay.walker_walks import CallWalks, Walks


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
        measured_X for event, pfn, order, migratetype, a, b and c, and equal.
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
    walks = walks_of(recording, at)
    walks.play(at)
    counts, memory = walks.advance.run.counts, walks.advance.memory
    return WalkerPrediction(
        Path(stem).name,
        knobs=walks.knobs,
        rows=walks.table(),
        extra=walks.extra,
        scored=int(counts[rows.C_SCORED]),
        hits=int(counts[rows.C_HITS]),
        refused=int(counts[rows.C_REFUSED]),
        lists=compare_lists(memory, recording.t1),
        marks=_wrong_marks(memory, walks, recording.t1),
    )


def walks_of(recording: Recording, at: np.ndarray) -> Walks:
    """The walks of a recording, not played yet; ``at`` are the positions of the walker's rows."""
    first, trace = int(at[0]), recording.trace
    if trace["event"].iloc[first] != "w_walk_begin":
        where = f"{recording.stem}.trace.parquet: row {trace['seq'].iloc[first]}"
        raise InputError(f"{where} ({trace['event'].iloc[first]}): its walk began before T0")
    knobs = knobs_before(recording, first)
    kind = FiveStepWalks if knobs["five_step"] else CallWalks
    return kind(recording, knobs, Advance(recording))


def _wrong_marks(model: Memory, walks: Walks, recorded: Memory) -> int:
    """The number of blocks whose Reported flag at T1 differs."""
    marked = (model.frame & walks.mark != 0) & bool(walks.knobs["mark"])
    return int((marked != (recorded.frame & REPORTED != 0)).sum())
