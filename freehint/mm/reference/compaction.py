"""What compaction's fast search does to a free list: blocks passed over go behind the others.

Source: mm/compaction.c, Linux 6.1 and 6.12.
"""


def move_freelist_head(pfns, pfn):
    """Turn the list until ``pfn`` is first.  Source: the same name."""
    at = pfns.index(pfn)
    pfns[:] = pfns[at:] + pfns[:at]


def move_freelist_tail(pfns, pfn):
    """Turn the list until ``pfn`` is last.  Source: the same name."""
    behind = pfns.index(pfn) + 1
    pfns[:] = pfns[behind:] + pfns[:behind]
