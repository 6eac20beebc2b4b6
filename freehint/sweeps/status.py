"""How a run of a sweep ended, and the check that every run was done."""

import pandas as pd

DONE, FAILED, REFUSED = "done", "failed", "refused"


def all_done(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of a sweep, if every run of it was done.

    Parameters
    ----------
    runs : DataFrame
        The result of :func:`freehint.sweep`; a table without the column ``status`` passes.

    Raises
    ------
    RuntimeError
        A run failed or was refused; the message names the first one and tells why.
    """
    if "status" in runs.columns and len(left := runs[runs["status"] != DONE]):
        run = left.iloc[0]
        why = f"{run['status']}: {run['error']}"
        raise RuntimeError(f"policy {run['policy']}, seed {run['seed']}: {why}")
    return runs
