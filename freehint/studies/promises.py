"""The promises of policies, tested on random histories by an independent observer.

A history is a small guest with a workload, a ring, a host and the host's commands, all drawn from
one number.  The engine runs it as any scenario.  After every event the observer reads every page
frame, so it knows from the memory alone how long each block has been in its place.  These
properties are judged:

whole      After every verb and every event all pages are there: on a free list, on a pcp list,
           held for the host, or allocated.  ``check_memory`` agrees.
reported   A block that is free during a whole walk, and of an order that the policy walks, is
           offered to the ring ("offered"), or also taken by it even if it fills up ("taken").
once       In one walk no block is taken twice unless it left its place in between.
clean      A walk that is over, at its end or by STOP, leaves no bookmark and no END on any list;
           after DONE no block is held.
counted    The run's ``duplicate_pages`` equals the number that the observer counted.

``Policy.promise`` tells whether a policy promises "reported" and "once"; the other properties
hold for every policy.  If a policy does not make a promise, the table has a counterexample.

Run it: ``python -m freehint.studies.promises`` (``make properties``), or :func:`properties` for a
policy of your own.
"""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import pandas as pd

from freehint.config import InputError
from freehint.policies import POLICIES, find_policy
from freehint.policies.policy import ON_FULL, Policy
from freehint.policies.promise import Promise
from freehint.policies.walker import LOCK, RESUME, ROTATE, Walker
from freehint.studies.histories import history, pressed
from freehint.studies.observer import observe

# The table.

COUNTS = ("walks", "stopped", "stayed", "unoffered", "untaken", "twice")


def properties(policy, histories=1000, promise=None, first=0, draw=history) -> pd.Series:
    """Test a policy on random histories.

    Parameters
    ----------
    policy : str or Policy
    histories : int
        The number of histories.
    promise : Promise, optional
        By default it is the policy's own.
    first : int
        The number of the first history.
    draw : callable
        ``draw(policy, number)`` gives a history's Scenario:
        :func:`freehint.studies.histories.history`, or ``pressed`` beside it.

    Returns
    -------
    Series
        policy, histories; ``whole``, ``reported``, ``once``, ``clean``, ``counted``: "yes", "no"
        (``broken`` has the sentence) or "not promised" (``examples`` has a counterexample if one
        was met); the numbers of ``walks`` that ended and that were ``stopped``, of blocks that
        ``stayed`` for a whole walk, of these ``unoffered`` and ``untaken``, of blocks taken
        ``twice``.

    Examples
    --------
    >>> from freehint.studies.promises import properties
    >>> properties("hold_the_lock", histories=5)["whole"]
    'yes'
    """
    policy = find_policy(policy)
    promise = promise or policy.promise
    return _row(policy, promise, [_observe_some(policy, first, histories, draw)])


def _observe_some(policy: Policy, first: int, histories: int, draw=history) -> tuple:
    """Observe some histories and return (histories, tally, first fault of each kind)."""
    tally, faults = dict.fromkeys(COUNTS, 0), {}
    for number in range(first, first + histories):
        engine = observe(draw(policy, number))
        for name in COUNTS:
            tally[name] += engine.tally[name]
        for name, sentence in engine.faults.items():
            faults.setdefault(name, f"history {number}: {sentence}")
    return histories, tally, faults


def _row(policy: Policy, promise: Promise, parts) -> pd.Series:
    tally, faults = dict.fromkeys(COUNTS, 0), {}
    for _, some, found in parts:
        tally = {name: tally[name] + some[name] for name in COUNTS}
        faults = found | faults
    histories = sum(part[0] for part in parts)
    row = {"policy": policy.name, "histories": histories, **_verdict(promise, faults, tally)}
    return pd.Series(row)


def _verdict(promise: Promise, faults: dict, tally: dict) -> dict:
    promised = {
        "whole": ("whole",),
        "reported": (promise.reported,) if promise.reported else (),
        "once": ("once",) if promise.once else (),
        "clean": ("clean",),
        "counted": ("duplicates",),
    }
    answers, broken = {}, []
    for name, kinds in promised.items():
        against = [faults[kind] for kind in kinds if kind in faults]
        broken += [f"{name}: {sentence}" for sentence in against]
        answers[name] = "no" if against else "yes" if kinds else "not promised"
    if promise.reported == "offered":
        answers["reported"] = answers["reported"].replace("yes", "yes, but for lost hints")
    kept = {kind for kinds in promised.values() for kind in kinds}
    examples = [f"{kind}: {faults[kind]}" for kind in sorted(faults) if kind not in kept]
    return answers | tally | {"broken": "; ".join(broken), "examples": "; ".join(examples)}


def walkers():
    """Yield a walker for every combination of the knobs that is not refused."""
    for rotate, resume, lock, on_full in product(ROTATE, RESUME, LOCK, ON_FULL):
        name = f"{rotate}, {resume}, {lock}, {on_full}"
        try:
            yield Walker(name, rotate=rotate, resume=resume, lock=lock, on_full=on_full)
        except InputError:
            continue


CHUNK = 25  # histories per task


def table(policies, histories: int, draw=history) -> pd.DataFrame:
    """One row of :func:`properties` per policy, from one worker process per CPU."""
    policies = list(policies)
    parts = {policy.name: [] for policy in policies}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), context) as pool:
        for policy, first in product(policies, range(0, histories, CHUNK)):
            task = pool.submit(_observe_some, policy, first, min(CHUNK, histories - first), draw)
            parts[policy.name].append(task)
        return pd.DataFrame(
            _row(one, one.promise, [task.result() for task in parts[one.name]]) for one in policies
        )


def main(arguments) -> int:
    """Print the table of all policies, a smaller one of the walker's, and one under pressure.

    Returns
    -------
    int
        The exit code: 1 if a promise is broken, else 0.
    """
    histories = int(arguments[0]) if arguments else 1000
    named = table(POLICIES.values(), histories)
    knobs = table(walkers(), -(-histories // 40))
    under_pressure = table([*POLICIES.values()], histories, pressed)
    for rows in (named, knobs, under_pressure):
        print(rows.drop(columns=["broken", "examples"]).to_string(index=False), end="\n\n")
    for _, row in named.iterrows():
        print(f"{row['policy']}: {row['examples'] or 'no counterexample'}")
    broken = pd.concat([named, knobs, under_pressure]).query("broken != ''")
    for _, row in broken.iterrows():
        print(f"BROKEN: {row['policy']}: {row['broken']}")
    return int(len(broken) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
