"""What hinting costs a guest under pressure: reclaim, stalls, kills, and what is held meanwhile.

Each policy runs the same drawn guests (:mod:`freehint.studies.pressure.guests`), and the
differences are those of pairs (:mod:`freehint.sweeps.paired`).
"""

import pandas as pd

from freehint.policies.five_step import FiveStep
from freehint.studies.pressure.guests import drawn_guest
from freehint.studies.pressure.liveness import NONE, memory_runs_out
from freehint.sweeps.paired import NO_DIFFERENCE, Measure, amount, judged, paired
from freehint.units import MIB, NS_PER_MS, NS_PER_S

# Hosts: one that answers after 10 ms at most times, and one that is away for a second at a time.
PROMPT = {"host.gap_ns": 10 * NS_PER_MS, "host.gap_every_ns": 20 * NS_PER_MS}
AWAY = {"host.gap_ns": NS_PER_S, "host.gap_every_ns": NS_PER_S}
# Step 5 whole, and its parts left out one by one: each differs from the one before in one thing.
STEP_5 = (
    FiveStep("step 5"),
    FiveStep("callback alone", shrink=None),
    FiveStep("no step 5", shrink=None, on_empty=None),
)
KILLS = "kills more"
NOTHING = "·"
LEAST = {"took_s": 0.01}  # shorter differences are not worth a word
MEASURES = (
    Measure("stalls", "stalls"),
    Measure("stall_ms", "in stalls", "ms"),
    Measure("reclaimed_MiB", "reclaimed", "MiB"),
    Measure("read_again_MiB", "read again", "MiB"),
    Measure("took_s", "jobs took", "s"),
    Measure("least_held_MiB", "held", "MiB"),
)


def toll_of(run) -> dict:
    """What one run cost its guest.

    Parameters
    ----------
    run : Run
        Of a guest under pressure.

    Returns
    -------
    dict
        ooms: processes killed; stalls, stall_ms: of allocations in direct reclaim or compaction;
        reclaimed_MiB, read_again_MiB: evicted, and refaults of files; took_s: the end of the last
        step (NaN if it has not ended or a process was killed); held_MiB, least_held_MiB: held for
        the host, as the mean of 101 moments and when least memory was free.
    """
    jobs, last = run.jobs, run.reclaim.iloc[-1]
    held = run.held.groupby("time_s")["pages"].sum()
    free = run.history.groupby("time_s")["free_pages"].sum()
    done = (jobs["outcome"] == "done").all()
    return {
        "ooms": int(jobs["ooms"].sum()),
        "stalls": int(jobs["stalls"].sum()),
        "stall_ms": float(jobs["stall_ns"].sum() / NS_PER_MS),
        "reclaimed_MiB": float((last["pgsteal_kswapd"] + last["pgsteal_direct"]) * MIB),
        "read_again_MiB": float(last["workingset_refault_file"] * MIB),
        "took_s": float(jobs["end_ns"].max() / NS_PER_S) if done else float("nan"),
        "held_MiB": float(held.mean() * MIB) if len(held) else 0.0,
        "least_held_MiB": float(held.get(free.idxmin(), 0) * MIB),
    }


def toll(state: str, policies, seeds, values=PROMPT) -> pd.DataFrame:
    """Run drawn guests under several policies, with the same seeds.

    Parameters
    ----------
    state : str
        "calm", "pressed" or "brink".
    policies : sequence of str or Policy
        "none" is added if it is not there.
    seeds : sequence of int
    values : dict
        Further values of the scenario by path, such as PROMPT or AWAY.

    Returns
    -------
    DataFrame
        One row per policy and seed: policy, seed and the entries of :func:`toll_of`.

    Raises
    ------
    InputError
        A state or a policy is not known, or the seeds are no list of different whole numbers.
    """
    return memory_runs_out(policies, seeds, drawn_guest(state, values), toll_of)


def changed(table: pd.DataFrame, against: str = NONE, measures=MEASURES) -> pd.DataFrame:
    """What each policy changes, for people.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`toll`.
    against : str
        The policy that the others are compared with.
    measures : sequence of Measure

    Returns
    -------
    DataFrame
        One row for each other policy, in the order of the runs; one column for each measure that
        all runs have: the mean difference with its interval where it leaves out 0 and is not below
        LEAST, else NOTHING; and the last, the number of seeds in which the policy had a process
        killed and the other had not.
    """
    known = [one for one in measures if not table[one.outcome].isna().any()]
    found = paired(table, [one.outcome for one in known], against)
    levels = [name for name in table["policy"].unique() if name != against]
    kills = table.pivot(index="seed", columns="policy", values="ooms") > 0
    cells = {}
    for one in known:
        rows = found[found["outcome"] == one.outcome].set_index("level")
        name = f"{one.words} ({one.unit})" if one.unit else one.words
        cells[name] = [_cell(rows.loc[level], one) for level in levels]
    cells[KILLS] = [int((kills[level] & ~kills[against]).sum()) for level in levels]
    return pd.DataFrame(cells, index=pd.Index(levels, name="policy"))


def _cell(row, measure: Measure) -> str:
    text = amount(row.difference, row.half_width, "")
    if abs(row.difference) < LEAST.get(measure.outcome, 0):
        return NOTHING
    words = judged(row.difference, row.half_width, text, text)
    return NOTHING if words == NO_DIFFERENCE else text


def silent(table: pd.DataFrame) -> pd.Series:
    """In which rows of a table made by :func:`changed` nothing differs."""
    return table.drop(columns=KILLS).eq(NOTHING).all(axis=1) & (table[KILLS] == 0)


def killed(table: pd.DataFrame) -> str:
    """In how many guests a process was killed under each policy, in one sentence.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`toll`.
    """
    seeds = table.groupby("policy")["seed"].nunique().max()
    deaths = table.groupby("policy", sort=False)["ooms"].agg(lambda ooms: int((ooms > 0).sum()))
    parts = [f"{n} with {name}" if not n else f"**{n} with {name}**" for name, n in deaths.items()]
    return f"Of {seeds} guests, a process is killed in {', '.join(parts)}."
