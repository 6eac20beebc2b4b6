"""Chapter 07, the ring: what a full one loses."""

import pandas as pd


def told_mib(reports: pd.DataFrame, within_ns: int) -> float:
    """Memory (MiB) that the ring took in so many ns from the first report on.

    Parameters
    ----------
    reports : DataFrame
        Of a run.
    """
    early = reports["time_ns"] < reports["time_ns"].min() + within_ns
    return reports.loc[early & reports["taken"], "nr_pages"].sum() / 256


def lost_share(table: pd.DataFrame) -> pd.DataFrame:
    """Of the pages offered, the share lost on a full ring, mean of the seeds.

    Parameters
    ----------
    table : DataFrame
        Of :func:`freehint.sweep`, over "host.gap_ns" and "ring.size".

    Returns
    -------
    DataFrame
        A row an absence (ms), a column a ring size.
    """
    lost = table["lost_pages"] / table["offered_pages"]
    away_ms = (table["host.gap_ns"] // 1_000_000).rename("host away (ms)")
    shares = lost.groupby([away_ms, table["ring.size"].rename("ring size")]).mean()
    return shares.unstack()
