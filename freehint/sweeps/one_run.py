"""How the runs of a sweep are done: one, a chunk of them, and chunks fed to those who do them.

Runs go to workers in chunks, sized by how long the runs before took.  What a chunk is decides
nothing: a run's row follows from its key and its seed.
"""

import time
from functools import lru_cache

from freehint.config import InputError
from freehint.mm.memory import Memory, copy_memory
from freehint.runs.begin import all_inputs, guest_memory, prepared_memory
from freehint.runs.simulate import run_engine
from freehint.runs.summary import summary_row
from freehint.sweeps.factors import Space

DONE, FAILED, REFUSED = "done", "failed", "refused"


# One run.


class ChangedInputError(InputError):
    """A file is another than when the sweep began, so no run of it can go on."""


@lru_cache(maxsize=4)
def _prepared(name, kernel, nr_cpus, known: tuple) -> tuple:
    """A guest that is loaded once for the many runs of a sweep, which knows these inputs."""
    memory, inputs = prepared_memory(name, kernel, nr_cpus)
    require_inputs(known, inputs)  # Here, as what is refused is not kept.
    return memory, inputs


def _own_memory(space: Space, scenario) -> Memory:
    """A memory for one run, made of what the sweep began with."""
    if isinstance(scenario.memory, Memory):
        memory, inputs = guest_memory(scenario)
    else:
        workload = scenario.workload
        given = (scenario.memory, scenario.kernel, workload.nr_cpus)
        memory, inputs = _prepared(*given, space.inputs)
        memory, inputs = copy_memory(memory), all_inputs(inputs, workload.inputs)
    require_inputs(space.inputs, inputs)
    return memory


def require_inputs(known: tuple, inputs: tuple) -> None:
    """Refuse a file that is another than when the sweep began.

    Raises
    ------
    ChangedInputError
        It names the file.
    """
    for one in inputs:
        then = [before.sha256 for before in known if before.file == one.file]
        if then and one.sha256 not in then:
            raise ChangedInputError(
                f"{one.file} is another here than when the sweep began: sha256 {one.sha256},"
                f" and {then[0]} then"
            )


def _summary_of(space: Space, scenario) -> dict:
    return summary_row(scenario, run_engine(scenario, _own_memory(space, scenario))).to_dict()


def one_run(space: Space, job: tuple) -> dict:
    """One row of the table; what goes wrong in a run is its own affair.

    Raises
    ------
    ChangedInputError
        An input is another than when the sweep began, which is the affair of the whole sweep.
    """
    _, key, seed = job
    try:
        summary, status, error = _summary_of(space, space.scenario_of(key, seed)), DONE, ""
    except ChangedInputError:
        raise
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
