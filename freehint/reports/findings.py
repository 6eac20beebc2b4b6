"""Findings of a run or a comparison, as sentences made from its numbers.

What compares two policies is made by :mod:`freehint.sweeps.paired`, seed by seed, so a difference
inside its interval is called none.
"""

import pandas as pd

from freehint.policies import BASELINE, POLICIES
from freehint.policies.walker import one_knob_pairs
from freehint.sweeps.paired import NO_DIFFERENCE, Measure, level, paired, sentence
from freehint.units import NS_PER_MS, PAGES_PER_MIB, format_ns, format_pages, format_share, micro

LOSSES = (
    Measure("allocations", "allocations done"),
    Measure("alloc_wait_max_ns", "longest wait of an allocation", "ms", NS_PER_MS),
)
HINTS = (
    Measure("coverage", "coverage", "%", 0.01),
    Measure("stale_pages", "stale memory", "MiB", PAGES_PER_MIB),
    Measure("lost_pages", "memory lost on a full ring", "MiB", PAGES_PER_MIB),
    Measure("survival", "survival", "%", 0.01),
    Measure("survival_equal_work", "survival at equal work", "%", 0.01),
)
MOVES = (
    Measure("sent_bytes", "bytes sent", "MB", 1e6),
    Measure("total_ns", "time of the migration", "ms", NS_PER_MS),
    Measure("downtime_ns", "downtime", "ms", NS_PER_MS),
)


def _bullets(sentences) -> str:
    return micro("\n".join(f"- {sentence}" for sentence in sentences))


def _values(table: pd.DataFrame, policy: str, name: str) -> pd.Series:
    return table.loc[table["policy"] == policy, name].astype(float)


def _about(table: pd.DataFrame, policy: str) -> str:
    """Sentences on one policy: its coverage, the time it took, and how long it held the lock."""
    mean = {
        name: float(_values(table, policy, name).mean())
        for name in ("lost_pages", "offered_pages", "duplicate_pages")
    }
    took, held = _values(table, policy, "walk_ns"), _values(table, policy, "lock_held_max_ns")
    walk = f"in {format_ns(took.mean())}" if (took >= 0).all() else "and did not finish"
    coverage = level(100 * _values(table, policy, "coverage"), "%")
    text = (
        f"**{policy}** told the host of {coverage} of the memory it could walk {walk}. It held the"
        f" zone lock for up to {format_ns(held.max())}."
    )
    if mean["lost_pages"]:
        share = mean["lost_pages"] / mean["offered_pages"]
        text += f" The full ring lost {format_share(share)} of the pages that it offered."
    if mean["duplicate_pages"]:
        text += f" {format_pages(mean['duplicate_pages'])} were hinted twice."
    if "retried_pages" in table and _values(table, policy, "retried_pages").sum() > 0:
        again = _values(table, policy, "retried_pages").mean()
        text += f" Blocks that were lost were offered again, {format_pages(again)} in all."
    return text


def compared(table: pd.DataFrame, measures, against: str = BASELINE.name) -> list[str]:
    """Sentences that compare each policy with one of them.

    Parameters
    ----------
    table : DataFrame
        One row of summary for each policy and seed.
    measures : sequence of Measure
        Those that the table does not have are left out, and so is a policy without a value.
    against : str

    Returns
    -------
    list of str
        A sentence for each difference, the largest first; the policies without one stand together
        in one sentence.
    """
    sentences = []
    for measure in measures:
        if measure.outcome not in table:
            continue
        known = table.groupby("policy")[measure.outcome].agg(lambda values: values.notna().all())
        if not known[against]:
            continue
        alike = []
        runs = table[table["policy"].map(known)]
        rows = paired(runs, [measure.outcome], against)
        largest_first = rows["difference"].abs().sort_values(ascending=False, kind="stable").index
        for row in rows.loc[largest_first].itertuples():
            text = sentence(row, measure)
            if NO_DIFFERENCE in text:
                alike.append(row.level)
            else:
                sentences.append(f"{text}.")
        if alike:
            names = ", ".join(alike)
            sentences.append(f"{measure.words}: {NO_DIFFERENCE} between {against} and {names}.")
    return sentences


def losses(table: pd.DataFrame) -> str:
    """What the guest lost to each policy (Markdown bullets): its work, and its longest wait.

    Parameters
    ----------
    table : DataFrame
        One row of summary for each policy and seed, "none" among the policies.
    """
    return _bullets(compared(table, LOSSES))


def findings(table: pd.DataFrame) -> str:
    """Sentences (Markdown bullets) on a table of summaries, with means over its seeds.

    Policies that differ in one knob alone are compared.

    Parameters
    ----------
    table : DataFrame
        One row of summary per run (:func:`freehint.summaries`).
    """
    names = list(dict.fromkeys(table["policy"]))
    walked = [policy for policy in names if _values(table, policy, "strokes").sum() > 0]
    sentences = [_about(table, policy) for policy in walked]
    known = [POLICIES[name] for name in walked if name in POLICIES]
    for one, other, knob in one_knob_pairs(known):
        two = table[table["policy"].isin([one.name, other.name])]
        sentences += [f"**{knob}**: {s}" for s in compared(two, HINTS + LOSSES, other.name)]
    return _bullets(sentences)


def run_findings(summary: pd.Series) -> str:
    """A paragraph (Markdown) on one run: the pages told to the host, their costs and their use.

    Parameters
    ----------
    summary : Series
        ``Run.summary``.
    """
    policy = summary["policy"]
    if summary["strokes"] > 0:
        sentences = [_about(pd.DataFrame([summary]), policy), _waited(summary), _fate(summary)]
    else:
        why = "" if policy == BASELINE.name else ": no walk began within the run"
        sentences = [f"**{policy}** told the host nothing{why}.", _waited(summary)]
    if "migration" in summary:
        sentences.append(_move(summary))
    return " ".join(sentences)


def _waited(summary) -> str:
    if not summary["allocations"]:
        return "The guest made no allocations."
    wait = format_ns(summary["alloc_wait_max_ns"])
    return f"Of {summary['allocations']:,} allocations the longest waited {wait} for a zone lock."


def _fate(summary) -> str:
    told = summary["hinted_pages"] - summary["duplicate_pages"]
    if not told:
        return "The host took no hint."
    stale = summary["stale_pages"]
    taken = f"{format_pages(stale)} were" if stale else "none was"
    return (
        f"Of the {format_pages(told)} that the host was told of,"
        f" {format_share(summary['survival'])} had not been reused at the end; {taken} allocated"
        f" before the host took the hint."
    )


def _move(summary) -> str:
    if summary["migration"] != "completed":
        return f"The migration did not end: it is {summary['migration']}."
    lost = summary["lost_writes"]
    told = f"**{lost:,} writes were LOST**" if lost > 0 else "no write was lost"
    skipped = f"hints let {format_pages(summary['skipped_pages'])} be skipped"
    return f"In the migration {_sent_in(summary)}; {skipped}, and {told}."


def migration_findings(table: pd.DataFrame) -> str:
    """Sentences (Markdown bullets) on migrations, each compared with that without hints.

    Parameters
    ----------
    table : DataFrame
        One row of summary per run with a migration (:func:`freehint.summaries`).
    """
    ended = table.groupby("policy", sort=False)["migration"].agg(lambda m: m.eq("completed").all())
    sentences = [f"**{policy}**: not every migration ended." for policy in ended[~ended].index]
    done = table[table["policy"].map(ended)]
    base = done[done["policy"] == BASELINE.name]
    if len(base):
        sentences.append(f"Without hints {_sent_in(base.iloc[0])} (seed {base['seed'].iloc[0]}).")
        sentences += compared(done, MOVES)
    return _bullets(sentences)


def _sent_in(row) -> str:
    return (
        f"{row['sent_bytes'] / 1e6:,.0f} MB were sent in {format_ns(row['total_ns'])} and"
        f" {row['rounds']} rounds, with the guest stopped for {format_ns(row['downtime_ns'])}"
    )
