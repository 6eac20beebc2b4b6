"""Steps that are taken together, so that not every order of steps is searched.

These are one, if the case is one of those for which this is shown:

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

* The host *takes a hint* and *uses* the buffer, in a slice with one watched page and in G1 and G2.
  There the hint takes the page out of the bitmap and changes nothing else.  Until the buffer is
  used, nobody looks at that but the migration, which could send the page only if it was not of
  this hint; and nobody changes it: no sync comes between.  So any schedule is one in which the
  hint is taken directly before the buffer is used.  In G3 a hint clears the log, which a write
  sets; and in a guest with several watched pages it decides which of them is sent next.

All leave out schedules that end between the two steps; the first step of a pair breaks no property
and lets nobody go on who could not before.  docs/safety.md says how this was compared.
"""

from freehint.jit import kernel
from freehint.jit.kernel import as_python
from freehint.safety.bugs import BUGS
from freehint.safety.case import Case
from freehint.safety.exhaust.slice import EXACT_CHUNK
from freehint.safety.guest import FINE, HOST_AT, READING
from freehint.safety.host.device import IDLE, TO_TAKE, TO_USE
from freehint.safety.pack import settle
from freehint.safety.steps import take_step
from freehint.safety.verbs import call_step

APART, IN_PAIRS, USE_TOO = range(3)
PIECE = 3  # the bits of HOST_AT that say which piece is next


def taken_together(case: Case) -> int:
    """Which steps may be taken together in a case.

    Bugs, post-copy, a snapshot, P4, P6, P9, the enable switch and reports look at what lies between
    the steps, or change what waits for the host.
    """
    other = case.postcopy or case.snapshot or case.effect or case.is_core
    other = other or case.spec or case.switch or case.ends != "unchecked"
    if other or case.bug in BUGS or case.made_policy().delay_ns is not None:
        return APART
    one_page = case.watched >= 0 and case.chunk > EXACT_CHUNK
    return USE_TOO if one_page and case.generation != "G3" else IN_PAIRS


@kernel(inline=True)
def is_halfway(own, at, reading, together):
    """Is a step to be followed by the next at once?  ``at``, ``reading`` are from before it."""
    popped = at == IDLE and own[HOST_AT] != IDLE
    hinted = together == USE_TOO and at & PIECE == TO_TAKE and own[HOST_AT] == TO_USE
    return popped or hinted or (reading == 0 and own[READING] != 0)


@kernel(inline=True)
def take_together(guest, step, together):
    """Do a step, and as long as it is halfway what follows."""
    own, came_to, more = guest.own, FINE, True
    while more:
        at, reading = own[HOST_AT], own[READING]
        came_to = call_step(guest, step)
        more = together != APART and came_to == FINE and is_halfway(own, at, reading, together)
    return came_to


def in_single_steps(guest, own, together, taken) -> list:
    """The steps of a reduced search one by one, from the guest's first state on.

    Parameters
    ----------
    guest : Guest or Pinned
        It ends in another state.
    own : int64[NR_OWN]
        The guest's.
    together : int
        As for the search.
    taken : list of int
    """
    every = []
    for step in taken:
        more = True
        while more:
            at, reading = own[HOST_AT], own[READING]
            more = take_step(guest, step) == FINE
            more = more and as_python(is_halfway)(own, at, reading, together)
            every.append(step)
        settle(guest)
    return every
