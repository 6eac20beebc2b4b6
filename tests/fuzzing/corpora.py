"""Small inputs that freehint makes itself, from which all others are mutated.

An input is a dict of name -> bytes; a folder in a name is a folder on disk.
"""

import gzip
import io
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import freehint as fh
from freehint.formats.tables import free_lists
from freehint.formats.traces.table import TRACE_DTYPES
from freehint.inputs.rules import rules_of
from freehint.runs.scenario_file import scenario_toml
from freehint.runs.trajectory.shape import MOMENTS, VERSIONS
from freehint.sweeps.design import Design
from freehint.sweeps.parts import RunParts
from fuzzing.mutate import parquet

SAMPLES = Path(__file__).parents[1] / "samples"
SIZE = "64MiB"
QUICK = fh.Scenario(memory=SIZE, duration_ns=5_000_000, walk_at_ns=1_000_000)
MOVING = QUICK.with_values(
    {
        "migration": fh.MigrationConfig(start_at_ns=1_000_000, bandwidth_Bps=10**10),
        "workload": fh.Program(state="freed", fill_MiB=1, footprint_pages=64),
        "duration_ns": 50_000_000,
    }
)
HINTS = ("__GFP_NOWARN|__GFP_NORETRY|__GFP_NOMEMALLOC", "kworker/0:1")


def files_in(folder: Path) -> dict:
    """All files below a folder, by their relative names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def smaller(files: dict) -> dict:
    """Parquet files without compression, so that they are quick to read."""
    return {
        name: parquet(pq.read_table(io.BytesIO(content))) if name.endswith(".parquet") else content
        for name, content in files.items()
    }


@cache
def snapshot() -> dict:
    """A snapshot ``a.T0`` with checksums."""
    with tempfile.TemporaryDirectory() as folder:
        fh.save_snapshot(fh.make_memory(SIZE), f"{folder}/a.T0")
        return files_in(Path(folder))


@cache
def without_sums() -> dict:
    """The same without checksums, with which nothing behind them would ever be reached."""
    files = smaller(snapshot())
    meta = json.loads(files["a.T0.meta.json"])
    del meta["sha256"]
    return files | {"a.T0.meta.json": json.dumps(meta).encode()}


def snapshots() -> list:
    """Snapshots, most without checksums."""
    return [snapshot(), without_sums(), without_sums(), without_sums()]


def proc_texts() -> list:
    """/proc texts of one zone of 16 MiB, plain and packed."""
    found = []
    for recorded in ("linux-6.1/proc/boot_1g.txt.gz", "linux-6.12/proc/boot_512m.txt.gz"):
        lines = gzip.decompress(fh.data(recorded).read_bytes()).decode().splitlines()
        kept, here = [], True
        for line in lines:
            if not line.startswith(" "):
                here = "DMA32" not in line
            numbers = line.startswith(("      nr_", "      numa_", "      workingset_"))
            if here and not (numbers and "nr_free_pages " not in line):
                kept.append(line.rstrip())
        text = "\n".join(kept).encode() + b"\n"
        found += [{"proc.txt": text}, {"proc.txt.gz": gzip.compress(text, mtime=0)}]
    return found


def trace_texts() -> list:
    """Traces as the kernel's tools print them."""
    texts = [path.read_bytes() for path in sorted(SAMPLES.glob("*.txt"))]
    packed = [{"trace.txt.gz": gzip.compress(texts[0], mtime=0)}]
    return [{"trace.txt": text} for text in texts] + packed


@cache
def trace_parquets() -> list:
    """The first rows of recorded traces."""
    found = []
    for recorded in ("linux-6.1/traces/idle20", "linux-6.12/traces/forkbulk"):
        table = pq.read_table(fh.data(f"{recorded}.trace.parquet"))
        found.append({"a.trace.parquet": parquet(table[:60])})
    return found


def llfree_traces() -> list:
    """Traces of two pages of LLFree's records."""
    pages = np.zeros((3, 1024), "<u4")
    pages[0, :3] = 2, 2, 1 << 14
    pages[1:, 0] = 0, 1
    records = pages[1:, 4:].reshape(-1).view("<u8").reshape(-1, 2)
    for n in range(40):
        records[n] = n | (n << 38) | (1 << 62), 1 << 6 | (77 << 32)
    pages[1:, 4:] = records.view("<u4").reshape(2, 1020)
    content = pages.tobytes()
    return [{"trace.bin": content}, {"trace.bin.gz": gzip.compress(content, mtime=0)}]


# Recordings.


def _trace_row(event: str, **values) -> dict:
    numbers = dict.fromkeys(("pfn", "order", "migratetype", "a", "b", "c"), -1)
    row = {"cpu": 0, "event": event, "pid": 7, "comm": "a", "gfp": "0x0"} | numbers
    if event == "mm_page_alloc_zone_locked":
        row["a"] = 1
    return row | values


def recording_rows(memory) -> list:
    """Rows of every kind of event on blocks that are free in a memory."""
    lists = free_lists(memory)
    heads = lists[lists["position"] == 0]
    rows = []
    for block in heads.itertuples():
        page = {"pfn": int(block.pfn), "order": int(block.order)}
        typed = page | {"migratetype": int(block.migratetype)}
        if block.migratetype < 3:
            rows += [
                _trace_row("mm_page_alloc_zone_locked", **typed),
                _trace_row("mm_page_alloc", **typed),
                _trace_row("mm_page_free", **page),
                _trace_row("mm_page_free_batched", **page),
                _trace_row("mm_page_pcpu_drain", **typed),
            ]
        rows += [_trace_row("isolate", **typed), _trace_row("isolate_ret", a=1 << block.order)]
        rows += [_trace_row("putback", **typed)]
    big = heads[heads["order"] == 10].iloc[0]
    page = {"pfn": int(big.pfn), "order": 10, "migratetype": int(big.migratetype)}
    gfp, comm = HINTS
    rows += [
        _trace_row("mm_page_alloc_extfrag", a=10, b=0, c=1, **page),
        _trace_row("mm_page_alloc", gfp=gfp, comm=comm, **page),
        _trace_row("mm_page_alloc", gfp=gfp, comm=comm, **page | {"pfn": 0}),
        _trace_row("mm_page_free", **page),
        _trace_row("free_direct", a=1, **page),
        _trace_row("move_block", b=1, **page),
        _trace_row("mm_compaction_fast_isolate_freepages", **page),
        _trace_row("bulk_alloc", gfp="0x8"),
        _trace_row("bulk_alloc_ret", a=3),
        _trace_row("decay", a=7),
        _trace_row("drain_zone", a=7),
        _trace_row("proc"),
        _trace_row("isolate", **page),
        _trace_row("isolate_ret", a=1024),
        _trace_row("putback", **page),
        _trace_row("tracing_mark_write", gfp="something"),
    ]
    return rows


@cache
def recording() -> dict:
    """A recording ``a``: T0, T1 and a trace of rows of every kind between them."""
    memory = fh.make_memory(SIZE)
    rows = [
        _trace_row("tracing_mark_write", gfp="FH T0"),
        *recording_rows(memory),
        _trace_row("tracing_mark_write", gfp="FH T1"),
    ]
    table = pd.DataFrame(rows)
    table["seq"], table["ts_us"] = range(len(table)), range(0, 50 * len(table), 50)
    table = table[list(TRACE_DTYPES)].astype(TRACE_DTYPES)
    files = {"a.trace.parquet": parquet(pa.Table.from_pandas(table, preserve_index=False))}
    lists = pq.read_table(io.BytesIO(without_sums()["a.T0.freelist.parquet"]))
    lists = lists.append_column("reported", pa.array([0] * len(lists), pa.int8()))
    for moment, entries in (("T0", 1), ("T1", len(table))):
        for name, content in without_sums().items():
            files[name.replace("T0", moment)] = content
        meta = json.loads(without_sums()["a.T0.meta.json"])
        meta["trace"] = [{"cpu": 0, "entries": entries, "overrun": 0, "dropped_events": 0}]
        for number, zone in enumerate(meta["zones"]):
            zone["address_low31"] = 7 + number
        files[f"a.{moment}.meta.json"] = json.dumps(meta).encode()
        files[f"a.{moment}.freelist.parquet"] = parquet(lists)
    return files


def recordings() -> list:
    """Recordings with the record of a migration or without."""
    record = {"hint": "on", "pagetypeinfo_after": proc_texts()[0]["proc.txt"].decode()}
    packed = gzip.compress(json.dumps(record).encode(), mtime=0)
    return [recording(), recording() | {"a.migration.json.gz": packed}]


def migration_tables() -> list:
    """Tables of one recorded migration of each state, of a small guest, and one of two."""
    table = pd.read_csv(fh.data("linux-6.1/migration/migrations.csv"), keep_default_na=False)
    table["mem"] = SIZE.removesuffix("iB")
    table = table.drop_duplicates(["state", "hint"])
    some = [table[at : at + 1] for at in range(len(table))] + [table[:2]]
    return [{"migrations.csv": rows.to_csv(index=False).encode()} for rows in some]


# Runs, and what makes them.


@cache
def runs() -> list:
    """Folders of stored runs, one with a migration and two users."""
    found = []
    two = MOVING.with_values({"policy": ("v24", "page_reporting"), "host.discard": True})
    for scenario in (QUICK, two):
        with tempfile.TemporaryDirectory() as folder:
            fh.simulate(scenario).save(Path(folder) / "run")
            found.append(smaller(files_in(Path(folder))))
    return found


EVERY = """\
memory = "64MiB"
policy = ["v24", {kind = "Walker", name = "w", capacity = 8}]
seed = 3
kernel = "6.1"
duration_ns = 5000000
walk_at_ns = 1000
ring.size = 64
host.gap_ns = 5
host.discard = true
costs.fault_ns = 700
workload = {kind = "Program", state = "freed", fill_MiB = 2}
control.every_ns = 1000000
control.stop_at_ns = 4000000
migration = {kind = "MigrationConfig", start_at_ns = 5}
"""
LOAD = """\
memory = "64MiB"
policy = "five_step"
"policy.capacity" = 8
workload.nr_cpus = 2
workload.order_weights = [5, 1]
costs.walk_block_ns = 10
host.service_ns = 9
"""


def costs_files() -> list:
    """A costs file with every cost, and one with none."""
    entry = {"unit": "ns", "p25": 1.5, "p75": 2, "n": 9, "bound": "lower", "how": "by hand"}
    costs = {name: {"value": at, **entry} for at, name in enumerate(rules_of(fh.Costs))}
    whole = {"freehint_costs": 1, "made": "2026-11-30", "cpu": "a CPU", "kernel": "6.1"}
    whole |= {"freehint": "0.1.0", "costs": costs, "beside": {"wake_ns": {"value": 1, **entry}}}
    few = {"freehint_costs": 1, "costs": {}}
    return [{"a.json": json.dumps(one).encode()} for one in (whole, few)]


def scenarios() -> list:
    """TOML of scenarios."""
    made = [scenario_toml(one) for one in (QUICK, MOVING)]
    return [{"a.toml": text.encode()} for text in (*made, EVERY, LOAD)]


def published() -> list:
    """TOML of published rows, one of each kind of setup and row."""
    text = """\
source = "a"
[[fitted]]
parameter = "ring.size"
value = 64
on = "b"
setups = ["c"]
[setups.c]
words = "d"
seeds = [1]
parameters = { memory = "64MiB", policy = "none", duration_ns = 1000000, "host.discard" = true }
[setups.e]
words = "f"
like = "c"
parameters = { policy = "v24" }
[setups.g]
words = "h"
kind = "beside"
parameters.guests = 2
parameters.every_s = 1
parameters.scenario = { memory = "64MiB", "host.discard" = true }
[[rows]]
id = "b"
words = "i"
setup = "c"
column = "allocations"
value = 5
unit = "1"
[[rows]]
id = "j"
words = "k"
setup = "e"
baseline = "c"
kind = "change"
column = "peak_GiB"
value = -0.5
unit = "%"
tolerance = 0.5
[[rows]]
id = "l"
words = "m"
setup = "g"
column = "peak_GiB"
series = { file = "s.csv", config = "n", figure = "rss_GiB", statistic = "max", until_s = 9 }
unit = "GiB"
[[cannot]]
id = "o"
words = "p"
why = "q"
"""
    return [{"a.toml": text.encode()}]


def sweeps() -> list:
    """TOML of sweeps: a grid, and two designs."""
    grid = """\
seeds = [1, 2]
out = "out/sweep"
scheduler = "processes"
[scenario]
memory = "64MiB"
duration_ns = 5000000
[grid]
policy = ["v24", "five_step"]
"ring.size" = [32, 64]
host.gap_ns = [0, 5]
workload = [{kind = "Program", state = "freed"}, {kind = "Program", state = "idle"}]
"""
    design = """\
seeds = [1]
[scenario]
memory = "64MiB"
policy = "v24"
[design]
kind = "{kind}"
n = 8
seed = 2
[design.ranges]
"host.gap_ns" = {{low = 1, high = 1000, scale = "log"}}
"ring.size" = {{low = 32, high = 256, scale = "log2"}}
policy = ["v24", "five_step"]
"""
    texts = [grid, *(design.format(kind=kind) for kind in ("sobol", "latin_hypercube"))]
    return [{"a.toml": text.encode()} for text in texts]


def batches() -> list:
    """TOML of batches, a grid and a list, beside a small notebook."""
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {"tags": ["parameters"]},
        "outputs": [],
        "source": 'seed = 1\nname = "x"\nsizes = [32, 64]\nshare = 0.5\nflag = True\n',
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    head = 'notebook = "a.ipynb"\nout = "out"\nworkers = 2\nthumbnail = 1\nresults = "table"\n'
    grid = '[parameters]\nshare = 0.2\n[grid]\nseed = [1, 2]\nname = ["x", "y"]\n'
    runs = "[[run]]\nseed = 1\nsizes = [8]\n[[run]]\nseed = 2\nflag = false\n"
    there = {"a.ipynb": json.dumps(notebook).encode()}
    return [there | {"a.toml": (head + text).encode()} for text in (grid, runs)]


def sweep_facts() -> dict:
    """The facts of the sweep whose parts are mutated."""
    grid = {"policy": ["v24"], "ring.size": [32, 64]}
    return Design(QUICK, grid, [1, 2]).facts()


@cache
def parts() -> list:
    """Folders of sweeps: parts of one that runs, and the table of one that is over."""
    found = []
    summary = fh.simulate(QUICK).summary.to_dict()
    rows = {n: {"run": n, "status": "done", "error": "", **summary} for n in range(3)}
    for name in ("runs", "runs.parquet"):
        for whole in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                held = RunParts(Path(folder) / name, sweep_facts())
                with held.open():
                    held.add(rows)
                if whole:
                    held.join(pd.DataFrame(list(rows.values())))
                files = files_in(Path(folder))
                found.append({n: c for n, c in smaller(files).items() if n.endswith(".parquet")})
    return found


@cache
def trajectories() -> list:
    """The first moments of recorded runs as bytes."""
    return [{"a.fht": _first_moments(fh.record(one, 2), 3)} for one in (QUICK, MOVING)]


def _first_moments(whole: fh.Trajectory, count: int) -> bytes:
    arrays = dict(whole.arrays)
    versions = int((arrays["versions.moment"] < count).sum())
    for name in arrays:
        if name in MOMENTS:
            arrays[name] = arrays[name][:count]
        elif name in VERSIONS:
            arrays[name] = arrays[name][:versions]
    arrays["entries"] = arrays["entries"][: arrays["versions.end"][-1]]
    return fh.Trajectory(whole.meta, arrays).to_bytes()
