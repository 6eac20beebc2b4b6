"""The engine: what the event loop cannot decide by itself.

:func:`freehint.engine.loop.advance` comes back for a stroke, a callback, a command of the host,
more random words or more room; :class:`Engine` answers and lets it go on.
"""

import numpy as np

from freehint.engine.guest.workloads import WORDS, draw_words
from freehint.engine.host.device import draw_gaps
from freehint.engine.loop import (
    HOST_SHORT,
    LIST_EMPTIED,
    MIGRATION_TURN,
    NEED_GAPS,
    NEED_KERNEL,
    NEED_PAGES,
    NEED_ROOM,
    NEED_WORDS,
    REPORT_WANTED,
    STROKE_DUE,
    STROKE_PUBLISHED,
    TIME_IS_UP,
    advance,
)
from freehint.engine.moment import moment
from freehint.engine.rare import RARE
from freehint.engine.strokes import Strokes
from freehint.engine.user import require_whole
from freehint.engine.world.clock import NEVER, hold_lock, schedule, suspend
from freehint.engine.world.records import WAIT_RING, grown
from freehint.engine.world.ring import ring_in_flight
from freehint.engine.world.world import World
from freehint.jit.apart import address_of
from freehint.mm.bitmap import count_bits
from freehint.mm.memory import EMPTIED, MIGRATE_TYPES, NR_ORDERS
from freehint.units import NS_PER_S

FIRST_WORDS = 512  # a short run, of which a sweep has thousands, needs no more
SHRINK_BATCH = 128  # pages that a shrinker is asked for at a time (mm/vmscan.c)


class Engine(Strokes):
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
        super().__init__(world, policies, host_config, check)
        self.cpu_streams, self.host_stream = streams[:-1], streams[-1]
        self.history = []  # see moment()
        self.resident = []  # time_s, resident pages, faults so far
        self.work = []  # of a recorded guest: time_s, CPU, rows done, slip_ns
        self.words = FIRST_WORDS  # to be drawn next
        self.migration = None
        self.stopped = False  # by a host that is shared, for want of memory
        draw_gaps(world, host_config, self.host_stream)
        world.state[0].gap_at = world.gaps[0, 0] if host_config.gap_ns else NEVER

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
        time_ns = min(time_ns, self.until_ns)
        if time_ns > self.noted_ns:
            self._run_until(time_ns)

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
        require_whole(self.world.memory, f"policy {names}")

    def _note_memory(self, time_ns: int) -> None:
        self.history.append(moment(self.pinned_memory, time_ns / NS_PER_S))
        if self.state.discards[0]:
            pages = int(count_bits(self.world.present))
            faults = int(self.world.migration[0].faults)
            self.resident.append((time_ns / NS_PER_S, pages, faults))
        self.note_work(time_ns)

    def note_work(self, time_ns: int) -> None:
        """How far a recorded guest has come."""
        if self.state.recorded[0]:
            for cpu, record in enumerate(self.world.cpu):
                rows, slip_ns = int(record["rows"]), int(record["slip_ns"])
                self.work.append((time_ns / NS_PER_S, cpu, rows, slip_ns))

    def _run_until(self, time_ns: int) -> None:
        while not self.stopped:
            # Looked at anew after each answer: a command may have come up meanwhile.
            next_ns = self.commands[0][0] if self.commands else NEVER
            why, now_ns, who = self._advance(min(time_ns, next_ns))
            if why != TIME_IS_UP:
                self._answer(why, now_ns, who)
            elif next_ns >= time_ns:
                return
            else:
                due_ns, command = self.commands.pop(0)
                getattr(self, f"_{command}")(due_ns)

    def _advance(self, until_ns: int) -> tuple:
        return advance(self.pinned, until_ns)

    def _answer(self, why: int, now_ns: int, who: int) -> None:
        if why == STROKE_DUE:
            self._begin_stroke(self.users[who], now_ns)
        elif why == STROKE_PUBLISHED:
            self._end_stroke(self.users[who], now_ns)
        elif why == NEED_WORDS:
            draw_words(self.world, self.cpu_streams, self.words)
            self.words = min(2 * self.words, WORDS)
        elif why == NEED_GAPS:
            self._draw_more_gaps()
        elif why == NEED_ROOM:
            self._make_room()
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
        elif why == NEED_KERNEL:
            self.world.apart[who] = address_of(RARE[who], self.pinned, 0, 0)

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
                self._give_back(user.call_that_frees(self.world, "release"), now_ns)

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
                moved = user.call_checked("on_empty", zone, order, migratetype)
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
                freed = int(user.call_that_frees(self.world, "shrink", SHRINK_BATCH))
        if freed:
            self.world.cpu[cpu].asked = 0
        schedule(self.world, cpu, now_ns + int(self.world.cost[0].buddy_ns))
