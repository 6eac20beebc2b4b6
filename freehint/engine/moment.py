"""The free memory of a guest at a moment, order by order."""

import numpy as np

from freehint.jit import kernel
from freehint.mm.memory import NR_ORDERS


@kernel
def count_free(memory, blocks):
    """Add the blocks on the buddy lists to ``blocks`` by order; return the pages on pcp lists."""
    pages = 0
    for zone in range(memory.nr_free.shape[0]):
        for order in range(memory.nr_free.shape[1]):
            for migratetype in range(memory.nr_free.shape[2]):
                blocks[order] += memory.nr_free[zone, order, migratetype]
        for cpu in range(memory.nr_cpus):
            pages += memory.pcp[zone, cpu].count
    return pages


def moment(memory, time_s: float) -> tuple:
    """One row for :func:`freehint.formats.tables.history_table`.

    Parameters
    ----------
    memory : Memory, or pinned
    time_s : float

    Returns
    -------
    (float, int64[NR_ORDERS], int)
        ``time_s``, free blocks of each order, and pages on pcp lists.
    """
    blocks = np.zeros(NR_ORDERS, np.int64)
    on_pcp = count_free(memory, blocks)
    return time_s, blocks, int(on_pcp)
