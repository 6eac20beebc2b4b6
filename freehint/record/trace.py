"""The trace of a recording: its statistics, its probes' counts, and its text as parquet."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freehint.config import InputError
from freehint.formats.traces.read import read_trace

LOST = ("overrun", "commit overrun", "dropped events")
DICTIONARIES = (*("event", "comm", "gfp", "order", "migratetype", "a", "b", "c", "pid", "cpu"),)
ENCODINGS = {
    "seq": "DELTA_BINARY_PACKED",
    "ts_us": "DELTA_BINARY_PACKED",
    "pfn": "BYTE_STREAM_SPLIT",
}


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


def write_trace(text: Path, parquet: Path, entries: int) -> int:
    """Turn the text of tracefs' ``trace`` into parquet with the columns of data/README.md.

    Parameters
    ----------
    text, parquet : Path
    entries : int
        The number of rows that the kernel counted.

    Returns
    -------
    int
        The number of rows.

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
    pq.write_table(
        pa.Table.from_pandas(table, preserve_index=False),
        parquet,
        compression="zstd",
        compression_level=15,
        use_dictionary=list(DICTIONARIES),
        column_encoding=ENCODINGS,
    )
    return len(table)
