"""How fragmented is free memory?  The kernel's two indices, from counts of free blocks.

Source: mm/vmstat.c of Linux 6.1, unusable_free_index() and __fragmentation_index(); the kernel
prints both in debugfs, extfrag/, times 1000.
"""

import numpy as np

from freehint.mm.memory import MAX_ORDER


def unusable_free_index(blocks, order) -> float:
    """Share of the free pages that a request of ``order`` cannot use.

    Parameters
    ----------
    blocks : int array[11]
        Free blocks of each order, all migratetypes together.
    order : int

    Returns
    -------
    float
        0 all free memory is in large enough blocks; 1 none is (also where nothing is free).
    """
    pages = np.asarray(blocks) << np.arange(MAX_ORDER)
    free = int(pages.sum())
    return 1.0 if free == 0 else (free - int(pages[order:].sum())) / free


def extfrag_index(blocks, order) -> float:
    """Would a request of ``order`` fail for want of memory (0) or for fragmentation (1)?

    Returns
    -------
    float
        -1 where it would not fail; the kernel compacts from 0.5 on
        (vm.extfrag_threshold = 500).
    """
    blocks = np.asarray(blocks)
    total = int(blocks.sum())
    if total == 0:
        return 0.0
    if blocks[order:].any():
        return -1.0
    free = int((blocks << np.arange(MAX_ORDER)).sum())
    return (1000 - (1000 + free * 1000 // (1 << order)) // total) / 1000
