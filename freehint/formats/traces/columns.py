"""A trace table as the integer rows that the replay reads."""

import numpy as np

from freehint.config import InputError
from freehint.formats.traces import rows
from freehint.formats.traces.balance import fill_balanced, infer_balances
from freehint.formats.traces.compaction import (
    fill_compacted,
    mark_captures,
    mark_returned,
    pair_searches,
)
from freehint.formats.traces.events import (
    KINDS,
    MOVES_BLOCKS,
    PROBE_KINDS,
    SILENT_KINDS,
    probe_kinds,
)
from freehint.formats.traces.recording import Recording
from freehint.formats.traces.types import fill_wanted, own_types, pair_bulk_allocations
from freehint.formats.traces.zones import fill_cpus, fill_drains, fill_zones
from freehint.mm.memory import (
    MAX_ORDER,
    MIGRATE_PCPTYPES,
    NO_PAGEBLOCK,
    PAGEBLOCK_ORDER,
    Memory,
)
from freehint.mm.profile import HIGH_AUTO_TUNED

# Kinds of rows that name a page, and kinds that name its migratetype.
WITH_PAGE = (
    *range(rows.ALLOC, rows.FREE_DIRECT + 1),
    *(rows.ISOLATE_PAGE, rows.PUTBACK, rows.PCP_PUSH, rows.BULK_POP),
)
WITH_TYPE = (rows.ALLOC, rows.ZONE_LOCKED, rows.EXTFRAG, rows.PCPU_DRAIN, rows.PCP_PUSH)
# No allocation asks for HIGHATOMIC or ISOLATE, and no pcp list is of such a type.
ASKS_FOR_TYPE = (rows.ALLOC, rows.EXTFRAG, rows.PCP_PUSH)
CLAIMS = 4096  # fallbacks that one refill may need


def trace_rows(recording: Recording, inputs: str, strict: bool = False):
    """The trace as columns for the kernels, with counts of the rows that are not used.

    Parameters
    ----------
    recording : Recording
    inputs : "std" or "probes"
        The events to use: those of the standard tracepoints, or those of probes as well.
    strict : bool
        Refuse events that are not known, instead of counting them.

    Returns
    -------
    (Rows, dict, dict)
        The columns; the number of unused rows of each known event; the number of rows of each
        unknown event.  The dicts have the events' names as keys.

    Raises
    ------
    InputError
        A row cannot be used, or an event changes the lists in a way that no rule follows.
    """
    trace, memory = recording.trace, recording.t0
    path = f"{recording.stem}.trace.parquet"
    known = KINDS if inputs == "std" else probe_kinds(memory.profile)
    names = list(trace["event"].cat.categories)
    codes = np.array([known.get(name, rows.IGNORED) for name in names], np.int8)
    kind = codes[trace["event"].cat.codes.to_numpy()]
    ignored = trace["event"].value_counts().to_dict()
    ignored = {n: c for n, c in ignored.items() if c and n not in known}
    understood = SILENT_KINDS | PROBE_KINDS.keys()
    unknown = {name: ignored.pop(name) for name in list(ignored) if name not in understood}
    for name in unknown:
        why = "changes the lists, and no rule covers it" if name in MOVES_BLOCKS else ""
        why = why or ("is of an unknown kind" if strict else "")
        if why:
            row = int(trace["seq"].iloc[int(np.argmax(trace["event"] == name))])
            raise InputError(f"{path}: row {row}: event {name!r} {why}")
    pfn = trace["pfn"].to_numpy().astype(np.int64)
    if (kind == rows.PCP_PUSH).any():  # the rows of batched frees say no more
        kind[kind == rows.FREE_BATCHED] = rows.IGNORED
    if (kind == rows.BULK_POP).any():
        kind[kind == rows.BULK_ALLOC] = rows.IGNORED
    balances = (kind == rows.BALANCE).any()
    failed = (kind == rows.ALLOC) & (pfn == 0)
    if memory.profile.pcp_high == HIGH_AUTO_TUNED:
        order = trace["order"].to_numpy()
        looked = failed & (order >= 0) & (order < MAX_ORDER)
        kind[looked], failed = rows.LOOKED, failed & ~looked
    for what, idle in (
        ("mm_page_alloc that failed", failed),
        # The fast search found no block: the whole list moves to its own end.
        ("turn_head of no block", (kind == rows.TURN) & (pfn < 0)),
        ("mm_vmscan_kswapd_wake", (kind == rows.WAKE) & balances),
    ):
        if idle.any():
            ignored[what] = int(idle.sum())
        kind[idle] = rows.IGNORED
    columns = rows.Rows(
        kind=kind,
        cpu=trace["cpu"].to_numpy().astype(np.int16),
        node=(pfn - memory.base_pfn).astype(np.int32),
        order=trace["order"].to_numpy().astype(np.int8),
        migratetype=own_types(recording, np.isin(kind, (*WITH_TYPE, rows.MOVE_BLOCK)), path),
        change=np.where(kind == rows.EXTFRAG, trace["c"].to_numpy(), -1).astype(np.int8),
        value=np.zeros(len(kind), np.int32),
        fate=np.zeros(len(kind), np.int8),
        task=trace["pid"].to_numpy().astype(np.int32),
    )
    _fill_orders(trace, columns)
    rows.settle_orders(columns, np.zeros(memory.nr_pages, np.int8))
    _fill_values(recording, columns, path)
    _check_rows(trace, memory, columns, pfn, path)
    mark_returned(trace, columns, memory)
    return columns, ignored, unknown


def _fill_values(recording: Recording, columns, path) -> None:
    """Fill in ``value``, which has a meaning of its own for each kind of row; see :class:`Rows`."""
    trace, kind = recording.trace, columns.kind
    for kinds, column in (
        ((rows.EXTFRAG, rows.FREE_DIRECT, rows.BULK_ALLOC, rows.STEAL), "a"),
        ((rows.PREPARED, rows.DRAIN_CHUNK, rows.MOVE_ISOLATE), "a"),
        ((rows.MOVE_BLOCK,), "b"),
        ((rows.PCP_PUSH,), "c"),
    ):
        here = np.isin(kind, kinds)
        columns.value[here] = trace[column].to_numpy()[here]
    np.maximum(columns.value, 0, out=columns.value)
    moves = np.flatnonzero((kind == rows.MOVE_BLOCK) & (columns.value < len(recording.codes)))
    columns.value[moves] = recording.codes[columns.value[moves]]
    _pair_isolations(trace, columns)
    pair_searches(trace, columns)
    pair_bulk_allocations(trace, columns, path)
    fill_compacted(trace, columns, recording.t0)
    fill_wanted(trace, columns)
    fill_zones(recording, columns, (rows.DECAY, rows.DRAIN_ZONE), "a", path)
    fill_drains(recording, columns, path)
    fill_cpus(recording, columns, path)
    fill_balanced(recording, columns, path)
    columns.value[(kind == rows.TURN) & (trace["event"] == "turn").to_numpy()] = 1


def _fill_orders(trace, columns) -> None:
    """Fill in ``order`` where the rows have none; see :class:`Rows`."""
    columns.order[columns.kind == rows.BULK_POP] = 0
    chunks = columns.kind == rows.DRAIN_CHUNK
    columns.order[chunks] = trace["b"].to_numpy()[chunks]


def _pair_isolations(trace, columns) -> None:
    """Enter the number of pages that each isolate row got, 0 if the isolation was refused.

    The next isolate_ret row of its CPU gives that number.  Recordings before 6.12 have no such
    row; there each isolation is taken to have succeeded.
    """
    here = np.flatnonzero(columns.kind == rows.ISOLATE_PAGE)
    columns.value[here] = np.left_shift(1, np.clip(columns.order[here], 0, MAX_ORDER))
    answers = np.flatnonzero(trace["event"] == "isolate_ret")
    got, cpus = trace["a"].to_numpy(), trace["cpu"].to_numpy()
    for cpu in np.unique(cpus[answers]):
        mine = answers[cpus[answers] == cpu]
        asked = here[cpus[here] == cpu]
        after = np.searchsorted(mine, asked)
        told = after < len(mine)
        columns.value[asked[told]] = got[mine[after[told]]]


def _check_rows(trace, memory, columns, pfn, path) -> None:
    """Refuse a row in use if its order, CPU or type does not exist, or its pfn is no page's."""
    order = columns.order.astype(np.int64)
    used = np.isin(columns.kind, WITH_PAGE)
    size = np.left_shift(1, np.clip(order, 0, MAX_ORDER))
    inside = np.zeros(len(pfn), np.bool_)
    for zone in memory.zones:
        end = zone.start_pfn + zone.spanned
        inside |= (pfn >= zone.start_pfn) & (pfn + np.where(used, size, 1) <= end)
    last = np.where(used, pfn + size - 1, pfn)
    in_hole = np.zeros(len(pfn), np.bool_)
    for page in (pfn, last):
        block = np.clip(page - memory.base_pfn >> PAGEBLOCK_ORDER, 0, len(memory.pageblock) - 1)
        in_hole |= memory.pageblock[block] == NO_PAGEBLOCK
    asks = np.isin(columns.kind, ASKS_FOR_TYPE)
    types = columns.migratetype
    cpus = trace["cpu"].to_numpy()
    acts = columns.kind != rows.IGNORED
    moves = np.isin(columns.kind, (rows.MOVE_BLOCK, rows.MOVE_ISOLATE, rows.STEAL, rows.TURN))
    for column, bad, why in (
        ("order", used & ((order < 0) | (order >= MAX_ORDER)), f"must lie in 0..{MAX_ORDER - 1}"),
        ("pfn", (used | moves) & ~inside, "lies in no zone"),
        (
            "pfn",
            used & (pfn % size != 0),
            "is not aligned",
        ),
        ("cpu", acts & ((cpus < 0) | (cpus >= memory.nr_cpus)), "is not in the snapshot"),
        ("migratetype", asks & (types >= MIGRATE_PCPTYPES), "is none to ask for"),
        ("pfn", (used | moves) & in_hole, "lies in a hole"),
    ):
        if bad.any():
            at = int(np.argmax(bad))
            row, event = trace["seq"].iloc[at], trace["event"].iloc[at]
            value = trace[column].iloc[at]
            raise InputError(f"{path}: row {row} ({event}): {column} {value} {why}")


def ablate_rows(columns, ablation) -> None:
    """Take away what some rows tell, for the ablations that are about rows."""
    if ablation == "no_zone_drain":
        columns.kind[np.isin(columns.kind, (rows.DRAIN_ZONE, rows.DRAIN))] = rows.IGNORED
    elif ablation == "free_returned":
        columns.fate[columns.fate == rows.RETURNED] = rows.TO_PCP
    elif ablation == "no_reclaim_flag":
        columns.kind[np.isin(columns.kind, (rows.BALANCE, rows.WAKE))] = rows.IGNORED
    elif ablation == "no_told_turn":
        columns.kind[columns.kind == rows.TURN] = rows.IGNORED
    elif ablation == "no_capture":
        columns.kind[columns.kind == rows.COMPACTED] = rows.IGNORED
    elif ablation == "no_look_in_vain":
        columns.kind[columns.kind == rows.LOOKED] = rows.IGNORED
    elif ablation == "own_lists_drained":
        drains = columns.kind == rows.DRAIN_ZONE
        columns.node[drains] = columns.cpu[drains]


def settle(memory: Memory, columns, inputs: str, infer: bool) -> int:
    """Give every free its fate, and count those that are inferred to bypass the pcp lists."""
    pending = np.zeros(memory.nr_pages, np.int8)
    with_pushes = bool((columns.kind == rows.PCP_PUSH).any())
    rows.settle_fates(memory, columns, pending, inputs == "probes", with_pushes)
    rows.settle_claims(memory.profile, columns, memory.nr_cpus)
    mark_captures(columns)
    if infer and memory.profile.reclaim_limits_pcp:
        infer_balances(memory, columns)
    if inputs == "probes" or not infer:
        return 0
    return int(rows.infer_direct_frees(memory, columns, np.zeros((memory.nr_cpus, 257), np.int64)))
