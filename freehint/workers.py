"""How the runs of a sweep are done: one, a chunk of them, and chunks fed to those who do them.

Runs go to workers in chunks, sized by how long the runs before took.  What a chunk is decides
nothing: a run's row follows from its key and its seed.
"""

import time
from collections import deque
from functools import lru_cache

from freehint.config import InputError
from freehint.factors import Space
from freehint.mm.memory import Memory, copy_memory
from freehint.simulate import guest_memory, prepared_memory, run_engine
from freehint.summary import summary_row

CHUNK_S = 1.0
DONE, FAILED, REFUSED = "done", "failed", "refused"


# One run.


@lru_cache(maxsize=4)
def _prepared(name, kernel, nr_cpus) -> Memory:
    """A guest that is loaded once for many runs; each begins with a copy."""
    return prepared_memory(name, kernel, nr_cpus)[0]


def _own_memory(scenario) -> Memory:
    if isinstance(scenario.memory, Memory):
        return guest_memory(scenario)[0]
    return copy_memory(_prepared(scenario.memory, scenario.kernel, scenario.workload.nr_cpus))


def _summary_of(scenario) -> dict:
    return summary_row(scenario, run_engine(scenario, _own_memory(scenario))).to_dict()


def one_run(space: Space, job: tuple) -> dict:
    """One row of the table; what goes wrong in a run is its own affair."""
    _, key, seed = job
    try:
        summary, status, error = _summary_of(space.scenario_of(key, seed)), DONE, ""
    except Exception as problem:
        text = " ".join(str(problem).split())
        summary, status, error = {}, FAILED, f"{type(problem).__name__}: {text}"
    # The columns that name the run first: a summary has policy and seed too.
    row = {**space.row(*job), "status": status, "error": error}
    return row | {name: value for name, value in summary.items() if name not in row}


def run_chunk(space: Space, jobs: list) -> tuple:
    """Rows of some runs, {number: row}, and the seconds that they took."""
    begin = time.perf_counter()
    rows = {job[0]: one_run(space, job) for job in jobs}
    return rows, time.perf_counter() - begin


# Chunks.


class Tempo:
    """How long a run takes; it decides what is done at once, and never what comes out."""

    def __init__(self):
        self.run_s = None

    @property
    def chunk_runs(self) -> int:
        """Runs that take about CHUNK_S; before the first is known, one."""
        return max(1, round(CHUNK_S / self.run_s)) if self.run_s else 1

    def note(self, runs: int, seconds: float) -> None:
        """Later runs count more: a design's runs differ, and neighbours are alike."""
        now = max(seconds, 1e-4) / runs
        self.run_s = now if self.run_s is None else (self.run_s + now) / 2


class LostChunkError(Exception):
    """A chunk's worker died, and so did those that tried it again."""


def fed(pool, space: Space, left: deque):
    """Rows of all jobs that are left, in whatever order chunks come back; {number: row} each.

    pool : has ``width()`` (runs at once), ``submit(jobs)``, ``finished(running)`` (some of them,
    at least one), ``result(future)`` as of :func:`run_chunk`.
    """
    tempo, running = Tempo(), {}
    while left or running:
        width = pool.width()
        while left and len(running) < 2 * width:
            size = min(tempo.chunk_runs, -(-len(left) // width))
            jobs = [left.popleft() for _ in range(size)]
            running[pool.submit(jobs)] = jobs
        for future in pool.finished(running):
            jobs = running.pop(future)
            try:
                rows, seconds = pool.result(future)
            except LostChunkError as error:
                if len(jobs) > 1:  # Which of them it was is seen when each goes alone.
                    running |= {pool.submit([job]): [job] for job in jobs}
                    continue
                yield {jobs[0][0]: _lost_row(space, jobs[0], error)}
                continue
            tempo.note(len(jobs), seconds)
            yield rows


def _lost_row(space: Space, job: tuple, error: Exception) -> dict:
    return {**space.row(*job), "status": FAILED, "error": str(error)}


class Here:
    """Runs one after another in this process."""

    def __init__(self, space: Space):
        self.space = space

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def chunks(self, left: deque):
        """Rows as they come, {number: row}."""
        while left:
            job = left.popleft()
            yield {job[0]: one_run(self.space, job)}


class FirstRuns:
    """The first run of each policy is done here: workers that compile would do so all at once,
    into one cache."""

    def __init__(self, space: Space):
        self.space = space
        self.known = set()
        self.keys = set()

    def chunks(self, left: deque):
        """Rows of those runs, which are taken out of what is left."""
        names = [name.partition(".")[0] for name in self.space.factors]
        for job in list(left):
            # Only what touches the policy can bring another verb.
            key = tuple(one for name, one in zip(names, job[1]) if name == "policy")
            if key not in self.keys and self._new_verbs(job):
                left.remove(job)
                yield {job[0]: one_run(self.space, job)}
            self.keys.add(key)

    def _new_verbs(self, job: tuple) -> bool:
        try:
            policy = self.space.scenario_of(*job[1:]).policy
        except InputError:  # The run itself will say so.
            return False
        several = policy if isinstance(policy, tuple) else (policy,)
        verbs = {v for p in several for v in vars(p).values() if callable(v)} or {None}
        new = not verbs <= self.known
        self.known |= verbs
        return new
