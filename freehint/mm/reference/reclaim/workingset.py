"""Which evicted pages come back so soon that they were in use.

Source: mm/workingset.c and lru_note_cost() of mm/swap.c, Linux 6.1.
"""

from freehint.mm.reference.reclaim.lists import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    EVICTABLE,
    INACTIVE_ANON,
    INACTIVE_FILE,
    is_file,
    kind,
    lru_size,
    nr_pages,
)

AGES = 1 << 30  # a shadow keeps the age modulo this


def age_nonresident(reclaimer, flags):
    """Source: workingset_age_nonresident()."""
    reclaimer.node.nonresident_age += nr_pages(flags)


def workingset_eviction(reclaimer, flags):
    """The shadow of a page that is evicted now.  Source: workingset_eviction()."""
    shadow = reclaimer.node.nonresident_age % AGES, "workingset" in flags
    age_nonresident(reclaimer, flags)
    return shadow


def workingset_size(reclaimer, file):
    """Pages that an evicted page competes with.  Source: workingset_refault()."""
    lists = [ACTIVE_FILE] if file else [ACTIVE_FILE, INACTIVE_FILE]
    if None in reclaimer.slots:
        lists += [ACTIVE_ANON, INACTIVE_ANON] if file else [ACTIVE_ANON]
    return sum(lru_size(reclaimer, lru) for lru in lists)


def lru_note_cost(reclaimer, file, pages):
    """Source: lru_note_cost()."""
    node = reclaimer.node
    if file:
        node.file_cost += pages
    else:
        node.anon_cost += pages
    if node.anon_cost + node.file_cost > sum(lru_size(reclaimer, lru) for lru in EVICTABLE) // 4:
        node.anon_cost //= 2
        node.file_cost //= 2


def workingset_refault(reclaimer, flags, shadow):
    """Activate a page that is back within the working set's size.  Source: workingset_refault()."""
    counts, name, pages = reclaimer.counts, kind(flags), nr_pages(flags)
    eviction, was_in_workingset = shadow
    counts[f"workingset_refault_{name}"] += pages
    distance = (reclaimer.node.nonresident_age - eviction) % AGES
    if distance > workingset_size(reclaimer, is_file(flags)):
        return
    flags.add("active")
    age_nonresident(reclaimer, flags)
    counts[f"workingset_activate_{name}"] += pages
    if was_in_workingset:
        flags.add("workingset")
        lru_note_cost(reclaimer, is_file(flags), pages)
        counts[f"workingset_restore_{name}"] += pages
