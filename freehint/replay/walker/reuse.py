"""How long hints last: which hinted pages are used again, and how soon.

A page's hint begins when a ring takes a report of it while it has none, and ends when the page is
used again; so a page that is reported twice meanwhile has one hint.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.units import NS_PER_S, PAGES_PER_MIB

SECONDS = (1, 5, 20)
MIBS = (64, 128, 256, 384, 512)
# Columns of hints and of uses; the place is their common order, and a hint comes before a use.
PLACE, TIME_NS, NODE, ORDER, WALK, TAKEN, TWICE = range(7)
HINT_COLUMNS, USE_COLUMNS = 7, 4
(
    N_REPORTS,
    N_LOST,
    N_TWICE,
    N_TWICE_IN_WALK,
    N_HINTED,
    N_REUSED,
    N_USED,
    N_USED_SINCE,
    NR_COUNTS,
) = range(9)
NO_HINT = -1


class Pages(NamedTuple):
    """The hints of pages; ``N`` pages.

    since_ns : int64[N]   time of the page's hint; NO_HINT if it has none
    volume : int64[N]     pages used before that
    told_in : int64[N]    number of the walk that reported the page's block last; -1: none
    """

    since_ns: np.ndarray
    volume: np.ndarray
    told_in: np.ndarray


class Limits(NamedTuple):
    """The spans of time (ns) and then of memory (pages used) whose shares are counted.

    most : int64[8]     the spans
    end : int64[8]      the time, and the number of pages used, at the end
    due : int64[8]      hints with that much time or memory left until the end
    within : int64[8]   those of them whose page was used again within the span
    """

    most: np.ndarray
    end: np.ndarray
    due: np.ndarray
    within: np.ndarray


@kernel
def note_report(pages, limits, counts, report):
    """Count a report, and begin the hints of its pages."""
    node = report[NODE]
    counts[N_REPORTS] += 1
    counts[N_LOST] += 1 - report[TAKEN]
    if not report[TAKEN]:
        return
    if report[TWICE]:
        counts[N_TWICE] += 1
        counts[N_TWICE_IN_WALK] += pages.told_in[node] == report[WALK]
    pages.told_in[node] = report[WALK]
    for page in range(node, node + (1 << report[ORDER])):
        if pages.since_ns[page] == NO_HINT:
            pages.since_ns[page] = report[TIME_NS]
            pages.volume[page] = counts[N_USED]
            counts[N_HINTED] += 1
            for i in range(limits.most.shape[0]):
                since = report[TIME_NS] if i < len(SECONDS) else counts[N_USED]
                limits.due[i] += limits.end[i] - since >= limits.most[i]


@kernel
def note_use(pages, limits, counts, use):
    """Count the use of a block's pages, and end their hints."""
    counts[N_USED] += 1 << use[ORDER]
    for page in range(use[NODE], use[NODE] + (1 << use[ORDER])):
        if pages.since_ns[page] != NO_HINT:
            counts[N_REUSED] += 1
            for i in range(limits.most.shape[0]):
                since = pages.since_ns[page] if i < len(SECONDS) else pages.volume[page]
                now = use[TIME_NS] if i < len(SECONDS) else counts[N_USED]
                due = limits.end[i] - since >= limits.most[i]
                limits.within[i] += due and now - since <= limits.most[i]
            pages.since_ns[page] = NO_HINT


@kernel
def follow(pages, limits, counts, hints, uses):
    """Go through hints and uses, both in the order of their places.

    Parameters
    ----------
    hints : int64[h, HINT_COLUMNS]
    uses : int64[u, USE_COLUMNS]
    """
    at = 0
    for use in range(uses.shape[0]):
        while at < hints.shape[0] and hints[at, PLACE] <= uses[use, PLACE]:
            note_report(pages, limits, counts, hints[at])
            at += 1
        if at > 0:
            counts[N_USED_SINCE] += 1 << uses[use, ORDER]
        note_use(pages, limits, counts, uses[use])
    for later in range(at, hints.shape[0]):
        note_report(pages, limits, counts, hints[later])


def reuse_row(hints: np.ndarray, uses: np.ndarray, end_ns: int, nr_pages: int) -> dict:
    """The measures of one run; see :func:`freehint.counterfactual` for their definitions."""
    pages = Pages(
        since_ns=np.full(nr_pages, NO_HINT, np.int64),
        volume=np.zeros(nr_pages, np.int64),
        told_in=np.full(nr_pages, -1, np.int64),
    )
    used = int(np.left_shift(1, uses[:, ORDER]).sum())
    spans = [s * NS_PER_S for s in SECONDS] + [m * PAGES_PER_MIB for m in MIBS]
    ends = [end_ns] * len(SECONDS) + [used] * len(MIBS)
    due, within = np.zeros((2, len(spans)), np.int64)
    limits = Limits(np.array(spans, np.int64), np.array(ends, np.int64), due, within)
    counts = np.zeros(NR_COUNTS, np.int64)
    follow(pages, limits, counts, hints, uses)
    names = [f"reused_{s}s" for s in SECONDS] + [f"reused_{m}MiB" for m in MIBS]
    return {
        "reports": int(counts[N_REPORTS]),
        "lost": int(counts[N_LOST]),
        "duplicates": int(counts[N_TWICE]),
        "duplicates_in_walk": int(counts[N_TWICE_IN_WALK]),
        "hinted_pages": int(counts[N_HINTED]),
        "used_MiB": used / PAGES_PER_MIB,
        "on_hinted": share(counts[N_REUSED], used),
        "on_hinted_since": share(counts[N_REUSED], counts[N_USED_SINCE]),
        **{name: share(*pair) for name, *pair in zip(names, within, due, strict=True)},
        "reused_at_end": share(counts[N_REUSED], counts[N_HINTED]),
    }


def share(part, whole) -> float:
    """``part / whole``, or nan if the whole is nothing."""
    return float(part / whole) if whole else float("nan")
