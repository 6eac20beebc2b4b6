"""Replay a recorded guest's trace from snapshot to snapshot, and say whether the model is right.

Between T0 and T1 every event of the guest's allocator is known.  The model starts from T0's
lists, predicts every page before it reads the observed one, and must end with T1's lists, every
block in its place.  A hit rate says little: wrong rules score 90 % and more when they are
corrected at every miss.  So nothing is corrected unless ``resync`` is set.  The only exception
are pages that the bulk allocator takes without a row (pcp level), and they are counted.
"""

import itertools
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from freehint.config import InputError, one_of
from freehint.engine.moment import moment
from freehint.formats.tables import history_table
from freehint.formats.traces import rows
from freehint.formats.traces.columns import CLAIMS, ablate_rows, settle, trace_rows
from freehint.formats.traces.recording import Recording, load_recording
from freehint.mm.memory import (
    MAX_ORDER,
    MIGRATETYPE_NAMES,
    NR_PCP_LISTS,
    Memory,
    copy_memory,
    free_list_head,
    list_nodes,
    page_zone,
    pcp_list_head,
    zone_name,
)
from freehint.mm.pcp import order_to_pindex
from freehint.replay import INPUTS, LEVELS
from freehint.replay.buddy_blocks import ROTATION_COLUMNS
from freehint.replay.buddy_level import forget_pcp, replay_buddy
from freehint.replay.captures import no_captures
from freehint.replay.inferred.boost import NR_DOUBTS
from freehint.replay.inferred.infer import Inferred, infer_all, put_in_order
from freehint.replay.pcp_drains import no_drains_due, pages_due
from freehint.replay.pcp_level import replay_pcp, replay_pcp_part
from freehint.replay.result import (
    Miss,
    Replay,
    compare_lists,
    order_notes,
    rotation_table,
    same_pcp,
)

# Rules made wrong on purpose, and the level at which each one has an effect.
ABLATIONS = dict.fromkeys(("always_head", "lowest_first", "no_rotation"), "buddy")
ABLATIONS |= dict.fromkeys(("no_claim", "wrong_batch", "no_zone_drain", "free_returned"), "pcp")
ABLATIONS |= {"no_told_turn": "buddy", "no_reclaim_flag": "pcp", "boosts_stay": "pcp"}
ABLATIONS |= {"no_capture": "buddy"}
ABLATIONS |= dict.fromkeys(("no_look_in_vain", "own_lists_drained"), "pcp")
TOLD_BLOCKS = 1 << 13  # most blocks of one list that rows named and the model has yet to take
ROTATIONS = 4096  # most rotations that are kept; further ones are only counted


def replay(
    stem,
    level="buddy",
    inputs="std",
    infer=True,
    resync=False,
    ablation=None,
    profile=None,
    strict=False,
) -> Replay:
    """Replay a recording, and compare the model with it.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of a recorded NAME.T0, NAME.T1 and NAME.trace.
    level : "buddy" or "pcp"
        The lists that are predicted.  ``docs/model.md`` says what each level is given.
    inputs : "std" or "probes"
        The kmem tracepoints alone, or the recorded probe rows as well.
    infer : bool
        Infer, with std inputs, the frees that bypass the pcp lists, from their position; and at
        pcp level the ends of boosts, and allocations that a softirq overtook.
    resync : bool
        At buddy level, correct the model after every miss, to show what that hides.
    ablation : str, optional
        A rule made wrong on purpose: one of ``ABLATIONS``.
    profile : Profile, optional
        The rules of another kernel than the recorded one, to show that they fail.
    strict : bool
        Refuse rows of unknown events instead of counting them in ``Replay.unknown``.

    Returns
    -------
    Replay
        The counts, the model's lists at T1 and the first miss.

    Raises
    ------
    InputError
        The recording cannot be used, or a value is unknown.

    Examples
    --------
    >>> import freehint as fh
    >>> r = fh.replay(fh.data("linux-6.1/traces/compile.trace.parquet").parent / "compile")
    >>> r.misses, r.t1_equal
    (0, True)
    """
    one_of("level", level, LEVELS)
    one_of("inputs", inputs, INPUTS)
    one_of("ablation", ablation, (None, *ABLATIONS))
    if resync and level == "pcp":
        raise InputError("resync must be False at pcp level: no row names the pages on pcp lists")
    if ablation and ABLATIONS[ablation] != level:
        raise InputError(f"ablation {ablation!r} is for {ABLATIONS[ablation]} level, not {level}")
    recording = load_recording(stem, in_lock_order=inputs == "probes")
    columns, ignored, unknown = trace_rows(recording, inputs, strict)
    if profile is not None:
        recording = replace(recording, t0=recording.t0._replace(profile=profile))
    ablate_rows(columns, ablation)
    inferred = settle(recording.t0, columns, inputs, infer)

    def run_all():
        return replay_rows(recording.t0, columns, level, resync, ablation)

    done, found = run_all(), Inferred()
    if infer:
        done, found = infer_all(recording, columns, level, done, run_all)
        recording = put_in_order(recording, found)
    memory, run, seconds = done
    counts = run.counts
    lists = compare_lists(memory, recording.t1)
    pcp_equal = same_pcp(memory, recording.t1) if level == "pcp" else None
    rotations = rotation_table(recording, memory, run)
    return Replay(
        stem=str(stem),
        level=level,
        inputs=inputs,
        rows=len(columns.kind),
        scored=int(counts[rows.C_SCORED]),
        hits=int(counts[rows.C_HITS]),
        misses=int(counts[rows.C_MISSES]),
        silent_rows=int(counts[rows.C_SILENT_ROWS]),
        silent_pages=int(counts[rows.C_SILENT_PAGES]),
        inferred_frees=inferred,
        boost_ends=found.boost_ends,
        balance_ends=found.balance_ends,
        rotations=int(counts[rows.C_ROTATIONS]) - int((~rotations["inferred"]).sum()),
        rotation_rows=rotations,
        refused=int(counts[rows.C_REFUSED]),
        untold_claims=int(counts[rows.C_UNTOLD_CLAIMS]),
        ignored=ignored,
        unknown=unknown,
        t1_equal=bool(lists["equal"].all()) and pcp_equal is not False,
        t1_lists=lists,
        pcp_equal=pcp_equal,
        refills=int(counts[rows.C_REFILLS]),
        refill_misses=int(counts[rows.C_REFILL_MISSES] + _told_for_nothing(run)),
        drains=int(counts[rows.C_DRAINS]),
        drain_misses=_drain_misses(memory, run),
        given_up=pages_due(run.due) if memory.nr_cpus > 1 else 0,
        moved_rows=recording.moved,
        notes=order_notes(recording, columns, level, found.overtaken),
        first_miss=_first_miss(recording, columns, counts, level, resync, ablation),
        seconds=seconds,
        memory=memory,
    )


def scratch(memory: Memory, columns: rows.Rows | None = None) -> rows.Scratch:
    """The arrays that the replay kernels write besides the memory, before the first row.

    ``columns`` are needed at pcp level, to see whether they tell when chunks are drained.
    """
    told = columns is not None and bool((columns.kind == rows.DRAIN_CHUNK).any())
    counts = np.zeros(rows.NR_COUNTS, np.int64)
    counts[rows.C_FIRST_MISS] = counts[rows.C_FIRST_DRAIN_MISS] = -1
    control, waits = no_captures()
    return rows.Scratch(
        counts=counts,
        compacting=np.zeros(len(memory.zones), np.bool_),
        rotations=np.zeros((ROTATIONS, len(ROTATION_COLUMNS)), np.int64),
        infers=columns is None or not (columns.kind == rows.TURN).any(),
        claims=np.zeros((memory.nr_cpus, CLAIMS), np.int64),
        told=np.zeros((memory.nr_cpus, NR_PCP_LISTS + 1, TOLD_BLOCKS + 2), np.int32),
        drain_due=np.zeros(memory.nr_cpus, np.int64),
        later_type=np.zeros(memory.nr_pages, np.int8),
        due=no_drains_due(memory.nr_cpus, told),
        doubts=np.zeros(NR_DOUBTS, np.int64),
        boosts=memory.zones["watermark_boost"].copy(),
        control=control,
        waits=waits,
    )


def _drain_misses(memory: Memory, run: rows.Scratch) -> int:
    """Pages by which drains differ; with one CPU no drain can be given up half-way."""
    given_up = pages_due(run.due) if memory.nr_cpus == 1 else 0
    return int(run.counts[rows.C_DRAIN_MISSES] + np.abs(run.drain_due).sum()) + given_up


def _told_for_nothing(run: rows.Scratch) -> int:
    """The number of blocks that rows named, but that the model had not taken at T1."""
    return (run.told[:, :, 1] - run.told[:, :, 0]).sum()


def replay_rows(start: Memory, columns, level="pcp", resync=False, ablation=None):
    """Replay on a copy of ``start``, and return (memory, scratch, seconds in the compiled loop)."""
    memory = copy_memory(start)
    run = scratch(memory, columns)
    if level == "buddy":
        forget_pcp(memory)
        if ablation in ("no_rotation", "no_told_turn"):
            run = run._replace(infers=False)
        wrong = {"always_head": rows.ALWAYS_HEAD, "lowest_first": rows.LOWEST_FIRST}
        begin = time.perf_counter()
        replay_buddy(memory, columns, run, resync, wrong.get(ablation, rows.FAITHFUL))
    else:
        if ablation == "wrong_batch":
            memory.pcp["batch"] //= 2
        wrong = {"no_claim": rows.NO_CLAIM, "boosts_stay": rows.BOOSTS_STAY}
        begin = time.perf_counter()
        replay_pcp(memory, columns, run, wrong.get(ablation, rows.FAITHFUL))
    return memory, run, time.perf_counter() - begin


def _first_miss(recording, columns, counts, level, resync, ablation) -> Miss | None:
    """The first unexplained miss; all rows before it are replayed again to show its list."""
    at = int(counts[rows.C_FIRST_MISS])
    if at < 0:
        return None
    before = rows.Rows(*(column[:at] for column in columns))
    memory, _, _ = replay_rows(recording.t0, before, level, resync, ablation)
    observed, predicted = int(columns.node[at]), int(counts[rows.C_PREDICTED])
    order, migratetype = int(columns.order[at]), int(columns.migratetype[at])
    zone = page_zone(memory, observed)
    if level == "pcp" and columns.kind[at] == rows.ALLOC:
        cpu = int(columns.cpu[at])
        head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    else:
        sizes = (o for o in range(order, MAX_ORDER) if memory.nr_free[zone, o, migratetype])
        head = free_list_head(memory, zone, next(sizes, order), migratetype)
    around = list_nodes(memory, head)[:16] + memory.base_pfn
    return Miss(
        row=int(recording.trace["seq"].iloc[at]),
        event=str(recording.trace["event"].iloc[at]),
        zone=zone_name(memory, zone),
        order=order,
        migratetype=MIGRATETYPE_NAMES[migratetype],
        predicted_pfn=predicted + memory.base_pfn if predicted >= 0 else -1,
        observed_pfn=observed + memory.base_pfn,
        list_around=tuple(int(pfn) for pfn in around),
    )


def load_inferred(stem, inputs) -> tuple[Recording, rows.Rows]:
    """A recording and its rows, with all that a replay at pcp level infers in them."""
    recording = load_recording(stem, in_lock_order=inputs == "probes")
    columns, _, _ = trace_rows(recording, inputs)
    settle(recording.t0, columns, inputs, infer=True)

    def run_all():
        return replay_rows(recording.t0, columns)

    _, found = infer_all(recording, columns, "pcp", run_all(), run_all)
    return put_in_order(recording, found), columns


def replay_history(stem, samples=200, inputs="std") -> pd.DataFrame:
    """Free memory over the time of a recording, as the model at pcp level replays it.

    Parameters
    ----------
    stem : str or Path
    samples : int
        The number of moments, which are evenly spaced over the rows.
    inputs : "std" or "probes"
        6.12 needs "probes", because only they tell when pcp lists decay.

    Returns
    -------
    DataFrame
        See :func:`freehint.formats.tables.history_table`; time_s counts from T0.
    """
    recording, columns = load_inferred(stem, inputs)
    memory = recording.t0
    run, time_us = scratch(memory, columns), recording.trace["ts_us"].to_numpy()
    edges = np.linspace(0, len(columns.kind), samples + 1).astype(int)
    moments = []
    for low, high in itertools.pairwise(edges):
        replay_pcp_part(memory, columns, run, low, high, rows.FAITHFUL)
        moments.append(moment(memory, (time_us[max(high - 1, 0)] - time_us[0]) / 1e6))
    return history_table(moments)
