"""compact_report: all memory is compacted, then every large free block is reported."""

from dataclasses import replace

import pytest

import freehint as fh
from freehint.policies import AGENTS, find_policy
from freehint.policies.page_reporting import PageReporting

MS = 1_000_000
FRAG = fh.Program("frag", fill_MiB=64, frag_MiB=160, frag_percent=60, frag_chunk=1)


def simulate(policy, **values):
    scenario = fh.Scenario("256MiB", policy=policy, workload=FRAG, duration_ns=400 * MS)
    return fh.simulate(scenario.with_values({"host.discard": True} | values), check=True)


def report(order, compacts=True):
    return fh.CompactReport(report_order=order, compacts=compacts, delay_ns=100 * MS)


@pytest.mark.parametrize("order", [9, 10])
def test_more_large_blocks_can_leave_after_compaction(order):
    with_it, without = simulate(report(order)), simulate(report(order, compacts=False))
    assert with_it.summary["hinted_pages"] > 2 * without.summary["hinted_pages"]
    resident = [run.resident["resident_pages"].iloc[-1] for run in (with_it, without)]
    assert resident[0] < resident[1]
    assert without.summary["migrated_pages"] == 0


def test_a_walk_waits_for_the_compaction_and_names_its_price():
    run = simulate(report(9))
    walk = run.walks.iloc[0]
    assert walk["compacted_pages"] == run.summary["migrated_pages"] > 0
    copying = fh.Costs().migrate_page_ns
    assert walk["compact_ns"] == walk["compacted_pages"] * copying
    assert walk["begin_ns"] == 100 * MS + walk["compact_ns"]
    dear = simulate(report(9), **{"costs.migrate_page_ns": 2 * copying}).walks.iloc[0]
    assert dear["begin_ns"] == 100 * MS + 2 * walk["compact_ns"]


def test_single_pages_need_no_compaction():
    with_it, without = simulate(report(0)), simulate(report(0, compacts=False))
    few, many = sorted(run.summary["hinted_pages"] for run in (with_it, without))
    assert many - few < many / 50


def test_without_compaction_and_with_the_budget_it_is_page_reporting():
    same = replace(report(9, compacts=False), share=16)
    kernel = PageReporting(delay_ns=100 * MS)
    names = ("hinted_pages", "offered_pages", "strokes", "walk_ns", "lock_held_max_ns")
    found = [simulate(one).summary for one in (same, kernel)]
    assert [found[0][n] for n in names] == [found[1][n] for n in names]
    # One pass reports a sixteenth of each list, and all of it without the budget.
    whole = simulate(report(9, compacts=False)).walks.iloc[0]
    part = simulate(kernel).walks.iloc[0]
    assert whole["completed"] and whole["hinted_pages"] >= part["hinted_pages"] > 0


def test_it_goes_by_its_name_and_stands_beside_the_nine():
    assert find_policy("compact_report") == AGENTS["compact_report"]
    assert "compact_report" not in fh.POLICIES
    with pytest.raises(fh.InputError, match="compact_report"):
        find_policy("compact_reports")
