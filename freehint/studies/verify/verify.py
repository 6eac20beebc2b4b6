"""Run what published rows name, each setup and seed once, and judge the predictions.

A row that a constant was fitted on is not judged.  Every other one gets a verdict:

- "within 15 %" (or its own tolerance): the median over the seeds is that near to what was measured;
- "sign and order right": a change goes the same way, and the prediction is of the same order of
  magnitude (at most half a decade away, a factor of 3.2; of a ratio, its logarithm);
- "missed" otherwise.

A row whose setup has a rule planted wrong has to be missed by its tolerance.
"""

import json
import math
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.data import data
from freehint.files import end_with_parent
from freehint.studies.verify.rows import ABSOLUTE, CHANGE, RATIO, REDUCTION, Row, read_rows
from freehint.studies.verify.setups import measure

SHIPPED, KEPT = "published", "published/verified.csv"
WORKERS = 2
HALF_DECADE = math.sqrt(10)
PAIR_APART = 0.05
WITHIN, RIGHT, MISSED = "within tolerance", "sign and order right", "missed"
FITTED, CANNOT, ABSENT, FAILED = "fitted", "cannot", "series not here", "failed"
CAUGHT, UNSEEN = "planted wrong, and missed as it must be", "planted wrong, and not seen"
JUDGED = (WITHIN, RIGHT, MISSED)
VERDICTS = (*JUDGED, FITTED, CANNOT, ABSENT, FAILED, CAUGHT, UNSEEN)


def verify(rows=None, series=None, shipped: bool = True, workers: int = WORKERS, progress=None):
    """The model beside published numbers.

    Parameters
    ----------
    rows : str, Path or sequence of them, optional
        Folders with further row files; docs/verify.md tells how to write one.
    series : str or Path, optional
        The folder of published series that do not ship; by default the one that the environment
        names as FREEHINT_PUBLISHED.  Rows that need an absent series are not judged.
    shipped : bool
        Whether the rows of ``fh.data("published")`` are taken too.
    workers : int
        Processes; 1 runs everything in this one.
    progress : callable, optional
        Called with (runs done, runs in all).

    Returns
    -------
    DataFrame
        One row per published number: id, source, words, setup, column, kind, unit; published,
        predicted (the median over the seeds), low, high (least and most), error (predicted /
        published - 1), tolerance, verdict, why, fits (constants fitted on it), seconds (of its
        setup's runs).

    Raises
    ------
    InputError
        A file, a field or a value is refused; nothing has run then.

    Examples
    --------
    >>> import freehint as fh, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "mine.toml").write_text('''
    ... source = "my notes"
    ... [setups.small]
    ... words = "64 MiB, no hints"
    ... seeds = [1]
    ... parameters = {memory = "64MiB", policy = "none", duration_ns = 1_000_000}
    ... [[rows]]
    ... id = "walks"
    ... words = "walks without a policy"
    ... setup = "small"
    ... column = "walks"
    ... value = 0
    ... unit = "1"
    ... ''')
    >>> fh.verify(folder, shipped=False, workers=1)["verdict"].tolist()
    ['within tolerance']
    """
    given = [] if rows is None else [rows] if isinstance(rows, str | Path) else list(rows)
    folders = [*([data(SHIPPED)] if shipped else []), *given]
    found = read_rows(folders, series)
    jobs = jobs_of(found)
    results = _run(jobs, workers, progress or (lambda done, of: None))
    return pd.DataFrame([judged(row, results) for row in found])


def jobs_of(rows) -> dict:
    """What has to run: (kind, parameters, seed) -> the columns that some row needs of it."""
    jobs = {}
    for row in rows:
        for setup in filter(None, (row.setup, row.baseline)):
            for seed in setup.seeds:
                columns = jobs.setdefault((setup.kind, setup.parameters, seed), [])
                if row.column not in columns:
                    columns.append(row.column)
    return jobs


def _measured(key: tuple, columns: list) -> dict:
    """A job's columns and its seconds, or the error that ended it."""
    kind, parameters, seed = key
    began = time.perf_counter()
    try:
        told = measure(kind, json.loads(parameters), seed, columns)
    except Exception as error:
        text = " ".join(str(error).split())
        told = {"error": f"{type(error).__name__}: {text}"}
    return told | {"seconds": time.perf_counter() - began}


def _run(jobs: dict, workers: int, progress) -> dict:
    results, total = {}, len(jobs)
    if workers <= 1 or total <= 1:
        for key, columns in jobs.items():
            results[key] = _measured(key, columns)
            progress(len(results), total)
        return results
    if multiprocessing.parent_process() is not None:
        raise InputError("workers must be 1 in a worker process")
    context = multiprocessing.get_context("spawn")
    workers = min(workers, total, len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(workers, context, end_with_parent) as pool:
        futures = {pool.submit(_measured, key, columns): key for key, columns in jobs.items()}
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            progress(len(results), total)
    return results


def predictions(row: Row, results: dict) -> tuple:
    """A row's prediction for each seed, the seconds that its runs took, and what went wrong."""
    of, error = [], ""
    seconds = 0.0
    for setup in filter(None, (row.setup, row.baseline)):
        told = [results[setup.kind, setup.parameters, seed] for seed in setup.seeds]
        seconds += sum(one["seconds"] for one in told)
        error = error or next((one["error"] for one in told if "error" in one), "")
        of.append([one.get(row.column, math.nan) for one in told])
    if error:
        return np.array([]), seconds, error
    values = np.array(of[0], float)
    if row.kind != ABSOLUTE:
        n = min(len(of[0]), len(of[1]))
        values, base = values[:n], np.array(of[1][:n], float)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = values / base
        values = {RATIO: ratio, REDUCTION: 100 * (1 - ratio), CHANGE: 100 * (ratio - 1)}[row.kind]
    if not np.isfinite(values).all():
        return np.array([]), seconds, f"column {row.column} has no value in some run"
    return values, seconds, ""


def judged(row: Row, results: dict) -> dict:
    """A row of the table; see :func:`verify`."""
    published = row.series.value if row.series else row.value
    told = {
        "id": row.id,
        "source": row.source,
        "words": row.words if row.series is None else f"{row.words} ({row.series.words})",
        "setup": row.setup.words if row.setup else "",
        "column": row.column,
        "kind": row.kind,
        "unit": row.unit,
        "published": math.nan if published is None else float(published),
        "predicted": math.nan,
        "low": math.nan,
        "high": math.nan,
        "error": math.nan,
        "tolerance": row.tolerance,
        "verdict": CANNOT,
        "why": row.why,
        "fits": "; ".join(row.fits),
        "seconds": 0.0,
        "file": row.file,
    }
    if row.setup is None:
        return told
    values, told["seconds"], error = predictions(row, results)
    if error:
        return told | {"verdict": FAILED, "why": error}
    told |= {"predicted": float(np.median(values)), "low": values.min(), "high": values.max()}
    if published is None:
        return told | {"verdict": ABSENT}
    if published:
        told["error"] = told["predicted"] / published - 1
    elif told["predicted"] == 0:
        told["error"] = 0.0
    verdict = FITTED if row.fits else verdict_of(row, published, told["predicted"])
    if row.wrong:
        verdict = UNSEEN if verdict == WITHIN else CAUGHT
    return told | {"verdict": verdict}


def verdict_of(row: Row, published: float, predicted: float) -> str:
    """The verdict on a prediction."""
    if abs(predicted - published) <= row.tolerance * abs(published):
        return WITHIN
    neutral = 1.0 if row.kind == RATIO else 0.0
    same_side = (published - neutral) * (predicted - neutral) > 0
    if not same_side:
        return MISSED
    if row.kind == RATIO:  # the size of a change is that of its logarithm: 1.18 is not near 1.004
        published, predicted = math.log(published), math.log(predicted)
    apart = max(abs(predicted / published), abs(published / predicted))
    return RIGHT if apart <= HALF_DECADE else MISSED


def pairs_in_order(table: pd.DataFrame) -> tuple[int, int]:
    """Are configurations ranked as they were measured?

    Pairs are of judged rows of one file with the same column, kind and unit, whose published
    values differ by more than 5 %.

    Returns
    -------
    (int, int)
        Pairs whose predictions are in the published order, and all pairs.
    """
    rows = table[table["verdict"].isin(JUDGED)]
    same = total = 0
    for _, group in rows.groupby(["file", "column", "kind", "unit"]):
        found = group[["published", "predicted"]].itertuples(index=False)
        for one, other in combinations(found, 2):
            apart = one.published - other.published
            if abs(apart) > PAIR_APART * max(abs(one.published), abs(other.published)):
                total += 1
                same += apart * (one.predicted - other.predicted) > 0
    return int(same), total


def verified() -> pd.DataFrame:
    """The table that ``make verify`` wrote last for ``data/``, as :func:`verify` returns it."""
    table = pd.read_csv(data(KEPT))
    texts = ["source", "words", "setup", "column", "unit", "why", "fits"]
    return table.fillna(dict.fromkeys(texts, ""))


def counts(table: pd.DataFrame) -> dict:
    """How many rows have each verdict, and how many were predicted, judged and right."""
    found = {verdict: int((table["verdict"] == verdict).sum()) for verdict in VERDICTS}
    judged_rows = sum(found[verdict] for verdict in JUDGED)
    planted = table["verdict"].isin((CAUGHT, UNSEEN))
    predicted = int((table["predicted"].notna() & ~planted).sum())
    return {"rows": len(table), "predicted": predicted, "judged": judged_rows, **found}
