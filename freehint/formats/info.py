"""What the recorder wrote beside a trace: /proc/vmstat at T0 and T1, the workload, the log.

Source: the recorder's NAME.info.json.gz; vmstat_text[] in mm/vmstat.c for the counters' names.
"""

import re
from pathlib import Path

from freehint.config import InputError
from freehint.formats.digest import Files
from freehint.inputs.reading import json_of, unpacked

_HEAD = re.compile(r"^### /proc/(\w+)$", re.MULTILINE)
TEXTS = ("proc_T0", "vm_T1", "command", "pre")  # fields that must be there, as texts


def read_info(stem, files: Files | None = None) -> dict:
    """The content of a recording's NAME.info.json.gz.

    Raises
    ------
    InputError
        The file is missing or broken, or lacks the guest's /proc or its workload.
    """
    path = Path(f"{stem}.info.json.gz")
    content = (files or Files()).read(path)
    info = json_of(unpacked(content, path), path)
    if not isinstance(info, dict):
        raise InputError(f"{path}: must be a JSON object, got {info!r:.80}")
    for name in TEXTS:
        if not isinstance(info.get(name), str):
            raise InputError(f"{path}: field {name!r} must be text, got {info.get(name)!r:.80}")
    return info


def vmstat_of(text: str, where) -> dict[str, int]:
    """The counters of /proc/vmstat among files of /proc that stand one after another.

    Parameters
    ----------
    text : str
        As the recorder's guest prints them: before each file a line ``### /proc/NAME``.
    where : str
        What holds the text, for the message.

    Raises
    ------
    InputError
        There is no /proc/vmstat, or a counter is no whole number.
    """
    _, *parts = _HEAD.split(text)
    lines = dict(zip(parts[::2], parts[1::2], strict=True)).get("vmstat")
    if lines is None:
        raise InputError(f"{where} has no part '### /proc/vmstat'")
    counters = {}
    for line in filter(None, lines.splitlines()):
        name, _, value = line.partition(" ")
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise InputError(f"{where}: line {line!r:.80} of /proc/vmstat is not NAME COUNT")
        counters[name] = int(value)
    return counters


def vmstat(info: dict, field: str, path) -> dict[str, int]:
    """The counters of /proc/vmstat in a field of NAME.info.json.gz, "proc_T0" or "vm_T1"."""
    return vmstat_of(info[field], f"{path}: field {field!r}")


def vmstat_delta(info: dict, path) -> dict[str, int]:
    """By how much each counter of /proc/vmstat grew from T0 to T1."""
    first, last = vmstat(info, "proc_T0", path), vmstat(info, "vm_T1", path)
    return {name: last[name] - first[name] for name in last if name in first}


def events_of(delta: dict[str, int]) -> dict[str, int]:
    """The counters that grew and count events; names of states of the memory begin with ``nr_``."""
    return {name: grown for name, grown in delta.items() if grown and not name.startswith("nr_")}
