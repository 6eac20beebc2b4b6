"""The output of ``freehint calibrate``."""

import shlex
import sys
from pathlib import Path

from freehint.config import InputError
from freehint.runs.costs.file import save_costs
from freehint.studies.costs.calibrate import calibrate, calibration_table


def print_calibration(args) -> bool:
    """Measure this machine's costs, print them, and write a costs file if one is named."""
    if args.out and Path(args.out).is_dir():
        raise InputError(f"{args.out}: is a folder; -o needs the name of a file")
    show = sys.stderr.isatty()
    found, missing = calibrate(
        progress=lambda name: print(f"measuring {name} ..", file=sys.stderr) if show else None
    )
    table = calibration_table(found, missing)
    print(f"{found['cpu']}, Linux {found['kernel']}; times in ns, medians of n slices")
    print(table.drop(columns="how").to_string())
    print()
    for name, how in table["how"].items():
        print(f"{name}: {how}")
    if args.out:
        path = save_costs(found, args.out)
        print(f"costs: {path}")
        print(f"next: freehint simulate --costs {shlex.quote(str(path))} uses them")
    else:
        print("next: the same with -o costs.json keeps them for freehint simulate --costs")
    return True
