"""What /proc/vmstat counts between T0 and T1."""

import re

HEAD = re.compile(r"^### /proc/(\w+)$", re.MULTILINE)


def vmstat_of(text: str) -> dict[str, int]:
    """The counters of /proc/vmstat among files that stand one after another.

    Parameters
    ----------
    text : str
        As the guest's ``vm_files`` prints it: before each file a line ``### /proc/NAME``.
    """
    _, *parts = HEAD.split(text)
    files = dict(zip(parts[::2], parts[1::2], strict=True))
    lines = (line.split() for line in files.get("vmstat", "").splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2}


def vmstat_delta(before: str, after: str) -> dict[str, int]:
    """The events between two moments, without those of which there were none.

    Names that begin with ``nr_`` are states of the memory and no counts of events.

    Parameters
    ----------
    before, after : str
        The guest's ``vm_files`` at T0 and at T1.
    """
    first, last = vmstat_of(before), vmstat_of(after)
    deltas = {name: last[name] - first[name] for name in last if name in first}
    return {n: delta for n, delta in deltas.items() if delta and not n.startswith("nr_")}
