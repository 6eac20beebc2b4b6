"""The commands of the host and of the enable switch to the guest's users, and their times."""

import numpy as np

from freehint.engine.strokes import Strokes
from freehint.engine.world.clock import NEVER, hold_lock, schedule, suspend
from freehint.engine.world.records import HINT_REQUESTED, WAIT_RING
from freehint.engine.world.ring import ring_in_flight
from freehint.engine.world.violations import ID_DONE


class Commands:
    """The commands of a run that are still to come, and the methods that carry them out.

    Parameters
    ----------
    strokes : Strokes
    tell : callable
        It is called as ``tell("done", now_ns)`` after DONE.
    """

    def __init__(self, strokes: Strokes, tell):
        self.strokes, self.tell = strokes, tell
        self.waiting = strokes.commands
        self.last_id = ID_DONE  # ids are the numbers above it
        self.does = {
            "start": self.start,
            "stop": self.stop,
            "done": self.done,
            "acknowledge": self.acknowledge,
            "off": self.off,
            "on": self.on,
            "compact_memory": strokes.compact_memory,
        }

    @property
    def next_ns(self) -> int:
        """The time at which the next command is due, or NEVER."""
        return self.waiting[0][0] if self.waiting else NEVER

    def do_next(self) -> None:
        """Carry out the command that is due first."""
        due_ns, command = self.waiting.pop(0)
        name, *amounts = command.split()
        self.does[name](due_ns, *map(int, amounts))

    def later(self, time_ns: int, command: str) -> None:
        """Add a command that follows from an event of the run."""
        self.strokes.ask_later(time_ns, command)

    def forget(self, command: str) -> None:
        """Drop all waiting commands of this name."""
        self.waiting[:] = [one for one in self.waiting if one[1] != command]

    def start(self, now_ns: int) -> None:
        """Send a new command id: a walk begins, or follows the one that runs."""
        if not (self.strokes.of_users.hinting == HINT_REQUESTED).any():
            self.new_id(now_ns)  # a migration has issued its own before
        for user in self.strokes.users:
            if user.policy.fill is None or user.by_itself:
                continue
            if user.walking:
                # A walk that was told to STOP and has not noticed it still ends.
                user.asked = True
            elif self.strokes.enabled:
                schedule(self.strokes.world, user.actor, now_ns)
            else:
                self.strokes.monitor.not_supplied(user, now_ns)

    def new_id(self, now_ns: int) -> None:
        """Issue a command id; the guest sees it when :meth:`start` comes."""
        self.last_id += 1
        self.strokes.monitor.id_issued(self.last_id, now_ns)

    def stop(self, now_ns: int) -> None:
        """Send STOP: the walk ends at its next block, and blocks that are held stay held."""
        world = self.strokes.world
        self.strokes.monitor.stopped()
        for user in self.strokes.users:
            if user.by_itself:
                continue
            user.asked = False
            if not user.walking:
                suspend(world, user.actor)  # a walk that was asked for has not begun
                # The end of the compaction that it waits for may not begin it either.
                world.user[user.number].awaits, user.compacted = 0, False
                continue
            record = world.user[user.number]
            record.stop = 1
            if record.mode == WAIT_RING:
                schedule(world, user.actor, now_ns)

    def done(self, now_ns: int) -> None:
        """Send DONE: like STOP, and all blocks that are held are given back."""
        self.stop(now_ns)
        for user in self.strokes.users:
            if user.policy.release:
                self._give_back(user.count("release"), now_ns)
        self.strokes.monitor.done(now_ns)
        self.tell("done", now_ns)

    def acknowledge(self, now_ns: int) -> None:
        """Answer DONE when the guest's STOP, which follows all hints, has reached the host."""
        ring, users = self.strokes.world.ring, self.strokes.users
        in_flight = sum(int(ring_in_flight(ring, user.number)) for user in users)
        if in_flight:
            service_ns = self.strokes.host_config.service_ns
            self.later(now_ns + in_flight * service_ns, "acknowledge")
        else:
            self.done(now_ns)

    def off(self, now_ns: int) -> None:
        """Turn the switch off: no walk begins, but one that runs goes on."""
        self.strokes.enabled = False

    def on(self, now_ns: int) -> None:
        """Turn the switch on, and wake reporters that may have missed a request."""
        self.strokes.enabled = True
        self.strokes.wake_reporters(now_ns)

    def _give_back(self, blocks: int, now_ns: int) -> None:
        """Charge the zone lock for freed blocks.  Their zone is not known: the largest pays."""
        world = self.strokes.world
        zone = int(np.argmax(world.memory.zones.managed))
        if blocks:
            hold_lock(world, zone, now_ns, int(blocks) * int(world.cost[0].buddy_ns))
