"""The virtqueue that carries hints: ``N`` descriptors, one block each.

The guest adds a block while a descriptor is free; the host uses blocks in order.  A descriptor
is free again once the host used its buffer (drivers reap used buffers before they add).

Source: the virtio specification, 2.7 "Split Virtqueues"; v24's driver loses a hint when full.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel

ADDED, USED = 0, 1


class Ring(NamedTuple):
    """One virtqueue.

    pfn_order : int64[size, 2]   node and order of the block behind each descriptor
    count : int64[2]             buffers ADDED by the guest and USED by the host, ever
    """

    pfn_order: np.ndarray
    count: np.ndarray


def new_ring(size: int) -> Ring:
    """An empty ring of ``size`` descriptors."""
    return Ring(np.zeros((size, 2), np.int64), np.zeros(2, np.int64))


@kernel(inline=True)
def ring_in_flight(ring):
    """Buffers added and not yet used."""
    return ring.count[ADDED] - ring.count[USED]


@kernel(inline=True)
def ring_full(ring):
    """Is there no descriptor left?"""
    return ring_in_flight(ring) == ring.pfn_order.shape[0]


@kernel(inline=True)
def ring_add(ring, node, order):
    """Make one block available to the host; the ring must not be full."""
    slot = ring.count[ADDED] % ring.pfn_order.shape[0]
    ring.pfn_order[slot, 0] = node
    ring.pfn_order[slot, 1] = order
    ring.count[ADDED] += 1


@kernel(inline=True)
def ring_use(ring):
    """The host uses the oldest buffer: its (node, order)."""
    slot = ring.count[USED] % ring.pfn_order.shape[0]
    ring.count[USED] += 1
    return ring.pfn_order[slot, 0], ring.pfn_order[slot, 1]
