"""The command line ``freehint``.

The exit code is 0 if all is well, 1 if a run failed or a bar was missed, and 2 for bad input,
which one sentence explains.

A command stands in ``commands.py`` of its folder, imported when it runs: the parser is made of
texts alone, so that help and a refusal come at once.  Its function takes the parsed arguments,
prints, tells in a last line what to do next, and returns whether all is well.
"""

import argparse
import json
import os
import re
import sys
from importlib import import_module

from freehint.config import InputError, nearest, one_of, require_name, shown
from freehint.inputs.source import annotations, imported, keys
from freehint.record.options import add_record
from freehint.replay import INPUTS, LEVELS, REPLAY_LEVELS
from freehint.replay.pressure.options import add_pressure
from freehint.safety.options import add_explore
from freehint.studies.costs.options import add_calibrate
from freehint.version import __version__

FAILED, BAD_INPUT = 1, 2
PARTS = ("ring", "host", "costs", "control", "migration", "park")  # of a scenario, each of one kind
MOST_CHARACTERS = 500  # of a complaint about an argument, which quotes it


class _Parser(argparse.ArgumentParser):
    """A parser that raises InputError, for one sentence and exit code 2 instead of a usage text."""

    def error(self, message):
        if len(message) > MOST_CHARACTERS:
            message = f"{message[:MOST_CHARACTERS]}..."
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")

    def parse_known_args(self, args=None, namespace=None):
        # A command's own parser knows its options; argparse lets the parser above it complain.
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            hint = nearest(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return namespace, unknown

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            known, hint = ", ".join(action.choices), nearest(value, action.choices)
            raise argparse.ArgumentError(
                action, f"invalid choice: {shown(value)}; there are {known}{hint}"
            )


def _setting(text: str):
    """Read ``name=value``; the value is read as JSON if possible, else it is a text.

    Returns
    -------
    (str, object)
        The name and the value.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"a setting must be NAME=VALUE, got {shown(text)}")
    if name == "kernel":  # 5.10 is a name, not a number.
        return name, value.strip('"')
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _setting_of_run(text: str):
    """Read ``name=value`` for a scenario, and refuse a name that no scenario has."""
    name, value = _setting(text)
    scenario = "freehint.runs.scenario"
    own = annotations(scenario, "Scenario")
    head, _, rest = name.partition(".")
    try:
        require_name(name, own)
        if rest and head in PARTS:
            modules = imported(scenario)
            kind = next(word for word in re.findall(r"\w+", own[head]) if word in modules)
            require_name(rest, annotations(modules[kind], kind), f"{head}.")
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name, value


def _users(text: str):
    """A policy by name, or several that run at once."""
    users = text.split("+")
    try:
        for one in set(users) - set(keys("freehint.policies", "REFUSED")):  # find_policy tells why
            one_of("policy", one, keys("freehint.policies", "POLICIES"))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return tuple(users) if len(users) > 1 else text


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="freehint", description="Free page hinting, measured.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    _add_runs(commands)
    add_explore(commands)
    add_calibrate(commands)
    _add_replays(commands)
    add_record(commands)
    _add_reports(commands)
    early = commands.add_parser("warm", help="compile all kernels now, so that nothing waits later")
    early.add_argument("--processes", type=int, help="by default one per CPU, at most 4")
    early.set_defaults(run="freehint.warm.warm_all")
    return parser


def _add_runs(commands) -> None:
    """Commands that simulate."""
    names = ", ".join(keys("freehint.policies", "POLICIES"))
    one = commands.add_parser("simulate", help="run a scenario and print its summary")
    one.add_argument("file", nargs="?", help="TOML: the fields of a scenario; docs/reports.md")
    one.add_argument("--memory", help="a snapshot's stem, sample data's name, or a size (256MiB)")
    one.add_argument(
        "--policy",
        action="append",
        type=_users,
        help=f"{names}; repeat --policy to compare several; a+b runs two at once",
    )
    one.add_argument("--seed", type=int)
    one.add_argument("--costs", metavar="FILE", help="costs that freehint calibrate measured")
    one.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting_of_run,
        metavar="NAME=VALUE",
        help="e.g. ring.size=64, workload.state=freed, migration.bandwidth_Bps=50000000",
    )
    one.add_argument("-o", "--out", help="folder for the tables (with one policy)")
    one.add_argument("--perfetto", metavar="FILE", help="a trace for ui.perfetto.dev")
    one.set_defaults(run="freehint.runs.commands.print_simulations")

    many = commands.add_parser("sweep", help="run a grid or a design, or continue where it stopped")
    many.add_argument("file", help="TOML: [scenario], [grid] or [design]; docs/sweeps.md")
    many.set_defaults(run="freehint.sweeps.commands.print_sweep")


def _add_replays(commands) -> None:
    """Commands that hold the model against recordings."""
    again = commands.add_parser("replay", help="replay a recorded trace from T0 to T1")
    again.add_argument("stem", help=".../NAME, for the files NAME.T0, NAME.T1 and NAME.trace")
    again.add_argument("--level", default="buddy", choices=LEVELS)
    again.add_argument("--inputs", default="std", choices=INPUTS)
    again.add_argument("--strict", action="store_true", help="refuse rows of unknown events")
    again.set_defaults(run="freehint.replay.commands.print_replay")

    validate = commands.add_parser("validate", help="compare the model with recordings")
    kinds = validate.add_subparsers(dest="kind", required=True, parser_class=_Parser)

    def kind(name, help, function, row, folder="the folder of the recordings", room="replay"):
        made = kinds.add_parser(name, help=help)
        made.add_argument("folder", help=folder)
        made.add_argument("--out", help=f"write the table, one row per {row}, as parquet")
        made.set_defaults(run=f"freehint.{room}.commands.{function}")
        return made

    traces = kind(
        "replay",
        "every recording; the bar is on the buddy level",
        "print_replays",
        "recording and level",
    )
    traces.add_argument("--level", default="both", choices=REPLAY_LEVELS)
    traces.add_argument("--inputs", default="std", choices=INPUTS)
    kind(
        "hints",
        "the balloon's first pass in every recorded migration, block by block",
        "print_predictions",
        "block",
    )
    passes = "every pass of free page reporting, block by block"
    kind("reporting", passes, "print_predictions", "block")
    walker = kind(
        "walker", "every recorded walk of the thread, row by row", "print_walkers", "recorded row"
    )
    walker.add_argument("--ablations", action="store_true", help="show the misses by wrong rules")
    kind(
        "migration",
        "every recorded migration, from its parameters",
        "print_migrations",
        "migration",
        "a folder with a migrations.csv",
    )
    add_pressure(kind)


def _add_reports(commands) -> None:
    """Commands that run notebooks and write pages."""
    batch = commands.add_parser("batch", help="run a notebook with many sets of parameters")
    batch.add_argument("file", help="TOML: notebook, out, [grid] or [[run]]; docs/batches.md")
    batch.add_argument("--retry", action="store_true", help="run failed runs again")
    batch.add_argument("--dry-run", action="store_true", help="list the runs and run nothing")
    batch.set_defaults(run="freehint.reports.batch.commands.print_batch")

    report = commands.add_parser("report", help="write an offline HTML file on a run or policies")
    report.add_argument(
        "source",
        nargs="?",
        help="a run's folder (simulate -o) or a scenario's TOML file; without it compare policies",
    )
    report.add_argument("-o", "--out", default="out/report.html")
    report.add_argument("--pdf", action="store_true", help="also print a PDF beside the HTML")
    report.add_argument(
        *("-p", "--parameter"),
        action="append",
        default=[],
        type=_setting,
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
    report.set_defaults(run="freehint.reports.commands.print_report")


def main(arguments=None) -> int:
    """Run the command line."""
    try:
        args = _parser().parse_args(arguments)
        module, _, function = args.run.rpartition(".")
        well = getattr(import_module(module), function)(args)
        sys.stdout.flush()
        return 0 if well else FAILED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (InputError, ChildProcessError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT if isinstance(error, InputError) else FAILED
