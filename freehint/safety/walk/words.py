"""Sentences for the bugs of the walk."""

from freehint.engine.world.records import PUBLISHED
from freehint.mm.memory import BUDDY
from freehint.policies.walk_state import AT_LIST, walked_list
from freehint.safety.bugs import BOOKMARK_AS_BLOCK, ROTATE_WITHOUT_LOCK
from freehint.safety.guest import BUG, LOOKS_AT
from freehint.safety.host.words import pages_named
from freehint.safety.walk.unlocked import NEXT_LIST


def tell_look(guest, before: dict) -> str:
    """What the worker did in a walk without the lock; empty elsewhere."""
    memory, record = guest.world.memory, guest.world.user[0]
    now, said = int(guest.own[LOOKS_AT]), ""
    if now == before["looks_at"] == 0:
        return ""
    if before["looks_at"] == 0:
        said = "begins a walk without the lock, and "
    elif record.filled > before["filled"]:
        node, order, _ = map(int, guest.world.report[0, record.filled - 1])
        taken = "" if memory.frame[node] & BUDDY else ", which are no free block any more,"
        said = f"notes {pages_named(node, order)}{taken} for a hint, and "
    if now == 0:
        return f"{said}locks the zone, with {record.filled} blocks noted"
    if now == NEXT_LIST:
        return f"{said}is at the end of the list"
    order, _ = walked_list(guest.state, guest.state.at[AT_LIST])
    return f"{said}reads the link to {pages_named(now - 1, order)}"


def lock_words(guest, before: dict) -> list:
    """What the worker did, or did not, with the lock by the bug "rotate_without_lock"."""
    if guest.rule[BUG] != ROTATE_WITHOUT_LOCK:
        return []
    record = guest.world.user[0]
    if before["filled"] and not record.filled:
        return ["moves the blocks to the tail without the lock"]
    return ["drops the lock"] if record.mode == PUBLISHED else []


def bookmark_words(guest, before: dict) -> str:
    """Whether a vCPU has taken a bookmark for a block; empty if not."""
    taken = int(guest.world.memory.zones[0].nr_free_pages) < before["free"]
    if guest.rule[BUG] != BOOKMARK_AS_BLOCK or not taken:
        return ""
    return "meets the walk's bookmark in a free list, and takes it for a block"
