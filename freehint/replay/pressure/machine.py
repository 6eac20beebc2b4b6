"""How fast a recording's machine was, as its own rows tell: T0 does not tell it."""

import re

import numpy as np
import pandas as pd

from freehint.engine.world.records import Costs
from freehint.replay.pressure.calibrate import LEAST_PAGES
from freehint.units import NS_PER_S

PACES = ("filled", "filled_s", "kswapd_s", "scanned", "reclaimed", "swapped")
_NUMBER = re.compile(r"(nr_[a-z_]+)=(\d{1,15})")
# Pages of a batch that are neither reclaimed nor given to swap.
_STAY = ("nr_writeback", "nr_immediate", "nr_activate_anon", "nr_activate_file", "nr_ref_keep")


def no_paces() -> pd.DataFrame:
    """What :func:`paces_of` finds without a "dirty" step."""
    return pd.DataFrame(columns=list(PACES), dtype=float)


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
        pages = sum((_pages_of(text) for text in texts[shrinks]), np.zeros(3))
        if (writes := event == "mm_vmscan_write_folio").any():
            pages[2] = (kswapd & writes).sum()
        kswapd_s = own_s[kswapd & (time_s > first_s)].sum()
        found.append([filled.sum(), first_s - step.begin_s, kswapd_s, *pages])
    return pd.DataFrame(found, columns=list(PACES), dtype=float)


def _pages_of(text: str) -> np.ndarray:
    """Pages that a batch of 6.1 has scanned, reclaimed and given to swap.

    Recordings from before the step marks have no rows of the pages that are written.
    """
    told = {name: int(number) for name, number in _NUMBER.findall(text)}
    scanned, reclaimed = told.get("nr_scanned", 0), told.get("nr_reclaimed", 0)
    left = scanned - reclaimed - sum(told.get(name, 0) for name in _STAY)
    return np.array([scanned, reclaimed, left if "RECLAIM_WB_ANON" in text else 0])


def dirty_slowness(
    paces: pd.DataFrame, fill_ns: int, costs: Costs, otherwise: float
) -> tuple[float, float]:
    """How slow the recorded machine was in "dirty" steps, which end by the clock.

    Before kswapd runs, the time of a page that is filled tells it; from then on the time that
    kswapd takes for its pages, by their price.  Neither tells how many pages come and go.

    Parameters
    ----------
    paces : DataFrame
        Of :func:`paces_of`.
    fill_ns : int
        Time per filled page on the default machine.
    costs : Costs
        Of the default machine.
    otherwise : float
        For a part that allocates, or of which kswapd looks at, less than LEAST_PAGES.
    """
    total = paces.sum()
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
