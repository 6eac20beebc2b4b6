"""Property P4: the rules of the virtio specification, by paragraph, in the small guest.

The engine's kernels count what breaks a rule; here the last step's counts become a violation.  What
``Monitor`` keeps in Python, the command ids, is written once more for one user.  All ids have the
same number: whether the driver has sent the current one is all that the rules ask.

Source: the virtio specification, 5.5.6.5 "Free Page Hinting", 5.5.6.7 "Free Page Reporting".
"""

from freehint.engine.monitor import RULES
from freehint.engine.world.ring import ADDED, ring_in_flight
from freehint.engine.world.violations import (
    FIRST_ID,
    HELD_AFTER_DONE,
    ID_DONE,
    ID_STOP,
    ID_TWICE,
    NO_DONE,
    NOT_SUPPLIED,
    NR_KINDS,
    REPORTED_IN_USE,
    TIMES,
    WITHOUT_ID,
    note_violation,
)
from freehint.jit import kernel
from freehint.mm.damage import pages_held
from freehint.safety.guest import FIRST_RULE, SPEC

NOT_SENT = -1  # in place of the id that the driver sent
PARAGRAPHS = {
    FIRST_RULE + kind: f"P4: {one.paragraph} {one.rule}: the {one.who} {one.what}"
    for kind, one in RULES.items()
}


@kernel(inline=True)
def note(guest, kind):
    """Count a violation that is about no page."""
    note_violation(guest.world, 0, kind, 0, 1)


@kernel(inline=True)
def id_issued(guest):
    """The device asks for hints under a new id.  Source: Monitor.id_issued()."""
    record = guest.world.user[0]
    record.id, record.id_sent = FIRST_ID, NOT_SENT


@kernel(inline=True)
def says_stop(guest):
    """The device says STOP.  Source: Monitor.stopped()."""
    guest.world.user[0].id = ID_STOP


@kernel(inline=True)
def says_done(guest, releases):
    """The device has said DONE, for which the policy has given back what it held if it can.

    Source: Monitor.done().
    """
    guest.world.user[0].id = ID_DONE
    if releases and pages_held(guest.world.memory) > 0:
        note(guest, HELD_AFTER_DONE)


@kernel(inline=True)
def not_supplied(guest):
    """The driver ignores the command id.  Source: Monitor.not_supplied()."""
    note(guest, NOT_SUPPLIED)


@kernel(inline=True)
def sends_id(guest):
    """The driver begins a walk.  Source: Monitor.walk_begins()."""
    record = guest.world.user[0]
    current = record.id
    if current < FIRST_ID:
        note(guest, WITHOUT_ID)
    elif current == record.id_sent:
        note(guest, ID_TWICE)
    record.id_sent = current if current >= FIRST_ID else NOT_SENT
    record.id_from = guest.world.ring.count[0, ADDED]


@kernel(inline=True)
def note_use(guest, node, order):
    """Count a block that is allocated while a report of its pages is on the ring.

    The engine asks the fate of each page; here the report itself is asked, which is in the state.
    """
    world = guest.world
    record = world.user[0]
    if not record.reports or ring_in_flight(world.ring, 0) == 0:
        return
    for row in range(record.filled):
        first, size = world.report[0, row, 0], 1 << world.report[0, row, 1]
        if first < node + (1 << order) and node < first + size:
            note_violation(world, 0, REPORTED_IN_USE, node, 1)


@kernel(inline=True)
def settle_ids(guest, used):
    """An id that is not the current one was not sent; a buffer that is used is as all before it."""
    record = guest.world.user[0]
    record.id_stamp = record.sent_stamp = 0
    if guest.rule[SPEC] == 0:
        record.id = record.id_sent = record.id_from = 0
        return
    if record.id_sent != record.id:
        record.id_sent = NOT_SENT
    if record.id_sent == NOT_SENT or record.id_from < used:
        record.id_from = used


@kernel(inline=True)
def broken_rule(guest, came_to):
    """What a step came to, or the first rule that it has broken; all counts begin again."""
    found = came_to
    for kind in range(NR_KINDS):
        if guest.world.violations[0, kind, TIMES] > 0:
            guest.world.violations[0, kind, TIMES] = 0
            if found == 0 and guest.rule[SPEC] >> kind & 1:
                found = FIRST_RULE + kind
    return found


@kernel(inline=True)
def broken_at_end(guest):
    """The rule that a guest in which nobody can do anything has broken, or 0.

    Source: Monitor.finish().
    """
    record = guest.world.user[0]
    if not record.reports:
        if record.id != ID_DONE:
            note(guest, NO_DONE)
        elif pages_held(guest.world.memory) > 0:
            note(guest, HELD_AFTER_DONE)
    return broken_rule(guest, 0)
