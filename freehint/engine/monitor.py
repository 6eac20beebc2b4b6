"""The monitor: which rules of the virtio specification did a run break, and who broke them?

It keeps the command ids by itself and trusts neither the driver's flags nor the device's: what it
knows are the host's commands, the begins of walks, and the number of buffers added and used.
Kernels compare at the places where hints are added, buffers used and pages allocated
(:mod:`freehint.engine.world.violations`); what comes a few times a run is checked here.  It changes
nothing.  docs/model.md lists the rules that it does not check.

Source: the virtio specification, 5.5.6.5 "Free Page Hinting", 5.5.6.7 "Free Page Reporting".
"""

from typing import NamedTuple

from freehint.engine.current import Current
from freehint.engine.user import User
from freehint.engine.world.ring import ADDED, ring_in_flight
from freehint.engine.world.violations import (
    AFTER_STOP,
    CHANGED_AFTER_DONE,
    FIRST_ID,
    FIRST_NS,
    HELD_AFTER_DONE,
    ID_DONE,
    ID_REUSED,
    ID_STOP,
    ID_TWICE,
    NO_DONE,
    NOT_CURRENT,
    NOT_SUPPLIED,
    OLD_ID,
    PFN,
    REPORTED_IN_USE,
    TIMES,
    WITHOUT_ID,
    WRITTEN_AFTER,
    WRITTEN_BEFORE,
)
from freehint.mm.reclaim.shrinker import count_objects

DRIVER, DEVICE = "driver", "device"
MUST, SHOULD = "MUST", "SHOULD"
HINTS_DRIVER, HINTS_DEVICE, REPORTS_DRIVER = "5.5.6.5.1", "5.5.6.5.2", "5.5.6.7.1"


class Rule(NamedTuple):
    """One rule: its paragraph, MUST or SHOULD, whom it binds, and what was done against it."""

    paragraph: str
    rule: str
    who: str
    what: str


def _driver(rule: str, what: str) -> Rule:
    return Rule(HINTS_DRIVER, rule, DRIVER, what)


def _device(what: str) -> Rule:
    return Rule(HINTS_DEVICE, MUST, DEVICE, what)


RULES = {
    WITHOUT_ID: _driver(MUST, "began a walk while the host's command was STOP or DONE"),
    ID_TWICE: _driver(MUST, "began a second walk under the same command id"),
    OLD_ID: _driver(SHOULD, "hinted a block under an id that the host had replaced"),
    AFTER_STOP: _driver(SHOULD, "hinted a block after the host had said STOP or DONE"),
    NOT_SUPPLIED: _driver(SHOULD, "gave no hints for a command id, because the switch was off"),
    HELD_AFTER_DONE: _driver(SHOULD, "kept pages after the host had said DONE"),
    ID_REUSED: _device("issued an id anew before the walk under it was over"),
    NOT_CURRENT: _device("acted on a block that was hinted under another id than the current"),
    WRITTEN_BEFORE: _device("discarded a free page that was written since the id was issued"),
    WRITTEN_AFTER: _device("discarded a page that the guest took back and wrote: data lost"),
    CHANGED_AFTER_DONE: _device("changed a page after it had said DONE"),
    NO_DONE: _device("did not say DONE at the end of a migration"),
    REPORTED_IN_USE: Rule(
        REPORTS_DRIVER, MUST, DRIVER, "used a reported page before the host had used its buffer"
    ),
}


class Monitor:
    """Keeps the command ids of a run, and checks what happens a few times in it.

    Parameters
    ----------
    current : Current
    users : list of User
    """

    def __init__(self, current: Current, users: list):
        self.current, self.of_users, self.users = current, current.of_users, users
        self.hinters = [u for u in users if not u.by_itself and u.policy.fill is not None]

    def note(self, user: User, kind: int, now_ns: int) -> None:
        """Count a violation that is about no page."""
        row = self.current.world.violations[user.number, kind]
        if not row[TIMES]:
            row[FIRST_NS], row[PFN] = now_ns, -1
        row[TIMES] += 1

    def id_issued(self, command_id: int, now_ns: int) -> None:
        """The device asks for hints under a command id."""
        world, of = self.current.world, self.of_users
        for user in self.hinters:
            number = user.number
            in_use = user.walking or ring_in_flight(world.ring, number) > 0
            if in_use and of.id_sent[number] == command_id:
                self.note(user, ID_REUSED, now_ns)
            if not user.walking:
                self._check_held(user, now_ns)
            of.id[number] = command_id
            of.id_stamp[number] = world.migration[0].stamp

    def stopped(self) -> None:
        """The device says STOP."""
        for user in self.hinters:
            self.of_users.id[user.number] = ID_STOP

    def done(self, now_ns: int) -> None:
        """The device has said DONE, and the policies that can have given back what they held."""
        for user in self.hinters:
            self.of_users.id[user.number] = ID_DONE
            if user.policy.release:
                self._check_held(user, now_ns)

    def not_supplied(self, user: User, now_ns: int) -> None:
        """The driver ignores the command id."""
        self.note(user, NOT_SUPPLIED, now_ns)

    def walk_begins(self, user: User, now_ns: int) -> None:
        """The driver sends the command id."""
        number, of = user.number, self.of_users
        if user.by_itself:
            return
        current = of.id[number]
        if current < FIRST_ID:
            self.note(user, WITHOUT_ID, now_ns)
        elif current == of.id_sent[number]:
            self.note(user, ID_TWICE, now_ns)
        of.id_sent[number] = current if current >= FIRST_ID else -1
        of.id_from[number] = self.current.world.ring.count[number, ADDED]
        of.sent_stamp[number] = of.id_stamp[number]

    def finish(self, now_ns: int, migration) -> None:
        """The run is over.

        Parameters
        ----------
        now_ns : int
        migration : Migration or None
        """
        ended = migration is not None and migration.end_ns >= 0
        for user in self.hinters:
            if ended and self.of_users.id[user.number] != ID_DONE:
                self.note(user, NO_DONE, migration.end_ns)
            if not user.walking:
                self._check_held(user, now_ns)

    def _check_held(self, user: User, now_ns: int) -> None:
        if self.of_users.id[user.number] != ID_DONE or not user.may_hold:
            return
        if count_objects(self.current.pinned_memory, user.number):
            self.note(user, HELD_AFTER_DONE, now_ns)
