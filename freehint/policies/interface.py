"""The interface of the thread for Python callbacks: ``walk_free_mem_block``."""

from freehint.config import require, whole
from freehint.mm.memory import (
    MAX_ORDER,
    MIGRATE_TYPES,
    Memory,
    free_list_head,
    list_nodes,
)


def walk_free_mem_block(
    memory: Memory, report_pfn_range, min_order=0, opaque=None, error_as_bool=False
):
    """Report every free block to a callback, as the 2018 patches had it.

    Zones ascend; within each, orders from 10 down to ``min_order``, then migratetypes 0..4,
    then list order.  Pages on pcp lists are not on these lists and are not walked.  The kernel
    drops and retakes the zone lock between lists; the lists must not change during a call.

    Parameters
    ----------
    memory : Memory
    report_pfn_range : callable
        Called as ``report_pfn_range(opaque, pfn, nr_pages)``.  0 or None goes on; anything else
        stops the walk (v25's form: an int).  v24's form was a bool, True to go on: wrap such a
        callback with :func:`v24`.
    min_order : int
        Smallest order walked, 0..10.
    opaque : object
        Passed through to the callback.
    error_as_bool : bool
        As v25 was first posted: see the notes.

    Returns
    -------
    object
        0 when all was reported, else the first other value that the callback returned.

    Raises
    ------
    InputError
        ``min_order`` is out of range or the callback cannot be called.

    Notes
    -----
    v24 returned nothing, so its caller could not tell completion from a stop; v25 returns the
    callback's value.  As first posted it kept that in a bool, so any error came back as 1 and its
    driver's test for a negative value could never be true (that is inferred from the posted text).

    Source: [PATCH v24 1/2] and [PATCH v25 1/2] "mm: support reporting free page blocks".

    Examples
    --------
    >>> import freehint as fh
    >>> seen = []
    >>> fh.walk_free_mem_block(fh.make_memory("64MiB"), lambda _, pfn, nr: seen.append((pfn, nr)))
    0
    """
    whole("min_order", min_order, 0, MAX_ORDER - 1)
    require(callable(report_pfn_range), "report_pfn_range", "be callable", report_pfn_range)
    for zone in range(memory.nr_free.shape[0]):
        for order in range(MAX_ORDER - 1, min_order - 1, -1):
            for migratetype in range(MIGRATE_TYPES):
                head = free_list_head(memory, zone, order, migratetype)
                for node in list_nodes(memory, head):
                    stop = report_pfn_range(opaque, int(node) + memory.base_pfn, 1 << order)
                    if stop is not None and stop != 0:
                        return 1 if error_as_bool else stop
    return 0


def v24(callback):
    """Turn v24's bool callback (True goes on) into v25's int form (0 goes on)."""
    return lambda opaque, pfn, nr_pages: 0 if callback(opaque, pfn, nr_pages) else 1
