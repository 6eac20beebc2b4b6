"""The interface of the 2018 patches, ``walk_free_mem_block``, for Python callbacks."""

from freehint.config import require, whole
from freehint.mm.memory import (
    MAX_ORDER,
    Memory,
    free_list_head,
    list_nodes,
    nr_types,
)


def walk_free_mem_block(
    memory: Memory, report_pfn_range, min_order=0, opaque=None, error_as_bool=False
):
    """Report every free block to a callback, as the 2018 patches did.

    Zones are walked in ascending order; in each zone orders from 10 down to ``min_order``, in each
    order migratetypes 0..4, and each list from its head.  Pages on pcp lists are not walked.  The
    kernel drops and retakes the zone lock between lists; here the lists must not change during a
    call.

    Parameters
    ----------
    memory : Memory
    report_pfn_range : callable
        Called as ``report_pfn_range(opaque, pfn, nr_pages)``.  If it returns 0 or None, the walk
        goes on; any other value stops it (v25's form, an int).  In v24 it returned a bool, and True
        let the walk go on: wrap such a callback with :func:`v24`.
    min_order : int
        Smallest order walked, 0..10.
    opaque : object
        Passed to the callback.
    error_as_bool : bool
        Behave like v25 as it was first posted: see the notes.

    Returns
    -------
    object
        0 if all was reported, else the value with which the callback stopped the walk.

    Raises
    ------
    InputError
        ``min_order`` is out of range or the callback cannot be called.

    Notes
    -----
    v24 returned nothing, so its caller could not tell completion from a stop; v25 returns the
    callback's value.  As first posted, v25 kept that value in a bool: any error came back as 1, and
    its driver's test for a negative value could never be true (inferred from the posted text).

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
            for migratetype in range(nr_types(memory)):
                head = free_list_head(memory, zone, order, migratetype)
                for node in list_nodes(memory, head):
                    stop = report_pfn_range(opaque, int(node) + memory.base_pfn, 1 << order)
                    if stop is not None and stop != 0:
                        return 1 if error_as_bool else stop
    return 0


def v24(callback):
    """Turn v24's bool callback (True goes on) into v25's int form (0 goes on)."""
    return lambda opaque, pfn, nr_pages: 0 if callback(opaque, pfn, nr_pages) else 1
