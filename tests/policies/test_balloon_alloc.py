"""The balloon of 4.20: which blocks it allocates, in which order, when it ends, which come back."""

import dataclasses

import numpy as np
import pytest

import freehint as fh
from freehint.mm.buddy import rmqueue_smallest
from freehint.mm.memory import (
    MOVABLE,
    USER_LIST,
    WMARK_LOW,
    WMARK_MIN,
    copy_memory,
    list_nodes,
    user_node,
)
from freehint.mm.reclaim.shrinker import SHRINK_BATCH
from freehint.policies.balloon_alloc import BalloonAlloc
from memories import empty_memory, free_everything
from strokes import Strokes

LOST = fh.Outcome.LOST


@pytest.fixture(scope="module")
def guest():
    """6.1 with 640 MiB filled and freed, just before a migration."""
    return fh.load_snapshot(fh.data("linux-6.1/hints/freed.T0"))


def unmovable(memory):
    blocks = fh.pageblocks(memory)
    return blocks[blocks["migratetype"] == 0]["zone"].value_counts().to_dict()


def test_a_pass_goes_to_low_in_every_zone_then_to_min(guest):
    walk = Strokes(fh.POLICIES["balloon_alloc"], copy_memory(guest)).to_end()
    zones = [one.zone for one in walk.done]
    assert zones == [1] * 190 + [0] * 2 + [1] * 2
    free, mark = walk.memory.zones.nr_free_pages[1], walk.memory.zones.watermark[1]
    # One more would go below min; the last two went below low.
    assert free - 1023 <= mark[WMARK_MIN] < free
    assert free < mark[WMARK_LOW] < free + 3 * 1024


def test_blocks_are_taken_in_list_order_and_their_pageblocks_stay_unmovable(guest):
    memory = copy_memory(guest)
    lists = fh.free_lists(memory).query("zone == 'DMA32' and order == 10")["pfn"].tolist()
    walk = Strokes(fh.POLICIES["balloon_alloc"], memory).to_end()
    in_dma32 = [n + memory.base_pfn for n, _ in walk.reported if n + memory.base_pfn >= 4096]
    assert in_dma32 == lists[:192]
    assert unmovable(guest) == {"DMA": 1, "DMA32": 49}
    assert unmovable(memory) == {"DMA": 5, "DMA32": 433}
    assert walk.policy.release(memory, walk.state) == 194
    fh.check_memory(memory)
    assert unmovable(memory) == {"DMA": 5, "DMA32": 433}
    # Freed in reverse to the head: the list is in hint order again, on UNMOVABLE's.
    after = fh.free_lists(memory).query("zone == 'DMA32' and order == 10 and migratetype == 0")
    assert after["pfn"].tolist() == lists[:192]
    assert (memory.zones.nr_free_pages == guest.zones.nr_free_pages).all()


def test_a_full_ring_frees_the_block_to_the_head_and_the_pass_takes_it_again(guest):
    memory = copy_memory(guest)
    answers = iter([[LOST], [LOST]])
    walk = Strokes(fh.POLICIES["balloon_alloc"], memory, lambda rows: next(answers))
    walk.stroke()
    node = walk.done[0].rows[0][0]
    first = fh.free_lists(memory).query("zone == 'DMA32' and order == 10 and migratetype == 0")
    assert first["pfn"].tolist() == [node + memory.base_pfn]
    walk.stroke()
    assert walk.done[1].rows == walk.done[0].rows
    assert not len(list_nodes(memory, user_node(memory, 0, USER_LIST)))


@pytest.mark.parametrize(
    ("asked", "scans"),
    [(1, 0), (127, 0), (128, 1), (1024, 8), (1023, 7), (10**6, 194)],
)
def test_the_shrinker_gives_eight_times_what_it_is_asked_for(guest, asked, scans):
    memory = copy_memory(guest)
    walk = Strokes(fh.POLICIES["balloon_alloc"], memory).to_end()
    assert walk.policy.shrink(memory, walk.state, asked) == scans * 1024
    assert scans == min(asked // SHRINK_BATCH, 194)
    fh.check_memory(memory)
    # Those taken last went first.
    kept = list_nodes(memory, user_node(memory, 0, USER_LIST))
    assert kept.tolist() == [node for node, _ in walk.reported[: 194 - scans]][::-1]


def test_smaller_blocks_are_taken_held_and_freed_alike(guest):
    memory = copy_memory(guest)
    policy = dataclasses.replace(fh.POLICIES["balloon_alloc"], block_order=9)
    walk = Strokes(policy, memory).to_end()
    assert {order for _, order in walk.reported} == {9}
    assert len(walk.reported) > 2 * 194  # also those that stood alone
    assert policy.smallest_order == 9
    # A scan of 128 pages frees a block.
    assert policy.shrink(memory, walk.state, 2 * SHRINK_BATCH) == 2 * 512
    assert policy.release(memory, walk.state) == len(walk.reported) - 2
    fh.check_memory(memory)
    with pytest.raises(fh.InputError, match="block_order"):
        dataclasses.replace(policy, block_order=11)


def test_blocks_of_a_pass_that_was_stopped_are_still_held_in_the_next(guest):
    memory = copy_memory(guest)
    walk = Strokes(fh.POLICIES["balloon_alloc"], memory)
    for _ in range(7):
        walk.stroke()
    walk = Strokes(fh.POLICIES["balloon_alloc"], memory).to_end()
    assert len(walk.reported) == 194 - 7
    assert walk.policy.release(memory, walk.state) == 194


def test_nothing_held_gives_nothing(guest):
    memory = copy_memory(guest)
    walk = Strokes(fh.POLICIES["balloon_alloc"], memory)
    assert walk.policy.shrink(memory, walk.state, 4096) == 0
    assert walk.policy.release(memory, walk.state) == 0


@pytest.mark.parametrize("profile", fh.PROFILES.values(), ids=list(fh.PROFILES))
@pytest.mark.parametrize("user", [0, 2])
def test_every_kernel_takes_and_gives_back_all(profile, user):
    """With a Normal zone: the highest zone first, and each down to its watermark."""
    spans = {"DMA": (1, 4096), "DMA32": (4096, 12288), "Normal": (12288, 24576)}
    memory = free_everything(empty_memory(spans, watermark=(200, 1500, 1800), profile=profile))
    memory.zones.lowmem_reserve[0, 2] = 2000
    before = memory.zones.nr_free_pages.copy()
    policy = dataclasses.replace(fh.POLICIES["balloon_alloc"], user=user)
    walk = Strokes(policy, memory).to_end()
    zones = [one.zone for one in walk.done]
    # Normal has 12 blocks: 10 leave 2048 > low; so has DMA32 after 6 of 8; DMA's 4095 pages are
    # below low and reserve.  Then one more of each down to min.
    assert zones == [2] * 10 + [1] * 6 + [2, 1, 0]
    held = list_nodes(memory, user_node(memory, user, USER_LIST))
    assert len(held) == len(zones)
    policy.release(memory, walk.state)
    fh.check_memory(memory)
    assert (memory.zones.nr_free_pages == before).all()


def test_fragments_are_not_hinted():
    memory = fh.make_memory("64MiB", fragmentation=1.0)
    assert memory.nr_free[1, 10].sum() == 0 and memory.zones.nr_free_pages[1] > 5000
    walk = Strokes(fh.POLICIES["balloon_alloc"], memory).to_end()
    assert {one.zone for one in walk.done} <= {0}


def test_a_block_gone_while_the_lock_was_awaited_costs_only_the_stroke():
    memory = free_everything(empty_memory({"DMA32": (4096, 4096 + 2048)}))
    policy = fh.POLICIES["balloon_alloc"]
    state = policy.new_state(memory, policy)
    zone = policy.next_zone(memory, state)
    assert zone == 0
    for _ in range(2):
        assert rmqueue_smallest(memory, 0, 10, MOVABLE) >= 0
    assert policy.fill(memory, state, zone, np.zeros((2, 3), np.int64), 1) == (0, fh.Stroke.MORE)
    assert policy.next_zone(memory, state) == -1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"capacity": 2}, "policy.capacity must be 1"),
        ({"report": "under_lock"}, "policy.report must be unlocked or acknowledged"),
    ],
)
def test_bad_knobs_are_refused(wrong, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        BalloonAlloc(**wrong)


def test_a_block_that_was_lost_and_is_offered_again_is_a_retry_and_no_more_memory():
    """While the ring is full the balloon frees its block and gets the same one again."""
    scenario = fh.Scenario(memory="256MiB", policy="balloon_alloc").with_values(
        {"ring.size": 8, "host.gap_ns": 5_000_000, "host.gap_every_ns": 1_000_000}
    )
    run = fh.simulate(scenario)
    summary, reports = run.summary, run.reports
    attempts = reports["nr_pages"].sum()
    assert summary["retried_pages"] > 10 * summary["hinted_pages"]
    assert summary["offered_pages"] == summary["hinted_pages"] + summary["lost_pages"]
    assert summary["offered_pages"] + summary["retried_pages"] == attempts
    blocks = reports.drop_duplicates("pfn")["nr_pages"].sum()
    assert blocks <= summary["offered_pages"] <= 64 * 1024
    assert run.walks["offered_pages"].sum() == summary["offered_pages"]


def test_only_a_policy_that_allocates_counts_retries():
    assert "retried_pages" not in fh.simulate(fh.Scenario(memory="64MiB")).summary
