"""The oracle's cells asked of the explorer: do both say the same of each?

``make explore-core`` (``python -m freehint.safety.exhaust.agree out/explore_core.csv``) asks the
explorer all cells of :mod:`freehint.safety.oracle` and fails where its verdict is not the one that
spin found.  The explorer never sees spin's verdict before it has its own.  If ``make spin`` has
left its table, the page docs/safety_oracle.md gets the comparison.

A cell is searched slice by slice first (:mod:`freehint.safety.exhaust.slice`).  If no slice has a
violation, neither has the cell; else the whole guest is searched, and only that counts.
"""

import sys
from dataclasses import astuple, fields, replace
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from freehint.config import InputError
from freehint.safety.check import PROPERTIES
from freehint.safety.core import ACKNOWLEDGED, UNLOCKED, CoreCase
from freehint.safety.exhaust.explore import Exploration, explore
from freehint.safety.exhaust.slice import watched_pages
from freehint.safety.guest import FINE
from freehint.safety.oracle import (
    ROUNDS,
    Cell,
    cells,
    cells_with_bugs,
    known_verdicts,
)
from freehint.safety.verdicts import EXHAUSTED, UNFINISHED, VIOLATED

PAGE = Path(__file__).parents[3] / "docs" / "safety_oracle.md"
BEGIN, END = "<!-- make explore-core -->", "<!-- end -->"
ALL_PAGES = 4  # the shift of a chunk that holds all pages: they lie at 0, 1, 8 and 9


def case_of(cell: Cell) -> CoreCase:
    """The explorer's case for a cell of the oracle."""
    whole = cell.chunk_pages == cell.block_pages * cell.blocks
    return CoreCase(
        generation=cell.generation,
        initially_set=cell.initially_set,
        blocks=cell.blocks,
        chunk=ALL_PAGES if whole else cell.chunk_pages.bit_length() - 1,
        report=ACKNOWLEDGED if cell.acknowledged else UNLOCKED,
        discard=cell.discarding,
        rounds=ROUNDS,
        loses=cell.violation,
        bug=cell.bug,
    )


def slices(case: CoreCase) -> list[CoreCase]:
    """A case for each slice of a guest; together they reach all that the guest can reach."""
    watched = {watched_pages(page, case.chunk, case.frames): page for page in case.frames}
    return [replace(case, watched=page) for page in watched.values()]


def verdict_of(found: Exploration) -> str:
    """The explorer's verdict in the oracle's words; another violation is named by its property."""
    if found.violation == found.case.asked_for:
        return VIOLATED
    if found.violation != FINE:
        return PROPERTIES[found.violation]
    return EXHAUSTED if found.exhausted else UNFINISHED


def ask(cell: Cell, **bounds) -> dict:
    """Ask the explorer about a cell.

    Parameters
    ----------
    cell : Cell
    bounds
        Of :func:`freehint.safety.exhaust.explore.explore`.

    Returns
    -------
    dict
        ``verdict``; ``searched``, "slices" or "whole"; ``states`` of these searches; ``steps`` of
        the shortest way to the violation.
    """
    case = case_of(cell)
    found = [explore(one, **bounds) for one in slices(case)]
    searched = "slices"
    if any(verdict_of(one) != EXHAUSTED for one in found):
        found, searched = [explore(case, **bounds)], "whole"
    return {
        "verdict": verdict_of(found[-1]),
        "searched": searched,
        "states": sum(one.states for one in found),
        "steps": len(found[-1].steps),
    }


def compare(asked, **bounds) -> pd.DataFrame:
    """Ask the explorer about cells, and hold its answers against spin's.

    Parameters
    ----------
    asked : sequence of Cell
    bounds
        As for :func:`ask`.

    Returns
    -------
    DataFrame
        One row for each cell: the fields of Cell, those of :func:`ask`, ``spin`` (its verdict) and
        ``agree``.
    """
    known = known_verdicts()
    names = [field.name for field in fields(Cell)]
    rows = []
    for cell in tqdm(asked):
        said = ask(cell, **bounds)
        row = dict(zip(names, astuple(cell), strict=True)) | said
        rows.append(row | {"spin": known[cell], "agree": said["verdict"] == known[cell]})
    return pd.DataFrame(rows)


def _span(numbers) -> str:
    """The least and the most of numbers, as "13..16"; "-" if all are 0."""
    low, high = min(numbers), max(numbers)
    return "-" if high == 0 else f"{low}" if low == high else f"{low}..{high}"


def page_table(table: pd.DataFrame, spin: pd.DataFrame) -> str:
    """The comparison as a table in Markdown.

    Parameters
    ----------
    table : DataFrame
        From :func:`compare`.
    spin : DataFrame
        What ``make spin`` has written.

    Returns
    -------
    str
        A row for each of the cells that differ only in how the log begins and whether the host
        discards.
    """
    names = [field.name for field in fields(Cell)]
    spins = spin.fillna({"trail": ""}).assign(
        steps=[text.count("; ") + 1 if text else 0 for text in spin.trail.fillna("")]
    )
    both = table.merge(spins[[*names, "states", "steps"]], on=names, suffixes=("", "_spin"))
    kept = [name for name in names if name not in ("initially_set", "discarding")]
    head = ("", "chunk", "blocks", "acknowledged", "asked", "bug", "cells")
    head += ("spin", "states", "steps", "explorer", "states", "steps")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for key, cells_of_row in both.groupby(kept):
        generation, pages, blocks, chunk, acknowledged, asked, bug = key
        said = [generation, chunk, f"{blocks} x {pages}", "yes" if acknowledged else "no", asked]
        said += [bug, len(cells_of_row)]
        for verdict, which in (("spin", "_spin"), ("verdict", "")):
            said.append(" and ".join(sorted(set(cells_of_row[verdict]))))
            said.append(f"{cells_of_row['states' + which].sum():,}")
            said.append(_span(cells_of_row["steps" + which]))
        lines.append("| " + " | ".join(map(str, said)) + " |")
    return "\n".join(lines)


def write_page(text: str, page: Path = PAGE) -> None:
    """Put a table between the two marks of the page.

    Raises
    ------
    InputError
        The page lacks a mark.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{page}: the marks {BEGIN} and {END} are missing")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main(arguments: list[str]) -> int:
    """Compare all cells; write the table to the first argument, and to the page if there is spin's.

    The second argument is the table that ``make spin`` has written.

    Returns
    -------
    int
        The exit code: 1 if a verdict differs from spin's, else 0.
    """
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    table = compare(cells() + cells_with_bugs())
    table.to_csv(path, index=False)
    spin = Path(arguments[1]) if len(arguments) > 1 else Path()
    if spin.is_file():
        write_page(page_table(table, pd.read_csv(spin)))
    print(f"{path}: {table.agree.sum()} of {len(table)} cells have the same verdict as spin's")
    if not table.agree.all():
        print(table[~table.agree].to_string(index=False))
    return 0 if table.agree.all() else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:] or ["out/explore_core.csv"]))
    except InputError as error:
        sys.exit(str(error))
