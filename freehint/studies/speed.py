"""Speed experiments: walks, event loops, memory latency, and how cost grows with size."""

import json
from time import process_time, thread_time_ns
from typing import NamedTuple

import numpy as np
import pandas as pd

from freehint.data import data
from freehint.mm.list import set_list
from freehint.mm.memory import BUDDY, MOVABLE, TYPE_SHIFT, free_list_head, new_memory, new_zones
from freehint.mm.profile import LINUX_6_1
from freehint.policies.walk import fill
from freehint.policies.walk_state import HIGH_FIRST, NEVER_ROTATE, PER_LIST, RESTART, new_walk_state
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.studies.limits import bandwidths, dependent_load_ns, median_ns
from freehint.units import NS_PER_S

LEAST_SIZES = 3  # two sizes would not tell the exponent's error


class Growth(NamedTuple):
    """``cost = scale * size ** exponent``; ``error`` is the exponent's standard error."""

    scale: float
    exponent: float
    error: float
    n: int


def fitted(sizes, costs) -> Growth:
    """Fit log cost over log size by least squares.

    Parameters
    ----------
    sizes, costs : sequence of float
        Positive numbers; there must be at least LEAST_SIZES different sizes.

    Raises
    ------
    ValueError
        There are fewer sizes, or a number is not positive.

    Examples
    --------
    >>> round(fitted([1, 10, 100], [2, 20, 200]).exponent, 6)
    1.0
    """
    sizes, costs = np.asarray(sizes, float), np.asarray(costs, float)
    if len(set(sizes.tolist())) < LEAST_SIZES:
        least = f"at least {LEAST_SIZES} different ones"
        raise ValueError(f"sizes must hold {least}, got {sizes.tolist()}")
    if not (sizes > 0).all() or not (costs > 0).all():
        raise ValueError("sizes and costs must be positive")
    x, y = np.log(sizes), np.log(costs)
    centred = x - x.mean()
    exponent = (centred @ y) / (centred @ centred)
    left = y - y.mean() - exponent * centred
    error = np.sqrt(left @ left / (len(x) - 2) / (centred @ centred))
    scale = np.exp(y.mean() - exponent * x.mean())
    return Growth(float(scale), float(exponent), float(error), len(x))


SPREAD = 8  # pages from one free block to the next, so that each has its own cache line of links
LINE_BYTES = 64


def loads(sizes_kib) -> pd.DataFrame:
    """Measure dependent loads in working sets of some sizes: nr_bytes, load_ns."""
    sizes = [1024 * kib for kib in sizes_kib]
    return pd.DataFrame({"nr_bytes": sizes, "load_ns": [dependent_load_ns(n) for n in sizes]})


def shuffled_guest(blocks: int):
    """A guest whose free blocks, all of order 0, stand in random order on one list."""
    nr_pages = max(-(-blocks * SPREAD // 1024) * 1024, 1024)
    extent = {"spanned": nr_pages, "present": nr_pages, "managed": nr_pages}
    memory = new_memory(new_zones(start_pfn=[0], index=2, **extent), 1, LINUX_6_1)
    memory.pageblock[:] = MOVABLE
    nodes = np.random.default_rng(1).permutation(np.arange(blocks) * SPREAD)
    set_list(memory.links, free_list_head(memory, 0, 0, MOVABLE), nodes)
    memory.frame[nodes] = BUDDY | MOVABLE << TYPE_SHIFT
    memory.nr_free[0, 0, MOVABLE] = blocks
    return memory


def walk_ns(blocks: int) -> float:
    """Measure the time (ns per block) of the walker's stroke over a shuffled list."""
    memory, rows = shuffled_guest(blocks), np.zeros((blocks + 1, 3), np.int64)

    def work():
        rows[:, 2] = 0  # as the engine does before a stroke
        state = new_walk_state(NEVER_ROTATE, RESTART, PER_LIST, HIGH_FIRST, 0, 0, False)
        walked = fill(memory, state, 0, rows, blocks)[0]
        assert walked == blocks, f"{walked} of {blocks} blocks walked"

    return median_ns(work, blocks, slices=5)


def walks(block_counts) -> pd.DataFrame:
    """Measure walks of shuffled lists and loads from as many bytes: one row per length."""
    rows = []
    for blocks in block_counts:
        nr_bytes = blocks * LINE_BYTES
        rows.append((blocks, nr_bytes / 2**20, walk_ns(blocks), dependent_load_ns(nr_bytes)))
    columns = ["blocks", "MiB of links", "walk (ns/block)", "load (ns)"]
    table = pd.DataFrame(rows, columns=columns)
    table["loads a block"] = table["walk (ns/block)"] / table["load (ns)"]
    return table


def events(sizes, seconds: float = 1.0) -> pd.DataFrame:
    """Measure whole simulations without a policy, set-up and tables included.

    Returns
    -------
    DataFrame
        One row per size: guest, M events (allocations, frees and writes), ns/event (CPU time).
    """
    rows = []
    for size in sizes:
        one = Scenario(memory=size, policy="none", duration_ns=int(seconds * NS_PER_S))
        simulate(one.with_values({"duration_ns": NS_PER_S // 100}))  # warm
        begin = process_time()
        summary = simulate(one).summary
        took = process_time() - begin
        nr = sum(int(summary[name]) for name in ("allocations", "frees", "writes"))
        rows.append({"guest": size, "M events": nr / 1e6, "ns/event": took * 1e9 / nr})
    return pd.DataFrame(rows)


def bytes_a_second() -> dict[str, float]:
    """GB/s of a copy and of counting bits, and the time (ms) to count a bitmap of 1 TiB."""
    found = bandwidths()
    bitmap_bytes = (1 << 28) // 8
    return found | {"bitmap_ms": bitmap_bytes / found["popcount"] / 1e6}


def make_seconds(sizes, make) -> pd.DataFrame:
    """Measure the CPU time to make guests of some sizes.

    Returns
    -------
    DataFrame
        One row per size: size (GiB), seconds (the least of three).
    """
    rows = []
    for size in sizes:
        times = []
        for _ in range(3):
            begin = thread_time_ns()
            nr_pages = make(size).nr_pages
            times.append((thread_time_ns() - begin) / 1e9)
        rows.append({"size": nr_pages / 2**18, "seconds": min(times)})
    return pd.DataFrame(rows)


def measured(name: str) -> tuple[pd.DataFrame, str]:
    """The stored results of ``make bench`` or ``make growth``.

    Parameters
    ----------
    name : "bench" or "growth"

    Returns
    -------
    (DataFrame, str)
        The rows, and a sentence that names the command and the machine.
    """
    told = json.loads(data(f"speed/{name}.json").read_text())
    machine = told["machine"]
    sentence = (
        f"Measured by `{told['command']}` on {machine['cores']} cores of an {machine['cpu']},"
        f" Linux {machine['kernel']}, {machine['gcc']}."
    )
    return pd.read_csv(data(f"speed/{name}.csv")), sentence
