"""Tables that chapters ask for: what was reused, how long lists are held, what wrong rules do."""

import numpy as np
import pandas as pd

from freehint.formats.tables import free_lists
from freehint.mm.memory import MIGRATETYPE_NAMES, Memory
from freehint.replay.replay import replay
from freehint.units import NS_PER_MS


def reuse_by_position(before: Memory, after: Memory, order=10, parts=10) -> pd.DataFrame:
    """Of the longest list of an order, from head to tail: what is no longer free later.

    Returns
    -------
    DataFrame
        part (0 at the head), blocks, reused (share of the pages).
    """
    lists = free_lists(before)
    lists = lists[lists["order"] == order]
    sizes = lists.groupby(["zone", "migratetype"], observed=True).size()
    zone, migratetype = sizes.idxmax()
    chosen = lists[(lists["zone"] == zone) & (lists["migratetype"] == migratetype)]
    free = np.zeros(after.nr_pages, np.bool_)
    for k, pfn in free_lists(after)[["order", "pfn"]].itertuples(index=False):
        free[pfn - after.base_pfn : pfn - after.base_pfn + (1 << k)] = True
    starts = chosen["pfn"].to_numpy() - before.base_pfn
    reused = [1 - free[start : start + (1 << order)].mean() for start in starts]
    part = np.arange(len(chosen)) * parts // len(chosen)
    table = pd.DataFrame({"part": part, "reused": reused}).groupby("part")["reused"]
    return pd.DataFrame({"blocks": table.size(), "reused": table.mean()}).reset_index()


def holds_of_lists(run) -> pd.DataFrame:
    """The holds of a walk that takes the lock list by list: which list each was."""
    lists = run.reports.groupby(["user", "stroke"], observed=True)[["order", "migratetype"]].first()
    table = run.locks.merge(lists.reset_index(), on=["user", "stroke"])
    table["migratetype"] = [MIGRATETYPE_NAMES[m] for m in table["migratetype"]]
    return table


def per_block(run) -> pd.Series:
    """What a policy held the zone lock for: in all (ms), a block (ns) and at most (µs)."""
    held = run.locks["held_ns"]
    blocks = len(run.reports)
    return pd.Series(
        {
            "blocks reported": blocks,
            "lock held in all (ms)": round(held.sum() / NS_PER_MS, 1),
            "a block (ns)": round(held.sum() / blocks) if blocks else 0,
            "longest hold (µs)": round(held.max() / 1e3, 1),
        },
        dtype=object,
    )


def told_mib(reports: pd.DataFrame, within_ns: int) -> float:
    """Memory (MiB) that the ring took in so many ns from the first report on.

    Parameters
    ----------
    reports : DataFrame
        Of a run.
    """
    early = reports["time_ns"] < reports["time_ns"].min() + within_ns
    return reports.loc[early & reports["taken"], "nr_pages"].sum() / 256


def lost_share(table: pd.DataFrame) -> pd.DataFrame:
    """Of the pages offered, the share lost on a full ring, mean of the seeds.

    Parameters
    ----------
    table : DataFrame
        Of :func:`freehint.sweep`, over "host.gap_ns" and "ring.size".

    Returns
    -------
    DataFrame
        A row an absence (ms), a column a ring size.
    """
    lost = table["lost_pages"] / table["offered_pages"]
    away_ms = (table["host.gap_ns"] // 1_000_000).rename("host away (ms)")
    shares = lost.groupby([away_ms, table["ring.size"].rename("ring size")]).mean()
    return shares.unstack()


RULES = {
    None: "as the kernel",
    "always_head": "always to the head",
    "lowest_first": "lowest address first",
    "no_claim": "no pageblock is claimed",
    "wrong_batch": "half the batch",
}


def by_wrong_rules(stem, rules, level="buddy", resync=(False,)) -> pd.DataFrame:
    """A recording replayed by the kernel's rules and by others.

    Parameters
    ----------
    stem : str or Path
        Of the recording (:func:`freehint.replay`).
    rules : sequence of str
        Keys of ``RULES``: ablations.
    level : "buddy" or "pcp"
    resync : sequence of bool
        Whether the model is put right after every miss; each is tried.

    Returns
    -------
    DataFrame
        rule, put right, hits (share of what is scored), misses, lists equal at T1; a row a replay.
    """
    rows = []
    for rule in (None, *rules):
        for put_right in resync:
            found = replay(stem, level, "probes", ablation=rule, resync=put_right)
            equal = f"{found.t1_lists['equal'].sum()} of {len(found.t1_lists)}"
            hits = f"{found.hits / found.scored:.1%}"
            rows.append((RULES[rule], "yes" if put_right else "no", hits, int(found.misses), equal))
    names = ["rule", "put right", "hits", "misses", "lists equal at T1"]
    return pd.DataFrame(rows, columns=names)


def free_shares(history: pd.DataFrame) -> pd.DataFrame:
    """Of all free memory, what stands in large blocks and what sits on pcp lists, over time.

    Parameters
    ----------
    history : DataFrame
        Of :func:`freehint.replay_history`.

    Returns
    -------
    DataFrame
        "orders 9 and 10", "order 10", "pcp": shares; indexed by time_s.
    """
    pages = history.pivot_table(index="time_s", columns="order", values="free_pages")
    parts = {"orders 9 and 10": pages[9] + pages[10], "order 10": pages[10], "pcp": pages[-1]}
    return pd.DataFrame(parts).div(pages.sum(axis=1), axis=0)
