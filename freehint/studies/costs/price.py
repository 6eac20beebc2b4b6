"""What a page that was returned costs when it is allocated again.

The host has discarded 2 MiB; now the guest allocates them, clears them unless it knows that the
host has, and its program writes them.  The host's fault clears what it provides, so a guest that
clears too has cleared twice.  A host with small pages faults 512 times; with transparent huge pages
or hugetlb once, if 2 MiB were discarded at once.  Where only a part of a huge page was discarded
the host splits it, and provides small pages; hugetlb refuses (``engine/world/backing.py``).
"""

import numpy as np
import pandas as pd

from freehint.config import require
from freehint.engine.world.backing import PAGES
from freehint.engine.world.records import Costs
from freehint.inputs.rules import Real
from freehint.mm.memory import PAGEBLOCK_NR_PAGES
from freehint.runs.costs.clearing import Clearing
from freehint.units import NS_PER_MS, NS_PER_US

GUEST_PAGES = ("4 KiB", "2 MiB")
RETURNED = ("whole", "in parts")  # 2 MiB at once, or smaller blocks
SHARE = Real(0.0, 1.0)
# Task-clock in ms of mapping 256 MB after all was reported: without knowing, with it.  From the
# cover letters of the RFC (cover.1776033471), of its second version and of v5 (cover.1778192416).
PUBLISHED_MS = {
    ("RFC", "THP"): (179.0, 99.0),
    ("RFC v2", "THP"): (191.0, 60.0),
    ("v5", "THP"): (232.0, 51.0),
    ("RFC", "hugetlb surplus"): (322.0, 9.9),
    ("v5", "hugetlb surplus"): (219.0, 65.0),
}
PUBLISHED_PIECES = 128  # of 2 MiB


def page_price(
    costs: Costs | None = None,
    clearing: Clearing | None = None,
    known: float = 1.0,
    touched: float = 1.0,
) -> pd.DataFrame:
    """What it costs to allocate and use 2 MiB that the host has taken back.

    Parameters
    ----------
    costs : Costs, optional
        ``fault_ns`` and ``huge_fault_ns`` count; the default costs if it is missing.
    clearing : Clearing, optional
        :func:`freehint.load_clearing` reads what a machine measured.
    known : float
        Share of the pages that the guest knows to be clear, where it uses such knowledge.
    touched : float
        Share of the pages that the program touches.  A guest that clears touches all.

    Returns
    -------
    DataFrame
        One row for each host (what backs the guest), returned ("whole" 2 MiB, or "in parts": a huge
        page is split, and hugetlb takes nothing back), guest (the pages in which it allocates) and
        knowledge ("not used", "used"): faults (number), fault_ns (without the host's clearing),
        host_clear_ns, guest_clear_ns, total_ns, twice_ns (the guest's clearing of what the host had
        cleared).

    Raises
    ------
    InputError
        ``known`` or ``touched`` is no number in 0..1.

    Examples
    --------
    >>> import freehint as fh
    >>> price = fh.page_price().xs(("thp", "whole", "2 MiB"), level=[0, 1, 2])
    >>> price["faults"].tolist(), price["twice_ns"].tolist()
    ([1.0, 1.0], [204800.0, 0.0])
    """
    costs, clearing = costs or Costs(), clearing or Clearing()
    for name, share in (("known", known), ("touched", touched)):
        require(SHARE.admits(share), name, SHARE.must, share)
    rows = []
    for host in PAGES:
        for returned in RETURNED:
            for guest in GUEST_PAGES:
                for used in (0.0, known):
                    rows.append(_row(costs, clearing, host, returned, guest, used, touched))
    index = [
        (host, returned, guest, knowledge)
        for host in PAGES
        for returned in RETURNED
        for guest in GUEST_PAGES
        for knowledge in ("not used", "used")
    ]
    names = ["host", "returned", "guest", "knowledge"]
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(index, names=names))


def _row(costs, clearing, host: str, returned: str, guest: str, known, touched) -> dict:
    small = host == "4KiB" or returned == "in parts"
    discarded = not (host == "hugetlb" and small)
    one_ns = costs.fault_ns if small else costs.huge_fault_ns
    clear_ns = min(clearing.clear_page_ns if small else clearing.clear_huge_ns, one_ns)
    n = PAGEBLOCK_NR_PAGES
    known = known if discarded else 0.0
    if not discarded:
        faults = 0.0
    elif small:
        faults = n * (1 - known * (1 - touched))
    else:
        faults = 1.0 if touched > 0 else 1 - known
    all_ns = clearing.clear_huge_ns if guest == "2 MiB" else n * clearing.clear_page_ns
    cleared_ns = (1 - known) * all_ns
    return {
        "faults": float(faults),
        "fault_ns": float(faults * (one_ns - clear_ns)),
        "host_clear_ns": float(faults * clear_ns),
        "guest_clear_ns": float(cleared_ns),
        "total_ns": float(faults * one_ns + cleared_ns),
        "twice_ns": float(cleared_ns if discarded else 0.0),
    }


def price_lines(table: pd.DataFrame) -> list[str]:
    """The table of :func:`page_price` in Markdown, in us, both kinds of knowledge in one row."""
    lines = [
        "| host | returned | guest pages | faults | fault | host clears | guest clears | total"
        " | total, known |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for names, rows in table.groupby(["host", "returned", "guest"], sort=False):
        off, on = rows.to_dict("records")
        times = (off["fault_ns"], off["host_clear_ns"], off["guest_clear_ns"], off["total_ns"])
        faults = f"{off['faults']:.0f}"
        said = [f"{one / NS_PER_US:,.1f}" for one in (*times, on["total_ns"])]
        lines.append(f"| {' | '.join((*names, faults, *said))} |")
    return lines


def published_lines(table: pd.DataFrame) -> list[str]:
    """The table of :func:`price_beside_published` in Markdown."""
    lines = ["| whose | what | ms | ms, known | saved |", "|---|---|--:|--:|--:|"]
    for (whose, what), row in table.iterrows():
        times = f"{row['without_ms']:.1f} | {row['with_ms']:.1f} | {100 * row['saved']:.0f} %"
        lines.append(f"| {whose} | {what} | {times} |")
    return lines


def price_beside_published(
    costs: Costs | None = None, clearing: Clearing | None = None
) -> pd.DataFrame:
    """Tsirkin's 256 MB of huge pages, priced, beside the task-clock that he published.

    The mails do not tell the host's pages, nor whether the test writes what it maps, so both are
    shown; a test's start and end, and the guest's own faults, are not in the price.

    Parameters
    ----------
    costs, clearing
        As for :func:`page_price`.

    Returns
    -------
    DataFrame
        One row for each published test and priced case: without_ms, with_ms, saved (the share that
        knowing saves), whose.
    """
    rows = [
        {"whose": "published", "what": f"{pages}, {version}", "without_ms": off, "with_ms": on}
        for (version, pages), (off, on) in PUBLISHED_MS.items()
    ]
    for touched, does in ((1.0, "written"), (0.0, "only mapped")):
        price = page_price(costs, clearing, touched=touched)["total_ns"]
        for host in PAGES:
            both = price.xs((host, "whole", "2 MiB"), level=[0, 1, 2])
            off, on = both * PUBLISHED_PIECES / NS_PER_MS
            what = f"host of {host}, {does}"
            rows.append({"whose": "priced", "what": what, "without_ms": off, "with_ms": on})
    table = pd.DataFrame(rows)
    table["saved"] = 1 - table["with_ms"] / table["without_ms"].replace(0, np.nan)
    return table.set_index(["whose", "what"])
