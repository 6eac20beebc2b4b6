"""A recorded run: looking changes nothing, and every moment shows the true state."""

import numpy as np
import pytest

import freehint as fh
from freehint.config import InputError
from freehint.engine.world.hints import HOST_HAS, IN_ANY_FLIGHT, REUSED, STALE
from freehint.mm.memory import NO_PAGEBLOCK, PCP, USER_LIST, list_nodes, user_node
from freehint.runs.begin import guest_memory
from freehint.runs.simulate import run_engine
from freehint.runs.trajectory.look import CHANNELS
from freehint.runs.trajectory.payload import pack, unpack
from freehint.runs.trajectory.recorder import CHOSEN, MOMENT, SETTLED, cell_shift
from freehint.studies.thread_run import thread_trajectory

MOMENTS = 31
SCENARIO = fh.Scenario(memory=fh.make_memory("256MiB", fragmentation=0.3)).with_values(
    {"policy": "restartable_cursor", "duration_ns": 30_000_000, "walk_at_ns": 5_000_000}
)


@pytest.fixture(scope="module")
def seen():
    return fh.record(SCENARIO, MOMENTS)


def engine_at(moment):
    """The same run, ended at a moment."""
    time_ns = round(SCENARIO.duration_ns * moment / (MOMENTS - 1))
    scenario = SCENARIO.with_values({"duration_ns": time_ns})
    return run_engine(scenario, guest_memory(scenario)[0])


def test_looking_changes_nothing(seen):
    alone = fh.simulate(SCENARIO)
    assert alone.summary.equals(seen.run.summary)
    for table in ("reports", "locks", "waits", "walks", "history"):
        assert getattr(alone, table).equals(getattr(seen.run, table)), table
    assert fh.free_lists(alone.memory).equals(fh.free_lists(seen.run.memory))


@pytest.mark.parametrize("moment", [4, 7, 12, 30])
def test_a_moment_is_what_was_there(seen, moment):
    engine = engine_at(moment)
    memory, world = engine.world.memory, engine.world
    lists = fh.free_lists(memory).astype({"zone": str})
    sizes = lists.groupby(["zone", "order", "migratetype"])["position"].transform("size")
    shown = (lists["position"] < 64) | (lists["position"] >= sizes - 16)
    # Bookmarks and ENDs take a place among the entries kept.
    kept = seen.lists_at(moment)
    merged = lists.merge(kept, on=["zone", "order", "migratetype", "position"], how="inner")
    assert (merged["pfn_x"] == merged["pfn_y"]).all() and len(merged) == len(kept)
    assert 0 <= shown.sum() - len(kept) <= 4 * len(engine.strokes.users)
    counts = {name: seen.arrays[f"cells.{name}"][moment].astype(int) for name in CHANNELS}
    pages = page_states(world)
    for name, state in pages.items():
        per_cell = state.reshape(-1, 512).sum(axis=1)
        assert np.array_equal(counts[name], (per_cell * 255 + 511) // 512), name
    kinds = memory.pageblock.copy()
    kinds[kinds != NO_PAGEBLOCK] &= 7
    assert np.array_equal(seen.arrays["types"][moment], kinds)
    assert seen.arrays["in_flight"][moment, 0] == np.diff(world.ring.count[0, ::-1])[0]


def page_states(world):
    """The state of each page, read in another way than the recorder's: from the lists."""
    memory = world.memory
    free, pcp, held = (np.zeros(memory.nr_pages, bool) for _ in range(3))
    for pfn, order in fh.free_lists(memory)[["pfn", "order"]].to_numpy(np.int64):
        free[pfn - memory.base_pfn :][: 1 << order] = True
    for pfn, order in fh.pcp_lists(memory)[["pfn", "order"]].to_numpy(np.int64):
        assert memory.frame[pfn - memory.base_pfn] & PCP
        pcp[pfn - memory.base_pfn :][: 1 << order] = True
    for node in list_nodes(memory, user_node(memory, 0, USER_LIST)):
        held[node:][: 1 << (memory.frame[node] & 15)] = True
    hinted = world.fate & (HOST_HAS | IN_ANY_FLIGHT) != 0
    stale = (world.fate & STALE != 0) & ~(free | pcp | held)
    reused = (world.fate & REUSED != 0) & ~(free | pcp | held)
    used = {"stale": stale, "reused": reused}
    return {"free": free, "pcp": pcp, "held": held, "hinted": hinted} | used


def test_stale_pages_are_seen():
    away = {"host.gap_every_ns": 1, "host.gap_ns": 10**12, "host.gaps": "fixed"}
    seen = fh.record(SCENARIO.with_values(away | {"policy": "v24", "policy.order": "low_first"}), 5)
    last = seen.arrays["cells.stale"][-1].astype(float).sum() / 255 * 512
    assert seen.run.summary["stale_pages"] > 0
    assert 0 < last and seen.arrays["cells.stale"][0].sum() == 0


def test_reused_pages_are_seen(seen):
    """They are among those that the summary counts; some have been freed again since."""
    reused = seen.arrays["cells.reused"].astype(float).sum(axis=1) / 255 * 512
    counted = seen.run.summary["reused_pages"] - seen.run.summary["stale_pages"]
    assert reused[0] == 0 < reused[-1] and counted > 0
    cells = np.count_nonzero(seen.arrays["cells.reused"][-1])
    assert reused[-1] <= counted + 2 * cells  # shares are rounded up


def test_a_migration_is_seen():
    migration = fh.MigrationConfig(start_at_ns=1_000_000, bandwidth_Bps=4 * 10**9)
    guest = fh.Scenario(memory="64MiB", migration=migration, duration_ns=200_000_000)
    seen = fh.record(guest, 41)
    left = seen.arrays["migration"][:, seen.meta["migration"].index("pages_left")]
    pages = seen.arrays["cells.left"].sum(axis=1) / 255
    begun = seen.arrays["migration"][:, 0] > 0
    assert seen.run.summary["migration"] == "completed" and begun.any()
    assert np.array_equal(pages[begun], left[begun])  # a cell a page
    assert pages[-1] == 0


def test_held_blocks_are_seen():
    seen = fh.record(SCENARIO.with_values({"policy": "balloon_alloc"}), 20)
    blocks, head, tail = seen.window(19, seen.run.memory.nr_free.size)
    assert blocks > 0 and len(head) + len(tail) == min(blocks, 80)
    assert seen.arrays["cells.held"][-1].max() == 255


def test_eight_blocks_walk_to_the_tail():
    seen = thread_trajectory(rotate="on_exit", resume="scan_for_first")
    named = [
        "".join(seen.meta["names"][str(pfn)] for pfn in seen.lists_at(f)["pfn"])
        for f in range(len(seen))
    ]
    assert list(dict.fromkeys(named)) == ["ABCDEFGH", "CDEFGHAB", "EFGHABCD", "GHABCDEF"]
    assert named[-1] == "ABCDEFGH"
    why = seen.arrays["why"]
    # One moment before and one after each stroke, and nothing moves in between.
    for settled in np.flatnonzero(why == SETTLED):
        assert named[settled] != named[settled - 1]
        assert seen.arrays["holder"][settled - 1, 0] >= 2
    assert (why == CHOSEN).sum() == (why == SETTLED).sum() == 4
    assert (why == MOMENT).sum() == 51


def test_without_rotation_nothing_moves():
    seen = thread_trajectory(rotate="never", resume="cursor")
    first = seen.lists_at(0)
    assert all(seen.lists_at(f).equals(first) for f in range(len(seen)))
    # The bookmark stands behind the second block after the first stroke.
    after = np.flatnonzero(seen.arrays["why"] == SETTLED)[0]
    assert seen.arrays["bookmark"][after, 0].tolist() == [(9 * 5) + 1, 2]


def test_round_trip(seen):
    again = fh.Trajectory.from_bytes(seen.to_bytes())
    assert again.meta == unpack(pack(seen.meta, {}))[0]
    assert again.arrays.keys() == seen.arrays.keys()
    for name, array in seen.arrays.items():
        assert again.arrays[name].dtype == array.dtype, name
        assert np.array_equal(again.arrays[name], array), name


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32"])
def test_differences_wrap_around(dtype):
    information = np.iinfo(dtype)
    array = np.array([[0, information.max], [information.max, information.min], [3, 4]], dtype)
    _, arrays = unpack(pack({}, {"a": array}, delta=("a",)))
    assert np.array_equal(arrays["a"], array)


def test_differences_of_whole_nanoseconds_are_exact():
    array = np.array([0, 1 << 52, (1 << 52) + 1, 7, 7], np.float64)
    _, arrays = unpack(pack({}, {"a": array}, delta=("a",)))
    assert np.array_equal(arrays["a"], array)


@pytest.mark.parametrize("data", [b"", b"nothing", pack({}, {})[:-3]])
def test_what_is_no_trajectory_is_refused(data):
    with pytest.raises(InputError, match="payload: this is no trajectory"):
        fh.Trajectory.from_bytes(data)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="moments"):
        fh.record(SCENARIO, 1)
    with pytest.raises(InputError, match="scenario"):
        fh.record("v24")
    with pytest.raises(InputError, match="moment"):
        thread_trajectory().lists_at(10_000)


def test_cells_stay_few():
    assert cell_shift(1 << 14) == 0 and cell_shift((1 << 14) + 1024) == 9
    for pages in (1 << 20, 1 << 24, 1 << 28):
        assert pages >> cell_shift(pages) <= 1 << 13


def test_the_payload_of_a_real_guest_is_small():
    seen = fh.record(fh.Scenario(), 100)
    assert len(seen.to_bytes()) < 500_000
