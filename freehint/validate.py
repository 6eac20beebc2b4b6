"""Validators: a whole folder of recordings against the model, a table, and a verdict."""

from pathlib import Path

import pandas as pd

from freehint.config import InputError, one_of
from freehint.replay import INPUTS, replay

REPLAY_LEVELS = {"buddy": ("buddy",), "pcp": ("pcp",), "both": ("buddy", "pcp")}


def recordings(folder) -> list[Path]:
    """Stems of every NAME.T0, NAME.T1, NAME.trace in a folder, by name.

    Raises
    ------
    InputError
        There is no such folder, or it holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    stems = [
        Path(str(path).removesuffix(".trace.parquet"))
        for path in sorted(folder.glob("*.trace.parquet"))
    ]
    whole = [
        stem for stem in stems if all(Path(f"{stem}.{t}.meta.json").exists() for t in ("T0", "T1"))
    ]
    if not whole:
        raise InputError(f"{folder}: holds no recording NAME.T0, NAME.T1, NAME.trace")
    return whole


def validate_replay(folder, level="both", inputs="std", progress=None):
    """Replay every recording of a folder.

    Parameters
    ----------
    folder : str or Path
    level : "buddy", "pcp" or "both"
        The bar is the buddy level: 0 misses and T1 equal; the pcp level is shown only.
    inputs : "std" or "probes"
    progress : callable, optional
        Wraps the list of stems, as tqdm does.

    Returns
    -------
    (DataFrame, bool)
        A row a recording and level; whether the bar holds for every recording.

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
                    "first_miss_row": miss.row if miss else -1,
                    "first_miss_predicted_pfn": miss.predicted_pfn if miss else -1,
                    "first_miss_observed_pfn": miss.observed_pfn if miss else -1,
                }
            )
    table = pd.DataFrame(rows)
    judged = table[table["level"] == "buddy"]
    return table, bool(((judged["misses"] == 0) & judged["t1_equal"]).all())
