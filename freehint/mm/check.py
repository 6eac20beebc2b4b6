"""``check_memory``: recount everything, walk every list both ways, name the first contradiction.

Invariants (docs/model.md has them with their reasons):

1. Every list is circular, next and prev agree, and only known nodes stand on it.
2. A block stands on one list, is aligned, lies in its zone, and its frame says where it stands.
3. No frame belongs to two blocks; frames inside a block are 0; no frame claims a list it is
   not on.
4. nr_free, pcp.count, nr_free_pages and nr_isolate_pageblock equal a recount.
5. No two free buddies below pageblock order are unmerged.
6. Where the profile has freelist hygiene, a block's list type is its pageblock's type.
7. Given a Reclaim: the LRU lists hold allocated pages, each once and on the list of its bits, as
   many as each zone counts; pages and places, places and swap slots name each other; what is
   dirty, under writeback or in swap equals a recount.
"""

import numpy as np

from freehint.jit.pinned import pinned
from freehint.mm.damage import (
    FREE_LIST,
    INSIDE_NOT_ZERO,
    MESSAGES,
    OK,
    PRIVATE_LIST,
    WRONG_ORDER,
    WRONG_PAGEBLOCK,
    WRONG_TYPE,
    recount,
)
from freehint.mm.memory import (
    MIGRATETYPE_NAMES,
    Memory,
    frame_order,
    frame_type,
    zone_name,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp import order_to_pindex


class InvariantError(Exception):
    """The memory's arrays contradict each other; the message names the first contradiction."""


def _place(memory, where) -> str:
    kind, zone, order, migratetype, cpu = (int(x) for x in where[:5])
    if kind == PRIVATE_LIST:
        return f"private list of user {cpu}: "
    if kind < 0:
        return ""
    name = f"zone {zone_name(memory, zone)}"
    if kind == FREE_LIST:
        return f"{name}, order {order}, {MIGRATETYPE_NAMES[migratetype]}: "
    return f"{name}, cpu {cpu}, pcp list {order_to_pindex(migratetype, order)}: "


def _check_lru(memory, reclaim) -> None:
    # Imported here: a guest without reclaim need not load it.
    from freehint.mm.reclaim.damage import lru_damage

    sentence = lru_damage(memory, reclaim, zone_name)
    if sentence:
        raise InvariantError(sentence)


def check_memory(memory: Memory, reclaim=None) -> None:
    """Raise if the arrays of ``memory`` contradict each other anywhere.

    It recounts every counter, walks every list both ways and looks at every frame, which takes
    about 3 ns per page frame.

    Parameters
    ----------
    reclaim : Reclaim, optional
        The guest's LRU lists, which are then checked too.

    Raises
    ------
    InvariantError
        The message names the first contradiction with its zone, list and pfn.

    Examples
    --------
    >>> import freehint as fh
    >>> fh.check_memory(fh.make_memory("64MiB"))
    """
    where = np.zeros(8, np.int64)
    # Pinned: a tuple of arrays would be passed on, and compiled, whole.
    code = recount(pinned(memory), np.zeros(memory.nr_pages, np.bool_), where)
    if code == OK:
        if reclaim is not None:
            _check_lru(memory, reclaim)
        return
    node, value, count = (int(x) for x in where[5:])
    if code in (WRONG_ORDER, WRONG_TYPE, INSIDE_NOT_ZERO, WRONG_PAGEBLOCK) and (
        0 <= node < memory.nr_pages
    ):
        frame = int(memory.frame[node])
        value = {
            WRONG_ORDER: frame_order(frame),
            WRONG_TYPE: frame_type(frame),
            INSIDE_NOT_ZERO: frame,
            WRONG_PAGEBLOCK: get_pageblock_migratetype(memory, node),
        }[code]
    text = MESSAGES[code].format(node=node, pfn=node + memory.base_pfn, value=value, count=count)
    raise InvariantError(_place(memory, where) + text)
