"""Kernel versions as data: one allocator, told by its profile.

A profile is a NamedTuple of numbers, so it passes into kernels inside :class:`Memory`.
"""

from typing import NamedTuple


class Profile(NamedTuple):
    """What differs between kernel versions.

    release : int            100 * major + minor, e.g. 601 for Linux 6.1
    pcp_max_order : int      highest small order kept on pcp lists (3 = PAGE_ALLOC_COSTLY_ORDER)
    pcp_thp : bool           order 9 has two pcp lists of its own (movable, the rest)
    free_factor_max : int    CONFIG_PCP_BATCH_SCALE_MAX: limit of pcp batch doubling
    freelist_hygiene : bool  a free block's list type equals its pageblock's type (6.10 on)
    """

    release: int
    pcp_max_order: int
    pcp_thp: bool
    free_factor_max: int
    freelist_hygiene: bool


# 6.1.192-2 of Debian.  Source: mm/page_alloc.c (order_to_pindex, nr_pcp_free, __free_one_page).
LINUX_6_1 = Profile(
    release=601, pcp_max_order=3, pcp_thp=True, free_factor_max=5, freelist_hygiene=False
)
# 6.12.95-1~bpo12+1 of Debian.  Its snapshots load, list and walk; its own allocator rules
# (claim and steal, pcp auto-tuning) are not built yet, so `simulate` refuses it.
LINUX_6_12 = Profile(
    release=612, pcp_max_order=3, pcp_thp=True, free_factor_max=5, freelist_hygiene=True
)

PROFILES = {"6.1": LINUX_6_1, "6.12": LINUX_6_12}


def profile_name(profile: Profile) -> str:
    """Name of a profile, ``"6.1"`` for release 601."""
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
        raise ValueError(f"no profile for kernel {version!r}; there are {', '.join(PROFILES)}")
    return PROFILES[short]
