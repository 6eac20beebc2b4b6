"""The kinds of setups that a published row may name, and the columns of each.

"scenario" is one run of a Scenario, in the language of scenario files.  The others are made of
several: guests that share a host, guests beside each other on a host that has room for all,
guests that are parked, and pages that a host has zeroed.
"""

import contextlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from freehint.config import InputError, nearest, one_of, require, share, whole
from freehint.engine.host.shared import SharedHost
from freehint.engine.world.backing import PAGES
from freehint.inputs.rules import MOST_MIB
from freehint.runs.begin import guest_memory
from freehint.runs.overcommit import Guest, overcommit
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import scenario_of
from freehint.runs.simulate import simulate
from freehint.studies.costs.price import page_price
from freehint.studies.costs.zeroing import GUESTS, MAPPED_MIB, after_reporting
from freehint.studies.parking import sandbox
from freehint.studies.verify.columns import DERIVED, NEEDS, moments, unit_by_name, value_of
from freehint.units import NS_PER_S, PAGES_PER_MIB, parse_size

MOST_GUESTS = 16
SMALLEST_BYTES = 64 << 20  # of a guest that make_memory makes


@dataclass(frozen=True)
class Kind:
    """One kind of setup.

    refuse : callable     parameters -> None, or InputError
    measure : callable    (parameters, seed, columns) -> {column: value}
    columns : dict        name -> unit; a scenario has the entries of its summary too
    """

    refuse: object
    measure: object
    columns: dict


# One scenario.


def _scenario(parameters: dict, seed: int = 1):
    require(
        "seed" not in parameters, "seed", "be left to the setup's seeds", parameters.get("seed")
    )
    return scenario_of(parameters | {"seed": seed})


def _refuse_scenario(parameters: dict) -> None:
    """Refuse parameters, also a memory that is neither a size nor a snapshot."""
    scenario = _scenario(parameters)
    with contextlib.suppress(ValueError):
        if parse_size(scenario.memory) >= SMALLEST_BYTES:
            return
    guest_memory(scenario)


def _need(column: str, parameters: dict) -> None:
    needs = DERIVED[column][1]
    if not NEEDS[needs](_scenario(parameters)):
        raise InputError(f"column {column} needs a scenario with {needs}")


def _measure_scenario(parameters: dict, seed: int, columns) -> dict:
    run = simulate(_scenario(parameters, seed))
    return {name: value_of(run, name) for name in columns}


def _summary_entries(scenario) -> tuple:
    """The entries of the summary that are numbers: those of a tiny run with the same parts."""
    parts = [one and type(one)() for one in (scenario.migration, scenario.park)]
    workload = scenario.workload if scenario.workload.inputs else type(scenario.workload)()
    return _entries_of(scenario.policy, workload, *parts)


@lru_cache(maxsize=64)
def _entries_of(policy, workload, migration, park) -> tuple:
    memory = None if workload.inputs else "256MiB"
    run = simulate(Scenario(memory, None, policy, 1, workload, migration, park, duration_ns=1))
    return tuple(name for name, value in run.summary.items() if not isinstance(value, str))


# Guests that share a host's memory.


def _parts(parameters: dict, own: tuple) -> dict:
    """The parameters of a setup of several guests, those of its scenario as one dict."""
    scenario = {
        name.removeprefix("scenario."): value
        for name, value in parameters.items()
        if name.startswith("scenario.")
    }
    found = {n: v for n, v in parameters.items() if not n.startswith("scenario.")}
    for name in found:
        require(name in own, "parameters", f"have the names {', '.join(own)}", name)
    guests = found.get("guests")
    good = type(guests) is int and 1 <= guests <= MOST_GUESTS
    require(good, "guests", f"be a whole number in 1..{MOST_GUESTS}", guests)
    every_s = found.get("every_s", 0)
    good = type(every_s) in (int, float) and 0 <= every_s <= 1e6
    require(good, "every_s", "be a number in 0..1000000", every_s)
    return found | {"scenario": scenario, "guests": guests, "every_s": every_s}


SHARED = ("guests", "every_s", "memory_MiB", "swap_MiB", "swap_in_ns", "swap_out_ns", "slice_ns")


def _shared(parameters: dict, seed: int = 1) -> tuple:
    parts = _parts(parameters, SHARED)
    host = SharedHost(**{name: parts[name] for name in SHARED[2:] if name in parts})
    guests = [
        Guest(_scenario(parts["scenario"], seed + n), start_ns=round(n * parts["every_s"] * 1e9))
        for n in range(parts["guests"])
    ]
    return guests, host


def _measure_shared(parameters: dict, seed: int, columns) -> dict:
    guests, host = _shared(parameters, seed)
    found = overcommit(guests, host)
    last = guests[-1]
    ends = [run.jobs["end_ns"].max() for run in found.runs.values() if len(run.jobs)]
    told = {
        "guests_alive": len(guests) - len(found.kills),
        "peak_GiB": found.host_summary["most_resident_pages"] / PAGES_PER_MIB / 1024,
        "swap_out_MiB": found.host_summary["swap_outs"] / PAGES_PER_MIB,
        "last_job_s": ends[-1] / NS_PER_S if ends else float("nan"),
        "all_done_s": (last.start_ns + ends[-1]) / NS_PER_S if ends else float("nan"),
    }
    return {name: float(told[name]) for name in columns}


# Guests beside each other, on a host with room for all.


BESIDE = ("guests", "every_s", "until_s")


def _beside(parameters: dict) -> dict:
    parts = _parts(parameters, BESIDE)
    _refuse_scenario(parts["scenario"])
    _need("peak_GiB", parts["scenario"])
    until_s = parts.setdefault("until_s", 0)
    good = type(until_s) in (int, float) and 0 <= until_s <= 1e6
    require(good, "until_s", "be a number in 0..1000000", until_s)
    return parts


def _measure_beside(parameters: dict, seed: int, columns) -> dict:
    """Guests that begin one after the other; a guest keeps its memory after its run."""
    parts = _beside(parameters)
    tables = [
        moments(simulate(_scenario(parts["scenario"], seed + n))) for n in range(parts["guests"])
    ]
    starts = [n * parts["every_s"] for n in range(parts["guests"])]
    times = np.unique(np.concatenate([t["time_s"] + s for t, s in zip(tables, starts)]))
    if parts["until_s"]:
        times = np.append(times[times < parts["until_s"]], parts["until_s"])
    both = [
        np.interp(times, table["time_s"] + start, table["rss_GiB"], left=0.0)
        for table, start in zip(tables, starts)
    ]
    total = pd.Series(np.sum(both, axis=0), index=times)
    told = {
        "footprint_GiB_min": float(np.trapezoid(total, times) / 60),
        "peak_GiB": float(total.max()),
        "resident_MiB": float(total.iloc[-1]) * 1024,
    }
    return {name: told[name] for name in columns}


# vm0's sandboxes.


def _refuse_sandboxes(parameters: dict) -> None:
    for name in parameters:
        require(name in ("guests", "reclaimed"), "parameters", "be guests and reclaimed", name)
    guests = parameters.get("guests")
    good = type(guests) is int and 1 <= guests <= MOST_GUESTS
    require(good, "guests", f"be a whole number in 1..{MOST_GUESTS}", guests)
    reclaimed = parameters.get("reclaimed")
    require(isinstance(reclaimed, bool), "reclaimed", "be true or false", reclaimed)


def _measure_sandboxes(parameters: dict, seed: int, columns) -> dict:
    """One guest's memory times the number of guests: they differ in their seeds alone."""
    run = simulate(sandbox(parameters["reclaimed"], seed))
    pages = int(run.stranded["resident_pages"].sum())
    told = {"resident_MiB": pages / PAGES_PER_MIB * parameters["guests"]}
    return {name: told[name] for name in columns}


# Pages that the host has zeroed: no run in time, so a seed changes nothing.

ZEROED = ("guest", "mapped_MiB", "host_pages", "touched")


def _zeroed(parameters: dict) -> dict:
    for name in parameters:
        require(name in ZEROED, "parameters", f"have the names {', '.join(ZEROED)}", name)
    found = {"mapped_MiB": MAPPED_MIB, "host_pages": "thp", "touched": 1.0} | parameters
    one_of("guest", found.get("guest"), GUESTS)
    one_of("host_pages", found["host_pages"], PAGES)
    whole("mapped_MiB", found["mapped_MiB"], 1, MOST_MIB)
    share("touched", found["touched"])
    return found


def _measure_zeroed(parameters: dict, seed: int, columns) -> dict:
    found = _zeroed(parameters)
    name = found["guest"]
    shares = after_reporting({name: GUESTS[name]}, found["mapped_MiB"])["page"]
    price = page_price(touched=found["touched"])["total_ns"]
    off, on = price.xs((found["host_pages"], "whole", "2 MiB"), level=[0, 1, 2])
    told = {
        "zeroed_o0_share": 100 * shares[name, "4 KiB", "first"],
        "zeroed_o9_share": 100 * shares[name, "2 MiB", "first"],
        "clearing_saved": 100 * (1 - on / off),
    }
    return {name: float(told[name]) for name in columns}


KINDS = {
    "scenario": Kind(
        _refuse_scenario, _measure_scenario, {name: unit for name, (unit, _, _) in DERIVED.items()}
    ),
    "shared_host": Kind(
        _shared,
        _measure_shared,
        {
            "guests_alive": "guests",
            "peak_GiB": "GiB",
            "swap_out_MiB": "MiB",
            "last_job_s": "s",
            "all_done_s": "s",
        },
    ),
    "beside": Kind(
        _beside,
        _measure_beside,
        {"footprint_GiB_min": "GiB min", "peak_GiB": "GiB", "resident_MiB": "MiB"},
    ),
    "sandboxes": Kind(_refuse_sandboxes, _measure_sandboxes, {"resident_MiB": "MiB"}),
    "zeroed": Kind(
        _zeroed,
        _measure_zeroed,
        {"zeroed_o0_share": "%", "zeroed_o9_share": "%", "clearing_saved": "%"},
    ),
}


def refuse(kind: str, parameters: dict) -> None:
    """Refuse parameters that a kind of setup has not got.

    Raises
    ------
    InputError
        The message names the parameter and the value.
    """
    KINDS[kind].refuse(parameters)


def column_unit(kind: str, column: str, parameters: dict) -> str:
    """The unit of a column of a kind of setup.

    Raises
    ------
    InputError
        It has no such column.
    """
    known = KINDS[kind].columns
    if column in known:
        if kind == "scenario":
            _need(column, parameters)
        return known[column]
    if kind == "scenario":
        entries = _summary_entries(_scenario(parameters))
        if column in entries:
            return unit_by_name(column)
        known = (*known, *entries)
    raise InputError(
        f"column must be one of {', '.join(known)}, got {column!r}{nearest(column, known)}"
    )


def measure(kind: str, parameters: dict, seed: int, columns) -> dict:
    """Run a setup once with a seed, and return {column: value}."""
    one_of("kind", kind, KINDS)
    return KINDS[kind].measure(parameters, seed, columns)
