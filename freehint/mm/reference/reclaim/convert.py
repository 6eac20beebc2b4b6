"""Build a twin of a :class:`Reclaim` without pages, and compare the two."""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from freehint.mm.compact.state import Compaction
from freehint.mm.list import NEXT
from freehint.mm.memory import Memory
from freehint.mm.reclaim import state
from freehint.mm.reclaim.state import Reclaim, vmstat
from freehint.mm.reclaim.writeback import REQUEST_END
from freehint.mm.reference.compact.data import Compactor, ZoneMemory
from freehint.mm.reference.convert import differences as memory_differences
from freehint.mm.reference.convert import from_memory
from freehint.mm.reference.reclaim.kswapd import kswapd
from freehint.mm.reference.reclaim.lists import EVICTABLE, Reclaimer
from freehint.mm.reference.reclaim.workingset import AGES
from freehint.mm.reference.reclaim.writeback import nr_dirty

FLAGS = {
    "lru": state.PG_ON_LRU,
    "active": state.PG_ACTIVE,
    "referenced": state.PG_REFERENCED,
    "dirty": state.PG_DIRTY,
    "writeback": state.PG_WRITEBACK,
    "reclaim": state.PG_RECLAIM,
    "swapbacked": state.PG_SWAPBACKED,
    "workingset": state.PG_WORKINGSET,
    "mapped": state.PG_MAPPED,
    "young": state.PTE_YOUNG,
    "huge": state.PG_HUGE,
    "swapcache": state.PG_SWAPCACHE,
    "exec": state.PG_EXEC,
}
ZONE_FIELDS = [field.name for field in fields(ZoneMemory) if field.name != "zone"]


def from_reclaim(memory: Memory, reclaim: Reclaim) -> Reclaimer:
    """A twin of a guest whose LRU lists are empty and whose kswapd sleeps.

    Examples
    --------
    >>> import freehint as fh
    >>> from freehint.mm.reclaim.state import new_reclaim
    >>> memory = fh.make_memory("64MiB")
    >>> twin = from_reclaim(memory, new_reclaim(memory, places=100, swap_pages=4))
    >>> twin.slots
    [None, None, None, None]
    """
    twin = from_memory(memory)
    compactor = Compactor(twin, [ZoneMemory(zone) for zone in twin.zones])
    compactor.lru = [[] for _ in EVICTABLE]
    reclaimer = Reclaimer(compactor, len(reclaim.place), [None] * len(reclaim.swap_map))
    reclaimer.node.swappiness = int(reclaim.node[0].swappiness)
    reclaimer.kswapd = kswapd(reclaimer, 0)
    next(reclaimer.kswapd)
    return reclaimer


def lru_list(memory: Memory, reclaim: Reclaim, lru: int) -> list[int]:
    """The pfns of a list, the newest first."""
    head = node = memory.nr_pages + lru
    pfns = []
    while (node := int(reclaim.links[2 * node + NEXT])) != head:
        pfns.append(node + memory.base_pfn)
    return pfns


def flags_of(memory: Memory, reclaim: Reclaim) -> dict[int, set[str]]:
    """The flags of each folio that reclaim knows, by its first pfn."""
    return {
        int(node) + memory.base_pfn: {name for name, bit in FLAGS.items() if bits & bit}
        for node, bits in enumerate(reclaim.page.tolist())
        if bits
    }


def places_of(reclaimer: Reclaimer, base_pfn: int) -> np.ndarray:
    """The twin's places as Reclaim.place has them."""
    place = np.zeros(reclaimer.nr_places, np.int64)
    for at, pfn in reclaimer.page.items():
        place[at] = 1 + pfn - base_pfn
    for at, (age, workingset) in reclaimer.shadow.items():
        place[at] = -1 - (2 * (age % AGES) + workingset)
    return place


def on_disk(reclaim: Reclaim, base_pfn: int) -> list[int]:
    """The pfns in the writeback ring, the oldest first."""
    node, size = reclaim.node[0], len(reclaim.writeback)
    ring = [
        reclaim.writeback[(node.writeback_first + i) % size] for i in range(node.writeback_count)
    ]
    return [int(page) + base_pfn for page in ring if page >= 0]


def in_plug(reclaim: Reclaim, who: int, base_pfn: int) -> list[int]:
    """The pfns that kswapd or the task has still to hand to the disk."""
    entries = reclaim.plug[who, : reclaim.control[who].plugged]
    return [int(entry & ~REQUEST_END) + base_pfn for entry in entries if entry >= 0]


def plugged(reclaimer: Reclaimer, kswapd: bool) -> list[int]:
    """The same of the twin."""
    requests = reclaimer.plugs[kswapd]
    return [pfn for request in requests for pfn, _ in request if pfn is not None]


def differences(reclaimer: Reclaimer, memory: Memory, reclaim: Reclaim) -> Iterator[str]:
    """Yield a sentence for each list, page, place and counter in which the two differ."""
    base, node, compactor = memory.base_pfn, reclaim.node[0], reclaimer.compactor
    yield from memory_differences(compactor.twin, memory)
    slots = [None if place == 0 else place - 1 for place in reclaim.swap_map.tolist()]
    swap = {at: slot - 1 for at, slot in enumerate(reclaim.swap.tolist()) if slot}
    backed = {at + base: slot - 1 for at, slot in enumerate(reclaim.slot.tolist()) if slot}
    pairs = {
        "flags": (reclaimer.flags, flags_of(memory, reclaim)),
        "places of pages": (compactor.place, backed),
        "places": (places_of(reclaimer, base).tolist(), reclaim.place.tolist()),
        "swap": (reclaimer.swap, swap),
        "swap slots": (reclaimer.slots, slots),
        "swap_free": (reclaimer.slots.count(None), int(node.swap_free)),
        "swap_next": (reclaimer.swap_next, int(node.swap_next)),
        "pages on their way to the disk": (reclaimer.disk, on_disk(reclaim, base)),
        "kswapd's plug": (plugged(reclaimer, True), in_plug(reclaim, state.BY_KSWAPD, base)),
        "the task's plug": (plugged(reclaimer, False), in_plug(reclaim, state.BY_TASK, base)),
        "nr_writeback": (
            sum("writeback" in flags for flags in reclaimer.flags.values()),
            int(node.nr_writeback),
        ),
        "nr_dirty": (nr_dirty(reclaimer), int(node.nr_dirty)),
        "freed pages": (reclaimer.freed, (reclaim.freed[: node.nr_freed] + base).tolist()),
        "counters": ({name: n for name, n in reclaimer.counts.items() if n}, vmstat(reclaim)),
    }
    for lru in EVICTABLE:
        theirs = lru_list(memory, reclaim, lru)
        pairs[state.LIST_NAMES[lru]] = compactor.lru[lru], theirs
    for record in (reclaimer.node, reclaimer.request):
        for field in fields(record):
            pairs[field.name] = getattr(record, field.name), int(node[field.name])
    for name, (ours, theirs) in pairs.items():
        if ours != theirs:
            yield f"{name}: {contrast(ours, theirs)}"
    yield from compaction_differences(compactor, reclaim.compaction)


def contrast(ours, theirs) -> str:
    """What the twin and the kernels have, of dicts and lists only where they differ."""
    if isinstance(ours, list) and len(ours) == len(theirs):
        ours, theirs = dict(enumerate(ours)), dict(enumerate(theirs))
    if isinstance(ours, dict):
        keys = sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k))
        ours, theirs = ({k: side.get(k) for k in keys} for side in (ours, theirs))
    return f"twin {ours}, kernels {theirs}"


def compaction_differences(compactor: Compactor, compaction: Compaction) -> Iterator[str]:
    """Yield a sentence for each field of a zone's compaction in which the two differ."""
    for ours, theirs in zip(compactor.zones, compaction.zone, strict=True):
        for name in ZONE_FIELDS:
            mine, value = getattr(ours, name), theirs[f"compact_{name}"].tolist()
            if mine != value:
                yield f"zone {ours.zone.name}: compact_{name}: twin {mine}, kernels {value}"
