"""How the runs of a sweep are done: one, a chunk of them, and chunks fed to those who do them.

Runs go to workers in chunks, sized by how long the runs before took.  What a chunk is decides
nothing: a run's row follows from its key and its seed.
"""

import time
from functools import lru_cache

from freehint.mm.memory import Memory, copy_memory
from freehint.runs.begin import guest_memory, prepared_memory
from freehint.runs.simulate import run_engine
from freehint.runs.summary import summary_row
from freehint.sweeps.factors import Space

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
