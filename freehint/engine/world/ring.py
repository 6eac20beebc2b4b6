"""The virtqueues that carry hints: each user has ``N`` descriptors, and each takes one buffer.

The guest adds a buffer while a descriptor is free; the host uses buffers in order.  A descriptor
is free again once the host has used its buffer (drivers reap used buffers before they add).  A
buffer is one block, or a scatterlist of all blocks of a stroke.

Source: the virtio specification, 2.7 "Split Virtqueues"; v24's driver loses a hint if it is full.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from freehint.inputs.rules import Checked, PowerOfTwo
from freehint.jit import kernel

MAX_SIZE = 1 << 15  # the virtio specification, 2.7: Queue Size


@dataclass(frozen=True)
class RingConfig(Checked):
    """The virtqueue between guest and host.

    Attributes
    ----------
    size : int
        Number of descriptors, a power of two up to 32768, as in every split virtqueue.  1024 is
        QEMU's free_page_vq (hw/virtio/virtio-balloon.c).
    """

    size: Annotated[int, PowerOfTwo(1, MAX_SIZE)] = 1024

    where = "ring."


ADDED, USED = 0, 1
SCATTERLIST = -1  # in place of an order: the buffer is so many of the user's rows


class Ring(NamedTuple):
    """One virtqueue for each of ``U`` users.

    blocks : int64[U, size, 2]   node and order of each descriptor's block, or the number of rows
                                 and SCATTERLIST
    count : int64[U, 2]          buffers ADDED by the guest and USED by the host since the start
    """

    blocks: np.ndarray
    count: np.ndarray


def new_ring(size: int, users: int = 1) -> Ring:
    """Empty rings of ``size`` descriptors."""
    return Ring(np.zeros((users, size, 2), np.int64), np.zeros((users, 2), np.int64))


@kernel(inline=True)
def ring_in_flight(ring, user):
    """Number of buffers that were added and are not yet used."""
    return ring.count[user, ADDED] - ring.count[user, USED]


@kernel(inline=True)
def ring_full(ring, user, reserved):
    """Are all descriptors taken, except those reserved for the command id?"""
    return ring_in_flight(ring, user) >= ring.blocks.shape[1] - reserved


@kernel(inline=True)
def ring_half_full(ring, user):
    """Are more than half of the descriptors taken?"""
    return 2 * ring_in_flight(ring, user) > ring.blocks.shape[1]


@kernel(inline=True)
def ring_add(ring, user, node, order):
    """Make one buffer available to the host; the ring must not be full."""
    at = ring.count[user, ADDED] % ring.blocks.shape[1]
    ring.blocks[user, at, 0] = node
    ring.blocks[user, at, 1] = order
    ring.count[user, ADDED] += 1


@kernel(inline=True)
def ring_use(ring, user):
    """Use the oldest buffer, as the host does, and return its (node, order)."""
    at = ring.count[user, USED] % ring.blocks.shape[1]
    ring.count[user, USED] += 1
    return ring.blocks[user, at, 0], ring.blocks[user, at, 1]
