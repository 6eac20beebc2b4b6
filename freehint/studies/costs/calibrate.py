"""Measure on this machine what costs can be measured, and tell what stays as it was."""

import platform
from datetime import date
from pathlib import Path

import pandas as pd

from freehint.engine.world.records import Costs
from freehint.inputs.rules import rules_of
from freehint.runs.costs.sources import cost_sources
from freehint.studies.costs.measure import blocks, faults, hand_overs, lists, memory
from freehint.version import __version__

NR_PAGES = 1 << 20  # of a 4 GiB guest
NR_BYTES = 1 << 27  # lies in no cache
SLICES = 31


def processor() -> str:
    """The processor's name, or "unknown"."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.machine() or "unknown"


def calibrate(
    nr_pages: int = NR_PAGES, nr_bytes: int = NR_BYTES, slices: int = SLICES, progress=None
) -> tuple[dict, dict[str, str]]:
    """Measure what costs can be measured here, within a minute.

    Parameters
    ----------
    nr_pages : int
        Page structures that lists and the allocator work on, 64 bytes each.
    nr_bytes : int
        Memory to clear, to write and to fault in; a multiple of 2 MiB.
    slices : int
        Repetitions; values are their medians.
    progress : callable, optional
        Called with the name of what is measured next.

    Returns
    -------
    (dict, dict)
        The content of a costs file without its version (``costs.schema.json``); why something
        could not be measured here, by name.
    """
    found, missing = {}, {}
    steps = {
        "lists": lambda: (lists(nr_pages, slices), {}),
        "blocks": lambda: (blocks(nr_pages, slices), {}),
        "memory": lambda: (memory(nr_bytes, slices), {}),
        "faults": lambda: faults(nr_bytes, slices),
        "hand-overs": lambda: hand_overs(4 * slices),
    }
    for name, step in steps.items():
        if progress:
            progress(name)
        measured, why = step()
        found |= measured
        missing |= why
    entries = {name: _entry(one) for name, one in found.items()}
    known = rules_of(Costs)
    return {
        "made": date.today().isoformat(),
        "cpu": processor(),
        "kernel": platform.release(),
        "freehint": __version__,
        "costs": {name: entry for name, entry in entries.items() if name in known},
        "beside": {name: entry for name, entry in entries.items() if name not in known},
    }, missing


def _entry(measured) -> dict:
    value, p25, p75, n, bound, how = measured
    told = {"value": round(value), "unit": "ns", "p25": round(p25, 2), "p75": round(p75, 2)}
    return told | {"n": n, "bound": bound, "how": how}


def calibration_table(found: dict, missing: dict[str, str]) -> pd.DataFrame:
    """What was measured beside the defaults, for people; then what was not measured.

    Parameters
    ----------
    found, missing : dict
        The results of :func:`calibrate`.

    Returns
    -------
    DataFrame
        One row for each cost, with its name as index: measured (ns), quartiles, n, bound ("lower":
        the model's cost is at least this), default (ns), source (of the default), how.  A cost
        that was not measured has "-" and, under how, the reason or the default's source.
    """
    sources = cost_sources()
    rows = []
    for name, entry in (found["costs"] | found["beside"]).items():
        part = "costs" if name in found["costs"] else "Clearing"
        known = f"{part}.{name}" in sources.index
        default = sources.loc[f"{part}.{name}"] if known else None
        quartiles = f"{entry['p25']:,.4g}..{entry['p75']:,.4g}"
        row = (name, f"{entry['value']:,}", quartiles, entry["n"], entry["bound"] or "-")
        given = (f"{default['value_ns']:,}", default["source"]) if known else ("-", "-")
        rows.append((*row, *given, entry["how"]))
    for name, said in sources.iterrows():
        short = name.removeprefix("costs.").removeprefix("Clearing.")
        if short not in found["costs"] | found["beside"]:
            given = (f"{said['value_ns']:,}", said["source"])
            rows.append((short, "-", "-", 0, "-", *given, missing.get(short, said["said"])))
    columns = ["cost", "measured", "quartiles", "n", "bound", "default", "source", "how"]
    return pd.DataFrame(rows, columns=columns).set_index("cost")
