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

from freehint.config import InputError, one_of
from freehint.formats.traces import rows
from freehint.formats.traces.recording import Recording, load_recording
from freehint.mm.memory import REPORTED, Memory
from freehint.replay.result import compare_lists
from freehint.replay.validate import recordings
from freehint.replay.walker.ablations import ABLATIONS, ablations_of
from freehint.replay.walker.five_steps import FiveStepWalks
from freehint.replay.walker.knobs import FIVE_STEP, knobs_before, policy_of
from freehint.replay.walker.walks import FIELDS, CallWalks, Walks


@dataclass(frozen=True)
class WalkerPrediction:
    """The prediction of one recording with walks.

    Attributes
    ----------
    stem : Path
        The recording's path up to its name.
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

    stem: Path
    knobs: dict
    rows: pd.DataFrame
    extra: int
    scored: int
    hits: int
    refused: int
    lists: pd.DataFrame
    marks: int

    @property
    def recording(self) -> str:
        """The recording's name."""
        return self.stem.name

    def side(self, side: str) -> pd.DataFrame:
        """The rows of the walker on one side, "predicted" or "measured".

        Returns
        -------
        DataFrame
            Columns event, pfn, order, migratetype, a, b and c.
        """
        return self.rows[[f"{side}_{name}" for name in FIELDS]].set_axis(FIELDS, axis=1)

    def summary(self) -> dict:
        """The values of one row in a table of recordings: predicted / all of each kind."""
        equal = self.rows["equal"].to_numpy()
        events = self.rows["measured_event"]
        reports, strokes = (events == "w_report", events == "w_stroke_end")
        return {
            "recording": self.recording,
            "policy": policy_text(self.knobs),
            "rows": f"{equal.sum()}/{len(equal)}",
            "extra": self.extra,
            "reports": f"{equal[reports].sum()}/{reports.sum()}",
            "strokes": f"{equal[strokes].sum()}/{strokes.sum()}",
            "zone_locked": f"{self.hits}/{self.scored}",
            "refused": self.refused,
            "T1 lists": f"{self.lists['equal'].sum()}/{len(self.lists)}",
            "marks": self.marks,
            "verdict": "good" if self.good else "MISSED",
        }

    def misses(self) -> dict:
        """The numbers of misses, for a table of ablations."""
        reports = self.rows["measured_event"] == "w_report"
        return {
            "zone_locked": self.scored - self.hits,
            "rows": int((~self.rows["equal"]).sum()),
            "extra": self.extra,
            "reports": int((~self.rows["equal"] & reports).sum()),
            "T1 lists": int((~self.lists["equal"]).sum()),
            "marks": self.marks,
        }

    @property
    def good(self) -> bool:
        """Whether everything is predicted."""
        walks = bool(self.rows["equal"].all()) and self.extra == 0
        guest = self.hits == self.scored and self.refused == 0
        return walks and guest and bool(self.lists["equal"].all()) and self.marks == 0


def predict_walker(stem, ablation: str | None = None) -> WalkerPrediction | None:
    """Predict every walk in a recording; None if there is none.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0 with Reported marks, NAME.T1 and NAME.trace.
    ablation : str, optional
        A rule made wrong on purpose: one of ``ABLATIONS`` in freehint/replay/walker/ablations.py.

    Raises
    ------
    InputError
        The recording cannot be used.
    """
    one_of("ablation", ablation, (None, *ABLATIONS))
    recording = load_recording(stem)
    at = walker_rows(recording)
    if not len(at):
        return None
    walks = walks_of(recording, at, ablation)
    walks.play(at)
    counts, memory = walks.advance.run.counts, walks.advance.memory
    return WalkerPrediction(
        Path(stem),
        knobs=walks.knobs,
        rows=walks.table(),
        extra=walks.extra,
        scored=int(counts[rows.C_SCORED]),
        hits=int(counts[rows.C_HITS]),
        refused=int(counts[rows.C_REFUSED]),
        lists=compare_lists(memory, recording.t1),
        marks=_wrong_marks(memory, walks, recording.t1),
    )


def walker_rows(recording: Recording) -> np.ndarray:
    """int64[n]: the positions of the walker's rows between T0 and T1."""
    return np.flatnonzero(recording.trace["event"].str.startswith("w_"))


def walks_of(recording: Recording, at: np.ndarray, ablation: str | None = None) -> Walks:
    """The walks of a recording, not played yet.

    Parameters
    ----------
    recording : Recording
    at : int64[n]
        The positions of the walker's rows, at least one.
    ablation : str, optional

    Raises
    ------
    InputError
        The walks cannot be predicted: a snapshot has no Reported marks, T0 has marks already, the
        walk began before T0, or its knobs are not told or unknown.
    """
    first, trace, stem = int(at[0]), recording.trace, recording.stem
    for moment, memory in (("T0", recording.t0), ("T1", recording.t1)):
        if not memory.reported_known:
            raise InputError(
                f"{stem}.{moment}.freelist.parquet: has no column 'reported', but the trace has"
                f" walks from row {trace['seq'].iloc[first]} on"
            )
    if (recording.t0.frame & REPORTED).any():
        raise InputError(
            f"{stem}.T0.freelist.parquet: blocks have the Reported flag already, from a walk before"
            " T0 whose stays have numbers that nothing tells"
        )
    if trace["event"].iloc[first] != "w_walk_begin":
        where = f"{stem}.trace.parquet: row {trace['seq'].iloc[first]}"
        raise InputError(f"{where} ({trace['event'].iloc[first]}): its walk began before T0")
    knobs = knobs_before(recording, first)
    kind = FiveStepWalks if knobs[FIVE_STEP] else CallWalks
    return kind(recording, knobs, ablation)


def _wrong_marks(model: Memory, walks: Walks, recorded: Memory) -> int:
    """The number of blocks whose Reported flag at T1 differs."""
    marked = (model.frame & walks.mark != 0) & bool(walks.knobs["mark"])
    return int((marked != (recorded.frame & REPORTED != 0)).sum())


def policy_text(knobs: dict[str, int]) -> str:
    """The knobs of a walk in short, such as ``on_exit, newest_report, 64 a call``."""
    policy = policy_of(knobs)
    words = ["five steps"] if knobs[FIVE_STEP] else [policy.rotate, policy.resume]
    words.append(f"{policy.capacity} a call" if policy.capacity else "no limit")
    words += [f"order >= {policy.min_order}"] if policy.min_order else []
    words += ["low first"] if policy.order == "low_first" else []
    words += ["all zones locked"] if knobs["lock"] else []
    return ", ".join(words)


def walker_predictions(folder, progress=None) -> list[WalkerPrediction]:
    """Predict every recording of a folder in which a walker ran.

    Raises
    ------
    InputError
        There is no such folder, it holds no recording with a walk, or a file cannot be used.
    """
    stems = recordings(folder)
    found = [predict_walker(stem) for stem in (progress or iter)(stems)]
    found = [one for one in found if one is not None]
    if not found:
        raise InputError(f"{folder}: holds no recording with rows of a walker")
    return found


def walker_ablations(folder, progress=None) -> pd.DataFrame:
    """Predict every recording of a folder by each wrong rule that concerns it.

    Returns
    -------
    DataFrame
        Columns recording, ablation, the misses of each kind and refuted.
    """
    found = []
    for stem in (progress or iter)(recordings(folder)):
        right = predict_walker(stem)
        for name in ablations_of(right.knobs) if right else ():
            wrong = predict_walker(stem, name)
            told = {"recording": wrong.recording, "ablation": name, **wrong.misses()}
            found.append(told | {"refuted": not wrong.good})
    return pd.DataFrame(found)


def validate_walker(folder, progress=None):
    """Predict every row of the walkers in the recordings of a folder.

    Parameters
    ----------
    folder : str or Path
        It holds NAME.T0 and NAME.T1 with Reported marks, and NAME.trace with rows of a walker.
    progress : callable, optional
        Wraps the list of stems, as tqdm does.

    Returns
    -------
    (DataFrame, bool)
        A table with one row per recorded row of a walker; see :class:`WalkerPrediction`.  Whether
        every row, every block that left the lists, every list at T1 and every mark is predicted.

    Raises
    ------
    InputError
        A recording cannot be used.
    """
    found = walker_predictions(folder, progress)
    return pd.concat([one.rows for one in found], ignore_index=True), all(o.good for o in found)
