"""The cases that the thread names, each as a test of that name."""

from dataclasses import replace

import numpy as np
import pytest

import freehint as fh
from freehint.mm.buddy import del_page_from_free_list, rmqueue_smallest
from freehint.mm.list import list_del_init, list_next
from freehint.mm.memory import MOVABLE, copy_memory, free_list_head
from freehint.studies.thread import eight_blocks, story_as_posted, thread_story
from strokes import Strokes

WALKING = [name for name in fh.POLICIES if name != "none"]
ASKED = [name for name in WALKING if fh.POLICIES[name].delay_ns is None]
FRAGMENTED = fh.make_memory("256MiB", fragmentation=1.0)
AWAY = {"host.gap_every_ns": 1, "host.gap_ns": 10**12, "host.gaps": "fixed"}


def guest(**values):
    """A busy fragmented guest that walks from 5 ms on."""
    short = {"duration_ns": 60_000_000, "walk_at_ns": 5_000_000, "host.gap_ns": 0}
    return fh.Scenario(memory=FRAGMENTED).with_values({**short, **values})


def idle(**values):
    """The same guest, doing next to nothing."""
    quiet = fh.Workload(nr_cpus=1, interval_ns=10**9)
    return guest(workload=quiet, **{"ring.size": 4096, **values})


def order_of_lists(memory):
    return fh.free_lists(memory)[["zone", "order", "migratetype", "pfn"]]


def told(policy, consumed):
    return thread_story(policy.rotate, policy.resume, consumed=consumed)


# "if the list remains unchanged, then it will be C-->D-->E-->F-->G-->H-->A-->B"


@pytest.mark.parametrize("policy", ["rotate_on_exit", "restartable_cursor"])
def test_list_unchanged_between_strokes(policy):
    story = told(fh.POLICIES[policy], "nothing")
    assert (story.finished, story.duplicates, story.unreported) == (True, 0, ())
    run = fh.simulate(idle(policy=policy))
    assert run.summary["coverage"] == 1 and run.summary["duplicate_pages"] == 0
    assert len(run.locks) > 10
    # What was rotated all round stands where it stood; one operation of the CPU comes first.
    before = fh.simulate(idle(policy="none")).memory
    assert order_of_lists(run.memory).equals(order_of_lists(before))


# "So here we can just scan until we see A, right?"


def test_until_we_see_a_ends_only_if_a_is_met():
    there = story_as_posted("nothing")
    assert (there.finished, there.walked, there.duplicates) == (True, 8, 0)
    assert story_as_posted("nothing", most_strokes=4).finished
    assert not story_as_posted("nothing", most_strokes=3).finished
    assert story_as_posted("everything").finished  # nothing is left to walk


@pytest.mark.parametrize(("consumed", "left"), [("A", 7), ("A and C", 6), ("A and B", 6)])
def test_until_we_see_a_never_ends_without_a(consumed, left):
    for strokes in (6, 100):
        story = story_as_posted(consumed, most_strokes=strokes)
        assert not story.finished and story.unreported == ()
        assert story.walked == 2 * strokes
        gone = {"A": 1, "A and C": 1, "A and B": 2}[consumed]  # those of the first stroke
        assert story.duplicates == story.walked - 2 - (left - (2 - gone))


def test_until_we_see_a_ends_at_once_if_a_comes_back():
    story = story_as_posted("A", comes_back=True)
    assert (story.finished, story.walked) == (True, 2)
    assert story.unreported == ("A", *"CDEFGH")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"consumed": "Z"}, "consumed must be one of nothing, A"),
        ({"comes_back": True}, "A cannot come back, as nothing is consumed"),
        ({"consumed": "A", "comes_back": "yes"}, "comes_back must be one of False, True"),
        ({"most_strokes": 0}, "most_strokes must be a whole number in 1..1000, got 0"),
    ],
)
def test_a_story_as_posted_refuses(given, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        story_as_posted(**given)


# "It's a harder question what to do if A and only A has been consumed."


@pytest.mark.parametrize("policy", ["rotate_on_exit", "restartable_cursor"])
def test_a_and_only_a_consumed(policy):
    story = told(fh.POLICIES[policy], "A")
    assert (story.finished, story.duplicates, story.unreported) == (True, 0, ())


def test_b_is_sent_twice_when_more_than_a_is_gone():
    """Which is no big deal, "if it's only twice": and it is counted."""
    assert told(fh.POLICIES["rotate_on_exit"], "A and C").duplicates == 1
    assert told(fh.POLICIES["restartable_cursor"], "A and C").duplicates == 0


# "all the blocks have been split into smaller blocks and used after the caller comes back"


@pytest.mark.parametrize("policy", ["rotate_on_exit", "restartable_cursor"])
def test_all_blocks_split_and_used(policy):
    assert told(fh.POLICIES[policy], "everything").finished
    # The same on a guest whose every block is taken between two strokes: the walk ends.
    memory = eight_blocks()
    knobs = fh.POLICIES[policy]
    walk = Strokes(fh.Walker("w", rotate=knobs.rotate, resume=knobs.resume, capacity=2), memory)
    walk.stroke()
    for _ in range(8 << 9):
        assert rmqueue_smallest(memory, 0, 0, MOVABLE) >= 0
    while walk.zone < len(memory.zones):
        assert len(walk.done) < 10
        walk.stroke()
    assert len(walk.reported) == 2


# "keeping them near head of the list and reusing the reported ones will just make everything
# slower, invalidating the hint"


def first_reused(rotate):
    memory = eight_blocks()
    walk = Strokes(fh.Walker("w", rotate=rotate, resume="cursor", capacity=2), memory)
    walk.stroke()
    return rmqueue_smallest(memory, 0, 9, MOVABLE), [node for node, _ in walk.reported]


def test_reported_pages_are_reused_first_without_rotation():
    taken, reported = first_reused("never")
    assert taken == reported[0]
    for rotate in ("each_report", "on_exit"):
        taken, reported = first_reused(rotate)
        assert taken not in reported


# "it won't take long to stuff ring full of 4K pages"


@pytest.mark.parametrize("order", ["low_first", "high_first"])
def test_a_ring_stuffed_with_4k_pages(order):
    values = {"policy": "v24", "policy.order": order, "policy.min_order": 0, "ring.size": 64}
    run = fh.simulate(idle(**values, **AWAY))
    taken = run.reports[run.reports["taken"]]
    assert len(taken) == 64 and run.summary["lost_pages"] > 0
    if order == "low_first":
        # Zone DMA has no small block, and comes first.
        stuffed = taken[taken["zone"] == "DMA32"]
        assert len(stuffed) > 50 and set(stuffed["order"]) == {0}
    else:
        # Both zones' order-10 blocks come before anything small.
        assert taken["order"].iloc[0] == 10 and taken["nr_pages"].sum() > 20 * 64


# "it seems highly unlikely that host won't ever be scheduled out"


@pytest.mark.parametrize("policy", ASKED)
def test_the_host_scheduled_out_for_a_while(policy):
    values = {"policy": policy, "ring.size": 16, "host.gaps": "fixed"}
    away = {"host.gap_every_ns": 5_010_000, "host.gap_ns": 4_000_000}
    run = fh.simulate(guest(**values, **away))
    always = fh.simulate(guest(**values))
    assert run.walks["completed"].all() and len(run.walks) == 1
    fh.check_memory(run.memory)
    kind = fh.POLICIES[policy]
    if kind.on_full == "lose" and kind.report != "acknowledged":
        assert run.summary["lost_pages"] >= always.summary["lost_pages"]
    else:
        assert kind.on_full == "lose" or run.summary["lost_pages"] == 0
        assert run.summary["walk_ns"] > always.summary["walk_ns"] + 3_000_000


@pytest.mark.parametrize("policy", WALKING)
def test_the_host_scheduled_out_for_ever(policy):
    values = {"policy": policy, "memory": "256MiB", "ring.size": 8, "duration_ns": 7_000_000}
    if policy == "page_reporting":
        values["policy.delay_ns"] = 1_000_000
    run = fh.simulate(guest(**values, **AWAY))
    kind = fh.POLICIES[policy]
    # balloon_alloc frees the block for which there is no room, and is given the same one again.
    waits = (
        policy == "balloon_alloc"
        or kind.on_full in ("stop", "wait")
        or kind.report == "acknowledged"
    )
    assert (run.walks["end_ns"] < 0).any() == waits
    # A scatterlist is one buffer, so eight of them may hold more.
    assert kind.one_buffer or run.reports["taken"].sum() <= 8
    fh.check_memory(run.memory)


# STOP in the middle.


@pytest.mark.parametrize("policy", ASKED)
def test_stop_in_the_middle(policy):
    calm = fh.simulate(guest(policy=policy))
    middle = int(calm.walks["begin_ns"].iloc[0] + calm.summary["walk_ns"] // 2)
    values = {"control.stop_at_ns": middle, "control.every_ns": 30_000_000}
    run = fh.simulate(guest(policy=policy, **values), check=True)
    first, second = run.walks.iloc[0], run.walks.iloc[1]
    assert not first["completed"] and first["end_ns"] >= middle
    # The block that is being reported is the last.
    at_once = run.reports[run.reports["time_ns"].between(middle + 5_000, first["end_ns"])]
    assert len(at_once) == 0
    # What was reported before is what the calm walk reported, and the next walk is a whole one.
    before = calm.reports.iloc[: (run.reports["time_ns"] < middle).sum()]
    assert run.reports["pfn"].iloc[: len(before)].tolist() == before["pfn"].tolist()
    assert second["completed"] and second["begin_ns"] >= 35_000_000


def test_stop_and_start_before_the_walk_notices():
    """The walk that was stopped ends; it does not go on as if nothing had been said."""
    values = {"control.every_ns": 1_000, "control.stop_at_ns": 5_000_500, "duration_ns": 5_400_000}
    run = fh.simulate(guest(policy="hold_the_lock", **values))
    assert not run.walks["completed"].iloc[0]
    assert len(run.walks) > 1


# "what happens when there are multiple users of this API"


@pytest.mark.parametrize(
    "users",
    [
        ("restartable_cursor", "restartable_cursor"),
        ("v24", "rotate_on_exit"),
        ("hold_the_lock", "restartable_cursor"),
        ("five_step", "v24"),
        ("balloon_alloc", "rotate_on_exit", "v33"),
    ],
    ids="+".join,
)
def test_two_users_at_once(users):
    run = fh.simulate(guest(policy=users, **{"ring.size": 4096}), check=True)
    assert len(run.walks) == len(users) and run.walks["completed"].all()
    assert run.summary["duplicate_pages"] == run.walks["duplicate_pages"].sum()
    assert run.reports["user"].nunique() == len(users)
    for _, holds in run.locks.groupby("zone", observed=True):
        holds = holds.sort_values("since_ns")
        end = (holds["since_ns"] + holds["held_ns"]).to_numpy()
        assert (holds["since_ns"].to_numpy()[1:] >= end[:-1]).all()


def test_what_the_second_user_hints_again_is_counted():
    users = ("restartable_cursor", "restartable_cursor")
    run = fh.simulate(idle(policy=users))
    alone = fh.simulate(idle(policy="restartable_cursor"))
    assert run.summary["duplicate_pages"] == alone.summary["hinted_pages"]
    assert (run.walks["covered_pages"] == run.walks["walkable_pages"]).all()


# "register balloon to get a (new) callback when free list runs empty"


def test_the_list_running_empty_during_isolation():
    """The callback interrupts the report, and the blocks held are back on their list at once."""
    memory = eight_blocks()
    five = fh.POLICIES["five_step"]
    state = five.new_state(memory, five)
    report = np.zeros((5, 3), np.int64)
    n, _ = five.fill(memory, state, 0, report, 4)
    assert n == 4
    listed = fh.free_lists(memory)["pfn"].tolist()
    for pfn in listed:
        del_page_from_free_list(memory, pfn - memory.base_pfn, 0, 9)
    assert five.on_empty(memory, state, 0, 9, MOVABLE) == 4
    assert not set(fh.free_lists(memory)["pfn"]) & set(listed)
    assert len(fh.free_lists(memory)) == 4


def test_the_callback_comes_when_the_guest_runs_a_list_empty():
    calls = []
    good = fh.POLICIES["five_step"]

    def on_empty(memory, state, zone, order, migratetype):
        moved = good.on_empty(memory, state, zone, order, migratetype)
        calls.append(moved)
        return moved

    # Order 10 is all that it wants: it takes what the scheme has left, and finds the list empty
    # while smaller blocks keep the zone above its watermarks.
    busy = {"workload.live_share": 0.9, "host.service_ns": 200_000, "policy.capacity": 8}
    busy |= {"workload.order_weights": (*[0] * 10, 1), "workload.type_weights": (0, 1, 0)}
    busy |= {"workload.interval_ns": 300_000, "walk_at_ns": 0, "duration_ns": 6_000_000}
    busy["memory"] = fh.make_memory("256MiB", fragmentation=0.5)
    run = fh.simulate(guest(policy=replace(good, on_empty=on_empty), **busy), check=True)
    # It interrupted a report of blocks of that very list.
    assert any(calls) and len(run.walks) == 1


# "for the guest to decide whether to enable or disable reporting free page hints .. at any time.
# If disabled, in the balloon driver we skip the calling of walk_free_mem_block()."


@pytest.mark.parametrize("policy", ASKED)
def test_the_enable_switch_thrown_at_any_time(policy):
    every = {"policy": policy, "control.every_ns": 20_000_000}
    calm = fh.simulate(guest(**every))
    end = int(calm.walks["end_ns"].iloc[0])
    off = (5_000_000 + end) // 2
    run = fh.simulate(guest(**every, **{"control.off_at_ns": off}))
    # The walk that runs goes on to its end; no other begins.
    assert len(calm.walks) == 3 and len(run.walks) == 1
    assert run.walks.iloc[0].equals(calm.walks.iloc[0])
    again = fh.simulate(
        guest(**every, **{"control.off_at_ns": off, "control.on_at_ns": 30_000_000})
    )
    assert again.walks["begin_ns"].tolist() == [5_000_000, 45_000_000]
    never = fh.simulate(guest(**every, **{"control.off_at_ns": 0}))
    assert len(never.walks) == 0 and len(never.reports) == 0


def test_the_switch_and_who_walks_by_himself():
    values = {"policy": "page_reporting", "policy.delay_ns": 5_000_000}
    off = fh.simulate(guest(**values, **{"control.off_at_ns": 0}))
    assert len(off.walks) == 0
    on = fh.simulate(guest(**values, **{"control.off_at_ns": 0, "control.on_at_ns": 20_000_000}))
    assert len(on.walks) > 0 and on.walks["begin_ns"].iloc[0] == 25_000_000


# "how about host gives us a hint after using the buffer?"


@pytest.mark.parametrize(("service_ns", "again"), [(1_000, False), (10_000_000, True)])
def test_host_feedback(service_ns, again):
    """Blocks that the host has used are skipped; others are met, and sent, again."""
    policy = fh.Walker("told", resume="host_feedback", capacity=8, pause_ns=100_000)
    values = {"host.service_ns": service_ns, "duration_ns": 20_000_000}
    run = fh.simulate(idle(policy=policy, **values))
    assert bool(run.summary["duplicate_pages"]) == again


# A policy of one's own.


def loses_a_page(where):
    """A policy as one writes it in a notebook, whose ``where`` forgets the first block."""

    def first_block(memory, zone):
        table = fh.free_lists(memory)
        return table[table["zone"].cat.codes == zone].iloc[0]

    def forget(memory, zone):
        first = first_block(memory, zone)
        node = int(first["pfn"]) - memory.base_pfn
        del_page_from_free_list(memory, node, zone, int(first["order"]))

    def fill(memory, state, zone, report, capacity):
        if where == "fill":
            forget(memory, zone)
        first = first_block(memory, zone)
        report[0] = first["pfn"] - memory.base_pfn, first["order"], 1
        return 1, fh.Stroke.ZONE_DONE

    def drain(memory, state, zone, report, n, outcome):
        if where == "drain":
            forget(memory, zone)
        return 0

    return fh.Policy("mine", fill, drain)


@pytest.mark.parametrize("verb", ["fill", "drain"])
def test_a_policy_of_ones_own_that_loses_a_page_is_named(verb):
    scenario = guest(policy=loses_a_page(verb), memory=copy_memory(FRAGMENTED))
    with pytest.raises(fh.InvariantError, match=rf"^policy mine: {verb}: zone DMA"):
        fh.simulate(scenario)
    with pytest.raises(fh.InvariantError, match=r"^policy mine: zone DMA"):
        fh.simulate(scenario, check=False)  # only at the end of the run


def bad_policy(fill, drain=None):
    @fh.kernel
    def keep(memory, state, zone, report, n, outcome):
        return 0

    return fh.Policy("bad", fill, drain or keep)


def test_rows_that_name_no_free_block_are_refused_and_the_policy_is_named():
    for node, order in ((10**9, 0), (-1, 0), (0, 11), (0, 10)):

        @fh.kernel
        def fill(memory, state, zone, report, capacity, node=node, order=order):
            report[0, 0], report[0, 1] = node, order
            return 1, 1

        scenario = fh.Scenario(memory="64MiB", policy=bad_policy(fill.py_func))
        with pytest.raises(fh.InputError, match=r"policy bad: fill: row 0 .* neither a free block"):
            fh.simulate(scenario)


def test_a_page_lost_with_its_counters_adjusted_is_found_without_being_asked_for():
    def fill(memory, state, zone, report, capacity):
        head = free_list_head(memory, zone, 10, MOVABLE)
        report[0, 0], report[0, 1] = list_next(memory.links, head), 10
        return int(memory.nr_free[zone, 10, MOVABLE] > 0), 1

    def drain(memory, state, zone, report, n, outcome):
        list_del_init(memory.links, report[0, 0])
        memory.frame[report[0, 0]] = 0
        memory.nr_free[zone, 10, MOVABLE] -= 1
        memory.zones[zone].nr_free_pages -= 1024
        return 1

    policy = fh.Policy("loser", fh.kernel(fill), fh.kernel(drain))
    with pytest.raises(fh.InvariantError, match=r"policy loser: drain: .* pages were free"):
        fh.simulate(fh.Scenario(memory="64MiB", policy=policy))
