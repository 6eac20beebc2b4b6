"""The result of a replay: its counts, its lists, and the first miss that nothing explains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.formats.tables import free_lists, pcp_lists
from freehint.formats.traces.events import is_category, is_event
from freehint.formats.traces.recording import Recording
from freehint.formats.traces.rows import BALANCE, C_ROTATIONS, ENDS_BALANCE, Rows, Scratch
from freehint.mm.memory import PCP_DTYPE, Memory, zone_name
from freehint.mm.profile import PREEMPTIBLE
from freehint.replay.buddy_blocks import ROTATION_COLUMNS


@dataclass(frozen=True)
class Miss:
    """A wrong prediction, with its surroundings.

    Attributes
    ----------
    row : int
        Row of the trace (its ``seq``).
    event : str
    zone, order, migratetype
        The request.
    predicted_pfn, observed_pfn : int
        The model's page, -1 if it had none, and the recorded one.
    list_around : tuple of int
        The first pfns, from the head, of the list that the model took from, at that moment.
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
    """The result of a replay.

    Attributes
    ----------
    rows : int
        Rows between the snapshots.
    scored, hits, misses : int
        Predictions; misses include those that silent pages explain.
    silent_rows, silent_pages : int
        At pcp level, misses explained by pages that the bulk allocator took without a row, and
        these pages.
    inferred_frees : int
        With std inputs, frees that were inferred to bypass the pcp lists.
    boost_ends : int
        At pcp level, boosts of watermarks that kswapd ended without a row; they are inferred if
        that explains the first drain that is wrong otherwise.
    balance_ends : int
        At pcp level, how often kswapd went on to balance after its last row, which is inferred
        if it explains the first drain that is wrong otherwise.
    rotations : int
        Lists that compaction rotated without an event.  A rotation is inferred if exactly one
        explains a miss, and the prediction then counts as a hit.  At pcp level the miss is one
        of a refill, known from the rows that the kernel wrote during it.  None is inferred if
        rows (turn, turn_head) tell of them.
    rotation_rows : DataFrame
        Every rotation: row (``seq``), zone, order, pfn, inferred (False if a row tells of it).
    refused : int
        Rows that could not be applied to the model's lists; 0 unless the model has diverged.
    untold_claims : int
        At pcp level and up to 6.1, fallbacks of which no row told, so that none was made, though
        ALLOC_NOFRAGMENT would have allowed them.
    ignored : dict of str to int
        Number of rows of each known event that the level does not use.
    unknown : dict of str to int
        Number of rows of each event that the replay does not know; they are not used.
    t1_equal : bool
        Every buddy list equals T1's, in order; at pcp level the pcp lists and counters too.
    t1_lists : DataFrame
        Columns zone, order, migratetype, blocks (at T1) and equal.
    pcp_equal : bool or None
        At pcp level, whether every pcp list and every counter (count, high, batch, and
        free_factor or alloc_factor, free_count and flags) equals T1's.
    refills, refill_misses : int
        At pcp level, blocks that the model took from the buddy lists, and the number of its and
        the recorded blocks that have no counterpart.
    drains, drain_misses : int
        At pcp level, pages that the model drained, and the sum of the differences in pages from
        each recorded drain.
    given_up : int
        At pcp level, pages of drains that another CPU ended half-way; 0 with one CPU.
    moved_rows : int
        Rows that stand after others which happened later, or before others which happened
        earlier, and that were put into order: mm_page_alloc rows, and rows of frees, of drain_zone
        and of kswapd_balance_ret.  0 without the probes of the pcp lock and without the column
        ``irq``.  At pcp level some of them may be inferred; ``notes`` tells how many.
    notes : tuple of str
        What is to be known of the order of the rows, and of kswapd if it ran and no row in use
        tells when it balanced, in sentences; often empty.
    first_miss : Miss or None
        The first miss that nothing explains.
    seconds : float
        Time in the compiled loop.
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
    boost_ends: int
    balance_ends: int
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
    given_up: int
    moved_rows: int
    notes: tuple
    first_miss: Miss | None
    seconds: float
    memory: Memory

    def row(self) -> dict:
        """The values of one row in a table of replays."""
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
            "boost_ends": self.boost_ends,
            "balance_ends": self.balance_ends,
            "rotations": self.rotations,
            "told_rotations": int((~self.rotation_rows["inferred"]).sum()),
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
            "given_up": self.given_up,
            "moved_rows": self.moved_rows,
            "seconds": self.seconds,
        }


def compare_lists(model: Memory, recorded: Memory, flags=False) -> pd.DataFrame:
    """Compare every buddy list that either memory has, in order.

    With ``flags`` the blocks' Reported flags must be equal too.

    Returns
    -------
    DataFrame
        Columns zone, order, migratetype, blocks (in ``recorded``) and equal.
    """
    sides = []
    for memory in (model, recorded):
        table = free_lists(memory).astype({"zone": str})
        table["block"] = table["pfn"].astype(np.int64) * 2 + (table["reported"] if flags else 0)
        sides.append(table.groupby(["zone", "order", "migratetype"])["block"].agg(tuple))
    lists = sorted(set(sides[0].index) | set(sides[1].index))
    return pd.DataFrame(
        [
            (*key, len(sides[1].get(key, ())), sides[0].get(key, ()) == sides[1].get(key, ()))
            for key in lists
        ],
        columns=["zone", "order", "migratetype", "blocks", "equal"],
    )


def same_pcp(model: Memory, recorded: Memory) -> bool:
    """Whether all pcp lists and counters are equal but ``expire``, which no allocation moves."""
    counters = [name for name in PCP_DTYPE.names if name != "expire"]
    equal = all((model.pcp[name] == recorded.pcp[name]).all() for name in counters)
    return equal and pcp_lists(model).equals(pcp_lists(recorded))


def rotation_table(recording: Recording, memory: Memory, run: Scratch) -> pd.DataFrame:
    """``Replay.rotation_rows``: as many rotations as were kept."""
    kept = run.rotations[: run.counts[C_ROTATIONS]]
    table = pd.DataFrame(kept, columns=list(ROTATION_COLUMNS))
    table["row"] = recording.trace["seq"].to_numpy()[table["row"]]
    table["zone"] = [zone_name(memory, zone) for zone in table["zone"]]
    table["pfn"] = table.pop("node") + memory.base_pfn
    table["inferred"] = table["inferred"].astype(bool)
    return table


def order_notes(recording: Recording, columns: Rows, level: str, overtaken: int) -> tuple:
    """What is to be known of the order of the rows, and of kswapd if no row tells of it."""
    notes, moved = [], recording.moved
    if recording.in_lock_order:
        notes.append(
            f"the rows are in lock order: {moved} mm_page_alloc rows were put back to where their"
            " pages were taken"
        )
    elif recording.contexts:
        inferred = f", {overtaken} of them because pages or drains tell" if overtaken else ""
        notes.append(
            f"the column irq is used: {moved} rows that a softirq or another CPU overtook were put"
            f" into order{inferred}"
        )
    elif recording.kernel.release >= PREEMPTIBLE:
        notes.append(
            "the kernel is preemptible, and no rows pcp_push and pcp_pop tell the order of its"
            " locks: misses at pcp level may be those of rows that are out of order"
        )
    if level == "pcp" and recording.kernel.reclaim_limits_pcp:
        notes += _kswapd_notes(recording, columns)
    return tuple(notes)


def _kswapd_notes(recording: Recording, columns: Rows) -> list:
    """What is inferred of kswapd's balancing, or that nothing is though kswapd ran."""
    ends = int((columns.change == ENDS_BALANCE).sum())
    if ends:
        return [
            "mm_vmscan_kswapd_wake tells when kswapd began to balance; when it had done is inferred"
            f" from its last rows, {ends} times"
        ]
    trace = recording.trace
    ran = is_event(trace, "mm_vmscan_kswapd_wake").any()
    ran = ran or is_category(trace["comm"], lambda name: name.startswith("kswapd")).any()
    if not ran or (columns.kind == BALANCE).any():
        return []
    return [
        "kswapd ran, and no rows in use tell when it balanced: ZONE_RECLAIM_ACTIVE is not inferred,"
        " so misses at pcp level may be those of lists that it limits"
    ]
