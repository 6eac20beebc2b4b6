"""The event loop: guest CPUs, kernel threads, the host and the policy's worker, in exact order.

:func:`advance` is compiled and runs until something needs Python: a stroke of the policy (its
verbs may be anybody's), more random words, or more room for rows.  :class:`Engine` answers.
A stroke costs a few microseconds of Python whatever the number of blocks; all that happens
between strokes is compiled.
"""

import numpy as np

from freehint.formats.tables import moment
from freehint.guest.kthreads import kthreads_event
from freehint.guest.vcpu import cpu_event
from freehint.guest.workloads import draw_words
from freehint.host.device import draw_gaps, host_event, notify_host
from freehint.jit import kernel
from freehint.mm.memory import BUDDY, HINTED, frame_order, frame_type
from freehint.policy import ON_FULL, Outcome, Policy, Stroke
from freehint.ring import ring_add, ring_full, ring_in_flight
from freehint.units import NS_PER_S
from freehint.world import (
    ACTOR_BITS,
    FREE_THROUGHOUT,
    HINTED_THIS_WALK,
    IDLE,
    NEVER,
    PUBLISHED,
    PUBLISHING,
    WAIT_RING,
    WAIT_USED,
    World,
    grown,
    pages_hinted,
    schedule,
    suspend,
)

# What advance() came back for.
TIME_IS_UP, NEED_WORDS, NEED_GAPS, NEED_ROOM, STROKE_DUE, STROKE_PUBLISHED = range(6)
LOSE, STOP, WAIT = range(3)
TAKEN, LOST = int(Outcome.TAKEN), int(Outcome.LOST)

REPORT_COLUMNS = (
    "time_ns",
    "stroke",
    "zone",
    "order",
    "migratetype",
    "pfn",
    "nr_pages",
    "taken",
    "duplicate",
)
WAIT_COLUMNS = ("since_ns", "cpu", "zone", "kind", "wait_ns")


@kernel(inline=True)
def offer_block(world, node, order):
    """Offer one block to the ring: (taken, duplicate)."""
    frame = world.memory.frame[node]
    pages = 1 << order
    world.tally[0].offered += pages
    if ring_full(world.ring):
        world.tally[0].lost += pages
        return False, False
    ring_add(world.ring, node, order)
    world.tally[0].hinted += pages
    pages_hinted(world, node, order)
    on_list = frame & BUDDY != 0 and frame_order(frame) == order
    duplicate = on_list and frame & HINTED != 0
    if duplicate:
        world.tally[0].duplicate += pages
    elif on_list:
        world.memory.frame[node] = frame | HINTED
    return True, duplicate


@kernel(inline=True)
def report_row(world, row, now_ns):
    """Offer the block of one row, and write it to the table of reports."""
    state = world.state[0]
    node = world.report[row, 0]
    order = world.report[row, 1]
    taken, duplicate = offer_block(world, node, order)
    world.outcome[row] = TAKEN if taken else LOST
    at = state.nr_reports
    world.reports[at, 0] = now_ns
    world.reports[at, 1] = state.stroke
    world.reports[at, 2] = state.zone
    world.reports[at, 3] = order
    world.reports[at, 4] = frame_type(world.memory.frame[node])
    world.reports[at, 5] = node + world.memory.base_pfn
    world.reports[at, 6] = 1 << order
    world.reports[at, 7] = taken
    world.reports[at, 8] = duplicate
    state.nr_reports = at + 1


@kernel(inline=True)
def next_row(world, actor, now_ns):
    """When the worker will have walked to the next row's block and made its report.

    Behind the last row: when it has looked at what is left of the list in vain.
    """
    state = world.state[0]
    walked = world.report[state.row, 2]
    if state.row < state.rows:
        cost = max(1, walked) * world.cost[0].walk_block_ns + world.cost[0].report_ns
    else:
        cost = walked * world.cost[0].walk_block_ns
        state.mode = WAIT_USED if state.hold_until_used else PUBLISHED
    schedule(world, actor, now_ns + cost)


@kernel(inline=True)
def publish_row(world, actor, now_ns):
    """Deal with the row that is due: offer it, wait for a descriptor, or end the stroke."""
    state = world.state[0]
    state.mode = PUBLISHING
    full = state.row < state.rows and ring_full(world.ring)
    if full and state.on_full == WAIT:
        state.mode = WAIT_RING
        suspend(world, actor)
    elif full and state.on_full == STOP:
        state.mode = PUBLISHED
        schedule(world, actor, now_ns)
    else:
        if state.row < state.rows:
            report_row(world, state.row, now_ns)
            if notify_host(world, actor - 1, now_ns):
                now_ns += world.cost[0].notify_ns
            state.row += 1
        next_row(world, actor, now_ns)


@kernel(inline=True)
def worker_event(world, actor, now_ns):
    """The worker's turn; what to tell Python, or -1."""
    mode = world.state[0].mode
    if mode == IDLE:
        return STROKE_DUE
    if mode == PUBLISHED:
        return STROKE_PUBLISHED
    if mode == WAIT_USED:
        if ring_in_flight(world.ring) == 0:
            return STROKE_PUBLISHED
        suspend(world, actor)
    else:
        publish_row(world, actor, now_ns)
    return -1


@kernel(inline=True)
def no_room(world):
    """Is one of the tables full?"""
    state = world.state[0]
    return (
        state.nr_waits == world.waits.shape[0]
        or state.nr_reports == world.reports.shape[0]
        or state.nr_used == world.used.shape[0]
    )


@kernel(inline=True)
def next_actor(world):
    """Who has the smallest key."""
    actor = 0
    for other in range(1, world.key.shape[0]):
        if world.key[other] < world.key[actor]:
            actor = other
    return actor


@kernel
def advance(world, until_ns):
    """Run events before ``until_ns``; why it stopped, and when.

    Returns
    -------
    (int, int)
        TIME_IS_UP .. STROKE_PUBLISHED, and the time in ns of the event that comes next.
    """
    host = world.key.shape[0] - 2
    while True:
        actor = next_actor(world)
        now_ns = world.key[actor] >> ACTOR_BITS
        if now_ns >= until_ns:
            return TIME_IS_UP, until_ns
        if no_room(world):
            return NEED_ROOM, now_ns
        if actor < host - 1:
            if world.cpu[actor].word_at == world.words.shape[1]:
                return NEED_WORDS, now_ns
            cpu_event(world, actor, now_ns)
        elif actor == host - 1:
            kthreads_event(world, actor, now_ns)
        elif actor == host:
            if world.state[0].gap_row + 1 == world.gaps.shape[0]:
                return NEED_GAPS, now_ns
            host_event(world, host, now_ns)
        else:
            why = worker_event(world, actor, now_ns)
            if why >= 0:
                return why, now_ns


@kernel
def mark_free_pages(world):
    """A walk begins: note every page on the free lists, forget the walk before."""
    memory = world.memory
    for page in range(memory.nr_pages):
        world.page[page] &= ~(FREE_THROUGHOUT | HINTED_THIS_WALK)
    for node in range(memory.nr_pages):
        frame = memory.frame[node]
        if frame & BUDDY:
            for page in range(node, node + (1 << frame_order(frame))):
                world.page[page] |= FREE_THROUGHOUT


@kernel
def count_covered(world, min_order):
    """A walk ends: pages free throughout, and how many of them were hinted in it.

    Pages of free blocks below ``min_order`` do not count; returns (walkable, hinted).
    """
    memory = world.memory
    walkable = hinted = 0
    for node in range(memory.nr_pages):
        frame = memory.frame[node]
        if frame & BUDDY and frame_order(frame) >= min_order:
            for page in range(node, node + (1 << frame_order(frame))):
                if world.page[page] & FREE_THROUGHOUT:
                    walkable += 1
                    if world.page[page] & HINTED_THIS_WALK:
                        hinted += 1
    return walkable, hinted


class Engine:
    """Runs a world under a policy.

    Parameters
    ----------
    world : World
    policy : Policy
    host_config : HostConfig
    streams : list of numpy.random.Generator
        One a CPU, then one for the host: what one actor draws never depends on another.
    """

    def __init__(self, world: World, policy: Policy, host_config, streams):
        self.world = world
        self.policy = policy
        self.host_config = host_config
        self.cpu_streams, self.host_stream = streams[:-1], streams[-1]
        self.worker_actor = len(world.key) - 1
        self.locks = []  # stroke, zone, since_ns, held_ns, offered
        self.history = []  # see moment()
        self.walk = None  # (begin_ns, end_ns or None, walkable, hinted)
        self.zone = 0
        self.stroke_since = 0
        self.stroke_status = Stroke.MORE
        self.state = None
        draw_gaps(world, host_config, self.host_stream)
        world.state[0].gap_at = world.gaps[0, 0] if host_config.gap_ns else NEVER

    def run(self, walk_at_ns: int, until_ns: int, progress=None) -> None:
        """Run to ``until_ns``; the policy's walk begins at ``walk_at_ns``."""
        if self.policy.fill is not None:
            schedule(self.world, self.worker_actor, walk_at_ns)
        slice_ns = max(1, (until_ns + 99) // 100)
        reached = 0
        self.history.append(moment(self.world.memory, 0.0))
        while reached < until_ns:
            stop = min(until_ns, reached + slice_ns)
            why = None
            while why != TIME_IS_UP:
                why, now_ns = advance(self.world, stop)
                self._answer(why, now_ns)
            self.history.append(moment(self.world.memory, stop / NS_PER_S))
            if progress:
                progress(stop - reached)
            reached = stop
        if self.walk and self.walk[1] is None:
            self._count_coverage(None)

    def _answer(self, why: int, now_ns: int) -> None:
        if why == NEED_WORDS:
            draw_words(self.world, self.cpu_streams)
        elif why == NEED_GAPS:
            self._draw_more_gaps()
        elif why == NEED_ROOM:
            self._make_room()
        elif why == STROKE_DUE:
            self._begin_stroke(now_ns)
        elif why == STROKE_PUBLISHED:
            self._end_stroke(now_ns)

    def _draw_more_gaps(self) -> None:
        # The last row's length has not been used yet: it goes on as row 0.
        length = self.world.gaps[-1, 1]
        draw_gaps(self.world, self.host_config, self.host_stream)
        self.world.gaps[0, 1] = length

    def _make_room(self) -> None:
        for name in ("reports", "waits", "used"):
            table = getattr(self.world, name)
            if self.world.state[0][f"nr_{name}"] == len(table):
                self.world = self.world._replace(**{name: grown(table)})

    def _begin_walk(self, now_ns: int) -> None:
        world = self.world
        self.walk = [now_ns, None, 0, 0]
        mark_free_pages(world)
        make = self.policy.new_state
        self.state = make(world.memory, self.policy) if make else np.zeros(64, np.int64)

    def _begin_stroke(self, now_ns: int) -> None:
        """Take the zone's lock, let the policy choose, and start publishing."""
        if self.walk is None:
            self._begin_walk(now_ns)
        world, zone = self.world, self.zone
        since = max(now_ns, int(world.lock_until[zone]))
        world.state[0].locked_zone = zone
        self._feed_back(zone)
        capacity = self.policy.stroke_capacity or int(world.memory.nr_free[zone].sum()) + 1
        if capacity > len(world.outcome):
            self._widen_report(capacity)
            world = self.world
        world.report[:] = 0
        n, status = self.policy.fill(world.memory, self.state, zone, world.report, capacity)
        self._check_fill(n, status, capacity)
        world.outcome[:n] = Outcome.REFUSED
        state = world.state[0]
        state.row, state.rows, state.zone, state.mode = 0, n, zone, PUBLISHING
        state.on_full = ON_FULL.index(self.policy.on_full)
        state.hold_until_used = self.policy.holds_until_used
        self.stroke_since = since
        self.stroke_status = status
        next_row(world, self.worker_actor, since)

    def _check_fill(self, n: int, status: int, capacity: int) -> None:
        if not 0 <= n <= capacity or status not in tuple(Stroke):
            raise ValueError(
                f"policy {self.policy.name}: fill must return (0..{capacity}, a Stroke),"
                f" got ({n}, {status})"
            )

    def _widen_report(self, capacity: int) -> None:
        self.world = self.world._replace(
            report=np.zeros((capacity + 1, 3), np.int64), outcome=np.zeros(capacity, np.uint8)
        )

    def _feed_back(self, zone: int) -> None:
        """Tell the policy which of its blocks in this zone the host has used since."""
        memory, state = self.world.memory, self.world.state[0]
        rows = self.world.used[: state.nr_used].copy()
        state.nr_used = 0
        if not self.policy.wants_feedback or not len(rows):
            return
        starts = memory.zones.start_pfn - memory.base_pfn
        here = np.searchsorted(starts, rows[:, 0], side="right") - 1 == zone
        mine = np.zeros((here.sum() + 1, 3), np.int64)
        mine[:-1, :2] = rows[here, :2]
        outcome = np.full(len(mine) - 1, Outcome.USED, np.uint8)
        if len(outcome):
            self.policy.drain(memory, self.state, zone, mine, len(outcome), outcome)

    def _end_stroke(self, now_ns: int) -> None:
        """Tell the policy what became of its rows, release the lock, plan the next stroke."""
        world, zone = self.world, self.zone
        state = world.state[0]
        n = int(state.rows)
        refused = n > 0 and world.outcome[n - 1] == Outcome.REFUSED
        moved = 0
        if n:
            moved = self.policy.drain(
                world.memory, self.state, zone, world.report, n, world.outcome
            )
        end = now_ns + (moved or 0) * int(world.cost[0].rotate_ns)
        self._release(zone, end)
        held = end - self.stroke_since
        self.locks.append((int(state.stroke), zone, self.stroke_since, held, int(state.row)))
        state.stroke += 1
        state.mode = IDLE
        if self.stroke_status == Stroke.ZONE_DONE and not refused:
            self.zone += 1
        nr_zones = world.memory.nr_free.shape[0]
        if self.stroke_status == Stroke.STOPPED or self.zone == nr_zones:
            suspend(world, self.worker_actor)
            self._count_coverage(end)
        else:
            schedule(world, self.worker_actor, end + self.policy.pause_ns)

    def _release(self, zone: int, end_ns: int) -> None:
        """Hand the lock over; who waited gets it in the order of asking."""
        world = self.world
        world.state[0].locked_zone = -1
        world.lock_until[zone] = end_ns
        kthreads = len(world.cpu)
        since = [*world.cpu["wait_since"], world.state[0].kthreads_since]
        asleep = np.flatnonzero(world.key[: kthreads + 1] == NEVER)
        waiting = sorted((since[actor], actor) for actor in asleep)
        for place, (_, actor) in enumerate(waiting):
            schedule(world, int(actor), end_ns + place)

    def _count_coverage(self, end_ns) -> None:
        world = self.world
        min_order = getattr(self.policy, "min_order", 0)
        self.walk[1:] = [end_ns, *count_covered(world, min_order)]
