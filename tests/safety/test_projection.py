"""Each step of the whole guest is one step of its slice, or changes nothing in it."""

from dataclasses import replace

import numpy as np
import pytest

from freehint.safety.case import Case
from freehint.safety.exhaust.slice import slices_of
from freehint.safety.guest import FINE, IMPOSSIBLE, READING, WATCHED, new_guest
from freehint.safety.own.bound import bound
from freehint.safety.pack import settle
from freehint.safety.steps import choices_of, take_step
from freehint.safety.trace import read_schedule

# The cursor stands between two watched pages as the lower of them becomes dirty once more.
BEHIND_THE_LOWER_PAGE = (
    "hold_the_lock,chunk=1,initially_set=True,vcpus=2,fine_host=True:"
    "124040111406130b1113130b12404104064140031304131303061414140640"
)


class Side:
    """A guest whose state is set and read as words."""

    def __init__(self, case: Case):
        self.guest, policy = new_guest(case)
        self.pinned = bound(self.guest, policy)
        settle(self.pinned)

    def state(self) -> bytes:
        return self.guest.words.tobytes()

    def after(self, state: bytes, step: int) -> tuple[int, bytes]:
        self.guest.words[:] = np.frombuffer(state, np.uint64)
        came_to = take_step(self.pinned, step)
        if came_to >= FINE:
            settle(self.pinned)
        return came_to, self.state()

    def slice_of(self, state: bytes) -> bytes:
        self.guest.words[:] = np.frombuffer(state, np.uint64)
        reading = int(self.guest.own[READING])
        if reading and not int(self.guest.rule[WATCHED]) >> (reading - 1) & 1:
            self.guest.own[READING] = 0  # What is read is not kept.
        settle(self.pinned)
        return self.state()


def unmatched(case: Case, next_step) -> list:
    """The slices in which a step has no counterpart, up to the first one of a walk.

    ``next_step``: called with (whole, state); returns (step, state after it), or None at the end.
    """
    whole, steps = Side(case), choices_of(case)
    sides = [Side(replace(case, watched=page)) for page in slices_of(case.chunk)]
    state = whole.state()
    while (taken := next_step(whole, state)) is not None:
        for side in sides:
            before, after = side.slice_of(state), side.slice_of(taken[1])
            if before != after and (FINE, after) not in (side.after(before, s) for s in steps):
                return [side.guest.rule[WATCHED], taken[0]]
        state = taken[1]
    return []


def drawn(case: Case, rng, length: int):
    """Steps at random."""
    steps, left = choices_of(case), [length]

    def next_step(whole, state):
        left[0] -= 1
        for step in rng.permutation(steps) if left[0] >= 0 else ():
            came_to, after = whole.after(state, step)
            if came_to == FINE:
                return step, after
            if came_to > FINE:
                return None
        return None

    return next_step


def test_a_cursor_behind_a_dirty_page():
    case, steps = read_schedule(BEHIND_THE_LOWER_PAGE)
    left = list(steps)

    def next_step(whole, state):
        if not left:
            return None
        came_to, after = whole.after(state, left[0])
        assert came_to != IMPOSSIBLE
        return left.pop(0), after

    assert unmatched(case, next_step) == []


@pytest.mark.parametrize("policy", ["hold_the_lock", "v24"])
@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_steps_at_random(policy, chunk):
    rng = np.random.default_rng(chunk)
    for generation in ("G2", "G3"):
        case = Case(policy, "own", generation, chunk, True, vcpus=2, fine_host=True)
        for _ in range(10):
            assert unmatched(case, drawn(case, rng, 60)) == []
