"""Steps that are taken together, so that not every order of steps is searched.

Two pairs of steps are one, if the case is one of those for which this is shown (``may_reduce``):

* The host's *pop* and its next piece.  Pop looks at the device's state and the ring, and changes
  only how far the host is.  What others may do until the next piece changes nothing that it looks
  at: STOP, a new id and the end wait for the host; a walk that begins lets later buffers count
  alone.  And nobody else looks at how far the host is, but to wait.  So any schedule is one of the
  same steps in which pop comes directly before the next piece, and ends in the same state.
* The migration *takes* a page out of the bitmap and *reads* it.  Read directly, the page has its
  oldest content, and that differs from a later read only if the guest writes or frees the page
  meanwhile.  Then the destination does not have what was written; nothing but the comparison at the
  end looks at what it has; and whatever comes later (a free, another read) makes both alike again.
  So if a later read ends in a loss, so does the direct one.

Both leave out schedules that end between the two steps; the first step of a pair breaks no property
and lets nobody go on who could not before.  docs/safety.md says how this was compared.
"""

from freehint.jit import kernel
from freehint.safety.case import Case
from freehint.safety.guest import FINE, HOST_AT, READING
from freehint.safety.host.device import IDLE
from freehint.safety.pack import settle
from freehint.safety.steps import take_step


def may_reduce(case: Case) -> bool:
    """Is it shown for a case that steps may be taken together?

    Bugs, post-copy, a snapshot and P9 look at what lies between the two steps of a pair.
    """
    other = case.postcopy or case.snapshot or case.effect or case.is_core
    return case.bug == "none" and not other


@kernel(inline=True)
def is_halfway(own, at, reading):
    """Has a step popped a buffer or taken a page?  ``at``, ``reading`` are from before it."""
    popped = at == IDLE and own[HOST_AT] != IDLE
    return popped or (reading == 0 and own[READING] != 0)


@kernel(inline=True)
def take_together(guest, verbs, step, together):
    """Do a step, and if it is halfway its second half."""
    own = guest.own
    at, reading = own[HOST_AT], own[READING]
    came_to = take_step(guest, verbs, step)
    if together and came_to == FINE and is_halfway(own, at, reading):
        came_to = take_step(guest, verbs, step)
    return came_to


def in_single_steps(guest, own, verbs, taken) -> list:
    """The steps of a reduced search one by one, from the guest's first state on.

    Parameters
    ----------
    guest : Guest or Pinned
        It ends in another state.
    own : int64[NR_OWN]
        The guest's.
    verbs : Verbs
    taken : list of int
    """
    every = []
    for step in taken:
        at, reading = own[HOST_AT], own[READING]
        came_to = take_step(guest, verbs, step)
        every.append(step)
        if came_to == FINE and is_halfway(own, at, reading):
            take_step(guest, verbs, step)
            every.append(step)
        settle(guest, verbs)
    return every
