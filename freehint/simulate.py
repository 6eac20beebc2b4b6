"""Scenario in, Run out.

``Scenario()`` is the one default scenario: a real 4 GiB guest whose memory is fragmented
(``snap4g``), four CPUs that come to hold half of what is free, and one walk over its free lists
towards a host that is away 3 ms out of every 23.  The walk begins 20 ms after the start, when
the guest's CPUs have filled their pcp lists, and the run ends after 200 ms, long enough to show
what becomes of the hints.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import (
    Control,
    Costs,
    HostConfig,
    InputError,
    RingConfig,
    one_of,
    require,
    whole,
    with_values,
)
from freehint.data import data
from freehint.dirty import CHUNK_SHIFT, new_dirty_log
from freehint.engine import PAGE_COUNTS, Engine
from freehint.formats.boot import make_memory
from freehint.formats.snapshots import load_snapshot
from freehint.formats.tables import history_table
from freehint.guest.kthreads import FRAG_CHECK_INTERVAL_NS, STAT_INTERVAL_NS
from freehint.guest.programs import Program, prepare
from freehint.guest.workloads import WORDS, Workload, quantile_table, target_pages
from freehint.host.device import GAP_ROWS
from freehint.host.migration import MigrationConfig
from freehint.loop import REPORT_COLUMNS, WAIT_COLUMNS
from freehint.migrate import ROUND_COLUMNS, Migration
from freehint.mm.change import with_cpus, with_profile
from freehint.mm.compaction import new_compact_control
from freehint.mm.memory import Memory, zone_name
from freehint.mm.profile import PROFILES, profile_name
from freehint.policies import find_policies, find_policy
from freehint.provenance import provenance
from freehint.ring import new_ring
from freehint.run import Run
from freehint.units import NS_PER_MS
from freehint.version import __version__
from freehint.world import (
    CPU_DTYPE,
    MIGRATION_DTYPE,
    NEVER,
    STATE_DTYPE,
    STRUCTURES_SHIFT,
    TALLY_DTYPE,
    USER_DTYPE,
    World,
    cost_record,
    new_record,
    schedule,
)

TABLE_ROWS = 4096  # to begin with; tables grow
REPORT_ROWS = 1024

DEFAULT_MEMORY = "linux-6.1/snapshots/snap4g.T0"


@dataclass(frozen=True)
class Scenario:
    """Everything that decides a run, and nothing else does.

    Attributes
    ----------
    memory : Memory, str or Path
        A guest's memory (used as a copy), a snapshot's stem (relative to the working directory,
        or a name of the sample data), or a size such as ``"256MiB"`` for a freshly booted guest.
    kernel : str, optional
        Whose rules the guest follows from the start of the run, one of ``"4.15"``, ``"5.10"``,
        ``"6.1"``, ``"6.12"``; None: those that the memory came with.
    policy : str or Policy, or a tuple of them
        A name in ``fh.POLICIES``, or a policy of your own; several are users of the interface at
        the same time.
    seed : int
        Same seed, same numbers: on any machine, with any number of threads.
    workload : Workload or Program
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

    memory: object = DEFAULT_MEMORY
    kernel: str | None = None
    policy: object = "v24"
    seed: int = 1
    workload: Workload | Program = field(default_factory=Workload)
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
            ("workload", Workload | Program),
            ("migration", MigrationConfig | None),
            ("ring", RingConfig),
            ("host", HostConfig),
            ("costs", Costs),
            ("control", Control),
        ):
            part = getattr(self, name)
            must = f"be a {getattr(kind, '__name__', kind)}".replace("freehint.", "")
            require(isinstance(part, kind), name, must, part)

    def with_values(self, values: dict) -> "Scenario":
        """A copy with fields changed; nested names as in a sweep: ``{"ring.size": 64}``.

        ``policy`` may be changed together with its own knobs: ``{"policy": "v24",
        "policy.min_order": 9}``.
        """
        values = dict(values)
        if "policy" in values:
            policy = values["policy"]
            several = isinstance(policy, list | tuple)
            values["policy"] = tuple(policy) if several else find_policy(policy)
        return with_values(self, values)


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
    memory, stem = named_memory(scenario.memory)
    if scenario.kernel is not None and scenario.kernel != profile_name(memory.profile):
        memory = with_profile(memory, PROFILES[scenario.kernel])
    try:
        return with_cpus(memory, scenario.workload.nr_cpus), stem
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
            pass  # the loader's sentence names the missing file
    return Path(name)


def new_world(scenario: Scenario, memory: Memory) -> World:
    """All actors of a scenario at time 0."""
    workload = scenario.workload
    nr_cpus = workload.nr_cpus
    users = len(find_policies(scenario.policy))
    synthetic = isinstance(workload, Workload)
    drawn = workload if synthetic else Workload()  # a program draws nothing from the tables
    target = target_pages(workload, memory) if synthetic else 0
    room = target + target // 4 + 1024 if synthetic else workload.room(scenario.duration_ns)
    # Content is kept where somebody looks at it.
    looked_at = scenario.migration or scenario.host.discard or not synthetic
    frames = memory.nr_pages if looked_at else 0
    chunk_shift = scenario.migration.chunk_shift if scenario.migration else CHUNK_SHIFT
    world = World(
        memory=memory,
        key=np.full(nr_cpus + 2 + users + (scenario.migration is not None), NEVER, np.int64),
        lock_until=np.zeros(len(memory.zones), np.int64),
        cost=cost_record(scenario.costs),
        state=new_record(
            STATE_DTYPE,
            vmstat_at=STAT_INTERVAL_NS,
            kcompactd_at=FRAG_CHECK_INTERVAL_NS,
            compact_zone=-1,
            target_pages=target,
            interval_ns=workload.interval_ns if synthetic else 0,
            write_threshold=round(workload.write_share * 256) if synthetic else 0,
            growth_threshold=round(workload.growth * 256) if synthetic else 0,
            service_ns=scenario.host.service_ns,
            kick_ns=scenario.host.kick_ns,
            asleep=1,
            discards=scenario.host.discard,
        ),
        tally=new_record(TALLY_DTYPE),
        user=new_record(USER_DTYPE, users),
        cpu=new_record(CPU_DTYPE, nr_cpus, word_at=WORDS, wait_since=-1),
        words=np.zeros((nr_cpus, WORDS), np.int64),
        held=np.zeros((nr_cpus, room), np.int64),
        pages=np.zeros(0 if synthetic else room, np.int64),
        pieces=np.zeros((4096, 3), np.int64),
        background=np.zeros(0 if synthetic else workload.background_pages, np.int64),
        mem_map=np.zeros(0 if synthetic else memory.nr_pages >> STRUCTURES_SHIFT, np.int64),
        owner=np.zeros(memory.nr_pages, np.int32),
        control=new_compact_control(),
        wish=np.stack(
            [quantile_table(weights) for weights in (drawn.order_weights, drawn.type_weights)]
        ),
        gaps=np.zeros((GAP_ROWS, 2), np.int64),
        ring=new_ring(scenario.ring.size, users),
        report=np.zeros((users, REPORT_ROWS + 1, 3), np.int64),
        outcome=np.zeros((users, REPORT_ROWS), np.uint8),
        page=np.zeros(memory.nr_pages, np.uint16),
        migration=new_record(MIGRATION_DTYPE),
        dirty=new_dirty_log(frames, chunk_shift=chunk_shift),
        version=np.zeros(frames, np.uint32),
        copy=np.zeros(frames, np.uint32),
        present=np.zeros(frames // 64, np.uint64),
        reports=np.zeros((TABLE_ROWS, len(REPORT_COLUMNS)), np.int64),
        waits=np.zeros((TABLE_ROWS, len(WAIT_COLUMNS)), np.int64),
        used=np.zeros((TABLE_ROWS, 3), np.int64),
    )
    if not synthetic:
        schedule(world, 0, 0)
    for cpu in range(nr_cpus if synthetic else 0):
        # CPUs begin evenly spread over one interval.
        schedule(world, cpu, workload.interval_ns * cpu // nr_cpus)
    schedule(world, nr_cpus, min(STAT_INTERVAL_NS, FRAG_CHECK_INTERVAL_NS))
    return world


def simulate(scenario: Scenario, progress=None, check=None) -> Run:
    """Run a scenario.

    Parameters
    ----------
    scenario : Scenario
    progress : callable, optional
        Called with simulated nanoseconds done since the last call, 100 times a run.
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
    memory, stem = guest_memory(scenario)
    engine = run_engine(scenario, memory, progress, check)
    return run_of(scenario, engine, memory, stem)


def run_of(scenario: Scenario, engine: Engine, memory: Memory, stem) -> Run:
    """What an engine that has run tells; ``memory`` and ``stem`` as of :func:`guest_memory`."""
    return Run(
        summary=summary_row(scenario, engine),
        reports=_reports(engine),
        locks=_locks(engine),
        waits=_waits(engine),
        walks=_walks(engine),
        history=history_table(engine.history),
        rounds=_rounds(engine),
        resident=_resident(engine),
        provenance=provenance(scenario, __version__, stem, memory),
        memory=engine.world.memory,
    )


def run_engine(
    scenario: Scenario, memory: Memory, progress=None, check=None, engine=Engine
) -> Engine:
    """The engine at the end of a scenario that began with ``memory``, which it changes."""
    world = new_world(scenario, memory)
    seeds = np.random.SeedSequence(scenario.seed).spawn(scenario.workload.nr_cpus + 2)
    *streams, program_stream = [np.random.Generator(np.random.PCG64(s)) for s in seeds]
    if isinstance(scenario.workload, Program):
        prepare(world, scenario.workload, program_stream)
    if scenario.host.discard:
        _make_resident(world)
    engine = engine(world, find_policies(scenario.policy), scenario.host, streams, check)
    migration = scenario.migration
    if migration is not None:
        Migration(engine, migration)
    commands = scenario.control.commands(scenario.walk_at_ns, scenario.duration_ns, migration)
    engine.run(commands, scenario.duration_ns, progress)
    engine.check_lists()
    return engine


def _user_names(engine: Engine, column) -> pd.Categorical:
    names = [user.policy.name for user in engine.users]
    if len(set(names)) < len(names):
        names = [f"{name} #{number}" for number, name in enumerate(names)]
    return pd.Categorical.from_codes(np.asarray(column, np.int8), categories=names)


def _zone_names(memory, column) -> pd.Categorical:
    names = [zone_name(memory, z) for z in range(memory.nr_free.shape[0])]
    return pd.Categorical.from_codes(np.asarray(column, np.int8), categories=names)


def _table(world: World, name: str, columns) -> pd.DataFrame:
    rows = getattr(world, name)[: world.state[0][f"nr_{name}"]]
    return pd.DataFrame(rows.copy(), columns=list(columns))


def _reports(engine: Engine) -> pd.DataFrame:
    frame = _table(engine.world, "reports", REPORT_COLUMNS)
    frame["user"] = _user_names(engine, frame["user"])
    frame["zone"] = _zone_names(engine.world.memory, frame["zone"])
    for name in ("taken", "duplicate"):
        frame[name] = frame[name].astype(bool)
    return frame


def _locks(engine: Engine) -> pd.DataFrame:
    columns = ["user", "stroke", "zone", "since_ns", "held_ns", "blocks"]
    rows = np.array(engine.locks, np.int64).reshape(-1, len(columns))
    frame = pd.DataFrame(rows, columns=columns)
    frame["user"] = _user_names(engine, frame["user"])
    frame["zone"] = _zone_names(engine.world.memory, frame["zone"])
    return frame


def _walks(engine: Engine) -> pd.DataFrame:
    """A row a walk; ``end_ns`` is -1 where it had not ended."""
    columns = ["begin_ns", "end_ns", "completed", "walkable_pages", "covered_pages"]
    columns += [f"{name}_pages" for name in PAGE_COUNTS]
    rows = [(u.number, *walk) for u in engine.users for walk in u.walks]
    frame = pd.DataFrame(rows, columns=["user", *columns])
    frame["user"] = _user_names(engine, frame["user"])
    frame["completed"] = frame["completed"].astype(bool)
    return frame.sort_values("begin_ns", kind="stable", ignore_index=True)


def _waits(engine: Engine) -> pd.DataFrame:
    frame = _table(engine.world, "waits", WAIT_COLUMNS)
    frame["zone"] = _zone_names(engine.world.memory, frame["zone"])
    frame["kind"] = pd.Categorical.from_codes(
        frame["kind"].to_numpy(np.int8), categories=["alloc", "free"]
    )
    return frame


def _percentiles(values, count: int, prefix: str) -> dict:
    """p50, p99 and max of ``values``, padded with zeros to ``count`` entries.

    The smallest value that at least that share of all entries does not exceed: an entry, never
    a value between two.
    """
    values = np.sort(np.asarray(values, np.int64))
    count = max(count, len(values))  # a Program's allocations wait, and are not counted
    zeros = count - len(values)
    result = {}
    for name, share in (("p50", 0.50), ("p99", 0.99), ("max", 1.0)):
        rank = max(int(np.ceil(share * count)) - 1, 0)
        at = rank - zeros
        result[f"{prefix}_{name}_ns"] = int(values[at]) if at >= 0 and len(values) else 0
    return result


def _make_resident(world: World) -> None:
    """Pages with content are resident on a host that discards; others fault when touched."""
    has = np.zeros(world.memory.nr_pages, np.uint8)
    has[world.version > 0] = 1
    world.present[:] = np.packbits(has, bitorder="little").view(np.uint64)
    world.migration[0].arrived = 1
    world.migration[0].fault_ns = world.cost[0].fault_ns


def _resident(engine: Engine) -> pd.DataFrame:
    columns = ["time_s", "resident_pages", "faults"]
    return pd.DataFrame(engine.resident, columns=columns).astype(
        {"time_s": float, "resident_pages": np.int64, "faults": np.int64}
    )


def _rounds(engine: Engine) -> pd.DataFrame:
    rows = engine.migration.rounds if engine.migration else []
    return pd.DataFrame(rows, columns=list(ROUND_COLUMNS)).astype(np.int64)


def _migration_summary(engine: Engine) -> dict:
    """What QEMU's query-migrate says, and what became of the guest."""
    migration, record = engine.migration, engine.world.migration[0]
    if migration is None:
        return {}
    ended = migration.end_ns >= 0
    stopped = ended and migration.stopped_ns >= 0
    return {
        "migration": migration.status,
        "sent_bytes": int(record.sent_bytes),
        "normal_pages": int(record.normal),
        "zero_pages": int(record.zero),
        "skipped_pages": int(record.hinted),
        "rounds": len(migration.rounds),
        "total_ns": migration.end_ns - migration.begin_ns if ended else -1,
        "downtime_ns": migration.end_ns - migration.stopped_ns if stopped else -1,
        "lost_writes": migration.lost_writes,
        "faults": int(record.faults),
        "fault_ns": int(record.faults) * int(record.fault_ns),
    }


def _share(part: int, whole_: int) -> float:
    return part / whole_ if whole_ else float("nan")


def summary_row(scenario: Scenario, engine: Engine) -> pd.Series:
    """One row: what the policy offered, what arrived, what it cost, what became of it."""
    tally = {name: int(engine.world.tally[0][name]) for name in TALLY_DTYPE.names}
    waits = _waits(engine)
    alloc_waits = waits.loc[waits["kind"] == "alloc", "wait_ns"]
    held = [held for *_, held, _ in engine.locks]
    walks = _walks(engine)
    walkable, covered = int(walks["walkable_pages"].sum()), int(walks["covered_pages"].sum())
    ended = len(walks) and (walks["end_ns"] >= 0).all()
    several = isinstance(scenario.policy, tuple)
    row = {
        "policy": " + ".join(p.name for p in scenario.policy) if several else scenario.policy.name,
        "seed": scenario.seed,
        **{f"{name}_pages": int(engine.world.user[name].sum()) for name in PAGE_COUNTS},
        "walks": len(walks),
        "walkable_pages": walkable,
        "coverage": _share(covered, walkable),
        "stale_pages": tally["stale"],
        "reused_pages": tally["reused"],
        "survival": 1 - _share(tally["reused"], tally["first_hinted"]),
        "walk_ns": int((walks["end_ns"] - walks["begin_ns"]).sum()) if ended else -1,
        "strokes": len(engine.locks),
        "notifications": tally["notifications"],
        **_percentiles(held, len(held), "lock_held"),
        **_percentiles(alloc_waits, tally["allocations"], "alloc_wait"),
        "waits": len(waits),
        "bookmark_ns": int(engine.world.memory.zones["bookmark_steps"].sum())
        * scenario.costs.walk_block_ns,
        "allocations": tally["allocations"],
        "failed_allocations": tally["failed_allocations"],
        "frees": tally["frees"],
        "writes": tally["writes"],
        "discarded_pages": tally["discarded"],
        "lost_to_discard_pages": tally["lost_to_discard"],
        "decayed_pages": tally["decayed"],
        "compactions": tally["compactions"],
        "migrated_pages": tally["migrated"],
        **_migration_summary(engine),
        "guest_lock_holds": tally["lock_holds"],
        "guest_lock_held_ns": tally["lock_held_ns"],
    }
    return pd.Series(row, dtype=object)
