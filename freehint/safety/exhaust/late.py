"""States that wait to be looked up in the hash table.

The table is much larger than the caches, so a look-up would wait 0.1 µs for memory.  So a state's
place in it is asked for when its hash is known, and looked at some steps later, when it has come.
The states are looked up in the order in which they were found, so nothing else differs.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.jit.flat import prefetch
from freehint.safety.check import check_owners
from freehint.safety.exhaust.lasso import OWN
from freehint.safety.guest import FINE
from freehint.safety.pack import digest, is_changed, is_new, keep_words, pack, restore_words

WAITING = 16  # states at most

# Entries of ``count``.  MEMORY is the number of changing words that are the allocator's; PUT and
# LOOKED_UP count states that have begun and that have ceased to wait.
(
    ROW,
    NEXT,
    STATES,
    FIRST,
    TRANSITIONS,
    VIOLATION,
    BY_STATE,
    BY_STEP,
    MEMORY,
    PUT,
    LOOKED_UP,
    NR_COUNT,
) = range(12)
LOST_BYTE = -3  # a byte has changed that is not packed; beside FINE and the violations
PARENT, STEP, SINCE, MOVED = range(4)  # columns of Late.about


class Late(NamedTuple):
    """The states that wait.

    words : uint64[WAITING, n]     the words of the arena that change
    bytes : uint8[WAITING, 8 * n]  the same
    key : uint64[WAITING]          their hashes
    about : int64[WAITING, 4]      number of the state before it; step; steps done until then;
                                   1 if the allocator's words differ from the state before it
    at : uint64[n]                 where the words are in the arena
    places : uint64[m]             where the packed bytes are in a row of ``bytes``
    first, bits : uint64[n]        first values of the words, and bits that are not packed
    """

    words: np.ndarray
    bytes: np.ndarray
    key: np.ndarray
    about: np.ndarray
    at: np.ndarray
    places: np.ndarray
    first: np.ndarray
    bits: np.ndarray


def no_states(cells: np.ndarray, words: np.ndarray, bits: np.ndarray) -> Late:
    """Room for the states that wait.

    Parameters
    ----------
    cells : uint64[m]
        The packed bytes' places in the arena, ascending.
    words, bits : uint64[w]
        The arena in its first state; its bits that are not packed.
    """
    at = np.unique(cells // 8)
    kept = np.zeros((WAITING, len(at)), np.uint64)
    return Late(
        words=kept,
        bytes=kept.view(np.uint8).reshape(WAITING, 8 * len(at)),
        key=np.zeros(WAITING, np.uint64),
        about=np.zeros((WAITING, 4), np.int64),
        at=at,
        places=np.searchsorted(at, cells // 8).astype(np.uint64) * 8 + cells % 8,
        first=words[at],
        bits=bits[at],
    )


@kernel(inline=True)
def put_off(words, late, base, table, count, parent, step):
    """Let the state of the arena wait, and return its hash.

    ``base`` are the words of the state before it.
    """
    slot = count[PUT] % WAITING
    values, about = late.words[slot], late.about[slot]
    keep_words(words, late.at, values)
    key = digest(values)
    late.key[slot] = key
    prefetch(table, np.int64(key & np.uint64(table.shape[0] - 1)))
    about[PARENT], about[STEP], about[SINCE] = parent, step, count[TRANSITIONS]
    about[MOVED] = is_changed(values, base, count[MEMORY])
    count[PUT] += 1
    return key


@kernel(inline=True)
def note_new(guest, words, late, slot, following, tables, count):
    """Note a new state; the result is FINE, a violation, or LOST_BYTE."""
    values, about = late.words[slot], late.about[slot]
    lost = np.uint64(0)
    for i in range(values.shape[0]):
        lost |= (values[i] ^ late.first[i]) & late.bits[i]
    if lost != 0 or about[MOVED]:
        restore_words(words, late.at, values)
        came_to = LOST_BYTE if lost != 0 else check_owners(guest)
        if came_to != FINE:
            count[VIOLATION], count[BY_STATE] = max(came_to, FINE), about[PARENT]
            count[BY_STEP], count[TRANSITIONS] = about[STEP], about[SINCE]
            return came_to
    _, parents, steps, edges = tables
    if edges.shape[0] > 0:
        edges[count[STATES], OWN] = late.key[slot]
    pack(late.bytes[slot], late.places, following[count[NEXT]])
    parents[count[STATES]], steps[count[STATES]] = about[PARENT], about[STEP]
    count[NEXT] += 1
    count[STATES] += 1
    return FINE


@kernel(cold=True)
def look_up(guest, words, late, following, tables, count, most):
    """Look up states until at most ``most`` still wait.

    The arena may hold any of them afterwards.

    Returns
    -------
    int
        FINE, the first violation, or LOST_BYTE.
    """
    table, _, _, _ = tables
    while count[PUT] - count[LOOKED_UP] > most:
        slot = count[LOOKED_UP] % WAITING
        count[LOOKED_UP] += 1
        if is_new(table, late.key[slot]):
            came_to = note_new(guest, words, late, slot, following, tables, count)
            if came_to != FINE:
                return came_to
    return FINE
