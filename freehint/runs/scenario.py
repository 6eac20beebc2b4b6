"""A scenario, which holds everything that decides a run."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

from freehint.config import InputError, require, with_values
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.engine.guest.programs import Program
from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.engine.guest.workloads import Workload
from freehint.engine.host.device import HostConfig
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.host.park import ParkConfig
from freehint.engine.world.records import Costs
from freehint.engine.world.ring import RingConfig
from freehint.inputs.rules import Checked, Duration, Kind, Maybe, OneOf, Stem, Time, Whole
from freehint.mm.memory import Memory
from freehint.mm.profile import PROFILES
from freehint.policies import find_policies, find_policy
from freehint.runs.control import Control
from freehint.units import NS_PER_MS

MOST_SEED = (1 << 64) - 1
MOST_WALKS = 100_000  # each is a command of the host, and takes some 40 us to simulate


@dataclass(frozen=True)
class Scenario(Checked):
    """Everything that decides a run; nothing else changes its results.

    Attributes
    ----------
    memory : Memory, str or Path
        The guest's memory at the start: a Memory (used as a copy), a snapshot's stem (relative to
        the working directory, or a name of the sample data), or a size such as ``"256MiB"`` for a
        freshly booted guest.  The default is the workload's: ``snap4g``, or the T0 of a recorded
        guest, which accepts no other memory.
    kernel : str, optional
        The kernel whose rules the guest's allocator follows: ``"4.15"``, ``"5.10"``, ``"6.1"``,
        ``"6.12"`` or ``"7.3"``; None keeps the rules that the memory came with.
    policy : str or Policy, or a tuple of them
        How the guest tells the host which of its pages are free: a name in ``fh.POLICIES``, or a
        policy of your own.  Several policies use the interface at the same time.
    seed : int
        The seed of the guest's operations and the host's gaps: the same seed gives the same
        numbers, on any machine and with any number of threads.
    workload : Workload, Program, RecordedGuest or UnderPressure
        What the guest does: random allocations and frees, a kind of load, what was recorded, or
        jobs under pressure.
    migration : MigrationConfig, optional
        The guest's live migration, whose rounds ask for the walks; None is none.
    park : ParkConfig, optional
        How the guest is paused, written to a snapshot and restored; None is not at all.
    ring : RingConfig
    host : HostConfig
    costs : Costs
    control : Control
        Further walks, STOP and DONE from the host, and the enable switch.
    walk_at_ns : int
        Time of the host's first request for a walk.  Policies that walk by themselves do not wait
        for it.
    duration_ns : int
        Simulated time of the run.

    Examples
    --------
    >>> import freehint as fh
    >>> scenario = fh.Scenario(memory="256MiB", policy="v24").with_values({"ring.size": 64})
    >>> scenario.ring.size
    64
    """

    memory: Annotated[
        Memory | str | Path | None,
        Maybe(Stem("a Memory, a snapshot's stem or a size", (Memory,))),
    ] = None
    kernel: Annotated[str | None, Maybe(OneOf(tuple(PROFILES)))] = None
    policy: object = "v24"
    seed: Annotated[int, Whole(0, MOST_SEED)] = 1
    workload: Annotated[
        Workload | Program | RecordedGuest | UnderPressure,
        Kind(
            Workload | Program | RecordedGuest | UnderPressure,
            "be a Workload, a Program, a RecordedGuest or an UnderPressure",
        ),
    ] = field(default_factory=Workload)
    migration: Annotated[
        MigrationConfig | None, Maybe(Kind(MigrationConfig, "be a MigrationConfig"))
    ] = None
    park: Annotated[ParkConfig | None, Maybe(Kind(ParkConfig, "be a ParkConfig"))] = None
    ring: Annotated[RingConfig, Kind(RingConfig, "be a RingConfig")] = field(
        default_factory=RingConfig
    )
    host: Annotated[HostConfig, Kind(HostConfig, "be a HostConfig")] = field(
        default_factory=HostConfig
    )
    costs: Annotated[Costs, Kind(Costs, "be a Costs")] = field(default_factory=Costs)
    control: Annotated[Control, Kind(Control, "be a Control")] = field(default_factory=Control)
    walk_at_ns: Time = 20 * NS_PER_MS
    duration_ns: Duration = 200 * NS_PER_MS

    def __post_init__(self):
        policy = self.policy
        several = isinstance(policy, list | tuple)
        found = tuple(map(find_policy, policy)) if several else find_policy(policy)
        object.__setattr__(self, "policy", found)
        find_policies(found)
        super().__post_init__()
        every_ns = self.control.every_ns or self.duration_ns
        walks = (self.duration_ns - self.walk_at_ns) // every_ns
        must = f"ask for at most {MOST_WALKS} walks in the run"
        require(walks <= MOST_WALKS, "control.every_ns", must, every_ns)
        one = self.migration is None or self.park is None
        require(one, "scenario.park", "be None in a scenario with a migration", self.park)
        if self.memory is None:
            object.__setattr__(self, "memory", self.workload.default_memory)
        if isinstance(self.workload, RecordedGuest):
            self.workload.require_t0(self.memory)

    def with_values(self, values: dict) -> "Scenario":
        """A copy with fields changed; nested names are those of sweeps: ``{"ring.size": 64}``.

        ``policy`` may be changed together with its own knobs: ``{"policy": "v24",
        "policy.min_order": 9}``.  ``workload.state`` makes the workload a Program, and any field
        of ``migration`` adds a migration with defaults for the other fields.  A new workload
        replaces a memory that is the old workload's default.
        """
        values = self._parts_named_by(values) | values
        if "policy" in values:
            policy = values["policy"]
            several = isinstance(policy, list | tuple)
            values["policy"] = tuple(policy) if several else find_policy(policy)
        own = (
            not isinstance(self.memory, Memory) and str(self.memory) == self.workload.default_memory
        )
        if "workload" in values and own:
            values.setdefault("memory", None)
        return with_values(self, values)

    def _parts_named_by(self, values: dict) -> dict:
        """New parts whose fields ``values`` name: a Program, MigrationConfig or ParkConfig."""
        parts = {}
        if self.migration is None and any(name.startswith("migration.") for name in values):
            parts["migration"] = MigrationConfig()
        if self.park is None and any(name.startswith("park.") for name in values):
            parts["park"] = ParkConfig()
        if isinstance(values.get("workload", self.workload), Workload):
            if "workload.state" in values:
                parts["workload"] = Program()
            else:
                _refuse_programs_fields(values)
        return parts

    @property
    def policy_names(self) -> str:
        """The policy's name, or the names of several joined by " + "."""
        several = self.policy if isinstance(self.policy, tuple) else (self.policy,)
        return " + ".join(one.name for one in several)


def _refuse_programs_fields(values: dict) -> None:
    """Refuse a program's fields for a synthetic workload, which lacks the program's state."""
    own = {f"workload.{one.name}" for one in fields(Workload)}
    for one in fields(Program):
        name = f"workload.{one.name}"
        if name in values and name not in own:
            raise InputError(
                f"there is no parameter {name!r} of a Workload; with workload.state it is a Program"
            )
