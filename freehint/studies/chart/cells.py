"""The cells of the decision chart: kinds of guests, kinds of hosts, and what can be chosen.

All guests are small, 256 MiB to 1 GiB, and run 6 s: a seed then takes a twentieth of a second.  The
seed also moves the moments at which the host acts, so that no choice wins by its phase alone.
"""

from typing import NamedTuple

from freehint.config import one_of
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.engine.guest.programs import Program
from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.engine.guest.workloads import Workload
from freehint.policies import AGENTS, POLICIES
from freehint.policies.policy import CAPACITY
from freehint.runs.scenario import Scenario
from freehint.units import NS_PER_MS, NS_PER_S

DURATION_NS = 6 * NS_PER_S
FILLED = {"fill_MiB": 320}  # before the run begins
COMPILE = "linux-6.1/traces/compile"  # with every page written before, as of a guest long up
PRESSURE = {
    "jobs": "read a; dirty 100 200 1; fill 150; sleep 1; fill 140; sleep 1; read a; sleep 3",
    "files": "a=150",
    "swap_MiB": 256,
}
CHOICES = POLICIES | AGENTS
# Kind of guest -> its memory (None: the workload's own), its kind of load, and the load's values.
WORKLOADS = {
    "just booted": ("512MiB", Program, {"state": "idle"}),
    "memory hog ended": ("512MiB", Program, {"state": "freed", **FILLED}),
    "churn of small blocks": ("256MiB", Workload, {"nr_cpus": 2, "interval_ns": 50_000}),
    "page cache": ("512MiB", Program, {"state": "cache", "cache_MiB": 320, "rate_MiBps": 32}),
    "many short processes": ("512MiB", Program, {"state": "fork", **FILLED}),
    "recorded compile": (None, RecordedGuest, {"trace": COMPILE, "footprint_pages": 1 << 18}),
    "under pressure": ("256MiB", UnderPressure, PRESSURE),
}


class Host(NamedTuple):
    """A kind of host.

    values : of its scenario, by their names
    column : what its operator wants to be small, with its unit
    cost   : what that is paid with, with its unit
    why    : if it was not run, the reason
    """

    values: dict
    column: str = ""
    cost: str = ""
    why: str = ""


MOVED, RESIDENT, STORED = "migration time (ms)", "resident memory (MiB)", "stored (MiB)"
HELD, FAULTS = "longest hold of a zone's lock (ms)", "faults"
DISCARD = {"host.discard": True, "control.every_ns": NS_PER_S}


def _back(**host) -> Host:
    """A host that wants memory back, all the time."""
    return Host(DISCARD | {f"host.{name}": value for name, value in host.items()}, RESIDENT, FAULTS)


def _park(chunk_KiB: int) -> Host:
    """A host that stores the guest in chunks of a size."""
    park = {"park.at_ns": 4 * NS_PER_S, "park.chunk_KiB": chunk_KiB}
    return Host(DISCARD | park, STORED, FAULTS)


HOSTS = {
    "live migration": Host(
        {"migration.start_at_ns": 4 * NS_PER_S, "migration.bandwidth_Bps": 10**9},
        MOVED,
        HELD,
    ),
    "memory back, 4 KiB pages": _back(),
    "memory back, THP": _back(pages="thp"),
    "memory back, hugetlb": _back(pages="hugetlb"),
    "a backend that frees nothing": _back(backend="nothing"),
    "park, 4 KiB chunks": _park(4),
    "park, 2 MiB chunks": _park(2048),
    "park, 4 MiB chunks": _park(4096),
    "guests that share memory and swap": Host(
        {}, why="not run: ten seeds of fh.overcommit take longer than the rest of the chart"
    ),
}


def require_cell(workload: str, host: str) -> None:
    """Refuse kinds of guests and hosts that the chart does not have."""
    one_of("workload", workload, WORKLOADS)
    one_of("host", host, HOSTS)


def chart_scenario(workload: str, host: str, seed: int, policy: str, values=None) -> Scenario:
    """The scenario of one run of a cell.

    Parameters
    ----------
    workload, host : str
        Keys of WORKLOADS and HOSTS.
    seed : int
        It also moves the host's first request for a walk, and its migration or park, by 0 to 0.9 s.
    policy : str
    values : dict, optional
        What else differs from the cell's scenario.

    Raises
    ------
    InputError
        The chart has no such cell.
    """
    require_cell(workload, host)
    given = HOSTS[host].values | {"seed": seed, "policy": policy}
    given["walk_at_ns"] = (500 + 3 * seed % 10 * 100) * NS_PER_MS
    for name in ("migration.start_at_ns", "park.at_ns"):
        if name in given:
            given[name] += seed % 10 * 100 * NS_PER_MS
    if CHOICES[policy].host_discards:
        given["host.discard"] = True
    memory, load, loads_values = WORKLOADS[workload]
    guest = Scenario(memory, workload=load(**loads_values), duration_ns=DURATION_NS)
    return guest.with_values(given | (values or {}))


class Knob(NamedTuple):
    """What can be chosen beside the policy.

    name   : of the value, as in Scenario.with_values
    levels : words for a value -> the value
    why    : if there is nothing to choose, the reason
    """

    name: str = ""
    levels: dict | None = None
    why: str = ""


ORDERS = {str(order): order for order in (0, 4, 9, 10)}
DELAYS_NS = {f"{ms / 1000} s": ms * NS_PER_MS for ms in (250, 500, 1000, 2000)}
CAPACITIES = {str(capacity): capacity for capacity in (8, 32, 128, 512)}


def knobs_of(name: str, host: str) -> dict:
    """Order, delay and capacity of a policy on a kind of host, as Knobs."""
    policy = CHOICES[name]
    asked = policy.delay_ns is None  # by the host
    order = "min_order" if asked else "report_order"
    delay = "control.every_ns" if asked else "policy.delay_ns"
    found = {
        "order": Knob(f"policy.{order}", ORDERS),
        "delay": Knob(delay, DELAYS_NS),
        "capacity": Knob("policy.capacity", CAPACITIES),
    }
    if not hasattr(policy, order):
        found["order"] = Knob(why=f"{name} has one order")
    if asked and "control.every_ns" not in HOSTS[host].values:
        found["delay"] = Knob(why="the rounds of a migration ask for the walks")
    if CAPACITY.name not in policy.knobs_that_count({}):
        found["capacity"] = Knob(why=f"{name} has no capacity")
    return found
