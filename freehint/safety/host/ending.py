"""How a migration ends: completed, or cancelled, which is to the guest as if it had failed."""

from freehint.engine.host.precopy import OFF
from freehint.engine.world.dirty import LOGGING
from freehint.jit import kernel
from freehint.safety.bugs import NO_DONE_ON_CANCEL
from freehint.safety.guest import BUG, ENDED, PHASE, REENTER
from freehint.safety.host.device import CANNOT, send_stop
from freehint.safety.worker import done


@kernel(inline=True)
def end_silently(guest):
    """Stop logging; the guest is told nothing."""
    guest.world.migration[0].phase = OFF
    guest.world.dirty.rule[LOGGING] = 0
    guest.own[PHASE] = ENDED
    guest.own[REENTER] = CANNOT


@kernel
def end_migration(guest):
    """Stop logging and send DONE.  Source: Migration._end()."""
    end_silently(guest)
    done(guest)


@kernel
def cancel(guest):
    """Cancel the migration, or let it fail.  Source: Migration.cancel()."""
    if guest.rule[BUG] == NO_DONE_ON_CANCEL:
        end_silently(guest)
    else:
        send_stop(guest)
        end_migration(guest)
