"""Known bugs found again: each is put back in a small guest, and taken out again.

``make known-bugs`` (``python -m freehint.safety.exhaust.known out/known_bugs.csv``) explores every
row of BUGS twice and says whether one was missed.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from freehint.safety.bugs import BUGS
from freehint.safety.check import PROPERTIES
from freehint.safety.exhaust.explore import Exploration, explore
from freehint.safety.guest import FINE, Case
from freehint.safety.trace import schedule_string

# Bounds in which each bug is found; the fixed guest is exhausted in them within some seconds, and
# in LARGE within a minute.  The log begins with every page dirty; G1 loses no write of its own.
_PLAIN = Case(policy="v24", generation="G1", initially_set=True, rounds=1, operations=3)
_EFFECT = replace(_PLAIN, effect=True, fine_host=True)
# Two chunks in a block, and a policy that loses no write in G3.
_OF_CHUNKS = replace(_EFFECT, policy="hold_the_lock", generation="G3", chunk=1)
_BALLOON = replace(_PLAIN, policy="balloon_alloc", operations=1)
CASES = {
    "repeated_id": _PLAIN,
    "id_without_lock": replace(_PLAIN, rounds=2),
    "stop_without_lock": replace(_PLAIN, fine_host=True),
    "bulk_stage": _EFFECT,
    "postcopy_hints": replace(_PLAIN, postcopy=True),
    "first_chunk": _OF_CHUNKS,
    "no_chunk": _OF_CHUNKS,
    "no_bitmap_mutex": _EFFECT,
    "clear_without_mutex": replace(_PLAIN, policy="hold_the_lock", generation="G3", fine_host=True),
    "take_and_free": replace(_BALLOON, full_ring="wait", ends="alone"),
    "shrinks_itself": replace(_BALLOON, ends="fair"),
    "hint_after_pause": replace(_PLAIN, snapshot=True, discard=True),
    "no_done_on_cancel": replace(_PLAIN, policy="balloon_alloc", operations=2),
    "early_putback": replace(_PLAIN, policy="page_reporting", blocks=2, operations=2, spec=True),
    "deaf_to_stop": replace(_PLAIN, spec=True, shoulds=True),
    "walk_at_switch": replace(_PLAIN, spec=True, switch=True),
    "walk_without_lock": replace(_PLAIN, vcpus=2),
    "rotate_without_lock": replace(_PLAIN, policy="rotate_on_exit"),
    "bookmark_as_block": replace(_PLAIN, policy="restartable_cursor", capacity=1, vcpus=2),
}
LARGE = {"vcpus": 2, "rounds": 2}
FOUND, MISSED, OTHER = "found", "not found", "another violation"


def known_bugs(names=tuple(CASES), **bounds) -> pd.DataFrame:
    """Explore each bug's case with the bug and without it.

    Parameters
    ----------
    names : iterable of str
        Keys of CASES.
    bounds
        Fields of Case for the guest without the bug, as LARGE.

    Returns
    -------
    DataFrame
        One row for each bug: ``bug``; ``source``; ``breaks``, the property; ``verdict``, "found"
        if the shortest violation is of that property; ``steps`` of it; ``states`` seen until then;
        ``fixed``, the verdict without the bug; ``fixed_states``; ``schedule``, for
        ``freehint explore --replay``.
    """
    fixed = {name: replace(CASES[name], **bounds) for name in names}
    explored = {case: explore(case) for case in set(fixed.values())}  # some are the same
    return pd.DataFrame([_row(name, explored[fixed[name]]) for name in names])


def _row(name: str, fixed: Exploration) -> dict:
    """The row of one bug, and of the guest without it."""
    bug = BUGS[name]
    found = explore(replace(CASES[name], bug=name))
    broken = PROPERTIES.get(found.violation, "").partition(":")[0]
    verdict = FOUND if broken == bug.breaks else OTHER if found.violation != FINE else MISSED
    passed = "exhausted, no violation" if fixed.exhausted else "not exhausted"
    return {
        "bug": name,
        "source": bug.source,
        "breaks": bug.breaks,
        "verdict": verdict,
        "steps": len(found.steps),
        "states": found.states,
        "fixed": passed if fixed.violation == FINE else PROPERTIES[fixed.violation],
        "fixed_states": fixed.states,
        "schedule": schedule_string(found.case, found.steps),
    }


def main(arguments: list[str]) -> int:
    """Write the table to the path that is the first argument, and print it.

    Returns
    -------
    int
        The exit code: 1 if a bug was not found, or the case without it does not pass, else 0.
    """
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    table = known_bugs(**LARGE)
    table.to_csv(path, index=False)
    short = table.drop(columns=["source", "schedule"])
    print(short.to_string(index=False))
    good = (table.verdict == FOUND) & (table.fixed == "exhausted, no violation")
    print(f"{path}: {good.sum()} of {len(table)} found again, and passed without the bug")
    return 0 if good.all() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["out/known_bugs.csv"]))
