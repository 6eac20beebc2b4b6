"""The engine: it decides what the compiled event loop cannot decide by itself.

:func:`freehint.engine.loop.advance` returns for a stroke, a callback, a command of the host, more
random words or more room; :class:`Engine` deals with that and calls it again.
"""

from freehint.engine.commands import Commands
from freehint.engine.current import Current
from freehint.engine.guest.workloads import WORDS, draw_words
from freehint.engine.host.device import draw_gaps
from freehint.engine.host.migration import Migration, MigrationConfig
from freehint.engine.host.park import Park, ParkConfig
from freehint.engine.inflate import Inflation
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
from freehint.engine.rare import turn_of
from freehint.engine.strokes import Strokes
from freehint.engine.user import require_whole
from freehint.engine.world.clock import NEVER, hold_lock, schedule
from freehint.engine.world.records import grown
from freehint.engine.world.world import World
from freehint.jit.apart import FLAG, address_of
from freehint.mm.bitmap import count_bits
from freehint.mm.memory import (
    CALLED,
    EMPTIED,
    HEADS,
    NR_ORDERS,
)
from freehint.mm.reclaim.shrinker import SHRINK_BATCH, count_objects
from freehint.units import NS_PER_S, PAGES_PER_MIB

FIRST_WORDS = 512  # enough for a short run; a sweep has thousands of those


def run_events(engine, until_ns: int) -> tuple:
    """Run the compiled loop; the result is that of :func:`freehint.engine.loop.advance`.

    A driver of strokes, which tells no watcher of them, may answer a part, and returns -1 for it.
    """
    driver = engine.strokes.driver
    if driver is None or engine.watchers:
        return advance(engine.pinned, until_ns)
    return driver.advance(until_ns)


class Engine:
    """Runs a world under its policies.

    ``strokes`` holds the users and runs their strokes; ``commands`` holds the commands that come
    from outside; ``migration`` is a Migration or None.  ``loop`` keeps the order of events: it is
    called with the engine and a time, and returns what
    :func:`freehint.engine.loop.advance` returns.

    Parameters
    ----------
    world : World
    policies : sequence of Policy
        One for each user; the policy's ``user`` is its number.
    host_config : HostConfig
    streams : list of numpy.random.Generator
        One per CPU, then one for the host, so that no actor's draws depend on another actor.
    check : bool or None
        Whether to check the whole memory after every verb, and name a policy that broke it.
        None checks policies with a verb that is not freehint's own and that are not trusted:
        their pages are counted after every verb, and the whole memory is checked after the first
        few verbs and then so seldom that it takes a fifth of the time.
    watchers : sequence of Watcher
        See :mod:`freehint.engine.watcher`.
    """

    def __init__(self, world: World, policies, host_config, streams, check=None, watchers=()):
        self.current = Current(world)
        self.strokes = Strokes(self.current, policies, host_config, check, self._reclaim)
        self.commands = Commands(self.strokes, self.tell)
        self.watchers = tuple(watchers)
        self.loop = run_events
        self.host_config = host_config
        self.cpu_streams, self.host_stream = streams[:-1], streams[-1]
        self.history = []  # rows of moment()
        self.held = []  # rows of time_s, user, pages held for the host
        self.resident = []  # rows of time_s, resident pages, faults so far
        self.work = []  # for a recorded guest, rows of time_s, CPU, rows done, slip_ns
        self.words = FIRST_WORDS  # number of words to draw next
        self.migration = None
        self.inflation = None
        self.parking = None
        self.shared = None  # the HostMemory, if the guest shares its host
        self.stopped = False  # True when a shared host out of memory has killed the guest
        draw_gaps(world, host_config, self.host_stream)
        world.state[0].gap_at = world.gaps[0, 0] if host_config.gap_ns else NEVER
        if self.under_pressure:
            self.commands.does |= {
                "drop_caches": self._drop_caches,
                "reclaim": self._memory_reclaim,
            }
        self.tell("begin", self)

    @property
    def under_pressure(self) -> bool:
        """Can the guest reclaim memory?"""
        return len(self.world.reclaim.shrinkers) > 0

    @property
    def world(self) -> World:
        """The state of the simulation."""
        return self.current.world

    @property
    def pinned(self):
        """The world in the form that kernels take."""
        return self.current.pinned

    def tell(self, what: str, *about) -> None:
        """Call the method ``what`` of every watcher."""
        for watcher in self.watchers:
            getattr(watcher, what)(*about)

    def migrate(self, config: MigrationConfig) -> Migration:
        """Let the guest be migrated when the commands "migrate" and "cancel" say so."""
        self.migration = Migration(self, config)
        self.commands.does |= {"migrate": self.migration.begin, "cancel": self.migration.cancel}
        return self.migration

    def park(self, config: ParkConfig) -> Park:
        """Let the guest be parked when the command "park" says so."""
        self.parking = Park(self, config)
        return self.parking

    def inflate(self, deflate_on_oom: bool) -> Inflation:
        """Let the guest have a balloon, whose target the command "balloon MiB" sets."""
        self.inflation = Inflation(self, deflate_on_oom)
        self.commands.does |= {"balloon": self.inflation.aim, "inflate": self.inflation.work}
        self.world.state[0].shrinkers += deflate_on_oom
        return self.inflation

    def begin(self, commands, until_ns: int, acknowledges=False) -> None:
        """Prepare a run before its first event.

        Parameters
        ----------
        commands : list of (int, str)
            Times in ns and commands from outside, in the order of time: "start", "stop" and
            "done" from the host, "migrate" and "cancel" for the migration, "on" and "off" from
            the enable switch, and those of :class:`freehint.Control`'s ``at``.
        until_ns : int
            The run's end; the memory is noted 100 times on the way.
        acknowledges : bool
            Whether DONE follows the end of every walk that the host asked for.
        """
        self.strokes.acknowledges = acknowledges
        self.commands.waiting[:] = commands
        self.until_ns = until_ns
        self.noted_ns = 0
        self._note_memory(0)

    @property
    def next_moment_ns(self) -> int:
        """The next time at which the memory is noted."""
        return min(self.until_ns, self.noted_ns + max(1, (self.until_ns + 99) // 100))

    def advance_to(self, time_ns: int) -> None:
        """Run all events before ``time_ns``, at most to the run's end, in steps of any length.

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
        """Run to the end, after :meth:`begin`.

        Parameters
        ----------
        progress : callable, optional
            It is called 100 times with the nanoseconds simulated since the last call.
        """
        while self.noted_ns < self.until_ns:
            reached = self.noted_ns
            self.advance_to(self.next_moment_ns)
            if progress:
                progress(self.noted_ns - reached)
        self.finish()

    def finish(self) -> None:
        """Close open walks and check the memory; an error names the policies."""
        for user in self.strokes.users:
            if user.walking:
                self.strokes.close_walk(user, -1, False)
        if self.parking:
            self.parking.count_after()
        names = " and ".join(user.policy.name for user in self.strokes.users) or "none"
        reclaim = self.world.reclaim if len(self.world.jobs.step) else None
        require_whole(self.world.memory, f"policy {names}", reclaim)
        self.strokes.monitor.finish(self.until_ns, self.migration)
        self.tell("finish")

    def _note_memory(self, time_ns: int) -> None:
        self.history.append(moment(self.current.pinned_memory, time_ns / NS_PER_S))
        for user in self.strokes.users:
            # The kernel is compiled only for policies that hold blocks.
            held = user.may_hold and count_objects(self.current.pinned_memory, user.number)
            pages = int(held)
            self.held.append((time_ns / NS_PER_S, user.number, pages))
        if self.world.host[0].discards:
            pages = int(count_bits(self.world.present))
            faults = int(self.world.host[0].faults)
            self.resident.append((time_ns / NS_PER_S, pages, faults))
        self.note_work(time_ns)

    def note_work(self, time_ns: int) -> None:
        """Note how far a recorded guest has come."""
        if self.current.state.recorded[0]:
            for cpu, record in enumerate(self.world.cpu):
                rows, slip_ns = int(record["rows"]), int(record["slip_ns"])
                self.work.append((time_ns / NS_PER_S, cpu, rows, slip_ns))

    def run_until(self, time_ns: int) -> None:
        """Run all events before ``time_ns``, and stop at the times that watchers ask for.

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
            # Read again after each answer, which may have added a command.
            next_ns = self.commands.next_ns
            why, now_ns, who = self.loop(self, min(time_ns, next_ns))
            if why != TIME_IS_UP:
                self.answer(why, now_ns, who)
            elif next_ns >= time_ns:
                return
            else:
                self.commands.do_next()

    def answer(self, why: int, now_ns: int, who: int) -> None:
        """Do what the loop returned for.

        Parameters
        ----------
        why, now_ns, who : int
            The values that :func:`freehint.engine.loop.advance` returned.
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
            self.make_room()
        elif why == LIST_EMPTIED:
            self.call_back(who, now_ns)
        elif why == REPORT_WANTED:
            self._want_report(now_ns)
        elif why == NEED_PAGES:
            self._shrink(who, now_ns)
        elif why == MIGRATION_TURN:
            self.migration.turn(now_ns)
        elif why == HOST_SHORT:
            self._reclaim()
        elif why == NEED_KERNEL:
            self.world.apart[who] = address_of(turn_of(who), FLAG, self.pinned, 0, 0)

    # Imported where they are used: what is under pressure needs a quarter of all modules.

    def _drop_caches(self, now_ns: int) -> None:
        from freehint.engine.guest.pressure.outside import drop_everything

        drop_everything(self.pinned)

    def _memory_reclaim(self, now_ns: int, mib: int) -> None:
        from freehint.engine.guest.pressure.outside import reclaim_pages

        reclaim_pages(self.pinned, mib * PAGES_PER_MIB)

    def _reclaim(self) -> None:
        self.shared.direct_reclaim(self)

    def _draw_more_gaps(self) -> None:
        # The length in the last row has not been used yet, so it moves to row 0.
        length = self.world.gaps[-1, 1]
        draw_gaps(self.world, self.host_config, self.host_stream)
        self.world.gaps[0, 1] = length

    def make_room(self) -> None:
        """Lengthen the tables that are full."""
        for name in ("reports", "waits", "used"):
            table = getattr(self.world, name)
            if self.world.state[0][f"nr_{name}"] == len(table):
                self.current.replace(**{name: grown(table)})

    # Notifications of the allocator.

    def call_back(self, cpu: int, now_ns: int) -> None:
        """Tell the policies that watch for it that a free list ran empty.

        A CPU that sleeps has found it empty, and repeats its operation before any other event.

        Parameters
        ----------
        cpu : int
            The actor whose event came before; -1 if it was none.
        now_ns : int
        """
        memory = self.world.memory
        which = int(memory.notify[EMPTIED]) - 1
        memory.notify[EMPTIED] = 0
        which, migratetype = divmod(which, HEADS)
        order, zone = which % NR_ORDERS, which // NR_ORDERS
        for user in self.strokes.users:
            if user.policy.on_empty and user.walking:
                moved = user.count("on_empty", zone, order, migratetype)
                if moved:
                    record = self.world.user[user.number]
                    record.rows = min(record.rows, record.row)
                    user.interrupted = True
                    hold_lock(self.world, zone, now_ns, moved * int(self.world.cost[0].rotate_ns))
        if cpu >= 0 and memory.notify[CALLED] and self.world.key[cpu] == NEVER:
            schedule(self.world, cpu, now_ns)
        self.tell("called_back", now_ns)

    def _want_report(self, now_ns: int) -> None:
        """Schedule the first pass after the delay, because a free asked for a report."""
        self.strokes.wake_reporters(now_ns)
        self.world.state[0].reporters = 0

    def shrink(self) -> int:
        """Let the first policy that holds pages give some back; return their number."""
        for user in self.strokes.users:
            freed = user.count("shrink", SHRINK_BATCH) if user.policy.shrink else 0
            if freed:
                user.interrupted = True
                return freed
        return 0

    def _shrink(self, cpu: int, now_ns: int) -> None:
        """Let a policy that holds pages for the host give some back: an allocation found none."""
        self.world.state[0].starving = 0
        freed = self.shrink()
        if self.inflation and not freed:
            freed = self.inflation.oom_notify(now_ns)
        if freed:
            self.world.cpu[cpu].asked = 0
        schedule(self.world, cpu, now_ns + int(self.world.cost[0].buddy_ns))
