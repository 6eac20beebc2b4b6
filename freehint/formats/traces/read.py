"""Read traces that the kernel's tools print, that LLFree records, or that were recorded here.

Every format becomes the same table, that of the recorded parquet, and an account of everything
read that is not in the table: nothing is dropped without being counted.
"""

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from freehint.config import InputError
from freehint.formats.digest import Files
from freehint.formats.traces.llfree import read_llfree
from freehint.formats.traces.table import (
    IRQ_COLUMN,
    KMEM_FIELDS,
    LIMITS,
    MARKER,
    MOST_IRQ,
    PROBE_EVENTS,
    TEXT_COLUMNS,
    TEXT_EVENTS,
    TRACE_COLUMNS,
    WALKER_EVENTS,
    TraceAccount,
    TraceTable,
    finish,
    outside,
)
from freehint.inputs.reading import frame_of, reading, table_of, unpacking

READ_AHEAD = 1 << 20


def read_trace(path) -> TraceTable:
    """Read a trace of the page allocator's events.

    The content shows the format: ftrace's ``trace`` or ``trace_pipe``, the output of
    ``trace-cmd report`` or ``perf script``, the recorded parquet, or LLFree's records.  Each may
    be compressed with gzip.  Times are in microseconds; further digits are cut off.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    TraceTable
        ``table`` and ``account``.  Lost events, lines that are not understood and events of
        unknown kinds are counted in the account, not refused.

    Raises
    ------
    InputError
        The file is missing, empty, damaged or in none of the formats, or it has an impossible
        number, such as an order beyond 10.  The message names the line and the value.

    Examples
    --------
    >>> import freehint as fh
    >>> trace = fh.read_trace(fh.data("linux-6.1/traces/idle20.trace.parquet"))
    >>> trace.account.events, trace.account.whole
    (1209, True)
    """
    path = Path(path)
    with reading(path), unpacking(path), open(path, "rb") as raw:
        if raw.read(2) == b"\x1f\x8b":
            raw.seek(0)
            with gzip.open(raw) as content:
                return _read_any(path, io.BufferedReader(content, READ_AHEAD))
        raw.seek(0)
        return _read_any(path, raw)


def _read_any(path: Path, content) -> TraceTable:
    start = content.peek(4096)[:4096]
    if not start:
        raise InputError(f"{path}: the file is empty")
    if start.startswith(b"PAR1"):
        return _read_parquet(path, content)
    if b"\0" in start:
        return read_llfree(path, content.read())
    # Imported here, because polars would take a quarter of the time of importing freehint.
    from freehint.formats.traces.text import read_text

    return read_text(path, content)


def read_recorded_trace(path, files: Files | None = None) -> pd.DataFrame:
    """A recorded trace as one table, read through ``files`` if they are given.

    Raises
    ------
    InputError
        The file is missing or not whole, or a column or rows are missing.
    """
    path = Path(path)
    return _recorded(path, (files or Files()).read(path))


def _recorded(path: Path, source) -> pd.DataFrame:
    table = table_of(source, path)
    for name in TRACE_COLUMNS:
        if name not in table.column_names:
            raise InputError(f"{path}: column {name!r} is missing")
        if table.column(name).null_count:
            raise InputError(f"{path}: column {name!r} has empty values")
        _require_type(path, name, table.schema.field(name).type)
    columns = list(TRACE_COLUMNS)
    if IRQ_COLUMN in table.column_names:
        _require_contexts(path, table.column(IRQ_COLUMN))
        columns.append(IRQ_COLUMN)
    trace = frame_of(table.select(columns), path)
    for name in TEXT_COLUMNS:  # whether or not the file has a dictionary of its texts
        trace[name] = trace[name].astype("category")
    seq = trace["seq"].to_numpy()
    if len(seq) and not (seq == np.arange(len(seq))).all():
        row = int(np.argmin(seq == np.arange(len(seq))))
        raise InputError(f"{path}: row {row}: seq {seq[row]} follows a lost row")
    return trace


def _require_contexts(path: Path, column: pa.ChunkedArray) -> None:
    """Refuse a column of interrupt contexts with a value that is none."""
    if column.null_count:
        raise InputError(f"{path}: column {IRQ_COLUMN!r} has empty values")
    _require_type(path, IRQ_COLUMN, column.type)
    values = column.to_numpy()
    wrong = (values < 0) | (values > MOST_IRQ)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{path}: row {row}: {IRQ_COLUMN} {values[row]} must lie in 0..{MOST_IRQ}")


def _require_type(path: Path, name: str, kind: pa.DataType) -> None:
    """Refuse a column of another kind; recordings write short texts as dictionaries."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = name in TEXT_COLUMNS
    good = (
        pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if text
        else (pa.types.is_integer(kind))
    )
    if not good:
        what = "texts" if text else "whole numbers"
        raise InputError(f"{path}: column {name!r} must hold {what}, got {kind}")


def _read_parquet(path: Path, content) -> TraceTable:
    trace = _recorded(path, content)
    for name, limit in LIMITS.items():
        values = trace[name].to_numpy()
        least = 0 if name in ("ts_us", "cpu") else -1
        wrong = (values < least) | (values > limit)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise outside(path, "row", row, name, values[row])
    for event, columns in KMEM_FIELDS.items():
        rows = np.flatnonzero(trace["event"] == event)
        for name in columns.values():
            if name == "gfp":
                continue
            wrong = trace[name].to_numpy()[rows] < 0
            if wrong.any():
                row = int(rows[np.argmax(wrong)])
                raise InputError(f"{path}: row {row}: {event} has no {name}")
    account = TraceAccount("parquet", lines=len(trace))
    known = trace["event"].isin((*KMEM_FIELDS, *PROBE_EVENTS, *TEXT_EVENTS, *WALKER_EVENTS, MARKER))
    if not known.all():
        # They are kept, because the seq of a recording must go on without a gap.
        strange = sorted(set(trace["event"][~known]))
        account.notes.append(f"the table has rows of unknown kinds: {', '.join(strange)}")
    return finish(trace, account)
