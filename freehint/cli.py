"""The command line ``freehint``.

The exit code is 0 if all is well, 1 if a run failed or a bar was missed, and 2 for bad input,
which one sentence explains.
"""

import argparse
import json
import sys
from pathlib import Path

from tqdm.auto import tqdm

from freehint.config import InputError, shown
from freehint.inputs.reading import exists
from freehint.policies import POLICIES, find_policies
from freehint.record.commands import add_record
from freehint.replay.commands import (
    print_migrations,
    print_predictions,
    print_replay,
    print_replays,
    print_walkers,
)
from freehint.replay.replay import INPUTS, LEVELS
from freehint.replay.validate import REPLAY_LEVELS
from freehint.reports.batch.batch import read_batch
from freehint.reports.batch.folder import check_folder
from freehint.reports.batch.run import failure_text, left_runs, run_batch, statuses
from freehint.reports.notebook import write_report
from freehint.reports.pdf import pdf_beside
from freehint.runs.run import comparison
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_file import read_scenario
from freehint.runs.simulate import simulate
from freehint.sweeps.file import read_sweep
from freehint.sweeps.one_run import FAILED as FAILED_RUN
from freehint.sweeps.sweep import sweep
from freehint.units import NS_PER_S
from freehint.version import __version__

FAILED, BAD_INPUT = 1, 2
MOST_CHARACTERS = 500  # of a complaint about an argument, which quotes it


class _Parser(argparse.ArgumentParser):
    """A parser that raises InputError, for one sentence and exit code 2 instead of a usage text."""

    def error(self, message):
        if len(message) > MOST_CHARACTERS:
            message = f"{message[:MOST_CHARACTERS]}..."
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")


def _judged(command):
    """Turn a command that returns whether all is well into one that returns the exit code."""
    return lambda args: 0 if command(args) else FAILED


def _setting(text: str):
    """Read ``name=value``; the value is read as JSON if possible, else it is a text.

    Returns
    -------
    (str, object)
        The name and the value.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"a setting must be NAME=VALUE, got {shown(text)}")
    if name == "kernel":  # 5.10 is a name, not a number.
        return name, value.strip('"')
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="freehint", description="Free page hinting, measured.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    one = commands.add_parser("simulate", help="run a scenario and print its summary")
    one.add_argument("file", nargs="?", help="TOML: the fields of a scenario; docs/reports.md")
    one.add_argument("--memory", help="a snapshot's stem, sample data's name, or a size (256MiB)")
    one.add_argument(
        "--policy",
        action="append",
        help=f"{', '.join(POLICIES)}; give several to compare them; a+b runs two users at once",
    )
    one.add_argument("--seed", type=int)
    one.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="e.g. ring.size=64, workload.state=freed, migration.bandwidth_Bps=50000000",
    )
    one.add_argument("-o", "--out", help="folder for the tables (with one policy)")
    one.set_defaults(run=_simulate)

    many = commands.add_parser("sweep", help="run a grid or a design, or continue where it stopped")
    many.add_argument("file", help="TOML: [scenario], [grid] or [design]; docs/sweeps.md")
    many.set_defaults(run=_sweep)

    batch = commands.add_parser("batch", help="run a notebook with many sets of parameters")
    batch.add_argument("file", help="TOML: notebook, out, [grid] or [[run]]; docs/batches.md")
    batch.add_argument("--retry", action="store_true", help="run failed runs again")
    batch.add_argument("--dry-run", action="store_true", help="list the runs and run nothing")
    batch.set_defaults(run=_batch)

    again = commands.add_parser("replay", help="replay a recorded trace from T0 to T1")
    again.add_argument("stem", help=".../NAME, for the files NAME.T0, NAME.T1 and NAME.trace")
    again.add_argument("--level", default="buddy", help=", ".join(LEVELS))
    again.add_argument("--inputs", default="std", help=", ".join(INPUTS))
    again.add_argument("--strict", action="store_true", help="refuse rows of unknown events")
    again.set_defaults(run=_judged(print_replay))

    validate = commands.add_parser("validate", help="compare the model with recordings")
    kinds = validate.add_subparsers(dest="kind", required=True, parser_class=_Parser)
    traces = kinds.add_parser("replay", help="every recording; the bar is on the buddy level")
    traces.add_argument("folder")
    traces.add_argument("--level", default="both", help=", ".join(REPLAY_LEVELS))
    traces.add_argument("--inputs", default="std", help=", ".join(INPUTS))
    traces.add_argument("--out", help="write the table as parquet")
    traces.set_defaults(run=_judged(print_replays))
    for kind, text in (
        ("hints", "the balloon's first pass in every recorded migration, block by block"),
        ("reporting", "every pass of free page reporting, block by block"),
    ):
        one_kind = kinds.add_parser(kind, help=text)
        one_kind.add_argument("folder")
        one_kind.add_argument("--out", help="write the table, one row per block, as parquet")
        one_kind.set_defaults(run=_judged(print_predictions))

    walker = kinds.add_parser("walker", help="every recorded walk of the thread, row by row")
    walker.add_argument("folder")
    walker.add_argument("--ablations", action="store_true", help="show the misses by wrong rules")
    walker.add_argument("--out", help="write the table, one row per recorded row, as parquet")
    walker.set_defaults(run=_judged(print_walkers))

    moved = kinds.add_parser("migration", help="every recorded migration, from its parameters")
    moved.add_argument("folder", help="a folder with a migrations.csv")
    moved.add_argument("--out", help="write the table, one row per migration, as parquet")
    moved.set_defaults(run=_judged(print_migrations))

    add_record(commands, _Parser)

    report = commands.add_parser("report", help="write an offline HTML file on a run or policies")
    report.add_argument(
        "source",
        nargs="?",
        help="a run's folder (simulate -o) or a scenario's TOML file; without it compare policies",
    )
    report.add_argument("-o", "--out", default="out/report.html")
    report.add_argument("--pdf", action="store_true", help="also print a PDF beside the HTML")
    report.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the comparison's notebook, e.g. policies='[\"v24\"]'",
    )
    report.add_argument(
        "--knobs",
        action="append",
        default=[],
        metavar="NAME[=VALUE,..],..",
        help="knobs that turn in the page, e.g. policy.rotate,ring.size=64,1024; docs/reports.md",
    )
    report.set_defaults(run=_report)

    early = commands.add_parser("warm", help="compile all kernels now, so that nothing waits later")
    early.add_argument("--processes", type=int, help="by default one per CPU, at most 4")
    early.set_defaults(run=_warm)
    return parser


def _scenarios(args) -> list:
    """The scenarios to run, one per policy: the file's or the default, changed by the options."""
    values = dict(_setting(text) for text in args.set)
    for name in ("policy", "seed"):
        if name in values:
            raise InputError(f"--set {name}=...: use --{name}")
    if args.memory is not None:
        values["memory"] = args.memory
    if args.seed is not None:
        values["seed"] = args.seed
    base = read_scenario(args.file) if args.file else Scenario()
    if not args.policy:
        return [base.with_values(values)]
    users = [tuple(p.split("+")) if "+" in p else p for p in args.policy]
    return [base.with_values({"policy": policy, **values}) for policy in users]


def _simulate(args) -> int:
    if args.out and len(args.policy or ()) > 1:
        several = ", ".join(args.policy)
        raise InputError(f"--out takes one policy, got {len(args.policy)}: {several}")
    if args.out and exists(Path(args.out)):
        raise InputError(f"{args.out}: exists already; a run never overwrites another")
    scenarios = _scenarios(args)
    runs = []
    for scenario in scenarios:
        runs.append(simulate(scenario, progress=True))
    print(comparison(runs).to_string())
    for run in runs:
        for one in find_policies(run.summary["policy"].split(" + ")):
            if one.delay_ns is not None and one.delay_ns >= scenarios[0].duration_ns:
                print(f"{one.name} waits {one.delay_ns} ns before it walks: set duration_ns")
        if run.summary.get("migration") in ("none", "active"):
            end_s = scenarios[0].duration_ns / NS_PER_S
            print(f"{run.summary['policy']}: no migration ended in {end_s:g} s: set duration_ns")
    if args.out:
        print(f"tables: {runs[0].save(args.out)}")
    return 0


def _sweep(args) -> int:
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
        print(table.to_string(index=False))
    return FAILED if (table["status"] == FAILED_RUN).any() else 0


def _batch(args) -> int:
    batch = read_batch(args.file)
    check_folder(batch)
    if args.dry_run:
        for number, status in statuses(batch).items():
            print(f"{number:4} {status:6} {json.dumps(batch.runs[number - 1])}")
        return 0
    total = len(batch.runs)
    # Runs that were finished before do not count for the speed.
    initial = total - len(left_runs(batch, args.retry))
    with tqdm(total=total, initial=initial, desc="runs") as bar:

        def progress(finished, running, failed):
            bar.set_postfix(running=running, failed=failed, refresh=False)
            bar.n = finished
            bar.refresh()

        try:
            records = run_batch(batch, args.retry, progress)
        except KeyboardInterrupt:
            raise ChildProcessError(
                f"interrupted with {bar.n} of {total} runs finished; the same command continues"
            ) from None
    failed = [record for record in records if record["status"] == FAILED_RUN]
    print(f"{total - len(failed)} done, {len(failed)} failed: {batch.out / 'index.html'}")
    for record in failed:
        print(failure_text(batch, record))
    return FAILED if failed else 0


def _report(args) -> int:
    parameters = dict(_setting(text) for text in args.parameter)
    if args.knobs:
        return _knobs_report(args)
    if args.source is None:
        seen = None
        write_report(args.out, parameters, args.pdf)
    elif parameters:
        raise InputError(f"-p {next(iter(parameters))}=...: a run's report takes no parameters")
    else:
        # Figures and the player would double the time of an import.
        from freehint.reports.run_report import write_run_report

        seen = write_run_report(args.source, args.out, args.pdf)
        print(seen.verdict)
    print(f"report: {args.out}")
    if args.pdf:
        print(f"pdf: {pdf_beside(Path(args.out))}")
    return FAILED if seen and seen.differences else 0


def _knobs_report(args) -> int:
    for what, given in (("-p", args.parameter), ("--pdf", args.pdf)):
        if given:
            raise InputError(f"--knobs does not go with {what}")
    if args.source is None:
        raise InputError("--knobs needs a scenario's TOML file")
    # As above.
    from freehint.reports.knobs.report import write_knobs_report

    with tqdm(desc="runs", leave=False, delay=1) as bar:

        def progress(done, total):
            bar.total, bar.n = total, done
            bar.refresh()

        run, refused = write_knobs_report(args.source, args.knobs, args.out, progress)
    print(f"{run} combinations, {refused} contradict themselves")
    print(f"report: {args.out}")
    return 0


def _warm(args) -> int:
    # This imports most of the package.
    from freehint.warm import warm_all

    return 0 if warm_all(args.processes) else FAILED


def main(arguments=None) -> int:
    """Run the command line and return the exit code."""
    try:
        args = _parser().parse_args(arguments)
        return args.run(args)
    except InputError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except ChildProcessError as error:
        print(error, file=sys.stderr)
        return FAILED
