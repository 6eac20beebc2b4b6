"""The oracle's cells asked of the explorer: do both say the same of each?

``make explore-core`` (``python -m freehint.safety.exhaust.agree out/explore_core.csv``) asks the
explorer all cells of :func:`freehint.safety.oracle.cells` and fails where its verdict is not the
one that spin found.  The explorer never sees spin's verdict before it has its own.

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
    EXHAUSTED,
    ROUNDS,
    UNFINISHED,
    VIOLATED,
    Cell,
    cells,
    known_verdicts,
)

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


def main(arguments: list[str]) -> int:
    """Compare all cells, and write the table to the path that is the first argument.

    Returns
    -------
    int
        The exit code: 1 if a verdict differs from spin's, else 0.
    """
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    table = compare(cells())
    table.to_csv(path, index=False)
    print(f"{path}: {table.agree.sum()} of {len(table)} cells have the same verdict as spin's")
    if not table.agree.all():
        print(table[~table.agree].to_string(index=False))
    return 0 if table.agree.all() else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:] or ["out/explore_core.csv"]))
    except InputError as error:
        sys.exit(str(error))
