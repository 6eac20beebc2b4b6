"""Does the order of free lists decide whether an allocation lands on zeroed pages?

It does as long as not everything is reported.  Free page reporting puts what it reported behind
what it did not, so the rest is used first.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from freehint.data import data
from freehint.formats.snapshots import load_snapshot
from freehint.mm.memory import copy_memory
from freehint.policies.page_reporting import PageReporting
from freehint.studies.costs.zeroed_guest import Guest
from freehint.studies.costs.zeroing import GUESTS, MAPPED_MIB, SEEDS, SIZES, Way, one_pass
from freehint.studies.disputes import checked_seeds
from freehint.units import PAGES_PER_MIB

PASSES = (1, 2, 4, 6, 7, 8)  # after eight, everything in the guest of 2 GiB is reported
ORDERS = {
    "tail": Way(PageReporting()),
    "head": Way(replace(PageReporting(), putback="head")),
    "drawn": Way(PageReporting(), shuffled=True),
}


def while_reporting(seeds=SEEDS, passes=PASSES, stem: str = GUESTS["2 GiB, at rest"]):
    """Allocate 256 MiB after some passes of free page reporting, by the order of the lists.

    Parameters
    ----------
    seeds : sequence of int
        They draw the order of lists that are shuffled; at least two.
    passes : sequence of int
        Numbers of passes before the allocation.
    stem : str
        A guest's snapshot below ``data``.

    Returns
    -------
    DataFrame
        One row for each order ("tail" and "head": where a pass puts a block back; "drawn": it
        chooses no place), pages, passes and seed, with block, the share that is known to be zeroed,
        and reported_MiB.
    """
    rows, memory = [], load_snapshot(data(stem))
    for name, way in ORDERS.items():
        for seed in checked_seeds(seeds):
            for order in SIZES:
                for many in passes:
                    guest = Guest(copy_memory(memory), way.policy)
                    shuffles = np.random.default_rng(seed) if way.shuffled else None
                    for _ in range(many):
                        one_pass(guest, shuffles)
                    reported_MiB = guest.zeroed_MiB()
                    guest.map(MAPPED_MIB * PAGES_PER_MIB, order > 0)
                    told = {"order": name, "pages": SIZES[order], "passes": many, "seed": seed}
                    told["block"] = guest.shares(order)["block"]
                    rows.append(told | {"reported_MiB": reported_MiB})
    return pd.DataFrame(rows)
