"""What a recorded walk and a recorded guest did to the fate of pages; a kernel apart."""

from freehint.engine.world.hints import pages_allocated, pages_hinted, pages_used
from freehint.jit import kernel

LEFT, HINTED, USED_BY_HOST = range(3)  # what happened to a block


@kernel(cold=True)
def tell_fates(world, kinds, nodes, orders):
    """Note what happened to blocks, one after another.

    Parameters
    ----------
    world : World
    kinds, nodes, orders : int64[n]
        LEFT, HINTED or USED_BY_HOST; the block.
    """
    for i in range(kinds.shape[0]):
        if kinds[i] == LEFT:
            pages_allocated(world, nodes[i], orders[i])
            world.tally[0].allocations += 1
        elif kinds[i] == HINTED:
            pages_hinted(world, 0, nodes[i], orders[i])
        else:
            pages_used(world, 0, nodes[i], orders[i])
