"""Compile all kernels and keep them, so that nothing waits for a compiler later: ``freehint warm``.

Each task uses freehint on a small guest as users do, so it compiles the kernels that they need.
The event loop is by far the largest kernel, so it comes first, beside tasks that do not need it.
"""

import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import NamedTuple

from freehint.config import whole
from freehint.data import data
from freehint.engine.guest.programs import STATES, Program
from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.engine.host.device import HostConfig
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.host.shared import SharedHost
from freehint.formats.boot import make_memory
from freehint.formats.proc import memory_from_proc
from freehint.formats.snapshots import load_snapshot
from freehint.jit import late
from freehint.jit.cache import CACHE_FOLDER, COUNTS, UNUSED_S, cache_bases, prune
from freehint.mm.change import with_cpus, with_profile
from freehint.mm.profile import LINUX_6_12
from freehint.policies import POLICIES
from freehint.policies.interface import walk_free_mem_block
from freehint.replay import INPUTS, LEVELS
from freehint.replay.replay import replay, replay_history
from freehint.replay.validate import predictions
from freehint.runs.overcommit import overcommit
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.runs.trajectory.trajectory import record
from freehint.studies.blocks import block_story
from freehint.units import NS_PER_MS, NS_PER_S

TRACE = "linux-6.1/traces/idle20"
SIZE = "256MiB"
SHORT_NS = 50 * NS_PER_MS


def _loop():
    simulate(Scenario(memory=SIZE, policy="none", duration_ns=NS_PER_MS))


def _replays():
    for level in LEVELS:
        for inputs in INPUTS:
            replay(data(TRACE), level, inputs)
    replay_history(data(TRACE), samples=2)


def _memories():
    memory = make_memory(SIZE, fragmentation=0.1)
    load_snapshot(data(f"{TRACE}.T0"))
    memory_from_proc(data("linux-6.1/proc/boot_1g.txt.gz"))
    with_profile(with_cpus(memory, 2), LINUX_6_12)
    walk_free_mem_block(memory, lambda opaque, pfn, nr_pages: 1)
    block_story(frees=1)


def _policies():
    for policy in POLICIES:
        simulate(Scenario(memory=SIZE, policy=policy, duration_ns=SHORT_NS), check=True)


def _programs():
    sizes = {"fill_MiB": 4, "dirty_MiB": 4, "frag_MiB": 4, "cache_MiB": 4, "rate_MiBps": 10}
    for state in STATES:
        guest = Program(state=state, **sizes)
        simulate(Scenario(memory=SIZE, policy="none", workload=guest, duration_ns=SHORT_NS))


def mechanisms() -> list:
    """One policy for each ``fill``: policies with the same verbs need the same kernels."""
    first = {}
    for policy in POLICIES.values():
        first.setdefault(policy.fill, policy)
    return [policy for fill, policy in first.items() if fill is not None]


def _migrations():
    for policy in mechanisms():
        simulate(
            Scenario(
                memory=SIZE,
                policy=policy,
                workload=Program(state="freed", fill_MiB=4, init_on_free=True),
                host=HostConfig(discard=policy.host_discards),
                migration=MigrationConfig(),
                duration_ns=4 * NS_PER_S,
            )
        )


def _recorded_guests():
    simulate(Scenario(policy="none", workload=RecordedGuest(TRACE), duration_ns=SHORT_NS))


def _players():
    record(Scenario(memory=SIZE, duration_ns=SHORT_NS), moments=2)


def _shared_hosts():
    guest = Scenario(
        memory=SIZE,
        policy="page_reporting",
        workload=Program(state="dirty", dirty_MiB=150, rate_MiBps=1_000),
        host=HostConfig(discard=True),
        duration_ns=SHORT_NS,
    )
    overcommit([guest, guest], SharedHost(memory_MiB=256))


def _validators():
    for kernel in ("linux-6.1", "linux-6.12"):
        predictions(data(f"{kernel}/hints"), "hints")
    predictions(data("linux-6.1/reporting"), "reporting")


# In their order: what needs the event loop would wait for the process that compiles it.
TASKS = {
    "the event loop": _loop,
    "replays": _replays,
    "memories and walks": _memories,
    "validators": _validators,
    "policies": _policies,
    "programs": _programs,
    "migrations": _migrations,
    "recorded guests": _recorded_guests,
    "players": _players,
    "guests that share a host": _shared_hosts,
}


class Warmed(NamedTuple):
    """Counts of the kernels that one task compiled, found on disk and could not keep; its time."""

    task: str
    compiled: int
    found: int
    not_kept: int
    seconds: float


def run_task(name: str) -> Warmed:
    """Do one of TASKS in this process."""
    begin, before = time.perf_counter(), COUNTS.all
    TASKS[name]()
    late.compile_all()
    counts = (now - old for now, old in zip(COUNTS.all, before, strict=True))
    return Warmed(name, *counts, time.perf_counter() - begin)


def warm(processes: int | None = None):
    """Compile all kernels that are not on disk yet.

    Parameters
    ----------
    processes : int, optional
        By default one per CPU, at most 4.

    Yields
    ------
    Warmed
        One for each task, when it is done.
    """
    if processes is None:
        processes = min(4, len(os.sched_getaffinity(0)))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        for done in as_completed([pool.submit(run_task, name) for name in TASKS]):
            yield done.result()


def warm_all(args) -> bool:
    """Compile every kernel, print each task, and remove kernels that were not used for long.

    Parameters
    ----------
    args : argparse.Namespace
        ``processes``: the number of processes; if None, one per CPU, at most 4.

    Returns
    -------
    bool
        Whether all kernels could be kept on disk.
    """
    processes = args.processes
    if processes is not None:
        whole("--processes", processes, 1)
    if CACHE_FOLDER is None:
        tried = ", ".join(map(str, cache_bases()))
        print(f"kernels cannot be kept: no folder can be written ({tried})", file=sys.stderr)
        return False
    print(f"kernels: {CACHE_FOLDER}")
    begin = time.perf_counter()
    compiled = found = not_kept = 0
    for number, one in enumerate(warm(processes), 1):
        print(
            f"{number:2}/{len(TASKS)} {one.task:24} {one.compiled:3} compiled, {one.found:3} found,"
            f" {one.seconds:5.1f} s",
            flush=True,
        )
        compiled, found, not_kept = (
            compiled + one.compiled,
            found + one.found,
            not_kept + one.not_kept,
        )
    for folder in prune(CACHE_FOLDER):
        print(f"removed, unused for {UNUSED_S // 86400} days: {folder}")
    print(f"{compiled} compiled, {found} found there, {time.perf_counter() - begin:.1f} s")
    if not_kept:
        print(f"{not_kept} kernels could not be written: {CACHE_FOLDER}", file=sys.stderr)
    print("next: make lab opens the notebooks; freehint simulate runs a scenario")
    return not not_kept
