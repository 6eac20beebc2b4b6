"""The trace of a recording: its statistics, its probes' counts, and its text as parquet."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from freehint.config import InputError
from freehint.formats.traces.read import read_trace
from freehint.formats.traces.table import IRQ_COLUMN
from freehint.record.order import MOST_MEMORY, Order, buffer_kib
from freehint.record.probes import COMPACTION, GROUP, TRACEPOINTS, Chosen
from freehint.record.qemu import Guest
from freehint.record.reclaim.probes import TRACEPOINTS as RECLAIM_TRACEPOINTS

MOST_PFN = (MOST_MEMORY + (1 << 30)) // 4096  # with the hole below 4 GiB
# The third of a row's flags: kernel/trace/trace_output.c, trace_print_lat_fmt().
FLAGS = r"^ *.{0,15}?-[0-9]+ +\[[0-9]+\] +[^ ]{2}([.shHzZ])[^ ]* +[0-9]+\.[0-9]+: "
CONTEXTS = {".": 0, "s": 1, "h": 2, "z": 2, "H": 3, "Z": 3}
LOST = ("overrun", "commit overrun", "dropped events")
DICTIONARIES = (*("event", "comm", "gfp", "order", "migratetype", "a", "b", "c", "pid", "cpu"),)
ENCODINGS = {
    "seq": "DELTA_BINARY_PACKED",
    "ts_us": "DELTA_BINARY_PACKED",
    "pfn": "BYTE_STREAM_SPLIT",
}


def make_buffer(guest: Guest, order: Order) -> None:
    """Take the memory of the trace's buffers."""
    guest.shell(f"trace_buffer {buffer_kib(order)} {int(order.reclaim)}")


def begin_trace(guest: Guest, order: Order, probes: Chosen) -> str:
    """Set probes and tracepoints, begin to trace, and return what is set."""
    for probe in probes.probes:
        guest.shell(f"echo '{probe.line()}' >> $T/kprobe_events")
    events = [f"kmem/{name}" for name in TRACEPOINTS]
    for event in (GROUP, *events, *(("fhwalk",) if order.knobs is not None else ())):
        guest.shell(f"echo 1 > $T/events/{event}/enable")
    for event in (*COMPACTION, *(RECLAIM_TRACEPOINTS if order.reclaim else ())):
        guest.shell(f"[ ! -d $T/events/{event} ] || echo 1 > $T/events/{event}/enable")
    guest.shell("echo 1 > $T/tracing_on")
    return guest.shell("cat $T/kprobe_events $T/set_event $T/buffer_size_kb")


def check_statistics(text: str) -> int:
    """The number of rows in the ring buffers, if none was lost.

    Parameters
    ----------
    text : str
        The files ``per_cpu/cpu*/stats`` of tracefs, one after another.

    Raises
    ------
    InputError
        Rows were lost, or the text tells nothing.
    """
    counts = {}
    for name, value in re.findall(r"^([a-z ]+): +(\d+)$", text, re.MULTILINE):
        counts[name] = counts.get(name, 0) + int(value)
    if "entries" not in counts:
        raise InputError(f"the trace's statistics tell no entries: {text!r:.80}")
    lost = {name: counts[name] for name in LOST if counts.get(name)}
    if lost:
        said = ", ".join(f"{name} {count}" for name, count in lost.items())
        raise InputError(
            f"the trace lost rows: {said}; a shorter workload or more --memory, of which the"
            " buffers have a sixteenth, helps"
        )
    return counts["entries"]


def check_profile(text: str) -> dict[str, int]:
    """The hits of every probe, if none was missed.

    Parameters
    ----------
    text : str
        The file ``kprobe_profile`` of tracefs: event, hits, misses.

    Raises
    ------
    InputError
        A probe was missed.
    """
    rows = [line.split() for line in text.splitlines() if line.strip()]
    for event, _, misses in rows:
        if int(misses):
            raise InputError(f"the probe {event!r} was missed {misses} times (kprobe_profile)")
    return {event: int(hits) for event, hits, _ in rows}


def write_trace(text: Path, parquet: Path, entries: int, contexts: bool = False) -> pd.DataFrame:
    """Turn the text of tracefs' ``trace`` into parquet with the columns of data/README.md.

    Parameters
    ----------
    text, parquet : Path
    entries : int
        The number of rows that the kernel counted.
    contexts : bool
        With the column ``irq``, which trace option irq-info tells.

    Returns
    -------
    DataFrame
        The trace as it is written.

    Raises
    ------
    InputError
        A line is not understood or an event is not known, or there are more or fewer rows than the
        kernel counted.
    """
    table, account = read_trace(text)
    if not account.whole or account.unknown or account.unknown_fields:
        raise InputError(f"the trace is not understood: {'; '.join(str(account).splitlines())}")
    if len(table) != entries:
        raise InputError(f"the trace has {len(table)} rows, but the kernel counted {entries}")
    # The fast search found no block: the probe has the list itself, which is near the memory's end,
    # so that a 64th of its address is no pfn.
    table.loc[(table["event"] == "turn_head") & (table["pfn"] > MOST_PFN), "pfn"] = -1
    if contexts:
        table[IRQ_COLUMN] = contexts_of(text)
    pq.write_table(
        pa.Table.from_pandas(table, preserve_index=False),
        parquet,
        compression="zstd",
        compression_level=15,
        use_dictionary=list(DICTIONARIES),
        column_encoding=ENCODINGS,
    )
    return table


def contexts_of(text: Path) -> np.ndarray:
    """The context in which each row of a trace's text was written.

    Parameters
    ----------
    text : Path
        It has been read: every line that is no comment is a row.

    Returns
    -------
    ndarray
        uint8: 0 process, 1 softirq, 2 hardirq, 3 hardirq inside softirq.

    Raises
    ------
    InputError
        A row tells none.
    """
    flags = pl.col("line").str.extract(FLAGS)
    rows = pl.scan_lines(text, name="line").filter(~pl.col("line").str.starts_with("#"))
    found = rows.select(flags.replace_strict(CONTEXTS, default=None, return_dtype=pl.UInt8))
    found = found.collect(engine="streaming").to_series()
    if found.null_count():
        raise InputError(f"the trace does not tell the contexts of {found.null_count()} rows")
    return found.to_numpy()
