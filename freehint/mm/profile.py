"""Kernel versions as data: there is one allocator, and a profile says how it behaves.

A profile is a NamedTuple of numbers, so it passes into kernels inside :class:`Memory`.  Each field
names a rule.  Where kernel versions differ, one small function in ``mm/`` reads the field (search
for its name); all other code is shared.

Source: mm/page_alloc.c of v4.15, v5.10.228, Debian's 6.1.192, 6.12.95 and 7.3.4.
"""

import re
from typing import NamedTuple

# At pageblock order and above: which free buddies do not merge?  (__free_one_page)
MERGE_UNLESS_ISOLATE, MERGE_LIKE_TYPES = range(2)
# When a type's lists are empty: do blocks move to its lists, which are then tried again, or does
# a claimed pageblock or a stolen block serve the request itself?  (__rmqueue)
FALLBACK_MOVES, FALLBACK_CLAIMS = range(2)
# How small may a stolen block be, if a request must not mix types within pageblocks?
# (__rmqueue_fallback)  ANY_ORDER: 5.10 forgot that an order-10 request needs more than order 9.
NOFRAGMENT_NONE, NOFRAGMENT_ANY_ORDER, NOFRAGMENT_SMALL_ORDERS = range(3)
# Who may use the reserves, and what for?  (__zone_watermark_ok, rmqueue_buddy)
RESERVES_HARDER, RESERVES_BY_FLAG = range(2)
# Which pcp pages does a drain take?  (free_pcppages_bulk)
DRAIN_ROUND_ROBIN, DRAIN_WHOLE_LISTS = range(2)
# How many pages does it take when the lists are full?  (free_unref_page_commit, nr_pcp_free)
FREE_A_BATCH, FREE_DOUBLING, FREE_RUN_LENGTH = range(3)
# Where does pcp.high come from?  (pageset_set_batch; zone_highsize)
HIGH_SIX_BATCHES, HIGH_LOW_WATERMARK, HIGH_AUTO_TUNED = range(3)
# How does compaction go on after a failure, and what does it keep in hand?  (compact_zone,
# compaction_alloc)  COMPACT_BLOCKS has the rules of 6.3 to 6.10.
COMPACT_PAGES, COMPACT_BLOCKS = range(2)


class Profile(NamedTuple):
    """The rules that differ between kernel versions.

    release : int            100 * major + minor, e.g. 601 for Linux 6.1

    buddy and fallback
    merge_rule : int         MERGE_..: merges of whole pageblocks
    fallback : int           FALLBACK_..
    fpi_flags : bool         FPI_TO_TAIL exists: putback goes to the tail
    steal_to_tail : bool     stolen blocks go to the tail (else to the head)
    watermark_boost : bool   stealing less than a pageblock boosts the watermarks
    nofragment : int         NOFRAGMENT_..
    reserves : int           RESERVES_..
    fast_check_ignores_reserve : bool  order-0 watermark tests do not subtract the HIGHATOMIC
        reserve
    small_zones_reserve : bool  zones of less than 100 pageblocks may have a HIGHATOMIC reserve
    watermarks_count_reserve : bool  the whole HIGHATOMIC reserve counts as taken, else only
        its free pages
    high_ignores_boost : bool  any order-0 request with __GFP_HIGH ignores the boost of the min
        watermark (from 6.3 on), else only one with GFP_ATOMIC does
    freelist_hygiene : bool  a free block's list type equals its pageblock's type (from 6.10 on)
    isolation_keeps_type : bool  an isolated pageblock keeps its type and goes back to it (7.3)
    highatomic_skips_pcp : bool  a high-order atomic request never refills a pcp list but goes to
        the buddy lists, where alone the HIGHATOMIC reserve grows (7.3)

    lru_gen : bool           the multi-generation LRU is on by default, as 6.12 has it
    compaction : int         COMPACT_..
    proactive_compaction : bool  kcompactd compacts in the background (from 5.9 on)
    reporting_fits_ring : bool  a report of free page reporting is no larger than the ring (7.3)

    pcp lists
    pcp_max_order : int      highest small order kept on pcp lists (3 = PAGE_ALLOC_COSTLY_ORDER)
    pcp_thp : bool           order 9 has two pcp lists of its own (movable, the rest)
    pcp_drain : int          DRAIN_..
    pcp_free : int           FREE_..
    batch_scale_max : int    CONFIG_PCP_BATCH_SCALE_MAX: limit of pcp batch doubling
    reclaim_limits_pcp : bool  ZONE_RECLAIM_ACTIVE lowers pcp.high to four batches
    pcp_batch_cap : int      upper limit of four batches, in pages
    pcp_high : int           HIGH_..
    free_high_adds_high_min : bool  a run of frees of orders 1..3 drains all pages only when it is
        longer than a batch by half of high_min (7.3)
    drain_in_chunks : bool   a drain after a free goes batch by batch, the locks dropped between
        (7.3)
    """

    release: int
    merge_rule: int
    fallback: int
    fpi_flags: bool
    steal_to_tail: bool
    watermark_boost: bool
    nofragment: int
    reserves: int
    fast_check_ignores_reserve: bool
    small_zones_reserve: bool
    watermarks_count_reserve: bool
    high_ignores_boost: bool
    freelist_hygiene: bool
    isolation_keeps_type: bool
    highatomic_skips_pcp: bool
    lru_gen: bool
    compaction: int
    proactive_compaction: bool
    reporting_fits_ring: bool
    pcp_max_order: int
    pcp_thp: bool
    pcp_drain: int
    pcp_free: int
    batch_scale_max: int
    reclaim_limits_pcp: bool
    pcp_batch_cap: int
    pcp_high: int
    free_high_adds_high_min: bool
    drain_in_chunks: bool


# v4.15, the kernel of the free page hinting thread.  No recording of it exists: where 5.10 has the
# same rules its recordings support them (buddy lists, pcp lists; frag and cache of 5.10 replay by
# either), and the fields that differ from 5.10's are from the source alone.
LINUX_4_15 = Profile(
    release=415,
    merge_rule=MERGE_UNLESS_ISOLATE,
    fallback=FALLBACK_MOVES,
    fpi_flags=False,
    steal_to_tail=False,
    watermark_boost=False,
    nofragment=NOFRAGMENT_NONE,
    reserves=RESERVES_HARDER,
    fast_check_ignores_reserve=True,
    small_zones_reserve=True,
    watermarks_count_reserve=True,
    high_ignores_boost=False,
    freelist_hygiene=False,
    isolation_keeps_type=False,
    highatomic_skips_pcp=False,
    lru_gen=False,
    compaction=COMPACT_PAGES,
    proactive_compaction=False,
    reporting_fits_ring=False,
    pcp_max_order=0,
    pcp_thp=False,
    pcp_drain=DRAIN_ROUND_ROBIN,
    pcp_free=FREE_A_BATCH,
    batch_scale_max=0,
    reclaim_limits_pcp=False,
    pcp_batch_cap=512 * 1024 // 4096,
    pcp_high=HIGH_SIX_BATCHES,
    free_high_adds_high_min=False,
    drain_in_chunks=False,
)
# 5.10.223-1 of Debian (read in v5.10.228): the first long-term kernel with FPI flags and free page
# reporting.
LINUX_5_10 = LINUX_4_15._replace(
    release=510,
    fpi_flags=True,
    steal_to_tail=True,
    watermark_boost=True,
    proactive_compaction=True,
    nofragment=NOFRAGMENT_ANY_ORDER,
    fast_check_ignores_reserve=False,
    pcp_batch_cap=1024 * 1024 // 4096,
)
# 6.1.192-2 of Debian.
LINUX_6_1 = LINUX_5_10._replace(
    release=601,
    merge_rule=MERGE_LIKE_TYPES,
    nofragment=NOFRAGMENT_SMALL_ORDERS,
    reserves=RESERVES_BY_FLAG,
    pcp_max_order=3,
    pcp_thp=True,
    pcp_drain=DRAIN_WHOLE_LISTS,
    pcp_free=FREE_DOUBLING,
    batch_scale_max=5,
    reclaim_limits_pcp=True,
    pcp_high=HIGH_LOW_WATERMARK,
)
# 6.12.95-1~bpo12+1 of Debian.
LINUX_6_12 = LINUX_6_1._replace(
    release=612,
    fallback=FALLBACK_CLAIMS,
    small_zones_reserve=False,
    watermarks_count_reserve=False,
    high_ignores_boost=True,
    freelist_hygiene=True,
    lru_gen=True,
    compaction=COMPACT_BLOCKS,
    pcp_free=FREE_RUN_LENGTH,
    pcp_high=HIGH_AUTO_TUNED,
)

# 7.3.4-1~bpo13+1 of Debian.
LINUX_7_3 = LINUX_6_12._replace(
    release=703,
    isolation_keeps_type=True,
    highatomic_skips_pcp=True,
    reporting_fits_ring=True,
    free_high_adds_high_min=True,
    drain_in_chunks=True,
)

PREEMPTIBLE = 700  # from this release on x86 kernels are always preemptible

PROFILES = {
    "4.15": LINUX_4_15,
    "5.10": LINUX_5_10,
    "6.1": LINUX_6_1,
    "6.12": LINUX_6_12,
    "7.3": LINUX_7_3,
}


def profile_name(profile: Profile) -> str:
    """Name of a profile, for example ``"6.1"`` for release 601."""
    return f"{profile.release // 100}.{profile.release % 100}"


def profile_for_kernel(version: str) -> Profile:
    """Profile of a kernel release string.

    Parameters
    ----------
    version : str
        As ``uname -r`` prints it, e.g. ``"6.1.0-56-cloud-amd64"``.

    Raises
    ------
    ValueError
        There is no profile for that version.
    """
    short = ".".join(version.split(".")[:2])
    if short not in PROFILES:
        there = ", ".join(PROFILES)
        near = _nearest(short)
        nearest = f"; the nearest is {near}, which is not used in its place" if near else ""
        raise ValueError(f"no profile for kernel {version!r}; there are {there}{nearest}")
    return PROFILES[short]


def _nearest(short: str) -> str | None:
    """The name of the profile that is the fewest releases away, the older of two; None if unclear.

    Linux went from 4.20 to 5.0, from 5.19 to 6.0 and from 6.19 to 7.0.
    """

    def number(name: str) -> int:
        major, minor = map(int, name.split("."))
        return {4: 0, 5: 21, 6: 41}.get(major, 61 + 20 * (major - 7)) + minor

    if not re.fullmatch(r"[4-9]\.\d{1,2}", short):
        return None
    return min(PROFILES, key=lambda name: abs(number(name) - number(short)))
