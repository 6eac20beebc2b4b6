"""Several seeds of a setting: how far its numbers spread, and whether two settings differ."""

import pandas as pd

from freehint.runs.simulate import run_engine
from freehint.runs.summary import summary_row
from freehint.sweeps.paired import interval, paired

NR_SEEDS = 5


def seed_rows(guests: dict, seed: int):
    """Run each setting with NR_SEEDS seeds.

    Parameters
    ----------
    guests : dict
        Side -> callable without arguments that returns a scenario and a guest of its own.
    seed : int
        The first seed.

    Yields
    ------
    list of dict
        The rows so far, after each run: the summary, with the side.
    """
    rows = []
    for number in range(seed, seed + NR_SEEDS):
        for side, guest in guests.items():
            scenario, (memory, _) = guest()
            scenario = scenario.with_values({"seed": number})
            summary = summary_row(scenario, run_engine(scenario, memory))
            rows.append(summary | {"side": side, "seed": number})
            yield rows


class Spread:
    """Numbers of one setting or two, over seeds.

    Parameters
    ----------
    rows : list of dict
        The last that :func:`seed_rows` yielded.
    """

    def __init__(self, rows: list):
        self.table = pd.DataFrame(rows)
        self.sides = tuple(dict.fromkeys(self.table["side"]))
        self.seeds = sorted(set(self.table["seed"]))

    def of(self, side: str, values) -> tuple:
        """(mean, half width of its 95 % interval) of one value per row, for a side."""
        return interval(pd.Series(values)[(self.table["side"] == side).to_numpy()])

    def difference(self, values) -> tuple:
        """(mean of B - A, half width, does it leave out 0?), seed by seed."""
        table = self.table[["side", "seed"]].assign(value=values)
        row = paired(table, ["value"], against=self.sides[0], factor="side").iloc[0]
        return row["difference"], row["half_width"], bool(row["differs"])
