"""A scenario with costs multiplied: what would change if an assumed cost were another?"""

from functools import reduce

from freehint.config import one_of, require
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.inputs.rules import Real
from freehint.runs.costs.sources import cost_sources
from freehint.runs.scenario import Scenario

FACTOR = Real(0, 1000)
# Read by reclaim and direct compaction alone (engine/guest/pressure/).
UNDER_PRESSURE = ("costs.deactivate_page_ns", "costs.throttle_ns", "costs.compact_scan_ns")


def require_scale(scale: dict) -> None:
    """Refuse names that are no costs of a scenario, and factors out of range."""
    known = [name for name in cost_sources().index if not name.startswith("SharedHost.")]
    require(isinstance(scale, dict), "scale", "be a dict of costs and factors", scale)
    for name, factor in scale.items():
        one_of("scale", name, known)
        require(FACTOR.admits(factor), f"scale[{name!r}]", FACTOR.must, factor)


def scaled(scenario: Scenario, scale: dict) -> Scenario:
    """The scenario with some costs multiplied.

    Parameters
    ----------
    scenario : Scenario
    scale : dict
        Cost, named as in ``Scenario.with_values``, -> factor.  Costs of a migration are left out if
        there is none.

    Returns
    -------
    Scenario
        Costs are rounded to whole nanoseconds.
    """
    values = {
        name: round(reduce(getattr, name.split("."), scenario) * factor)
        for name, factor in scale.items()
        if scenario.migration or not name.startswith("migration.")
    }
    return scenario.with_values(values)


def counts(scenario: Scenario, name: str) -> bool:
    """Can a cost decide anything in a scenario?

    Parameters
    ----------
    scenario : Scenario
    name : str
        A cost, named as in ``Scenario.with_values``.
    """
    if scaled(scenario, {name: 2}) == scenario:
        return False
    if name in UNDER_PRESSURE:
        return isinstance(scenario.workload, UnderPressure)
    if name in ("costs.fault_ns", "costs.huge_fault_ns"):
        return scenario.host.discard or scenario.migration is not None
    if name == "host.gap_every_ns":
        return scenario.host.gap_ns > 0
    return True
