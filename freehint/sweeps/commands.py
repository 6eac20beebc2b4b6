"""The output of ``freehint sweep``."""

import shlex
import sys
from shutil import get_terminal_size

from tqdm.auto import tqdm

from freehint.sweeps.file import read_sweep
from freehint.sweeps.status import FAILED
from freehint.sweeps.sweep import sweep


def print_sweep(args) -> bool:
    """Run a sweep's file, and print the counts of its runs and each error once."""
    found = read_sweep(args.file)
    with tqdm(total=found.runs, desc="runs", leave=False, delay=1) as bar:
        table = sweep(*found, progress=bar.update)
    for status, runs in table.groupby("status"):
        print(f"{status}: {len(runs)} runs")
        for error, same in runs[runs["error"] != ""].groupby("error"):
            print(f"  {len(same)} x {error}")
    if found.out:
        print(f"table: {found.out}")
    else:
        wide = get_terminal_size().columns if sys.stdout.isatty() else None
        print(table.to_string(index=False, line_width=wide))
    good = not (table["status"] == FAILED).any()
    if not good:
        print(f"next: freehint sweep {shlex.quote(args.file)} runs the failed ones again")
    elif found.out:
        print(f"next: pandas.read_parquet({found.out!r}); docs/sweeps.md shows figures of it")
    else:
        print(f'next: out = "runs.parquet" in {args.file} keeps the table; docs/sweeps.md')
    return good
