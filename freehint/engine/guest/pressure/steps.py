"""The language of jobs: what a guest under pressure does, one step after the other.

The same text drives the simulation, the recorder and the validator::

    read a b; copy b c; write z 125; read c; sync; rm c; fork 1

Sizes are in MiB, times in seconds.  Every step but the shell's own (SHELLS) is a process.
"""

from typing import NamedTuple

from freehint.config import InputError, nearest
from freehint.inputs.rules import MOST_MIB
from freehint.units import NS_PER_S, PAGES_PER_MIB

(
    READ,
    COPY,
    WRITE,
    SYNC,
    RM,
    FORK,
    FILL,
    DIRTY,
    FRAG,
    DROP_CACHES,
    COMPACT_MEMORY,
    RECLAIM,
    SLEEP,
    SWAPON,
    HOLD,
    RELEASE,
    BALLOON,
) = range(17)
# Verb -> its kind, and what it takes: files and numbers.
VERBS = {
    "read": (READ, "FILE .."),
    "copy": (COPY, "FILE NEW"),
    "write": (WRITE, "NEW MiB"),
    "sync": (SYNC, ""),
    "rm": (RM, "FILE"),
    "fork": (FORK, "S"),
    "fill": (FILL, "MiB"),
    "dirty": (DIRTY, "MiB RATE S"),
    "frag": (FRAG, "MiB PERCENT CHUNK"),
    "drop_caches": (DROP_CACHES, ""),
    "compact_memory": (COMPACT_MEMORY, ""),
    "reclaim": (RECLAIM, "MiB"),
    "sleep": (SLEEP, "S"),
    "swapon": (SWAPON, ""),
    "hold": (HOLD, "MiB"),
    "release": (RELEASE, ""),
    "balloon": (BALLOON, "MiB S"),
}
BOUNDS = {
    "MiB": (1, MOST_MIB, True),
    "S": (0.001, 100_000, False),
    "RATE": (0.001, 1_000_000, False),
    "PERCENT": (0, 100, True),
    "CHUNK": (1, 1 << 20, True),
}
# These have no process of their own.
SHELLS = (DROP_CACHES, COMPACT_MEMORY, RECLAIM, SLEEP, SWAPON, RELEASE, BALLOON)
KEPT = (FRAG, HOLD)  # what these have mapped stays until "release"
ANONYMOUS = (FILL, DIRTY, FRAG, HOLD)  # these map anonymous memory
MOST_STEPS = 1000
MOST_PLACES = 1 << 28
# Columns of the table of steps.  PLACE and PAGES are those of the file or mapping; SOURCE is the
# place of a copy's source; MORE is in ns, pages or percent, as the kind needs.
S_KIND, S_PLACE, S_PAGES, S_SOURCE, S_MORE, S_LAST, STEP_COLUMNS = range(7)


class Step(NamedTuple):
    """One step.

    kind : int            READ .. SWAPON
    text : str            as it was written
    files : tuple of str  names of files
    numbers : tuple       in the order of the verb's words
    """

    kind: int
    text: str
    files: tuple
    numbers: tuple


def parse_files(text: str, where: str) -> dict:
    """The size in MiB of each file that exists at T0, from "a=210,b=210".

    Raises
    ------
    InputError
        The message begins with ``where``.
    """
    found = {}
    for one in text.split(",") if text.strip() else ():
        name, _, size = one.strip().partition("=")
        if not name.isidentifier():
            raise InputError(f"{where} must be NAME=MiB, .. with names of letters, got {one!r}")
        if name in found:
            raise InputError(f"{where} must name each file once, got {name!r} twice")
        found[name] = _number("MiB", size, f"{where}: {name}")
    return found


def parse_jobs(text: str, files: dict, where: str) -> list:
    """The steps of a text; files that a step makes are known from there on.

    Parameters
    ----------
    text : str
    files : dict
        Name -> MiB of the files that exist at the beginning; it is not changed.
    where : str
        The begin of messages.

    Raises
    ------
    InputError
        One sentence with the step's number and text.
    """
    present, steps = dict(files), []
    for part in text.split(";"):
        if part.strip():
            steps.append(_step(part.strip(), present, f"{where}: step {len(steps) + 1}"))
    if not 0 < len(steps) <= MOST_STEPS:
        raise InputError(f"{where} must have 1..{MOST_STEPS} steps, got {len(steps)}")
    return steps


def _step(text: str, present: dict, where: str) -> Step:
    verb, *words = text.split()
    where = f"{where}, {text!r},"
    if verb not in VERBS:
        known = ", ".join(VERBS)
        raise InputError(f"{where} must begin with one of {known}{nearest(verb, VERBS)}")
    kind, usage = VERBS[verb]
    wanted = usage.split()
    if wanted[-1:] == [".."]:
        wanted = ["FILE"] * max(1, len(words))
    if len(words) != len(wanted):
        raise InputError(f"{where} must be {verb!r} {usage or 'alone'}, got {len(words)} words")
    names, numbers = [], []
    for want, word in zip(wanted, words):
        if want in BOUNDS:
            numbers.append(_number(want, word, where))
        else:
            names.append(_file(want, word, present, where))
    if kind == COPY:
        present[names[1]] = present[names[0]]
    elif kind == WRITE:
        present[names[0]] = numbers[0]
    elif kind == RM:
        del present[names[0]]
    return Step(kind, text, tuple(names), tuple(numbers))


def _file(want: str, name: str, present: dict, where: str) -> str:
    if want == "FILE" and name not in present:
        known = ", ".join(present) or "none"
        raise InputError(f"{where} needs a file that exists then ({known}), got {name!r}")
    if want == "NEW" and (not name.isidentifier() or name in present):
        raise InputError(f"{where} needs the name of a file that does not exist, got {name!r}")
    return name


def _number(what: str, word: str, where: str):
    low, high, is_whole = BOUNDS[what]
    kind = "whole number" if is_whole else "number"
    try:
        value = int(word) if is_whole else float(word)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise InputError(f"{where} {what} must be a {kind} in {low}..{high}, got {word!r}")
    return value


class Plan(NamedTuple):
    """The places of all files and mappings, and the table of steps.

    rows : list of list of int   one row of STEP_COLUMNS for each step, or for each file of a read
    texts : list of str          the text of each row
    files : dict                 name -> (first place, pages, MiB) as first made
    places : int                 number of places
    """

    rows: list
    texts: list
    files: dict
    places: int


def plan_jobs(steps: list, files: dict, where: str) -> Plan:
    """Give every file and mapping its places.

    A file that is made anew after its removal has places of its own.  All fills and dirties share
    the same places, because one process runs at a time; what "frag" and "hold" leave keeps its
    own, and "release" has all of them up to there.

    Raises
    ------
    InputError
        They are more places than a guest may have.
    """
    behind, where_is, first_of = 0, {}, {}

    def make(name, mib):
        nonlocal behind
        where_is[name] = behind, mib * PAGES_PER_MIB
        first_of.setdefault(name, where_is[name])
        behind += mib * PAGES_PER_MIB

    for name, mib in files.items():
        make(name, mib)
    rows, texts = [], []
    for step in steps:
        if step.kind == COPY:
            make(step.files[1], where_is[step.files[0]][1] // PAGES_PER_MIB)
        elif step.kind == WRITE:
            make(step.files[0], step.numbers[0])
        for name in step.files[-1:] if step.kind == COPY else step.files:
            source = where_is[step.files[0]][0] if step.kind == COPY else 0
            rows.append([step.kind, *where_is[name], source, 0, 0])
            texts.append(f"read {name}" if step.kind == READ else step.text)
        if not step.files:
            rows.append([step.kind, 0, *_numbers(step)])
            texts.append(step.text)
    anonymous = behind = _whole_tables(behind)
    shared = max((row[S_PAGES] for row in rows if row[S_KIND] in (FILL, DIRTY)), default=0)
    behind += _whole_tables(shared)
    kept = behind
    for row in rows:
        if row[S_KIND] in (FILL, DIRTY):
            row[S_PLACE] = anonymous
        elif row[S_KIND] in KEPT:
            row[S_PLACE] = behind
            behind += _whole_tables(row[S_PAGES])
        elif row[S_KIND] == RELEASE:
            row[S_PLACE], row[S_PAGES] = kept, behind - kept
    if behind > MOST_PLACES:
        raise InputError(f"{where} must use at most {MOST_PLACES} pages of files and memory")
    return Plan(rows, texts, first_of, behind)


def _whole_tables(pages: int) -> int:
    return -(-pages // 512) * 512


def _numbers(step: Step) -> list:
    """S_PAGES, S_SOURCE, S_MORE and S_LAST of a step without files."""
    kind, numbers = step.kind, step.numbers
    if kind in (FORK, SLEEP):
        return [0, 0, round(numbers[0] * NS_PER_S), 0]
    if kind == DIRTY:
        page_ns = max(1, round(NS_PER_S / (numbers[1] * PAGES_PER_MIB)))
        return [numbers[0] * PAGES_PER_MIB, 0, page_ns, round(numbers[2] * NS_PER_S)]
    if kind == BALLOON:
        return [0, numbers[0] * PAGES_PER_MIB, round(numbers[1] * NS_PER_S), 0]
    if kind == FRAG:
        return [numbers[0] * PAGES_PER_MIB, 0, numbers[1], numbers[2]]
    pages = numbers[0] * PAGES_PER_MIB if numbers else 0
    return [pages, 0, 0, 0]
