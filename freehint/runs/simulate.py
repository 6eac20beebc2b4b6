"""Simulate a scenario, which gives a run.

``Scenario()`` is the default scenario: a real 4 GiB guest with fragmented memory (``snap4g``),
four CPUs that come to hold half of the free pages, and one walk over its free lists towards a
host that is away 3 ms out of every 23.  The walk begins 20 ms after the start, when the guest's
CPUs have filled their pcp lists.  The run ends after 200 ms, long enough to show how the hints
age.
"""

from freehint.config import require
from freehint.engine.engine import Engine
from freehint.mm.memory import Memory
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.progress import progress_bar, progress_of
from freehint.runs.provenance import provenance
from freehint.runs.run import Run
from freehint.runs.scenario import Scenario
from freehint.runs.summary import summary_row
from freehint.runs.tables.remains import remains_of
from freehint.version import __version__


def simulate(scenario: Scenario, progress=None, check=None, watchers=()) -> Run:
    """Run a scenario.

    Parameters
    ----------
    scenario : Scenario
    progress : bool or callable, optional
        True shows a bar of simulated time and of the migration's rounds, in a terminal or a
        notebook, for runs that take longer than a second.  A callable is called with a
        :class:`freehint.runs.progress.Progress` 100 times per run.
    check : bool, optional
        Check the whole memory after every verb of a policy, not only at the end of the run.  By
        default a policy with a verb that is not freehint's own is checked after its first few
        verbs and then so seldom that it takes a fifth of the time, unless it is ``trusted``.
    watchers : sequence of Watcher, optional
        Objects that are called while it runs; see :mod:`freehint.engine.watcher`.

    Returns
    -------
    Run
        Its tables, one row of summary, and its provenance.

    Raises
    ------
    InputError
        The scenario's memory cannot be loaded or used, or a verb answered wrongly or failed.
    InvariantError
        A policy has broken the lists.  The message names it.

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
            return simulate(scenario, show, check, watchers)
    memory, inputs = guest_memory(scenario)
    engine = run_engine(scenario, memory, progress, check, watchers)
    return new_run(scenario, engine, inputs)


def new_run(scenario: Scenario, engine: Engine, inputs: tuple) -> Run:
    """The run of an engine that is at its end; ``inputs`` are the files its guest came from."""
    steps = getattr(scenario.workload, "step_texts", ())
    remains = remains_of(engine, summary_row(scenario, engine), steps)
    memory = engine.world.memory
    return Run.of(remains, provenance(scenario, __version__, inputs, memory), memory)


def run_engine(
    scenario: Scenario, memory: Memory, progress=None, check=None, watchers=()
) -> Engine:
    """Run a scenario in ``memory``, which changes, and return the engine at its end."""
    engine = new_engine(scenario, memory, check, watchers)
    engine.run(_told(engine, progress) if progress else None)
    return engine


def _told(engine: Engine, progress):
    """A callable for the engine's steps that calls ``progress`` with the migration's state too."""
    time_ns = 0

    def step(step_ns):
        nonlocal time_ns
        time_ns += step_ns
        progress(progress_of(engine, step_ns, time_ns))

    return step
