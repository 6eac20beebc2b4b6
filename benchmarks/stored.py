"""A stored result to compare with.  It has ratios only, for times say more of the machine.

A ratio has fallen if it is below the stored one by more than its tolerance: ``FLOOR``, and half
of the distance between the quartiles of its slices, then and now.  Quartiles tell how noisy the
slices of one run are; the floor, how far medians of unchanged code lie apart between runs, when
caches are shared with others.  Three runs of ``make bench-quick`` beside eight busy processes on
two cores had medians apart by 5 % (half of the ratios) to 30 % (nine tenths), the latter where
quartiles are far apart too.
"""

import json
from pathlib import Path
from typing import NamedTuple

from benchmarks.rows import RATIO, Row
from freehint.config import InputError
from freehint.files import whole_file

PATH = Path(__file__).with_name("stored.json")
WHOLE = ("make bench", "make bench-quick")
FLOOR = 0.15
MOST = 0.40  # however noisy: a ratio that fell by more is told
SAME_MACHINE = ("cpu", "caches", "transparent_hugepage")


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
    """The ratios of a table and their quartiles, by what they are of."""
    return {
        f"{row.what}: {row.side}": {"ratio": row.value, "p25": row.p25, "p75": row.p75}
        for row in rows
        if row.unit == RATIO
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


def store(rows: list[Row], machine: dict, command: str, path: Path = PATH) -> None:
    """Keep the ratios of a table, by what they were measured, and on what.

    Raises
    ------
    InputError
        There is none in it, or one misses its bar, or it is only a part of the table.
    """
    if command not in WHOLE:
        raise InputError(f"only a table of {' or '.join(WHOLE)} is stored, not of {command}")
    missed = [f"{row.what}, {row.side}" for row in rows if row.missed and row.unit == RATIO]
    if missed:
        raise InputError(f"a ratio that misses its bar is not stored: {'; '.join(missed)}")
    kept = {
        what: {name: value if value is None else round(value, 3) for name, value in one.items()}
        for what, one in ratios(rows).items()
    }
    if not kept:
        raise InputError("the table has no ratio to store")
    with whole_file(path) as temporary:
        text = json.dumps({"command": command, "machine": machine, "ratios": kept}, indent=1)
        temporary.write_text(text + "\n")


def load(path: Path = PATH) -> dict:
    """What was stored: command, machine, ratios.

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


def other_machine(stored: dict, machine: dict) -> str:
    """In what this machine differs from that of the stored result; empty if in nothing."""
    differs = [name for name in SAME_MACHINE if stored["machine"].get(name) != machine.get(name)]
    return ", ".join(differs)
