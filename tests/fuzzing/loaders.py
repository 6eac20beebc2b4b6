"""Every loader of freehint, with its seeds and with what an accepted object must hold to.

Input ``k`` of a loader follows from (seed, loader, k) alone.
"""

import contextlib
import dataclasses
import io
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.parquet as pq

import freehint as fh
from freehint.cli import _parser
from freehint.formats.traces.table import TEXT_COLUMNS, TRACE_COLUMNS
from freehint.inputs.reading import read_bytes
from freehint.inputs.rules import Checked, rules_of
from freehint.replay import INPUTS, LEVELS
from freehint.replay.hints import predict_hints
from freehint.replay.migrations import read_migrations, scenario_of
from freehint.replay.reporting import predict_reporting
from freehint.reports.batch.batch import read_batch
from freehint.reports.reproduce import reproduce
from freehint.runs.commands import scenarios
from freehint.runs.run import METADATA_KEY, TABLES, Run
from freehint.runs.scenario_dict import scenario_of as scenario_from
from freehint.runs.scenario_dict import told
from freehint.runs.scenario_file import read_scenario, scenario_toml
from freehint.runs.tables.compare import comparison
from freehint.studies.verify.rows import read_file
from freehint.sweeps.design import Design
from freehint.sweeps.file import read_sweep
from freehint.sweeps.parts import RunParts
from fuzzing import corpora
from fuzzing.judge import Verdict, judged, require
from fuzzing.mutate import (
    FOLDER,
    MISSING,
    NOWHERE,
    WORDS,
    changed_value,
    mutated,
    nasty,
    parquet,
)
from fuzzing.zoo import draw_policy, run_policy, sound_end

ROOM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # files that never reach a disk
NO_NAMES = ("a\0b", "n" * 300)


class Loader(NamedTuple):
    """A loader of files.

    seeds : callable     gives a list of inputs, each a dict of name -> bytes
    load : callable      takes the path below which the input is, and a stream of its own
    check : callable     takes the loaded object and an empty folder, and raises if it is unsound
    stem : str           the path that ``load`` gets, in the input's folder; None: the folder's
                         only file, or the one whose name ends in .toml
    change : callable    takes an input and a stream, and gives the changed files
    """

    seeds: Callable
    load: Callable
    check: Callable
    stem: str | None = None
    change: Callable = mutated


class Values(NamedTuple):
    """A loader of values.

    draw : callable    takes a stream, and gives (value, names that a refusal may name)
    load : callable    takes the value
    check : callable   takes the loaded object and an empty folder, and raises if it is unsound
    """

    draw: Callable
    load: Callable
    check: Callable


class Input(NamedTuple):
    """One input: the changed files of a seed, or a value."""

    loader: str
    seed: int = 0
    files: dict | None = None
    name: str | None = None
    value: Any = None
    names: tuple = ()
    luck: float = 0.0


# What an accepted object must hold to.


def same_tables(one, other, what: str) -> None:
    """Two tables are equal."""
    require(one.equals(other), f"{what} differ after saving and loading")


def sound_memory(memory, folder: Path) -> None:
    """The memory holds its invariants, and is the same after saving and loading."""
    fh.check_memory(memory)
    again = fh.load_snapshot(fh.save_snapshot(memory, folder / "again.T0"))
    for table in (fh.free_lists, fh.pcp_lists, fh.pageblocks):
        same_tables(table(memory), table(again), table.__name__)
    for name in memory.zones.dtype.names:
        equal = (memory.zones[name] == again.zones[name]).all()
        require(equal, f"zones' {name} differs after saving and loading")
    require((memory.pcp == again.pcp).all(), "pcp differs after saving and loading")


def sound_trace(trace, folder: Path) -> None:
    """Every line is accounted for, and the table is the same after saving and loading."""
    account, table = trace.account, trace.table
    counted = account.events + account.comments + account.blank + account.lost_lines
    counted += account.unmatched + account.unknown.total()
    require(account.lines == counted, f"{account.lines} lines, but {counted} are accounted for")
    str(account)
    path = folder / "again.parquet"
    table.astype(dict.fromkeys(TEXT_COLUMNS, str)).to_parquet(path, index=False)
    again = fh.read_trace(path).table
    for name in TRACE_COLUMNS:
        equal = table[name].astype(object).tolist() == again[name].astype(object).tolist()
        require(equal, f"column {name} differs after saving and loading")


def sound_replay(found, folder: Path) -> None:
    """Every count of the replay is a number that can be."""
    for name, value in found.row().items():
        good = not isinstance(value, int | float) or value >= -1 or value != value
        require(good, f"{name} is {value}")


def sound_prediction(found, folder: Path) -> None:
    """The prediction can be printed."""
    require(isinstance(found.good, bool), f"good is {found.good!r}")
    for name, text in found.facts.items():
        require(isinstance(text, str), f"{name} is {text!r}")


def sound_migrations(rows, folder: Path) -> None:
    """Every row is a scenario that ends."""
    for one in rows:
        sound_scenario(one.with_values({"memory": corpora.SIZE}), folder)


def sound_run(run, folder: Path) -> None:
    """The run can be shown, and is the same after saving and loading."""
    run._repr_html_(), comparison([run]), fh.provenance_table([run]), fh.summaries([run])
    again = Run.load(run.save(folder / "run"))
    for name in TABLES:
        same_tables(getattr(run, name), getattr(again, name), name)
    require(run.provenance == again.provenance, "provenance differs after saving and loading")


def sound_reproduction(found, folder: Path) -> None:
    """There is a verdict in one line."""
    require(len(found.verdict.splitlines()) == 1, f"the verdict is {found.verdict!r}")


def sound_scenario(scenario, folder: Path) -> None:
    """The scenario is the same after saving and loading."""
    text = scenario_toml(scenario)
    require(text is not None, "the scenario cannot be saved")
    path = folder / "again.toml"
    path.write_text(text)
    require(told(read_scenario(path)) == told(scenario), "the scenario differs")


def sound_published(rows, folder: Path) -> None:
    """Every row is one that can be judged, or tells why it cannot be predicted."""
    for row in rows:
        require(row.tolerance >= 0, f"the tolerance is {row.tolerance}")
        require(row.setup is not None or row.why != "", f"{row.id} says nothing")
        require(row.setup is None or len(row.setup.seeds) > 0, f"{row.id} has no seed")


def sound_config(config, folder: Path) -> None:
    """Every field that has a rule holds to it, and a scenario is the same after saving."""
    for name, rule in rules_of(type(config)).items():
        require(rule.admits(getattr(config, name)), f"{name} is {getattr(config, name)!r}")
    if isinstance(config, fh.Scenario) and scenario_toml(config) is not None:
        sound_scenario(config, folder)


def sound_scenarios(scenarios, folder: Path) -> None:
    """All scenarios are the same after saving and loading."""
    for one in scenarios:
        sound_config(one, folder)


def sound_sweep(design, folder: Path) -> None:
    """Every run of the design has a row of its own, or a refusal."""
    json.dumps(design.facts())
    for number in range(min(len(design), 50)):
        design.refusal(number) or design.row(number)


def sound_batch(batch, folder: Path) -> None:
    """The batch has runs, and its facts are JSON."""
    require(batch.runs, "no runs")
    json.dumps(batch.facts())


def sound_rows(found, folder: Path) -> None:
    """The rows of a sweep are known by numbers."""
    if isinstance(found, pd.DataFrame):
        require("status" in found and "run" in found, "a table without status or run")
        return
    for number, row in found.items():
        require(type(number) is int and number >= 0, f"run {number!r}")
        require(row.get("status") in ("done", "refused", "failed"), f"status {row.get('status')}")


def sound_trajectory(found, folder: Path) -> None:
    """Every moment can be looked at, and the bytes are the same after saving and loading."""
    for moment in range(len(found)):
        found.lists_at(moment)
    again = fh.Trajectory.from_bytes(found.to_bytes())
    require(again.meta == found.meta, "the description differs")


# What loads.


def load_replay(stem, stream):
    """Replay at a level drawn from the stream."""
    return fh.replay(stem, level=stream.choice(LEVELS), inputs=stream.choice(INPUTS))


def load_migrations(path, stream):
    """All scenarios of a table."""
    table = read_migrations(path)
    return [scenario_of(row, f"{path}: row {n}") for n, row in table.iterrows()]


def load_sweep(path, stream):
    """A sweep as it is checked before it runs."""
    found = read_sweep(str(path))
    try:
        return Design(found.scenario, found.design, found.seeds)
    except fh.InputError as error:  # the call itself names no file
        raise fh.InputError(f"{path}: {error}") from None


@cache
def _facts() -> dict:
    return corpora.sweep_facts()


def load_parts(path, stream):
    """The table of a sweep, or its parts."""
    folder = path.parent
    name = "runs" if (folder / "runs").exists() else "runs.parquet"
    held = RunParts(folder / name, _facts())
    table = held.finished()
    return held.held() if table is None else table


def load_trajectory(path, stream):
    """A recorded run, whose bytes a caller has read."""
    return fh.Trajectory.from_bytes(read_bytes(path))


# Changes that need more than one file.


def changed_run(files: dict, stream) -> dict:
    """A run folder with the same other provenance in all tables, or with one file changed.

    A scenario that takes longer than the seed's does so honestly, so its duration stays.
    """
    if stream.random() < 0.5:
        return mutated(files, stream)
    tables = {name: pq.read_table(io.BytesIO(content)) for name, content in files.items()}
    stored = next(iter(tables.values())).schema.metadata[METADATA_KEY]
    facts = changed_value(json.loads(stored), stream)
    wanted = json.loads(stored)["parameters"]
    if isinstance(facts.get("parameters"), dict):
        facts["parameters"]["duration_ns"] = wanted["duration_ns"]
    try:
        text = json.dumps(facts).encode()
    except (ValueError, RecursionError):
        text = b"9" * 5000
    return {
        name: parquet(table.replace_schema_metadata({**table.schema.metadata, METADATA_KEY: text}))
        for name, table in tables.items()
    }


# Values.


@cache
def configs() -> list:
    """An object of every class whose fields have rules."""
    made = {fh.Program: fh.Program(state="freed"), fh.Guest: None, fh.RecordedGuest: None}
    found, left = [], [Checked]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if dataclasses.is_dataclass(kind) and kind.__module__.startswith("freehint."):
            try:
                found.append(made[kind] if kind in made else kind())
            except TypeError:
                continue  # a class without defaults
    found = [one for one in found if one is not None]
    return sorted(found + list(fh.POLICIES.values()), key=lambda one: type(one).__name__)


def draw_config(stream):
    """A config, one of its fields, and a nasty value for it."""
    config = stream.choice(configs())
    field = stream.choice([f.name for f in dataclasses.fields(config) if f.init])
    return (config, field, nasty(stream)), (field, type(config).__name__, "policy")


def load_config(drawn):
    """The config with that value."""
    config, field, value = drawn
    return dataclasses.replace(config, **{field: value})


@cache
def _paths() -> list:
    """Dotted names of all fields of a scenario and its parts."""
    found = ["policy", "nothing", "ring.nothing", "ring.size.x", "", ".", "ring."]
    base = corpora.MOVING
    for one in dataclasses.fields(base):
        found.append(one.name)
        part = getattr(base, one.name)
        if dataclasses.is_dataclass(part):
            found += [f"{one.name}.{f.name}" for f in dataclasses.fields(part)]
    return sorted(found)


def draw_values(stream):
    """One or two fields of a scenario, with nasty values."""
    values = {
        stream.choice(_paths()): nasty(stream) for _ in range(1 if stream.random() < 0.8 else 2)
    }
    names = [part for name in values for part in name.split(".")]
    return values, (*names, "parameter")


def load_values(values):
    """A scenario with these values, first as they are, then as JSON."""
    if len(values) % 2:
        return corpora.MOVING.with_values(values)
    return scenario_from(values)


def draw_set(stream):
    """Arguments of ``freehint simulate``."""
    arguments, names = ["simulate"], ["NAME=VALUE", "freehint", "--"]
    for _ in range(stream.randrange(1, 3)):
        name = stream.choice(_paths())
        names += name.split(".")
        value = stream.choice(WORDS)
        if stream.random() < 0.3:
            with contextlib.suppress(ValueError, RecursionError):
                value = json.dumps(nasty(stream))
        option = stream.choice(("--set", "--set", "--set", "--set", "--policy", "--seed", "--mem"))
        text = f"{name}={value}" if stream.random() < 0.95 else value
        arguments += [option, text if option == "--set" else value]
    return arguments, (*names, "policy", "seed", "memory", "a setting")


def load_set(arguments):
    """The scenarios of a command line."""
    return scenarios(_parser().parse_args(arguments))


LOADERS = {
    "snapshot": Loader(
        corpora.snapshots, lambda stem, _: fh.load_snapshot(stem), sound_memory, "a.T0"
    ),
    "proc": Loader(corpora.proc_texts, lambda path, _: fh.memory_from_proc(path), sound_memory),
    "trace-text": Loader(corpora.trace_texts, lambda path, _: fh.read_trace(path), sound_trace),
    "trace-parquet": Loader(
        corpora.trace_parquets, lambda path, _: fh.read_trace(path), sound_trace
    ),
    "trace-llfree": Loader(corpora.llfree_traces, lambda path, _: fh.read_trace(path), sound_trace),
    "replay": Loader(corpora.recordings, load_replay, sound_replay, "a"),
    "recorded-guest": Loader(
        corpora.recordings, lambda stem, _: fh.RecordedGuest(stem), sound_config, "a"
    ),
    "hints": Loader(corpora.recordings, lambda stem, _: predict_hints(stem), sound_prediction, "a"),
    "reporting": Loader(
        corpora.recordings, lambda stem, _: predict_reporting(stem), sound_prediction, "a"
    ),
    "migrations": Loader(corpora.migration_tables, load_migrations, sound_migrations),
    "run": Loader(corpora.runs, lambda folder, _: Run.load(folder), sound_run, "run", changed_run),
    "reproduction": Loader(
        corpora.runs,
        lambda folder, _: reproduce(folder, moments=2),
        sound_reproduction,
        "run",
        changed_run,
    ),
    "scenario": Loader(corpora.scenarios, lambda path, _: read_scenario(path), sound_scenario),
    "published": Loader(corpora.published, lambda path, _: read_file(path), sound_published),
    "costs": Loader(corpora.costs_files, lambda path, _: fh.load_costs(path), sound_config),
    "sweep": Loader(corpora.sweeps, load_sweep, sound_sweep),
    "batch": Loader(corpora.batches, lambda path, _: read_batch(path), sound_batch, "a.toml"),
    "sweep-parts": Loader(corpora.parts, load_parts, sound_rows, "x"),
    "trajectory": Loader(corpora.trajectories, load_trajectory, sound_trajectory),
    "configs": Values(draw_config, load_config, sound_config),
    "with-values": Values(draw_values, load_values, sound_config),
    "set": Values(draw_set, load_set, sound_scenarios),
    "zoo": Values(draw_policy, run_policy, sound_end),
}


# Inputs.


@cache
def seeds_of(loader: Loader) -> list:
    """The seeds of a loader, made once per process."""
    return loader.seeds()


def input_of(seed: int, name: str, k: int, loaders=LOADERS) -> Input:
    """Input ``k`` of a loader."""
    stream = random.Random(f"{seed} {name} {k}")
    loader = loaders[name]
    if isinstance(loader, Values):
        value, names = loader.draw(stream)
        return Input(name, value=value, names=tuple(filter(None, names)))
    seeds = seeds_of(loader)
    at = stream.randrange(len(seeds))
    if stream.random() < 0.003:
        return Input(name, at, {}, stream.choice(NO_NAMES), luck=stream.random())
    return Input(name, at, loader.change(seeds[at], stream), luck=stream.random())


def put(path: Path, content) -> None:
    """Put a file, or what stands in its place, at a path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    if not isinstance(content, bytes):
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if content == FOLDER:
        path.mkdir()
    elif content == NOWHERE:
        path.symlink_to("nowhere")
    elif content != MISSING:
        if path.is_symlink():
            path.unlink()
        path.write_bytes(content)


class Room:
    """A folder with each seed in a folder of its own; inputs change files and put them back."""

    def __init__(self, loaders=LOADERS):
        self.loaders = loaders

    def __enter__(self):
        self.room = tempfile.TemporaryDirectory(prefix="freehint-fuzz-", dir=ROOM)
        self.folder = Path(self.room.name)
        self.laid = set()
        return self

    def __exit__(self, *_):
        self.room.cleanup()

    def seed(self, name: str, at: int) -> Path:
        """The folder of a seed, with all its files."""
        folder = self.folder / f"{name}-{at}"
        if folder not in self.laid:
            for file, content in seeds_of(self.loaders[name])[at].items():
                put(folder / file, content)
            self.laid.add(folder)
        return folder

    def judge(self, one: Input) -> Verdict:
        """Load one input and class what comes back."""
        loader = self.loaders[one.loader]
        if isinstance(loader, Values):
            return self._judged(lambda: loader.load(one.value), loader.check, one.names)
        folder = self.seed(one.loader, one.seed)
        seed = seeds_of(loader)[one.seed]
        for file, content in one.files.items():
            put(folder / file, content)
        stem = one.name or loader.stem or next(iter(seed))
        names = (str(folder), "payload")
        try:
            return self._judged(
                lambda: loader.load(folder / stem, random.Random(one.luck)), loader.check, names
            )
        finally:
            for file in one.files:
                put(folder / file, seed[file])

    def _judged(self, load, check, names) -> Verdict:
        def checked(found):
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                check(found, Path(folder))

        return judged(load, checked, names)


def keep(one: Input, verdict: Verdict, folder: Path, loaders=LOADERS) -> None:
    """Keep an input and what came of it, to be looked at."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "what.txt").write_text(f"{verdict.place}\n\n{verdict.text}", errors="replace")
    if one.files is None:
        try:
            text = repr(one.value)
        except Exception:  # a number of 5,000 digits
            text = "a value that cannot be printed"
        (folder / "value.txt").write_text(text, errors="replace")
        return
    for file, content in (seeds_of(loaders[one.loader])[one.seed] | one.files).items():
        put(folder / "input" / file, content)
