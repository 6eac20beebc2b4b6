"""The branches of the loaders' modules that mutated inputs reach."""

import json
import subprocess
import sys
from pathlib import Path

from fuzzing.judge import PACKAGE

# What reads inputs, below freehint/.
READERS = (
    *("formats/*", "formats/traces/*", "inputs/*", "data.py", "config.py", "replay/hints.py"),
    *("replay/migrations.py", "replay/reporting.py", "replay/prediction.py", "replay/replay.py"),
    *("runs/tables/stored.py", "runs/run.py", "runs/provenance.py", "runs/scenario.py"),
    *("runs/scenario_dict.py", "runs/scenario_file.py", "reports/reproduce.py"),
    *("reports/parameters.py", "reports/batch/batch.py", "reports/batch/plan.py"),
    *("sweeps/file.py", "sweeps/factors.py", "sweeps/sampling.py", "sweeps/parts.py"),
    *("runs/trajectory/payload.py", "engine/guest/recorded_guest.py"),
)
COMPILED = ("formats/place.py", "formats/traces/rows.py")  # kernels, whose branches nobody counts


def reached(command: list, out: Path) -> str:
    """Run a Python command and count the branches that it reaches.

    Parameters
    ----------
    command : list of str
        A script and its arguments.
    out : Path
        Folder of the counts.

    Returns
    -------
    str
        A row per module and one for all: branches, and the share of them that was reached.
        Compiled kernels are not counted.
    """
    data, told = f"--data-file={out / 'coverage'}", out / "coverage.json"
    wanted = "--include=" + ",".join(f"{PACKAGE}/{name}" for name in READERS)
    omitted = "--omit=" + ",".join(f"{PACKAGE}/{name}" for name in COMPILED)
    tool = [sys.executable, "-m", "coverage"]
    subprocess.run(
        [*tool, "run", "--branch", "--rcfile=/dev/null", data, wanted, omitted, *command]
    )
    subprocess.run([*tool, "json", "-q", data, "--rcfile=/dev/null", "-o", told], check=True)
    files = json.loads(told.read_text())["files"].items()
    rows = [(name.rpartition("freehint/")[2], found["summary"]) for name, found in sorted(files)]
    lines = [f"{'module':36}{'branches':>9}{'reached':>9}"]
    sums = {"num_branches": 0, "covered_branches": 0}
    for name, found in [*rows, ("all", sums)]:
        branches, taken = found["num_branches"], found["covered_branches"]
        if name != "all":
            sums["num_branches"] += branches
            sums["covered_branches"] += taken
        lines.append(f"{name:36}{branches:9}{taken / branches if branches else 1:9.1%}")
    return "\n".join(lines)
