"""The summary of a run in one row; docs/model.md defines each entry."""

from typing import TYPE_CHECKING

import numpy as np

from freehint.engine.engine import Engine
from freehint.engine.guest.waiting import WAIT_COLUMNS
from freehint.engine.host.snapshot import CACHE, IN_USE
from freehint.engine.user import PAGE_COUNTS
from freehint.engine.world.jobs import (
    DONE,
    L_END,
    L_OOMS,
    L_OUTCOME,
    L_STALL_NS,
    L_STALLS,
)
from freehint.engine.world.records import TALLY_DTYPE, WAIT_ALLOC
from freehint.mm.memory import ZONE_NAMES
from freehint.mm.reclaim.counts import COUNTS
from freehint.runs.tables.remains import LOCK_COLUMNS, rows_of
from freehint.units import NS_PER_S, PAGE_SIZE

if TYPE_CHECKING:
    import pandas as pd

KIND, WAIT_NS = WAIT_COLUMNS.index("kind"), WAIT_COLUMNS.index("wait_ns")
HELD_NS = LOCK_COLUMNS.index("held_ns")
# Positions in a walk's tuple, which is a row of WALK_COLUMNS without the user.
BEGIN_NS, END_NS, _, WALKABLE, COVERED = range(5)  # of a row of User.walks

# Counters of /proc/vmstat in the summary of a guest under pressure.
SUMMED = (
    *("pageoutrun", "pgscan_kswapd", "pgscan_direct", "pgsteal_kswapd", "pgsteal_direct"),
    *("pgactivate", "pgdeactivate", "workingset_refault_anon", "workingset_refault_file"),
    *("pswpin", "pswpout", "oom_kill", "compact_stall", "compact_daemon_wake"),
    *("compact_migrate_scanned", "compact_free_scanned", "pgmigrate_success"),
)


def summary_row(scenario, engine: Engine) -> dict:
    """One row with the pages offered and hinted, their costs, and their later fate.

    Parameters
    ----------
    scenario : Scenario
    engine : Engine
        The engine at the scenario's end.
    """
    tally = dict(zip(TALLY_DTYPE.names, engine.world.tally[0].item()))
    waits = rows_of(engine, "waits")
    alloc_waits = waits[waits[:, KIND] == WAIT_ALLOC, WAIT_NS]
    held = engine.strokes.lock_rows[:, HELD_NS]
    walks = [walk for user in engine.strokes.users for walk in user.walks]
    walkable, covered = (sum(walk[at] for walk in walks) for at in (WALKABLE, COVERED))
    ended = walks and all(walk[END_NS] >= 0 for walk in walks)
    row = {
        "policy": scenario.policy_names,
        "seed": scenario.seed,
        **{f"{name}_pages": int(engine.world.user[name].sum()) for name in PAGE_COUNTS},
        **_retries(engine),
        "walks": len(walks),
        "walkable_pages": walkable,
        "coverage": _share(covered, walkable),
        "stale_pages": tally["stale"],
        "reused_pages": tally["reused"],
        "survival": 1 - _share(tally["reused"], tally["first_hinted"]),
        "walk_ns": sum(walk[END_NS] - walk[BEGIN_NS] for walk in walks) if ended else -1,
        "strokes": len(held),
        "notifications": tally["notifications"],
        **percentiles(held, len(held), "lock_held"),
        **percentiles(alloc_waits, tally["allocations"], "alloc_wait"),
        "alloc_wait_sum_ns": int(alloc_waits.sum()),
        "waits": len(waits),
        "bookmark_ns": int(engine.world.memory.zones["bookmark_steps"].sum())
        * scenario.costs.walk_block_ns,
        "allocations": tally["allocations"],
        "failed_allocations": tally["failed_allocations"],
        "frees": tally["frees"],
        "writes": tally["writes"],
        "discarded_pages": tally["discarded"],
        "lost_to_discard_pages": tally["lost_to_discard"],
        "decayed_pages": tally["decayed"],
        "compactions": tally["compactions"],
        "migrated_pages": tally["migrated"],
        **_migration_summary(engine),
        **_park_summary(engine),
        **_work_summary(engine),
        **_pressure_summary(engine),
        "guest_lock_holds": tally["lock_holds"],
        "guest_lock_held_ns": tally["lock_held_ns"],
    }
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in row.items()
    }


def _retries(engine: Engine) -> dict:
    """The pages offered again; empty without a policy that allocates, since no other retries."""
    if not any(user.policy.allocates for user in engine.strokes.users):
        return {}
    return {"retried_pages": int(engine.world.user["retried"].sum())}


def percentiles(values, count: int, prefix: str) -> dict:
    """The p50, p99 and max of ``values``, which are padded with zeros to ``count`` entries.

    Each is the smallest entry that at least that share of all entries does not exceed, never a
    value between two entries.
    """
    shares = {"p50": 0.50, "p99": 0.99, "max": 1.0}
    return {f"{prefix}_{name}_ns": percentile(values, count, at) for name, at in shares.items()}


def percentile(values, count: int, share: float) -> int:
    """The entry at a share of ``values`` padded with zeros; see :func:`percentiles`."""
    values = np.sort(np.asarray(values, np.int64))
    count = max(count, len(values))  # a Program's allocations wait, but are not counted
    at = max(int(np.ceil(share * count)) - 1, 0) - (count - len(values))
    return int(values[at]) if at >= 0 and len(values) else 0


def waiting(summary: "pd.Series", waits: "pd.DataFrame") -> dict:
    """How allocations waited, told so that it is not 0 where few of many waited.

    Parameters
    ----------
    summary : Series
        ``Run.summary``.
    waits : DataFrame
        ``Run.waits``.

    Returns
    -------
    dict
        alloc_wait_p999_ns, the 99.9th percentile of all allocations; alloc_wait_mean_ns, the mean
        of those that waited (0 if none did); alloc_waited, the share that waited.
    """
    waited = waits.loc[waits["kind"] == "alloc", "wait_ns"].to_numpy()
    count = max(int(summary["allocations"]), len(waited))
    return {
        "alloc_wait_p999_ns": percentile(waited, count, 0.999),
        "alloc_wait_mean_ns": float(waited.mean()) if len(waited) else 0.0,
        "alloc_waited": len(waited) / count if count else 0.0,
    }


def _migration_summary(engine: Engine) -> dict:
    """The counters of QEMU's query-migrate, and the guest's lost writes and faults afterwards."""
    migration, record = engine.migration, engine.world.migration[0]
    if migration is None:
        return {}
    host = engine.world.host[0]
    ended = migration.end_ns >= 0
    stopped = ended and migration.stopped_ns >= 0
    return {
        "migration": migration.status,
        "sent_bytes": int(record.sent_bytes),
        "normal_pages": int(record.normal),
        "zero_pages": int(record.zero),
        "skipped_pages": int(record.hinted),
        "rounds": len(migration.rounds),
        "total_ns": migration.end_ns - migration.begin_ns if ended else -1,
        "downtime_ns": migration.end_ns - migration.stopped_ns if stopped else -1,
        "lost_writes": migration.lost_writes,
        "faults": int(host.faults),
        "fault_ns": int(host.faults) * int(host.fault_ns),
    }


def _park_summary(engine: Engine) -> dict:
    """What the snapshots of a parked guest took and lost, over all of them."""
    if engine.parking is None:
        return {}
    rows, causes = engine.parking.rows, engine.parking.causes
    stranded = sum(stored for _, cause, _, stored in causes if cause not in (IN_USE, CACHE))
    return {
        "parks": len(rows),
        "stored_bytes": sum(row["stored_bytes"] for row in rows),
        "stranded_bytes": stranded * PAGE_SIZE,
        "park_ns": sum(row["written_ns"] - row["order_ns"] for row in rows),
        "restore_ns": sum(row["resume_ns"] - row["written_ns"] for row in rows),
        "park_lost_pages": sum(row["lost_pages"] for row in rows),
    }


def _work_summary(engine: Engine) -> dict:
    """The progress of a recorded guest; empty for other guests."""
    world, tally = engine.world, engine.world.tally[0]
    if not world.state[0].recorded:
        return {}
    return {
        "work_rows": int(tally["rows"]),
        "slip_ns": int(world.cpu["slip_ns"].max()),
        **_work_around_migration(engine),
        "as_recorded": int(tally["as_recorded"]),
        "unknown_frees": int(tally["unknown_frees"]),
        "skipped_frees": int(tally["skipped_frees"]),
    }


def _pressure_summary(engine: Engine) -> dict:
    """What reclaim did to a guest under pressure, and how its jobs ended; empty for others."""
    jobs, reclaim = engine.world.jobs, engine.world.reclaim
    if not len(jobs.step):
        return {}
    killed = jobs.log[:, L_OOMS] > 0
    ended = jobs.log[:, L_OUTCOME] == DONE
    return {
        **{name: int(reclaim.count[COUNTS.index(name)]) for name in SUMMED},
        "allocstall": int(reclaim.count[: len(ZONE_NAMES)].sum()),
        "kswapd_sleeps": int(reclaim.node["kswapd_sleeps"][0]),
        "stalls": int(jobs.log[:, L_STALLS].sum()),
        "stall_ns": int(jobs.log[:, L_STALL_NS].sum()),
        "jobs_done": int(ended.sum()),
        "jobs_killed": int(killed.sum()),
        "oom_ns": int(jobs.log[killed, L_END].min()) if killed.any() else -1,
        "jobs_ns": int(jobs.log[:, L_END].max()) if (jobs.log[:, L_END] > 0).all() else -1,
    }


def _work_around_migration(engine: Engine) -> dict:
    """A recorded guest's progress during its migration, and its delays then and afterwards."""
    migration = engine.migration
    if migration is None or migration.end_ns < 0:
        return {}
    times = [time_ns / NS_PER_S for time_ns in (migration.begin_ns, migration.end_ns)]
    # What each CPU had done and how late it was: when it began, when it ended, and at last.
    begin, end, last = (
        np.array([_last(engine.work, cpu, time_s) for cpu in range(len(engine.world.cpu))])
        for time_s in (*times, None)
    )
    return {
        "migration_rows": int((end - begin)[:, 0].sum()),
        "migration_slip_ns": int((end - begin)[:, 1].max()),
        "slip_after_ns": int((last - end)[:, 1].max()),
    }


def _last(work: list, of_cpu: int, at_s: float | None) -> tuple:
    """Rows done and slip of a CPU at a time, or at the end."""
    return next(
        (rows, slip_ns)
        for time_s, cpu, rows, slip_ns in reversed(work)
        if cpu == of_cpu and at_s in (None, time_s)
    )


def _share(part: int, whole_: int) -> float:
    return part / whole_ if whole_ else float("nan")
