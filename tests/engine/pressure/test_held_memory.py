"""The steps hold, release and balloon of a guest under pressure."""

from test_under_pressure import Content, scenario

import freehint as fh
from freehint.mm.memory import LRU
from freehint.runs.begin import guest_memory, new_engine

MS = 1_000_000


def anonymous(run, time_ns):
    """Pages of anonymous memory at a time."""
    row = run.reclaim[run.reclaim["time_ns"] <= time_ns].iloc[-1]
    return row["inactive_anon"] + row["active_anon"]


def test_what_hold_maps_stays_until_release():
    jobs = "hold 10; frag 8 50 16; fill 4; release; hold 6"
    run = fh.simulate(scenario(jobs, 2), watchers=[Content()])
    begins = run.jobs["begin_ns"]
    assert list(run.jobs["outcome"]) == ["done"] * 5
    assert anonymous(run, begins[3]) >= (10 + 4) * 256
    assert anonymous(run, 2_000 * MS) == 6 * 256


def test_release_gives_back_what_was_held_at_t0_and_leaves_other_memory():
    run = fh.simulate(scenario("sleep 0.1; release; sleep 0.1", 1, anon_MiB=20, held_MiB=12))
    assert anonymous(run, 0) == 20 * 256
    assert anonymous(run, 1_000 * MS) == 8 * 256


def test_the_oom_killer_ends_a_process_that_holds_memory():
    run = fh.simulate(scenario("hold 40; fill 30", 3))
    assert list(run.jobs["outcome"]) == ["killed", "done"]


def test_a_policy_that_holds_no_pages_is_not_asked_before_the_oom_killer_comes():
    late = {"walk_at_ns": 4_000 * MS}
    runs = [
        fh.simulate(scenario("fill 90", 3, policy).with_values(late))
        for policy in ("none", "five_step")
    ]
    assert list(runs[0].jobs["outcome"]) == ["killed"]
    assert runs[0].jobs.equals(runs[1].jobs)


def test_a_balloon_step_waits_for_the_host_or_until_its_time_is_over():
    jobs = "balloon 44 5; sleep 0.1; balloon 64 5; balloon 40 0.2"
    at = {"control.at": "0.1 balloon 20; 0.6 balloon 0"}
    run = fh.simulate(scenario(jobs, 2).with_values(at))
    took = (run.jobs["end_ns"] - run.jobs["begin_ns"]) / MS
    first, _, back, in_vain = (float(one) for one in took)
    assert 100 < first < 400
    assert 600 * MS < run.jobs["end_ns"][2] < 900 * MS and back > 100
    assert 200 <= in_vain < 211
    free = run.reclaim.set_index("time_ns")["free_pages"]
    least = free[(free.index > run.jobs["end_ns"][0]) & (free.index < 590 * MS)].max()
    assert least < free.iloc[0] - 19 * 256


def test_a_balloon_keeps_its_pages_when_compaction_moves_them():
    given = scenario("frag 30 50 1; sleep 1; compact_memory", 2)
    given = given.with_values({"control.at": "0.6 balloon 20"})
    engine = new_engine(given, guest_memory(given)[0])
    engine.advance_to(1_000 * MS)
    before = set(engine.world.balloon.pages[: engine.inflation.pages].tolist())
    engine.run()
    pages = engine.world.balloon.pages[: engine.inflation.pages].tolist()
    assert len(before) == len(set(pages)) == 20 * 256 and before != set(pages)
    assert all(engine.world.memory.frame[page] & LRU for page in pages)


def test_a_balloons_driver_and_a_kswapd_that_it_woke_take_turns_of_a_tick():
    given = scenario("sleep 2", 2).with_values({"control.at": "1 balloon 24"})
    engine = new_engine(given, guest_memory(given)[0])
    engine.advance_to(500 * MS)
    asks, node = engine.inflation._kswapd_has_the_cpu, engine.world.reclaim.node[0]
    assert not asks(500 * MS)
    node.kswapd_awake = 1
    turns = [asks((500 + ms) * MS) for ms in range(12)]
    assert turns == [True] * 4 + [False] * 4 + [True] * 4
    node.kswapd_awake = 0
    assert not asks(511 * MS)
