"""Simulate a stored run again from its provenance, and compare the two runs."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from freehint.config import InputError
from freehint.runs.begin import guest_memory
from freehint.runs.run import Run
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import scenario_of
from freehint.runs.trajectory.trajectory import Trajectory, record, record_guest


@dataclass(frozen=True)
class Reproduction:
    """A run, and the result of simulating it again.

    Attributes
    ----------
    run : Run
        The stored run, or the simulated one if none was stored.
    scenario : Scenario or None
    trajectory : Trajectory or None
        The recorded simulation; None if the scenario was not simulated.
    reason : str
        Why the scenario was not simulated.
    differences : tuple of (str, str, str)
        The name of each difference, its stored value, and the value found or simulated again.
    stored : bool
        Whether there was a stored run to compare with.
    """

    run: Run
    scenario: Scenario | None = None
    trajectory: Trajectory | None = None
    reason: str = ""
    differences: tuple = ()
    stored: bool = True

    @property
    def verdict(self) -> str:
        """The result of the comparison, in one sentence."""
        if not self.stored:
            return f"Simulated for this report with freehint {self.run.provenance['freehint']}."
        if self.trajectory is None:
            return f"Not simulated again: {self.reason}."
        if self.differences:
            names = ", ".join(what for what, _, _ in self.differences[:3])
            more = len(self.differences) - 3
            names += f" and {more} more" if more > 0 else ""
            return f"NOT reproduced: simulated again, the run differs in {names}."
        tables = len(self.run.table_names) - 1
        return (
            f"Reproduced exactly: in a simulation from its provenance all {len(self.run.summary)}"
            f" entries of the summary and all {tables} other tables are equal."
        )


def simulated(scenario: Scenario, moments: int = 600) -> Reproduction:
    """Simulate and record a scenario, without a stored run to compare it with."""
    seen = record(scenario, moments)
    return Reproduction(seen.run, scenario, seen, stored=False)


def reproduce(folder, moments: int = 600) -> Reproduction:
    """Simulate a stored run again and compare.

    Parameters
    ----------
    folder : str or Path
        A folder that :meth:`freehint.runs.run.Run.save` wrote.
    moments : int
        Number of moments in the trajectory.

    Returns
    -------
    Reproduction
        If the run cannot be simulated again, it has the reason.

    Raises
    ------
    InputError
        The folder is no stored run.
    """
    run = Run.load(folder)
    try:
        scenario = scenario_of(run.provenance["parameters"])
        guest = guest_memory(scenario)
        changed = changed_inputs(run.provenance["inputs"], guest[1])
        if changed:
            reason = f"{changed[0][0]} is not that of the run's input"
            return Reproduction(run, scenario, None, reason, tuple(changed))
        seen = record_guest(scenario, guest, moments)
    except InputError as error:
        return Reproduction(run, reason=str(error))
    return Reproduction(run, scenario, seen, differences=tuple(differences(run, seen.run)))


def changed_inputs(stored: list, inputs: tuple) -> list:
    """Files with other contents now than when a run was made of them.

    Returns
    -------
    list of (str, str, str)
        "sha256 of FILE", the stored sha256, and the one found.
    """
    there = {one["file"]: one["sha256"] for one in stored}
    found = dict(inputs)
    return [
        (f"sha256 of {name}", there.get(name, "not there"), found.get(name, "not there"))
        for name in there | found
        if there.get(name) != found.get(name)
    ]


def differences(stored: Run, again: Run) -> list:
    """The summary entries and the tables in which two runs differ, as (name, stored, again)."""
    again = _as_stored(again)
    found = []
    for name in dict.fromkeys([*stored.summary.index, *again.summary.index]):
        values = [run.summary.get(name, "not there") for run in (stored, again)]
        if not _equal(*values):
            found.append((name, *map(str, values)))
    for name in stored.table_names[1:]:
        tables = [getattr(run, name) for run in (stored, again)]
        if not _same(*tables):
            found.append((f"table {name}", *(f"{len(table):,} rows" for table in tables)))
    return found


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Are two tables equal?  A file does not keep the categories of a column without rows."""
    if len(one) == len(other) == 0:
        return list(one.columns) == list(other.columns)
    return one.equals(other)


def _equal(one, other) -> bool:
    return bool(one == other) or bool(pd.isna(one) and pd.isna(other))


def _as_stored(run: Run) -> Run:
    """The run after saving and loading, because parquet has fewer types than pandas."""
    with tempfile.TemporaryDirectory() as folder:
        return Run.load(run.save(Path(folder) / "run"))
