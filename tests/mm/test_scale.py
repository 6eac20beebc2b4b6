"""Guests of 2^28 frames: no table has one row per page; snapshots are written and read."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from benchmarks.terabyte import MOST_GIB, STEPS, run_step, terabyte
from freehint.engine.guest.content import boot_content
from freehint.formats.snapshots import snapshot_files
from freehint.mm.list import list_add
from freehint.mm.memory import (
    BUDDY,
    ISOLATED,
    MOVABLE,
    NO_PAGEBLOCK,
    ORDER_MASK,
    PAGEBLOCK_NR_PAGES,
    PCP,
    USER_BOOKMARK,
    free_list_head,
    user_node,
)
from freehint.runs.begin import guest_memory, new_engine, new_world

TABLES = (fh.free_lists, fh.pcp_lists, fh.pageblocks)


def assert_same(ours, theirs):
    for table in TABLES:
        pd.testing.assert_frame_equal(table(ours), table(theirs))
    for name in ours.zones.dtype.names:
        assert (ours.zones[name] == theirs.zones[name]).all(), name
    assert (ours.pcp == theirs.pcp).all()
    assert (ours.profile, ours.base_pfn, ours.nr_pages) == (
        theirs.profile,
        theirs.base_pfn,
        theirs.nr_pages,
    )


@pytest.mark.parametrize("profile", [fh.LINUX_6_1, fh.LINUX_6_12])
def test_a_made_guest_comes_back_from_its_snapshot(tmp_path, profile):
    memory = fh.make_memory("5GiB", profile=profile, nr_cpus=2, fragmentation=0.2)
    stem = fh.save_snapshot(memory, tmp_path / "made.T0")
    assert_same(fh.load_snapshot(stem), memory)
    assert sorted(tmp_path.iterdir()) == sorted(snapshot_files(stem))


@pytest.mark.parametrize(
    "name", ["linux-6.1/snapshots/snap4g.T0", "linux-6.1/reporting/fpr_fill.T0"]
)
def test_a_recorded_guest_comes_back_from_its_snapshot(tmp_path, name):
    memory = fh.load_snapshot(fh.data(name))
    assert_same(fh.load_snapshot(fh.save_snapshot(memory, tmp_path / "again.T0")), memory)


def test_a_guest_that_ran_comes_back_from_its_snapshot(tmp_path):
    memory = fh.simulate(fh.Scenario(memory="256MiB", policy="v24")).memory
    again = fh.load_snapshot(fh.save_snapshot(memory, tmp_path / "ran.T0"))
    assert fh.free_lists(again).equals(fh.free_lists(memory))
    assert fh.pcp_lists(again).equals(fh.pcp_lists(memory))


def test_what_a_snapshot_cannot_hold_is_refused(tmp_path):
    memory = fh.make_memory("64MiB")
    fh.save_snapshot(memory, tmp_path / "made.T0")
    with pytest.raises(fh.InputError, match=r"made\.T0\.freelist\.parquet: exists already"):
        fh.save_snapshot(memory, tmp_path / "made.T0")
    odd = memory._replace(profile=memory.profile._replace(batch_scale_max=3))
    with pytest.raises(fh.InputError, match=r"no kernel 6.1 has the rules"):
        fh.save_snapshot(odd, tmp_path / "odd.T0")
    run = fh.simulate(fh.Scenario(memory="64MiB", policy="balloon_alloc"))
    assert (run.memory.frame & ISOLATED).any()
    with pytest.raises(fh.InputError, match=r"policies hold [0-9]+ pages"):
        fh.save_snapshot(run.memory, tmp_path / "held.T0")
    head = free_list_head(memory, 1, 10, MOVABLE)
    list_add(memory.links, user_node(memory, 1, USER_BOOKMARK), head)
    with pytest.raises(fh.InputError, match=r"a bookmark of user 1 stands on a list"):
        fh.save_snapshot(memory, tmp_path / "marked.T0")
    assert {p.name.split(".")[0] for p in tmp_path.iterdir()} == {"made"}


def plain_order_of_content(memory) -> np.ndarray:
    """Pages in the order in which boot gives them content, from one row per page."""
    rank = np.zeros(memory.nr_pages, np.int64)
    for node in np.flatnonzero(memory.frame & (BUDDY | PCP)):
        frame = int(memory.frame[node])
        size = 1 << (frame & ORDER_MASK)
        rank[node : node + size] = 1 if frame & PCP else 2 + (frame & ORDER_MASK)
    holes = np.repeat(memory.pageblock == NO_PAGEBLOCK, PAGEBLOCK_NR_PAGES)
    order = np.argsort(rank, kind="stable")
    return order[~holes[order]]


@pytest.mark.parametrize("footprint", [0, 1, 200_000, 1_000_000, 1_048_576])
def test_content_after_boot_is_where_a_table_of_all_pages_puts_it(footprint):
    scenario = fh.Scenario(workload=fh.Program())
    memory, _ = guest_memory(scenario)
    world = new_world(scenario, memory)
    world.version[:] = 0
    boot_content(world, footprint)
    pages = plain_order_of_content(memory)
    most = footprint or int((world.version > 0).sum())
    expected = np.zeros(memory.nr_pages, np.uint32)
    expected[pages[:most]] = np.arange(1, most + 1)
    assert (world.version == expected).all()
    assert int(world.migration[0].stamp) == most


def test_more_content_than_pages_is_refused():
    guest = fh.Program(footprint_pages=1 << 20)
    with pytest.raises(fh.InputError, match=r"footprint_pages .* the guest's 16384 pages"):
        fh.simulate(fh.Scenario(memory="64MiB", workload=guest))


def peak_and_pages(size: str) -> np.ndarray:
    """Most bytes in arrays at one time while a guest was made, began and was checked; its pages."""
    guest = fh.Program(state="freed", fill_MiB=8)
    scenario = fh.Scenario(memory=size, workload=guest, migration=fh.MigrationConfig())
    tracemalloc.start()
    memory, _ = guest_memory(scenario)
    new_engine(scenario, memory).finish()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return np.array([most, memory.nr_pages])


def test_a_migrated_guest_takes_no_table_of_a_row_a_page():
    """Links 8, frame 2, owner 4, fate 2, content 8, bitmaps, and 1 for the check: under 26."""
    peak_and_pages("64MiB")  # compiles what it needs
    nr_bytes, pages = peak_and_pages("8GiB") - peak_and_pages("4GiB")
    assert nr_bytes / pages < 26


def test_the_benchmarks_steps_on_a_small_guest(tmp_path):
    (made,) = terabyte("128MiB", ["make"], small="64MiB")  # in processes of their own
    steps = {name: run_step(name, "128MiB", tmp_path / "guest.T0") for name in STEPS}
    assert all(0 < step.peak_GiB < MOST_GIB for step in (made, *steps.values()))
    assert made.found == steps["make"].found and made.found["bytes_per_frame"] <= 12
    assert steps["load snapshot"].found["rows"] == made.found["free_blocks"]
    assert all(step.found["completed"] for name, step in steps.items() if name.startswith("walk"))
    moved = [step.found for name, step in steps.items() if name.startswith("migrate")]
    assert {(one["migration"], one["lost_writes"]) for one in moved} == {("completed", 0)}
