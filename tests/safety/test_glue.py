"""What the explorer writes once more does what the engine's own Python does, step by step."""

import random

import numpy as np
import pytest

from freehint.engine.commands import Commands
from freehint.engine.current import Current
from freehint.engine.strokes import Strokes
from freehint.engine.worker import STROKE_BEGINS, STROKE_ENDS
from freehint.engine.world.records import HINT_STOP
from freehint.engine.world.violations import NOT_SUPPLIED
from freehint.jit.pinned import pinned
from freehint.safety.exhaust.explore import Search
from freehint.safety.guest import (
    ASKED,
    FIRST_RULE,
    HINTS_STOPPED,
    PHASE,
    PRECOPY,
    START_DUE,
    STATUS,
    SWITCHED_OFF,
    WALKING,
    ZONE,
    Case,
)
from freehint.safety.migrating import FINE, TURN
from freehint.safety.pack import settle
from freehint.safety.paragraphs import broken_rule
from freehint.safety.steps import (
    CHOICES,
    COMMAND,
    MIGRATION,
    NR_STEPS,
    TURN_SWITCH,
    WORKER,
    take_step,
)
from freehint.safety.trace import Player
from freehint.safety.worker import worker_turn

POLICIES = (
    *("v24", "hold_the_lock", "rotate_on_exit", "restartable_cursor", "five_step", "v33"),
    "page_reporting",
)
RINGS = {"balloon_alloc": 2}  # It keeps one descriptor for the command id.
NOT_SUPPLIED_RULE = FIRST_RULE + NOT_SUPPLIED
HINT_STEPS = {WORKER * CHOICES, COMMAND * CHOICES}


class Mirror(Player):
    """A small guest whose worker, commands and monitor are the engine's own."""

    def __init__(self, case: Case):
        super().__init__(case)
        current = Current(self.guest.world)
        self.strokes = Strokes(current, (case.made_policy(),), None, None, None)
        # new_guest() had registered the policy before.
        self.guest.world.state[0].shrinkers = case.made_policy().shrink is not None
        self.commands = Commands(self.strokes, lambda *about: None)
        self.user = self.strokes.users[0]
        settle(self.pinned)
        self.user.state, self.user.pinned_state = self.guest.state, pinned(self.guest.state)

    def follow(self, step: int) -> int:
        """Take a step, with the engine's Python where the explorer has its own kernels.

        It returns what the step came to.
        """
        own, came_to = self.guest.own, FINE
        actor, choice = divmod(step, CHOICES)
        if actor == WORKER:
            self._turn()
        elif actor == COMMAND and choice == TURN_SWITCH:
            self._write_own()  # The engine wakes its reporter itself.
            (self.commands.off if self.strokes.enabled else self.commands.on)(0)
            own[SWITCHED_OFF] = not self.strokes.enabled
        elif step == COMMAND * CHOICES:
            self.commands.start(0)
            own[START_DUE] = 0
        elif actor == MIGRATION and choice == TURN and own[PHASE] == PRECOPY:
            self.guest.world.user["hinting"] = HINT_STOP
            self.commands.stop(0)
            own[START_DUE], own[PHASE] = 0, HINTS_STOPPED
        else:
            self._write_own()
            came_to = take_step(self.pinned, step)
            assert came_to >= FINE
            self.user.asked = bool(own[ASKED])
        self._write_own()
        self._take_state()
        settle(self.pinned)
        if self.user.state is not self.guest.state and self.user.policy.release is None:
            for theirs, ours in zip(self.user.state, self.guest.state, strict=True):
                theirs[...] = ours
        return came_to or broken_rule(self.guest, FINE)

    def _turn(self) -> None:
        """What Engine.answer() does about a worker's turn."""
        due = worker_turn(self.pinned)
        if due == STROKE_BEGINS:
            self.strokes.begin(self.user, 0)
        elif due == STROKE_ENDS:
            self.strokes.end(self.user, 0)

    def _write_own(self) -> None:
        own = self.guest.own
        own[WALKING], own[ASKED] = self.user.walking, self.user.asked
        own[STATUS], own[ZONE] = self.user.status, self.user.zone

    def _take_state(self) -> None:
        for theirs, ours in zip(self.user.state, self.guest.state, strict=True):
            ours[...] = theirs


def random_walk(case: Case, seed: int, length: int):
    """The steps of a random schedule, and the player after each; it begins anew at its end."""
    chance, player = random.Random(seed), None
    for _ in range(length):
        possible = player.possible() if player else []
        if not possible:
            player = Player(case)
            yield player, None
            possible = player.possible()
        # The worker, the host and the command would seldom come first among all writes.
        few = [step for step in possible if step >= WORKER * CHOICES]
        step = chance.choice(few if few and chance.random() < 0.7 else possible)
        _, player.came_to = player.play(step)
        yield player, step


@pytest.mark.parametrize("policy", (*POLICIES, *RINGS))
def test_worker_and_commands_are_those_of_the_engine(policy):
    """And they break the same rules of the specification, those that SHOULD not be broken too."""
    ring = RINGS.get(policy, 1)
    case = Case(policy=policy, ring=ring, rounds=3, spec=True, shoulds=True, switch=True)
    mirror, hints, broken = None, 0, set()
    for player, step in random_walk(case, 7, 250):
        if step is None:
            mirror = Mirror(case)
        else:
            came_to = mirror.follow(step)
            assert came_to == player.came_to, hex(step)
            broken.add(came_to)
            hints += step in HINT_STEPS
        assert np.array_equal(player.guest.arena, mirror.guest.arena), hex(step or 0)
    assert hints > 20
    assert broken == {FINE} | ({NOT_SUPPLIED_RULE} if policy != "page_reporting" else set())


@pytest.mark.parametrize("policy", ("v24", "rotate_on_exit", "five_step"))
def test_nothing_that_decides_is_left_out_of_a_packed_state(policy):
    """A state unpacked into the world of another state behaves as in its own."""
    case, cells = Case(policy=policy, ring=1), set()
    first = Player(case).guest.arena
    for player, _ in random_walk(case, 5, 40):
        cells |= set(np.flatnonzero(player.guest.arena != first).tolist())
    other = Search(case, cells)
    compared = 0
    for player, step in random_walk(case, 5, 40):
        if step is None:
            continue
        before = player.guest.arena[other.cells].copy()
        for one in range(NR_STEPS):
            ends = []
            for here in (player, other):  # other has another past: fates, counts, tables
                here.guest.arena[other.cells] = before
                possible = take_step(here.pinned, one) >= FINE
                settle(here.pinned)
                ends.append((possible, here.guest.arena.tobytes() if possible else b""))
                here.guest.arena[:] = other.first.view(np.uint8)
            assert ends[0] == ends[1]
            compared += ends[0][0]
        player.guest.arena[other.cells] = before
    assert compared > 100
