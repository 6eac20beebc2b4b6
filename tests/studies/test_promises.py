"""Every policy keeps its promises over random histories; the observer finds one that does not."""

import json
import re
from dataclasses import replace

import pytest

import freehint as fh
import golden
from freehint.engine.strokes import Strokes
from freehint.mm.buddy import del_page_from_free_list
from freehint.mm.list import list_add
from freehint.mm.memory import USER_BOOKMARK, frame_order, free_list_head
from freehint.policies.promise import Promise
from freehint.policies.walker import Walker
from freehint.studies.histories import history, pressed
from freehint.studies.observer import observe
from freehint.studies.promises import properties, walkers

# `make properties` runs 1,000 each.
HISTORIES = 20


def test_a_policy_is_held_against_its_own_promise():
    again = Walker("again", resume="restart", lock="per_batch")
    assert properties(again, 15)["broken"] == ""
    assert "once: " in properties(replace(again, promise=Promise(None, True)), 15)["broken"]


@pytest.mark.parametrize("policy", list(fh.POLICIES))
def test_a_policy_keeps_its_promises(policy):
    row = properties(policy, HISTORIES)
    assert row["broken"] == ""
    assert [row[name] for name in ("whole", "clean", "counted")] == ["yes"] * 3
    # Not in vain: walks were seen to end, and blocks to stay free all the while.
    assert policy == "none" or (row["walks"] > 5 and row["stayed"] > 100)


@pytest.mark.parametrize("policy", list(fh.POLICIES))
def test_a_policy_keeps_its_promises_when_memory_runs_out(policy):
    # In 0, 2, 4 and 5 the guest reclaims, and in 5 it has an OOM.
    row = properties(policy, 6, draw=pressed)
    assert row["broken"] == ""
    assert [row[name] for name in ("whole", "clean", "counted")] == ["yes"] * 3
    assert policy == "none" or row["walks"] + row["stopped"] > 0


@pytest.mark.parametrize("walker", list(walkers()), ids=lambda w: w.name)
def test_every_combination_of_the_walkers_knobs_keeps_the_lists_whole(walker):
    # Number 3 is a full, fragmented guest with a small ring; 12 is stopped on its way.
    for number in (3, 12):
        assert properties(walker, 1, first=number)["broken"] == ""


COUNTEREXAMPLES = [
    ("v24", Promise("taken", False), "reported: .*was not taken in walk"),
    ("five_step", Promise("taken", True), "reported: .*was not taken in walk"),
    ("balloon_alloc", Promise("offered", True), "reported: .*was not offered in walk"),
    ("page_reporting", Promise("offered", True), "reported: .*was not offered in walk"),
    (
        Walker("again", resume="restart", lock="per_batch"),
        Promise(None, True),
        "once: .*was taken twice in walk",
    ),
]


@pytest.mark.parametrize(("policy", "promise", "sentence"), COUNTEREXAMPLES)
def test_a_promise_that_is_not_made_has_a_counterexample(policy, promise, sentence):
    assert re.search(sentence, properties(policy, 15, promise)["broken"])


# The observer, on policies that do what must never happen.


def planted(**verbs):
    """restartable_cursor with its verbs replaced by worse ones."""
    return replace(fh.POLICIES["restartable_cursor"], name="planted", **verbs)


def faults_of(policy):
    found = {}
    for number in range(12):
        for kind, sentence in observe(history(policy, number)).faults.items():
            found.setdefault(kind, sentence)
    return found


def test_a_lost_block_is_seen():
    good = fh.POLICIES["restartable_cursor"].drain

    def drain(memory, state, zone, report, n, outcome):
        moved = good(memory, state, zone, report, n, outcome)
        order = int(frame_order(memory.frame[report[0, 0]]))
        del_page_from_free_list(memory, report[0, 0], zone, order)
        memory.zones.nr_free_pages[zone] -= 1 << order
        return moved

    # check_memory finds nothing wrong: every list and counter agrees.  The count of pages does.
    fault = faults_of(planted(drain=drain))["whole"]
    assert "policy planted: drain:" in fault
    assert "pages were free, on pcp lists or held, now" in fault


def test_a_block_on_two_lists_is_seen():
    good = fh.POLICIES["restartable_cursor"].drain

    def drain(memory, state, zone, report, n, outcome):
        moved = good(memory, state, zone, report, n, outcome)
        list_add(memory.links, report[0, 0], free_list_head(memory, zone, 0, 4))
        return moved

    assert "policy planted: drain: zone" in faults_of(planted(drain=drain))["whole"]


def test_a_bookmark_left_on_a_list_is_seen():
    faults = faults_of(planted(end_walk=None))
    assert f"user node {USER_BOOKMARK} is left on a list" in faults["clean"]


def test_blocks_held_after_done_are_seen():
    keeps = replace(fh.POLICIES["balloon_alloc"], name="keeps", release=lambda memory, state: 0)
    found = (observe(history(keeps, n)).faults.get("clean", "") for n in range(40))
    assert any("blocks are held after DONE" in sentence for sentence in found)


def test_a_miscounted_duplicate_is_seen(monkeypatch):
    again = Walker("again", resume="restart", lock="per_batch", capacity=4)
    close = Strokes.close_walk

    def miscounting(self, user, end_ns, completed):
        close(self, user, end_ns, completed)
        self.world.user[user.number].duplicate += 1

    assert observe(history(again, 1)).faults.keys() == {"once"}
    monkeypatch.setattr(Strokes, "close_walk", miscounting)
    assert "duplicate_pages is" in observe(history(again, 1)).faults["duplicates"]


# Golden totals.


@pytest.mark.parametrize("policy", list(fh.POLICIES))
def test_totals_on_a_recorded_guest_are_those_on_file(policy):
    assert golden.totals(policy) == json.loads(golden.FILE.read_text())[policy]
