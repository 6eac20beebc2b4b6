"""The engine: what the event loop cannot decide by itself.

:func:`freehint.engine.loop.advance` comes back for a stroke, a callback, a command of the host,
more random words or more room; :class:`Engine` answers and lets it go on.
"""

from freehint.engine.commands import Commands
from freehint.engine.current import Current
from freehint.engine.guest.workloads import WORDS, draw_words
from freehint.engine.host.device import draw_gaps
from freehint.engine.host.migration import Migration, MigrationConfig
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
from freehint.engine.world.clock import NEVER, hold_lock, schedule
from freehint.engine.world.records import grown
from freehint.engine.world.world import World
from freehint.jit.apart import address_of
from freehint.mm.bitmap import count_bits
from freehint.mm.memory import EMPTIED, MIGRATE_TYPES, NR_ORDERS
from freehint.units import NS_PER_S

FIRST_WORDS = 512  # a short run, of which a sweep has thousands, needs no more
SHRINK_BATCH = 128  # pages that a shrinker is asked for at a time (mm/vmscan.c)


def run_events(engine, until_ns: int) -> tuple:
    """The compiled loop; what :func:`freehint.engine.loop.advance` returns."""
    return advance(engine.pinned, until_ns)


class Engine:
    """Runs a world under its policies.

    ``strokes`` has the users and what they do; ``commands`` is what the host says and when;
    ``migration`` a Migration or None.  ``loop`` keeps the order of events: called with the engine
    and a time, it returns as :func:`freehint.engine.loop.advance` does.

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
    watchers : sequence of Watcher
        Who looks on; see :mod:`freehint.engine.watcher`.
    """

    def __init__(self, world: World, policies, host_config, streams, check=None, watchers=()):
        self.current = Current(world)
        self.strokes = Strokes(self.current, policies, host_config, check, self._reclaim)
        self.commands = Commands(self.strokes, self.tell)
        self.watchers = tuple(watchers)
        self.loop = run_events
        self.host_config = host_config
        self.cpu_streams, self.host_stream = streams[:-1], streams[-1]
        self.history = []  # see moment()
        self.resident = []  # time_s, resident pages, faults so far
        self.work = []  # of a recorded guest: time_s, CPU, rows done, slip_ns
        self.words = FIRST_WORDS  # to be drawn next
        self.migration = None
        self.shared = None  # whom to ask when a host that is shared has no memory left
        self.stopped = False  # by a host that is shared, for want of memory
        draw_gaps(world, host_config, self.host_stream)
        world.state[0].gap_at = world.gaps[0, 0] if host_config.gap_ns else NEVER
        self.tell("begin", self)

    @property
    def world(self) -> World:
        """Everything that moves."""
        return self.current.world

    @property
    def pinned(self):
        """The world as kernels take it."""
        return self.current.pinned

    def tell(self, what: str, *about) -> None:
        """Call this method of every watcher."""
        for watcher in self.watchers:
            getattr(watcher, what)(*about)

    def migrate(self, config: MigrationConfig) -> Migration:
        """Let the guest be migrated when the commands "migrate" and "cancel" say so."""
        self.migration = Migration(self, config)
        self.commands.does |= {"migrate": self.migration.begin, "cancel": self.migration.cancel}
        return self.migration

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
        self.strokes.acknowledges = acknowledges
        self.commands.waiting[:] = commands
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
            self.run_until(self.next_moment_ns)
            self.noted_ns = self.next_moment_ns
            self._note_memory(self.noted_ns)
        time_ns = min(time_ns, self.until_ns)
        if time_ns > self.noted_ns:
            self.run_until(time_ns)

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
        for user in self.strokes.users:
            if user.walking:
                self.strokes.close_walk(user, -1, False)
        names = " and ".join(user.policy.name for user in self.strokes.users) or "none"
        require_whole(self.world.memory, f"policy {names}")
        self.tell("finish")

    def _note_memory(self, time_ns: int) -> None:
        self.history.append(moment(self.current.pinned_memory, time_ns / NS_PER_S))
        if self.world.host[0].discards:
            pages = int(count_bits(self.world.present))
            faults = int(self.world.host[0].faults)
            self.resident.append((time_ns / NS_PER_S, pages, faults))
        self.note_work(time_ns)

    def note_work(self, time_ns: int) -> None:
        """How far a recorded guest has come."""
        if self.current.state.recorded[0]:
            for cpu, record in enumerate(self.world.cpu):
                rows, slip_ns = int(record["rows"]), int(record["slip_ns"])
                self.work.append((time_ns / NS_PER_S, cpu, rows, slip_ns))

    def run_until(self, time_ns: int) -> None:
        """Run all events before ``time_ns``, and let watchers look where they want to stop.

        Parameters
        ----------
        time_ns : int
        """
        stop_ns = -1
        while stop_ns < time_ns:
            stop_ns = min([time_ns, *(watcher.next_stop_ns() for watcher in self.watchers)])
            self._run_stretch(stop_ns)
            self.tell("advanced", stop_ns)

    def _run_stretch(self, time_ns: int) -> None:
        while not self.stopped:
            # Looked at anew after each answer: a command may have come up meanwhile.
            next_ns = self.commands.next_ns
            why, now_ns, who = self.loop(self, min(time_ns, next_ns))
            if why != TIME_IS_UP:
                self.answer(why, now_ns, who)
            elif next_ns >= time_ns:
                return
            else:
                self.commands.do_next()

    def answer(self, why: int, now_ns: int, who: int) -> None:
        """Do what the loop came back for.

        Parameters
        ----------
        why, now_ns, who : int
            As :func:`freehint.engine.loop.advance` returns them.
        """
        if why == STROKE_DUE:
            user = self.strokes.users[who]
            if self.strokes.begin(user, now_ns):
                self.tell("stroke_chosen", user, now_ns)
        elif why == STROKE_PUBLISHED:
            user = self.strokes.users[who]
            self.tell("stroke_published", user, now_ns)
            if self.strokes.end(user, now_ns):
                self.tell("stroke_settled", user, now_ns)
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
            self._reclaim()
        elif why == NEED_KERNEL:
            self.world.apart[who] = address_of(RARE[who], self.pinned, 0, 0)

    def _reclaim(self) -> None:
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
                self.current.replace(**{name: grown(table)})

    # What the allocator says.

    def _call_back(self, now_ns: int) -> None:
        """A list ran empty: policies that asked to be told hear of it at once."""
        memory = self.world.memory
        which = int(memory.notify[EMPTIED]) - 1
        memory.notify[EMPTIED] = 0
        migratetype, which = which % MIGRATE_TYPES, which // MIGRATE_TYPES
        order, zone = which % NR_ORDERS, which // NR_ORDERS
        for user in self.strokes.users:
            if user.policy.on_empty and user.walking:
                moved = user.call_checked("on_empty", zone, order, migratetype)
                if moved:
                    record = self.world.user[user.number]
                    record.rows = min(record.rows, record.row)
                    hold_lock(self.world, zone, now_ns, moved * int(self.world.cost[0].rotate_ns))
        self.tell("called_back", now_ns)

    def _want_report(self, now_ns: int) -> None:
        """A free asked for a report: the first pass is due after the delay."""
        self.strokes.wake_reporters(now_ns)
        self.world.state[0].reporters = 0

    def _shrink(self, cpu: int, now_ns: int) -> None:
        """An allocation found nothing: who holds pages for the host gives some back."""
        self.world.state[0].starving = 0
        freed = 0
        for user in self.strokes.users:
            if user.policy.shrink and not freed:
                freed = int(user.call_that_frees(self.world, "shrink", SHRINK_BATCH))
        if freed:
            self.world.cpu[cpu].asked = 0
        schedule(self.world, cpu, now_ns + int(self.world.cost[0].buddy_ns))
