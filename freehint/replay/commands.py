"""The output of ``freehint replay`` and ``freehint validate``.

Each public function takes the parsed arguments of its command, and returns True if the bar holds.
"""

from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from freehint.files import whole_file
from freehint.replay.replay import replay
from freehint.replay.validate import (
    prediction_summary,
    prediction_table,
    predictions,
    validate_migration,
    validate_replay,
)
from freehint.replay.walkers import walker_ablations, walker_predictions
from freehint.units import format_share

SHOWN_MISSES = 8  # most rows that are shown of each recording


def print_replay(args) -> bool:
    """Replay one recording and print its counts, lists and first miss."""
    found = replay(args.stem, args.level, args.inputs, strict=args.strict)
    for name, value in found.row().items():
        print(f"{name:16} {value}")
    print(f"{'ignored rows':16} {found.ignored}")
    print(f"{'unknown rows':16} {found.unknown}")
    for note in found.notes:
        print(f"note: {note}")
    print(found.t1_lists.to_string(index=False))
    if found.first_miss:
        print(f"first miss: {found.first_miss}")
    good = found.misses == found.silent_rows and found.t1_equal
    if good:
        print("next: freehint validate replay FOLDER does the same for all recordings of a folder")
    else:
        print("next: docs/adding-a-kernel.md tells how a rule is found from the first miss")
    return good


def _write_table(table, out) -> None:
    """Write a validator's table if ``out`` names a file, whether or not the bar holds."""
    if out:
        with whole_file(Path(out)) as temporary:
            table.to_parquet(temporary)
        print(f"table: {out}")


def _print_next(out) -> None:
    """What to do after a validation."""
    table = f"pandas.read_parquet({out!r})" if out else "--out FILE.parquet keeps the table"
    print(f"next: {table}; chapters 10 and 12 of the notebooks show the same as figures")


def print_predictions(args) -> bool:
    """Predict hints or reporting in a folder, and print each recording and each block missed."""
    found = predictions(args.folder, args.kind, lambda stems: tqdm(stems, desc=args.kind, delay=1))
    table = prediction_table(found, args.kind)
    print(prediction_summary(found).to_string(index=False))
    missed = table[table["predicted_pfn"] != table["measured_pfn"]]
    if len(missed):
        print(missed.to_string(index=False))
    _write_table(table, args.out)
    good = all(one.good for one in found)
    if all(one.reason for one in found):
        print("no recording here can be predicted")
    else:
        print("the bar holds" if good else "the bar is MISSED: some block or list is not equal")
    _print_next(args.out)
    return good


def print_walkers(args) -> bool:
    """Predict the walkers of a folder, and print each recording and the first rows missed."""
    found = walker_predictions(args.folder, lambda stems: tqdm(stems, desc="walker", delay=1))
    table = pd.concat([one.rows for one in found], ignore_index=True)
    print(pd.DataFrame([one.summary() for one in found]).to_string(index=False))
    missed = table[~table["equal"]]
    if len(missed):
        print(missed.groupby("recording").head(SHOWN_MISSES).to_string(index=False))
    if args.ablations:
        print("\nmisses by wrong rules")
        wrong = walker_ablations(args.folder, lambda stems: tqdm(stems, desc="ablations", delay=1))
        print(wrong.to_string(index=False))
    _write_table(table, args.out)
    good = all(one.good for one in found)
    print(f"{int(table['equal'].sum())} of {len(table)} rows")
    print("the bar holds" if good else "the bar is MISSED: some row, list or mark is not equal")
    _print_next(args.out)
    return good


def readable_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars of a validation for people: shares as percentages, signs as words.

    Parameters
    ----------
    bars : DataFrame
        As :func:`freehint.validate_migration` returns them.
    """

    def text(value) -> str:
        return ("yes" if value else "no") if isinstance(value, bool) else format_share(value)

    words = {name: bars[name].map(text) for name in ("found", "bar")}
    return bars.assign(**words, good=bars["good"].map({True: "yes", False: "NO"}))


MIGRATION_COLUMNS = ("state", "hint", "cmdline", "bw_MBps", "rep")


def print_migrations(args) -> bool:
    """Predict a folder's migrations, and print held-out rows, calibrated rows and the bars."""
    table, bars, good = validate_migration(
        args.folder, lambda rows: tqdm(rows, desc="migrations", leave=False, delay=1)
    )
    shown = table[list(MIGRATION_COLUMNS)].copy()
    for name in ("transferred_B", "total_time_ms"):
        scale = 1e6 if name == "transferred_B" else 1
        label = name.replace("_B", "_MB")
        for kind in ("predicted", "measured"):
            shown[f"{kind}_{label}"] = (table[f"{kind}_{name}"] / scale).round(1)
        shown[f"error_{label}"] = table[f"error_{name}"].map(format_share)
    for kind in ("predicted", "measured"):
        shown[f"{kind}_syncs"] = table[f"{kind}_dirty_sync_count"]
    for title, rows in (("held out", ~table["calibrated"]), ("calibrated on", table["calibrated"])):
        if rows.any():
            print(f"\n{title}: {rows.sum()} rows")
            print(shown[rows].to_string(index=False))
    if len(bars):
        print("\nbars, on the rows held out")
        print(readable_bars(bars).to_string(index=False))
    _write_table(table, args.out)
    held_out = table[~table["calibrated"]]
    if held_out.empty:
        print("no row here is held out, so nothing is judged")
    else:
        worst = shown.loc[held_out["error_transferred_B"].idxmax()]
        print("worst row held out: " + ", ".join(f"{n} {worst[n]}" for n in MIGRATION_COLUMNS))
        print("the bars hold" if good else "a bar is MISSED")
    _print_next(args.out)
    return good


def print_replays(args) -> bool:
    """Replay a folder, and print a row for each recording and level."""
    table, good = validate_replay(
        args.folder, args.level, args.inputs, lambda stems: tqdm(stems, desc="replay", delay=1)
    )
    columns = [c for c in table.columns if not c.startswith(("first_miss_", "note"))]
    print(table[columns].round(3).to_string(index=False))
    for recording, note in dict(zip(table["recording"], table["note"], strict=True)).items():
        if note:
            print(f"{recording}: {note}")
    walks = table["walks"] > 0
    for recording in table["recording"][walks].unique():
        print(f"{recording}: a walk moves blocks; freehint validate walker judges this recording")
    for _, row in table[(table["first_miss_row"] >= 0) & ~walks].iterrows():
        print(
            f"{row['recording']}, {row['level']} level: first unexplained miss in row"
            f" {row['first_miss_row']}: predicted pfn {row['first_miss_predicted_pfn']},"
            f" observed {row['first_miss_observed_pfn']}"
        )
    _write_table(table, args.out)
    print("the bar holds" if good else "the bar is MISSED: buddy level needs 0 misses, T1 equal")
    _print_next(args.out)
    return good
