"""Commands of the host and the administrator during a run."""

from dataclasses import dataclass

from freehint.inputs.rules import Checked, Switch, Time, TimeOrNever


@dataclass(frozen=True)
class Control(Checked):
    """The host's commands after the first walk, and the enable switch.

    Attributes
    ----------
    every_ns : int
        Time from the start of one walk to the next, as a migration's rounds ask for walks; 0
        gives one walk only.
    stop_at_ns, done_at_ns : int
        Times at which the host says STOP, or DONE (give back the blocks held); -1 is never.
    off_at_ns, on_at_ns : int
        Times at which the switch is turned off and on; -1 is never.  It is on at the beginning.
    acknowledge_on_stop : bool
        Whether the host says DONE by itself when a walk is over and it has used the hints.  This
        is Firecracker's parameter of PATCH /balloon/hinting/start.
    """

    every_ns: Time = 0
    stop_at_ns: TimeOrNever = -1
    done_at_ns: TimeOrNever = -1
    off_at_ns: TimeOrNever = -1
    on_at_ns: TimeOrNever = -1
    acknowledge_on_stop: Switch = False

    where = "control."

    def commands(self, walk_at_ns: int, until_ns: int, migration=None) -> list:
        """The (time_ns, command) pairs of a run in order of time, the switch before the others.

        With a migration only its rounds ask for walks.
        """
        found = [(self.off_at_ns, "off"), (self.on_at_ns, "on")]
        if migration is None:
            starts = range(walk_at_ns, until_ns, self.every_ns or until_ns)
            found += [(time_ns, "start") for time_ns in starts]
        else:
            found += [(migration.start_at_ns, "migrate"), (migration.cancel_at_ns, "cancel")]
        found += [(self.stop_at_ns, "stop"), (self.done_at_ns, "done")]
        return sorted((f for f in found if 0 <= f[0] < until_ns), key=lambda f: f[0])
