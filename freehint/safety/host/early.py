"""A guest that goes on at the destination before it has all pages (post-copy).

The destination drops what is still to be sent.  A vCPU that touches a page that is missing waits
for it, and the source sends what is in its bitmap alone.
"""

from freehint.engine.host.precopy import read_page, take_page
from freehint.engine.world.dirty import LOGGING, sync_bitmap
from freehint.jit import kernel
from freehint.safety.guest import (
    AT_DESTINATION,
    FINE,
    LOST_WRITE,
    PHASE,
    POSTCOPY,
    RECEIVED,
    UNSERVED,
)
from freehint.safety.host.device import pages_in_use, send_stop


@kernel(inline=True)
def send_page(guest, page):
    """Send a page that was taken."""
    read_page(guest.world, page)
    if guest.rule[POSTCOPY]:
        guest.own[RECEIVED] |= 1 << page


@kernel
def switch_early(guest):
    """Stop the guest, sync, and let it go on at the destination, which drops what is to be sent.

    What it does not have and the source would not send is lost, if the guest has written it.
    Source: postcopy_start(), ram_postcopy_send_discard_bitmap().
    """
    world, own = guest.world, guest.own
    send_stop(guest)
    sync_bitmap(world.dirty)
    world.dirty.rule[LOGGING] = 0
    own[PHASE] = AT_DESTINATION
    own[RECEIVED] &= ~int(world.dirty.bitmap[0])
    used, came_to = pages_in_use(world), FINE
    for page in guest.frames:
        if world.dirty.bitmap[0] >> page & 1:
            world.copy[page] = 0
        elif used >> page & 1 and world.copy[page] != world.version[page]:
            came_to = LOST_WRITE if own[RECEIVED] >> page & 1 else UNSERVED
    return came_to


@kernel(inline=True)
def arrives(guest, page):
    """The guest touches a page at the destination; may it go on?

    A page that is missing is asked for, and the source sends what is in its bitmap alone.  The
    vCPU waits for it, which changes nothing for others, so it is one step.
    Source: get_queued_page(), unqueue_page() of QEMU's migration/ram.c.
    """
    world, own = guest.world, guest.own
    if world.dirty.bitmap[0] >> page & 1:
        take_page(world, page)
        send_page(guest, page)
    return own[RECEIVED] >> page & 1 != 0
