"""Compaction's fast search rotates a free list: the blocks passed over go to the tail.

Source: mm/compaction.c, Linux 6.1 and 6.12.
"""


def move_freelist_head(pfns, pfn):
    """Rotate the list until ``pfn`` is first.  Source: move_freelist_head()."""
    at = pfns.index(pfn)
    pfns[:] = pfns[at:] + pfns[:at]


def move_freelist_tail(pfns, pfn):
    """Rotate the list until ``pfn`` is last.  Source: move_freelist_tail()."""
    behind = pfns.index(pfn) + 1
    pfns[:] = pfns[behind:] + pfns[:behind]
