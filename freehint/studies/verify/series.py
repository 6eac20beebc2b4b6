"""Published series that do not ship with freehint: figures of them, computed where they lie.

A row's series is ``{file, config, figure, statistic, until_s}``.  The file is a csv whose column
``config`` names what was measured and ``time_s`` when.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError, nearest, require, shown
from freehint.inputs.reading import csv_of, exists, read_bytes
from freehint.units import PAGES_PER_MIB

FOLDER = "FREEHINT_PUBLISHED"  # the environment's name for the folder
HUGE_MIB, PAGE_MIB = 2, 1 / PAGES_PER_MIB
FIGURES = {
    "rss_GiB": ("rss_MiB",),
    "identity_o9_GiB": ("rss_MiB", "free_huge_frames"),
    "identity_o0_GiB": ("rss_MiB", "free_4K_pages"),
}
MIB_OF = {"rss_MiB": 1, "free_huge_frames": HUGE_MIB, "free_4K_pages": PAGE_MIB}
STATISTICS = {"min": np.min, "median": np.median, "mean": np.mean, "max": np.max}
KEYS = ("file", "config", "figure", "statistic", "until_s")


@dataclass(frozen=True)
class Series:
    """A figure of a series: its text, and its value, or None if the file is not here."""

    words: str
    value: float | None


def read_series(table, folder, where: str) -> Series:
    """The figure that a row names.

    Raises
    ------
    InputError
        A field is refused; the file has no such config, is no such table, or ends before
        ``until_s``.
    """
    require(isinstance(table, dict), f"{where}: series", f"be a table of {', '.join(KEYS)}", table)
    for name in table:
        require(name in KEYS, f"{where}: series", f"have the fields {', '.join(KEYS)}", name)
    for name in KEYS:
        require(name in table, f"{where}: series", f"have {name}", table)
    for name in ("file", "config"):
        require(isinstance(table[name], str), f"{where}: series.{name}", "be a text", table[name])
    for name, known in (("figure", FIGURES), ("statistic", STATISTICS)):
        if table[name] not in tuple(known):
            hint = nearest(table[name], known)
            raise InputError(
                f"{where}: series.{name} must be one of {', '.join(known)}, got"
                f" {shown(table[name])}{hint}"
            )
    until_s = table["until_s"]
    good = type(until_s) in (int, float) and until_s > 0
    require(good, f"{where}: series.until_s", "be a number above 0", until_s)
    words = f"{table['statistic']} of {table['figure']}, {table['config']}, 0 to {until_s:g} s"
    folder = folder or os.environ.get(FOLDER)
    path = folder and Path(folder) / str(table["file"])
    if not path or not exists(path):
        return Series(words, None)
    return Series(words, _figure(table, path, where))


def _figure(table: dict, path: Path, where: str) -> float:
    frame = csv_of(read_bytes(path), path, {})
    columns = ("config", "time_s", *FIGURES[table["figure"]])
    for name in columns:
        require(name in frame.columns, f"{path}", f"have a column {name}", list(frame.columns))
    for name in columns[1:]:
        numbers = pd.api.types.is_numeric_dtype(frame[name])
        require(numbers, f"{path}: column {name}", "have numbers in every row", frame[name].iloc[0])
    rows = frame[frame["config"] == table["config"]]
    if not len(rows):
        known = sorted(set(map(str, frame["config"])))
        raise InputError(
            f"{where}: {path} has no config {shown(table['config'])}; it has {', '.join(known)}"
        )
    last_s = rows["time_s"].max()
    if not last_s >= table["until_s"]:
        raise InputError(
            f"{where}: {path} is cut short: config {table['config']} ends at {last_s:g} s, and"
            f" series.until_s is {table['until_s']:g}"
        )
    rows = rows[rows["time_s"] <= table["until_s"]]
    told = sum(rows[name] * MIB_OF[name] for name in FIGURES[table["figure"]]) / 1024
    value = float(STATISTICS[table["statistic"]](told))
    require(np.isfinite(value), f"{path}: {table['config']}", "have numbers in every row", value)
    return value
