"""The scenarios in which the report compares policies: a loaded one, and a calm one beside it.

Both move a guest of 1 GiB that has filled 640 MiB and given it back, at 1 GB/s.  In the loaded one
the guest goes on to map, fill and unmap memory; in the calm one it does nothing.
"""

from freehint.engine.guest.programs import Program
from freehint.engine.host.migration import MigrationConfig
from freehint.runs.scenario import Scenario
from freehint.units import NS_PER_MS, NS_PER_S

POLICIES = (
    *("none", "v24", "rotate_on_exit", "restartable_cursor", "hold_the_lock", "five_step"),
    *("v33", "balloon_alloc", "page_reporting"),
)
LOADED = {
    "memory": "1GiB",
    "workload": Program(state="churn", fill_MiB=640, dirty_MiB=256, rate_MiBps=256),
    "migration": MigrationConfig(start_at_ns=500 * NS_PER_MS, bandwidth_Bps=10**9),
    "ring.size": 64,
    "host.gap_ns": 30 * NS_PER_MS,
    "duration_ns": 2 * NS_PER_S,
}
CALM = {"workload.state": "freed"}


def loaded() -> Scenario:
    """The scenario in which the policies differ."""
    return Scenario().with_values(LOADED)


def calm() -> Scenario:
    """The same guest, which does nothing after it has given its memory back."""
    return loaded().with_values(CALM)
