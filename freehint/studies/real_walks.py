"""What a walk did, counted from its rows: those that a real kernel wrote, or those predicted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError, one_of
from freehint.data import data
from freehint.engine.guest.recorded_guest import RecordedGuest, recording_stem
from freehint.formats.traces.recording import load_recording
from freehint.replay.counterfactual import counterfactual, loaded, recorded_policy
from freehint.replay.walker.knobs import FIVE_STEP, RESTART
from freehint.replay.walkers import WalkerPrediction, walker_predictions
from freehint.runs.scenario import Scenario
from freehint.sweeps.paired import Measure, amount, sentence
from freehint.units import NS_PER_MS, NS_PER_US

QUESTIONS = ("rotation", "restart", "lock", "steps")
STALE, BY_STEP_5 = 0, 1  # w_used: its stay is over; w_putback: in the allocator
TWICE = Measure("duplicate_pages", "pages sent twice")
WAIT = Measure("wait_ms", "longest wait of an allocation", "ms")
LOST = Measure("lost_pages", "pages lost to a full ring")
SIDES = {"recorded": "measured", "predicted": "predicted"}


def walk_counts(rows: pd.DataFrame) -> dict:
    """Counts of the rows of walks.

    Parameters
    ----------
    rows : DataFrame
        Columns event, order, a, b and c of the walker's rows, in their order; ``data/README.md``
        tells what they mean.

    Returns
    -------
    dict
        walks; strokes; reports (taken by the ring); lost; duplicates (taken, and reported before in
        the same stay), in_walk (those reported before in the same walk); hinted_MiB (each stay
        once); stale (over when the host took them); holds; most_in_a_hold (blocks looked at); and
        of step 5: interrupts, put_back and withdrawn (blocks).
    """
    event = rows["event"].astype(str)
    reports, used, back = (rows[event == name] for name in ("w_report", "w_used", "w_putback"))
    taken = reports["a"] == 1
    again = taken & (reports["c"] == 1)
    walk = (event == "w_walk_end").cumsum().loc[reports.index]
    first_in_walk = ~pd.DataFrame({"walk": walk, "stay": reports["b"]}).duplicated()
    once = reports[taken].drop_duplicates("b")
    holds = blocks_in_holds(rows)
    return {
        "walks": int((event == "w_walk_end").sum()),
        "strokes": int((event == "w_stroke_end").sum()),
        "reports": int(taken.sum()),
        "lost": int((~taken).sum()),
        "duplicates": int(again.sum()),
        "in_walk": int((again & ~first_in_walk).sum()),
        "hinted_MiB": int((2 ** once["order"].astype(int)).sum()) // 256,
        "stale": int((used["a"] == STALE).sum()),
        "holds": len(holds),
        "most_in_a_hold": int(holds.max()),
        "interrupts": int((event == "w_interrupt").sum()),
        "put_back": int((back["c"] == BY_STEP_5).sum()),
        "withdrawn": int(rows["a"][event == "w_withdraw"].sum()),
    }


def blocks_in_holds(rows: pd.DataFrame) -> pd.Series:
    """How many blocks were looked at under each hold of a zone's lock, from a walker's rows.

    A hold of all zones' locks is one hold.  The holds in which the five steps put blocks back are
    none, because nothing is looked at.
    """
    event = rows["event"].astype(str)
    whole = event.eq("w_hold_end") & ~event.eq("w_putback").any()
    return rows["a"][whole] if whole.any() else rows["b"][event == "w_list_end"]


def counted_walks(predictions: list[WalkerPrediction]) -> pd.DataFrame:
    """The counts of every recording, from the kernel's rows and from the predicted ones.

    Parameters
    ----------
    predictions : list of WalkerPrediction

    Returns
    -------
    DataFrame
        One row per recording and side (recorded, predicted), with the counts of
        :func:`walk_counts`.
    """
    found = {}
    for one in predictions:
        for side, prefix in SIDES.items():
            found[one.recording, side] = walk_counts(one.side(prefix))
    return pd.DataFrame.from_dict(found, orient="index").rename_axis(["recording", "side"])


def predicted_walks(recordings) -> list[WalkerPrediction]:
    """Predict every walk in a folder of recordings.

    Parameters
    ----------
    recordings : str or Path
        A folder, or the name of one in the sample data.

    Raises
    ------
    InputError
        There is no such folder, it has no walk, or a recording cannot be used.
    """
    return walker_predictions(recordings if Path(recordings).is_dir() else _sample(recordings))


def _sample(name) -> Path:
    try:
        return data(name)
    except FileNotFoundError as error:
        raise InputError(f"recordings: {error}") from None


def that_ask(question: str, predictions: list[WalkerPrediction]) -> list[WalkerPrediction]:
    """The recordings that bear on one of the thread's four questions, by their knobs.

    Parameters
    ----------
    question : "rotation", "restart", "lock", "steps"
        "rotation": the walk begins at the head each time; "restart": it goes on where it was;
        "lock": it holds the locks of all zones; "steps": it takes blocks off their lists.
    predictions : list of WalkerPrediction
    """
    one_of("question", question, QUESTIONS)
    return [one for one in predictions if _question_of(one.knobs) == question]


def _question_of(knobs: dict) -> str:
    if not knobs["mark"]:
        return "none"  # its rows cannot tell a stay from another
    if knobs[FIVE_STEP]:
        return "steps"
    if knobs["lock"]:
        return "lock"
    return "rotation" if knobs["resume"] == RESTART else "restart"


def with_and_without_rotation(stem) -> pd.DataFrame:
    """The recorded demand of a walk, with the recorded knob ``rotate`` and with the other.

    Parameters
    ----------
    stem : str or Path
        See :func:`freehint.counterfactual`.

    Returns
    -------
    DataFrame
        Rows of :func:`freehint.counterfactual`: what was recorded, and what is predicted exactly
        for both; ``policy`` is the value of ``rotate``.
    """
    policy = recorded_policy(recording := loaded(stem))
    others = [replace(policy, name=rotate, rotate=rotate) for rotate in ("never", "on_exit")]
    table = counterfactual(recording, others, ways=("predicted exactly",), reuse="left_lists")
    table.loc[table["run"] == "recorded", "policy"] = policy.rotate
    return table


def by_lap_rule(stem) -> pd.DataFrame:
    """The recorded demand of a walk that scans for A, under every rule for the end of its lap.

    Parameters
    ----------
    stem : str or Path
        See :func:`freehint.counterfactual`.

    Returns
    -------
    DataFrame
        Rows of :func:`freehint.counterfactual`; ``policy`` is the rule.
    """
    policy = replace(recorded_policy(recording := loaded(stem)), rotate="on_exit")
    scans = {name: {"resume": "scan_for_first", "lap": name} for name in ("always", "shrinks")}
    scans["any reported block"] = {"resume": "scan_for_mark"}
    others = [replace(policy, name=name, **knobs) for name, knobs in scans.items()]
    return counterfactual(recording, others, ways=("predicted exactly",), reuse="left_lists")


def same_walk(stem) -> Scenario:
    """The scenario of a recorded guest that runs again under the policy of its first walk.

    Parameters
    ----------
    stem : str or Path
        See :func:`freehint.counterfactual`.
    """
    loaded = load_recording(recording_stem(stem))
    begins = np.flatnonzero((loaded.trace["event"] == "w_walk_begin").to_numpy())
    ts_us = loaded.trace["ts_us"].to_numpy(np.int64)
    guest = RecordedGuest(stem)
    return Scenario(
        policy=replace(recorded_policy(stem), name="simulated"),
        workload=guest,
        walk_at_ns=int(ts_us[begins[0]] - ts_us[0]) * NS_PER_US,
        duration_ns=guest.loaded.lap_ns + 1,
    )


def answers(walks: list, rotation: pd.DataFrame, laps: pd.DataFrame, simulated: dict):
    """The four questions, each with what was recorded, predicted exactly and simulated.

    Parameters
    ----------
    walks : list of WalkerPrediction
    rotation : DataFrame
        Rows of :func:`with_and_without_rotation`, of all recordings that ask.
    laps : DataFrame
        Rows of :func:`by_lap_rule`, of all recordings that ask.
    simulated : dict
        Question -> rows of :func:`freehint.paired`; for "rotation" the row of the survival.

    Returns
    -------
    DataFrame
        Columns recorded, predicted exactly and simulated, with the question as the index.
    """
    counts = counted_walks(walks)
    gain = 100 * simulated["rotation"][["difference", "half_width"]]
    rows = {
        "rotation": (*_reuse(rotation), amount(*gain, "points of survival")),
        "restart": (*_twice(laps), _said(simulated["restart"], TWICE)),
        "lock": (
            *_both("lock", walks, counts, _hold),
            _said(simulated["lock"], WAIT, LOST),
        ),
        "steps": (
            *_both("steps", walks, counts, _steps),
            _said(simulated["steps"], WAIT, LOST),
        ),
    }
    columns = ["recorded", "predicted exactly", "simulated"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


NONE = "no recording asks it"


def _reuse(table: pd.DataFrame) -> list:
    """Per run: the shares of hints that were used again after 128 MiB, by ``rotate``."""
    found = []
    for run in ("recorded", "predicted exactly"):
        shares = table[table["run"] == run].groupby("policy")["reused_128MiB"]
        spans = shares.agg(["min", "max"]).dropna().itertuples()
        told = [f"{name}: {low:.0%} to {high:.0%}" for name, low, high in spans]
        found.append(f"used again after 128 MiB, {'; '.join(told)}" if told else NONE)
    return found


def _twice(laps: pd.DataFrame) -> list:
    """Reports of blocks that were reported before in the same walk."""
    if laps.empty:
        return [NONE, NONE]
    sums = laps.groupby(["run", "policy"], sort=False)[["duplicates_in_walk", "reports"]].sum()
    recorded = sums.xs("recorded").sum()
    rules = sums.xs("predicted exactly")["duplicates_in_walk"]
    told = ", ".join(f"{rule}: {twice:,}" for rule, twice in rules.items())
    return [
        f"{recorded['duplicates_in_walk']:,} of {recorded['reports']:,} reports are of blocks told"
        " before in the walk",
        f"by the rule of the lap: {told}",
    ]


def _both(question: str, walks: list, counts: pd.DataFrame, tell) -> list:
    """What the recorded rows tell on a question, and what the predicted ones tell."""
    if not (names := [walk.recording for walk in that_ask(question, walks)]):
        return [NONE, NONE]
    return [tell(counts.xs(side, level="side").loc[names]) for side in SIDES]


def _hold(rows: pd.DataFrame) -> str:
    return f"up to {rows['most_in_a_hold'].max():,} blocks in a hold, {rows['stale'].sum()} stale"


def _steps(rows: pd.DataFrame) -> str:
    return (
        f"{rows['stale'].sum()} stale of {rows['reports'].sum():,}; step 5 came"
        f" {rows['interrupts'].sum()} times and put back {rows['put_back'].sum()} blocks"
    )


def _said(table: pd.DataFrame, *measures: Measure) -> str:
    """The comparing sentences on some outcomes of a table of :func:`freehint.paired`."""
    rows = [(row, m) for m in measures for row in table.itertuples() if row.outcome == m.outcome]
    return "; ".join(sentence(row, measure) for row, measure in rows)


def in_ms(table: pd.DataFrame) -> pd.DataFrame:
    """A table of summaries with the longest wait of an allocation in ms, as ``wait_ms``."""
    return table.assign(wait_ms=table["alloc_wait_max_ns"] / NS_PER_MS)
