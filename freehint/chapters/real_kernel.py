"""Chapter 10, the real kernel: replays by rules that are wrong on purpose."""

import pandas as pd

from freehint.replay import replay

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
