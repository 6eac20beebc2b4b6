"""burst: a process that maps and writes its memory, leaves, rests, and comes again."""

from freehint.guest.churn import map_next
from freehint.guest.mapping import forget_process, page_node
from freehint.jit import kernel
from freehint.world import ask_to_shrink, write_page


@kernel
def burst_page(world, now_ns):
    """Write the next page, or leave when all are written; when it goes on, or -1 to wait."""
    state = world.state[0]
    if state.next_page == state.nr_pages and state.alive > 0 and state.piece_left == 0:
        forget_process(world)
        state.alive = state.next_page = 0
        return now_ns + state.rest_ns
    if state.next_page == state.nr_pages:
        if state.alive == 0:
            state.alive = state.piece_left = state.live_pages
            state.nr_pieces = 1
        if not map_next(world):
            return -1 if ask_to_shrink(world, 0) else now_ns + state.page_ns
    write_page(world, page_node(world, state.next_page))
    world.tally[0].writes += 1
    state.next_page += 1
    return now_ns + state.page_ns
