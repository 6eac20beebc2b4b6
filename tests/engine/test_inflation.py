"""The balloon: its targets, its pages, a guest that has none left, and compaction below it."""

from dataclasses import replace

import numpy as np
import pytest

import freehint as fh
from freehint.engine.guest.balloon import keep_pages, leak_pages, take_pages
from freehint.engine.inflate import ARRAY_PFNS_MAX, OUT_OF_PUFF_NS
from freehint.mm.damage import pages_at_hand
from freehint.mm.memory import LRU
from freehint.runs.begin import guest_memory, new_engine

MS = 1_000_000
IDLE = fh.Program("dirty", dirty_MiB=8, rate_MiBps=50.0)


def scenario(at, policy="none", memory="64MiB", workload=IDLE, ms=600, **values):
    found = fh.Scenario(memory, policy=policy, workload=workload, duration_ns=ms * MS)
    return found.with_values({"control.at": at, "host.discard": True} | values)


def started(given):
    engine = new_engine(given, guest_memory(given)[0])
    return engine, pages_at_hand(engine.world.memory)


def test_it_reaches_its_targets_in_batches_and_the_pages_come_back():
    given = scenario("0.05 balloon 16; 0.3 balloon 4; 0.5 balloon 0")
    engine, before = started(given)
    engine.run()
    assert pages_at_hand(engine.world.memory) == before and engine.inflation.pages == 0
    course = fh.simulate(given).balloon
    grows = course[(course["time_s"] < 0.3) & (course["time_s"] >= 0.05)]
    assert grows["pages"].tolist() == list(range(0, 16 * 256 + 1, ARRAY_PFNS_MAX))
    assert (course["pages"].iloc[-1], course["target_pages"].iloc[-1]) == (0, 0)
    assert 4 * 256 in set(course["pages"]) and not course["out_of_puff"].any()
    # 4 us for each page, as measured: 16 MiB take 16.4 ms.
    took = grows["time_s"].iloc[-1] - grows["time_s"].iloc[0]
    assert took == pytest.approx(15 / 16 * 16 / 1024 * 1.05, rel=0.05)


def test_the_host_takes_the_memory_away_and_a_page_that_came_back_faults():
    # The filled memory was freed before, but the host still has it.
    filled = replace(IDLE, fill_MiB=40)
    run = fh.simulate(scenario("0.05 balloon 30", workload=filled))
    resident = run.resident["resident_pages"]
    assert resident.iloc[0] - resident.iloc[-1] > 20 * 256
    kept = fh.simulate(scenario("0.05 balloon 30", workload=filled, **{"host.discard": False}))
    assert len(kept.resident) == 0 and kept.balloon["pages"].iloc[-1] == 30 * 256


def test_out_of_puff_it_sleeps_and_tries_again():
    run = fh.simulate(scenario("0.05 balloon 60"))
    puffs = run.balloon[run.balloon["out_of_puff"]]
    assert len(puffs) == 3
    assert (np.round(np.diff(puffs["time_s"]) * 1e9) >= OUT_OF_PUFF_NS).all()
    assert 45 * 256 < run.balloon["pages"].iloc[-1] < 60 * 256
    low = run.memory.zones
    assert (low.nr_free_pages <= low.watermark[:, 0] + low.lowmem_reserve[:, -1] + 1).all()


def test_an_allocation_that_would_fail_lets_it_deflate_if_the_host_asked_for_that():
    grows = fh.Workload(nr_cpus=1, live_share=0.9, interval_ns=20_000, growth=0.9)
    given = scenario("0 balloon 60", workload=grows, ms=300)
    keeps = fh.simulate(given)
    gives = fh.simulate(given.with_values({"control.deflate_on_oom": True}))
    assert keeps.summary["failed_allocations"] > 0
    assert gives.summary["failed_allocations"] < keeps.summary["failed_allocations"] / 10
    assert (np.diff(keeps.balloon["pages"]) >= 0).all()
    assert (np.diff(gives.balloon["pages"]) == -256).any()


def test_the_first_page_of_a_batch_is_chosen_first_and_freed_last():
    engine, _ = started(scenario("0.5 balloon 1"))
    for _ in range(2):
        got, _, last = take_pages(engine.pinned, 3)
        assert (got, last) == (3, 0)
        keep_pages(engine.pinned, got)
    pages = engine.world.balloon.pages
    first, second = pages[:3][::-1].tolist(), pages[3:6][::-1].tolist()
    assert len({*first, *second}) == 6 and all(engine.world.memory.frame[n] & LRU for n in first)
    assert leak_pages(engine.pinned, 4)[0] == 4
    # Those freed last are handed out first: the batch's first page, then the others.
    again = [take_pages(engine.pinned, 1), keep_pages(engine.pinned, 1)][0]
    assert again[0] == 1 and pages[2] == second[0]
    assert engine.world.balloon.at[0] == 3 and pages[0] == first[2]


def test_compaction_moves_its_pages():
    frag = fh.Program("frag", frag_MiB=60, frag_percent=50, frag_chunk=1)
    given = scenario("0.01 balloon 20; 0.2 compact_memory", "none", "128MiB", frag, 400)
    engine, _ = started(given)
    engine.advance_to(150 * MS)
    before = set(engine.world.balloon.pages[: engine.inflation.pages].tolist())
    engine.run()
    pages = engine.world.balloon.pages[: engine.inflation.pages].tolist()
    assert len(before) == len(set(pages)) == 20 * 256 and before != set(pages)
    assert all(engine.world.memory.frame[page] & LRU for page in pages)
    fh.check_memory(engine.world.memory)


def test_a_policy_that_watches_is_called_by_the_balloon_too():
    slow = {"host.service_ns": 200_000, "walk_at_ns": 0, "policy.capacity": 400}
    memory = fh.make_memory("64MiB", fragmentation=0.9)
    run = fh.simulate(scenario("0.001 balloon 60", "five_step", memory, ms=100, **slow), check=True)
    alone = fh.simulate(scenario("none", "five_step", memory, ms=100, **slow))
    # Alone it holds the blocks of its first zone for 80 ms; the balloon needs them earlier.
    waits, gives = (one.held["pages"][:80] for one in (alone, run))
    assert waits[1:].min() > 4_000 and gives.min() < 4_000 < gives.max()
    assert gives.index[gives > 4_000].max() < gives.index[gives < 4_000][1:].min()


def test_what_a_policy_holds_is_a_column_over_time():
    given = fh.Scenario("64MiB", policy="balloon_alloc", workload=IDLE, duration_ns=100 * MS)
    run = fh.simulate(given.with_values({"walk_at_ns": 20 * MS, "control.done_at_ns": 60 * MS}))
    held = run.held.set_index("time_s")["pages"]
    assert held.iloc[0] == held.iloc[-1] == 0 and len(held) == 101
    assert held[held.index < 0.06].max() == run.summary["hinted_pages"]
    assert set(run.held["user"]) == {"balloon_alloc"}
