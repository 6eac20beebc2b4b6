"""The tables of a run as DataFrames; docs/model.md says what each column means."""

from functools import cache

import numpy as np
import pandas as pd

from freehint.engine.guest.waiting import WAIT_COLUMNS
from freehint.engine.host.migration import ROUND_COLUMNS
from freehint.engine.host.park import AFTER_COLUMNS, PARK_COLUMNS
from freehint.engine.host.snapshot import CAUSES
from freehint.engine.monitor import RULES, Rule
from freehint.engine.worker import REPORT_COLUMNS
from freehint.engine.world.jobs import COURSE, LOG_COLUMNS, OUTCOMES
from freehint.engine.world.records import WAIT_KINDS
from freehint.engine.world.violations import NR_COLUMNS, TIMES
from freehint.formats.tables import history_table
from freehint.mm.reclaim.counts import COUNTS
from freehint.runs.tables.remains import LOCK_COLUMNS, STRANDED_COLUMNS, WALK_COLUMNS, Remains

HELD_COLUMNS = {"time_s": np.float64, "user": np.int8, "pages": np.int64}
BALLOON_COLUMNS = {
    **{"time_s": np.float64, "target_pages": np.int64, "pages": np.int64},
    "out_of_puff": np.bool_,
}
RESIDENT_COLUMNS = {"time_s": np.float64, "resident_pages": np.int64, "faults": np.int64}
WORK_COLUMNS = {"time_s": np.float64, "cpu": np.int64, "rows": np.int64, "slip_ns": np.int64}
VIOLATION_COLUMNS = (*Rule._fields, "user", "times", "first_ns", "pfn")
RECLAIM_COLUMNS = (*COURSE, *COUNTS)

_RULE_VALUES = [list(dict.fromkeys(values)) for values in zip(*RULES.values())]


def frame(name: str, remains: Remains) -> pd.DataFrame | pd.Series:
    """A table of a run, or its summary, by the name that it has in :class:`freehint.Run`."""
    return _FRAMES[name](remains)


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
    return pd.DataFrame(rows, columns=_index(tuple(columns)), copy=False)


def _typed_table(rows: list, types: dict) -> pd.DataFrame:
    """A table of tuples, with a type for each column."""
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    arrays = map(np.array, columns, types.values())
    return pd.DataFrame(dict(zip(types, arrays, strict=True)))


def _summary(remains: Remains) -> pd.Series:
    return pd.Series(remains.summary, dtype=object)


def _reports(remains: Remains) -> pd.DataFrame:
    table = _table(remains.reports, REPORT_COLUMNS)
    table["user"] = _names(table["user"], remains.users)
    table["zone"] = _names(table["zone"], remains.zones)
    for name in ("taken", "duplicate"):
        table[name] = table[name].astype(bool)
    return table


def _locks(remains: Remains) -> pd.DataFrame:
    table = _table(remains.locks, LOCK_COLUMNS)
    table["user"] = _names(table["user"], remains.users)
    table["zone"] = _names(table["zone"], remains.zones)
    return table


def _walks(remains: Remains) -> pd.DataFrame:
    table = _table(remains.walks, WALK_COLUMNS)
    table["user"] = _names(table["user"], remains.users)
    table["completed"] = table["completed"].astype(bool)
    return table.sort_values("begin_ns", kind="stable", ignore_index=True)


def _waits(remains: Remains) -> pd.DataFrame:
    table = _table(remains.waits, WAIT_COLUMNS)
    table["zone"] = _names(table["zone"], remains.zones)
    table["kind"] = _names(table["kind"], WAIT_KINDS)
    return table


def _held(remains: Remains) -> pd.DataFrame:
    table = _typed_table(remains.held, HELD_COLUMNS)
    table["user"] = _names(table["user"], remains.users)
    return table


def _stranded(remains: Remains) -> pd.DataFrame:
    table = _table(remains.stranded, STRANDED_COLUMNS)
    table["cause"] = _names(table["cause"], CAUSES)
    return table


def _violations(remains: Remains) -> pd.DataFrame:
    users, kinds = np.nonzero(remains.violations[:, :, TIMES])
    if not len(users):
        return _no_violations(remains.users).copy()
    names = _names(users, remains.users)
    return _broken_rules(kinds, names, remains.violations[users, kinds])


@cache
def _no_violations(users: tuple) -> pd.DataFrame:
    """The table that most runs have, which takes as long to make as six copies."""
    names = pd.Categorical([], categories=users)
    return _broken_rules(np.zeros(0, int), names, np.zeros((0, NR_COLUMNS), np.int64))


def _broken_rules(kinds: np.ndarray, users: pd.Categorical, numbers: np.ndarray) -> pd.DataFrame:
    rules = [RULES[kind] for kind in kinds.tolist()]
    parts = {
        name: pd.Categorical([rule[at] for rule in rules], categories=known)
        for at, (name, known) in enumerate(zip(Rule._fields, _RULE_VALUES))
    }
    columns = dict(zip(VIOLATION_COLUMNS[-NR_COLUMNS:], numbers.T))
    return pd.DataFrame({**parts, "user": users, **columns})


def _reclaim(remains: Remains) -> pd.DataFrame:
    table = _table(remains.reclaim, RECLAIM_COLUMNS)
    table["kswapd_awake"] = table["kswapd_awake"].astype(bool)
    return table


def _jobs(remains: Remains) -> pd.DataFrame:
    table = _table(remains.jobs, LOG_COLUMNS)
    table.insert(0, "step", pd.Categorical(remains.steps))
    table["outcome"] = _names(table["outcome"], OUTCOMES)
    return table


_FRAMES = {
    "summary": _summary,
    "reports": _reports,
    "locks": _locks,
    "waits": _waits,
    "walks": _walks,
    "history": lambda remains: history_table(remains.history),
    "rounds": lambda remains: _table(remains.rounds, ROUND_COLUMNS),
    "violations": _violations,
    "resident": lambda remains: _typed_table(remains.resident, RESIDENT_COLUMNS),
    "work": lambda remains: _typed_table(remains.work, WORK_COLUMNS),
    "held": _held,
    "balloon": lambda remains: _typed_table(remains.balloon, BALLOON_COLUMNS),
    "reclaim": _reclaim,
    "jobs": _jobs,
    "parks": lambda remains: _table(remains.parks, PARK_COLUMNS + AFTER_COLUMNS),
    "stranded": _stranded,
}
