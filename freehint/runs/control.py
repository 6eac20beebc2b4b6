"""Commands of the host, the administrator and the operator during a run."""

from dataclasses import dataclass
from typing import Annotated

from freehint.config import InputError
from freehint.inputs.rules import MOST_NS, Checked, Switch, Text, Time, TimeOrNever
from freehint.units import NS_PER_S

NONE = "none"
# Commands of ``at``, and whether a number of MiB follows.
AMOUNTS = {"balloon": True, "reclaim": True, "drop_caches": False, "compact_memory": False}


def parse_at(text: str) -> list:
    """The (time_ns, command) pairs of ``Control.at``.

    Raises
    ------
    InputError
        A command cannot be read; the message has the command.
    """
    if text.strip() == NONE:
        return []
    return [_command(part.strip()) for part in text.split(";")]


def _command(part: str) -> tuple:
    words = part.split()
    forms = [f"{name} MiB" if amount else name for name, amount in AMOUNTS.items()]
    must = f"control.at must be {NONE!r} or 'SECONDS COMMAND; ..' with {', '.join(forms)}"
    known = len(words) > 1 and words[1] in AMOUNTS
    if not known or len(words) != 2 + AMOUNTS[words[1]]:
        raise InputError(f"{must}, got {part!r}")
    try:
        time_ns = round(float(words[0]) * NS_PER_S)
    except (ValueError, OverflowError):
        time_ns = -1
    if not 0 <= time_ns <= MOST_NS:
        raise InputError(f"control.at: a time must be 0 to {MOST_NS / NS_PER_S:g} s, got {part!r}")
    whole = all(word.isascii() and word.isdigit() and len(word) < 10 for word in words[2:])
    if not whole:
        raise InputError(f"control.at: a number of MiB must be whole and below 10^9, got {part!r}")
    return time_ns, " ".join(words[1:])


@dataclass(frozen=True)
class Control(Checked):
    """The host's commands after the first walk, the enable switch, and what operators do.

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
    at : str
        Commands at times in s: ``"0.5 balloon 256; 2 compact_memory; 5 balloon 0"``.  "balloon MiB"
        sets the balloon's target; "compact_memory" and "drop_caches" are written to /proc/sys/vm,
        "reclaim MiB" to memory.reclaim; the last two need a guest under pressure.
    deflate_on_oom : bool
        Whether the balloon gives back 256 pages each time that an allocation would fail
        (VIRTIO_BALLOON_F_DEFLATE_ON_OOM).

    Raises
    ------
    InputError
        A command of ``at`` cannot be read, or a value is refused.

    Examples
    --------
    >>> Control(at="0.5 balloon 256; 2 drop_caches").given_at
    ('balloon', 'drop_caches')
    """

    every_ns: Time = 0
    stop_at_ns: TimeOrNever = -1
    done_at_ns: TimeOrNever = -1
    off_at_ns: TimeOrNever = -1
    on_at_ns: TimeOrNever = -1
    acknowledge_on_stop: Switch = False
    at: Annotated[str, Text(10_000)] = NONE
    deflate_on_oom: Switch = False

    where = "control."

    def __post_init__(self):
        super().__post_init__()
        parse_at(self.at)

    @property
    def given_at(self) -> tuple:
        """The names of the commands of ``at``."""
        return tuple(command.split()[0] for _, command in parse_at(self.at))

    def names(self, command: str) -> bool:
        """Does ``at`` have a command of this name?"""
        return command in self.given_at

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
        found += [(self.stop_at_ns, "stop"), (self.done_at_ns, "done"), *parse_at(self.at)]
        return sorted((f for f in found if 0 <= f[0] < until_ns), key=lambda f: f[0])
