"""What the rows of a "dirty" step tell of the machine's speed: it ends by the clock, not by itself."""

import re

import numpy as np
import pandas as pd

PACES = ("filled", "filled_s", "kswapd_s", "scanned", "reclaimed", "swapped")
_PAGES = re.compile(r"nr_scanned=(\d{1,15}) nr_reclaimed=(\d{1,15})")


def paces_of(trace: pd.DataFrame, steps: pd.DataFrame, time_s) -> pd.DataFrame:
    """How fast the machine was in each "dirty" step.

    Parameters
    ----------
    trace : DataFrame
        The recording's rows.
    steps : DataFrame
        job, begin_s, end_s.
    time_s : float64[rows]
        Times of the rows, in s since the first step.

    Returns
    -------
    DataFrame
        PACES: pages allocated until kswapd first ran in the step, and that time; then kswapd's own
        time, in which the time before a row is its task's, and its pages.
    """
    event, comm = trace["event"].astype(str).to_numpy(), trace["comm"].astype(str).to_numpy()
    texts, own_s = trace["gfp"].astype(str).to_numpy(), np.diff(time_s, prepend=time_s[:1])
    found = []
    for step in steps.itertuples():
        if not step.job.startswith("dirty "):
            continue
        inside = (time_s >= step.begin_s) & (time_s <= step.end_s)
        kswapd = inside & (comm == "kswapd0")
        first_s = time_s[kswapd].min(initial=step.end_s)
        filled = inside & (event == "mm_page_alloc") & (time_s < first_s)
        shrinks = kswapd & (event == "mm_vmscan_lru_shrink_inactive")
        pages = np.zeros(2, np.int64)
        for text in texts[shrinks]:
            if match := _PAGES.search(text):
                pages += [int(match[1]), int(match[2])]
        swapped = int((kswapd & (event == "mm_vmscan_write_folio")).sum())
        kswapd_s = own_s[kswapd & (time_s > first_s)].sum()
        found.append([filled.sum(), first_s - step.begin_s, kswapd_s, *pages, swapped])
    return pd.DataFrame(found, columns=list(PACES), dtype=float)
