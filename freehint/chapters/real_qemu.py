"""Chapter 12, a real QEMU: its counters beside the model's."""

import gzip
import json

import pandas as pd

from freehint.figures import Picture, new_figure
from freehint.migration_figures import predicted_beside_measured, recorded_resident, steps_down

PARAMETERS = ["state", "hint", "cmdline", "bw_MBps"]


def bytes_and_times(table: pd.DataFrame, bw_MBps=50) -> Picture:
    """Bytes of every migration, and the time of those at one bandwidth: predicted over measured.

    Parameters
    ----------
    table : DataFrame
        Of :func:`freehint.validate_migration`.
    """
    figure, axes = new_figure(width=11.5, height=4.6, columns=2)
    predicted_beside_measured(table, "transferred_B", axes[0], 1e6, "bytes (MB)")
    at_one = table[table["bw_MBps"] == bw_MBps]
    label = f"time at {bw_MBps} MB/s (s)"
    predicted_beside_measured(at_one, "total_time_ms", axes[1], 1e3, label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def bytes_by_hint(table: pd.DataFrame) -> pd.DataFrame:
    """Mean bytes (MB) of each load with hints off and on, measured and predicted."""
    columns = {"measured_transferred_B": "measured", "predicted_transferred_B": "predicted"}
    means = table.groupby(["state", "hint"])[list(columns)].mean() / 1e6
    return means.rename(columns=columns).round().astype(int).unstack("hint")


def worst_and_alike(table: pd.DataFrame, folder) -> pd.DataFrame:
    """The migration whose bytes are predicted worst, first, and those with the same parameters.

    Parameters
    ----------
    table : DataFrame
        Of :func:`freehint.validate_migration` on ``folder``.
    folder : Path

    Returns
    -------
    DataFrame
        Columns of the recording, and the prediction's: predicted_B, predicted_ms, error.
    """
    measured = pd.read_csv(folder / "migrations.csv")
    worst = table["error_transferred_B"].idxmax()
    alike = measured[(measured[PARAMETERS] == measured.loc[worst, PARAMETERS]).all(axis=1)]
    rows = [worst, *alike.index.drop(worst)]
    columns = ["state", "hint", "bw_MBps", "rep", "mbps", "total_time_ms", "transferred_B"]
    return alike.loc[rows, columns].assign(
        predicted_B=table["predicted_transferred_B"],
        predicted_ms=table["predicted_total_time_ms"],
        error=table["error_transferred_B"],
    )


def recorded_guest_resident(info) -> pd.DataFrame:
    """QEMU's resident memory in a recording's ``info.json.gz``, since its program left."""
    with gzip.open(info) as file:
        return recorded_resident(json.load(file))


def steps_after_free(rss: pd.DataFrame) -> pd.DataFrame:
    """Where resident memory falls after the program has left: time_s since then, MiB.

    Parameters
    ----------
    rss : DataFrame
        t_s, phase, host_rss_KiB.
    """
    freed = rss[rss["phase"].isin(["filled+freed", "after free"])]
    return steps_down(freed["t_s"] - freed["t_s"].iloc[0], freed["host_rss_KiB"] / 1024)
