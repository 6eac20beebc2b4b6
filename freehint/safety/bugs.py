"""Bugs that can be put back, one at a time: ``Case.bug``.

Each is a switch in the explorer's glue or a kernel beside the right one.  The explorer finds a
schedule with it, and none without.
"""

from typing import NamedTuple


class Bug(NamedTuple):
    """One bug.

    number : int     what the kernels test; from 1
    what : str       what was wrong, in a sentence
    source : str     the commit that fixed it, or where it is described
    breaks : str     the property that it breaks, as "P1"
    needs : tuple    fields of a Case that must be on, or the bug could do nothing
    knob : tuple     a knob of the policy and the values with which the bug could do something; None
                     stands for a policy without this knob
    """

    number: int
    what: str
    source: str
    breaks: str
    needs: tuple = ()
    knob: tuple = ()


# 1..19: the host's side.
REPEATED_ID, ID_WITHOUT_LOCK, STOP_WITHOUT_LOCK, BULK_STAGE, POSTCOPY_HINTS = range(1, 6)
FIRST_CHUNK, NO_CHUNK, NO_BITMAP_MUTEX, HINT_AFTER_PAUSE, CLEAR_WITHOUT_MUTEX = range(6, 11)
# 21..29: walks without end.
TAKE_AND_FREE, SHRINKS_ITSELF = 21, 22
# 31..34: what the monitor or P5 sees.
NO_DONE_ON_CANCEL, EARLY_PUTBACK, DEAF_TO_STOP, WALK_AT_SWITCH = range(31, 35)
# 36..40: the walk.
WALK_WITHOUT_LOCK, ROTATE_WITHOUT_LOCK, BOOKMARK_AS_BLOCK = range(36, 39)
# 41: planted for schedules at random.
HOST_BEHIND = 41

BUGS = {
    "repeated_id": Bug(
        REPEATED_ID,
        "After STOP the buffer of the last command id, popped late or sent again, starts the"
        " device anew; hints from before the sync then count after it.",
        "QEMU 67808fda37 (5.1)",
        "P1",
    ),
    "id_without_lock": Bug(
        ID_WITHOUT_LOCK,
        "The device gets its new id and the state REQUESTED without the lock; if the host sees the"
        " state before the id, the buffer of the last id starts it.",
        "QEMU 7eb63fccf4 (5.1)",
        "P1",
    ),
    "stop_without_lock": Bug(
        STOP_WITHOUT_LOCK,
        "STOP does not wait for the hint that the host is using, which then clears its bits after"
        " the sync.",
        "planted; QEMU's free_page_lock in virtio_balloon_free_page_stop()",
        "P1",
        ("fine_host",),
    ),
    "bulk_stage": Bug(
        BULK_STAGE,
        "The first pass sends every page, whatever the bitmap says.  QEMU's own first pass looked"
        " at every page, but asked the bitmap again before it sent one (1a37352277), so there it"
        " cost time alone.",
        "QEMU 6eeb63f740 (4.0)",
        "P9",
        ("effect",),
    ),
    "postcopy_hints": Bug(
        POSTCOPY_HINTS,
        "Pages are hinted although the guest may go on at the destination early; the source"
        " refuses to send what is not in its bitmap, and the faulting vCPU waits for it.",
        "QEMU fd51e54fa1 (6.2)",
        "P8",
        ("postcopy",),
    ),
    "first_chunk": Bug(
        FIRST_CHUNK,
        "A hint clears the log of the first chunk of its range alone.",
        "planted beside QEMU 3143577d6a",
        "P9",
        ("fine_host", "effect"),
    ),
    "no_chunk": Bug(
        NO_CHUNK,
        "A hint clears no chunk of the log: what the last sync saw is sent after the next one.",
        "QEMU 3143577d6a (6.1)",
        "P9",
        ("fine_host", "effect"),
    ),
    "no_bitmap_mutex": Bug(
        NO_BITMAP_MUTEX,
        "Hint and sender change a word of the bitmap without bitmap_mutex: each may write back"
        " what it read before the other's change.",
        "planted; QEMU's bitmap_mutex",
        "P9",
        ("fine_host", "effect"),
    ),
    "clear_without_mutex": Bug(
        CLEAR_WITHOUT_MUTEX,
        "Without bitmap_mutex the sender clears a chunk of the log some time after it looked at it;"
        " a hint that is used meanwhile lets the guest write what is then cleared.",
        "found by the oracle; QEMU's bitmap_mutex",
        "P1",
        ("fine_host",),
    ),
    "hint_after_pause": Bug(
        HINT_AFTER_PAUSE,
        "The host goes on with queued hints while the vCPUs are paused for a snapshot.",
        "e2b-dev/infra #3001",
        "P7",
        ("snapshot",),
    ),
    "take_and_free": Bug(
        TAKE_AND_FREE,
        "If the ring is full the balloon frees its block at once and goes on: it takes the same"
        " block again, and again, until the host has used a hint.",
        "get_free_page_and_send() of drivers/virtio/virtio_balloon.c, Linux 4.20 to 6.x",
        "P6",
    ),
    "shrinks_itself": Bug(
        SHRINKS_ITSELF,
        "The balloon's own allocation reclaims, and reclaim asks the balloon's shrinker: a block is"
        " given back, taken again, and the walk never runs out of blocks.",
        "Linux 71994620bb25 (4.19), of inflation; undone in 5.7",
        "P6",
    ),
    "no_done_on_cancel": Bug(
        NO_DONE_ON_CANCEL,
        "A migration that is cancelled or fails does not say DONE; a guest that keeps hinted blocks"
        " until then keeps them for ever.",
        "QEMU 6261aa4ff5 (5.1)",
        "P5",
    ),
    "early_putback": Bug(
        EARLY_PUTBACK,
        "Reported blocks are put back on their lists before the host has used the report.",
        "planted; page_reporting_drain() comes after the report is acknowledged",
        "P4",
    ),
    "deaf_to_stop": Bug(
        DEAF_TO_STOP,
        "The driver does not look at STOP during a walk, and goes on to hint.",
        "planted; the driver compares the id before each block",
        "P4",
        ("spec", "shoulds"),
    ),
    "walk_at_switch": Bug(
        WALK_AT_SWITCH,
        "Turning the enable switch on begins a walk, whatever the last command id was.",
        "planted beside the thread's enable switch",
        "P4",
        ("spec", "switch"),
    ),
    "walk_without_lock": Bug(
        WALK_WITHOUT_LOCK,
        "The walker reads the links of a free list without the zone lock; from a block that is"
        " taken meanwhile its link leads to pages in use, which are hinted.",
        "planted; zone->lock in walk_free_mem_block() of v24",
        "P1",
        knob=("rotate", ("never", "each_report", "on_exit")),
    ),
    "rotate_without_lock": Bug(
        ROTATE_WITHOUT_LOCK,
        "The lock is dropped before the reported blocks move to the tail of their list; one that"
        " is taken meanwhile is put on a free list while it is in use.",
        "planted; zone->lock around the rotation that the 2018 thread asks for",
        "P2",
        knob=("rotate", ("each_report", "on_exit")),
    ),
    "bookmark_as_block": Bug(
        BOOKMARK_AS_BLOCK,
        "The allocator does not step over the bookmark that a walk leaves in a free list, and takes"
        " it for a block.",
        "planted; first_block() of freehint/mm/memory.py",
        "P2",
        knob=("resume", ("cursor", None)),
    ),
    "host_behind": Bug(
        HOST_BEHIND,
        "A host that is 32 operations of the guest behind catches up: it discards all of the"
        " guest's frames, as if they were one large page of its own.",
        "planted; only a long run of one vCPU opens this window",
        "P3",
    ),
}


def bug_number(name: str) -> int:
    """The number of a bug; 0 for "none"."""
    return BUGS[name].number if name in BUGS else 0
