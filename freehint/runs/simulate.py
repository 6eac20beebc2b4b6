"""Scenario in, Run out.

``Scenario()`` is the one default scenario: a real 4 GiB guest whose memory is fragmented
(``snap4g``), four CPUs that come to hold half of what is free, and one walk over its free lists
towards a host that is away 3 ms out of every 23.  The walk begins 20 ms after the start, when
the guest's CPUs have filled their pcp lists, and the run ends after 200 ms, long enough to show
what becomes of the hints.
"""

from freehint.config import require
from freehint.engine.engine import Engine
from freehint.formats.tables import history_table
from freehint.mm.memory import Memory
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.progress import progress_bar, progress_of
from freehint.runs.provenance import provenance
from freehint.runs.run import Run
from freehint.runs.scenario import Scenario
from freehint.runs.summary import summary_row
from freehint.runs.tables import (
    locks_table,
    reports_table,
    resident_table,
    rounds_table,
    waits_table,
    walks_table,
    work_table,
)
from freehint.version import __version__


def simulate(scenario: Scenario, progress=None, check=None) -> Run:
    """Run a scenario.

    Parameters
    ----------
    scenario : Scenario
    progress : bool or callable, optional
        True: a bar of simulated time and of the migration's rounds, in a terminal or a notebook,
        for runs that take longer than a second.  A callable: called with a
        :class:`freehint.runs.progress.Progress`, 100 times a run.
    check : bool, optional
        Check the whole memory after every verb of a policy, not only at the end of the run; by
        default so for policies that are not freehint's own.

    Returns
    -------
    Run
        Tables, one row of summary, and provenance.

    Raises
    ------
    InputError
        The scenario's memory cannot be loaded or used.
    InvariantError
        A policy has broken the lists; it is named.

    Examples
    --------
    >>> import freehint as fh
    >>> run = fh.simulate(fh.Scenario(memory="64MiB", policy="v24", duration_ns=50_000_000))
    >>> bool(run.summary["hinted_pages"] > 0)
    True
    """
    require(isinstance(scenario, Scenario), "scenario", "be a Scenario", scenario)
    if progress is True:
        with progress_bar(scenario.policy_names, scenario.duration_ns) as show:
            return simulate(scenario, show, check)
    memory, inputs = guest_memory(scenario)
    return new_run(scenario, run_engine(scenario, memory, progress, check), inputs)


def new_run(scenario: Scenario, engine: Engine, inputs: tuple) -> Run:
    """What an engine that is at its end tells; ``inputs`` is what its guest was loaded from."""
    return Run(
        summary=summary_row(scenario, engine),
        reports=reports_table(engine),
        locks=locks_table(engine),
        waits=waits_table(engine),
        walks=walks_table(engine),
        history=history_table(engine.history),
        rounds=rounds_table(engine),
        resident=resident_table(engine),
        work=work_table(engine),
        provenance=provenance(scenario, __version__, inputs, engine.world.memory),
        memory=engine.world.memory,
    )


def run_engine(
    scenario: Scenario, memory: Memory, progress=None, check=None, engine=Engine
) -> Engine:
    """The engine at the end of a scenario that began with ``memory``, which it changes."""
    engine = new_engine(scenario, memory, check, engine)
    engine.run(_told(engine, progress) if progress else None)
    return engine


def _told(engine: Engine, progress):
    """What the engine calls with a step, so that ``progress`` hears of the migration too."""
    time_ns = 0

    def step(step_ns):
        nonlocal time_ns
        time_ns += step_ns
        progress(progress_of(engine, step_ns, time_ns))

    return step
