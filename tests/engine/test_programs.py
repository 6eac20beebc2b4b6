"""The guests' programs: their allocations beside the recorded ones, and what they leave."""

import json

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.engine.guest.build import places_of
from freehint.engine.guest.forks import BLOCKS, NR_BLOCKS
from freehint.engine.guest.page_cache import FILE_PAGES, PAGES_PER_SLAB
from freehint.engine.host.precopy import ZERO_PAGE_BYTES
from freehint.mm.damage import pages_at_hand
from freehint.mm.memory import MOVABLE, RECLAIMABLE, UNMOVABLE
from freehint.runs.simulate import run_engine
from freehint.units import NS_PER_MS, NS_PER_S


def recorded(name, event):
    """Rows of one event between T0 and T1 of a recording."""
    stem = fh.data(f"linux-6.1/traces/{name}.T0")
    ends = []
    for moment in ("T0", "T1"):
        meta = json.loads(stem.with_name(f"{name}.{moment}.meta.json").read_text())
        ends.append(sum(cpu["entries"] for cpu in meta["trace"]))
    trace = pd.read_parquet(stem.with_name(f"{name}.trace.parquet"))[slice(*ends)]
    return trace[trace["event"] == event]


def guest():
    return fh.memory_from_proc(fh.data("linux-6.1/proc/boot_1g.txt.gz"), seed=1)


def run_program(duration_ns, memory=None, **program):
    scenario = fh.Scenario(
        memory=memory or "64MiB",
        policy="none",
        workload=fh.Program(**program),
        duration_ns=duration_ns,
    )
    return run_engine(scenario, memory or fh.make_memory("64MiB"))


def free_pages(engine):
    return pages_at_hand(engine.world.memory)


def test_a_process_allocates_what_the_recording_counts():
    counts = recorded("fork", "mm_page_alloc").groupby(["order", "migratetype"]).size()
    processes = counts[1, UNMOVABLE] / 2  # two page directories each
    kinds, ours = np.unique(BLOCKS, axis=0, return_counts=True)
    ours = pd.Series(ours, index=pd.MultiIndex.from_arrays(kinds.T))
    for kind in ours.index:
        assert abs(ours[kind] - counts[kind] / processes) < 1, kind
    shares = (ours / NR_BLOCKS).reindex(counts.index, fill_value=0) - counts / counts.sum()
    assert shares.abs().max() < 0.01
    # Nothing was recorded of the order of a kernel stack in one piece.
    assert counts.index.get_level_values("order").max() < 4 and (2, UNMOVABLE) not in counts.index


def test_the_recorded_rate_of_processes_is_the_default():
    rows = recorded("fork", "mm_page_alloc")
    seconds = (rows["ts_us"].iloc[-1] - rows["ts_us"].iloc[0]) / 1e6
    rate = (rows["order"] == 1).sum() / 2 / seconds
    assert abs(fh.Program.forks_per_s / rate - 1) < 0.02


def test_processes_come_and_exit_and_give_everything_back():
    short = run_program(2 * NS_PER_S, state="fork", forks_per_s=100.0, life_ms=20)
    tally = short.world.tally[0]
    assert tally.failed_allocations == 0
    assert tally.allocations == pytest.approx(200 * NR_BLOCKS, abs=NR_BLOCKS)
    # Alive: 20 ms of a hundred a second, the one being made, files of the one before.
    assert tally.allocations - tally.frees < 5 * NR_BLOCKS
    held = short.world.held[0, : short.world.cpu[0].nr_blocks]
    assert (held >= 0).sum() == tally.allocations - tally.frees
    # Nobody exits: what exec replaced is gone, and one page directory each is left.
    longer = run_program(NS_PER_S, state="fork", forks_per_s=20.0, life_ms=100_000)
    held = longer.world.held[0, : longer.world.cpu[0].nr_blocks]
    assert ((held >= 0) & (held & 0xF == 1)).sum() in (19, 20, 21)


def test_a_process_goes_on_where_there_is_no_memory():
    engine = run_program(4 * NS_PER_S, state="fork", forks_per_s=500.0, life_ms=8000)
    assert engine.world.tally[0].failed_allocations > 0
    fh.check_memory(engine.world.memory)


def test_the_slab_share_of_the_page_cache_is_the_recorded_one():
    rows = recorded("cache", "mm_page_alloc")
    counts = rows[rows["order"] == 0].groupby("migratetype").size()
    assert abs(counts[MOVABLE] / counts[RECLAIMABLE] / PAGES_PER_SLAB - 1) < 0.02


def test_files_have_the_recorded_sizes_and_go_in_the_recorded_batches():
    written = recorded("cache", "mm_page_alloc")
    written = written[written["gfp"].str.contains("__GFP_WRITE")]
    assert len(written) == 9 * FILE_PAGES.sum()  # wl_cache /mnt/w 9 24
    freed = recorded("cache", "mm_page_free")
    removed = freed[freed["comm"] == "rm"].groupby("pid").size()
    batch = FILE_PAGES[0] + FILE_PAGES[2]
    removed = removed[removed > 1000]  # else an rm of nothing
    assert len(removed) == 8  # the last round removes nothing
    assert (removed / batch - 1).abs().max() < 0.03


def test_removed_files_are_free_again_at_once():
    mib = int(FILE_PAGES.sum()) // 256  # a round of files; the page after it removes two
    before, after = (
        free_pages(run_program(NS_PER_MS, guest(), state="cache", cache_MiB=size, rate_MiBps=1.0))
        for size in (mib - 1, mib)
    )
    assert after - before == pytest.approx(FILE_PAGES[0] + FILE_PAGES[2] - 256, rel=0.05)


def test_a_full_page_cache_leaves_the_guest_near_its_low_watermark():
    memory = guest()
    run = fh.simulate(
        fh.Scenario(
            memory=memory,
            policy="none",
            workload=fh.Program(state="cache", cache_MiB=2600, rate_MiBps=200.0),
            duration_ns=5 * NS_PER_S,
        )
    )
    assert run.summary["failed_allocations"] == 0
    free = run.history.groupby("time_s")["free_pages"].sum()
    marks = memory.zones["watermark"][-1]
    # On top: the DMA zone, which MOVABLE requests may not drain, pcp lists, files just removed.
    kept = int(memory.zones["managed"][:-1].sum()) + int(memory.pcp["high"].sum())
    assert marks[0] < free.min() < marks[2] + kept
    assert free.max() < marks[2] + kept + 1.1 * (FILE_PAGES[0] + FILE_PAGES[2])


def migrate(policy, **program):
    scenario = fh.Scenario(
        memory="64MiB",
        policy=policy,
        workload=fh.Program(**program),
        migration=fh.MigrationConfig(start_at_ns=100 * NS_PER_MS, bandwidth_Bps=50_000_000),
        duration_ns=10 * NS_PER_S,
    )
    return fh.simulate(scenario.with_values({"host.gap_ns": 0})).summary


def test_hints_meet_little_free_memory_behind_a_full_page_cache():
    freed, cached = (
        migrate("balloon_alloc", **program)["skipped_pages"]
        for program in (
            {"state": "freed", "fill_MiB": 40},
            {"state": "cache", "cache_MiB": 200, "rate_MiBps": 1.0},
        )
    )
    assert cached < 0.2 * freed


def test_init_on_free_leaves_hints_nine_bytes_a_page():
    """A 64 MiB guest that filled and freed 40 MiB."""
    saved = {}
    for init in (False, True):
        off, on = (
            migrate(policy, state="freed", fill_MiB=40, init_on_free=init)
            for policy in ("none", "balloon_alloc")
        )
        assert off["lost_writes"] == on["lost_writes"] == 0
        saved[init] = off["sent_bytes"] - on["sent_bytes"]
        if init:
            assert on["skipped_pages"] > 0.5 * (40 << 8)
            assert off["normal_pages"] == on["normal_pages"]
            assert saved[init] == on["skipped_pages"] * ZERO_PAGE_BYTES
    assert saved[True] < 0.01 * saved[False]


def assert_free_pages_hold_zeros(engine):
    world = engine.world
    for blocks in (fh.free_lists(world.memory), fh.pcp_lists(world.memory)):
        for pfn, order in zip(blocks["pfn"], blocks["order"], strict=True):
            node = pfn - world.memory.base_pfn
            assert not world.version[node : node + (1 << order)].any()


def test_with_init_on_free_done_touches_every_page_that_the_balloon_held():
    """After the switch-over, so on the destination: each page faults there."""
    held = {}
    for init in (False, True):
        for policy in ("balloon_alloc", "v24"):
            load = {"state": "freed", "fill_MiB": 40, "background_pages": 0}
            held[init, policy] = migrate(policy, init_on_free=init, **load)
    assert held[True, "balloon_alloc"]["faults"] == held[True, "balloon_alloc"]["skipped_pages"] > 0
    assert all(held[case]["faults"] == 0 for case in held if case != (True, "balloon_alloc"))


@pytest.mark.parametrize("state", ["freed", "dirty", "churn", "frag", "fork", "cache"])
def test_with_init_on_free_free_pages_hold_zeros(state):
    load = {"fill_MiB": 300, "dirty_MiB": 20, "frag_MiB": 400, "cache_MiB": 60, "rate_MiBps": 50.0}
    engine = run_program(2 * NS_PER_S, guest(), state=state, init_on_free=True, **load)
    assert_free_pages_hold_zeros(engine)


def test_with_init_on_free_pages_that_compaction_left_hold_zeros():
    load = {"frag_MiB": 1900, "frag_percent": 80, "frag_chunk": 8}
    memory = fh.make_memory("2GiB")
    engine = run_program(NS_PER_S, memory, state="frag", init_on_free=True, **load)
    assert engine.world.tally[0].migrated > 0
    assert_free_pages_hold_zeros(engine)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"workload.state": "cache"}, "workload.rate_MiBps must be above 0 for 'cache', got 0"),
        (
            {"workload.state": "fork", "workload.forks_per_s": 0},
            "workload.forks_per_s must be above 0 for 'fork', got 0",
        ),
        (
            {"workload.state": "fork", "workload.life_ms": 100_000},
            "life_ms must make at most 4000 processes alive, got 6100",
        ),
        (
            {"workload.forks_per_s": "many"},
            "workload.forks_per_s must be a number in 0..1000000, got",
        ),
        (
            {"workload.cache_MiB": -1},
            "workload.cache_MiB must be a whole number in 0..8388608, got -1",
        ),
        ({"workload.init_on_free": 1}, "workload.init_on_free must be true or false, got 1"),
    ],
)
def test_senseless_values_are_refused(values, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.Scenario(workload=fh.Program()).with_values(values)


BUILD = {
    **{"state": "build", "processes": 3, "dirty_MiB": 2, "rate_MiBps": 200.0, "cache_MiB": 4},
    **{"output_KiB": 400, "huge_pages": False},
}


def test_a_build_ends_cleans_and_drops_its_caches():
    before = free_pages(run_program(NS_PER_MS, state="idle"))
    ends = {
        name: run_program(ms * NS_PER_MS, **BUILD | {"units": 12, "rest_ms": 1000})
        for name, ms in (("built", 900), ("cleaned", 1900), ("dropped", 2900))
    }
    left = {name: before - free_pages(engine) for name, engine in ends.items()}
    slabs = 1 + 1 / PAGES_PER_SLAB
    assert left["built"] == pytest.approx((1024 + 12 * 100) * slabs, rel=0.03)
    assert left["cleaned"] == pytest.approx(1024 * slabs, rel=0.03)
    assert left["dropped"] == 0
    for engine in ends.values():
        fh.check_memory(engine.world.memory)
        assert engine.world.tally[0].failed_allocations == 0


def test_a_build_has_room_for_what_was_filled_before():
    guest = fh.Program(state="build", fill_MiB=4, dirty_MiB=2, rate_MiBps=200.0)
    arrays = guest.arrays(fh.make_memory("64MiB"), 0)
    assert len(arrays["pages"]) > 4 * 256 and len(arrays["held"][0]) > 4 * 256


def test_compilers_are_alive_together_and_share_pageblocks():
    engine = run_program(60 * NS_PER_MS, **BUILD)
    pieces, room = engine.world.pieces[:3, 0], places_of(512)
    assert (pieces > 63).sum() >= 2
    blocks = [
        set((engine.world.held[0, i * room : i * room + n] >> 4) // 512)
        for i, n in enumerate(pieces)
    ]
    assert any(a & b for i, a in enumerate(blocks) for b in blocks[:i])


def test_a_build_without_memory_reclaims_its_cache_and_ends_compilers():
    engine = run_program(2 * NS_PER_S, **BUILD | {"dirty_MiB": 12, "output_KiB": 4000})
    assert engine.world.state[0].oldest > 0
    fh.check_memory(engine.world.memory)
