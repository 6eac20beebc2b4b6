"""The tables of zeroed pages and of their price, in Markdown, as docs/costs.md has them.

``python -m freehint.studies.costs.zeroing_tables [COSTS.json]`` prints them; ``make zeroing`` calls
it.
"""

import sys

import numpy as np
import pandas as pd

from freehint.runs.costs.file import load_clearing, load_costs
from freehint.studies.costs.price import (
    page_price,
    price_beside_published,
    price_lines,
    published_lines,
)
from freehint.studies.costs.zeroed import RULES
from freehint.studies.costs.zeroing import SIZES, after_reporting, churning, in_time, told
from freehint.sweeps.paired import interval


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


def way_lines(table: pd.DataFrame) -> list[str]:
    """The table of :func:`told` in Markdown, shares in % and their differences in points."""
    lines = [
        "| pages | way | page | block | lost | first | more |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for (pages, way), row in table.iterrows():
        cells = [_percent(row, name) for name in ("page", "block", "lost", "first")]
        cells.append("-" if np.isnan(row["block_more"]) else _percent(row, "block_more"))
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


def main(paths) -> None:
    """Print all tables; with the costs of a file if one is named."""
    costs, clearing = (load_costs(paths[0]), load_clearing(paths[0])) if paths else (None, None)
    print(*price_lines(page_price(costs, clearing)), "", sep="\n")
    print(*published_lines(price_beside_published(costs, clearing)), "", sep="\n")
    print(*after_lines(after_reporting()), "", sep="\n")
    means = told(churning())
    print(*way_lines(means), "", sep="\n")
    print(*time_lines(in_time(), means), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:2])
