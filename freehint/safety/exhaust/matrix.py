"""Every policy with every generation of the dirty log: what is exhausted, and what is lost.

``make explore`` (``python -m freehint.safety.exhaust.matrix out/explore.csv``) runs it.  A *cell*
is a case with two vCPUs, a ring of 2, two rounds of hints and any number of operations.

The guest may act between any two pieces of the host's work.

1. Its slices are searched.  If all are exhausted without a violation, so is the cell.
2. Otherwise a schedule of the whole guest is looked for, first with one vCPU, few operations
   and a host that uses a buffer at once: these guests are smaller, and their schedules are
   schedules of the cell too.

A host that discards can do more harm, and no less: without a violation in such a cell there is none
in the same cell without discarding, so that one follows.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from freehint.config import InputError
from freehint.data import data
from freehint.files import whole_file
from freehint.policies import POLICIES
from freehint.safety.case import Case, why_not
from freehint.safety.check import PROPERTIES
from freehint.safety.exhaust.explore import explore
from freehint.safety.exhaust.slice import slices_of
from freehint.safety.trace import schedule_string
from freehint.safety.verdicts import EXHAUSTED, FOLLOWS, IN_A_SLICE, UNFINISHED, VIOLATED

LOGS = (("G1", 4), ("G2", 1), ("G2", 4), ("G3", 1), ("G3", 4))  # generation, log2 of a chunk
BOUNDS = {"vcpus": 2, "blocks": 1, "ring": 2, "rounds": 2, "operations": -1}
BOUNDS |= {"initially_set": True, "fine_host": True}
SMALLER = (
    {"vcpus": 1, "operations": 2, "rounds": 1, "fine_host": False},
    {"vcpus": 1, "operations": 3, "rounds": 1, "fine_host": False},
    {"vcpus": 1, "operations": 4, "fine_host": False},
    {"vcpus": 2, "operations": 4, "fine_host": False},
    {"vcpus": 1, "operations": 4},
)
NAMES = ["policy", "report", "generation", "chunk_pages", "discard"]  # what tells cells apart


@dataclass(frozen=True)
class Limits:
    """When a search of a cell stops: states of a slice, states of a whole guest, bytes."""

    slice_states: int = 60_000_000
    whole_states: int = 4_000_000
    most_bytes: int = 6 << 30


def cells() -> list[Case]:
    """All cells; those with a discarding host come first."""
    found = []
    for name, policy in POLICIES.items():
        for report in ("own", "acknowledged"):
            if why_not(policy) or report == policy.report:
                continue
            if policy.fill is None and report != "own":  # It reports nothing.
                continue
            for generation, chunk in LOGS:
                try:
                    case = Case(name, report, generation, chunk, **BOUNDS)
                    case.made_policy()
                except InputError:  # The policy cannot report so.
                    continue
                found.append(case)
    return [replace(case, discard=discard) for discard in (True, False) for case in found]


def verdict_of(case: Case, limits: Limits = Limits()) -> dict:
    """Search a cell.

    Returns
    -------
    dict
        A row of :func:`table`.
    """
    began = time.perf_counter()
    states = transitions = 0
    verdict, property_, schedule, length = EXHAUSTED, "", "", 0
    for page in slices_of(case.chunk):
        one = replace(case, watched=page)
        found = explore(one, limits.slice_states, limits.most_bytes, reduced=True)
        states, transitions = states + found.states, transitions + found.transitions
        if found.violation:
            verdict, property_ = IN_A_SLICE, PROPERTIES[found.violation]
            schedule, length = schedule_string(found.case, found.steps), len(found.steps)
            break
        if not found.exhausted:
            verdict = UNFINISHED
    if verdict != EXHAUSTED:
        whole = _whole(case, limits)
        if whole is not None:
            verdict, property_ = VIOLATED, PROPERTIES[whole.violation]
            schedule, length = schedule_string(whole.case, whole.steps), len(whole.steps)
            states, transitions = whole.states, whole.transitions
    return {
        **named(case),
        "verdict": verdict,
        "property": property_,
        "length": length,
        "states": states,
        "transitions": transitions,
        "seconds": round(time.perf_counter() - began, 1),
        "schedule": schedule,
    }


def named(case: Case) -> dict:
    """What tells a cell from the others."""
    return {
        "policy": case.policy,
        "report": case.made_policy().report,
        "generation": case.generation,
        "chunk_pages": 1 << case.chunk,
        "discard": case.discard,
    }


def _whole(case: Case, limits: Limits):
    """A violation of the whole guest, or None if none was found within the limits."""
    for smaller in SMALLER:
        found = explore(replace(case, **smaller), limits.whole_states, limits.most_bytes)
        if found.violation:
            return found
    return None


def table(limits: Limits = Limits(), workers: int = 2, tell=None) -> pd.DataFrame:
    """The verdict of every cell.

    Parameters
    ----------
    limits : Limits
    workers : int
        Number of processes.
    tell : callable, optional
        It is called with each row when it is known.

    Returns
    -------
    DataFrame
        ``policy``, ``report``, ``generation``, ``chunk_pages``, ``discard``, ``verdict`` (one of
        :mod:`freehint.safety.verdicts`), ``property``, ``length`` and ``schedule`` of the
        counterexample, ``states``, ``transitions``, ``seconds``; sorted by the first five.
    """
    rows, every = [], cells()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for discard in (True, False):
            safe = {_key(row) for row in rows if row["verdict"] == EXHAUSTED}
            for case in (one for one in every if one.discard == discard):
                if _key(named(case)) in safe:
                    rows.append(_follows(case))
            asked = [
                pool.submit(verdict_of, case, limits)
                for case in every
                if case.discard == discard and _key(named(case)) not in safe
            ]
            for one in asked:
                rows.append(one.result())
                if tell:
                    tell(rows[-1])
    return pd.DataFrame(rows).sort_values(NAMES, ignore_index=True)


def _key(row: dict) -> tuple:
    return row["policy"], row["report"], row["generation"], row["chunk_pages"]


def _follows(case: Case) -> dict:
    """The row of a cell that is safe because the same one with discarding is."""
    nothing = {"property": "", "length": 0, "states": 0, "transitions": 0, "seconds": 0.0}
    return {**named(case), "verdict": FOLLOWS, **nothing, "schedule": ""}


def _told(row: dict) -> str:
    which = f"{row['policy']} {row['report']} {row['generation']} chunk of {row['chunk_pages']}"
    which += " discarding" if row["discard"] else ""
    what = f"{row['verdict']} {row['property']}".strip()
    steps = f" in {row['length']} steps" if row["length"] else ""
    return f"{which}: {what}{steps}; {row['states']:,} states, {row['seconds']} s"


def explored() -> pd.DataFrame:
    """The table that ``make explore`` wrote for ``data/safety/``, as :func:`table` returns it."""
    return pd.read_csv(data("safety/explored.csv"), keep_default_na=False)


def searched_again(policies) -> pd.DataFrame:
    """The cells of some policies in the kept table, searched once more by this code.

    Parameters
    ----------
    policies : iterable of str

    Returns
    -------
    DataFrame
        A row for each cell that has states of its own there: what names it, ``kept`` and ``now``,
        the verdicts, ``states`` now, and ``same``: whether verdict and number of states are.
    """
    kept = explored().set_index(NAMES)
    rows = []
    for case in cells():
        name = named(case)
        before = kept.loc[tuple(name.values())]
        if case.policy in policies and before["states"] > 0:
            now = verdict_of(case)
            same = now["verdict"] == before["verdict"] and now["states"] == before["states"]
            now = {"kept": before["verdict"], "now": now["verdict"], "states": now["states"]}
            rows.append({**name, **now, "same": same})
    return pd.DataFrame(rows)


def other_verdicts(found: pd.DataFrame, kept: pd.DataFrame) -> list[str]:
    """A sentence for each cell whose verdict is not that of the kept table, or that it lacks."""
    before = kept.set_index(NAMES)["verdict"]
    now = found.set_index(NAMES)["verdict"]
    return [
        f"{' '.join(map(str, cell))}: {verdict}, but the kept table has {before.get(cell, '-')}"
        for cell, verdict in now.items()
        if before.get(cell) != verdict
    ]


def main() -> int:
    """Write the table to the file that the first argument names.

    Returns
    -------
    int
        The exit code: 1 if a verdict differs from the kept table's, else 0.
    """
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    found = table(tell=lambda row: print(_told(row), flush=True))
    with whole_file(path) as temporary:
        found.to_csv(temporary, index=False)
    counts = found["verdict"].value_counts().to_dict()
    print(f"{len(found)} cells in {time.perf_counter() - began:.0f} s: {counts}; {path}")
    differ = other_verdicts(found, explored())
    print(*differ, sep="\n", end="\n" if differ else "")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
