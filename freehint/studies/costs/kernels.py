"""What is timed: lists and a buddy allocator over 64-byte page structures, memory, two threads.

The structures are int32[16 N], one cache line each: next, prev, and 1 + the order of a free block.
These kernels move memory as a kernel does; they decide nothing in any simulation.
"""

from numba.core import types

from freehint.jit import kernel

LINE = 16  # int32 numbers in a cache line
NEXT, PREV, FREE = range(3)
MAX_ORDER = 10

# A call that LLVM cannot look into: what memory holds is read anew after it.
_look_again = types.ExternalFunction("pthread_self", types.intp())
_sem_wait = types.ExternalFunction("sem_wait", types.int32(types.intp))
_sem_post = types.ExternalFunction("sem_post", types.int32(types.intp))


@kernel(inline=True)
def insert(lines, node, before):
    """Put a node behind another one."""
    after = lines[before + NEXT]
    lines[after + PREV] = node
    lines[node + NEXT] = after
    lines[node + PREV] = before
    lines[before + NEXT] = node


@kernel(inline=True)
def remove(lines, node):
    """Take a node off its list."""
    after, before = lines[node + NEXT], lines[node + PREV]
    lines[before + NEXT] = after
    lines[after + PREV] = before


@kernel
def chain(lines, head, nodes):
    """Make the nodes, in this order, the content of a list."""
    lines[head + NEXT] = head
    lines[head + PREV] = head
    for node in nodes:
        insert(lines, node, lines[head + PREV])


@kernel
def walk(lines, node, n):
    """Follow ``n`` links; the node that it comes to."""
    for _ in range(n):
        node = lines[node + NEXT]
    return node


@kernel
def rotate(lines, head, n):
    """Move the first node to the tail, ``n`` times."""
    for _ in range(n):
        node = lines[head + NEXT]
        remove(lines, node)
        insert(lines, node, lines[head + PREV])
    return lines[head + NEXT]


@kernel
def push_and_pop(lines, head, nodes, batch):
    """Put ``batch`` nodes on a list and take as many off again, until all have been there."""
    taken = 0
    for first in range(0, len(nodes), batch):
        for at in range(first, min(first + batch, len(nodes))):
            insert(lines, nodes[at], head)
        for _ in range(first, min(first + batch, len(nodes))):
            node = lines[head + NEXT]
            remove(lines, node)
            taken += node
    return taken


@kernel(inline=True)
def head_of(lines, order):
    """The head of an order's list, behind the pages."""
    return lines.shape[0] - LINE * (MAX_ORDER + 1 - order)


@kernel
def put_block(lines, node, order):
    """Free a block: merge it with its buddies and put it at the head of its list."""
    while order < MAX_ORDER:
        buddy = node ^ LINE << order
        if lines[buddy + FREE] != order + 1:
            break
        remove(lines, buddy)
        lines[buddy + FREE] = 0
        node = min(node, buddy)
        order += 1
    lines[node + FREE] = order + 1
    insert(lines, node, head_of(lines, order))


@kernel
def take_page(lines):
    """Allocate one page, from the smallest block there is; -1 if there is none."""
    order, node = 0, -1
    while order <= MAX_ORDER:
        head = head_of(lines, order)
        node = lines[head + NEXT]
        if node != head:
            break
        order += 1
    if order > MAX_ORDER:
        return -1
    remove(lines, node)
    lines[node + FREE] = 0
    while order > 0:
        order -= 1
        half = node + (LINE << order)
        lines[half + FREE] = order + 1
        insert(lines, half, head_of(lines, order))
    return node


@kernel
def boot(lines):
    """Begin with all pages free, in blocks of the largest order."""
    for order in range(MAX_ORDER + 1):
        head = head_of(lines, order)
        lines[head + NEXT] = head
        lines[head + PREV] = head
    for node in range(0, head_of(lines, 0), LINE << MAX_ORDER):
        put_block(lines, node, MAX_ORDER)


@kernel
def take_pages(lines, held):
    """Allocate a page for each entry."""
    for at in range(len(held)):
        held[at] = take_page(lines)


@kernel
def put_pages(lines, held):
    """Free all pages."""
    for at in range(len(held)):
        put_block(lines, held[at], 0)


@kernel
def put_and_take(lines, held, picks):
    """Free a page that is held and allocate another in its place, for each pick."""
    for pick in picks:
        put_block(lines, held[pick], 0)
        held[pick] = take_page(lines)


@kernel
def clear(words, pieces, each):
    """Set ``each`` words of each piece to 0."""
    for piece in pieces:
        for at in range(piece * each, (piece + 1) * each):
            words[at] = 0


@kernel
def write(words, first, n, value):
    """Write ``n`` words with something that is no pattern of bytes."""
    for at in range(first, first + n):
        words[at] = value ^ at


@kernel
def touch(memory, step):
    """Write one byte in each ``step`` bytes."""
    for at in range(0, len(memory), step):
        memory[at] = 1


@kernel
def take_turns(turn, count, me, other, turns):
    """Hand a turn to the other thread ``turns`` times, with a count in a cache line of its own."""
    for _ in range(turns):
        while turn[0] != me:
            _look_again()
        count[0] += 1
        turn[0] = other


@kernel
def wake_in_turn(mine, theirs, turns):
    """Sleep on a semaphore and post the other thread's, ``turns`` times."""
    for _ in range(turns):
        _sem_wait(mine)
        _sem_post(theirs)
