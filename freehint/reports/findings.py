"""Findings of a run or a comparison, as sentences made from its numbers."""

import pandas as pd

from freehint.policies import BASELINE, POLICIES
from freehint.policies.walker import rotation_pairs
from freehint.units import format_ns, format_pages


def _median(table: pd.DataFrame, policy: str, name: str) -> float:
    return float(table.loc[table["policy"] == policy, name].astype(float).median())


def _about(table: pd.DataFrame, policy: str) -> str:
    """Sentences on one policy: its coverage, the time it took, and the waits that it caused."""
    value = {
        name: _median(table, policy, name)
        for name in (
            "coverage",
            "walk_ns",
            "lock_held_max_ns",
            "alloc_wait_max_ns",
            "lost_pages",
            "offered_pages",
            "duplicate_pages",
        )
    }
    walk = f"in {format_ns(value['walk_ns'])}" if value["walk_ns"] >= 0 else "and did not finish"
    sentence = (
        f"**{policy}** told the host of {value['coverage']:.1%} of the memory it could walk {walk}."
        f" It held the zone lock for up to {format_ns(value['lock_held_max_ns'])}, and the longest"
        f" wait of an allocation was {format_ns(value['alloc_wait_max_ns'])}"
    )
    if BASELINE.name in set(table["policy"]):
        without = _median(table, BASELINE.name, "alloc_wait_max_ns")
        sentence += f" ({format_ns(without)} without any walk)"
    sentence += "."
    if value["lost_pages"]:
        share = value["lost_pages"] / value["offered_pages"]
        sentence += f" The full ring lost {share:.0%} of the pages that it offered."
    if value["duplicate_pages"]:
        sentence += f" {format_pages(value['duplicate_pages'])} were hinted twice."
    return sentence


def _rotation(table: pd.DataFrame, rotated: str, kept: str) -> str:
    """Sentences on whether rotation keeps hints alive.

    The two policies differ only in rotation (and in resume).
    """
    stale = [_median(table, p, "stale_pages") for p in (rotated, kept)]
    survival = [_median(table, p, "survival") for p in (rotated, kept)]
    gain = 100 * (survival[0] - survival[1])
    verdict = (
        "A walk that reports every block rotates every block, which leaves them in the order they"
        " had: rotation shields a hint only while the walk is under way."
        if abs(gain) < 1
        else "Here rotation decides how long hints hold."
    )
    return (
        f"**Rotation**: with it {stale[0]:,.0f} pages were allocated before the host had their"
        f" hint, without it {stale[1]:,.0f}; survival to the end of the run differs by {gain:+.1f}"
        f" percentage points. {verdict}"
    )


def findings(table: pd.DataFrame) -> str:
    """Sentences (Markdown bullets) on a table of summaries, with medians over its seeds.

    Parameters
    ----------
    table : DataFrame
        One row of summary per run (:func:`freehint.summaries`).
    """
    walked = [p for p in dict.fromkeys(table["policy"]) if _median(table, p, "strokes") > 0]
    sentences = [_about(table, policy) for policy in walked]
    known = [POLICIES[name] for name in walked if name in POLICIES]
    for rotated, kept in rotation_pairs(known)[:1]:
        sentences.append(_rotation(table, rotated.name, kept.name))
    return "\n".join(f"- {s}" for s in sentences)


def run_findings(summary: pd.Series) -> str:
    """A paragraph (Markdown) on one run: the pages told to the host, their costs and their use.

    Parameters
    ----------
    summary : Series
        ``Run.summary``.
    """
    policy = summary["policy"]
    if summary["strokes"] > 0:
        sentences = [_about(pd.DataFrame([summary]), policy), _fate(summary)]
    else:
        wait = format_ns(summary["alloc_wait_max_ns"])
        sentences = [
            f"**{policy}** told the host nothing. Of {summary['allocations']:,} allocations the"
            f" longest waited {wait} for a zone lock."
        ]
    if "migration" in summary:
        sentences.append(_move(summary))
    return " ".join(sentences)


def _fate(summary) -> str:
    told = summary["hinted_pages"] - summary["duplicate_pages"]
    if not told:
        return "The host took no hint."
    stale = summary["stale_pages"]
    taken = f"{format_pages(stale)} were" if stale else "none was"
    return (
        f"Of the {format_pages(told)} that the host was told of, {summary['survival']:.1%} had not"
        f" been reused at the end; {taken} allocated before the host took the hint."
    )


def _move(summary) -> str:
    if summary["migration"] != "completed":
        return f"The migration did not end: it is {summary['migration']}."
    lost = summary["lost_writes"]
    told = f"**{lost:,} writes were LOST**" if lost > 0 else "no write was lost"
    skipped = f"hints let {format_pages(summary['skipped_pages'])} be skipped"
    return f"In the migration {_sent_in(summary)}; {skipped}, and {told}."


def migration_findings(table: pd.DataFrame) -> str:
    """Sentences (Markdown bullets) on migrations, each compared with the first one without hints.

    Parameters
    ----------
    table : DataFrame
        One row of summary per run with a migration (:func:`freehint.summaries`).
    """
    ended = table[table["migration"] == "completed"]
    base = ended[ended["policy"] == BASELINE.name].head(1)
    sentences = [
        f"**{policy}**: the migration did not end."
        for policy in table.loc[table["migration"] != "completed", "policy"]
    ]
    if len(base):
        sentences.append(f"Without hints {_sent_in(base.iloc[0])}.")
    for _, row in ended[ended["policy"] != BASELINE.name].iterrows():
        less = ""
        if len(base):
            saved = 1 - row["sent_bytes"] / base["sent_bytes"].iloc[0]
            less = f", {abs(saved):.1%} {'less' if saved >= 0 else 'more'},"
        skipped = f"hints let {format_pages(row['skipped_pages'])} be skipped"
        sentences.append(f"**{row['policy']}**: {_sent_in(row, less)}; {skipped}.")
    return "\n".join(f"- {s}" for s in sentences)


def _sent_in(row, less="") -> str:
    return (
        f"{row['sent_bytes'] / 1e6:,.0f} MB{less} were sent in {format_ns(row['total_ns'])} and"
        f" {row['rounds']} rounds, with the guest stopped for {format_ns(row['downtime_ns'])}"
    )
