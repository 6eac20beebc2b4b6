"""The engine: what the event loop cannot decide by itself, a policy's strokes above all.

:func:`freehint.loop.advance` comes back for a stroke, a callback, a command of the host, more
random words or more room; :class:`Engine` answers and lets it go on.  A stroke costs a few
microseconds of Python whatever the number of blocks.

A stroke is published under the zone lock, or after the lock was dropped; then it ends when the
ring took everything, or when the host has used it.  Several users take turns at a zone's lock
like everybody else.
"""

import numpy as np

from freehint.config import InputError
from freehint.dirty import count_bits
from freehint.formats.tables import moment
from freehint.guest.mapping import freed_blocks_cleared
from freehint.guest.workloads import draw_words
from freehint.host.device import draw_gaps, notify_host
from freehint.loop import (
    HOST_SHORT,
    LIST_EMPTIED,
    MIGRATION_TURN,
    NEED_GAPS,
    NEED_PAGES,
    NEED_ROOM,
    NEED_WORDS,
    REPORT_WANTED,
    STROKE_DUE,
    STROKE_PUBLISHED,
    TIME_IS_UP,
    advance,
    count_covered,
    mark_free_pages,
    next_row,
)
from freehint.mm.check import InvariantError, check_memory, pages_held
from freehint.mm.memory import (
    BUDDY,
    EMPTIED,
    ISOLATED,
    MIGRATE_TYPES,
    NR_ORDERS,
    ORDER_MASK,
    REPORT_ORDER,
    REPORT_REQUESTED,
    WATCH_EMPTY,
)
from freehint.paging import FREE, MIN
from freehint.policy import KICK, ON_FULL, Outcome, Policy, Stroke
from freehint.ring import ADDED, ring_in_flight
from freehint.units import NS_PER_S
from freehint.world import (
    DRAINING,
    HINT_REQUESTED,
    HINT_START,
    IDLE,
    NEVER,
    PUBLISHING,
    WAIT_LOCK,
    WAIT_RING,
    World,
    grown,
    has_content,
    hold_lock,
    schedule,
    suspend,
    write_block,
)

SHRINK_BATCH = 128  # pages that a shrinker is asked for at a time (mm/vmscan.c)
PAGE_COUNTS = ("offered", "hinted", "lost", "duplicate")


def world_is_short(world: World) -> bool:
    """Has the host, which is shared, less memory left than one event may take?"""
    return bool(world.paging.host[FREE] < world.paging.host[MIN])


def pages_at_hand(memory) -> int:
    """Pages that nobody uses: free, on pcp lists, or held; no verb changes their sum."""
    free = int((memory.nr_free.sum(axis=(0, 2)) << np.arange(NR_ORDERS)).sum())
    return free + int(memory.pcp["count"].sum()) + int(pages_held(memory))


class User:
    """One policy at work: its worker, its walks, and the rows of its tables.

    ``walks`` holds [begin_ns, end_ns or -1, completed, walkable, covered, offered, hinted, lost,
    duplicate]; the last four are the user's counts at the beginning while the walk runs.
    """

    def __init__(self, number: int, actor: int, policy: Policy):
        self.number, self.actor, self.policy = number, actor, policy
        self.walks = []
        self.state = None
        self.zone = 0
        self.status = Stroke.MORE
        self.since = 0  # of the stroke
        self.asked = False  # to walk, once the walk that runs is over
        self.pages_at_hand = 0
        module = getattr(getattr(policy.fill, "py_func", policy.fill), "__module__", "")
        self.is_foreign = not module.startswith("freehint.")

    @property
    def walking(self) -> bool:
        """Does a walk run?"""
        return bool(self.walks) and self.walks[-1][1] < 0

    @property
    def by_itself(self) -> bool:
        """Does it walk when the allocator asks, not when the host does?"""
        return self.policy.delay_ns is not None


class Engine:
    """Runs a world under its policies.

    Parameters
    ----------
    world : World
    policies : sequence of Policy
        One a user, whose ``user`` is its number.
    host_config : HostConfig
    streams : list of numpy.random.Generator
        One a CPU, then one for the host: what one actor draws never depends on another.
    check : bool or None
        Check the whole memory after every verb, and name the policy that broke it.  None: after
        the verbs of policies that are not freehint's own.
    """

    def __init__(self, world: World, policies, host_config, streams, check=None):
        self.world = world
        self.host_config = host_config
        self.cpu_streams, self.host_stream = streams[:-1], streams[-1]
        self.host = len(world.cpu) + 1
        self.users = [User(n, self.host + 1 + n, policy) for n, policy in enumerate(policies)]
        self.check = check
        self.enabled = True
        self.acknowledges = False  # DONE by itself, see begin()
        self.locks = []  # user, stroke, zone, since_ns, held_ns, blocks
        self.history = []  # see moment()
        self.resident = []  # time_s, resident pages, faults so far
        self.work = []  # of a recorded guest: time_s, CPU, rows done, slip_ns
        self.migration = None
        self.shared = None  # whom to ask when a host that is shared has no memory left
        self.stopped = False  # by that host, for want of memory
        draw_gaps(world, host_config, self.host_stream)
        world.state[0].gap_at = world.gaps[0, 0] if host_config.gap_ns else NEVER
        for user in self.users:
            self._register(user)

    def _register(self, user: User) -> None:
        policy, world = user.policy, self.world
        if policy.on_empty:
            world.memory.notify[WATCH_EMPTY] = 1
        if policy.shrink:
            world.state[0].shrinkers += 1
        if user.by_itself:
            world.memory.notify[REPORT_ORDER] = policy.report_order
            schedule(world, user.actor, policy.delay_ns)
        make = policy.new_state
        user.state = make(world.memory, policy) if make else np.zeros(64, np.int64)
        record = world.user[user.number]
        record.on_full = ON_FULL.index(policy.on_full)
        record.under_lock = policy.report == "under_lock"
        record.wait_used = policy.holds_until_used or policy.report == "acknowledged"
        record.one_buffer = policy.one_buffer
        record.reserved = policy.reserved_descriptors
        record.kick_half_full = policy.kick == KICK[1]
        record.block_ns = int(world.cost[0].write_ns) if policy.zeroes else 0

    def begin(self, commands, until_ns: int, acknowledges=False) -> None:
        """What a run needs before its first event.

        Parameters
        ----------
        commands : list of (int, str)
            What comes from outside, in time's order: "start", "stop" and "done" from the host,
            "migrate" and "cancel" for the migration, "on" and "off" from the enable switch.
        until_ns : int
            The run's end; the memory is noted 100 times on the way.
        acknowledges : bool
            DONE follows the end of every walk that the host asked for.
        """
        self.acknowledges = acknowledges
        self.commands = list(commands)
        self.until_ns = until_ns
        self.noted_ns = 0
        self._note_memory(0)

    @property
    def next_moment_ns(self) -> int:
        """When the memory is noted next."""
        return min(self.until_ns, self.noted_ns + max(1, (self.until_ns + 99) // 100))

    def advance_to(self, time_ns: int) -> None:
        """Run all events before ``time_ns``, at most to the run's end; any steps give one result.

        Parameters
        ----------
        time_ns : int
        """
        while self.noted_ns < self.until_ns and self.next_moment_ns <= time_ns:
            self._run_until(self.next_moment_ns)
            self.noted_ns = self.next_moment_ns
            self._note_memory(self.noted_ns)
        self._run_until(min(time_ns, self.until_ns))

    def run(self, progress=None) -> None:
        """From :meth:`begin` to the end.

        Parameters
        ----------
        progress : callable, optional
            Called 100 times with the nanoseconds done since the last call.
        """
        while self.noted_ns < self.until_ns:
            reached = self.noted_ns
            self.advance_to(self.next_moment_ns)
            if progress:
                progress(self.noted_ns - reached)
        self.finish()

    def finish(self) -> None:
        """Close what is open; is the memory whole?  Else the policies are named."""
        for user in self.users:
            if user.walking:
                self._close_walk(user, -1, False)
        names = " and ".join(user.policy.name for user in self.users) or "none"
        self._check_memory(f"policy {names}")

    def _note_memory(self, time_ns: int) -> None:
        world = self.world
        self.history.append(moment(world.memory, time_ns / NS_PER_S))
        if world.state[0].discards:
            pages = int(count_bits(world.present))
            faults = int(world.migration[0].faults)
            self.resident.append((time_ns / NS_PER_S, pages, faults))
        self.note_work(time_ns)

    def note_work(self, time_ns: int) -> None:
        """How far a recorded guest has come."""
        if self.world.state[0].recorded:
            for cpu, record in enumerate(self.world.cpu):
                rows, slip_ns = int(record["rows"]), int(record["slip_ns"])
                self.work.append((time_ns / NS_PER_S, cpu, rows, slip_ns))

    def _run_until(self, time_ns: int) -> None:
        while not self.stopped:
            # Looked at anew after each answer: a command may have come up meanwhile.
            next_ns = self.commands[0][0] if self.commands else NEVER
            why, now_ns, who = advance(self.world, min(time_ns, next_ns))
            if why != TIME_IS_UP:
                self._answer(why, now_ns, who)
            elif next_ns >= time_ns:
                return
            else:
                due_ns, command = self.commands.pop(0)
                getattr(self, f"_{command}")(due_ns)

    def _answer(self, why: int, now_ns: int, who: int) -> None:
        if why == NEED_WORDS:
            draw_words(self.world, self.cpu_streams)
        elif why == NEED_GAPS:
            self._draw_more_gaps()
        elif why == NEED_ROOM:
            self._make_room()
        elif why == STROKE_DUE:
            self._begin_stroke(self.users[who], now_ns)
        elif why == STROKE_PUBLISHED:
            self._end_stroke(self.users[who], now_ns)
        elif why == LIST_EMPTIED:
            self._call_back(now_ns)
        elif why == REPORT_WANTED:
            self._want_report(now_ns)
        elif why == NEED_PAGES:
            self._shrink(who, now_ns)
        elif why == MIGRATION_TURN:
            self.migration.turn(now_ns)
        elif why == HOST_SHORT:
            self.shared.direct_reclaim(self)

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

    # What the host and the switch say.

    def _migrate(self, now_ns: int) -> None:
        self.migration.begin(now_ns)

    def _cancel(self, now_ns: int) -> None:
        self.migration.cancel(now_ns)

    def _start(self, now_ns: int) -> None:
        """A new command id: a walk begins, or follows the one that runs."""
        for user in self.users:
            if user.policy.fill is None or user.by_itself:
                continue
            if user.walking:
                # Also one that was told to STOP and has not noticed: it ends all the same.
                user.asked = True
            elif self.enabled:
                schedule(self.world, user.actor, now_ns)

    def _stop(self, now_ns: int) -> None:
        """STOP: the walk ends at its next block; blocks held stay held."""
        for user in self.users:
            if user.by_itself:
                continue
            user.asked = False
            if not user.walking:
                suspend(self.world, user.actor)  # the walk asked for has not begun
                continue
            record = self.world.user[user.number]
            record.stop = 1
            if record.mode == WAIT_RING:
                schedule(self.world, user.actor, now_ns)

    def _done(self, now_ns: int) -> None:
        """DONE: like STOP, and everything held is given back."""
        self._stop(now_ns)
        for user in self.users:
            if user.policy.release:
                with freed_blocks_cleared(self.world, user.policy):
                    blocks = user.policy.release(self.world.memory, user.state)
                self._give_back(blocks, now_ns)

    def _acknowledge(self, now_ns: int) -> None:
        """The guest's STOP has come to the host behind all hints: it answers DONE."""
        in_flight = sum(int(ring_in_flight(self.world.ring, u.number)) for u in self.users)
        if in_flight:
            self.ask_later(now_ns + in_flight * self.host_config.service_ns, "acknowledge")
        else:
            self._done(now_ns)

    def _off(self, now_ns: int) -> None:
        """The switch is off: no walk begins; one that runs goes on."""
        self.enabled = False

    def _on(self, now_ns: int) -> None:
        """The switch is on; who walks by itself may have missed its time."""
        self.enabled = True
        for user in self.users:
            if user.by_itself and not user.walking and self.world.key[user.actor] == NEVER:
                schedule(self.world, user.actor, now_ns + user.policy.delay_ns)

    def _give_back(self, blocks: int, now_ns: int) -> None:
        """Charge the zone locks for blocks freed; which zone is not told: the largest pays."""
        zone = int(np.argmax(self.world.memory.zones.managed))
        if blocks:
            hold_lock(self.world, zone, now_ns, int(blocks) * int(self.world.cost[0].buddy_ns))

    # What the allocator says.

    def _call_back(self, now_ns: int) -> None:
        """A list ran empty: policies that asked to be told hear of it at once."""
        memory = self.world.memory
        which = int(memory.notify[EMPTIED]) - 1
        memory.notify[EMPTIED] = 0
        migratetype, which = which % MIGRATE_TYPES, which // MIGRATE_TYPES
        order, zone = which % NR_ORDERS, which // NR_ORDERS
        for user in self.users:
            if user.policy.on_empty and user.walking:
                self._before(user)
                moved = user.policy.on_empty(memory, user.state, zone, order, migratetype)
                self._check(user, "on_empty")
                if moved:
                    record = self.world.user[user.number]
                    record.rows = min(record.rows, record.row)
                    hold_lock(self.world, zone, now_ns, moved * int(self.world.cost[0].rotate_ns))

    def _want_report(self, now_ns: int) -> None:
        """A free asked for a report: the first pass is due after the delay."""
        for user in self.users:
            if user.by_itself and not user.walking and self.world.key[user.actor] == NEVER:
                schedule(self.world, user.actor, now_ns + user.policy.delay_ns)
        self.world.state[0].reporters = 0

    def _shrink(self, cpu: int, now_ns: int) -> None:
        """An allocation found nothing: who holds pages for the host gives some back."""
        self.world.state[0].starving = 0
        freed = 0
        for user in self.users:
            if user.policy.shrink and not freed:
                self._before(user)
                with freed_blocks_cleared(self.world, user.policy):
                    freed = int(user.policy.shrink(self.world.memory, user.state, SHRINK_BATCH))
                self._check(user, "shrink")
        if freed:
            self.world.cpu[cpu].asked = 0
        schedule(self.world, cpu, now_ns + int(self.world.cost[0].buddy_ns))

    # Strokes.

    def _begin_walk(self, user: User, now_ns: int) -> None:
        world, record = self.world, self.world.user[user.number]
        counts = [int(record[name]) for name in PAGE_COUNTS]
        user.walks.append([now_ns, -1, False, 0, 0, *counts])
        user.zone = 0
        user.asked = False
        record.stop = 0
        if record.hinting == HINT_REQUESTED:
            # The command id goes out as a buffer of its own, before the first block.
            record.hinting = HINT_START
            record.valid_from = world.ring.count[user.number, ADDED]
        mark_free_pages(world, user.number)
        if user.by_itself:
            world.memory.notify[REPORT_REQUESTED] = 0
        # Who holds blocks until DONE remembers them from walk to walk.
        if user.policy.new_state and not user.policy.release:
            user.state = user.policy.new_state(world.memory, user.policy)

    def _begin_stroke(self, user: User, now_ns: int) -> None:
        """Take the zone's lock, let the policy choose, and start publishing."""
        if not user.walking:
            if not self.enabled:
                suspend(self.world, user.actor)
                return
            self._begin_walk(user, now_ns)
        world, record = self.world, self.world.user[user.number]
        if user.policy.next_zone:
            user.zone = int(user.policy.next_zone(world.memory, user.state))
        if user.zone < 0 or record.stop:
            self._end_walk(user, now_ns, not record.stop)
            return
        if not self._take_lock(user, WAIT_LOCK, now_ns):
            return
        user.since = max(now_ns, int(world.lock_until[user.zone]))
        n = self._fill(user)
        record.row, record.rows, record.filled, record.zone = 0, n, n, user.zone
        record.mode = PUBLISHING
        begin = user.since
        if not record.under_lock:
            begin = self._drop_lock(user, n)
        next_row(self.world, user.number, user.actor, begin)

    def _take_lock(self, user: User, mode: int, now_ns: int) -> bool:
        """Lock the user's zone, or let its worker sleep until a stroke of another's ends."""
        record, state = self.world.user[user.number], self.world.state[0]
        if state.locked_zones >> user.zone & 1:
            if record.mode != mode:
                record.wait_since = now_ns
            record.mode = mode
            suspend(self.world, user.actor)
            return False
        state.locked_zones |= 1 << user.zone
        return True

    def ask_later(self, time_ns: int, command: str) -> None:
        """A command that follows from what happened."""
        self.commands.append((time_ns, command))
        self.commands.sort(key=lambda one: one[0])

    def _fill(self, user: User) -> int:
        """Rows of the next stroke; the policy's answer is checked."""
        policy, zone = user.policy, user.zone
        self._feed_back(user)
        memory = self.world.memory
        capacity = policy.stroke_capacity or int(memory.nr_free[zone].sum()) + 1
        if capacity > self.world.outcome.shape[1]:
            self._widen_report(capacity)
        report = self.world.report[user.number]
        report[:] = 0
        self._before(user)
        n, status = policy.fill(memory, user.state, zone, report, capacity)
        if not 0 <= n <= capacity or status not in tuple(Stroke):
            raise InputError(
                f"policy {policy.name}: fill must return (0..{capacity}, a Stroke),"
                f" got ({n}, {status})"
            )
        self._check_rows(user, report[: int(n)])
        self._check(user, "fill")
        self.world.outcome[user.number, :n] = Outcome.REFUSED
        user.status = status
        if policy.zeroes and has_content(self.world):
            for node, order, _ in report[:n].tolist():
                write_block(self.world, node, order, True)
                if world_is_short(self.world):
                    self.shared.direct_reclaim(self)
        return int(n)

    def _check(self, user: User, verb: str) -> None:
        if not (user.is_foreign if self.check is None else self.check):
            return
        self._check_memory(f"policy {user.policy.name}: {verb}")
        pages = pages_at_hand(self.world.memory)
        if pages != user.pages_at_hand:
            raise InvariantError(
                f"policy {user.policy.name}: {verb}: {user.pages_at_hand} pages were free, on pcp"
                f" lists or held, now {pages} are"
            )

    def _before(self, user: User) -> None:
        """A verb is about to be called: what must be there afterwards too."""
        if user.is_foreign if self.check is None else self.check:
            user.pages_at_hand = pages_at_hand(self.world.memory)

    def _check_memory(self, where: str) -> None:
        try:
            check_memory(self.world.memory)
        except InvariantError as error:
            raise InvariantError(f"{where}: {error}") from None

    def _check_rows(self, user: User, rows) -> None:
        """Every row must name a block that is free, or that the policy holds."""
        memory = self.world.memory
        nodes, orders = rows[:, 0], rows[:, 1]
        sound = (nodes >= 0) & (nodes < memory.nr_pages) & (orders >= 0) & (orders < NR_ORDERS)
        frames = memory.frame[np.where(sound, nodes, 0)]
        sound &= frames & (BUDDY | ISOLATED) != 0
        sound &= frames & ORDER_MASK == orders
        if not sound.all():
            row = int(np.argmin(sound))
            raise InputError(
                f"policy {user.policy.name}: fill: row {row} (node {nodes[row]}, order"
                f" {orders[row]}) is neither a free block nor one held"
            )

    def _widen_report(self, capacity: int) -> None:
        users = len(self.users)
        report = np.zeros((users, capacity + 1, 3), np.int64)
        outcome = np.zeros((users, capacity), np.uint8)
        report[:, : self.world.report.shape[1]] = self.world.report
        outcome[:, : self.world.outcome.shape[1]] = self.world.outcome
        self.world = self.world._replace(report=report, outcome=outcome)

    def _feed_back(self, user: User) -> None:
        """Tell the policy which of its blocks in this zone the host has used since."""
        memory, state = self.world.memory, self.world.state[0]
        rows = self.world.used[: state.nr_used]
        mine = rows[:, 0] == user.number
        used = rows[mine, 1:].copy()
        others = rows[~mine].copy()
        self.world.used[: len(others)] = others
        state.nr_used = len(others)
        if not user.policy.wants_feedback or not len(used):
            return
        starts = memory.zones.start_pfn - memory.base_pfn
        here = np.searchsorted(starts, used[:, 0], side="right") - 1 == user.zone
        table = np.zeros((here.sum() + 1, 3), np.int64)
        table[:-1, :2] = used[here]
        outcome = np.full(len(table) - 1, Outcome.USED, np.uint8)
        if len(outcome):
            user.policy.drain(memory, user.state, user.zone, table, len(outcome), outcome)

    def _drop_lock(self, user: User, n: int) -> int:
        """A stroke that reports without the lock has walked and taken its blocks; when it has."""
        cost = self.world.cost[0]
        walked = int(self.world.report[user.number, : n + 1, 2].sum())
        end = user.since + walked * int(cost.walk_block_ns) + n * int(cost.buddy_ns)
        self._release(user, end)
        self._note_lock(user, user.since, end, n)
        return end

    def _note_lock(self, user: User, since: int, end: int, blocks: int) -> None:
        stroke = int(self.world.user[user.number].stroke)
        self.locks.append((user.number, stroke, user.zone, since, end - since, blocks))

    def _end_stroke(self, user: User, now_ns: int) -> None:
        """Tell the policy what became of its rows, release the lock, plan the next stroke."""
        world, record = self.world, self.world.user[user.number]
        n = int(record.filled)
        end = now_ns
        if record.under_lock:
            end += self._drain(user, n)
            self._release(user, end)
            self._note_lock(user, user.since, end, int(record.row))
        elif n:
            if not self._take_lock(user, DRAINING, now_ns):
                return
            since = max(now_ns, int(world.lock_until[user.zone]))
            cost = self._drain(user, n)
            self._release(user, since + cost if cost else int(world.lock_until[user.zone]))
            if cost:
                end = since + cost
                self._note_lock(user, since, end, n)
        refused = n > 0 and world.outcome[user.number, n - 1] == Outcome.REFUSED
        record.stroke += 1
        record.mode = IDLE
        if user.status == Stroke.ZONE_DONE and not refused:
            user.zone += 1
        last = user.zone == world.memory.nr_free.shape[0] and not user.policy.next_zone
        if user.status == Stroke.STOPPED or record.stop or last:
            self._end_walk(user, end, not record.stop)
        else:
            schedule(world, user.actor, end + user.policy.pause_ns)

    def _drain(self, user: User, n: int) -> int:
        """The policy's drain; the ns that it holds the lock for."""
        if not n:
            return 0
        world, policy = self.world, user.policy
        outcome = world.outcome[user.number]
        world.user[user.number].filled = 0
        if policy.report == "acknowledged":
            outcome[:n][outcome[:n] == Outcome.TAKEN] = Outcome.USED
        self._before(user)
        with freed_blocks_cleared(world, policy):
            moved = policy.drain(
                world.memory, user.state, user.zone, world.report[user.number], n, outcome
            )
        self._check(user, "drain")
        return int(moved or 0) * int(world.cost[0].rotate_ns)

    def _release(self, user: User, end_ns: int) -> None:
        """Hand the lock over; who waited gets it in the order of asking."""
        world, zone = self.world, user.zone
        world.state[0].locked_zones &= ~(1 << zone)
        world.lock_until[zone] = end_ns
        workers = world.user["wait_since"]
        since = [*world.cpu["wait_since"], world.state[0].kthreads_since, 0, *workers]
        asleep = [a for a in np.flatnonzero(world.key == NEVER) if self._waits_for_lock(a)]
        for place, (_, actor) in enumerate(sorted((since[a], a) for a in asleep)):
            schedule(world, int(actor), end_ns + place)

    def _waits_for_lock(self, actor: int) -> bool:
        """CPUs and kernel threads look again by themselves whether they may go on."""
        if actor <= self.host:
            return actor < self.host
        user = actor - self.host - 1
        if user >= len(self.users):
            return False
        mode = self.world.user[user].mode
        return mode in (WAIT_LOCK, DRAINING)

    def _end_walk(self, user: User, end_ns: int, completed: bool) -> None:
        """Close the walk, tell the host, and plan the next if one was asked for."""
        if user.policy.end_walk:
            self._before(user)
            user.policy.end_walk(self.world.memory, user.state)
            self._check(user, "end_walk")
        self._close_walk(user, end_ns, completed)
        world, record = self.world, self.world.user[user.number]
        record.mode = IDLE
        suspend(world, user.actor)
        # The end of a walk is a buffer of its own (STOP id), so the host is notified.
        if not user.by_itself:
            notify_host(world, self.host, end_ns)
            if self.acknowledges:
                self.ask_later(end_ns + self.host_config.kick_ns, "acknowledge")
        if user.by_itself and world.memory.notify[REPORT_REQUESTED]:
            schedule(world, user.actor, end_ns + user.policy.delay_ns)
        elif user.by_itself:
            world.state[0].reporters = 1
        elif user.asked and self.enabled:
            schedule(world, user.actor, end_ns + user.policy.pause_ns)

    def _close_walk(self, user: User, end_ns: int, completed: bool) -> None:
        record = self.world.user[user.number]
        walk = user.walks[-1]
        begin, before = walk[0], walk[5:]
        counts = [int(record[name]) - old for name, old in zip(PAGE_COUNTS, before)]
        covered = count_covered(self.world, user.number, user.policy.smallest_order)
        user.walks[-1] = [begin, end_ns, completed, *map(int, covered), *counts]
