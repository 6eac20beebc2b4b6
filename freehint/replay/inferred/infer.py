"""All that a replay infers, one after another."""

from dataclasses import dataclass, replace

import numpy as np

from freehint.formats.traces.recording import Recording
from freehint.formats.traces.table import IRQ_COLUMN
from freehint.replay.inferred.boost import infer_balance_ends, infer_boost_ends
from freehint.replay.inferred.overtaken import infer_overtaken


@dataclass(frozen=True)
class Inferred:
    """What a replay inferred, in numbers; ``order`` is that of the rows, None if none moved."""

    boost_ends: int = 0
    balance_ends: int = 0
    overtaken: int = 0
    order: np.ndarray | None = None


def put_in_order(recording: Recording, found: Inferred) -> Recording:
    """A recording with its rows in the inferred order."""
    if not found.overtaken:
        return recording
    moved = recording.moved + found.overtaken
    return replace(recording, trace=recording.trace.iloc[found.order], moved=moved)


def infer_all(recording: Recording, columns, level: str, done, run_all):
    """Infer what no row tells; return the last of the replays that it took, and the findings."""
    done, boost_ends = infer_boost_ends(columns, done, run_all)
    done, balance_ends = infer_balance_ends(columns, done, run_all)
    if level == "buddy" or not recording.contexts:
        return done, Inferred(boost_ends, balance_ends)
    depth = recording.trace[IRQ_COLUMN].to_numpy()
    done, order, overtaken = infer_overtaken(columns, depth, done, run_all)
    return done, Inferred(boost_ends, balance_ends, overtaken, order)
