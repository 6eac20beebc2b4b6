"""Golden totals: hints, losses and costs of every policy on one recorded guest.

A change of these numbers is a change of the model: regenerate with ``python tests/golden.py``,
and say in the commit why they moved.
"""

import json
from pathlib import Path

import freehint as fh

FILE = Path(__file__).with_suffix(".json")
ENTRIES = (
    "offered_pages",
    "hinted_pages",
    "lost_pages",
    "duplicate_pages",
    "walkable_pages",
    "stale_pages",
    "reused_pages",
    "strokes",
    "walk_ns",
    "notifications",
    "lock_held_max_ns",
    "alloc_wait_max_ns",
    "allocations",
    "failed_allocations",
)


def scenario(policy: str) -> fh.Scenario:
    """A 2 GiB guest of Linux 6.1, a small ring, and walks again and again; DONE before the end."""
    scenario = fh.Scenario(memory="linux-6.1/snapshots/snap2g.T0", policy=policy).with_values(
        {
            "ring.size": 128,
            "walk_at_ns": 5_000_000,
            "duration_ns": 60_000_000,
            "control.every_ns": 20_000_000,
            "control.done_at_ns": 55_000_000,
        }
    )
    if scenario.policy.delay_ns is not None:
        # Two seconds between passes would be none in so short a run.
        scenario = scenario.with_values({"policy.delay_ns": 5_000_000})
    return scenario


def totals(policy: str) -> dict:
    """The entries of a run's summary that are compared."""
    summary = fh.simulate(scenario(policy)).summary
    return {name: summary[name] for name in ENTRIES}


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: totals(name) for name in fh.POLICIES}, indent=1) + "\n")
