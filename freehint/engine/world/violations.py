"""What broke a rule of the virtio specification: kinds, and the kernel that counts them.

:mod:`freehint.engine.monitor` tells which paragraph each kind belongs to.
"""

from freehint.engine.world.clock import ACTOR_BITS, smallest_key
from freehint.jit import kernel
from freehint.jit.apart import NOTHING

# Kinds, which are rows of World.violations.
(
    WITHOUT_ID,
    ID_TWICE,
    OLD_ID,
    AFTER_STOP,
    NOT_SUPPLIED,
    HELD_AFTER_DONE,
    ID_REUSED,
    NOT_CURRENT,
    WRITTEN_BEFORE,
    WRITTEN_AFTER,
    CHANGED_AFTER_DONE,
    NO_DONE,
    REPORTED_IN_USE,
    NR_KINDS,
) = range(14)
TIMES, FIRST_NS, PFN, NR_COLUMNS = range(4)
ID_STOP, ID_DONE, FIRST_ID = range(3)  # VIRTIO_BALLOON_CMD_ID_STOP, _DONE; others are valid ids


@kernel(cold=True, late=NOTHING)
def note_violation(world, user, kind, node, times):
    """Count violations; of the first its time and page are kept.

    The actor whose turn it is still has the smallest key, and with it the time.
    """
    rows = world.violations
    if rows[user, kind, TIMES] == 0:
        rows[user, kind, FIRST_NS] = smallest_key(world.key, 0, world.key.shape[0]) >> ACTOR_BITS
        rows[user, kind, PFN] = node + world.memory.base_pfn
    rows[user, kind, TIMES] += times


@kernel(cold=True, late=NOTHING)
def note_hint(world, user, node):
    """A block was hinted under a command id that is not the host's."""
    stopped = world.user[user].id < FIRST_ID
    note_violation(world, user, AFTER_STOP if stopped else OLD_ID, node, 1)


@kernel(cold=True, late=NOTHING)
def note_reuse(world, page, bits, in_flight):
    """A page was allocated whose buffers, given by the bits from ``in_flight`` on, are not used."""
    for user in range(world.user.shape[0]):
        if bits & in_flight << user and world.user[user].reports:
            note_violation(world, user, REPORTED_IN_USE, page, 1)


@kernel(inline=True)
def under_current_id(world, user, used):
    """Was the buffer that the host used last, its ``used``-th, sent under the host's command id?"""
    record = world.user[user]
    return record.id >= FIRST_ID and record.id == record.id_sent and used > record.id_from


@kernel(cold=True, late=NOTHING)
def check_discard(world, user, node, order, used, in_flight):
    """Check a block whose memory the host takes away.  Of a report it may, before and after use.

    Parameters
    ----------
    used : int
        Number of buffers used.
    in_flight : int
        The bit of World.fate of the user's hints.
    """
    record = world.user[user]
    if record.reports:
        return
    if not under_current_id(world, user, used):
        note_violation(world, user, NOT_CURRENT, node, 1)
    before = after = changed = 0
    for page in range(node, node + (1 << order)):
        version = world.version[page]
        changed += version > 0
        if version > record.sent_stamp:
            if world.fate[page] & in_flight:
                before += 1
            else:
                after += 1
    if before:
        note_violation(world, user, WRITTEN_BEFORE, node, before)
    if after:
        note_violation(world, user, WRITTEN_AFTER, node, after)
    if changed and record.id == ID_DONE:
        note_violation(world, user, CHANGED_AFTER_DONE, node, changed)
