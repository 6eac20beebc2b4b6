"""The tables of a run, from an engine at its end; docs/model.md says what each column means."""

import numpy as np
import pandas as pd

from freehint.engine.engine import Engine
from freehint.engine.guest.waiting import WAIT_COLUMNS
from freehint.engine.host.migration import ROUND_COLUMNS
from freehint.engine.user import PAGE_COUNTS
from freehint.engine.worker import REPORT_COLUMNS
from freehint.engine.world.jobs import COURSE, LOG_COLUMNS, OUTCOMES
from freehint.engine.world.records import WAIT_KINDS
from freehint.mm.memory import zone_name
from freehint.mm.reclaim.counts import COUNTS

LOCK_COLUMNS = ("user", "stroke", "zone", "since_ns", "held_ns", "blocks")
WALK_COLUMNS = (
    *("user", "begin_ns", "end_ns", "completed", "walkable_pages", "covered_pages"),
    *(f"{name}_pages" for name in PAGE_COUNTS),
    *("compacted_pages", "compact_ns"),
)
HELD_COLUMNS = ("time_s", "user", "pages")
BALLOON_COLUMNS = ("time_s", "target_pages", "pages", "out_of_puff")

RECLAIM_COLUMNS = (*COURSE, *COUNTS)


def rows_of(engine: Engine, name: str) -> np.ndarray:
    """The rows of ``reports`` or ``waits`` that were written so far."""
    return getattr(engine.world, name)[: engine.world.state[0][f"nr_{name}"]]


def _user_names(engine: Engine, column) -> pd.Categorical:
    names = [user.policy.name for user in engine.strokes.users]
    if len(set(names)) < len(names):
        names = [f"{name} #{number}" for number, name in enumerate(names)]
    return pd.Categorical.from_codes(np.asarray(column, np.int8), categories=names)


def _zone_names(engine: Engine, column) -> pd.Categorical:
    memory = engine.world.memory
    names = [zone_name(memory, z) for z in range(memory.nr_free.shape[0])]
    return pd.Categorical.from_codes(np.asarray(column, np.int8), categories=names)


def reports_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per block offered to the ring."""
    frame = pd.DataFrame(rows_of(engine, "reports").copy(), columns=list(REPORT_COLUMNS))
    frame["user"] = _user_names(engine, frame["user"])
    frame["zone"] = _zone_names(engine, frame["zone"])
    for name in ("taken", "duplicate"):
        frame[name] = frame[name].astype(bool)
    return frame


def locks_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per hold of a zone lock by a policy."""
    rows = np.array(engine.strokes.locks, np.int64).reshape(-1, len(LOCK_COLUMNS))
    frame = pd.DataFrame(rows, columns=list(LOCK_COLUMNS))
    frame["user"] = _user_names(engine, frame["user"])
    frame["zone"] = _zone_names(engine, frame["zone"])
    return frame


def walks_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per walk; ``end_ns`` is -1 if the walk had not ended."""
    rows = [
        (u.number, *walk, *compaction)
        for u in engine.strokes.users
        for walk, compaction in zip(u.walks, u.compactions, strict=True)
    ]
    table = np.array(rows, np.int64).reshape(-1, len(WALK_COLUMNS))
    frame = pd.DataFrame(table, columns=list(WALK_COLUMNS))
    frame["user"] = _user_names(engine, frame["user"])
    frame["completed"] = frame["completed"].astype(bool)
    return frame.sort_values("begin_ns", kind="stable", ignore_index=True)


def waits_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per operation of a guest CPU that waited for a zone lock."""
    frame = pd.DataFrame(rows_of(engine, "waits").copy(), columns=list(WAIT_COLUMNS))
    frame["zone"] = _zone_names(engine, frame["zone"])
    frame["kind"] = pd.Categorical.from_codes(
        frame["kind"].to_numpy(np.int8), categories=list(WAIT_KINDS)
    )
    return frame


def resident_table(engine: Engine) -> pd.DataFrame:
    """A table of resident pages and faults over time, on a host that discards."""
    columns = ["time_s", "resident_pages", "faults"]
    return pd.DataFrame(engine.resident, columns=columns).astype(
        {"time_s": float, "resident_pages": np.int64, "faults": np.int64}
    )


def work_table(engine: Engine) -> pd.DataFrame:
    """A table of the progress of a recorded guest over time."""
    columns = {"time_s": float, "cpu": np.int64, "rows": np.int64, "slip_ns": np.int64}
    return pd.DataFrame(engine.work, columns=list(columns)).astype(columns)


def held_table(engine: Engine) -> pd.DataFrame:
    """A table of the pages that each policy holds for the host, over time."""
    frame = pd.DataFrame(engine.held, columns=list(HELD_COLUMNS))
    frame["user"] = _user_names(engine, frame["user"])
    return frame.astype({"time_s": float, "pages": np.int64})


def balloon_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per batch of the balloon, and one for each target."""
    rows = engine.inflation.course if engine.inflation else []
    types = {"time_s": float, "target_pages": np.int64, "pages": np.int64, "out_of_puff": bool}
    return pd.DataFrame(rows, columns=list(BALLOON_COLUMNS)).astype(types)


def rounds_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per sync of the migration's bitmap."""
    rows = engine.migration.rounds if engine.migration else []
    return pd.DataFrame(rows, columns=list(ROUND_COLUMNS)).astype(np.int64)


def reclaim_table(engine: Engine) -> pd.DataFrame:
    """A table of the course of memory and of /proc/vmstat's counters, of a guest under pressure."""
    jobs = engine.world.jobs
    rows = jobs.course[: jobs.state[0].nr_course]
    frame = pd.DataFrame(rows.copy(), columns=list(RECLAIM_COLUMNS))
    frame["kswapd_awake"] = frame["kswapd_awake"].astype(bool)
    return frame


def jobs_table(engine: Engine, texts=()) -> pd.DataFrame:
    """A table with one row per step of a guest under pressure, begun or not.

    Parameters
    ----------
    engine : Engine
    texts : list of str
        What the steps are called.
    """
    frame = pd.DataFrame(engine.world.jobs.log.copy(), columns=list(LOG_COLUMNS))
    frame.insert(0, "step", pd.Categorical(texts))
    frame["outcome"] = pd.Categorical.from_codes(
        frame["outcome"].to_numpy(np.int8), categories=list(OUTCOMES)
    )
    return frame
