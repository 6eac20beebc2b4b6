"""Free page reporting: batches, budget, gates, rotation, flags."""

import dataclasses

import numpy as np
import pytest

import freehint as fh
from freehint.mm.buddy import free_block, rmqueue_smallest
from freehint.mm.isolate import isolate_free_page
from freehint.mm.memory import (
    MOVABLE,
    REPORT_REQUESTED,
    REPORTED,
    UNMOVABLE,
    WMARK_LOW,
    WMARK_MIN,
    copy_memory,
    free_list_head,
    list_nodes,
)
from freehint.mm.pageblock import change_pageblock_range, move_to_free_list
from freehint.policies.page_reporting import PageReporting
from memories import free_memory
from strokes import Strokes

POLICY = fh.POLICIES["page_reporting"]


def order_10(memory, migratetype=MOVABLE):
    return list_nodes(memory, free_list_head(memory, 0, 10, migratetype)).tolist()


def one_pass(memory, policy=POLICY):
    memory.notify[REPORT_REQUESTED] = 0
    return Strokes(policy, memory).to_end()


def sizes(walk):
    return [len(one.rows) for one in walk.done if one.rows]


def test_2000_blocks_of_4_mib_are_reported_in_13_passes():
    # budget 4, so 5 reports of 32 blocks, 640 MiB a pass; ~26 s.
    memory = free_memory(2000 * 1024)
    done = []
    for _ in range(13):
        walk = one_pass(memory)
        done.append(walk.reported)
        assert sizes(walk) == [32] * 5 or len(done) == 13
    assert [len(d) for d in done] == [160] * 12 + [80]
    assert sizes(walk) == [32, 32, 16]
    assert len({node for d in done for node, _ in d}) == 2000
    assert memory.notify[REPORT_REQUESTED] == 0
    assert one_pass(memory).reported == []


def test_a_pass_with_more_to_do_asks_for_the_next_and_putback_does_not():
    memory = free_memory(200 * 1024)
    memory.notify[:1] = POLICY.report_order
    assert sizes(one_pass(memory)) == [32, 32]
    assert memory.notify[REPORT_REQUESTED] == 1
    for _ in range(2):
        one_pass(memory)
    assert sizes(one_pass(memory)) == [8]
    assert memory.notify[REPORT_REQUESTED] == 0


def test_putback_is_the_reverse_of_isolation_behind_what_is_left():
    memory = free_memory(100 * 1024)
    before = order_10(memory)
    walk = one_pass(memory)
    assert [n for n, _ in walk.done[0].rows] == before[:32]
    # The first that was not looked at has become the first of the list.
    assert order_10(memory) == before[64:] + before[31::-1] + before[63:31:-1]
    assert [memory.frame[n] & REPORTED != 0 for n in order_10(memory)] == [False] * 36 + [True] * 64


def test_putback_at_the_head_is_what_5_7_did():
    memory = free_memory(40 * 1024)
    before = order_10(memory)
    walk = one_pass(memory, PageReporting(putback="head"))
    assert sizes(walk) == [32, 8]
    assert order_10(memory) == before[32:] + before[:32]
    assert {n for n, _ in walk.reported} == set(before)


def test_one_scatterlist_goes_over_lists_and_orders_of_a_zone():
    memory = free_memory(44 * 1024)
    for _ in range(2):
        rmqueue_smallest(memory, 0, 9, MOVABLE)  # the second empties order 9 again
    rmqueue_smallest(memory, 0, 9, MOVABLE)
    moved = order_10(memory)[5:30]
    for node in moved:
        change_pageblock_range(memory, node, 10, UNMOVABLE)
        move_to_free_list(memory, node, 0, 10, UNMOVABLE)
    rest = order_10(memory)
    walk = one_pass(memory)
    order_9 = [n for n, order in walk.done[0].rows if order == 9]
    assert len(order_9) == 1
    rows = [n for n, _ in walk.done[0].rows]
    # Order 9 first, then UNMOVABLE, then MOVABLE, until 32; the rest at the zone's end.
    assert rows == order_9 + moved + rest[:6]
    assert [n for n, _ in walk.done[1].rows] == rest[6:]
    # What came from UNMOVABLE is back on MOVABLE, and was not reported again.
    assert order_10(memory, UNMOVABLE) == []
    assert len(walk.reported) == len(set(walk.reported)) == 43


def test_a_zone_that_one_report_would_take_below_low_is_left_alone():
    memory = free_memory(40 * 1024)
    gate = int(memory.zones.nr_free_pages[0]) - (32 << 9)
    memory.zones.watermark[0, WMARK_LOW] = gate
    assert one_pass(memory).reported == []
    memory.zones.watermark[0, WMARK_LOW] = gate - 1
    assert len(one_pass(copy_memory(memory)).reported) == 40
    memory.zones.watermark_boost[0] = 1
    assert one_pass(memory).reported == []
    memory.zones.watermark_boost[0] = 0
    memory.zones.nr_reserved_highatomic[0] = 1
    assert one_pass(memory).reported == []


def test_isolation_stops_at_min_and_the_block_becomes_the_first():
    memory = free_memory(40 * 1024)
    memory.zones.watermark[0] = [30 * 1024, 0, 0]
    memory.zones.watermark[0, WMARK_MIN] = 30 * 1024
    before = order_10(memory)
    walk = one_pass(memory)
    # 40, 39, .. 32 blocks are more than min and one block; 31 are not.
    assert sizes(walk) == [9]
    assert order_10(memory) == before[9:] + before[8::-1]


def test_reported_blocks_are_skipped_until_they_leave_their_list():
    memory = free_memory(40 * 1024)
    one_pass(memory)
    taken = rmqueue_smallest(memory, 0, 10, MOVABLE)
    memory.frame[taken] = 0
    free_block(memory, taken, 0, 10, 0)
    assert one_pass(memory).reported == [(taken, 10)]


def test_what_merged_while_it_was_away_is_not_flagged():
    """Its buddy came free meanwhile: the larger block is reported in its turn."""
    memory = free_memory(40 * 1024)
    lower = rmqueue_smallest(memory, 0, 9, MOVABLE)
    upper = lower + 512

    def free_lower(walk):
        if len(walk.done) == 0:
            free_block(memory, lower, 0, 9, 0)

    walk = Strokes(POLICY, memory, meanwhile=free_lower)
    walk.stroke()
    assert walk.done[0].rows[0] == (upper, 9)
    assert memory.frame[lower] & REPORTED == 0 and memory.frame[lower] & 15 == 10
    walk.to_end()
    assert walk.done[-1].rows[-1] == (lower, 10) and memory.frame[lower] & REPORTED


def test_a_report_that_fails_ends_the_pass_and_flags_nothing():
    memory = free_memory(100 * 1024)
    walk = Strokes(POLICY, memory, lambda rows: [fh.Outcome.LOST] * len(rows))
    assert walk.stroke() and not walk.stroke()
    assert walk.done[-1].status == fh.Stroke.STOPPED
    assert not (memory.frame & REPORTED).any() and len(order_10(memory)) == 100


def test_the_guest_may_take_what_is_left_of_a_list_meanwhile():
    memory = free_memory(100 * 1024)

    def take_everything(walk):
        while rmqueue_smallest(walk.memory, 0, 0, MOVABLE) >= 0:
            pass

    walk = Strokes(POLICY, memory, meanwhile=take_everything).to_end()
    assert [len(one.rows) for one in walk.done][:1] == [32]
    # All that is left to walk was put back and is flagged.
    assert len(walk.reported) == 32


@pytest.mark.parametrize("profile", fh.PROFILES.values(), ids=list(fh.PROFILES))
@pytest.mark.parametrize("order", [0, 5, 8, 9, 10])
def test_passes_end_and_report_every_block_of_their_orders_once(profile, order):
    memory = fh.make_memory("64MiB", profile=profile, fragmentation=0.3, seed=3)
    memory.zones.watermark[:] = 0
    policy = dataclasses.replace(POLICY, report_order=order, capacity=4, user=1)
    seen = []
    for _ in range(200):
        seen += one_pass(memory, policy).reported
        if memory.notify[REPORT_REQUESTED] == 0:
            break
    assert len(seen) == len(set(seen)) > 0
    free = fh.free_lists(memory)
    large = free[free["order"] >= order]
    zone_of = {z: memory.zones.start_pfn[i] for i, z in enumerate(("DMA", "DMA32"))}
    gate = 4 << order
    for z, (name, start) in enumerate(zone_of.items()):
        here = large[large["zone"] == name]["pfn"].to_numpy() - memory.base_pfn
        flagged = (memory.frame[here] & REPORTED != 0).all()
        assert flagged == (memory.zones.nr_free_pages[z] > gate or not len(here)), (name, start)


def test_another_users_isolated_block_is_not_reported():
    memory = free_memory(40 * 1024)
    node = order_10(memory)[0]
    isolate_free_page(memory, node, 2)
    assert node not in [n for n, _ in one_pass(memory).reported]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"putback": "middle"}, "policy.putback must be one of tail, head, got 'middle'"),
        ({"capacity": 0}, "policy.capacity must be above 0, got 0"),
        ({"report_order": 11}, "policy.report_order must be a whole number in 0..10"),
        ({"delay_ns": None}, "policy.delay_ns must be a time"),
        ({"report": "unlocked"}, "policy.one_buffer must go with report 'acknowledged'"),
        ({"one_buffer": False}, "policy.one_buffer must be true for page_reporting"),
    ],
)
def test_bad_knobs_are_refused(wrong, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        PageReporting(**wrong)


def test_rows_are_charged_for_every_block_looked_at():
    memory = free_memory(100 * 1024)
    one_pass(memory)
    state = POLICY.new_state(memory, POLICY)
    report = np.zeros((33, 3), np.int64)
    n, _ = POLICY.fill(memory, state, 0, report, 32)
    assert n == 32 and report[:, 2].tolist() == [1] * 32 + [1]
