"""A schedule as a short string, played again step by step and told in words."""

import re

from freehint.config import InputError, parameters, shown
from freehint.engine.world.ring import ADDED, USED
from freehint.safety.check import check_end, check_owners
from freehint.safety.exhaust.lasso import Past
from freehint.safety.guest import (
    ENDLESS,
    LOOKS_AT,
    NOT_YET,
    PHASE,
    PRECOPY,
    READING,
    SWITCHED_OFF,
    SYNCED,
    WALKING,
    Case,
    new_guest,
)
from freehint.safety.host.words import (
    own_look,
    pages_named,
    pages_of,
    shrunk,
    tell_elsewhere,
    tell_host,
    tell_worker,
)
from freehint.safety.migrating import CANCEL, FINE, GO_ON, SEND_MATE
from freehint.safety.own.bound import bound
from freehint.safety.own.case import OWN, OwnCase
from freehint.safety.own.verbs import verbs_may_fail
from freehint.safety.pack import settle
from freehint.safety.steps import (
    CHOICES,
    COMMAND,
    FREE,
    MIGRATION,
    NR_STEPS,
    PAGES_OF_BLOCK,
    SHRINK,
    TURN_SWITCH,
    WORKER,
    WRITE,
    take_step,
)
from freehint.safety.walk.words import bookmark_words, lock_words, tell_look

MOST_STEPS = 1000


def schedule_string(case: Case, steps) -> str:
    """A case and a schedule as a string, for :func:`replay`.

    Returns
    -------
    str
        The policy's name, the fields of the case that are not the default ones, and two
        hexadecimal digits for each step, as ``v24,generation=G2:4043``.
    """
    plain = Case()
    named = [
        f"{one.name}={getattr(case, one.name)}"
        for one in parameters(Case)
        if one.name != "policy" and getattr(case, one.name) != getattr(plain, one.name)
    ]
    return ",".join([case.policy, *named]) + ":" + "".join(f"{step:02x}" for step in steps)


def read_schedule(text: str, policy=None) -> tuple[Case, tuple]:
    """The case and the steps of a string.

    Parameters
    ----------
    text : str
    policy : Policy, optional
        The policy that the string calls "own"; any other string names its policy.

    Raises
    ------
    InputError
        It is no such string, or it is of a user's own policy, and that is not given.
    """
    head, colon, digits = text.strip().partition(":")
    whose, *named = head.split(",")
    if not colon or not re.fullmatch("([0-9a-f]{2})*", digits):
        raise InputError(
            f"--replay must be a schedule that freehint explore printed, got {shown(text, 80)}"
        )
    values = {"policy": whose}
    known = {one.name: type(getattr(Case(), one.name)) for one in parameters(Case)}
    for one in named:
        name, _, value = one.partition("=")
        if name in values:
            raise InputError(f"--replay: {name} is named twice")
        if name not in known:
            raise InputError(
                f"--replay: there is no {shown(name, 80)}; there are {', '.join(known)}"
            )
        values[name] = _value(name, value, known[name])
    steps = tuple(bytes.fromhex(digits))
    if len(steps) > MOST_STEPS:
        raise InputError(f"--replay: a schedule has at most {MOST_STEPS} steps, got {len(steps)}")
    if whose != OWN:
        return Case(**values), steps
    if policy is None:
        raise InputError(
            "this schedule is of a policy of somebody's own, which it cannot name: give the policy"
            " too, as in fh.Player(schedule, policy=mine)"
        )
    del values["policy"]
    return OwnCase(made=policy, **values), steps


def _value(name: str, text: str, kind):
    """A value of a case from its text."""
    if kind is bool and text in ("True", "False"):
        return text == "True"
    if kind is int and re.fullmatch("-?[0-9]{1,9}", text):
        return int(text)
    if kind is str:
        return text
    raise InputError(f"--replay: {name} cannot be {shown(text, 80)}")


class Player:
    """A small guest whose steps are taken one by one and told.

    Parameters
    ----------
    case : Case
    see : callable, optional
        Called after each step, before what decides nothing is forgotten.
    """

    def __init__(self, case: Case, see=None):
        self.case, self.see = case, see
        self.guest, policy = new_guest(case)
        self.pinned = bound(self.guest, policy)
        settle(self.pinned)
        self.past = None if case.ends == "unchecked" else Past(self)

    def possible(self) -> list:
        """The steps that can be taken."""
        arena, found = self.guest.arena.copy(), []
        for step in range(NR_STEPS):
            if take_step(self.pinned, step) >= FINE:
                found.append(step)
            self.guest.arena[:] = arena
        return found

    def play(self, step: int) -> tuple[str, int]:
        """Take a step.

        Returns
        -------
        (str, int)
            A sentence, and FINE or the violation.

        Raises
        ------
        InputError
            The step cannot be taken now.
        """
        before = self._look()
        with verbs_may_fail(self.case.chosen):
            came_to = take_step(self.pinned, step) if step < NR_STEPS else -1
        if came_to < FINE:
            raise InputError(f"--replay: step {step:02x} cannot be taken here")
        sentence = self._tell(step, before)
        if self.see:
            self.see()
        settle(self.pinned)
        if self.past:
            self.past.note(step)
        return sentence, came_to or check_owners(self.pinned)

    def end(self) -> int:
        """FINE, or the violation of a guest that goes round, or in which nobody can do anything."""
        if self.past and self.past.goes_round():
            return ENDLESS
        return check_end(self.pinned) if not self.possible() else FINE

    def _look(self) -> dict:
        """What a sentence compares."""
        world, own = self.guest.world, self.guest.own
        return {
            "bitmap": int(world.dirty.bitmap[0]),
            "added": int(world.ring.count[0, ADDED]),
            "used": int(world.ring.count[0, USED]),
            "phase": int(own[PHASE]),
            "reading": int(own[READING]),
            "walking": int(own[WALKING]),
            "held": world.held.copy(),
            "row": int(world.user[0].row),
            "filled": int(world.user[0].filled),
            "content": world.version.copy(),
            "looks_at": int(own[LOOKS_AT]),
            "free": int(world.memory.zones[0].nr_free_pages),
        } | own_look(self.guest)

    def _tell(self, step: int, before: dict) -> str:
        actor, choice = divmod(step, CHOICES)
        if actor < WORKER:
            return f"vCPU {actor} {self._operation(actor, choice, before)}"
        if actor == MIGRATION:
            return f"the migration {self._migration(choice, before)}"
        if actor == COMMAND and choice == SHRINK:
            return shrunk(self.guest, before)
        if actor == COMMAND and choice == TURN_SWITCH:
            return f"the enable switch is turned {'off' if self.guest.own[SWITCHED_OFF] else 'on'}"
        if actor == COMMAND:
            return "the guest sees the host's new command id"
        if actor == WORKER:
            if looks := tell_look(self.guest, before):
                return f"the worker {looks}"
            return tell_worker(self.guest, before, lock_words(self.guest, before))
        return f"the host {tell_host(self.guest, before)}"

    def _operation(self, cpu: int, choice: int, before: dict) -> str:
        held = self.guest.world.held
        if choice < WRITE:
            new = set(held[cpu].tolist()) - set(before["held"][cpu].tolist())
            if not new:
                missed = f"finds no free block of order {choice}"
                return bookmark_words(self.guest, before) or missed
            block = new.pop()
            return f"allocates {pages_named(block >> 4, block & 15)}"
        if choice < FREE:
            block, page = divmod(choice - WRITE, PAGES_OF_BLOCK)
            return f"writes page {(int(before['held'][cpu, block]) >> 4) + page}"
        block = int(before["held"][cpu, choice - FREE])
        return f"frees {pages_named(block >> 4, block & 15)}"

    def _migration(self, choice: int, before: dict) -> str:
        world, own = self.guest.world, self.guest.own
        dirty = f"{pages_of(int(world.dirty.bitmap[0]))} to send"
        phase = before["phase"]
        if said := tell_elsewhere(self.guest, choice, before):
            return said
        if before["reading"]:
            return f"reads and sends page {before['reading'] - 1}"
        if choice == CANCEL:
            return "is cancelled"
        if choice == SEND_MATE:
            return "sends a page that is not watched"
        if choice == GO_ON and phase == NOT_YET:
            return "begins, with all pages to send, and asks for hints"
        if choice == GO_ON and phase == SYNCED:
            return "asks for hints again"
        if choice == GO_ON:
            return f"takes page {int(own[READING]) - 1} out of the bitmap"
        if phase == PRECOPY:
            return "tells the guest to stop hinting"
        if phase == SYNCED:
            return "stops the guest, syncs and sends the rest: the guest goes on at the destination"
        return f"syncs: {dirty}"


def replay(text: str, policy=None):
    """Play a schedule.

    Parameters
    ----------
    text : str
        From :func:`schedule_string`.
    policy : Policy, optional
        As in :func:`read_schedule`.

    Yields
    ------
    (str, int)
        A sentence for each step, and FINE or a violation, which is the last.

    Raises
    ------
    InputError
        The string is no schedule, or a step cannot be taken.
    """
    case, steps = read_schedule(text, policy)
    yield from play_all(Player(case), steps)


def play_all(player: Player, steps):
    """Let a player take all steps; it yields what :func:`replay` does."""
    for step in steps:
        sentence, came_to = player.play(step)
        yield sentence, came_to
        if came_to != FINE:
            return  # The memory may be damaged, so nobody goes on in it.
    end = player.end()
    if end != FINE:
        yield "all is as it was, and so on" if end == ENDLESS else "nobody can do anything", end
