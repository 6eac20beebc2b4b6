"""Scenario in, Run out.

``Scenario()`` is the one default scenario: a real 4 GiB guest whose memory is fragmented
(``snap4g``), four CPUs that come to hold half of what is free, and one walk over its free lists
towards a host that is away 3 ms out of every 23.  The walk begins 20 ms after the start, when
the guest's CPUs have filled their pcp lists, and the run ends after 200 ms, long enough to show
what becomes of the hints.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from freehint.config import (
    Control,
    Costs,
    HostConfig,
    InputError,
    Named,
    RingConfig,
    one_of,
    require,
    whole,
    with_values,
)
from freehint.data import DEFAULT_MEMORY, data
from freehint.dirty import CHUNK_SHIFT, new_dirty_log
from freehint.engine import Engine
from freehint.formats.boot import make_memory
from freehint.formats.snapshots import load_snapshot
from freehint.formats.tables import history_table
from freehint.guest.kthreads import FRAG_CHECK_INTERVAL_NS, STAT_INTERVAL_NS
from freehint.guest.programs import Program
from freehint.guest.recorded import TRACE_COLUMNS
from freehint.guest.vcpu import QUANTILES
from freehint.guest.waiting import WAIT_COLUMNS
from freehint.guest.workloads import WORDS, Workload
from freehint.host.device import GAP_ROWS
from freehint.host.migration import MigrationConfig
from freehint.migrate import Migration
from freehint.mm.change import with_cpus, with_profile
from freehint.mm.compaction import new_compact_control
from freehint.mm.memory import Memory
from freehint.mm.profile import PROFILES, profile_name
from freehint.paging import no_paging
from freehint.policies import find_policies, find_policy
from freehint.progress import progress_bar, progress_of
from freehint.provenance import provenance
from freehint.recorded_guest import RecordedGuest
from freehint.ring import new_ring
from freehint.run import Run
from freehint.run_tables import (
    locks_table,
    reports_table,
    resident_table,
    rounds_table,
    waits_table,
    walks_table,
    work_table,
)
from freehint.summary import summary_row
from freehint.units import NS_PER_MS
from freehint.version import __version__
from freehint.worker import REPORT_COLUMNS
from freehint.world import (
    CPU_DTYPE,
    MIGRATION_DTYPE,
    NEVER,
    STATE_DTYPE,
    TALLY_DTYPE,
    USER_DTYPE,
    World,
    cost_record,
    new_record,
    schedule,
)

TABLE_ROWS = 4096  # to begin with; tables grow
REPORT_ROWS = 1024


@dataclass(frozen=True)
class Scenario(Named):
    """Everything that decides a run, and nothing else does.

    Attributes
    ----------
    memory : Memory, str or Path
        A guest's memory (used as a copy), a snapshot's stem (relative to the working directory,
        or a name of the sample data), or a size such as ``"256MiB"`` for a freshly booted guest.
        Not given: the workload's, ``snap4g`` or a recorded guest's T0, and no other memory will
        do for that one.
    kernel : str, optional
        Whose rules the guest follows from the start of the run, one of ``"4.15"``, ``"5.10"``,
        ``"6.1"``, ``"6.12"``; None: those that the memory came with.
    policy : str or Policy, or a tuple of them
        A name in ``fh.POLICIES``, or a policy of your own; several are users of the interface at
        the same time.
    seed : int
        Same seed, same numbers: on any machine, with any number of threads.
    workload : Workload, Program or RecordedGuest
    migration : MigrationConfig, optional
        A live migration; its rounds ask for the walks.
    ring : RingConfig
    host : HostConfig
    costs : Costs
    control : Control
        Further walks, STOP and DONE from the host, and the enable switch.
    walk_at_ns : int
        When the host first asks for a walk.  Who walks by itself does not wait for it.
    duration_ns : int
        Simulated time of the run.

    Examples
    --------
    >>> import freehint as fh
    >>> scenario = fh.Scenario(memory="256MiB", policy="v24").with_values({"ring.size": 64})
    >>> scenario.ring.size
    64
    """

    memory: object = None
    kernel: str | None = None
    policy: object = "v24"
    seed: int = 1
    workload: Workload | Program | RecordedGuest = field(default_factory=Workload)
    migration: MigrationConfig | None = None
    ring: RingConfig = field(default_factory=RingConfig)
    host: HostConfig = field(default_factory=HostConfig)
    costs: Costs = field(default_factory=Costs)
    control: Control = field(default_factory=Control)
    walk_at_ns: int = 20 * NS_PER_MS
    duration_ns: int = 200 * NS_PER_MS

    def __post_init__(self):
        policy = self.policy
        several = isinstance(policy, list | tuple)
        found = tuple(map(find_policy, policy)) if several else find_policy(policy)
        object.__setattr__(self, "policy", found)
        find_policies(found)
        if self.kernel is not None:
            one_of("kernel", self.kernel, PROFILES)
        whole("seed", self.seed, 0)
        whole("duration_ns", self.duration_ns, 1, 1 << 50)
        whole("walk_at_ns", self.walk_at_ns, 0, 1 << 50)
        for name, kind in (
            ("workload", Workload | Program | RecordedGuest),
            ("migration", MigrationConfig | None),
            ("ring", RingConfig),
            ("host", HostConfig),
            ("costs", Costs),
            ("control", Control),
        ):
            part = getattr(self, name)
            must = f"be a {getattr(kind, '__name__', kind)}".replace("freehint.", "")
            require(isinstance(part, kind), name, must, part)
        if self.memory is None:
            object.__setattr__(self, "memory", self.workload.default_memory)
        if isinstance(self.workload, RecordedGuest):
            self.workload.require_t0(self.memory)

    def with_values(self, values: dict) -> "Scenario":
        """A copy with fields changed; nested names as in a sweep: ``{"ring.size": 64}``.

        ``policy`` may be changed together with its own knobs: ``{"policy": "v24",
        "policy.min_order": 9}``.  ``workload.state`` makes the workload a Program, and any field
        of ``migration`` brings a migration, with defaults for the rest.  A memory that is the
        workload's own goes with it.
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
        """The Program and the MigrationConfig that fields are named of and that are not there."""
        parts = {}
        if self.migration is None and any(name.startswith("migration.") for name in values):
            parts["migration"] = MigrationConfig()
        if isinstance(values.get("workload", self.workload), Workload):
            if "workload.state" in values:
                parts["workload"] = Program()
            else:
                _refuse_programs_fields(values)
        return parts

    @property
    def policy_names(self) -> str:
        """The policy's name; of several, joined by " + "."""
        several = self.policy if isinstance(self.policy, tuple) else (self.policy,)
        return " + ".join(one.name for one in several)


def _refuse_programs_fields(values: dict) -> None:
    """A synthetic workload has none of them; what was forgotten is the program's state."""
    own = {f"workload.{one.name}" for one in fields(Workload)}
    for one in fields(Program):
        name = f"workload.{one.name}"
        if name in values and name not in own:
            raise InputError(
                f"there is no parameter {name!r} of a Workload; with workload.state it is a Program"
            )


def guest_memory(scenario: Scenario):
    """A scenario's memory as a copy of its own, with the workload's CPUs.

    Returns
    -------
    (Memory, Path or None)
        The stem, where a snapshot was loaded.

    Raises
    ------
    InputError
        It is no memory, no snapshot and no size.
    """
    return prepared_memory(scenario.memory, scenario.kernel, scenario.workload.nr_cpus)


def prepared_memory(memory, kernel, nr_cpus: int):
    """:func:`guest_memory` of a scenario with this memory, kernel and CPUs."""
    memory, stem = named_memory(memory)
    if kernel is not None and kernel != profile_name(memory.profile):
        memory = with_profile(memory, PROFILES[kernel])
    try:
        return with_cpus(memory, nr_cpus), stem
    except ValueError as error:
        raise InputError(f"workload.nr_cpus: {error}") from None


def named_memory(memory):
    """(Memory, stem of its snapshot or None) of what stands in ``Scenario.memory``."""
    if isinstance(memory, Memory):
        return memory, None
    if isinstance(memory, str) and memory.endswith("iB"):
        return make_memory(memory), None
    stem = snapshot_stem(memory)
    return load_snapshot(stem), stem


def snapshot_stem(name) -> Path:
    """Stem of a snapshot, by path or by its name in the sample data."""
    if not Path(f"{name}.meta.json").exists():
        try:
            return data(name)
        except FileNotFoundError:
            raise InputError(
                f"{name}.meta.json: there is no such file, so memory {str(name)!r} is no snapshot;"
                f" nor is it sample data ({DEFAULT_MEMORY}, ..) or a size (256MiB, ..)"
            ) from None
    return Path(name)


def new_world(scenario: Scenario, memory: Memory) -> World:
    """All actors of a scenario at time 0."""
    workload = scenario.workload
    nr_cpus = workload.nr_cpus
    users = len(find_policies(scenario.policy))
    # Content is kept where somebody looks at it.
    looked_at = scenario.migration or scenario.host.discard or workload.keeps_content
    frames = memory.nr_pages if looked_at else 0
    chunk_shift = scenario.migration.chunk_shift if scenario.migration else CHUNK_SHIFT
    parts = {
        "memory": memory,
        "key": np.full(nr_cpus + 2 + users + (scenario.migration is not None), NEVER, np.int64),
        "lock_until": np.zeros(len(memory.zones), np.int64),
        "cost": cost_record(scenario.costs),
        "state": new_record(
            STATE_DTYPE,
            vmstat_at=STAT_INTERVAL_NS,
            kcompactd_at=FRAG_CHECK_INTERVAL_NS,
            compact_zone=-1,
            service_ns=scenario.host.service_ns,
            kick_ns=scenario.host.kick_ns,
            asleep=1,
            discards=scenario.host.discard,
        ),
        "tally": new_record(TALLY_DTYPE),
        "user": new_record(USER_DTYPE, users),
        "cpu": new_record(CPU_DTYPE, nr_cpus, word_at=WORDS, wait_since=-1),
        "words": np.zeros((nr_cpus, WORDS), np.int64),
        "pages": np.zeros(0, np.int64),
        "pieces": np.zeros((0, 3), np.int64),
        "background": np.zeros(0, np.int64),
        "trace": np.zeros((0, TRACE_COLUMNS), np.int64),
        "mem_map": np.zeros(0, np.int64),
        "owner": np.zeros(memory.nr_pages, np.int32),
        "control": new_compact_control(),
        "wish": np.zeros((2, QUANTILES), np.uint8),
        "gaps": np.zeros((GAP_ROWS, 2), np.int64),
        "ring": new_ring(scenario.ring.size, users),
        "report": np.zeros((users, REPORT_ROWS + 1, 3), np.int64),
        "outcome": np.zeros((users, REPORT_ROWS), np.uint8),
        "page": np.zeros(memory.nr_pages, np.uint16),
        "migration": new_record(MIGRATION_DTYPE),
        "dirty": new_dirty_log(frames, chunk_shift=chunk_shift),
        "version": np.zeros(frames, np.uint32),
        "copy": np.zeros(frames, np.uint32),
        "present": np.zeros(frames // 64, np.uint64),
        "paging": no_paging(),
        "reports": np.zeros((TABLE_ROWS, len(REPORT_COLUMNS)), np.int64),
        "waits": np.zeros((TABLE_ROWS, len(WAIT_COLUMNS)), np.int64),
        "used": np.zeros((TABLE_ROWS, 3), np.int64),
    }
    world = World(**parts | workload.arrays(memory, scenario.duration_ns))
    workload.begin(world, random_stream(scenario, nr_cpus + 1))
    schedule(world, nr_cpus, min(STAT_INTERVAL_NS, FRAG_CHECK_INTERVAL_NS))
    return world


def random_stream(scenario: Scenario, number: int) -> np.random.Generator:
    """The stream of a CPU, of the host, or of what a guest's load draws before time 0.

    One behind another, and each the same whatever the others draw.
    """
    seed = np.random.SeedSequence(scenario.seed, spawn_key=(number,))
    return np.random.Generator(np.random.PCG64(seed))


def simulate(scenario: Scenario, progress=None, check=None) -> Run:
    """Run a scenario.

    Parameters
    ----------
    scenario : Scenario
    progress : bool or callable, optional
        True: a bar of simulated time and of the migration's rounds, in a terminal or a notebook,
        for runs that take longer than a second.  A callable: called with a
        :class:`freehint.progress.Progress`, 100 times a run.
    check : bool, optional
        Check the whole memory after every verb of a policy, not only at the end of the run; by
        default so for policies that are not freehint's own.

    Returns
    -------
    Run
        Tables, one row of summary, and provenance.

    Raises
    ------
    InputError
        The scenario's memory cannot be loaded or used.
    InvariantError
        A policy has broken the lists; it is named.

    Examples
    --------
    >>> import freehint as fh
    >>> run = fh.simulate(fh.Scenario(memory="64MiB", policy="v24", duration_ns=50_000_000))
    >>> bool(run.summary["hinted_pages"] > 0)
    True
    """
    require(isinstance(scenario, Scenario), "scenario", "be a Scenario", scenario)
    if progress is True:
        with progress_bar(scenario.policy_names, scenario.duration_ns) as show:
            return simulate(scenario, show, check)
    memory, stem = guest_memory(scenario)
    return new_run(scenario, run_engine(scenario, memory, progress, check), memory, stem)


def new_run(scenario: Scenario, engine: Engine, memory: Memory, stem) -> Run:
    """What an engine that is at its end tells."""
    return Run(
        summary=summary_row(scenario, engine),
        reports=reports_table(engine),
        locks=locks_table(engine),
        waits=waits_table(engine),
        walks=walks_table(engine),
        history=history_table(engine.history),
        rounds=rounds_table(engine),
        resident=resident_table(engine),
        work=work_table(engine),
        provenance=provenance(scenario, __version__, stem, memory),
        memory=engine.world.memory,
    )


def run_engine(
    scenario: Scenario, memory: Memory, progress=None, check=None, engine=Engine
) -> Engine:
    """The engine at the end of a scenario that began with ``memory``, which it changes."""
    engine = new_engine(scenario, memory, check, engine)
    engine.run(_told(engine, progress) if progress else None)
    return engine


def new_engine(scenario: Scenario, memory: Memory, check=None, engine=Engine) -> Engine:
    """The engine before the first event of a scenario."""
    world = new_world(scenario, memory)
    if scenario.host.discard:
        _make_resident(world)
    streams = [random_stream(scenario, n) for n in range(scenario.workload.nr_cpus + 1)]
    engine = engine(world, find_policies(scenario.policy), scenario.host, streams, check)
    migration = scenario.migration
    if migration is not None:
        Migration(engine, migration)
    commands = scenario.control.commands(scenario.walk_at_ns, scenario.duration_ns, migration)
    engine.begin(commands, scenario.duration_ns, scenario.control.acknowledge_on_stop)
    return engine


def _told(engine: Engine, progress):
    """What the engine calls with a step, so that ``progress`` hears of the migration too."""
    time_ns = 0

    def step(step_ns):
        nonlocal time_ns
        time_ns += step_ns
        progress(progress_of(engine, step_ns, time_ns))

    return step


def _make_resident(world: World) -> None:
    """Pages with content are resident on a host that discards; others fault when touched."""
    has = np.zeros(world.memory.nr_pages, np.uint8)
    has[world.version > 0] = 1
    world.present[:] = np.packbits(has, bitorder="little").view(np.uint64)
    world.migration[0].arrived = 1
    world.migration[0].fault_ns = world.cost[0].fault_ns
