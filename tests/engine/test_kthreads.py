"""kcompactd and the vmstat worker: what they move, when they begin; nothing is lost."""

import numpy as np
import pytest

import freehint as fh
from freehint.engine.guest.kthreads import FRAG_CHECK_INTERVAL_NS, STAT_INTERVAL_NS
from freehint.engine.turns import kthreads_turn
from freehint.engine.world.clock import NEVER
from freehint.jit.pinned import pinned
from freehint.mm.compact.proactive import SCORE_HIGH, SCORE_LOW, fragmentation_score_node
from freehint.mm.memory import BUDDY, LRU, MOVABLE
from freehint.mm.pcp import drain_pages_zone
from freehint.mm.zone import alloc_pages, free_pages, mark_lru
from freehint.runs.begin import guest_memory, new_world

KERNELS = ("6.1", "6.12")
QUIET = fh.Workload(nr_cpus=1, interval_ns=10**12)


def drain_all(memory):
    for zone in range(len(memory.zones)):
        drain_pages_zone(memory, zone, 0)


def fragmented_world(kernel, movable=True, seed=1):
    """A guest that filled its memory page by page and gave back every page but a few, at random."""
    scenario = fh.Scenario(memory="128MiB", kernel=kernel, policy="none", workload=QUIET)
    memory, _ = guest_memory(scenario)
    world = new_world(scenario, memory)
    chance = np.random.default_rng(seed)
    nodes = []
    while (node := alloc_pages(memory, 0, 0, MOVABLE, 0)[0]) >= 0:
        nodes.append(node)
    keep = chance.random(len(nodes)) < 0.3
    for node, kept in zip(nodes, keep):
        if not kept:
            free_pages(memory, node, 0, 0, 0)
        else:
            if movable:
                mark_lru(memory, node, 0)
            world.held[0, world.cpu[0].nr_blocks] = node << 4
            world.cpu[0].nr_blocks += 1
    drain_all(memory)
    fh.check_memory(memory)
    return world


def kcompactd_turn(world, now_ns):
    """A turn in which the vmstat worker sleeps; when kcompactd's next is due."""
    state = world.state[0]
    state.vmstat_at, state.kcompactd_at = NEVER, now_ns
    kthreads_turn(pinned(world), len(world.cpu), now_ns)
    return state.kcompactd_at


def vmstat_turn(world, now_ns):
    """A turn of the vmstat worker; when its next is due."""
    state = world.state[0]
    state.vmstat_at, state.kcompactd_at = now_ns, NEVER
    kthreads_turn(pinned(world), len(world.cpu), now_ns)
    return state.vmstat_at


def run_kcompactd(world):
    """Let it run until it goes back to sleep; when it looks again."""
    now = kcompactd_turn(world, 0)
    while world.state[0].compact_zone >= 0:
        now = kcompactd_turn(world, now)
        fh.check_memory(world.memory)
    return now


def held_pages(world):
    return world.held[0, : world.cpu[0].nr_blocks] >> 4


@pytest.mark.parametrize("kernel", KERNELS)
def test_compaction_makes_huge_pages_and_loses_none(kernel):
    world = fragmented_world(kernel)
    memory = world.memory
    before, used = fragmentation_score_node(memory), len(held_pages(world))
    free = memory.zones.nr_free_pages.sum() + memory.pcp["count"].sum()
    assert before > SCORE_HIGH
    run_kcompactd(world)
    held = held_pages(world)
    assert len(np.unique(held)) == used  # every page still has its owner, and none two
    assert (memory.frame[held] == LRU).all()
    assert memory.zones.nr_free_pages.sum() + memory.pcp["count"].sum() == free
    drain_all(memory)
    assert fragmentation_score_node(memory) <= SCORE_LOW
    assert world.tally[0].migrated > 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_pages_that_cannot_move_stay_and_kcompactd_defers(kernel):
    world = fragmented_world(kernel, movable=False)
    before = fh.free_lists(world.memory)
    wait = run_kcompactd(world)
    assert world.tally[0].migrated == 0
    assert wait == FRAG_CHECK_INTERVAL_NS << 6
    # What the free scanner took and did not need came back; nothing else moved.
    drain_all(world.memory)
    assert before["pfn"].nunique() == fh.free_lists(world.memory)["pfn"].nunique()


def test_an_unfragmented_guest_is_left_alone():
    scenario = fh.Scenario(memory="128MiB", policy="none", workload=QUIET)
    world = new_world(scenario, guest_memory(scenario)[0])
    assert kcompactd_turn(world, 0) == FRAG_CHECK_INTERVAL_NS
    assert world.tally[0].compactions == 0


def test_a_page_freed_or_moved_in_between_is_passed_over():
    world = fragmented_world("6.1")
    kcompactd_turn(world, 0)  # reads the owners
    first = int(np.sort(held_pages(world))[0])
    slot = int(np.flatnonzero(held_pages(world) == first)[0])
    last = world.cpu[0].nr_blocks - 1
    # The guest frees it: as free_event() does, the last block takes its place.
    world.held[0, slot] = world.held[0, last]
    world.cpu[0].nr_blocks = last
    free_pages(world.memory, first, 0, 0, 0)
    while world.state[0].compact_zone >= 0:
        kcompactd_turn(world, 0)
    fh.check_memory(world.memory)
    held = held_pages(world)
    assert len(np.unique(held)) == last
    assert not (world.memory.frame[held] & BUDDY).any()


def test_pcp_lists_decay_once_a_second_from_6_12_on():
    for kernel, decays in (("6.1", False), ("6.12", True)):
        scenario = fh.Scenario(memory="128MiB", kernel=kernel, policy="none", workload=QUIET)
        world = new_world(scenario, guest_memory(scenario)[0])
        pcp = world.memory.pcp
        nodes = [alloc_pages(world.memory, 0, 0, MOVABLE, 0)[0] for _ in range(4000)]
        for node in nodes:
            free_pages(world.memory, node, 0, 0, 0)
        high, count = pcp.high[1, 0], pcp["count"][1, 0]
        assert vmstat_turn(world, 10**9) == 10**9 + STAT_INTERVAL_NS
        assert (pcp["count"][1, 0] < count) == decays
        # By an eighth, but not far below what stands there.
        lower = max(high - (high >> 3), count - (pcp.batch[1, 0] << 5), pcp.high_min[1, 0])
        assert pcp.high[1, 0] == (lower if decays else high)
        assert lower < high or not decays
        assert world.tally[0].decayed == (count - pcp["count"][1, 0])
        fh.check_memory(world.memory)


def test_every_cpu_has_its_turn_and_kernel_threads_wait_for_a_stroke():
    away = {"host.gap_every_ns": 900_000_000, "host.gap_ns": 10**12, "host.gaps": "fixed"}
    scenario = fh.Scenario(
        memory="64MiB",
        kernel="6.12",
        policy="hold_the_lock",
        workload=fh.Workload(nr_cpus=2, interval_ns=10**8),
        walk_at_ns=950_000_000,
        duration_ns=3 * 10**9,
    ).with_values({**away, "ring.size": 1})
    run = fh.simulate(scenario)
    # The host never comes back, so the lock is never released and no list can decay.
    assert run.summary["walk_ns"] == -1 and run.summary["decayed_pages"] == 0
    fh.check_memory(run.memory)
