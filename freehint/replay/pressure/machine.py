"""How fast a recording's machine was, as its own rows tell: T0 does not tell it."""

import re

import numpy as np
import pandas as pd

from freehint.engine.world.records import Costs
from freehint.replay.pressure.calibrate import LEAST_PAGES
from freehint.units import NS_PER_S

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


def dirty_slowness(paces: pd.DataFrame, fill_ns: int, otherwise: float) -> tuple[float, float]:
    """How slow the recorded machine was in "dirty" steps, which end by the clock.

    Before kswapd runs, the time of a page that is filled tells it; from then on the time that
    kswapd takes for its pages, by their price.  Neither tells how many pages come and go.

    Parameters
    ----------
    paces : DataFrame
        Of :func:`paces_of`.
    fill_ns : int
        Time per filled page on the default machine.
    otherwise : float
        For a part that allocates, or of which kswapd looks at, less than LEAST_PAGES.
    """
    total, costs = paces.sum(), Costs()
    price_ns = (
        total["scanned"] * costs.scan_page_ns
        + total["reclaimed"] * costs.reclaim_page_ns
        + total["swapped"] * costs.swap_out_ns
    )
    fill = total["filled_s"] * NS_PER_S / max(1, total["filled"] * fill_ns)
    swap = total["kswapd_s"] * NS_PER_S / max(1, price_ns)
    return (
        fill if total["filled"] >= LEAST_PAGES else otherwise,
        swap if total["scanned"] >= LEAST_PAGES else otherwise,
    )


def host_factor(host_turns: tuple) -> float:
    """How much longer all took than on a host that ran nothing else; at least 1.

    Parameters
    ----------
    host_turns : tuple of (float, float)
        Time that the guest ran and that it then stood still.
    """
    runs, away = np.sum(host_turns, axis=0) if host_turns else (1, 0)
    return float((runs + away) / runs)
