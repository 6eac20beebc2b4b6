"""Stored results to compare with, one for each processor on which any was ever stored.

They have ratios only, for times say more of the machine.  On a processor that has a table, its
ratios are bars.  On another, the spread of each ratio over all processors is told beside it.

A ratio has fallen if it is below the stored one by more than its tolerance: ``FLOOR``, and half
of the distance between the quartiles of its slices, then and now.  Quartiles tell how noisy the
slices of one run are; the floor, how far medians of unchanged code lie apart between runs, when
caches are shared with others.  Three runs of ``make bench-quick`` beside eight busy processes on
two cores had medians apart by 5 % (half of the ratios) to 30 % (nine tenths), the latter where
quartiles are far apart too.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from benchmarks.rows import RATIO, Row
from freehint.config import InputError
from freehint.files import whole_file

FOLDER = Path(__file__).with_name("stored_by_cpu")
WHOLE = ("make bench", "make bench-quick")
FLOOR = 0.15
MOST = 0.40  # however noisy: a ratio that fell by more is told
SAME_MACHINE = ("cpu", "caches", "transparent_hugepage")
# A dependent load in 8 MiB: 19 ns, or 145 where neighbours have taken the last cache; the ratio to
# struct pages in the steady phase at 1 GiB was 1.5 with it and 3.5 without.
CACHE_MARK, SAME_CACHE = "load_8MiB_ns", 1.5


class Change(NamedTuple):
    """A ratio that left its tolerance."""

    what: str
    before: float
    now: float
    tolerance: float

    @property
    def fell(self) -> bool:
        """A regression?"""
        return self.now < self.before

    def __str__(self):
        kind = "regression" if self.fell else "better than stored"
        return (
            f"{kind}: {self.what}: {self.now:.2f}, stored {self.before:.2f},"
            f" tolerance {self.tolerance:.0%}"
        )


def ratios(rows: list[Row]) -> dict[str, dict]:
    """The ratios of a table that are judged, and their quartiles, by what they are of."""
    return {
        f"{row.what}: {row.side}": {"ratio": row.value, "p25": row.p25, "p75": row.p75}
        for row in rows
        if row.unit == RATIO and not row.shared
    }


def half_spread(one: dict) -> float:
    """Half the distance of the quartiles, as a share of the ratio."""
    return 0.0 if one["p25"] is None else (one["p75"] - one["p25"]) / 2 / one["ratio"]


def tolerance(before: dict, now: dict) -> float:
    """By what share a ratio may differ from the stored one."""
    return min(FLOOR + half_spread(before) + half_spread(now), MOST)


def changes(before: dict[str, dict], now: dict[str, dict]) -> list[Change]:
    """Of the ratios that both have, those that left their tolerance."""
    found = []
    for what in before.keys() & now.keys():
        allowed = tolerance(before[what], now[what])
        change = Change(what, before[what]["ratio"], now[what]["ratio"], allowed)
        if abs(change.now / change.before - 1) > allowed:
            found.append(change)
    return sorted(found)


def file_name(machine: dict) -> str:
    """The name of the file that holds the table of a processor."""
    return re.sub("[^a-z0-9]+", "-", str(machine["cpu"]).lower()).strip("-") + ".json"


def store(rows: list[Row], machine: dict, command: str, folder: Path = FOLDER) -> Path:
    """Keep the ratios of a table, by what they were measured, and on what; its path.

    The table of the same processor is replaced; those of others stay.

    Raises
    ------
    InputError
        There is none in it, or one misses its bar, or it is only a part of the table.
    """
    if command not in WHOLE:
        raise InputError(f"only a table of {' or '.join(WHOLE)} is stored, not of {command}")
    missed = [f"{row.what}, {row.side}" for row in rows if row.missed]
    if missed:
        raise InputError(f"a ratio that misses its bar is not stored: {'; '.join(missed)}")
    kept = {
        what: {name: value if value is None else round(value, 3) for name, value in one.items()}
        for what, one in ratios(rows).items()
    }
    if not kept:
        raise InputError("the table has no ratio to store")
    path = folder / file_name(machine)
    with whole_file(path) as temporary:
        text = json.dumps({"command": command, "machine": machine, "ratios": kept}, indent=1)
        temporary.write_text(text + "\n")
    return path


def load(path: Path) -> dict:
    """What was stored in a file: command, machine, ratios.

    Raises
    ------
    InputError
        It cannot be read.
    """
    try:
        told = json.loads(path.read_text())
        return {name: told[name] for name in ("command", "machine", "ratios")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name}: no stored result can be read: {error}") from None


def load_all(folder: Path = FOLDER) -> list[dict]:
    """All stored results, by name of the file."""
    return [load(path) for path in sorted(folder.glob("*.json"))]


def core_mark_ns(machine: dict, folder: Path = FOLDER) -> float:
    """The mark of this processor's core when it was alone; infinite if none is stored."""
    own = of_machine(load_all(folder), machine)
    return float("inf") if own is None else own["machine"].get("core_mark_ns", float("inf"))


def same_cache(own: dict, now: dict) -> bool:
    """Did neighbours leave as much of the cache all the time, now and when a table was stored?

    No, if the table has no mark: then nobody knows.
    """
    if CACHE_MARK not in own:
        return False
    marks = [*own[CACHE_MARK], *now[CACHE_MARK]]
    return max(marks) <= SAME_CACHE * min(marks)


def of_machine(tables: list[dict], machine: dict) -> dict | None:
    """The table of this processor with these caches and huge pages, if there is one."""
    for table in tables:
        if all(table["machine"].get(name) == machine.get(name) for name in SAME_MACHINE):
            return table
    return None


class Outside(NamedTuple):
    """A ratio beyond what all stored processors had, by more than its tolerance."""

    what: str
    now: float
    least: float
    most: float
    machines: int

    def __str__(self):
        where = "below" if self.now < self.least else "above"
        return (
            f"{where} the {self.machines} stored processors: {self.what}: {self.now:.2f},"
            f" there {self.least:.2f}..{self.most:.2f}"
        )


def outside(tables: list[dict], now: dict[str, dict]) -> list[Outside]:
    """The ratios that lie outside the spread over all stored processors."""
    found = []
    for what, one in sorted(now.items()):
        known = [table["ratios"][what] for table in tables if what in table["ratios"]]
        if not known:
            continue
        allowed = max(tolerance(stored, one) for stored in known)
        least, most = (pick(stored["ratio"] for stored in known) for pick in (min, max))
        if not least * (1 - allowed) <= one["ratio"] <= most * (1 + allowed):
            found.append(Outside(what, one["ratio"], least, most, len(known)))
    return found
