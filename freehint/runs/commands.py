"""The output of ``freehint simulate``."""

import shlex
from pathlib import Path

from freehint.config import InputError
from freehint.inputs.reading import exists
from freehint.policies import find_policies
from freehint.runs.costs.file import load_costs
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_file import read_scenario
from freehint.runs.simulate import simulate
from freehint.runs.tables.compare import comparison
from freehint.units import NS_PER_S


def scenarios(args) -> list:
    """The scenarios to run, one per policy: the file's or the default, changed by the options."""
    values = dict(args.set)
    for name in ("policy", "seed"):
        if name in values:
            raise InputError(f"--set {name}=...: use --{name}")
    if args.memory is not None:
        values["memory"] = args.memory
    if args.seed is not None:
        values["seed"] = args.seed
    base = read_scenario(args.file) if args.file else Scenario()
    if args.costs is not None:
        base = base.with_values({"costs": load_costs(args.costs)})
    if not args.policy:
        return [base.with_values(values)]
    return [base.with_values({"policy": policy, **values}) for policy in args.policy]


def print_simulations(args) -> bool:
    """Run a scenario, once for each policy, and print the summaries side by side."""
    for option in ("out", "perfetto"):
        if getattr(args, option) and len(args.policy or ()) > 1:
            several = ", ".join(p if isinstance(p, str) else "+".join(p) for p in args.policy)
            raise InputError(f"--{option} takes one policy, got {len(args.policy)}: {several}")
    if args.out and exists(Path(args.out)):
        raise InputError(f"{args.out}: exists already; a run never overwrites another")
    planned = scenarios(args)
    runs = [simulate(scenario, progress=True) for scenario in planned]
    print(comparison(runs).to_string())
    for run in runs:
        for one in find_policies(run.summary["policy"].split(" + ")):
            if one.delay_ns is not None and one.delay_ns >= planned[0].duration_ns:
                print(f"{one.name} waits {one.delay_ns} ns before it walks: set duration_ns")
        if run.summary.get("migration") in ("none", "active"):
            end_s = planned[0].duration_ns / NS_PER_S
            print(f"{run.summary['policy']}: no migration ended in {end_s:g} s: set duration_ns")
    if args.perfetto:
        print(f"trace: {runs[0].save_perfetto(args.perfetto)}; ui.perfetto.dev opens it")
    if args.out:
        print(f"tables: {runs[0].save(args.out)}")
        print(f"next: freehint report {shlex.quote(args.out)} -o run.html draws and plays this run")
    elif len(runs) > 1:
        print("next: freehint report -o out/report.html compares policies over seeds, with figures")
    else:
        print("next: the same with -o FOLDER keeps the tables; freehint report FOLDER draws them")
    return True
