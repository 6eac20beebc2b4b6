"""What backs a guest's pages on its host, and what becomes of it when the host discards a block.

A page is *present* (World.present) while the host has memory behind it.  The host's backends differ
in what a discard does:

=============  ==================================================================================
backend        what a discard does
=============  ==================================================================================
dontneed       MADV_DONTNEED on private anonymous memory: the memory is freed at once
punch_hole     FALLOC_FL_PUNCH_HOLE on a memory file: the same for the guest
free           MADV_FREE: the pages stay, with their content, until the host runs short; a write
               before that keeps the page
nothing        MADV_DONTNEED on a shared mapping of a memory file: it reports success and frees
               nothing, because the file keeps the pages
=============  ==================================================================================

With transparent huge pages the first touch backs a whole granule of 2 MiB; discarding a part of it
splits it, and what is touched of that part later is backed by small pages.  Hugetlb backs and
discards whole granules only: a smaller block is refused.  khugepaged, which would join small pages
again, is left out.

Source: madvise_dontneed_single_vma(), madvise_free_single_vma() of mm/madvise.c,
do_huge_pmd_anonymous_page(), hugetlb_fault(), shmem_fallocate(), Linux 6.1; firecracker issue
#6167 for "nothing".
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.bitmap import clear_bit, set_bit, test_bit
from freehint.mm.memory import PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER

BACKENDS = ("dontneed", "punch_hole", "free", "nothing")
PAGES = ("4KiB", "thp", "hugetlb")
DONTNEED, PUNCH_HOLE, FREE, NOTHING = range(len(BACKENDS))
SMALL, THP, HUGETLB = range(len(PAGES))
# Entries of Backing.rule.
(
    SPECIAL,  # 1: another way than small pages that are freed at once
    BACKEND,
    KIND,  # of pages: SMALL ..
    HUGE_FAULT_NS,  # a first touch that backs a granule
    CHUNK_SHIFT,  # log2 of the pages that are loaded from a snapshot at a time
    LOAD_NS,  # a load of one chunk
    NR_RULES,
) = range(7)
# Entries of Backing.count.
COUNTS = (
    "huge_faults",  # number of first touches that backed a granule
    "splits",  # granules
    "refused_pages",  # of blocks that hugetlb cannot discard
    "kept_pages",  # resident pages of discards that freed nothing
    "lazy_pages",  # pages given to MADV_FREE
    "revived_pages",  # of those, written before the host took them
    "loads",  # number of chunks loaded from a snapshot because a page was touched
    "loaded_pages",
)
HUGE_FAULTS, SPLITS, REFUSED, KEPT, LAZY, REVIVED, LOADS, LOADED = range(len(COUNTS))


class Backing(NamedTuple):
    """What backs a guest of ``n`` pages; the arrays are empty where nothing needs them.

    lazy : uint64[n / 64 or 0]      pages given to MADV_FREE that still have their content
    late : uint64[n / 64 or 0]      of these, what the guest had taken back before
    whole : uint64[n / 2^15 or 0]   granules of 2 MiB that one huge page backs, one bit each
    stored : uint64[n / 64 or 0]    pages that a snapshot holds and that are not loaded yet
    touched : uint64[n / 64 or 0]   pages touched while absent, since the guest was resumed
    rule : int64[6], count : int64[8]
    """

    lazy: np.ndarray
    late: np.ndarray
    whole: np.ndarray
    stored: np.ndarray
    touched: np.ndarray
    rule: np.ndarray
    count: np.ndarray


def new_backing(nr_pages=0, backend="dontneed", pages="4KiB", huge_fault_ns=0, parks=False):
    """The backing of a guest of whose pages none is present.

    Parameters
    ----------
    nr_pages : int
        0 for a guest whose host keeps no account of its pages.
    backend, pages : str
        Of BACKENDS and PAGES.
    huge_fault_ns : int
    parks : bool
        Whether the guest is to be restored from a snapshot.

    Returns
    -------
    Backing
    """
    words, granules = nr_pages // 64, -(-nr_pages // PAGEBLOCK_NR_PAGES)
    lazy = words if backend == "free" else 0
    rule = np.zeros(NR_RULES, np.int64)
    rule[BACKEND], rule[KIND] = BACKENDS.index(backend), PAGES.index(pages)
    rule[HUGE_FAULT_NS] = huge_fault_ns
    rule[SPECIAL] = rule[KIND] != SMALL or rule[BACKEND] in (FREE, NOTHING)
    return Backing(
        lazy=np.zeros(lazy, np.uint64),
        late=np.zeros(lazy, np.uint64),
        whole=np.zeros(-(-granules // 64) if pages != "4KiB" else 0, np.uint64),
        stored=np.zeros(words if parks else 0, np.uint64),
        touched=np.zeros(words if parks else 0, np.uint64),
        rule=rule,
        count=np.zeros(len(COUNTS), np.int64),
    )


@kernel(inline=True)
def is_special(backing):
    """Do faults and discards need more than a bit of World.present?"""
    return backing.rule[SPECIAL] != 0


@kernel(inline=True)
def first_of_granule(page):
    """The first page of a page's granule."""
    return page & ~(PAGEBLOCK_NR_PAGES - 1)


@kernel
def is_empty(backing, present, first):
    """Has a granule neither a present page nor one that is still in a snapshot?"""
    for word in range(first >> 6, (first + PAGEBLOCK_NR_PAGES) >> 6):
        if present[word] != 0 or (backing.stored.shape[0] and backing.stored[word] != 0):
            return False
    return True


@kernel
def load_chunk(backing, present, page):
    """Load a page's chunk from the snapshot; pages of it that are present already stay.

    Returns
    -------
    int
        The pages that are newly present.
    """
    size, loaded = 1 << backing.rule[CHUNK_SHIFT], 0
    first = page & ~(size - 1)
    for one in range(first, min(first + size, 64 * present.shape[0])):
        if test_bit(backing.stored, one):
            clear_bit(backing.stored, one)
            set_bit(present, one)
            loaded += 1
    backing.count[LOADS] += 1
    backing.count[LOADED] += loaded
    return loaded


@kernel
def provide(backing, present, page, fault_ns):
    """Make an absent page present, with its granule or its chunk.

    Returns
    -------
    int
        Time in ns that it takes.
    """
    if backing.touched.shape[0]:
        set_bit(backing.touched, page)
        if test_bit(backing.stored, page):
            load_chunk(backing, present, page)
            return backing.rule[LOAD_NS]
    first = first_of_granule(page)
    if backing.rule[KIND] != SMALL and is_empty(backing, present, first):
        for one in range(first, first + PAGEBLOCK_NR_PAGES):
            set_bit(present, one)
        set_bit(backing.whole, first >> PAGEBLOCK_ORDER)
        backing.count[HUGE_FAULTS] += 1
        return backing.rule[HUGE_FAULT_NS]
    set_bit(present, page)
    return fault_ns


@kernel
def free_lazily(backing, page, late):
    """Give a present page to MADV_FREE; ``late``: the guest has taken it back meanwhile."""
    if not test_bit(backing.lazy, page):
        set_bit(backing.lazy, page)
        backing.count[LAZY] += 1
    if late:
        set_bit(backing.late, page)


@kernel(inline=True)
def take_lazy(backing, page):
    """Forget that a page was given to MADV_FREE; return whether that was too late."""
    late = test_bit(backing.late, page)
    clear_bit(backing.lazy, page)
    clear_bit(backing.late, page)
    return late


@kernel(inline=True)
def note_write(backing, page):
    """Keep a page that was given to MADV_FREE, because the guest writes it."""
    if backing.lazy.shape[0] and test_bit(backing.lazy, page):
        take_lazy(backing, page)
        backing.count[REVIVED] += 1


@kernel
def frees_block(backing, present, node, order):
    """Note a discard of a block; return whether its pages are freed at once."""
    pages = 1 << order
    if backing.rule[KIND] == HUGETLB and order < PAGEBLOCK_ORDER:
        backing.count[REFUSED] += pages
        return False
    if backing.rule[BACKEND] == NOTHING:
        for page in range(node, node + pages):
            backing.count[KEPT] += test_bit(present, page)
    if backing.rule[BACKEND] == NOTHING or backing.rule[BACKEND] == FREE:
        return False
    if backing.rule[KIND] != SMALL:
        for first in range(first_of_granule(node), node + pages, PAGEBLOCK_NR_PAGES):
            if test_bit(backing.whole, first >> PAGEBLOCK_ORDER):
                clear_bit(backing.whole, first >> PAGEBLOCK_ORDER)
                backing.count[SPLITS] += order < PAGEBLOCK_ORDER
    return True
