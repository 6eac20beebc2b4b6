"""The tables of zeroed pages and of their price, in Markdown, as docs/costs.md has them.

``python -m freehint.studies.costs.zeroing_tables [COSTS.json]`` prints them; ``make zeroing`` calls
it.
"""

import sys

import numpy as np
import pandas as pd

from freehint.config import InputError, require
from freehint.runs.costs.file import load_clearing, load_costs
from freehint.studies.costs.list_order import while_reporting
from freehint.studies.costs.price import (
    page_price,
    price_beside_published,
    price_lines,
    published_lines,
)
from freehint.studies.costs.zeroed import RULES
from freehint.studies.costs.zeroing import SIZES, after_reporting, churning, in_time, told
from freehint.sweeps.paired import interval
from freehint.units import NS_PER_US


def after_lines(table: pd.DataFrame) -> list[str]:
    """The table of :func:`after_reporting` in Markdown, shares in %."""
    lines = [
        "| guest | pages | page | block | first | published | block, again |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for (guest, pages), rows in table.groupby(["guest", "pages"], sort=False):
        first, again = (rows.xs(moment, level="moment").iloc[0] for moment in ("first", "again"))
        published = "-" if np.isnan(first["published"]) else f"{100 * first['published']:.0f}"
        shares = " | ".join(f"{100 * first[rule]:.1f}" for rule in RULES)
        lines.append(f"| {guest} | {pages} | {shares} | {published} | {100 * again['block']:.1f} |")
    return lines


def order_lines(table: pd.DataFrame) -> list[str]:
    """The table of :func:`while_reporting` in Markdown, shares in %."""
    orders, sizes = (list(dict.fromkeys(table[name])) for name in ("order", "pages"))
    heads = [f"{order}, {pages}" for pages in sizes for order in orders]
    lines = [
        f"| passes | reported, MiB | {' | '.join(heads)} |",
        f"|--:|--:|{'--:|' * len(heads)}",
    ]
    for passes, rows in table.groupby("passes"):
        found = rows.groupby(["pages", "order"], sort=False)["block"].agg(interval)
        cells = [found[pages, order] for pages in sizes for order in orders]
        shares = [
            f"{100 * share:.1f}" + (f" ± {100 * half:.1f}" if half else "") for share, half in cells
        ]
        reported = rows["reported_MiB"].max()
        lines.append(f"| {passes} | {reported:,.0f} | {' | '.join(shares)} |")
    return lines


def way_lines(table: pd.DataFrame, price: pd.DataFrame) -> list[str]:
    """The table of :func:`told` in Markdown, shares in % and their differences in points.

    ``price`` is that of :func:`page_price`: of each 2 MiB that the program maps, what comes back
    faults on a host of small pages, and what is known is not cleared by the guest.
    """
    lines = [
        "| pages | way | page | block | lost | first | more | refault, us | saved, us |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (pages, way), row in table.iterrows():
        cells = [_percent(row, name) for name in ("page", "block", "lost", "first")]
        cells.append("-" if np.isnan(row["block_more"]) else _percent(row, "block_more"))
        cost = price.loc[("4KiB", "whole", pages, "not used")]
        fault_ns = row["page"] * (cost["fault_ns"] + cost["host_clear_ns"])
        saved_ns = row["block"] * cost["guest_clear_ns"]
        cells += [f"{one / NS_PER_US:.0f}" for one in (fault_ns, saved_ns)]
        lines.append(f"| {pages} | {way} | {' | '.join(cells)} |")
    return lines


def _percent(row, name: str) -> str:
    digits = 2 if name in ("lost", "first") else 1
    return f"{100 * row[name]:.{digits}f} ± {100 * row[f'{name}_half_width']:.{digits}f}"


def time_lines(timed: pd.DataFrame, means: pd.DataFrame) -> list[str]:
    """The table of :func:`in_time` in Markdown, beside that of :func:`told` for 4 KiB, in %."""
    lines = ["| policy | in time | without time |", "|---|--:|--:|"]
    for way, runs in timed.groupby("way", sort=False):
        share, half_width = interval(runs["page"])
        row = means.loc[(SIZES[0], way)]
        said = f"{100 * share:.1f} ± {100 * half_width:.1f}"
        lines.append(f"| {way} | {said} | {_percent(row, 'page')} |")
    return lines


def main(paths) -> int:
    """Print all tables; with the costs of a file if one is named.  Returns the exit code."""
    try:
        require(len(paths) < 2, "the command", "name one costs file or none", paths)
        costs, clearing = (load_costs(paths[0]), load_clearing(paths[0])) if paths else (None, None)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    price, means = page_price(costs, clearing), told(churning())
    tables = (
        price_lines(price),
        published_lines(price_beside_published(costs, clearing)),
        after_lines(after_reporting()),
        order_lines(while_reporting()),
        way_lines(means, price),
        time_lines(in_time(), means),
    )
    print("\n\n".join("\n".join(lines) for lines in tables))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
