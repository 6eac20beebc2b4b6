"""Search for the best values of some parameters: optuna's sampler around runs of a scenario.

Everything follows from the seed and the runs, and finished runs are kept.  After a kill the same
call asks the sampler again, gets the same trials, and skips the runs that are already there.
"""

import contextlib
import functools
import math
from collections import deque
from typing import NamedTuple

import pandas as pd

from freehint.config import InputError, extra, whole
from freehint.sweeps.design import Design
from freehint.sweeps.factors import Choices
from freehint.sweeps.objective import Objective, stated
from freehint.sweeps.parts import RunParts
from freehint.sweeps.sampling import latin_hypercube
from freehint.sweeps.status import DONE, FAILED
from freehint.sweeps.sweep import pool_for, table_of, written

# Points at which the ranges are checked before anything runs: each refuses a misspelt name.
TRIED = 64


class Optimum(NamedTuple):
    """The result of a search.

    best : Series or None
        The best feasible row of ``trials``, the first if several are equal; None if no trial is
        feasible.
    trials : DataFrame
        One row per trial: its values, means of the objective's columns over the seeds, ``status``
        ("done", or "failed" if one of its runs failed) and ``feasible``.
    runs : DataFrame
        One row per run, with the columns of :func:`freehint.sweep`.
    """

    best: pd.Series | None
    trials: pd.DataFrame
    runs: pd.DataFrame


def optimise(
    scenario,
    ranges,
    objective,
    trials=64,
    seeds=range(3),
    seed=1,
    batch=1,
    scheduler=None,
    out=None,
    progress=None,
) -> Optimum:
    """Search for the values that serve an objective best.

    Parameters
    ----------
    scenario : Scenario
        It gives all parameters that the ranges do not name.
    ranges : dict
        As for :func:`freehint.sobol`.
    objective : str
        For instance ``"minimise alloc_wait_max_ns subject to coverage >= 0.9"``; each column
        stands for its mean over the seeds.
    trials : int
        The number of points to try.
    seeds : iterable of int
        The seeds of the runs; each trial runs once with each.
    seed : int
        The seed of the sampler.
    batch : int
        The sampler proposes this many trials before it learns their results.  A larger batch
        keeps more workers busy, but changes the trials; the scheduler does not change them.
    scheduler, out, progress
        As for :func:`freehint.sweep`.

    Returns
    -------
    Optimum
        The same arguments give the same result, with any ``scheduler``.

    Raises
    ------
    InputError
        The ranges or the objective are refused, a column does not exist, optuna or scipy is
        not installed (the extra ``sweep``), or ``out`` holds something else.

    Notes
    -----
    Source: optuna.samplers.TPESampler; Watanabe, "Tree-structured Parzen estimator", 2023.
    """
    for name, value in (("trials", trials), ("batch", batch)):
        whole(name, value, 1)
    whole("seed", seed, 0)
    optuna = extra("optuna", "fh.optimise")
    tried = Design(scenario, latin_hypercube(ranges, TRIED), seeds)
    parts = None
    if out is not None:
        parts = RunParts(out, _facts(tried, objective, seed, batch, trials))
    search = _Search(optuna, stated(objective), tried, seed)
    table = parts.finished() if parts else None
    if table is not None:
        held = {record["run"]: record for record in table.to_dict("records")}
        search.go_on(trials, batch, held, None, progress)
    else:
        pool = pool_for(scheduler, tried)
        with parts.open() if parts else contextlib.nullcontext(), pool:
            run = functools.partial(written, pool, parts=parts)
            search.go_on(trials, batch, parts.held() if parts else {}, run, progress)
            if parts:
                parts.join(table_of(search.rows))
    return search.optimum()


def _facts(tried: Design, objective: str, seed: int, batch: int, trials: int) -> dict:
    facts = tried.facts()
    ranges = facts.pop("design")["ranges"]
    asked = {"objective": objective, "seed": seed, "batch": batch, "trials": trials}
    return {**facts, "optimise": {**asked, "ranges": ranges}}


class _Search:
    """The trials so far.  A sampler that gets the same results proposes the same trials."""

    def __init__(self, optuna, wanted: Objective, tried: Design, seed: int):
        self.wanted = wanted
        self.space = tried.space
        self.seeds = tried.seeds
        self.rows = {}
        self.trials = []
        self.states = optuna.trial.TrialState
        with _quiet(optuna):
            direction = wanted.direction.replace("mise", "mize")
            sampler = optuna.samplers.TPESampler(seed=seed)
            self.study = optuna.create_study(direction=direction, sampler=sampler)

    def go_on(self, trials: int, batch: int, held: dict, run, progress) -> None:
        """Ask and tell, one batch at a time; ``run(jobs)`` yields the rows that are not held."""
        for begin in range(0, trials, batch):
            asked = [self.study.ask() for _ in range(min(batch, trials - begin))]
            keys = [self._key(trial) for trial in asked]
            jobs = [
                ((begin + at) * len(self.seeds) + place, key, seed)
                for at, key in enumerate(keys)
                for place, seed in enumerate(self.seeds)
            ]
            known = {job[0]: self._again(job, held[job[0]]) for job in jobs if job[0] in held}
            self._take(known, progress)
            left = deque(job for job in jobs if job[0] not in known)
            for rows in run(left) if left else ():
                self._take(rows, progress)
            for trial, key in zip(asked, keys):
                self._tell(trial, key)

    def _take(self, rows: dict, progress) -> None:
        self.rows |= rows
        if progress and rows:
            progress(len(rows))

    def _key(self, trial) -> tuple:
        return tuple(_suggested(trial, name, f) for name, f in self.space.factors.items())

    def _again(self, job: tuple, record: dict) -> dict:
        """A row that ``out`` holds, after a check that it belongs to this job."""
        row = self.space.row(*job)
        for name, value in row.items():
            if value is not None and record.get(name) != value:
                raise InputError(
                    f"out: run {job[0]} has {name} {record.get(name)!r}, but the sampler asks for"
                    f" {value!r}: another version of optuna made it"
                )
        return row | {name: value for name, value in record.items() if name not in row}

    def _tell(self, trial, key: tuple) -> None:
        begin = trial.number * len(self.seeds)
        runs = [self.rows[begin + place] for place in range(len(self.seeds))]
        means = self._means(runs)
        done = means is not None
        excess = self.wanted.excess(means) if done else []
        for at, value in enumerate(excess):
            trial.set_constraint(str(at), value)
        if done:
            self.study.tell(trial, means[self.wanted.column])
        else:
            self.study.tell(trial, state=self.states.FAIL)
        row = self.space.row(trial.number, key, 0)
        row["trial"] = row.pop("run")
        del row["seed"]
        feasible = done and all(value <= 0 for value in excess)
        status = DONE if done else FAILED
        self.trials.append({**row, **(means or {}), "status": status, "feasible": feasible})

    def _means(self, runs: list) -> dict | None:
        """The means of the objective's columns; None if one of the runs lacks a number."""
        if any(run["status"] != DONE for run in runs):
            return None
        for name in self.wanted.columns():
            numbers = [n for n, v in runs[0].items() if isinstance(v, int | float)]
            if name not in numbers:
                raise InputError(
                    f"objective: there is no column {name!r} of numbers; there are"
                    f" {', '.join(numbers)}"
                )
        means = {n: sum(run[n] for run in runs) / len(runs) for n in self.wanted.columns()}
        return None if any(map(math.isnan, means.values())) else means

    def optimum(self) -> Optimum:
        """The result of the trials so far."""
        trials = pd.DataFrame(self.trials)
        trials.insert(0, "trial", trials.pop("trial"))
        feasible = trials[trials["feasible"]]
        best = None
        if len(feasible):
            column = feasible[self.wanted.column]
            least = self.wanted.direction == "minimise"
            best = feasible.loc[column.idxmin() if least else column.idxmax()]
        return Optimum(best, trials, table_of(self.rows))


def _suggested(trial, name: str, factor):
    """The sampler's proposal for one factor, as a key holds it."""
    if isinstance(factor, Choices):
        return trial.suggest_categorical(name, range(len(factor.values)))
    if factor.scale == "log2":
        low, high = factor.low.bit_length() - 1, factor.high.bit_length() - 1
        return 1 << trial.suggest_int(name, low, high)
    suggest = trial.suggest_int if factor.whole else trial.suggest_float
    return suggest(name, factor.low, factor.high, log=factor.scale == "log")


@contextlib.contextmanager
def _quiet(optuna):
    """Keep optuna from printing a line for each new study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
