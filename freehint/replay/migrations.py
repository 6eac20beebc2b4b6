"""Predict recorded migrations from their parameters: the guest, its program, QEMU's settings."""

from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError, require, shown
from freehint.data import data
from freehint.engine.guest.programs import Program
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.host.precopy import ZERO_PAGE_BYTES
from freehint.engine.world.content import STRUCTURES_SHIFT
from freehint.formats.boot import make_memory
from freehint.formats.proc import memory_from_proc
from freehint.inputs.reading import csv_of, read_bytes
from freehint.inputs.rules import MOST_MIB, Real, Whole
from freehint.mm.change import without_huge_pages
from freehint.mm.pageblock import existing_pages
from freehint.policies.balloon_alloc import BalloonAlloc
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.units import NS_PER_MS, NS_PER_S

# Calibrated on the rows of CALIBRATED_ON: QEMU 10.0.2, a guest of 1 GiB with one CPU.  Everything
# else that is predicted follows from a row's parameters.
CALIBRATED_ON = "linux-6.1/migration/migrations.csv"  # of data/: its rows state=idle, hint=off
# Mean of normal_pages over those rows, per init_on_alloc: 23,512 23,477 23,500 23,526 and
# 23,164 23,125.  They are pages with content, and resent pages of the idle kernel, which the
# model writes by itself (Program.background_pages).
IDLE_NORMAL_PAGES = {0: 23_504, 1: 23_144}

# Pages of QEMU's other RAM blocks (BIOS, option ROMs, ACPI tables): total_B of those rows minus
# 1 GiB, 1,074,274,304 - 1,073,741,824 bytes.  All of them are counted as zero pages.
OTHER_RAM_PAGES = 130

PARAMETERS = (
    *("qemu", "state", "hint", "cmdline", "bw_MBps", "downtime_limit_ms", "rep", "mem"),
    *("fill_MiB", "dirty_MiB", "rate_MiBps"),
)
MEASURED = (
    "transferred_B",
    "normal_pages",
    "duplicate_pages",
    "total_time_ms",
    "dirty_sync_count",
)
STATES = ("idle", "freed", "dirty", "churn", "frag")  # states that the columns describe
REST_NS = 2 * NS_PER_S  # from the program's start to `migrate`, as the recordings were made
LONGEST_NS = 120 * NS_PER_S
# Time of one hint: an allocation, a buffer and a notification of an emulated guest.  It is
# calibrated on data/linux-6.1/hints (freed, 194 blocks in 14 ms), and on no migrations.csv.
HINT_NS = 72_000


# The rules of the numbers among the parameters.
NUMBERS = {
    "bw_MBps": Real(0.001, 1_000_000),
    "downtime_limit_ms": Whole(0, 1_000_000),
    "rep": Whole(0, 1 << 31),
    "fill_MiB": Whole(0, MOST_MIB),
    "dirty_MiB": Whole(0, MOST_MIB),
    "rate_MiBps": Real(0, 1_000_000),
}


def parameter(row, name: str, where: str):
    """A number among a row's parameters.

    Raises
    ------
    InputError
        NUMBERS' rule does not admit it; the message names file, row, column and value.
    """
    rule = NUMBERS[name]
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        raise InputError(f"{where}: {name} {shown(row[name])} is not usable") from None
    if isinstance(rule, Whole) and value.is_integer():
        value = int(value)
    require(rule.admits(value), f"{where}: {name}", rule.must, value)
    return value


def guest_of(row, where: str):
    """The guest of a row as it booted.

    Returns
    -------
    (Memory, bool, int)
        The memory; whether huge pages are on; init_on_alloc, 0 or 1.
    """
    cmdline = str(row["cmdline"]).split()
    switches = dict(part.split("=", 1) for part in cmdline if "=" in part)
    memory = _booted(str(row["mem"]), where)
    huge = switches.get("transparent_hugepage", "always") != "never"
    # Debian's kernel has init_on_alloc=1 unless told otherwise.
    init = switches.get("init_on_alloc", "1")
    if init not in ("0", "1"):
        raise InputError(f"{where}: cmdline init_on_alloc={shown(init)} is neither 0 nor 1")
    return (memory if huge else without_huge_pages(memory)), huge, int(init)


def _booted(size: str, where: str):
    recorded = f"linux-6.1/proc/boot_{size.lower()}.txt.gz"
    try:
        return memory_from_proc(data(recorded), seed=1)
    except FileNotFoundError:
        pass
    try:
        return make_memory(f"{size}iB")
    except InputError:
        raise InputError(f"{where}: mem {shown(size)} is no size such as 1G") from None


def scenario_of(row, where: str) -> Scenario:
    """The scenario of one recorded migration, from its parameter columns alone.

    Raises
    ------
    InputError
        A parameter is unknown or cannot be used.  The message names file, row and value.
    """
    state = str(row["state"])
    if state not in STATES:
        raise InputError(
            f"{where}: state {shown(state)} is not known; there are {', '.join(STATES)}"
        )
    if row["hint"] not in ("on", "off"):
        raise InputError(f"{where}: hint {shown(row['hint'])} is neither on nor off")
    memory, huge, init = guest_of(row, where)
    number = {name: parameter(row, name, where) for name in NUMBERS}
    hints = {"policy.pause_ns": HINT_NS, "policy.zeroes": bool(init)} if row["hint"] == "on" else {}
    try:
        return Scenario(
            memory=memory,
            policy=BalloonAlloc() if row["hint"] == "on" else "none",
            seed=1 + number["rep"],
            workload=Program(
                state=state,
                fill_MiB=number["fill_MiB"],
                dirty_MiB=number["dirty_MiB"],
                rate_MiBps=number["rate_MiBps"],
                huge_pages=huge,
                footprint_pages=_footprint(memory, init),
            ),
            migration=MigrationConfig(
                start_at_ns=REST_NS,
                bandwidth_Bps=int(number["bw_MBps"] * 1e6),
                downtime_limit_ms=number["downtime_limit_ms"],
            ),
            duration_ns=REST_NS + LONGEST_NS,
        ).with_values({"host.gap_ns": 0} | hints)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _footprint(memory, init: int) -> int:
    """Pages with content at boot: those of the calibrated 1 GiB guest, and more page structures."""
    more = (existing_pages(memory) - (1 << 18)) >> STRUCTURES_SHIFT
    return IDLE_NORMAL_PAGES[init] - Program.background_pages + more


def predict(row, where: str) -> dict:
    """Predict QEMU's counters of one migration."""
    summary = simulate(scenario_of(row, where)).summary
    zero = summary["zero_pages"] + OTHER_RAM_PAGES
    return {
        "transferred_B": summary["sent_bytes"] + OTHER_RAM_PAGES * ZERO_PAGE_BYTES,
        "normal_pages": summary["normal_pages"],
        "duplicate_pages": zero,
        "total_time_ms": round(summary["total_ns"] / NS_PER_MS),
        # The sync with the guest stopped is the last that QEMU counts.
        "dirty_sync_count": summary["rounds"],
    }


def calibrated(table: pd.DataFrame) -> np.ndarray:
    """Find the rows of a migrations.csv that constants were calibrated on.

    They are known by their content, so in anybody else's table all rows are held out.

    Parameters
    ----------
    table : DataFrame
        A table that :func:`read_migrations` returned.

    Returns
    -------
    ndarray
        One bool per row, True for the calibrated rows.
    """
    shipped = read_migrations(data(CALIBRATED_ON))
    shipped = shipped[(shipped["state"] == "idle") & (shipped["hint"] == "off")]
    columns = [*PARAMETERS, *MEASURED]
    known = set(shipped[columns].astype(str).itertuples(index=False, name=None))
    rows = table[columns].astype(str).itertuples(index=False, name=None)
    return np.array([row in known for row in rows])


def read_migrations(path: Path) -> pd.DataFrame:
    """The rows of a migrations.csv; measured values are numbers, parameters are not checked yet."""
    table = csv_of(read_bytes(path), path, {"cmdline": str, "mem": str, "qemu": str})
    missing = [name for name in (*PARAMETERS, *MEASURED) if name not in table]
    if missing:
        raise InputError(f"{path}: column {missing[0]!r} is missing")
    if not len(table):
        raise InputError(f"{path}: has no rows")
    for name in MEASURED:
        for row, value in enumerate(table[name]):
            if not isinstance(value, int | float) or not 0 < value < np.inf:
                raise InputError(
                    f"{path}: row {row}: {name} must be a number > 0, got {shown(value)}"
                )
    return table.fillna({"cmdline": ""})
