"""Chapter 11, afterwards: what a guest gets done when its migration is over."""

import pandas as pd

from freehint.figures import Picture, every, new_figure
from freehint.migration_figures import after_the_migration, against_none, per_policy

# What the means of a table are called, and how many digits they have.
MEANS = {
    "sent_MB": ("sent (MB)", 1),
    "took_ms": ("took (ms)", 1),
    "faults": ("faults", 0),
    "faults_ms": ("in faults (ms)", 1),
    "work_against_none": ("work (%)", 2),
    "survival_%": ("survival (%)", 1),
    "unmovable": ("UNMOVABLE", 1),
    "large_MiB": ("free, order >= 9 (MiB)", 1),
}


def afterwards(scenario, policies, window_ns: int, seeds=(1, 2, 3)) -> pd.DataFrame:
    """Every policy with every seed, up to ``window_ns`` after its switch-over.

    Parameters
    ----------
    scenario : Scenario
        With a migration that ends.
    policies : sequence of str
        "none" among them.

    Returns
    -------
    DataFrame
        The columns of :func:`freehint.migration_figures.after_the_migration`, and sent_MB,
        took_ms, faults_ms (CPU time), in_faults (that, % of the window), survival_%,
        work_against_none (%: the work in the window against the same seed without hints).
    """
    each = [scenario.with_values({"policy": p, "seed": s}) for p in policies for s in seeds]
    table = pd.DataFrame([after_the_migration(one, window_ns) for one in each])
    table = table.infer_objects()
    return table.assign(
        sent_MB=table["sent_bytes"] / 1e6,
        took_ms=table["total_ns"] / 1e6,
        faults_ms=table["fault_ns"] / 1e6,
        in_faults=100 * table["fault_ns"] / window_ns,
        work_against_none=against_none(table, "work"),
        **{"survival_%": 100 * table["survival"].astype(float)},
    )


def means(table: pd.DataFrame) -> pd.DataFrame:
    """The mean of each policy, numbers under the names of ``table``."""
    return table.groupby("policy", sort=False)[[*MEANS, "in_faults"]].mean().astype(float)


def readable_means(table: pd.DataFrame) -> pd.DataFrame:
    """The same for people: rounded, and with units."""
    shown = {title: means(table)[name].round(digits) for name, (title, digits) in MEANS.items()}
    return pd.DataFrame(shown).astype({"faults": int})


def measures(table: pd.DataFrame, labels: dict, marks: dict) -> Picture:
    """Several measures of each policy beside each other: a bar is the mean, a dot a seed.

    Parameters
    ----------
    table : DataFrame
        Of :func:`afterwards`.
    labels : dict
        Column -> name and unit.
    marks : dict
        Column -> where a dashed line goes.
    """
    figure, axes = new_figure(width=12, height=3.4, columns=len(labels), sharey=True)
    for (column, label), ax in zip(labels.items(), every(axes), strict=True):
        per_policy(table, column, ax, label, mark=marks.get(column))
    return figure
