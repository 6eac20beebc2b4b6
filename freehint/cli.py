"""The command line ``freehint``.

Exit code 0: all is well; 1: a bar is missed; 2: bad input, with one sentence.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tqdm.auto import tqdm

from freehint.config import InputError, whole
from freehint.files import whole_file
from freehint.jit.cache import CACHE_FOLDER, UNUSED_S, cache_bases, prune
from freehint.policies import POLICIES, find_policies
from freehint.replay.replay import INPUTS, LEVELS, replay
from freehint.replay.validate import (
    REPLAY_LEVELS,
    prediction_summary,
    prediction_table,
    predictions,
    validate_migration,
    validate_replay,
)
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


class _Parser(argparse.ArgumentParser):
    """One sentence and exit code 2 instead of a usage text."""

    def error(self, message):
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")


def _setting(text: str):
    """``name=value``; the value is JSON if it reads as JSON, else text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"a setting must be NAME=VALUE, got {text!r}")
    if name == "kernel":  # 5.10 is a name, not a number
        return name, value.strip('"')
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="freehint", description="Free page hinting, measured.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    one = commands.add_parser("simulate", help="run a scenario and print what it tells")
    one.add_argument("file", nargs="?", help="TOML: the fields of a scenario; docs/reports.md")
    one.add_argument("--memory", help="a snapshot's stem, sample data's name, or a size (256MiB)")
    one.add_argument(
        "--policy",
        action="append",
        help=f"{', '.join(POLICIES)}; several are compared; a+b: two users at once",
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

    many = commands.add_parser("sweep", help="run a grid or a design; goes on where it stopped")
    many.add_argument("file", help="TOML: [scenario], [grid] or [design]; docs/sweeps.md")
    many.set_defaults(run=_sweep)

    batch = commands.add_parser("batch", help="run a notebook with many sets of parameters")
    batch.add_argument("file", help="TOML: notebook, out, [grid] or [[run]]; docs/batches.md")
    batch.add_argument("--retry", action="store_true", help="run failed runs again")
    batch.add_argument("--dry-run", action="store_true", help="list the runs and run nothing")
    batch.set_defaults(run=_batch)

    again = commands.add_parser("replay", help="replay a recorded trace from T0 to T1")
    again.add_argument("stem", help=".../NAME of NAME.T0, NAME.T1 and NAME.trace")
    again.add_argument("--level", default="buddy", help=", ".join(LEVELS))
    again.add_argument("--inputs", default="std", help=", ".join(INPUTS))
    again.set_defaults(run=_replay)

    validate = commands.add_parser("validate", help="hold the model against recordings")
    kinds = validate.add_subparsers(dest="kind", required=True, parser_class=_Parser)
    traces = kinds.add_parser("replay", help="every recording of a folder; the bar is buddy level")
    traces.add_argument("folder")
    traces.add_argument("--level", default="both", help=", ".join(REPLAY_LEVELS))
    traces.add_argument("--inputs", default="std", help=", ".join(INPUTS))
    traces.add_argument("--out", help="write the table as parquet")
    traces.set_defaults(run=_validate_replay)
    for kind, text in (
        ("hints", "the balloon's first pass in every recorded migration, block by block"),
        ("reporting", "every pass of free page reporting, block by block"),
    ):
        one_kind = kinds.add_parser(kind, help=text)
        one_kind.add_argument("folder")
        one_kind.add_argument("--out", help="write the table, a row a block, as parquet")
        one_kind.set_defaults(run=_validate_predictions)

    moved = kinds.add_parser("migration", help="every recorded migration, from its parameters")
    moved.add_argument("folder", help="with a migrations.csv")
    moved.add_argument("--out", help="write the table, a row a migration, as parquet")
    moved.set_defaults(run=_validate_migration)

    report = commands.add_parser("report", help="one offline HTML file: of a run, or of policies")
    report.add_argument(
        "source",
        nargs="?",
        help="a run's folder (simulate -o) or a scenario's TOML file; left out: compare policies",
    )
    report.add_argument("-o", "--out", default="out/report.html")
    report.add_argument("--pdf", action="store_true", help="print it as PDF too, beside the HTML")
    report.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the comparison's notebook, e.g. policies='[\"v24\"]'",
    )
    report.set_defaults(run=_report)

    early = commands.add_parser("warm", help="compile all kernels now, so that nothing waits later")
    early.add_argument("--processes", type=int, help="at once; by default one a CPU, at most 4")
    early.set_defaults(run=_warm)
    return parser


def _scenarios(args) -> list:
    """The scenario of the file, or the default one, changed by the options: one a policy."""
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
    if args.out and Path(args.out).exists():
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
    # What was finished before says nothing about the speed.
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
                f"interrupted with {bar.n} of {total} runs finished; the same command goes on"
            ) from None
    failed = [record for record in records if record["status"] == FAILED_RUN]
    print(f"{total - len(failed)} done, {len(failed)} failed: {batch.out / 'index.html'}")
    for record in failed:
        print(failure_text(batch, record))
    return FAILED if failed else 0


def _replay(args) -> int:
    found = replay(args.stem, args.level, args.inputs)
    for name, value in found.row().items():
        print(f"{name:16} {value}")
    print(f"{'ignored rows':16} {found.ignored}")
    print(found.t1_lists.to_string(index=False))
    if found.first_miss:
        print(f"first miss: {found.first_miss}")
    return 0 if found.misses == found.silent_rows and found.t1_equal else FAILED


def _write_table(table, out) -> None:
    """Write a validator's table, if that was asked for, whether or not the bar holds."""
    if out:
        with whole_file(Path(out)) as temporary:
            table.to_parquet(temporary)
        print(f"table: {out}")


def _validate_predictions(args) -> int:
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
        print("the bar holds" if good else "the bar is MISSED: every block equal, in order")
    return 0 if good else FAILED


MIGRATION_COLUMNS = ("state", "hint", "cmdline", "bw_MBps", "rep")


def _validate_migration(args) -> int:
    table, bars, good = validate_migration(
        args.folder, lambda rows: tqdm(rows, desc="migrations", leave=False, delay=1)
    )
    shown = table[list(MIGRATION_COLUMNS)].copy()
    for name in ("transferred_B", "total_time_ms"):
        scale = 1e6 if name == "transferred_B" else 1
        label = name.replace("_B", "_MB")
        for kind in ("predicted", "measured"):
            shown[f"{kind}_{label}"] = (table[f"{kind}_{name}"] / scale).round(1)
        shown[f"error_{label}"] = table[f"error_{name}"].map("{:.1%}".format)
    for kind in ("predicted", "measured"):
        shown[f"{kind}_syncs"] = table[f"{kind}_dirty_sync_count"]
    print(shown.to_string(index=False))
    print(bars.to_string(index=False))
    worst = table["error_transferred_B"].idxmax()
    row = shown.loc[worst]
    print("worst row: " + ", ".join(f"{name} {row[name]}" for name in MIGRATION_COLUMNS))
    _write_table(table, args.out)
    print("the bars hold" if good else "a bar is MISSED")
    return 0 if good else FAILED


def _validate_replay(args) -> int:
    table, good = validate_replay(
        args.folder, args.level, args.inputs, lambda stems: tqdm(stems, desc="replay", delay=1)
    )
    columns = [c for c in table.columns if not c.startswith("first_miss_")]
    print(table[columns].round(3).to_string(index=False))
    for _, row in table[table["first_miss_row"] >= 0].iterrows():
        print(
            f"{row['recording']}, {row['level']} level: first unexplained miss in row"
            f" {row['first_miss_row']}: predicted pfn {row['first_miss_predicted_pfn']},"
            f" observed {row['first_miss_observed_pfn']}"
        )
    _write_table(table, args.out)
    print("the bar holds" if good else "the bar is MISSED: buddy level, 0 misses and T1 equal")
    return 0 if good else FAILED


def _report(args) -> int:
    parameters = dict(_setting(text) for text in args.parameter)
    if args.source is None:
        shown = None
        write_report(args.out, parameters, args.pdf)
    elif parameters:
        raise InputError(f"-p {next(iter(parameters))}=...: a run's report takes no parameters")
    else:
        # Pictures and the player double the time of an import.
        from freehint.reports.run_report import write_run_report

        shown = write_run_report(args.source, args.out, args.pdf)
        print(shown.verdict)
    print(f"report: {args.out}")
    if args.pdf:
        print(f"pdf: {pdf_beside(Path(args.out))}")
    return FAILED if shown and shown.differences else 0


def _warm(args) -> int:
    if args.processes is not None:
        whole("--processes", args.processes, 1)
    if CACHE_FOLDER is None:
        tried = ", ".join(map(str, cache_bases()))
        print(f"kernels cannot be kept: no folder can be written ({tried})", file=sys.stderr)
        return FAILED
    # What it does with small guests brings most of the package.
    from freehint.warm import TASKS, warm

    print(f"kernels: {CACHE_FOLDER}")
    begin = time.perf_counter()
    compiled = found = not_kept = 0
    for number, one in enumerate(warm(args.processes), 1):
        print(
            f"{number:2}/{len(TASKS)} {one.task:24} {one.compiled:3} compiled, {one.found:3} found,"
            f" {one.seconds:5.1f} s",
            flush=True,
        )
        compiled, found, not_kept = (
            compiled + one.compiled,
            found + one.found,
            not_kept + one.not_kept,
        )
    for folder in prune(CACHE_FOLDER):
        print(f"removed, unused for {UNUSED_S // 86400} days: {folder}")
    print(f"{compiled} compiled, {found} found there, {time.perf_counter() - begin:.1f} s")
    if not_kept:
        print(f"{not_kept} kernels could not be written: {CACHE_FOLDER}", file=sys.stderr)
    return FAILED if not_kept else 0


def main(arguments=None) -> int:
    """Entry point; returns the exit code."""
    try:
        args = _parser().parse_args(arguments)
        return args.run(args)
    except InputError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except ChildProcessError as error:
        print(error, file=sys.stderr)
        return FAILED
