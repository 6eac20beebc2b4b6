"""Validators compare the model with a whole folder of recordings, in a table with a verdict."""

from pathlib import Path

import pandas as pd

from freehint.config import InputError, one_of
from freehint.inputs.reading import exists
from freehint.replay import INPUTS, REPLAY_LEVELS
from freehint.replay.hints import HINT_COLUMNS, predict_hints
from freehint.replay.migrations import (
    MEASURED,
    PARAMETERS,
    calibrated,
    predict,
    read_migrations,
)
from freehint.replay.prediction import Prediction
from freehint.replay.replay import replay
from freehint.replay.reporting import REPORTING_COLUMNS, predict_reporting


def recordings(folder) -> list[Path]:
    """Stems of all whole recordings NAME.T0, NAME.T1, NAME.trace in a folder, by name.

    Raises
    ------
    InputError
        There is no such folder, or it holds no recording.
    """
    whole = [stem for stem in traces(folder) if has_snapshots(stem, "T0", "T1")]
    if not whole:
        raise InputError(f"{folder}: holds no recording NAME.T0, NAME.T1, NAME.trace")
    return whole


def traces(folder) -> list[Path]:
    """Stems of every NAME.trace in a folder, by name."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    paths = sorted(folder.glob("*.trace.parquet"))
    return [Path(str(path).removesuffix(".trace.parquet")) for path in paths]


def has_snapshots(stem, *moments) -> bool:
    """Whether a recording has all of these snapshots, such as "T0"."""
    return all(exists(Path(f"{stem}.{moment}.meta.json")) for moment in moments)


def validate_replay(folder, level="both", inputs="std", progress=None):
    """Replay every recording of a folder.

    Parameters
    ----------
    folder : str or Path
    level : "buddy", "pcp" or "both"
        The bar, 0 misses and T1 equal, is for the buddy level; the pcp level is only shown.
    inputs : "std" or "probes"
    progress : callable, optional
        Wraps the list of stems, as tqdm does.

    Returns
    -------
    (DataFrame, bool)
        A table with one row per recording and level; whether the bar holds for all recordings
        without walks.  A walk moves blocks, so ``freehint validate walker`` judges the others.

    Raises
    ------
    InputError
        A recording cannot be used, or a value is unknown.
    """
    one_of("level", level, REPLAY_LEVELS)
    one_of("inputs", inputs, INPUTS)
    rows = []
    for stem in (progress or iter)(recordings(folder)):
        for one in REPLAY_LEVELS[level]:
            found = replay(stem, one, inputs)
            miss = found.first_miss
            rows.append(
                {
                    **found.row(),
                    "inputs": inputs,
                    "walks": found.unknown.get("w_walk_begin", 0),
                    "note": " ".join(found.notes),
                    "first_miss_row": miss.row if miss else -1,
                    "first_miss_predicted_pfn": miss.predicted_pfn if miss else -1,
                    "first_miss_observed_pfn": miss.observed_pfn if miss else -1,
                }
            )
    table = pd.DataFrame(rows)
    judged = table[(table["level"] == "buddy") & (table["walks"] == 0)]
    return table, bool(((judged["misses"] == 0) & judged["t1_equal"]).all())


PREDICTED = {
    "hints": (predict_hints, HINT_COLUMNS),
    "reporting": (predict_reporting, REPORTING_COLUMNS),
}


def predictions(folder, kind, progress=None, policy=None) -> list[Prediction]:
    """Predict hints or reporting, which ``kind`` names, for every recording of a folder.

    Returns
    -------
    list
        One Prediction per trace; that of a trace without a snapshot has only a reason.

    Raises
    ------
    InputError
        There is no such folder, it holds no NAME.T0 with NAME.trace, or a file cannot be used.
    """
    stems = traces(folder)
    if not any(has_snapshots(stem, "T0") for stem in stems):
        raise InputError(f"{folder}: holds no recording NAME.T0, NAME.trace")
    return [PREDICTED[kind][0](stem, policy) for stem in (progress or iter)(stems)]


def prediction_table(found, kind) -> pd.DataFrame:
    """A table of all blocks of all recordings; see :func:`validate_hints`."""
    columns = PREDICTED[kind][1]
    table = pd.DataFrame([row for one in found for row in one.blocks], columns=list(columns))
    return table.astype(dict.fromkeys(columns[1:], "int64") | {"recording": "str"})


def prediction_summary(found) -> pd.DataFrame:
    """A table of texts with one row per recording: its blocks, equal blocks, facts and verdict."""
    table = pd.DataFrame(
        [
            {
                "recording": one.recording,
                "blocks": str(len(one.blocks)),
                "equal": str(sum(row[-2] == row[-1] for row in one.blocks)),
                **one.facts,
            }
            for one in found
        ]
    ).fillna("-")
    table["verdict"] = [
        f"not predictable: {one.reason}" if one.reason else _verdict(one.good) for one in found
    ]
    return table


def _verdict(good: bool) -> str:
    return "good" if good else "MISSED"


def validate_hints(folder, progress=None, policy=None):
    """Predict the balloon's first pass in every recorded migration of a folder.

    Parameters
    ----------
    folder : str or Path
        It holds NAME.T0, NAME.trace and NAME.migration.json.gz.  A recording that was made without
        hints must show none.
    progress : callable, optional
        Wraps the list of stems, as tqdm does.
    policy : Policy, optional
        Another mechanism than balloon_alloc, to show that it fails.

    Returns
    -------
    (DataFrame, bool)
        A table with one row per block: recording, pass, position, predicted_pfn and measured_pfn
        (-1 = none); whether all pairs are equal in every recording that can be predicted.

    Raises
    ------
    InputError
        A recording cannot be used.
    """
    found = predictions(folder, "hints", progress, policy)
    return prediction_table(found, "hints"), all(one.good for one in found)


def validate_reporting(folder, progress=None, policy=None):
    """Predict every pass of free page reporting in the recordings of a folder.

    Parameters
    ----------
    folder : str or Path
        It holds NAME.T0 with Reported flags, NAME.trace with probes and, optionally, NAME.T1.
    progress, policy
        The same as for :func:`validate_hints`.

    Returns
    -------
    (DataFrame, bool)
        A table with one row per block: recording, pass, report, position (in the report),
        predicted_pfn and measured_pfn (-1 = none); whether all pairs, and T1's lists and flags,
        are equal.  A recording without flags cannot be predicted and does not fail.

    Raises
    ------
    InputError
        A recording cannot be used.
    """
    found = predictions(folder, "reporting", progress, policy)
    return prediction_table(found, "reporting"), all(one.good for one in found)


# The largest median error allowed for each group of rows; groups have init_on_alloc and state.
MIGRATION_BARS = {
    "transferred_B, idle, init_on_alloc=0": 0.03,
    "transferred_B, freed, init_on_alloc=0": 0.03,
    "transferred_B, dirty, init_on_alloc=0": 0.03,
    "transferred_B, churn, init_on_alloc=0": 0.10,
    "transferred_B, frag, init_on_alloc=0": 0.10,
    "transferred_B, init_on_alloc=1": 0.10,
    "total_time_ms at 50 MB/s": 0.10,
}
SYNCS_WITHIN_ONE = 0.80


def validate_migration(folder, progress=None):
    """Predict every migration of DIR/migrations.csv from its parameter columns alone.

    Parameters
    ----------
    folder : str or Path
    progress : callable, optional
        Wraps the list of rows, as tqdm does.

    Returns
    -------
    (DataFrame, DataFrame, bool)
        First a table with a row for each migration: the parameters; ``calibrated``, True for the
        rows that constants were calibrated on; predicted_X, measured_X and error_X = |predicted /
        measured - 1| for each counter.  Then a table of the bars: what, rows, found, bar, good.
        The bars are taken over the other rows only.  Last, whether all bars with rows hold.

    Raises
    ------
    InputError
        The table cannot be used, or a ``state`` is not known.  The message names file, row and
        value.
    """
    path = Path(folder) / "migrations.csv"
    table = read_migrations(path)
    rows = [(f"{path}: row {i}", row) for i, row in table[list(PARAMETERS)].iterrows()]
    predicted = [predict(row, where) for where, row in (progress or iter)(rows)]
    result = table[list(PARAMETERS)].copy()
    result["calibrated"] = calibrated(table)
    for name in MEASURED:
        result[f"predicted_{name}"] = [one[name] for one in predicted]
        result[f"measured_{name}"] = table[name].to_numpy()
        result[f"error_{name}"] = (
            result[f"predicted_{name}"] / result[f"measured_{name}"] - 1
        ).abs()
    bars = migration_bars(result[~result["calibrated"]])
    return result, bars, bool(bars["good"].all())


def migration_bars(table: pd.DataFrame) -> pd.DataFrame:
    """The bars of :func:`validate_migration`, with their numbers of rows and the values found."""
    init = ~table["cmdline"].str.contains("init_on_alloc=0", regex=False)
    found = []

    def bar(name, rows, column, most):
        errors = table.loc[rows, f"error_{column}"]
        found.append((name, len(errors), errors.median(), most, bool(errors.median() <= most)))

    for name, most in MIGRATION_BARS.items():
        column, _, rest = name.partition(", ")
        if column.startswith("total"):
            bar(name, table["bw_MBps"] == 50, "total_time_ms", most)
        elif rest == "init_on_alloc=1":
            bar(name, init, column, most)
        else:
            bar(name, ~init & (table["state"] == rest.partition(",")[0]), column, most)
    off = (table["predicted_dirty_sync_count"] - table["measured_dirty_sync_count"]).abs()
    near = float((off <= 1).mean())
    good = near >= SYNCS_WITHIN_ONE
    found.append(("dirty_sync_count within 1", len(off), near, SYNCS_WITHIN_ONE, good))
    found += _hints_made_it_worse(table)
    bars = pd.DataFrame(found, columns=["what", "rows", "found", "bar", "good"])
    return bars[bars["rows"] > 0].reset_index(drop=True)


def _hints_made_it_worse(table: pd.DataFrame) -> list:
    """The bar for fragmented guests: the sign of the hints' effect on the bytes is predicted."""
    frag = table[table["state"] == "frag"]
    signs = []
    for kind in ("predicted", "measured"):
        mean = frag.groupby("hint")[f"{kind}_transferred_B"].mean()
        if not {"on", "off"} <= set(mean.index):
            return []
        signs.append(bool(mean["on"] > mean["off"]))
    name = "frag: hints made it worse"
    return [(name, len(frag), signs[0], signs[1], signs[0] == signs[1])]
