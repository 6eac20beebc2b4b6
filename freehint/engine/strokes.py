"""Walks and strokes: the decisions of policies between two calls of the event loop.

A stroke is published under the zone lock, or after the lock was dropped; it ends when the ring has
taken all its rows, or when the host has used them.  Several users take turns at a zone's lock, as
CPUs and kernel threads do.  The compiled part is in :mod:`freehint.engine.stroke_kernels`, so that
a stroke takes 20 µs of Python, whatever the number of blocks; from the 4096th stroke of a walk on
:mod:`freehint.engine.driver` takes most strokes without any.
"""

from array import array

import numpy as np

from freehint.engine.current import Current
from freehint.engine.host.device import notify_host
from freehint.engine.monitor import Monitor
from freehint.engine.stroke_kernels import (
    begin_rows,
    finish_stroke,
    let_go,
    lock_for_drain,
    lock_zone,
    publish_rows,
    take_used,
)
from freehint.engine.user import PAGE_COUNTS, User
from freehint.engine.world.clock import NEVER, schedule, suspend
from freehint.engine.world.content import has_content, write_block
from freehint.engine.world.hints import IN_FLIGHT, count_covered, mark_free_pages
from freehint.engine.world.paging import FREE, MIN
from freehint.engine.world.records import HINT_REQUESTED, HINT_START, IDLE, PUBLISHED
from freehint.engine.world.ring import ADDED
from freehint.engine.world.world import World
from freehint.mm.damage import pages_at_hand
from freehint.mm.memory import REPORT_ORDER, REPORT_REQUESTED, WATCH_EMPTY, page_zone
from freehint.policies.policy import KICK, ON_FULL, Outcome, Stroke

TAKEN, USED = int(Outcome.TAKEN), int(Outcome.USED)
_, ZONE_DONE, STOPPED, AT_ONCE = map(int, Stroke)
NO_TABLE = np.zeros((0, 3), np.int64)
MANY_STROKES = 4096  # of a walk; then a driver, which has to be loaded or compiled, pays


def driver_of(strokes, user):
    """The Driver of a user's strokes, or None if Python has to take each."""
    # Imported where it is used: most runs have few strokes.
    from freehint.engine.driver import Driver, drivable

    try:
        return Driver(strokes, user) if drivable(user) else None
    except TypeError:  # a verb returns what is a number to Python alone
        return None


def world_is_short(world: World) -> bool:
    """Does a shared host have less memory left than one event may take?"""
    return bool(world.paging.host[FREE] < world.paging.host[MIN])


class Strokes:
    """The users of a world, walk by walk.

    ``users`` holds a User for each policy; ``locks`` holds, one after the other, six numbers for
    each hold of a zone lock: user, stroke, zone, since_ns, held_ns, blocks; ``commands`` holds the
    commands from outside as (time_ns, name), in the order of time; ``driver`` is the Driver of a
    user whose walk had many strokes, or None.  While ``enabled`` is False no walk begins; with
    ``acknowledges`` DONE follows the end of every walk.

    Parameters
    ----------
    current : Current
    policies : sequence of Policy
        One for each user; the policy's ``user`` is its number.
    host_config : HostConfig
    check : bool or None
        As in :class:`freehint.engine.engine.Engine`.
    reclaim : callable
        It makes room on a shared host that has no memory left.
    """

    def __init__(self, current: Current, policies, host_config, check, reclaim):
        self.current, self.host_config, self.reclaim = current, host_config, reclaim
        self.of_users, self.state = current.of_users, current.state
        self.host = len(self.world.cpu) + 1
        self.enabled, self.acknowledges = True, False
        self.commands, self.locks = [], array("q")
        self.driver = None  # of a walk of many strokes
        self.nr_zones = self.world.memory.nr_free.shape[0]
        self.users = [
            User(n, self.host + 1 + n, policy, current, check) for n, policy in enumerate(policies)
        ]
        self.monitor = Monitor(current, self.users)
        for user in self.users:
            self._register(user)

    @property
    def world(self) -> World:
        """The state of the simulation."""
        return self.current.world

    def _register(self, user: User) -> None:
        policy, world = user.policy, self.world
        if policy.has_shrinker and len(world.reclaim.shrinkers):
            world.reclaim.shrinkers[user.number].registered = 1
        elif policy.shrink:
            world.state[0].shrinkers += 1
        if user.by_itself:
            world.memory.notify[REPORT_ORDER] = policy.report_order
            schedule(world, user.actor, policy.delay_ns)
        record = world.user[user.number]
        if user.by_itself:
            record.reports = 1
            world.state[0].reporting |= IN_FLIGHT << user.number
        record.on_full = ON_FULL.index(policy.on_full)
        record.under_lock = policy.report == "under_lock"
        record.all_zones = policy.locks_all_zones
        record.wait_used = policy.holds_until_used or policy.report == "acknowledged"
        record.one_buffer = policy.one_buffer
        record.allocates = policy.allocates
        record.reserved = policy.reserved_descriptors
        record.kick_half_full = policy.kick == KICK[1]
        record.block_ns = int(world.cost[0].write_ns) if policy.zeroes else 0

    def ask_later(self, time_ns: int, command: str) -> None:
        """Add a command that follows from an event of the run."""
        self.commands.append((time_ns, command))
        self.commands.sort(key=lambda one: one[0])

    def wake_reporters(self, now_ns: int) -> None:
        """Plan a walk, after the delay, of each user that walks by itself and has none planned."""
        for user in self.users:
            if user.by_itself and not user.walking and self.world.key[user.actor] == NEVER:
                schedule(self.world, user.actor, now_ns + user.policy.delay_ns)

    def compact_memory(self, now_ns: int) -> None:
        """Let the kernel threads compact all memory, as /proc/sys/vm/compact_memory does."""
        threads, state = self.host - 1, self.world.state[0]
        state.compact_asked = 1
        if state.compact_zone < 0:
            state.kcompactd_at = now_ns
            schedule(self.world, threads, now_ns)

    def _compacts_first(self, user: User, now_ns: int) -> bool:
        """Has a policy that compacts before each walk still to wait for that?"""
        record = self.world.user[user.number]
        if user.policy.compacts and not (user.compacted or record.awaits):
            user.compacted = True
            record.awaits = 1
            tally = self.world.tally[0]
            user.before = (int(tally.migrated), int(tally.compact_memory_ns))
            self.compact_memory(now_ns)
        return bool(record.awaits)

    def last_locks(self, n: int) -> np.ndarray:
        """The last ``n`` rows of ``locks``, or all if there are fewer, int64[rows, 6]."""
        return np.array(self.locks[-6 * n :]).reshape(-1, 6)

    @property
    def lock_rows(self) -> np.ndarray:
        """All rows of ``locks``, int64[rows, 6]."""
        return np.array(self.locks).reshape(-1, 6)

    def page_counts(self, user: User) -> list:
        """The user's PAGE_COUNTS so far."""
        return [int(getattr(self.of_users, name)[user.number]) for name in PAGE_COUNTS]

    # Walks.

    def _begin_walk(self, user: User, now_ns: int) -> None:
        world, record = self.world, self.world.user[user.number]
        user.walks.append([now_ns, -1, False, 0, 0, *self.page_counts(user)])
        user.zone = 0
        user.strokes = user.gathered = 0
        user.asked = user.compacted = False
        tally = world.tally[0]
        now = (int(tally.migrated), int(tally.compact_memory_ns))
        user.compactions.append(tuple(b - a for a, b in zip(user.before or now, now)))
        user.before = None
        record.stop = 0
        if record.hinting == HINT_REQUESTED:
            # The command id goes out as a buffer of its own, before the first block.
            record.hinting = HINT_START
            record.valid_from = world.ring.count[user.number, ADDED]
        self.monitor.walk_begins(user, now_ns)
        mark_free_pages(self.current.pinned, user.number)
        if user.by_itself:
            world.memory.notify[REPORT_REQUESTED] = 0
        if user.policy.on_empty:
            world.memory.notify[WATCH_EMPTY] = 1
        # A policy that holds blocks until DONE keeps its state from walk to walk.
        if user.policy.new_state and not user.policy.release:
            user.set_state()

    def _end_walk(self, user: User, end_ns: int, completed: bool) -> None:
        """Close the walk, notify the host, and plan the next walk if one was asked for."""
        if user.policy.end_walk:
            user.call_checked("end_walk")
        self.close_walk(user, end_ns, completed)
        world = self.world
        if user.policy.on_empty:
            world.memory.notify[WATCH_EMPTY] = 0
        self.of_users.mode[user.number] = IDLE
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

    def close_walk(self, user: User, end_ns: int, completed: bool) -> None:
        """Note a walk's coverage and counts; ``end_ns`` is -1 if the run ended before the walk."""
        walk = user.walks[-1]
        begin, before = walk[0], walk[5:]
        counts = [now - old for now, old in zip(self.page_counts(user), before)]
        covered = count_covered(self.current.pinned, user.number, user.policy.smallest_order)
        user.walks[-1] = [begin, end_ns, completed, *map(int, covered), *counts]

    # Strokes.

    def begin(self, user: User, now_ns: int) -> bool:
        """Take the zone's lock, let the policy choose, and start publishing.

        Returns
        -------
        bool
            Whether rows were chosen.
        """
        number = user.number
        if not user.walking:
            if not self.enabled:
                suspend(self.world, user.actor)
                return False
            if self._compacts_first(user, now_ns):
                suspend(self.world, user.actor)
                return False
            self._begin_walk(user, now_ns)
        stop = self.of_users.stop[number]
        if user.gathered and (stop or user.interrupted):
            self._withdraw(user, now_ns)
            return False
        if user.policy.next_zone:
            user.zone = user.next_zone()
        return self.begin_in_zone(user, now_ns)

    def begin_in_zone(self, user: User, now_ns: int) -> bool:
        """Begin a stroke in the zone that was chosen for it; -1 ends the walk."""
        number = user.number
        stop = self.of_users.stop[number]
        if user.zone < 0 or stop:
            if self.of_users.holds[number]:
                let_go(self.current.pinned, number, now_ns)
                self._note_lock(user, self.nr_zones - 1, user.since, now_ns, user.blocks)
            self._end_walk(user, now_ns, not stop)
            return False
        holds = self.of_users.holds[number]
        since = lock_zone(self.current.pinned, number, user.zone, now_ns)
        if since < 0:
            return False
        if not holds:
            user.since, user.blocks = since, 0
        return self.choose(user, since, now_ns)

    def choose(self, user: User, since: int, now_ns: int) -> bool:
        """Let the policy choose its rows under the lock held since ``since`` (ns)."""
        user.get_on(now_ns)
        if user.strokes == MANY_STROKES and not self.driver:
            self.driver = driver_of(self, user)
        self._feed_back(user)
        pages = pages_at_hand(user.pinned_memory) if user.checked else 0
        report = self._empty_report(user)
        n = user.fill(report, len(report) - 1)
        if user.checked:
            user.check("fill", pages)
        return self.publish(user, since, n, report)

    def publish(self, user: User, since: int, n: int, report: np.ndarray) -> bool:
        """Start to publish the ``n`` rows that were chosen, or gather them.  As :meth:`begin`."""
        number = user.number
        first, under_lock = user.gathered, self.of_users.under_lock[number]
        gathers = bool(user.status == AT_ONCE and not under_lock)
        row, dropped_ns = begin_rows(self.current.pinned, number, since, first, n, gathers)
        if row >= 0:
            user.refuse_row(row - first, report[row - first])
        if not under_lock:
            self._note_lock(user, user.zone, since, dropped_ns, n)
        if user.policy.zeroes and has_content(self.world):
            self._clear_blocks(report[:n])
        user.interrupted = False
        user.gathered = first + n if gathers else 0
        if not gathers:
            self._settle_later(user, first + n, gathered=first > 0)
        return first + n > 0 and not gathers

    def _settle_later(self, user: User, n: int, gathered: bool) -> None:
        """Note the zones in which the first ``n`` rows will be settled."""
        user.to_settle, user.mixed = [user.zone], gathered
        if gathered:
            nodes = self.world.report[user.number, :n, 0]
            user.to_settle = sorted({int(page_zone(self.world.memory, node)) for node in nodes})

    def _withdraw(self, user: User, now_ns: int) -> None:
        """Settle the rows of a call that was interrupted before its report."""
        n, user.gathered, user.interrupted = user.gathered, 0, False
        publish_rows(self.current.pinned, user.number, n, 0)
        self.of_users.mode[user.number] = PUBLISHED
        self._settle_later(user, n, gathered=True)
        user.status = int(Stroke.MORE)
        schedule(self.world, user.actor, now_ns)

    def _empty_report(self, user: User) -> np.ndarray:
        """The cleared rows that the policy writes to, and one row more, after those gathered."""
        free_blocks = self.world.memory.nr_free[user.zone]
        capacity = user.capacity or int(free_blocks.sum()) + 1
        first = user.gathered
        if first + capacity > self.world.outcome.shape[1]:
            self._widen_report(max(first + capacity, 2 * first))
        report = self.world.report[user.number, first : first + capacity + 1]
        report[:] = 0
        return report

    def _widen_report(self, capacity: int) -> None:
        users = len(self.users)
        report = np.zeros((users, capacity + 1, 3), np.int64)
        outcome = np.zeros((users, capacity), np.uint8)
        report[:, : self.world.report.shape[1]] = self.world.report
        outcome[:, : self.world.outcome.shape[1]] = self.world.outcome
        self.current.replace(report=report, outcome=outcome)

    def _clear_blocks(self, rows: np.ndarray) -> None:
        """Zero the blocks that the policy takes."""
        for node, order, _ in rows.tolist():
            write_block(self.world, node, order, True)
            if world_is_short(self.world):
                self.reclaim()

    def _feed_back(self, user: User) -> None:
        """Tell the policy which of its blocks in this zone the host has used in the meantime."""
        nr_used = int(self.state.nr_used[0])
        if not nr_used:
            return
        wanted = user.policy.wants_feedback
        table = np.zeros((nr_used + 1, 3), np.int64) if wanted else NO_TABLE
        n = take_used(self.current.pinned, user.number, table)
        if n:
            outcome = np.full(n, USED, np.uint8)
            user.count("drain", user.zone, table[: n + 1], n, outcome)

    def end(self, user: User, now_ns: int) -> bool:
        """Tell the policy the outcome of its rows, release the lock, plan the next stroke.

        Returns
        -------
        bool
            Whether rows were settled.
        """
        number, since = user.number, user.since
        n, blocks = int(self.of_users.filled[number]), int(self.of_users.row[number])
        under_lock, goes_on = self.of_users.under_lock[number], user.status == AT_ONCE
        end_ns, refused = now_ns, False
        if under_lock or not n:
            moved = self._drain(user, n, user.zone) if n else 0
            end_ns, refused = finish_stroke(self.current.pinned, number, n, moved, goes_on, now_ns)
            user.blocks += blocks
            if under_lock and not self.of_users.holds[number]:
                self._note_lock(user, user.zone, since, end_ns, user.blocks)
        while n and not under_lock and user.to_settle:
            zone = self.of_users.zone[number] = user.to_settle[0]
            since = lock_for_drain(self.current.pinned, number, end_ns)
            if since < 0:
                return False
            moved = self._drain(user, n, zone)
            user.to_settle.pop(0)
            end_ns, refused = finish_stroke(self.current.pinned, number, n, moved, False, end_ns)
            if end_ns > since:
                self._note_lock(user, zone, since, end_ns, n)
        self.of_users.filled[number] = 0
        self.of_users.stroke[number] += 1
        if user.status == ZONE_DONE and not refused:
            user.zone += 1
        last = user.zone == self.nr_zones and not user.policy.next_zone
        stop = self.of_users.stop[number]
        if user.status == STOPPED or stop or last:
            self._end_walk(user, end_ns, not stop)
        else:
            at_once = goes_on and not refused
            pause_ns = 0 if at_once else user.policy.pause_ns
            schedule(self.world, user.actor, end_ns + pause_ns)
        return n > 0

    def _drain(self, user: User, n: int, zone: int) -> int:
        """Call the policy's drain and return the number of nodes that it moved under the lock."""
        report, outcome = self.world.report[user.number], self.world.outcome[user.number]
        if user.policy.report == "acknowledged":
            outcome[:n][outcome[:n] == TAKEN] = USED
        report, outcome = report[: n + 1], outcome[:n]
        if user.mixed:
            here = [page_zone(self.world.memory, node) == zone for node in report[:n, 0]]
            report, outcome = report[[*here, True]], outcome[here]
        return user.count("drain", zone, report, len(outcome), outcome)

    def _note_lock(self, user: User, zone: int, since: int, end: int, blocks: int) -> None:
        stroke = int(self.of_users.stroke[user.number])
        self.locks.extend((user.number, stroke, int(zone), since, end - since, blocks))
