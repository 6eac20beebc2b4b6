"""A planted race that only a long run of one vCPU opens: the bug "host_behind".

The host counts what the guest has done while a hint lay on the ring.  If it is far behind, it
catches up: it discards all the guest's frames, as if they were one large page of its own.  While
the host takes its turns as others do, it is never so far behind.
"""

from freehint.engine.host.device import next_user
from freehint.engine.world.content import discard_page
from freehint.jit import kernel
from freehint.safety.bugs import HOST_BEHIND
from freehint.safety.guest import BEHIND, BUG

FAR_BEHIND = 32  # operations


@kernel(inline=True)
def guest_goes_on(guest):
    """Count an operation of a vCPU while a hint lies on the ring."""
    if guest.rule[BUG] == HOST_BEHIND and next_user(guest.world) >= 0:
        guest.own[BEHIND] += 1


@kernel(inline=True)
def host_catches_up(guest):
    """Discard everything if the host is far behind; it is not behind any more."""
    if guest.rule[BUG] != HOST_BEHIND:
        return
    if guest.own[BEHIND] >= FAR_BEHIND:
        for page in guest.frames:
            discard_page(guest.world, page)
    guest.own[BEHIND] = 0
