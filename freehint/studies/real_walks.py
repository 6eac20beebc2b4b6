"""What a walk did, counted from its rows: those that a real kernel wrote, or those predicted."""

import pandas as pd

from freehint.replay.walker.walks import FIELDS
from freehint.replay.walkers import WalkerPrediction

STALE, BY_STEP_5 = 0, 1  # w_used: its stay is over; w_putback: in the allocator
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
        of step 5:
        interrupts, put_back and withdrawn (blocks).
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
            rows = one.rows[[f"{prefix}_{name}" for name in FIELDS]].set_axis(FIELDS, axis=1)
            found[one.recording, side] = walk_counts(rows)
    return pd.DataFrame.from_dict(found, orient="index").rename_axis(["recording", "side"])
