"""What is left of an engine at its end: rows, from which a run's tables are made when asked for.

Nothing here needs pandas, whose import takes longer than the default scenario.
"""

from typing import NamedTuple

import numpy as np

from freehint.engine.engine import Engine
from freehint.engine.host.migration import ROUND_COLUMNS
from freehint.engine.host.park import AFTER_COLUMNS, PARK_COLUMNS
from freehint.engine.user import PAGE_COUNTS
from freehint.mm.memory import zone_name

LOCK_COLUMNS = ("user", "stroke", "zone", "since_ns", "held_ns", "blocks")
WALK_COLUMNS = (
    *("user", "begin_ns", "end_ns", "completed", "walkable_pages", "covered_pages"),
    *(f"{name}_pages" for name in PAGE_COUNTS),
    *("compacted_pages", "compact_ns"),
)
STRANDED_COLUMNS = ("park", "cause", "resident_pages", "stored_pages")


class Remains(NamedTuple):
    """Rows of the tables that :class:`freehint.Run` lists, and the names of their numbers.

    summary : dict             the run's summary
    users, zones, steps : tuple of str   names of policies, of zones, of jobs' steps
    reports, locks, waits, walks, rounds, reclaim, jobs, parks, stranded : int64[n, columns]
    history, resident, work, held, balloon : list of tuple
    violations : int64[users, NR_KINDS, NR_COLUMNS]
    """

    summary: dict
    users: tuple
    zones: tuple
    steps: tuple
    reports: np.ndarray
    locks: np.ndarray
    waits: np.ndarray
    walks: np.ndarray
    history: list
    rounds: np.ndarray
    violations: np.ndarray
    resident: list
    work: list
    held: list
    balloon: list
    reclaim: np.ndarray
    jobs: np.ndarray
    parks: np.ndarray
    stranded: np.ndarray


def remains_of(engine: Engine, summary: dict, steps=()) -> Remains:
    """What is left of an engine; it may go on afterwards.

    Parameters
    ----------
    engine : Engine
    summary : dict
        :func:`freehint.runs.summary.summary_row` of it.
    steps : sequence of str
        What the steps of a guest under pressure are called.
    """
    world, parking, jobs = engine.world, engine.parking, engine.world.jobs
    walks = [
        (user.number, *walk, *compaction)
        for user in engine.strokes.users
        for walk, compaction in zip(user.walks, user.compactions, strict=True)
    ]
    return Remains(
        summary=summary,
        users=_user_names(engine),
        zones=tuple(zone_name(world.memory, z) for z in range(world.memory.nr_free.shape[0])),
        steps=tuple(steps),
        reports=rows_of(engine, "reports").copy(),
        locks=engine.strokes.lock_rows,
        waits=rows_of(engine, "waits").copy(),
        walks=_rows(walks, WALK_COLUMNS),
        history=list(engine.history),
        rounds=_rows(engine.migration.rounds if engine.migration else [], ROUND_COLUMNS),
        violations=world.violations.copy(),
        resident=list(engine.resident),
        work=list(engine.work),
        held=list(engine.held),
        balloon=list(engine.inflation.course) if engine.inflation else [],
        reclaim=jobs.course[: jobs.state[0].nr_course].copy(),
        jobs=jobs.log.copy(),
        parks=_rows(
            [list(row.values()) for row in parking.rows] if parking else [],
            PARK_COLUMNS + AFTER_COLUMNS,
        ),
        stranded=_rows(parking.causes if parking else [], STRANDED_COLUMNS),
    )


def rows_of(engine: Engine, name: str) -> np.ndarray:
    """The rows of ``reports`` or ``waits`` that were written so far."""
    return getattr(engine.world, name)[: engine.world.state[0][f"nr_{name}"]]


def _user_names(engine: Engine) -> tuple:
    names = [user.policy.name for user in engine.strokes.users]
    if len(set(names)) < len(names):
        names = [f"{name} #{number}" for number, name in enumerate(names)]
    return tuple(names)


def _rows(rows: list, columns: tuple) -> np.ndarray:
    """int64[n, len(columns)]"""
    return np.array(rows, np.int64).reshape(-1, len(columns))
