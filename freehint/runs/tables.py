"""The tables of a run, from an engine at its end; docs/model.md says what each column means."""

from functools import cache

import numpy as np
import pandas as pd

from freehint.engine.engine import Engine
from freehint.engine.guest.waiting import WAIT_COLUMNS
from freehint.engine.host.migration import ROUND_COLUMNS
from freehint.engine.host.park import AFTER_COLUMNS, PARK_COLUMNS
from freehint.engine.host.snapshot import CAUSES
from freehint.engine.monitor import RULES, Rule
from freehint.engine.user import PAGE_COUNTS
from freehint.engine.worker import REPORT_COLUMNS
from freehint.engine.world.jobs import COURSE, LOG_COLUMNS, OUTCOMES
from freehint.engine.world.records import WAIT_KINDS
from freehint.engine.world.violations import NR_COLUMNS, TIMES
from freehint.mm.memory import zone_name
from freehint.mm.reclaim.counts import COUNTS

LOCK_COLUMNS = ("user", "stroke", "zone", "since_ns", "held_ns", "blocks")
WALK_COLUMNS = (
    *("user", "begin_ns", "end_ns", "completed", "walkable_pages", "covered_pages"),
    *(f"{name}_pages" for name in PAGE_COUNTS),
    *("compacted_pages", "compact_ns"),
)
HELD_COLUMNS = {"time_s": np.float64, "user": np.int8, "pages": np.int64}
BALLOON_COLUMNS = {
    **{"time_s": np.float64, "target_pages": np.int64, "pages": np.int64},
    "out_of_puff": np.bool_,
}
RESIDENT_COLUMNS = {"time_s": np.float64, "resident_pages": np.int64, "faults": np.int64}
WORK_COLUMNS = {"time_s": np.float64, "cpu": np.int64, "rows": np.int64, "slip_ns": np.int64}
VIOLATION_COLUMNS = (*Rule._fields, "user", "times", "first_ns", "pfn")
RECLAIM_COLUMNS = (*COURSE, *COUNTS)
STRANDED_COLUMNS = ("park", "cause", "resident_pages", "stored_pages")

_RULE_VALUES = [list(dict.fromkeys(values)) for values in zip(*RULES.values())]


@cache
def _index(columns: tuple) -> pd.Index:
    """The columns as pandas wants them, which takes it longer to make than a short table."""
    return pd.Index(columns)


@cache
def _categories(names: tuple) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(names)


def _names(codes, names) -> pd.Categorical:
    """A column of names, from their numbers."""
    return pd.Categorical.from_codes(np.asarray(codes, np.int8), dtype=_categories(tuple(names)))


def _table(rows: np.ndarray, columns) -> pd.DataFrame:
    """A table of whole numbers, int64[n, len(columns)]."""
    return pd.DataFrame(rows, columns=_index(tuple(columns)))


def _typed_table(rows: list, types: dict) -> pd.DataFrame:
    """A table of tuples, with a type for each column."""
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    arrays = map(np.array, columns, types.values())
    return pd.DataFrame(dict(zip(types, arrays, strict=True)))


def rows_of(engine: Engine, name: str) -> np.ndarray:
    """The rows of ``reports`` or ``waits`` that were written so far."""
    return getattr(engine.world, name)[: engine.world.state[0][f"nr_{name}"]]


def _user_names(engine: Engine, column) -> pd.Categorical:
    names = [user.policy.name for user in engine.strokes.users]
    if len(set(names)) < len(names):
        names = [f"{name} #{number}" for number, name in enumerate(names)]
    return _names(column, names)


def _zone_names(engine: Engine, column) -> pd.Categorical:
    memory = engine.world.memory
    names = [zone_name(memory, z) for z in range(memory.nr_free.shape[0])]
    return _names(column, names)


def reports_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per block offered to the ring."""
    frame = _table(rows_of(engine, "reports").copy(), REPORT_COLUMNS)
    frame["user"] = _user_names(engine, frame["user"])
    frame["zone"] = _zone_names(engine, frame["zone"])
    for name in ("taken", "duplicate"):
        frame[name] = frame[name].astype(bool)
    return frame


def locks_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per hold of a zone lock by a policy."""
    rows = np.array(engine.strokes.locks, np.int64).reshape(-1, len(LOCK_COLUMNS))
    frame = _table(rows, LOCK_COLUMNS)
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
    frame = _table(table, WALK_COLUMNS)
    frame["user"] = _user_names(engine, frame["user"])
    frame["completed"] = frame["completed"].astype(bool)
    return frame.sort_values("begin_ns", kind="stable", ignore_index=True)


def waits_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per operation of a guest CPU that waited for a zone lock."""
    frame = _table(rows_of(engine, "waits").copy(), WAIT_COLUMNS)
    frame["zone"] = _zone_names(engine, frame["zone"])
    frame["kind"] = _names(frame["kind"], WAIT_KINDS)
    return frame


def resident_table(engine: Engine) -> pd.DataFrame:
    """A table of resident pages and faults over time, on a host that discards."""
    return _typed_table(engine.resident, RESIDENT_COLUMNS)


def work_table(engine: Engine) -> pd.DataFrame:
    """A table of the progress of a recorded guest over time."""
    return _typed_table(engine.work, WORK_COLUMNS)


def held_table(engine: Engine) -> pd.DataFrame:
    """A table of the pages that each policy holds for the host, over time."""
    frame = _typed_table(engine.held, HELD_COLUMNS)
    frame["user"] = _user_names(engine, frame["user"])
    return frame


def balloon_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per batch of the balloon, and one for each target."""
    rows = engine.inflation.course if engine.inflation else []
    return _typed_table(rows, BALLOON_COLUMNS)


def rounds_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per sync of the migration's bitmap."""
    rows = engine.migration.rounds if engine.migration else []
    return _table(np.array(rows, np.int64).reshape(-1, len(ROUND_COLUMNS)), ROUND_COLUMNS)


def parks_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per snapshot from which the guest was restored."""
    rows = [list(row.values()) for row in engine.parking.rows] if engine.parking else []
    columns = PARK_COLUMNS + AFTER_COLUMNS
    return _table(np.array(rows, np.int64).reshape(-1, len(columns)), columns)


def stranded_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per snapshot and cause for which pages were resident or stored."""
    rows = engine.parking.causes if engine.parking else []
    frame = _table(np.array(rows, np.int64).reshape(-1, len(STRANDED_COLUMNS)), STRANDED_COLUMNS)
    frame["cause"] = _names(frame["cause"], CAUSES)
    return frame


def violations_table(engine: Engine) -> pd.DataFrame:
    """A table with one row per policy and rule of the virtio specification that was broken."""
    found = engine.world.violations
    users, kinds = np.nonzero(found[:, :, TIMES])
    names = _user_names(engine, users)
    if not len(users):
        return _no_violations(tuple(names.categories)).copy()
    return _violations(kinds, names, found[users, kinds])


@cache
def _no_violations(users: tuple) -> pd.DataFrame:
    """The table that most runs have, which takes as long to make as six copies."""
    names = pd.Categorical([], categories=users)
    return _violations(np.zeros(0, int), names, np.zeros((0, NR_COLUMNS), np.int64))


def _violations(kinds: np.ndarray, users: pd.Categorical, numbers: np.ndarray) -> pd.DataFrame:
    rules = [RULES[kind] for kind in kinds.tolist()]
    parts = {
        name: pd.Categorical([rule[at] for rule in rules], categories=known)
        for at, (name, known) in enumerate(zip(Rule._fields, _RULE_VALUES))
    }
    columns = dict(zip(VIOLATION_COLUMNS[-NR_COLUMNS:], numbers.T))
    return pd.DataFrame({**parts, "user": users, **columns})


def reclaim_table(engine: Engine) -> pd.DataFrame:
    """A table of the course of memory and of /proc/vmstat's counters, of a guest under pressure."""
    jobs = engine.world.jobs
    rows = jobs.course[: jobs.state[0].nr_course]
    frame = _table(rows.copy(), RECLAIM_COLUMNS)
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
    frame = _table(engine.world.jobs.log.copy(), LOG_COLUMNS)
    frame.insert(0, "step", pd.Categorical(texts))
    frame["outcome"] = _names(frame["outcome"], OUTCOMES)
    return frame
