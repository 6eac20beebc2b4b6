"""Which results hang on costs that are assumed?  Each is halved and doubled, one at a time.

``python -m freehint.studies.costs.tornado FILE`` (``make tornado``) runs CASES and the disputes of
:func:`freehint.verdicts` with every assumed cost that can count in them, over the same ten seeds.
A difference is *seen* if its 95 % interval leaves out 0; a verdict *survives* if its words stay the
same.
"""

import sys
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from freehint.config import require
from freehint.data import data
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.files import whole_file
from freehint.runs.costs.sources import assumed
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.studies.costs.scaling import counts, scaled
from freehint.studies.disputes import PREDICTED, Setting, checked_seeds
from freehint.studies.side_by_side import busy, loaded
from freehint.studies.verdicts import DISPUTES
from freehint.sweeps.paired import NO_DIFFERENCE, paired
from freehint.units import NS_PER_MS

FACTORS = (0.5, 2.0)
SEEDS = range(1, 11)
COLUMN, VERDICT = "column", "verdict"
KEPT = "costs/tornado.csv"
NAMES = ["kind", "subject", "outcome", "knob", "factor"]
# No cost enters what recorded demand decides.
SIMULATED = tuple(one for one in DISPUTES if not one.evidence.startswith(PREDICTED))
PRESSED = UnderPressure(
    jobs="fill 20; read a; read a; dirty 50 200 1; fill 70; compact_memory; fill 60",
    files="a=30",
    swap_MiB=40,
    course_ns=50 * NS_PER_MS,
)


class Case(NamedTuple):
    """A guest, and the entries of the summary that are looked at."""

    scenario: Scenario
    outcomes: tuple


CASES = {
    "v24, busy": Case(
        busy(policy="v24"),
        (
            *("coverage", "lock_held_p99_ns", "lock_held_max_ns", "alloc_wait_sum_ns"),
            *("stale_pages", "survival", "allocations"),
        ),
    ),
    "hold the lock, busy": Case(
        busy(policy="hold_the_lock"), ("lock_held_max_ns", "alloc_wait_max_ns", "allocations")
    ),
    "rotate, busy": Case(
        busy(policy="rotate_on_exit"), ("lock_held_p99_ns", "alloc_wait_sum_ns", "stale_pages")
    ),
    "v24, migration": Case(
        loaded().with_values({"policy": "v24"}), ("total_ns", "sent_bytes", "alloc_wait_sum_ns")
    ),
    "reporting, migration": Case(
        loaded().with_values({"policy": "page_reporting", "host.discard": True}),
        ("total_ns", "sent_bytes", "fault_ns"),
    ),
    "under pressure": Case(
        Scenario("64MiB", None, "none", workload=PRESSED, duration_ns=6_000 * NS_PER_MS),
        ("stall_ns", "jobs_ns"),
    ),
}


def tornado_of_columns(seeds=SEEDS, cases=CASES, factors=FACTORS) -> pd.DataFrame:
    """How the summary's main columns change as each assumed cost is halved and doubled.

    Parameters
    ----------
    seeds : sequence of int
        Each gives one difference.
    cases : dict
        Name -> Case.
    factors : sequence of float
        By which a cost is multiplied.

    Returns
    -------
    DataFrame
        One row for each case, outcome, assumed cost and factor, but where no seed's outcome
        changes: kind ("column"), subject (the case), outcome, knob, factor, against (the mean with
        the assumed cost), difference (with the changed one less that), half_width (of its 95 %
        interval), seeds, changed (whether the interval leaves out 0).
    """
    seeds, parts = checked_seeds(seeds), []
    for name, (scenario, outcomes) in cases.items():
        base = _rows(scenario, seeds, 1.0)
        for knob in (one for one in assumed() if counts(scenario, one)):
            other = [_rows(scaled(scenario, {knob: f}), seeds, f) for f in factors]
            table = pd.concat([base, *other], ignore_index=True)
            found = paired(table, list(outcomes), against=1.0, factor="factor")
            found = found.rename(columns={"level": "factor", "differs": "changed"})
            parts.append(found.assign(kind=COLUMN, subject=name, knob=knob))
    table = _told(pd.concat(parts))
    some = (table["difference"] != 0) | (table["half_width"] != 0)
    return table[some].reset_index(drop=True)


def _rows(scenario: Scenario, seeds, factor: float) -> pd.DataFrame:
    each = (simulate(scenario.with_values({"seed": seed})).summary for seed in seeds)
    return pd.DataFrame(each).assign(factor=factor)


def tornado_of_verdicts(seeds=SEEDS, disputes=SIMULATED, factors=FACTORS) -> pd.DataFrame:
    """Which verdicts change their words as each assumed cost is halved and doubled.

    Parameters
    ----------
    seeds : sequence of int
    disputes : sequence of Dispute
    factors : sequence of float

    Returns
    -------
    DataFrame
        The columns of :func:`tornado_of_columns`, with a row for each cost that can count in one of
        its guests: kind is "verdict", subject the dispute, outcome its unit, against its number
        with the assumed cost, difference that with the changed one less that, half_width that of
        the number with the changed one, and changed tells whether the words are others.
    """
    seeds, rows = checked_seeds(seeds), []
    for dispute in disputes:
        plain = Setting()
        base = dispute.row(seeds, plain)
        for knob in assumed():
            if not any(counts(guest, knob) for guest in plain.guests):
                continue
            for factor in factors:
                found = dispute.row(seeds, Setting(scale={knob: factor}))
                number = {name: found[name] for name in ("half_width", "seeds")}
                number["against"] = base["value"]
                number["difference"] = found["value"] - base["value"]
                named = (VERDICT, dispute.dispute, dispute.unit, knob, factor)
                changed = found["verdict"] != base["verdict"]
                rows.append({**dict(zip(NAMES, named)), **number, "changed": changed})
    return _told(pd.DataFrame(rows))


def _told(table: pd.DataFrame) -> pd.DataFrame:
    columns = [*NAMES, "against", "difference", "half_width", "seeds", "changed"]
    return table[columns]


def tornado() -> pd.DataFrame:
    """The table that ``make tornado`` wrote for ``data/``; both kinds of rows."""
    return pd.read_csv(data(KEPT))


def unsure(table: pd.DataFrame) -> pd.DataFrame:
    """The verdicts that do not survive every halving and doubling.

    Parameters
    ----------
    table : DataFrame
        As :func:`tornado` returns it.

    Returns
    -------
    DataFrame
        Its rows of kind "verdict" whose words are others than with the assumed cost.
    """
    return table[(table["kind"] == VERDICT) & table["changed"]]


def sentences(table: pd.DataFrame) -> list[str]:
    """The verdicts that survive, those that do not, and those that were not run, as sentences."""
    verdicts = table[table["kind"] == VERDICT]
    lost = unsure(table)
    kept = [name for name in dict.fromkeys(verdicts["subject"]) if name not in set(lost["subject"])]
    told = [f"survive every halving and doubling: {', '.join(kept) or 'none'}"]
    for (subject, words), rows in lost.groupby(["subject", _words(lost)], sort=False):
        steps = rows["factor"].map(lambda factor: "halved" if factor < 1 else "doubled")
        told.append(f"{subject}: {words} with {', '.join(rows['knob'] + ' ' + steps)}")
    missing = [one.dispute for one in SIMULATED if one.dispute not in set(verdicts["subject"])]
    return told + ([f"not in the table: {', '.join(missing)}"] if missing else [])


def _words(lost: pd.DataFrame) -> pd.Series:
    """What became of each verdict that did not survive."""
    value = lost["against"] + lost["difference"]
    words = pd.Series("a difference is seen", index=lost.index)
    words[value * lost["against"] < 0] = "the other side is right"
    words[value.abs() <= lost["half_width"]] = NO_DIFFERENCE
    return words


def main() -> int:
    """Write the table to the file that the first argument names."""
    require(len(sys.argv) == 2, "the command", "name one file", sys.argv[1:])
    path = Path(sys.argv[1])
    began = time.perf_counter()
    table = pd.concat([tornado_of_columns(), tornado_of_verdicts()], ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    print(*sentences(table), sep="\n")
    print(f"{len(table)} rows in {time.perf_counter() - began:.0f} s: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
