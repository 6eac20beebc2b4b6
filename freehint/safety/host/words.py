"""Sentences for the host's pieces, and for a migration that is not a plain pre-copy."""

import numpy as np

from freehint.engine.world.records import HINT_START, WAIT_RING, WAIT_USED
from freehint.engine.world.ring import ADDED, USED
from freehint.mm.memory import USER_LIST, frame_order, list_nodes, user_node
from freehint.safety.guest import (
    AT_DESTINATION,
    FINE_HOST,
    HOST_AT,
    HOST_WORD,
    PHASE,
    PRECOPY,
    READING,
    REENTER,
    SENDER_SAW,
    SENDER_WORD,
    SNAPSHOT,
    SYNCED,
    WALKING,
)
from freehint.safety.host.device import COUNTED, IDLE, ROW, TO_DISCARD, TO_USE
from freehint.safety.migrating import CANCEL, GO_ON, SWITCH

OWN = {"host_at": HOST_AT, "reenter": REENTER, "sender_word": SENDER_WORD, "sender_saw": SENDER_SAW}


def pages_named(node: int, order: int) -> str:
    """The pages of a block, as ``pages 8..11``."""
    return f"page {node}" if order == 0 else f"pages {node}..{node + (1 << order) - 1}"


def pages_of(bits: int) -> str:
    """The pages whose bits are set, in words."""
    pages = [str(page) for page in range(bits.bit_length()) if bits >> page & 1]
    return f"pages {', '.join(pages)}" if pages else "no page"


def own_look(guest) -> dict:
    """What these sentences compare."""
    return {name: int(guest.own[at]) for name, at in OWN.items()} | {"kept": held_bits(guest)}


def lost_pages(guest, before: dict) -> str:
    """What a discard has taken from the guest; empty if nothing."""
    lost = np.flatnonzero((before["content"] > 0) & (guest.world.version == 0)).tolist()
    which = f"page{'s' if len(lost) > 1 else ''} {', '.join(map(str, lost))}"
    return f"; it discards what was written to {which}" if lost else ""


def restarted(guest, before: dict) -> str:
    """Whether a popped command id has started the device, by a bug."""
    changed = before["reenter"] != guest.own[REENTER]
    return "pops the old command id, which starts the device again; " if changed else ""


def tell_row(guest, before: dict) -> str:
    """What the worker did with a row of its stroke."""
    world = guest.world
    node, order, _ = map(int, world.report[0, before["row"]])
    if world.user[0].one_buffer:
        return f"adds {pages_named(node, order)} to its report"
    taken = world.ring.count[0, ADDED] > before["added"]
    did = "puts a hint on the ring" if taken else "finds the ring full and loses the hint"
    return f"{did} for {pages_named(node, order)}"


def tell_worker(guest, before: dict, with_lock: list) -> str:
    """What the worker did; ``with_lock`` tells what it did with the lock by a bug."""
    world = guest.world
    record = world.user[0]
    said = []
    if guest.own[WALKING] and not before["walking"]:
        said.append("begins a walk")
    if record.filled and not before["filled"]:
        rows = world.report[0, : record.filled]
        blocks = ", ".join(pages_named(int(row[0]), int(row[1])) for row in rows)
        said.append(f"chooses {blocks}")
    elif record.row > before["row"] and before["filled"]:
        said.append(tell_row(guest, before))
    if record.one_buffer and world.ring.count[0, ADDED] > before["added"]:
        said.append("puts its report on the ring")
    said += with_lock
    if before["filled"] and not record.filled:
        said.append("ends its stroke")
    if record.mode == WAIT_RING:
        said.append("waits for a descriptor")
    if record.mode == WAIT_USED:
        said.append("waits until the host has used its hints")
    if before["walking"] and not guest.own[WALKING]:
        said.append("ends its walk")
    return "the worker " + (" and ".join(said) or "goes on")


def tell_report(guest, before: dict) -> str:
    """What the host did with a report; empty if it found none."""
    world, own = guest.world, guest.own
    at = before["used"] % world.ring.blocks.shape[1]
    rows = world.report[0, : world.ring.blocks[0, at, 0], :2].tolist()
    if world.ring.count[0, USED] > before["used"]:
        discarded = world.host[0].discards and before["host_at"] == IDLE
        pages = ", ".join(pages_named(*row) for row in rows)
        told = f"{'discards and ' if discarded else ''}acknowledges the report of {pages}"
        return told + lost_pages(guest, before)
    if before["host_at"] == own[HOST_AT]:
        return ""
    if before["host_at"] == IDLE:
        return "pops a report"
    pages = pages_named(*rows[before["host_at"] // ROW])
    return f"discards {pages} of the report" + lost_pages(guest, before)


def held_bits(guest) -> int:
    """The pages of the blocks that the policy holds, as bits."""
    memory = guest.world.memory
    held = list_nodes(memory, user_node(memory, 0, USER_LIST)).tolist()
    return sum((1 << (1 << int(frame_order(memory.frame[node])))) - 1 << node for node in held)


def shrunk(guest, before: dict) -> str:
    """What the balloon's shrinker did."""
    freed = pages_of(before["kept"] & ~held_bits(guest))
    return f"the reclaim of another task asks the balloon's shrinker, which frees {freed}"


def tell_piece(guest, before: dict) -> str:
    """What the host did in a case in which it uses a buffer piece by piece; empty elsewhere."""
    own, world = guest.own, guest.world
    if world.user[0].reports:
        return tell_report(guest, before)
    if not guest.rule[FINE_HOST] or before["host_at"] == own[HOST_AT] == IDLE:
        return ""
    at = before["used"] % world.ring.blocks.shape[1]
    pages = pages_named(*map(int, world.ring.blocks[0, at]))
    piece = before["host_at"] & ~COUNTED
    if piece == IDLE:
        late = "" if own[HOST_AT] & COUNTED else ", too late for the migration"
        return f"{restarted(guest, before)}pops the hint for {pages}{late}"
    if piece == TO_DISCARD:
        return f"discards {pages}" + lost_pages(guest, before)
    if piece == TO_USE:
        return f"has used the hint for {pages}"
    if own[HOST_WORD]:
        return "reads a word of the bitmap"
    cleared = before["bitmap"] & ~int(world.dirty.bitmap[0])
    return f"takes {pages_of(cleared)} of the hint out of the bitmap"


def tell_host(guest, before: dict) -> str:
    """What the host did."""
    world = guest.world
    if said := tell_piece(guest, before):
        return said
    if world.ring.count[0, USED] == before["used"]:
        return "finds the ring empty and sleeps"
    at = before["used"] % world.ring.blocks.shape[1]
    node, order = map(int, world.ring.blocks[0, at])
    said = f"{restarted(guest, before)}uses the hint for {pages_named(node, order)}"
    cleared = before["bitmap"] & ~int(world.dirty.bitmap[0])
    record = world.user[0]
    if record.hinting == HINT_START and world.ring.count[0, USED] > record.valid_from:
        said += f", and takes {pages_of(cleared)} out of the bitmap"
    else:
        said += ", too late for the migration"
    return said + lost_pages(guest, before)


def tell_elsewhere(guest, choice: int, before: dict) -> str:
    """What a snapshot's or an early switch-over's thread did, or a bug's; empty if none did."""
    own, phase = guest.own, before["phase"]
    if guest.rule[SNAPSHOT] and choice != CANCEL:
        if choice == GO_ON:
            return "is a snapshot's, and asks for hints"
        return "pauses the vCPUs" if phase == PRECOPY else "takes the snapshot; the guest goes on"
    if choice == SWITCH:
        dirty = pages_of(int(guest.world.dirty.bitmap[0]))
        return f"lets the guest go on at the destination, with {dirty} to send behind it"
    if phase == AT_DESTINATION:
        return "sends a page behind the guest" if own[PHASE] == phase else "has sent all"
    if own[SENDER_WORD]:
        return "reads a word of the bitmap, to take a page out of it"
    if before["sender_saw"]:
        return "clears what it saw of the chunk"
    if own[SENDER_SAW]:
        return f"takes page {int(own[READING]) - 1} out of the bitmap, and looks at its chunk"
    if before["sender_word"]:
        return "writes the word back without the page"
    if choice == GO_ON and phase == SYNCED == own[PHASE]:
        return "lets the device wait for a new id"
    return ""
