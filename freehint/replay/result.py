"""What a replay found: its counts, its lists, and the first miss that nothing explains."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from freehint.mm.memory import (
    Memory,
)


@dataclass(frozen=True)
class Miss:
    """A prediction that was wrong, in full.

    Attributes
    ----------
    row : int
        Row of the trace (its ``seq``).
    event : str
    zone, order, migratetype
        What was asked for.
    predicted_pfn, observed_pfn : int
        -1: the model had nothing to give.
    list_around : tuple of int
        The list that the model took from, pfns from its head, at that moment.
    """

    row: int
    event: str
    zone: str
    order: int
    migratetype: str
    predicted_pfn: int
    observed_pfn: int
    list_around: tuple


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Attributes
    ----------
    rows : int
        Rows between the snapshots.
    scored, hits, misses : int
        Predictions; misses include those that silent pages explain.
    silent_rows, silent_pages : int
        pcp level: misses explained by pages that the bulk allocator took without a row.
    inferred_frees : int
        std inputs: frees found to bypass the pcp lists.
    rotations : int
        Lists that compaction rotated without an event, inferred where exactly one rotation
        explains a miss; such predictions count as hits.  At pcp level a miss in a refill, from
        the rows that the kernel wrote then.
    rotation_rows : DataFrame
        Every rotation: row (``seq``), zone, order, pfn, inferred (False: an isolation by
        compaction's fast search, told by its tracepoint).
    refused : int
        Rows that could not be applied to the model's lists: 0 unless it has diverged.
    untold_claims : int
        pcp level: fallbacks for which no row told whether the pageblock was claimed.
    ignored : dict
        Rows of kinds that the level has no use for, by name.
    unknown : dict
        Rows of events that the replay does not know, by name; they are not used.
    t1_equal : bool
        Every buddy list equals T1's, in order; at pcp level the pcp lists and counters too.
    t1_lists : DataFrame
        zone, order, migratetype, blocks (at T1), equal.
    pcp_equal : bool or None
        pcp level: every pcp list and every counter (count, high, batch, and free_factor or
        alloc_factor, free_count and flags) equals T1's.
    refills, refill_misses : int
        pcp level: blocks that the model took from the buddy, and how many of them (or of the
        recorded ones) have no equal on the other side.
    drains, drain_misses : int
        pcp level: pages that the model drained, and by how many it differed from the recorded
        drains, drain by drain.
    first_miss : Miss or None
        The first that nothing explains.
    seconds : float
        In the compiled loop.
    memory : Memory
        The model's memory at the end.
    """

    stem: str
    level: str
    inputs: str
    rows: int
    scored: int
    hits: int
    misses: int
    silent_rows: int
    silent_pages: int
    inferred_frees: int
    rotations: int
    rotation_rows: pd.DataFrame
    refused: int
    untold_claims: int
    ignored: dict
    unknown: dict
    t1_equal: bool
    t1_lists: pd.DataFrame
    pcp_equal: bool | None
    refills: int
    refill_misses: int
    drains: int
    drain_misses: int
    first_miss: Miss | None
    seconds: float
    memory: Memory

    def row(self) -> dict:
        """One line of a table of replays."""
        return {
            "recording": Path(self.stem).name,
            "level": self.level,
            "rows": self.rows,
            "scored": self.scored,
            "hits": self.hits,
            "misses": self.misses,
            "silent_rows": self.silent_rows,
            "silent_pages": self.silent_pages,
            "inferred_frees": self.inferred_frees,
            "rotations": self.rotations,
            "refused": self.refused,
            "unknown": sum(self.unknown.values()),
            "t1_lists": len(self.t1_lists),
            "t1_lists_equal": int(self.t1_lists["equal"].sum()),
            "t1_equal": self.t1_equal,
            "pcp_equal": self.pcp_equal,
            "refills": self.refills,
            "refill_misses": self.refill_misses,
            "drains": self.drains,
            "drain_misses": self.drain_misses,
            "seconds": self.seconds,
        }
