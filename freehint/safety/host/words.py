"""Sentences for the host's pieces, and for a migration that is not a plain pre-copy."""

import numpy as np

from freehint.engine.world.records import HINT_START
from freehint.engine.world.ring import USED
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
)
from freehint.safety.host.device import COUNTED, IDLE, TO_DISCARD, TO_USE
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
    return {name: int(guest.own[at]) for name, at in OWN.items()}


def lost_pages(guest, before: dict) -> str:
    """What a discard has taken from the guest; empty if nothing."""
    lost = np.flatnonzero((before["content"] > 0) & (guest.world.version == 0)).tolist()
    which = f"page{'s' if len(lost) > 1 else ''} {', '.join(map(str, lost))}"
    return f"; it discards what was written to {which}" if lost else ""


def restarted(guest, before: dict) -> str:
    """Whether a popped command id has started the device, by a bug."""
    changed = before["reenter"] != guest.own[REENTER]
    return "pops the old command id, which starts the device again; " if changed else ""


def tell_piece(guest, before: dict) -> str:
    """What the host did in a case in which it uses a buffer piece by piece; empty elsewhere."""
    own, world = guest.own, guest.world
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
