"""Survival at equal guest work: a frozen guest reuses nothing, and that is no merit of its hints.

A hint is lost only by an allocation.  A policy that keeps the guest waiting has fewer allocations
by the end of the run, so its survival to the end is higher although its hints are no better.  Here
guests are compared after the same number of allocations.
"""

import numpy as np
import pandas as pd

from freehint.config import require
from freehint.engine.watcher import Watcher
from freehint.engine.world.clock import NEVER
from freehint.runs.simulate import simulate
from freehint.runs.tables.compare import summaries

MOMENTS = 400
TALLIED = {"allocations": "allocations", "reused": "reused_pages", "first_hinted": "first_hinted"}


class WorkLog(Watcher):
    """Notes a guest's allocations and the fate of its hints at evenly spaced moments.

    Parameters
    ----------
    until_ns : int
        The run's end.
    moments : int
    """

    def __init__(self, until_ns: int, moments: int = MOMENTS):
        self.due_ns = [round(until_ns * i / moments) for i in range(1, moments + 1)]
        self.rows = []

    def begin(self, engine) -> None:
        """Keep the engine whose counts are noted."""
        self.engine = engine

    def next_stop_ns(self) -> int:
        """The time of the next moment."""
        return self.due_ns[0] if self.due_ns else NEVER

    def advanced(self, time_ns: int) -> None:
        """Note the counts if a moment is due."""
        if self.next_stop_ns() == time_ns:
            self.due_ns.pop(0)
            self._note()

    def finish(self) -> None:
        """Note the counts at the end."""
        self._note()

    def _note(self) -> None:
        tally = self.engine.world.tally[0]
        self.rows.append([int(tally[name]) for name in TALLIED])

    def survival_after(self, allocations: int) -> float:
        """The share of the pages hinted so far that are not reused after so many allocations.

        Between two moments it is interpolated.  It is nan if nothing was hinted by then.
        """
        table = pd.DataFrame(self.rows, columns=list(TALLIED.values()))
        last = table.groupby("allocations").last()
        reused, hinted = (
            float(np.interp(allocations, last.index, last[name])) for name in last.columns
        )
        return 1 - reused / hinted if hinted else np.nan


def equal_work(scenarios, seeds, progress=iter) -> pd.DataFrame:
    """Run scenarios that differ in their policies, and compare their hints at equal guest work.

    Parameters
    ----------
    scenarios : sequence of Scenario
        One for each policy.
    seeds : sequence of int
    progress : callable
        Wraps the list of seeds, as ``tqdm`` does.

    Returns
    -------
    DataFrame
        One row for each seed and scenario, with the columns of :func:`freehint.summaries` and
        survival_equal_work: the survival after as many allocations as the policy with the fewest
        has made with that seed.  It is nan for a policy that hints nothing by then.

    Raises
    ------
    InputError
        There is no seed.
    """
    require(len(seeds) > 0, "seeds", "hold at least one seed", seeds)
    tables = []
    for seed in progress(seeds):
        logs = [WorkLog(one.duration_ns) for one in scenarios]
        runs = [
            simulate(one.with_values({"seed": seed}), watchers=[log])
            for one, log in zip(scenarios, logs, strict=True)
        ]
        table = summaries(runs)
        fewest = int(table["allocations"].min())
        tables.append(
            table.assign(survival_equal_work=[log.survival_after(fewest) for log in logs])
        )
    return pd.concat(tables, ignore_index=True)
