"""The thread's eight blocks as a run of the engine, to be recorded and played.

Blocks A to H of order 9 are the guest's only free memory, except for a few pages on a pcp list.
These serve the CPU's allocations, so only the walker moves the blocks.
"""

from freehint.config import whole
from freehint.engine.guest.workloads import Workload
from freehint.mm.memory import MAX_ORDER_NR_PAGES, MOVABLE, PAGEBLOCK_NR_PAGES
from freehint.mm.pcp import free_unref_page
from freehint.policies.walker import Walker
from freehint.runs.scenario import Scenario
from freehint.runs.trajectory.trajectory import Trajectory, record
from freehint.studies.thread import LETTERS, eight_blocks
from freehint.units import NS_PER_MS, NS_PER_US

PCP_PAGES = 16


def thread_scenario(rotate="on_exit", resume="scan_for_first", capacity=2) -> Scenario:
    """One walk over the eight blocks, a few at a time.

    Parameters
    ----------
    rotate, resume : str
        The walker's knobs (:class:`freehint.Walker`).
    capacity : int
        Blocks per stroke, 1..8; the thread's example has 2.
    """
    whole("capacity", capacity, 1, len(LETTERS))
    memory = eight_blocks()
    memory.pcp["high"], memory.pcp["batch"] = 4 * PCP_PAGES, PCP_PAGES
    for page in range(PCP_PAGES):
        # These pages come from the allocated half of the first order-10 block.
        free_unref_page(memory, PAGEBLOCK_NR_PAGES + 2 * page, 0, 0, 0, MOVABLE)
    policy = Walker("eight blocks", rotate=rotate, resume=resume, capacity=capacity)
    return Scenario(
        memory=memory,
        policy=policy,
        # The guest's second operation would come after the end.
        workload=Workload(nr_cpus=1, interval_ns=1000 * NS_PER_MS),
        walk_at_ns=20 * NS_PER_US,
        duration_ns=NS_PER_MS // 4,
    ).with_values({"host.gap_ns": 0, "ring.size": 16})


def thread_trajectory(moments=51, **knobs) -> Trajectory:
    """Record the scenario; the blocks are named A to H.

    Parameters
    ----------
    moments : int
        As for :func:`freehint.record`.
    knobs
        As for :func:`thread_scenario`.

    Examples
    --------
    >>> from freehint.studies.thread_run import thread_trajectory
    >>> seen = thread_trajectory(rotate="on_exit")
    >>> seen.meta["names"]["4096"]
    'A'
    """
    scenario = thread_scenario(**knobs)
    base = scenario.memory.base_pfn
    names = {base + i * MAX_ORDER_NR_PAGES: letter for i, letter in enumerate(LETTERS)}
    return record(scenario, moments, names)
