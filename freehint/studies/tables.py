"""Tables for the notebooks: reuse by position, holds of the lock, wrong rules, several kernels."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import require
from freehint.data import data
from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.formats.tables import free_lists
from freehint.mm.memory import MIGRATETYPE_NAMES, Memory
from freehint.mm.profile import PROFILES
from freehint.replay.replay import replay
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.units import NS_PER_S


def reuse_by_position(before: Memory, after: Memory, order=10, parts=10) -> pd.DataFrame:
    """How much of the longest list of an order is no longer free later, from head to tail.

    Returns
    -------
    DataFrame
        One row for each of ``parts`` parts: part (0 at the head), blocks, reused (the share
        of their pages that is not free in ``after``).
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
    """The holds of a walk that takes the lock list by list, with the order and type of the list."""
    lists = run.reports.groupby(["user", "stroke"], observed=True)[["order", "migratetype"]].first()
    table = run.locks.merge(lists.reset_index(), on=["user", "stroke"])
    table["migratetype"] = [MIGRATETYPE_NAMES[m] for m in table["migratetype"]]
    return table


def lock_costs(runs) -> pd.DataFrame:
    """How long policies held the zone lock: in all, for each block that they reported, at most.

    Parameters
    ----------
    runs : iterable of Run

    Returns
    -------
    DataFrame
        One row per run: policy, seed, held_ns, block_ns (held_ns over the blocks reported; nan if
        there are none), longest_ns.
    """
    rows = []
    for run in runs:
        held = run.locks["held_ns"]
        each = held.sum() / len(run.reports) if len(run.reports) else np.nan
        longest = held.max() if len(held) else 0
        rows.append((run.summary["policy"], run.summary["seed"], held.sum(), each, longest))
    return pd.DataFrame(rows, columns=["policy", "seed", "held_ns", "block_ns", "longest_ns"])


def told_mib(reports: pd.DataFrame, within_ns: int) -> float:
    """The memory (MiB) that the ring took within ``within_ns`` of the first report.

    Parameters
    ----------
    reports : DataFrame
        ``Run.reports``.
    within_ns : int
    """
    early = reports["time_ns"] < reports["time_ns"].min() + within_ns
    return reports.loc[early & reports["taken"], "nr_pages"].sum() / 256


def lost_share(table: pd.DataFrame) -> pd.DataFrame:
    """The share of the offered pages that a full ring lost, as a mean over the seeds.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.sweep` over "host.gap_ns" and "ring.size".

    Returns
    -------
    DataFrame
        One row per length of the host's absences (ms), one column per ring size.
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
    "no_rotation": "no list is turned unless a row tells",
    "no_zone_drain": "no zone is drained as a whole",
    "free_returned": "pages that compaction keeps are freed",
    "no_told_turn": "no list is turned, though rows tell",
    "no_reclaim_flag": "kswapd limits no list",
    "boosts_stay": "kswapd ends no boost",
    "no_look_in_vain": "a request that fails looks at no zone",
    "own_lists_drained": "a CPU drains no lists but its own",
}


def by_wrong_rules(stem, rules, level="buddy", resync=(False,)) -> pd.DataFrame:
    """Replay a recording by the kernel's rules and by wrong rules.

    Parameters
    ----------
    stem : str or Path
        The recording, as for :func:`freehint.replay`.
    rules : sequence of str
        Wrong rules (ablations): keys of ``RULES``.
    level : "buddy" or "pcp"
    resync : sequence of bool
        Whether the model is corrected after every miss; a replay is made with each value.

    Returns
    -------
    DataFrame
        One row per replay: rule, put right (whether the model was corrected), hits (share of the
        scored rows), misses, lists equal at T1.
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
    """The shares of all free memory in large blocks and on pcp lists, over time.

    Parameters
    ----------
    history : DataFrame
        The result of :func:`freehint.replay_history`.

    Returns
    -------
    DataFrame
        Columns "orders 9 and 10", "order 10" and "pcp"; the index is time_s.
    """
    pages = history.pivot_table(index="time_s", columns="order", values="free_pages")
    parts = {"orders 9 and 10": pages[9] + pages[10], "order 10": pages[10], "pcp": pages[-1]}
    return pd.DataFrame(parts).div(pages.sum(axis=1), axis=0)


def by_kernels(
    recordings,
    kernels,
    policy="restartable_cursor",
    walk_at_ns: int = 5 * NS_PER_S,
    later_ns: int = 20 * NS_PER_S,
) -> pd.DataFrame:
    """A recorded demand by the rules of several kernels: what does a walker find, and how long?

    Parameters
    ----------
    recordings : sequence of str
        Stems of recordings, as for :class:`freehint.RecordedGuest`; their names must differ.
    kernels : sequence of str
        As in :class:`freehint.Scenario`.
    policy : str or Policy
        It walks once.
    walk_at_ns : int
        The time of the walk.
    later_ns : int
        From the walk's begin to the moment at which its hints are judged.

    Returns
    -------
    DataFrame
        One row for each recording and kernel; the columns are shares: out of sight (pcp lists, of
        the free memory at the last look before the walk), still good (of the hinted memory,
        later_ns after the walk's begin).

    Raises
    ------
    InputError
        Two recordings have one name, or there is no such recording or kernel.
    """
    names = [Path(recording).name for recording in recordings]
    require(len(set(names)) == len(names), "recordings", "have different names", names)
    rows = {}
    for recording, kernel in product(recordings, kernels):
        guest = RecordedGuest(recording)
        run = simulate(
            Scenario(
                workload=guest,
                kernel=kernel,
                policy=policy,
                walk_at_ns=walk_at_ns,
                duration_ns=walk_at_ns + later_ns,
            )
        )
        looks = run.history[run.history["time_s"] <= walk_at_ns / NS_PER_S]
        free = looks[looks["time_s"] == looks["time_s"].max()].set_index("order")["free_pages"]
        rows[Path(recording).name, kernel] = {
            "out of sight": free[-1] / free.sum(),
            "still good": run.summary["survival"],
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis(["recording", "kernel"])


def by_each_kernels_rules(recorded: dict, kernels) -> pd.DataFrame:
    """The pages that a recording's replay at buddy level misses by the rules of several kernels.

    Parameters
    ----------
    recorded : dict
        A recording's kernel -> its name in the sample data's ``linux-KERNEL/traces``.
    kernels : sequence of str

    Returns
    -------
    DataFrame
        One row for each recording, one column for each kernel.
    """
    rows = {}
    for kernel, name in recorded.items():
        stem = data(f"linux-{kernel}/traces") / name
        rows[f"{kernel}, {name}"] = {
            f"rules of {rules}": replay(stem, "buddy", "probes", profile=PROFILES[rules]).misses
            for rules in kernels
        }
    return pd.DataFrame(rows).T.rename_axis("recorded")


def cannot_tell(crossed: pd.DataFrame) -> list[str]:
    """The rules of another kernel that miss nothing, in words.

    Parameters
    ----------
    crossed : DataFrame
        The result of :func:`by_each_kernels_rules`.
    """
    found = []
    for recording, row in crossed.iterrows():
        kernel, name = recording.split(", ")
        blind = [rules.removeprefix("rules of ") for rules, misses in row.items() if not misses]
        found += [f"{rules} on {kernel}'s {name}" for rules in blind if rules != kernel]
    return found


def rules_sentence(kernel: str, rules: str, found) -> str:
    """How a recording fares by the rules of another kernel.

    Parameters
    ----------
    kernel, rules : str
        Of the recording, and of the replay.
    found : Replay
    """
    equal = found.t1_lists["equal"].sum()
    return (
        f"By {rules}'s rules {found.misses:,} of {found.scored:,} pages of {kernel}'s recording are"
        f" missed, and {equal} of {len(found.t1_lists)} lists are equal at T1."
    )


def intervals_apart(decided: dict) -> list[str]:
    """The disputes in which the 95 % intervals of two kernels do not overlap.

    That one kernel's interval holds 0 and another's does not is no difference between them.

    Parameters
    ----------
    decided : dict
        kernel -> the table of :func:`freehint.verdicts`.
    """
    tables = [table.set_index("dispute") for table in decided.values()]
    lows = pd.concat([one["value"] - one["half_width"] for one in tables], axis=1)
    highs = pd.concat([one["value"] + one["half_width"] for one in tables], axis=1)
    return list(lows.index[lows.max(axis=1) > highs.min(axis=1)])
