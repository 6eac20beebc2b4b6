"""Free page reporting in the explorer: trigger, gate, lists, flags, its host, and its danger."""

import random
from dataclasses import replace

import pytest

from freehint.config import InputError
from freehint.engine.world.hints import IN_FLIGHT
from freehint.engine.world.ring import ring_in_flight
from freehint.engine.world.violations import REPORTED_IN_USE
from freehint.mm.memory import ISOLATED, MOVABLE, REPORTED, free_list_head, list_nodes
from freehint.safety.check import DISCARDED, PROPERTIES
from freehint.safety.exhaust.explore import explore
from freehint.safety.guest import FINE, FIRST_RULE, Case
from freehint.safety.steps import CHOICES, COMMAND, HOST, TURN_SWITCH, WORKER
from freehint.safety.trace import Player, replay, schedule_string

PLAIN = Case("page_reporting", generation="G3", initially_set=True, rounds=1, operations=2)
EARLY = replace(PLAIN, blocks=2, spec=True, bug="early_putback")
WORK, USE, SWITCH = WORKER * CHOICES, HOST * CHOICES, COMMAND * CHOICES + TURN_SWITCH
ALLOC_PAGE, FREE = 0x00, 0x0B
USED_EARLY = FIRST_RULE + REPORTED_IN_USE


def played(case: Case, *steps) -> Player:
    """A guest after a schedule without a violation."""
    player = Player(case)
    for step in steps:
        assert player.play(step)[1] == FINE
    return player


def held(player: Player) -> set:
    """The blocks of the vCPU; page 0 alone is 0."""
    world = player.guest.world
    return set(world.held[0, : world.cpu[0].nr_blocks].tolist())


def passed(player: Player) -> list:
    """What was told until the pass was over and the worker slept."""
    told = []
    while WORK in player.possible() or USE in player.possible():
        step = WORK if WORK in player.possible() else USE
        told.append(player.play(step)[0])
    return told


@pytest.mark.parametrize("more", [{}, {"discard": True, "fine_host": True}])
def test_a_reported_page_loses_no_write(more):
    found = explore(replace(PLAIN, spec=True, **more))
    assert found.exhausted and found.violation == FINE and found.states > 10_000


def test_the_smallest_orders_come_first_in_batches_of_the_capacity():
    told = passed(played(PLAIN, ALLOC_PAGE))
    chosen = [sentence for sentence in told if "chooses" in sentence]
    assert "chooses page 9, pages 10..11" in chosen[0] and "chooses pages 0..3" in chosen[1]
    assert "acknowledges the report of page 9, pages 10..11" in " ".join(told)


def test_blocks_are_held_until_the_host_has_used_them_and_then_flagged_at_the_tail():
    player = played(PLAIN, WORK, WORK, WORK)  # chosen; added; on the ring
    memory = player.guest.world.memory
    (node,) = [page for page in (0, 8) if memory.frame[page] & ISOLATED]
    while ring_in_flight(player.guest.world.ring, 0):
        assert memory.frame[node] & ISOLATED
        player.play(USE)
    passed(player)
    assert memory.frame[node] & REPORTED
    assert list_nodes(memory, free_list_head(memory, 0, 2, MOVABLE))[-1] == node


@pytest.mark.parametrize(("report_order", "asked"), [(0, True), (1, False)])
def test_a_free_that_merges_to_the_order_asks_for_a_pass(report_order, asked):
    case = replace(PLAIN, blocks=2, operations=4, report_order=report_order)
    player = played(case, ALLOC_PAGE, ALLOC_PAGE)
    passed(player)
    assert WORK not in player.possible()
    player.play(FREE)  # Its buddy is in use.
    assert (WORK in player.possible()) == asked
    passed(player)
    player.play(FREE)
    assert WORK in player.possible()


@pytest.mark.parametrize(("gate", "passes"), [(0, True), (7, True), (8, False)])
def test_the_gate_is_what_must_be_free(gate, passes):
    told = passed(played(replace(PLAIN, gate=gate)))
    assert any("chooses" in sentence for sentence in told) == passes


def test_gate_and_order_are_of_a_policy_that_walks_by_itself():
    for field in ("gate", "report_order"):
        with pytest.raises(InputError, match=rf"explore\.{field} must be 0"):
            Case("v24", **{field: 1})


def test_no_pass_begins_while_the_switch_is_off():
    player = played(replace(PLAIN, switch=True), SWITCH, WORK)
    assert WORK not in player.possible()
    player.play(SWITCH)
    assert any("chooses" in sentence for sentence in passed(player))


def test_blocks_put_back_early_break_the_specification_and_lose_a_page():
    found = explore(EARLY)
    assert found.violation == USED_EARLY
    assert PROPERTIES[USED_EARLY].startswith("P4: 5.5.6.7.1 MUST")
    assert [end for _, end in replay(schedule_string(found.case, found.steps))][-1] == USED_EARLY
    lost = replace(EARLY, spec=False, fine_host=True, discard=True, operations=3)
    assert explore(lost).violation == DISCARDED


def test_a_page_in_use_is_found_as_the_engine_finds_it():
    """The engine asks each page's fate when it is allocated, the explorer the report itself."""
    chance, player, used_early = random.Random(3), Player(replace(EARLY, operations=6)), 0
    first, fate = player.guest.arena.copy(), player.guest.world.fate
    for _ in range(40):
        player.guest.arena[:], fate[:] = first, 0
        for step in chance.choices((0, 1, 2, WORK, WORK, WORK, USE), k=20):
            before = held(player)
            try:
                _, came_to = player.play(step)
            except InputError:  # The step cannot be taken here.
                continue
            new = [(one >> 4, 1 << (one & 15)) for one in held(player) - before]
            pages = [page for node, n in new for page in range(node, node + n)]
            assert (came_to == USED_EARLY) == any(fate[page] & IN_FLIGHT for page in pages)
            fate[pages] = 0  # as the engine's pages_allocated() does
            if came_to == USED_EARLY:
                used_early += 1
                break
    assert 5 < used_early < 40
