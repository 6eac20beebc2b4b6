"""Workloads in steps, such as "read a b; copy b c; load fill 300", each between two marks."""

import re
from typing import NamedTuple

from freehint.config import InputError
from freehint.record import STEPS, WORKLOADS

MOST = 10**6
FILE_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
SETTING = re.compile(r"[a-z][a-z0-9_]{0,40}")
# Of transparent huge pages: mm/huge_memory.c, enabled_store() and defrag_store().
MODES = {
    "enabled": ("always", "madvise", "never"),
    "defrag": ("always", "defer", "defer+madvise", "madvise", "never"),
}
BALLOON_S = 60


class Balloon(NamedTuple):
    """A step of the host: inflate or deflate the balloon.

    number : int    of the step
    text : str      as the user wrote it
    mib : int       the guest's memory that is wanted
    seconds : int   how long to wait for it at most
    """

    number: int
    text: str
    mib: int
    seconds: int


class Drives:
    """What a guest has on its drives, as the steps change it.

    Parameters
    ----------
    files : dict of str to int
        The files on the disk and their MiB; empty if there is no disk.
    swap_mib : int
        0 if there is no swap drive.

    Attributes
    ----------
    files : dict of str to int
    disk_mib : int
        MiB of all files that ever were on the disk.
    """

    def __init__(self, files: dict, swap_mib: int = 0):
        self.files, self.swap_mib = dict(files), swap_mib
        self.disk_mib = sum(files.values())

    def add(self, name: str, mib: int) -> None:
        """A step makes a file, or makes it anew."""
        self.disk_mib += mib
        self.files[name] = mib


def is_steps(text: str) -> bool:
    """Whether a workload's text is one of steps, and no plain workload or script."""
    words = text.split()
    return ";" in text or (bool(words) and words[0] in {name.split()[0] for name in STEPS})


def parse_steps(text: str, drives: Drives) -> tuple:
    """The parts of a workload that the guest and the host run one after another.

    Parameters
    ----------
    text : str
        Steps of STEPS and WORKLOADS, separated by ``;``.
    drives : Drives
        What they find; they change it.

    Returns
    -------
    tuple
        For each part a str, which is a line for the guest's shell, or a Balloon.

    Raises
    ------
    InputError
        A step is unknown, a word is none of it, or it needs a file or a drive that is not there.
    """
    parts, line = [], []
    for number, step in enumerate(text.split(";"), 1):
        words = step.split()
        if not words:
            raise InputError(f"workload {text!r:.200}: step {number} is empty")
        if words[0] == "balloon":
            mib, seconds = _values(words, "balloon", drives)
            parts += [" && ".join(line)] if line else []
            parts.append(Balloon(number, " ".join(words), int(mib), int(seconds or BALLOON_S)))
            line = []
            continue
        if words[0] in WORKLOADS:
            for word in words[1:]:
                _number(words, word, 1, MOST)
        else:
            name = next((one for one in STEPS if words[: len(one.split())] == one.split()), None)
            if name is None:
                known = ", ".join((*WORKLOADS, *STEPS))
                raise InputError(f"step {' '.join(words)!r:.80}: is unknown; the steps are {known}")
            _values(words, name, drives)
        line.append(f"step {number} {' '.join(words)}")
    return (*parts, " && ".join(line)) if line else tuple(parts)


def _values(words: list[str], name: str, drives: Drives) -> list:
    """The words after a step's name, one for each word of its pattern; None if it is left out."""
    pattern = STEPS[name].partition(":")[0].split()[len(name.split()) :]
    given = words[len(name.split()) :]
    if pattern[-1:] == ["..."]:
        pattern = pattern[:-1] * max(len(given), 1)
    least = sum(not one.startswith("[") for one in pattern)
    if not least <= len(given) <= len(pattern):
        raise InputError(f"step {' '.join(words)!r:.80}: must be {STEPS[name].partition(':')[0]}")
    for kind, word in zip(pattern, given, strict=False):
        _check(words, kind.strip("[]"), word, drives)
    if name == "swapon" and not drives.swap_mib:
        raise InputError(f"step {' '.join(words)!r}: needs --swap")
    if name == "copy":
        drives.add(given[1], drives.files[given[0]])
    elif name == "write":
        drives.add(given[0], int(given[1]))
    elif name == "rm":
        for file in given:
            if drives.files.pop(file, None) is None:
                raise InputError(f"step {' '.join(words)!r:.80}: removes {file!r} twice")
    return [*given, *[None] * (len(pattern) - len(given))]


def _check(words: list[str], kind: str, word: str, drives: Drives) -> None:
    """Refuse a word that is none of its kind."""
    step = f"step {' '.join(words)!r:.80}"
    if kind in ("FILE", "NEW") and not drives.disk_mib:
        raise InputError(f"{step}: needs --disk")
    if kind == "FILE" and word not in drives.files:
        there = ", ".join(drives.files) or "none"
        raise InputError(f"{step}: there is no file {word!r} then; the files are {there}")
    if kind == "NEW" and not FILE_NAME.fullmatch(word):
        raise InputError(f"{step}: {word!r} is no file name of small letters, digits and _")
    if kind == "SETTING" and not SETTING.fullmatch(word):
        raise InputError(f"{step}: {word!r} is no file of /proc/sys/vm")
    modes = {"SWITCH": MODES, "MODE": MODES.get(words[1], ())}.get(kind)
    if modes is not None and word not in modes:
        raise InputError(f"{step}: {word!r} must be one of {', '.join(modes)}")
    if kind in ("MIB", "RATE", "SECONDS", "PAGES"):
        _number(words, word, 1, MOST)
    elif kind == "PERCENT":
        _number(words, word, 1, 100)
    elif kind == "CACHES":
        _number(words, word, 1, 3)
    elif kind == "VALUE":
        _number(words, word, 0, (1 << 31) - 1)


def _number(words: list[str], word: str, least: int, most: int) -> None:
    if not (word.isascii() and word.isdigit() and least <= int(word[:12]) <= most):
        raise InputError(
            f"step {' '.join(words)!r:.80}: {word!r} must be a whole number in {least}..{most}"
        )
