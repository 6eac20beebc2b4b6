"""Huge pages of a guest under pressure, and compact_memory from outside of its jobs."""

import pytest
from test_under_pressure import Content, scenario

import freehint as fh


def counts(run):
    """The counters at the end of a run."""
    return run.reclaim.iloc[-1]


def test_a_fill_takes_huge_pages_while_there_are_free_ones():
    run = fh.simulate(scenario("fill 20; fill 20", 1, huge_pages=True), watchers=[Content()])
    last = counts(run)
    # 20 MiB are 10 huge pages; before 6.7 a mapping does not begin at one, so the ends stay small.
    assert (last["thp_fault_alloc"], last["thp_fault_fallback"]) == (18, 0)
    assert run.summary["jobs_done"] == 2 and last["free_pages"] > 50 * 256
    single = fh.simulate(scenario("fill 20; fill 20", 1))
    assert counts(single)["thp_fault_alloc"] == 0
    assert run.jobs["end_ns"].iloc[0] < single.jobs["end_ns"].iloc[0]


@pytest.mark.parametrize("defrag", ["always", "defer", "madvise"])
def test_a_fragmented_guest_compacts_for_a_huge_page_if_defrag_says_so(defrag):
    jobs = "frag 45 50 16; fill 16; dirty 6 50 0.1"
    guest = scenario(jobs, 4, huge_pages=True, thp_defrag=defrag, swap_MiB=60)
    run = fh.simulate(guest, watchers=[Content()])
    last = counts(run)
    assert run.summary["jobs_done"] == 3
    assert last["thp_fault_alloc"] + last["thp_fault_fallback"] == 7 + 2
    assert bool(last["compact_stall"] > 0) is (defrag == "always")
    assert last["compact_stall"] == last["compact_success"] + last["compact_fail"]
    if defrag == "always":
        assert last["compact_success"] > 0 and last["pgmigrate_success"] > 0
    else:
        assert last["thp_fault_fallback"] > 0


def test_swap_splits_huge_pages_and_their_content_comes_back():
    jobs = "fill 30; dirty 55 200 1; fill 40"
    watch = Content()
    run = fh.simulate(scenario(jobs, 8, huge_pages=True, swap_MiB=100), watchers=[watch])
    last = counts(run)
    assert watch.seen and run.summary["jobs_done"] == 3 and run.summary["oom_kill"] == 0
    assert last["thp_split_page"] > 0 and last["pswpout"] > 0
    assert last["thp_swpout_fallback"] == last["thp_split_page"]


def test_an_operator_compacts_a_guest_under_pressure():
    quiet = scenario("frag 45 50 16; sleep 1", 2, compaction_proactiveness=0)
    asked = quiet.with_values({"control.at": "1.5 compact_memory"})
    run, without = fh.simulate(asked, watchers=[Content()]), fh.simulate(quiet)
    assert counts(without)["pgmigrate_success"] == 0
    assert counts(run)["pgmigrate_success"] > 1000
    before = run.reclaim[run.reclaim["time_ns"] < 1_500_000_000].iloc[-1]
    assert before["pgmigrate_success"] == 0


def test_a_policy_compacts_a_guest_under_pressure_and_reports_more():
    guest = {"host": fh.HostConfig(discard=True), "compaction_proactiveness": 0}
    plain, compacts = (
        fh.simulate(
            scenario("frag 180 50 16; sleep 4", 12, name, **guest).with_values({"memory": "256MiB"})
        )
        for name in ("page_reporting", "compact_report")
    )
    assert counts(compacts)["pgmigrate_success"] > 1000
    assert compacts.summary["hinted_pages"] > plain.summary["hinted_pages"]
    assert compacts.summary["lost_to_discard_pages"] == 0
