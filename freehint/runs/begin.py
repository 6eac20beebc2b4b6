"""The memory, world and engine of a scenario at time 0."""

from operator import itemgetter
from pathlib import Path

import numpy as np

from freehint.config import InputError
from freehint.data import DEFAULT_MEMORY, stem
from freehint.engine.engine import Engine
from freehint.engine.guest.content import mark_written
from freehint.engine.guest.kthreads import FRAG_CHECK_INTERVAL_NS, STAT_INTERVAL_NS
from freehint.engine.guest.recorded import TRACE_COLUMNS
from freehint.engine.guest.vcpu import QUANTILES
from freehint.engine.guest.waiting import WAIT_COLUMNS
from freehint.engine.guest.workloads import WORDS
from freehint.engine.host.device import GAP_ROWS
from freehint.engine.worker import REPORT_COLUMNS
from freehint.engine.world.backing import new_backing
from freehint.engine.world.balloon import new_balloon
from freehint.engine.world.clock import NEVER, schedule
from freehint.engine.world.dirty import CHUNK_SHIFT, new_dirty_log
from freehint.engine.world.jobs import new_jobs, no_reclaim
from freehint.engine.world.paging import no_paging
from freehint.engine.world.records import (
    CPU_DTYPE,
    HOST_DTYPE,
    MIGRATION_DTYPE,
    NR_RARE,
    STATE_DTYPE,
    TALLY_DTYPE,
    USER_DTYPE,
    cost_record,
    new_record,
)
from freehint.engine.world.ring import new_ring
from freehint.engine.world.violations import NR_COLUMNS, NR_KINDS
from freehint.engine.world.world import World
from freehint.formats.boot import make_memory
from freehint.formats.digest import Files
from freehint.formats.snapshots import read_snapshot
from freehint.mm.change import with_cpus, with_profile
from freehint.mm.compact.proactive import new_compact_control
from freehint.mm.memory import Memory
from freehint.mm.profile import PROFILES, profile_name
from freehint.policies import find_policies
from freehint.runs.scenario import Scenario

TABLE_ROWS = 4096  # rows at the beginning; tables grow
REPORT_ROWS = 1024


def guest_memory(scenario: Scenario):
    """A private copy of a scenario's memory, with the workload's CPUs.

    Returns
    -------
    (Memory, tuple of Input)
        The memory; the files that it and the workload were loaded from, with their sha256.

    Raises
    ------
    InputError
        It is no memory, no snapshot and no size, or T0 has changed since the workload was made.
    """
    workload = scenario.workload
    memory, inputs = prepared_memory(scenario.memory, scenario.kernel, workload.nr_cpus)
    return memory, all_inputs(inputs, workload.inputs)


def all_inputs(inputs: tuple, of_workload: tuple) -> tuple:
    """The inputs of a memory and then those of a workload, without repetitions.

    Raises
    ------
    InputError
        A file that both have changed between the two readings.
    """
    loaded = {one.file: one.sha256 for one in of_workload}
    for file, sha256 in inputs:
        if loaded.get(file, sha256) != sha256:
            raise InputError(
                f"{file}: changed after the workload was made of it: sha256 {loaded[file]} then,"
                f" {sha256} now; make the workload anew"
            )
    return inputs + tuple(one for one in of_workload if one not in inputs)


def prepared_memory(given, kernel, nr_cpus: int):
    """The memory of a scenario with this memory, kernel and CPUs, and a tuple of its Inputs."""
    memory, inputs = named_memory(given, nr_cpus)
    own = memory is not given
    if kernel is not None and kernel != profile_name(memory.profile):
        memory, own = with_profile(memory, PROFILES[kernel]), True
    if own and memory.nr_cpus == nr_cpus:
        return memory, inputs
    try:
        return with_cpus(memory, nr_cpus), inputs
    except ValueError as error:
        raise InputError(f"workload.nr_cpus: {error}") from None


def named_memory(memory, nr_cpus=1):
    """The memory that a value of ``Scenario.memory`` names, and a tuple of its Inputs.

    One that is made of its size has ``nr_cpus`` CPUs, others have their own.
    """
    if isinstance(memory, Memory):
        return memory, ()
    if isinstance(memory, str) and memory.endswith("iB"):
        return make_memory(memory, nr_cpus=nr_cpus), ()
    files = Files()
    return read_snapshot(snapshot_stem(memory), files), files.inputs


def snapshot_stem(name) -> Path:
    """The stem of a snapshot, given by its path or by its name in the sample data.

    Raises
    ------
    InputError
        There is no such snapshot.
    """
    try:
        return stem(name, ".meta.json")
    except FileNotFoundError:
        raise InputError(
            f"{name}.meta.json: there is no such file, so memory {str(name)!r} is no snapshot;"
            f" nor is it sample data ({DEFAULT_MEMORY}, ..) or a size (256MiB, ..)"
        ) from None


def new_world(scenario: Scenario, memory: Memory) -> World:
    """The world of a scenario, with all its actors, at time 0."""
    workload = scenario.workload
    nr_cpus = workload.nr_cpus
    users = len(find_policies(scenario.policy))
    # The content of pages is only kept if something reads it.
    looked_at = scenario.migration or scenario.host.discard or scenario.park
    looked_at = looked_at or workload.keeps_content
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
        "fate": np.zeros(memory.nr_pages, np.uint16),
        "migration": new_record(MIGRATION_DTYPE),
        "host": new_record(HOST_DTYPE, discards=scenario.host.discard),
        "dirty": new_dirty_log(frames, chunk_shift=chunk_shift),
        "version": np.zeros(frames, np.uint32),
        "copy": np.zeros(frames, np.uint32),
        "present": np.zeros(frames // 64, np.uint64),
        "backing": _backing(scenario, memory.nr_pages),
        "paging": no_paging(),
        "balloon": new_balloon(memory.nr_pages if scenario.control.names("balloon") else 0),
        "reclaim": no_reclaim(),
        "jobs": new_jobs(),
        "reports": np.zeros((TABLE_ROWS, len(REPORT_COLUMNS)), np.int64),
        "waits": np.zeros((TABLE_ROWS, len(WAIT_COLUMNS)), np.int64),
        "used": np.zeros((TABLE_ROWS, 3), np.int64),
        "violations": np.zeros((users, NR_KINDS, NR_COLUMNS), np.int64),
        "apart": np.zeros(NR_RARE, np.int64),
    }
    world = World(**parts | workload.arrays(memory, scenario.duration_ns))
    schedule(world, nr_cpus, min(STAT_INTERVAL_NS, FRAG_CHECK_INTERVAL_NS))
    workload.begin(world, random_stream(scenario, nr_cpus + 1))
    return world


def _backing(scenario: Scenario, nr_pages: int):
    """What the host has behind the guest's pages."""
    host, kept = scenario.host, scenario.host.discard or scenario.park
    huge_fault_ns = scenario.costs.huge_fault_ns
    parks = scenario.park is not None
    return new_backing(nr_pages if kept else 0, host.backend, host.pages, huge_fault_ns, parks)


def random_stream(scenario: Scenario, number: int) -> np.random.Generator:
    """The random stream of a CPU, of the host, or of a guest's load before time 0.

    They have numbers in this order, and no stream depends on the numbers drawn from another.
    """
    seed = np.random.SeedSequence(scenario.seed, spawn_key=(number,))
    return np.random.Generator(np.random.PCG64(seed))


def new_engine(scenario: Scenario, memory: Memory, check=None, watchers=()) -> Engine:
    """The engine of a scenario before its first event."""
    world = new_world(scenario, memory)
    if scenario.host.discard or scenario.park:
        _make_resident(world)
    streams = [random_stream(scenario, n) for n in range(scenario.workload.nr_cpus + 1)]
    policies = tuple(
        policy.fitted(scenario.ring.size) if memory.profile.reporting_fits_ring else policy
        for policy in find_policies(scenario.policy)
    )
    engine = Engine(world, policies, scenario.host, streams, check, watchers)
    migration = scenario.migration
    if migration is not None:
        engine.migrate(migration)
    if scenario.park is not None:
        engine.park(scenario.park)
    if len(world.balloon.pages):
        engine.inflate(scenario.control.deflate_on_oom)
    for name in scenario.control.given_at:
        if name not in engine.commands.does:
            raise InputError(f"control.at: only a guest under pressure takes the command {name!r}")
    commands = scenario.control.commands(scenario.walk_at_ns, scenario.duration_ns, migration)
    if scenario.park is not None:
        commands = sorted(
            commands + scenario.park.commands(scenario.duration_ns), key=itemgetter(0)
        )
    engine.begin(commands, scenario.duration_ns, scenario.control.acknowledge_on_stop)
    return engine


def _make_resident(world: World) -> None:
    """Make the pages with content resident on a host that discards; others fault when touched."""
    mark_written(world)
    if len(world.backing.lazy):
        world.host[0].noting = 1
    world.host[0].faulting = 1
    world.host[0].fault_ns = world.cost[0].fault_ns
