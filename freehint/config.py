"""Errors and the small frozen, validated dataclasses that describe a scenario's parts.

Every field is checked when the object is made, so a misspelt or senseless value is refused
before anything runs, with the field and the value in the sentence.
"""

from dataclasses import dataclass, fields, replace


class InputError(ValueError):
    """A file or value from outside that cannot be used; the message is one clear sentence."""


def require(good: bool, field: str, must: str, value) -> None:
    """Refuse a value: ``<field> must <must>, got <value>``."""
    if not good:
        raise InputError(f"{field} must {must}, got {value!r}")


def whole(field: str, value, low: int, high: int | None = None) -> None:
    """Refuse what is not a whole number in ``low..high``."""
    span = f"be a whole number >= {low}" if high is None else f"be a whole number in {low}..{high}"
    good = isinstance(value, int) and not isinstance(value, bool)
    require(good and value >= low and (high is None or value <= high), field, span, value)


def share(field: str, value) -> None:
    """Refuse what is not a number in 0..1."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    require(good, field, "lie in 0..1", value)


def one_of(field: str, value, choices) -> None:
    """Refuse what is not one of ``choices``."""
    require(value in tuple(choices), field, f"be one of {', '.join(map(str, choices))}", value)


class Named:
    """A dataclass that refuses a keyword that it does not have in a sentence."""

    def __new__(cls, *_values, **named):
        names = [field.name for field in fields(cls)]
        for name in named:
            if name not in names:
                known = ", ".join(names)
                raise InputError(f"{cls.__name__} has no parameter {name!r}; it has {known}")
        return super().__new__(cls)


def with_values(config, values: dict, where: str = ""):
    """A copy of a frozen dataclass with named fields changed; nested names as ``"ring.size"``.

    Raises
    ------
    InputError
        There is no such field, or the new value is refused.
    """
    own, nested = {}, {}
    names = [f.name for f in fields(config)]
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if head not in names:
            known = ", ".join(where + n for n in names)
            raise InputError(f"there is no parameter {where + name!r}; there are {known}")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    for head, inner in nested.items():
        part = own.get(head, getattr(config, head))
        if not hasattr(part, "__dataclass_fields__"):
            first = next(iter(inner))
            if part is None:
                raise InputError(f"{where + head!r} is not set, so {first!r} of it cannot be")
            raise InputError(f"{where + head!r} has no parameter {first!r}")
        own[head] = with_values(part, inner, f"{where}{head}.")
    return replace(config, **own)


@dataclass(frozen=True)
class RingConfig(Named):
    """The virtqueue between guest and host.

    Attributes
    ----------
    size : int
        Descriptors.  1024 is QEMU's free_page_vq (hw/virtio/virtio-balloon.c).
    """

    size: int = 1024

    def __post_init__(self):
        whole("ring.size", self.size, 1, 1 << 20)


@dataclass(frozen=True)
class HostConfig(Named):
    """Who takes the buffers: one iothread, which is not always scheduled.

    Attributes
    ----------
    service_ns : int
        Time to use one buffer.  Assumed: a virtqueue pop and a bitmap clear; vary it.
    kick_ns : int
        From a notification to the first buffer used, when the host slept.  Assumed.
    gap_ns : int
        Mean length of a time when the host is not scheduled; 0: always there.  Assumed: one
        slice of a busy host's scheduler.
    gap_every_ns : int
        Mean time between two such gaps.  Assumed.
    gaps : str
        Distribution of both times: "exponential", "uniform" (0 to twice the mean) or "fixed".
    discard : bool
        The host takes the memory behind a block that it was told of (MADV_DONTNEED): QEMU does so
        with reported blocks, Firecracker with hinted ones too.  The guest's next touch faults.
    """

    service_ns: int = 1_000
    kick_ns: int = 20_000
    gap_ns: int = 3_000_000
    gap_every_ns: int = 20_000_000
    gaps: str = "exponential"
    discard: bool = False

    def __post_init__(self):
        whole("host.service_ns", self.service_ns, 1)
        whole("host.kick_ns", self.kick_ns, 0)
        whole("host.gap_ns", self.gap_ns, 0)
        whole("host.gap_every_ns", self.gap_every_ns, 1)
        one_of("host.gaps", self.gaps, ("exponential", "uniform", "fixed"))
        require(isinstance(self.discard, bool), "host.discard", "be true or false", self.discard)


@dataclass(frozen=True)
class Control(Named):
    """What comes from outside beside the first walk: the host's commands and the enable switch.

    Attributes
    ----------
    every_ns : int
        From one start to the next, as a migration's rounds ask; 0: one walk.
    stop_at_ns, done_at_ns : int
        When the host says STOP, or DONE (give back what is held); -1: never.
    off_at_ns, on_at_ns : int
        When the switch is thrown; -1: never.  It is on at the beginning.
    acknowledge_on_stop : bool
        When a walk is over and the host has used its hints, the host says DONE by itself:
        Firecracker's parameter of PATCH /balloon/hinting/start.
    """

    every_ns: int = 0
    stop_at_ns: int = -1
    done_at_ns: int = -1
    off_at_ns: int = -1
    on_at_ns: int = -1
    acknowledge_on_stop: bool = False

    def __post_init__(self):
        whole("control.every_ns", self.every_ns, 0)
        for name in ("stop_at_ns", "done_at_ns", "off_at_ns", "on_at_ns"):
            whole(f"control.{name}", getattr(self, name), -1)
        acknowledges = self.acknowledge_on_stop
        good = isinstance(acknowledges, bool)
        require(good, "control.acknowledge_on_stop", "be true or false", acknowledges)

    def commands(self, walk_at_ns: int, until_ns: int, migration=None) -> list:
        """(time_ns, command) of a run, in time's order; the switch is thrown first.

        With a migration its rounds ask for walks, and nothing else does.
        """
        found = [(self.off_at_ns, "off"), (self.on_at_ns, "on")]
        if migration is None:
            starts = range(walk_at_ns, until_ns, self.every_ns or until_ns)
            found += [(time_ns, "start") for time_ns in starts]
        else:
            found += [(migration.start_at_ns, "migrate"), (migration.cancel_at_ns, "cancel")]
        found += [(self.stop_at_ns, "stop"), (self.done_at_ns, "done")]
        return sorted((f for f in found if 0 <= f[0] < until_ns), key=lambda f: f[0])


@dataclass(frozen=True)
class Costs(Named):
    """What things cost, in nanoseconds; a sweep can vary each.

    Attributes
    ----------
    walk_block_ns : int
        Looking at one block of a list: one dependent load from memory, 134 to 186 ns measured
        on a server-class machine (`make bench` measures it here).
    report_ns : int
        Putting one block on the ring: virtqueue_add and the callback.  Assumed.
    rotate_ns : int
        Moving one block to the tail: three more lines written.  Assumed.
    lock_ns : int
        Handing the zone lock over.  Assumed: two cache-line transfers.
    notify_ns : int
        The guest's side of a notification (a VM exit).  Assumed.
    pcp_ns : int
        An allocation or free on a pcp list.  Assumed.
    buddy_ns : int
        One block taken from or put back to the buddy lists, under the zone lock: 30 to 110 ns
        with 64-byte page structures (`make bench`).
    fault_ns : int
        The guest's first touch of a page that the destination host has not got: an EPT violation,
        a page allocated and cleared by the host.  Assumed.
    migrate_page_ns : int
        Moving one page by compaction: unmap, copy, map.  Assumed.
    write_ns : int
        Writing one page: 4096 B at the 10.3 GB/s that one thread streams
        (Wrenger et al., EuroSys '25, STREAM).
    """

    walk_block_ns: int = 150
    report_ns: int = 200
    rotate_ns: int = 50
    lock_ns: int = 100
    notify_ns: int = 2_000
    pcp_ns: int = 50
    buddy_ns: int = 100
    migrate_page_ns: int = 2_000
    fault_ns: int = 2_000
    write_ns: int = 400

    def __post_init__(self):
        for field in fields(self):
            whole(f"costs.{field.name}", getattr(self, field.name), 0)
