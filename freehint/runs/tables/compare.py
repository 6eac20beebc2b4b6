"""Runs side by side: their summaries, for people and as numbers, and their provenance."""

import pandas as pd

from freehint.runs.run import readable
from freehint.runs.summary import waiting
from freehint.units import micro


def comparison(runs) -> pd.DataFrame:
    """Runs side by side, for people, as a table with one row per label and one column per run.

    Parameters
    ----------
    runs : sequence of Run, or dict
        Name -> run; runs in a sequence are named by policy (and by seed, if seeds differ).
    """
    if not isinstance(runs, dict):
        several = len({r.summary["seed"] for r in runs}) > 1
        seeds = [f" #{r.summary['seed']}" if several else "" for r in runs]
        runs = {r.summary["policy"] + seed: r for r, seed in zip(runs, seeds)}
    columns = {name: readable(run) for name, run in runs.items()}
    labels = dict.fromkeys(label for column in columns.values() for label in column)
    return pd.DataFrame(columns, index=list(labels)).fillna("–").map(micro)


def summaries(runs) -> pd.DataFrame:
    """The summaries of runs as a table of numbers, with one row per run.

    Its last three columns tell how allocations waited: docs/model.md defines them.

    Parameters
    ----------
    runs : sequence of Run, or dict
        Name -> run; the names become the index.
    """
    names = list(runs) if isinstance(runs, dict) else None
    each = runs.values() if isinstance(runs, dict) else runs
    found = [{**r.summary, **waiting(r.summary, r.waits)} for r in each]
    rows = pd.DataFrame(found).infer_objects()
    return rows if names is None else rows.set_axis(names)


def provenance_table(runs) -> pd.DataFrame:
    """The provenance of all runs of a comparison, for people, as a table with one row per fact.

    A fact that differs between the runs is listed with every value.
    """
    facts = {}

    def enter(name, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                enter(f"{name}.{key}" if name else key, inner)
        elif name == "inputs":
            for one in value:
                enter(f"sha256 of {one['file']}", one["sha256"])
        else:
            seen = facts.setdefault(name, [])
            if value not in seen:
                seen.append(value)

    for run in runs:
        enter("", run.provenance)
    rows = {
        name.removeprefix("parameters."): " | ".join(map(str, values))
        for name, values in facts.items()
    }
    return pd.DataFrame({"value": pd.Series(rows, dtype=str)})
