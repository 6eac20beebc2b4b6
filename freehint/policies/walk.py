"""The walker of the 2018 debate: it goes over every free list, block by block, under the zone lock.

These are its verbs, with the debate's knobs:

rotate   NEVER: blocks stay in their places (v24).  EACH_REPORT, ON_EXIT: blocks that the ring
         took go to the tail, so that they are reused last.  Both happen under one hold of the
         lock, so they leave the same lists; EACH_REPORT moves a block as soon as it is reported,
         ON_EXIT when the stroke returns.
resume   Where the next stroke begins.  RESTART: at the first list again.  SCAN_FOR_FIRST: at the
         head of the current list, which is then walked until A, the first block reported there,
         comes.  CURSOR: at a bookmark in the list.  HOST_FEEDBACK: at the head, skipping every
         block whose buffer the host has used.  SCAN_FOR_MARK, NEWEST_REPORT: see call_walker.py.
lock     PER_LIST: a stroke walks a whole list.  PER_BATCH: a stroke reports up to ``capacity``
         blocks.  WHOLE_WALK: a stroke walks all lists of the zone, and the lock is held until the
         host has used everything.  PER_ZONE: a stroke puts all lists of the zone into an array,
         which is reported after the lock was dropped (v33).  LIST_BY_LIST: see call_walker.py.

Sources: the thread on linux-mm below v24 2/2
<1516790562-37889-3-git-send-email-wei.w.wang@intel.com>.
"""

from freehint.jit import kernel
from freehint.jit.apart import NOTHING, NUMBER
from freehint.mm.list import (
    NEXT,
    gather_links,
    gathered_link,
    list_add_tail,
    list_del_init,
    list_move_tail,
    list_next,
)
from freehint.mm.memory import (
    BUDDY,
    HINTED,
    PAGEBLOCK_ORDER,
    REPORTED,
    USER_BOOKMARK,
    frame_order,
    frame_type,
    free_list_head,
    gathering_pays,
    user_node,
)
from freehint.policies.walk_state import (
    AFTER_LAP,
    AT_CAPACITY,
    AT_END,
    AT_FIRST,
    AT_ITS_END,
    AT_LIST,
    AT_NODE,
    AT_REFUSED,
    AT_SETTLED,
    AT_ZONE,
    CURSOR,
    HOST_FEEDBACK,
    IF_FIRST_IS_GONE,
    K_LAP,
    K_LOCK,
    K_RESUME,
    K_ROTATE,
    K_STOPS_AT_EMPTY,
    K_USER,
    NEVER_ROTATE,
    PER_BATCH,
    PER_LIST,
    RESTART,
    SCAN_FOR_FIRST,
    SCAN_FOR_MARK,
    end_node,
    forget_user_nodes,
    list_index,
    nr_lists,
    user_mark,
    walked_list,
)

# Kernels see the values of policy.Stroke and policy.Outcome as plain integers.
MORE, ZONE_DONE, STOPPED, AT_ONCE = range(4)
REFUSED, TAKEN, LOST, USED = range(4)


@kernel(inline=True)
def list_walked(memory, state, i, node):
    """Does the walk over the i-th list end before ``node``?

    If A was allocated, merged or moved to another list, it has lost its mark and is no longer A.
    """
    if state.knob[K_RESUME] == SCAN_FOR_MARK:
        return node < memory.nr_pages and memory.frame[node] & user_mark(state) != 0
    first = state.first[i]
    if state.knob[K_RESUME] != SCAN_FOR_FIRST or first < 0:
        return False
    if memory.frame[first] & user_mark(state):
        if node == first or state.knob[K_LAP] == IF_FIRST_IS_GONE:
            return node == first
    # A was consumed and will not be met again, so the walk ends after one lap.
    return state.visited[i] >= state.lap[i]


@kernel(inline=True)
def begin_list(memory, state, i, head, length):
    """Begin or resume the i-th list, and return the first node of this stroke on it."""
    cursor = state.knob[K_RESUME] == CURSOR
    if not state.begun[i]:
        state.begun[i] = True
        state.first[i] = -1
        state.visited[i] = 0
        state.lap[i] = length
        if cursor and state.knob[K_ROTATE] != NEVER_ROTATE:
            list_add_tail(memory.links, end_node(memory, state, i), head)
        return list_next(memory.links, head)
    if cursor:
        return list_next(memory.links, user_node(memory, state.knob[K_USER], USER_BOOKMARK))
    return list_next(memory.links, head)


@kernel(cold=True, late=NOTHING)
def put_bookmark(memory, state, before):
    """Let the next stroke begin at the node ``before`` (a block, END or the list's head)."""
    if state.knob[K_RESUME] == CURSOR:
        bookmark = user_node(memory, state.knob[K_USER], USER_BOOKMARK)
        list_del_init(memory.links, bookmark)
        list_add_tail(memory.links, bookmark, before)


@kernel(cold=True, late=NUMBER)
def gather_list(memory, state, order):
    """Gather the links of blocks of an order, and return how many nodes are covered."""
    return gather_links(memory.links, state.gathered, memory.nr_pages, order)


@kernel(inline=True)
def walk_list(memory, state, zone, i, head, node, report, n, capacity):
    """Report blocks of one list from ``node`` on, after ``n`` rows of the report.

    Returns
    -------
    n : int
        Rows of the report.
    node : int
        The list's head if the list is walked, else the first block that did not fit.
    """
    order, migratetype = walked_list(state, i)
    length = memory.nr_free[zone, order, migratetype]
    covered = 0
    # If the stroke may take the whole list, gather the links: the list does not change meanwhile.
    room = state.gathered.shape[1] >= memory.nr_pages >> PAGEBLOCK_ORDER
    if room and capacity - n >= length and gathering_pays(memory, order, length):
        covered = gather_list(memory, state, order)
    end = end_node(memory, state, i)
    feedback = state.knob[K_RESUME] == HOST_FEEDBACK
    while node != head and node != end and not list_walked(memory, state, i, node):
        if node < memory.nr_pages:  # Another node is a bookmark, which is skipped.
            known = feedback and memory.frame[node] & REPORTED
            if not known and n == capacity:
                state.at[AT_END] = AT_CAPACITY
                return n, node
            report[n, 2] += 1
            if not known:
                report[n, 0] = node
                report[n, 1] = order
                state.visited[i] += 1
                n += 1
        node = gathered_link(memory.links, state.gathered, covered, order, node, NEXT)
    note_end(state, i, node, node == head or node == end)
    return n, head


@kernel(inline=True)
def note_end(state, i, node, at_its_end):
    """Note where and why the walk over the i-th list ended."""
    state.at[AT_NODE] = node
    state.at[AT_END] = AT_FIRST
    if at_its_end:
        state.at[AT_END] = AT_ITS_END
    elif state.knob[K_RESUME] == SCAN_FOR_FIRST and node != state.first[i]:
        state.at[AT_END] = AFTER_LAP


@kernel
def fill(memory, state, zone, report, capacity):
    """Do the walker's next stroke in a zone.

    Returns
    -------
    n : int
        Rows of the report.
    status : int
        MORE, ZONE_DONE or STOPPED.
    """
    lock = state.knob[K_LOCK]
    if state.knob[K_RESUME] == RESTART and (lock == PER_BATCH or state.at[AT_REFUSED]):
        state.at[AT_LIST] = 0
        state.begun[:] = False
    state.at[AT_SETTLED] = state.at[AT_LIST]
    n = 0
    while state.at[AT_LIST] < nr_lists(state):
        i = state.at[AT_LIST]
        order, migratetype = walked_list(state, i)
        if state.knob[K_STOPS_AT_EMPTY] and memory.nr_free[zone, order, migratetype] == 0:
            return n, STOPPED
        head = free_list_head(memory, zone, order, migratetype)
        node = begin_list(memory, state, i, head, memory.nr_free[zone, order, migratetype])
        before = n
        n, node = walk_list(memory, state, zone, i, head, node, report, n, capacity)
        if node != head:
            put_bookmark(memory, state, node)
            return n, MORE
        state.at[AT_LIST] += 1
        if n > before and lock == PER_LIST and state.at[AT_LIST] < nr_lists(state):
            return n, MORE
    if n == 0:
        settle(memory, state)
    return n, ZONE_DONE


@kernel
def drain(memory, state, zone, report, n, outcome):
    """Mark and rotate the blocks taken; go back to the first block that a full ring refused.

    Returns
    -------
    int
        Blocks moved.
    """
    if n > 0 and outcome[0] == USED:
        for i in range(n):
            # Mark it only if the hinted stay still lasts; otherwise the host used a stale hint.
            if memory.frame[report[i, 0]] & (BUDDY | HINTED) == BUDDY | HINTED:
                memory.frame[report[i, 0]] |= REPORTED
        return 0
    moved = 0
    for row in range(n):
        if outcome[row] == REFUSED:
            go_back(memory, state, zone, report, n, row)
            return moved
        if outcome[row] == TAKEN:
            moved += settle_taken(memory, state, zone, report[row, 0])
    state.at[AT_REFUSED] = 0
    settle(memory, state)
    return moved


@kernel(inline=True)
def settle_taken(memory, state, zone, node):
    """Note A and rotate, for a block that the ring took; return the number of blocks moved."""
    frame = memory.frame[node]
    i = list_index(state, frame_order(frame), frame_type(frame))
    if state.knob[K_RESUME] == SCAN_FOR_FIRST and state.first[i] < 0:
        state.first[i] = node
        memory.frame[node] = frame | user_mark(state)
    if state.knob[K_ROTATE] == NEVER_ROTATE:
        return 0
    # Tail, not head: a block just reported must not be the next one handed out.
    head = free_list_head(memory, zone, frame_order(frame), frame_type(frame))
    list_move_tail(memory.links, node, head)
    return 1


@kernel(inline=True)
def settle(memory, state):
    """Finish the lists that this stroke walked to their ends."""
    for i in range(state.at[AT_SETTLED], state.at[AT_LIST]):
        list_del_init(memory.links, end_node(memory, state, i))
        state.begun[i] = False
    if state.at[AT_LIST] == nr_lists(state):
        list_del_init(memory.links, user_node(memory, state.knob[K_USER], USER_BOOKMARK))
        state.at[AT_LIST] = 0
        state.at[AT_ZONE] += 1


@kernel(cold=True, late=NOTHING)
def go_back(memory, state, zone, report, n, row):
    """Let the walk continue at the block of a row, which a full ring refused."""
    frame = memory.frame[report[row, 0]]
    here = list_index(state, frame_order(frame), frame_type(frame))
    for i in range(here + 1, min(state.at[AT_LIST] + 1, nr_lists(state))):
        list_del_init(memory.links, end_node(memory, state, i))
        state.begun[i] = False
    for later in range(row, n):
        later_frame = memory.frame[report[later, 0]]
        if list_index(state, frame_order(later_frame), frame_type(later_frame)) == here:
            state.visited[here] -= 1
    put_bookmark(memory, state, report[row, 0])
    state.at[AT_LIST] = here
    state.at[AT_REFUSED] = 1
    for i in range(state.at[AT_SETTLED], here):
        list_del_init(memory.links, end_node(memory, state, i))
        state.begun[i] = False


@kernel
def end_walk(memory, state):
    """Take the walk's bookmark and END nodes off the lists, wherever it was stopped."""
    forget_user_nodes(memory, state.knob[K_USER])
