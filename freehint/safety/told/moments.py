"""Each moment of a schedule as the player of schedules shows it.

The explorer keeps of a page only whether it is written, and whether the destination has the last
write.  Here writes are counted, so that a reader sees which one the destination has.
"""

from freehint.engine.world.records import (
    HINT_REQUESTED,
    HINT_START,
    PUBLISHING,
    WAIT_RING,
    WAIT_USED,
)
from freehint.engine.world.ring import ADDED, USED
from freehint.mm.list import list_next
from freehint.mm.memory import BUDDY, ISOLATED, MOVABLE, frame_order, free_list_head
from freehint.safety.check import PROPERTIES
from freehint.safety.guest import (
    AT_DESTINATION,
    ENDED,
    HINTS_STOPPED,
    NOT_YET,
    PHASE,
    PRECOPY,
    SNAPSHOT,
    START_DUE,
    SYNCED,
    WALKING,
)
from freehint.safety.host.words import pages_named
from freehint.safety.told.bounds import bounds_in_words
from freehint.safety.trace import Player, play_all, read_schedule

PHASES = {
    NOT_YET: "no migration yet",
    PRECOPY: "sends pages, the guest runs",
    HINTS_STOPPED: "hints stopped, a sync is next",
    SYNCED: "synced, hints not asked for yet",
    ENDED: "over",
    AT_DESTINATION: "the guest runs at the destination",
}
SNAPSHOT_PHASES = PHASES | {
    NOT_YET: "no snapshot yet",
    PRECOPY: "asks for hints",
    HINTS_STOPPED: "vCPUs paused",
}
WORKER = {
    PUBLISHING: "puts hints on the ring",
    WAIT_RING: "waits for a descriptor",
    WAIT_USED: "waits until its hints are used",
}


class Moments:
    """A schedule that is played, and what there is to see before and after each step.

    Parameters
    ----------
    text : str
        A schedule.
    policy : Policy, optional
        As in :func:`freehint.safety.trace.read_schedule`.

    Raises
    ------
    InputError
        The string is no schedule, or a step cannot be taken.
    """

    def __init__(self, text: str, policy=None):
        self.case, steps = read_schedule(text, policy)
        self.player = Player(self.case, self._see)
        pages = self.case.frames
        self.written, self.sent = dict.fromkeys(pages, 0), dict.fromkeys(pages, 0)
        self._see()
        self.moments = [self.seen | {"step": "before the first step", "breaks": ""}]
        for sentence, came_to in play_all(self.player, steps):
            breaks = PROPERTIES.get(came_to, "")
            self.moments.append(self.seen | {"step": sentence, "breaks": breaks})

    def _see(self) -> None:
        """Look at the guest after a step, before it is brought to its canonical form."""
        guest = self.player.guest
        world, own = guest.world, guest.own
        phases = SNAPSHOT_PHASES if guest.rule[SNAPSHOT] else PHASES
        record = world.user[0]
        self.seen = {
            "pages": [self._page(page) for page in self.case.frames],
            "lists": self._lists(),
            "ring": self._ring(),
            "phase": phases[int(own[PHASE])],
            "device": self._device(int(record.hinting), bool(own[START_DUE])),
            "worker": WORKER.get(int(record.mode), "walks" if own[WALKING] else "asleep"),
        }

    def _page(self, page: int) -> dict:
        """A page: its number, owner, writes, and which of them the destination has."""
        world = self.player.guest.world
        now, copy = int(world.version[page]), int(world.copy[page])
        before = int(self.written[page] > 0)  # the canonical form has no more
        self.written[page] = self.written[page] + (now > before) if now >= before else 0
        if copy == now:
            self.sent[page] = self.written[page]
        elif copy == 0:
            self.sent[page] = 0
        return {
            "page": page,
            "owner": self._owner(page),
            "written": self.written[page],
            "sent": self.sent[page],
            "to_send": bool(int(world.dirty.bitmap[0]) >> page & 1),
            "logged": bool(int(world.dirty.log[0]) >> page & 1),
        }

    def _owner(self, page: int) -> str:
        """Whose a page is: ``vCPU 0``, ``free``, ``held`` or ``nobody``."""
        world = self.player.guest.world
        for cpu in range(world.cpu.shape[0]):
            for entry in world.held[cpu, : world.cpu[cpu].nr_blocks].tolist():
                if entry >> 4 <= page < (entry >> 4) + (1 << (entry & 15)):
                    return f"vCPU {cpu}"
        for head in self.case.frames:
            frame = int(world.memory.frame[head])
            if frame & (BUDDY | ISOLATED) and head <= page < head + (1 << frame_order(frame)):
                return "free" if frame & BUDDY else "held"
        return "nobody"

    def _lists(self) -> list:
        """The free lists that have a block, largest order first: [order, blocks]."""
        memory, found = self.player.guest.world.memory, []
        for order in range(self.case.block_order, -1, -1):
            head = free_list_head(memory, 0, order, MOVABLE)
            node, blocks = int(list_next(memory.links, head)), []
            while node != head and len(blocks) <= len(self.case.frames):
                if node < memory.nr_pages:
                    blocks.append(pages_named(node, order))
                node = int(list_next(memory.links, node))
            if blocks:
                found.append([order, blocks])
        return found

    def _ring(self) -> list:
        """The descriptors: the pages of each hint that the host has not used, or ""."""
        world = self.player.guest.world
        size = world.ring.blocks.shape[1]
        used, added = int(world.ring.count[0, USED]), int(world.ring.count[0, ADDED])
        entries = [{"hint": "", "pages": []} for _ in range(size)]
        for at in range(used, added):
            node, order = map(int, world.ring.blocks[0, at % size])
            pages = list(range(node, node + (1 << order)))
            entries[at % size] = {"hint": pages_named(node, order), "pages": pages}
        return entries

    def _device(self, hinting: int, due: bool) -> str:
        if hinting == HINT_START:
            return "takes hints"
        waits = "the command id is on its way" if due else "waits for the first hint"
        return waits if hinting == HINT_REQUESTED else "takes no hints"

    def hurt(self) -> list:
        """The pages that the violation at the last step is about."""
        before, last = self.moments[-2:] if len(self.moments) > 1 else self.moments * 2
        which = last["breaks"].partition(":")[0]
        if not which:
            return []
        found = []
        for old, page in zip(before["pages"], last["pages"], strict=True):
            in_use = page["owner"].startswith("vCPU")
            lacks = in_use and page["written"] != page["sent"]
            gone = in_use and old["written"] > 0 and page["written"] == 0
            kept = page["owner"] == "held"
            if {"P1": lacks, "P7": lacks, "P3": gone, "P5": kept}.get(which, False):
                found.append(page["page"])
        return found

    def payload(self) -> dict:
        """All that the player of schedules shows, as JSON can hold it."""
        return {
            "policy": self.case.chosen.name,
            "bounds": bounds_in_words(self.case),
            "moments": self.moments,
            "hurt": self.hurt(),
        }
