"""One run of a sweep, and a chunk of runs.

Workers get runs in chunks, which are sized by how long earlier runs took.  Chunks do not change
the results: a run's row follows from its key and its seed alone.
"""

import time
from functools import lru_cache

from freehint.config import InputError
from freehint.jit.cache import source_hash
from freehint.jit.closure import code_hash
from freehint.mm.memory import Memory, copy_memory
from freehint.runs.begin import all_inputs, guest_memory, prepared_memory
from freehint.runs.simulate import run_engine
from freehint.runs.summary import summary_row
from freehint.sweeps.factors import Space
from freehint.sweeps.status import DONE, FAILED

# One run.


class ChangedInputError(InputError):
    """A file has changed since the sweep began, so the whole sweep has to stop."""


def code_of_rows() -> str:
    """Hash of all code that shapes a row, compiled or not; all rows of a table share one hash.

    Returns
    -------
    str
        Hexadecimal digits and a dash.
    """
    return f"{source_hash()}-{code_hash(__name__)[:16]}"


@lru_cache(maxsize=4)
def _prepared(name, kernel, nr_cpus, known: tuple) -> tuple:
    """A guest's memory and its inputs, loaded once for the many runs of a sweep."""
    memory, inputs = prepared_memory(name, kernel, nr_cpus)
    require_inputs(known, inputs)  # Checked here, because the cache keeps no call that raises.
    return memory, inputs


def _own_memory(space: Space, scenario) -> Memory:
    """A memory for one run, from the files as they were when the sweep began."""
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
    """Refuse a file that has changed since the sweep began.

    Raises
    ------
    ChangedInputError
        A file's sha256 differs; the message names the file.
    """
    for one in inputs:
        then = [before.sha256 for before in known if before.file == one.file]
        if then and one.sha256 not in then:
            raise ChangedInputError(
                f"{one.file} is not what it was when the sweep began: its sha256 is {one.sha256},"
                f" and was {then[0]}"
            )


def _summary_of(space: Space, scenario) -> dict:
    return summary_row(scenario, run_engine(scenario, _own_memory(space, scenario)))


def one_run(space: Space, job: tuple) -> dict:
    """Do one run and return its row of the table.

    An error in the run does not end the sweep: the row gets status "failed" and the error.

    Raises
    ------
    ChangedInputError
        An input has changed since the sweep began; this ends the whole sweep.
    """
    _, key, seed = job
    try:
        summary, status, error = _summary_of(space, space.scenario_of(key, seed)), DONE, ""
    except ChangedInputError:
        raise
    except Exception as problem:
        text = " ".join(str(problem).split())
        summary, status, error = {}, FAILED, f"{type(problem).__name__}: {text}"
    # The columns that identify the run come first: a summary has policy and seed too.
    row = {**space.row(*job), "status": status, "error": error}
    return row | {name: value for name, value in summary.items() if name not in row}


def run_chunk(space: Space, jobs: list) -> tuple:
    """Do some runs.

    Returns
    -------
    rows : dict
        {number: row}
    seconds : float
        The time that the runs took.
    """
    begin = time.perf_counter()
    rows = {job[0]: one_run(space, job) for job in jobs}
    return rows, time.perf_counter() - begin
