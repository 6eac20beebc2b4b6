"""The columns of a run's stored tables and the entries of its summary, and their types."""

import pandas as pd
import pyarrow as pa

from freehint.config import InputError, require
from freehint.engine.guest.waiting import WAIT_COLUMNS
from freehint.engine.host.migration import ROUND_COLUMNS
from freehint.engine.host.park import AFTER_COLUMNS, PARK_COLUMNS
from freehint.engine.monitor import Rule
from freehint.engine.worker import REPORT_COLUMNS
from freehint.engine.world.jobs import LOG_COLUMNS
from freehint.runs.tables.frames import (
    BALLOON_COLUMNS,
    HELD_COLUMNS,
    RECLAIM_COLUMNS,
    VIOLATION_COLUMNS,
)
from freehint.runs.tables.remains import LOCK_COLUMNS, STRANDED_COLUMNS, WALK_COLUMNS

COLUMNS = {
    "reports": REPORT_COLUMNS,
    "locks": LOCK_COLUMNS,
    "waits": WAIT_COLUMNS,
    "walks": WALK_COLUMNS,
    "history": ("time_s", "order", "blocks", "free_pages"),
    "rounds": ROUND_COLUMNS,
    "violations": VIOLATION_COLUMNS,
    "resident": ("time_s", "resident_pages", "faults"),
    "reclaim": RECLAIM_COLUMNS,
    "jobs": ("step", *LOG_COLUMNS),
    "parks": PARK_COLUMNS + AFTER_COLUMNS,
    "stranded": STRANDED_COLUMNS,
    "work": ("time_s", "cpu", "rows", "slip_ns"),
    "held": HELD_COLUMNS,
    "balloon": BALLOON_COLUMNS,
}
# Types of columns and entries by name; all others are whole numbers.
COLUMN_TYPES = {
    **dict.fromkeys(
        ("user", "zone", "kind", "step", "outcome", "cause", *Rule._fields), "category"
    ),
    **dict.fromkeys(("taken", "duplicate", "completed", "kswapd_awake", "out_of_puff"), "bool"),
    "time_s": "float64",
}
ENTRY_TYPES = {"policy": str, "migration": str, "coverage": float, "survival": float}


def check_table(name: str, table: pd.DataFrame, path) -> None:
    """Refuse a table of a run that has not its columns.

    Raises
    ------
    InputError
        The message names the file, the column and its type.
    """
    for column in COLUMNS[name]:
        if column not in table:
            raise InputError(f"{path}: column {column!r} is missing")
        wanted = COLUMN_TYPES.get(column, "int64")
        if str(table[column].dtype) != wanted:
            raise InputError(
                f"{path}: column {column!r} must have type {wanted}, got {table[column].dtype}"
            )


def with_texts(table: pa.Table) -> pa.Table:
    """The table with a dictionary of texts where pandas has categories but no row."""
    texts = pa.dictionary(pa.int8(), pa.string())
    fields = [
        field.with_type(texts)
        if pa.types.is_dictionary(field.type) and pa.types.is_null(field.type.value_type)
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields, table.schema.metadata))


def check_summary(table: pd.DataFrame, entries, path) -> pd.Series:
    """The summary that a table of one row holds.

    Parameters
    ----------
    table : DataFrame
    entries : iterable of str
        The entries that must be there.
    path : Path
        The file, for the message.

    Raises
    ------
    InputError
        There is not one row, or an entry is missing or has another type.
    """
    if len(table) != 1:
        raise InputError(f"{path}: the summary must have 1 row, got {len(table)}")
    summary = table.astype(object).iloc[0]
    for name in entries:
        if name not in summary:
            raise InputError(f"{path}: the summary has no entry {name!r}")
    for name, value in summary.items():
        require(str(name).isidentifier(), f"{path}: an entry of the summary", "be a name", name)
        kind = ENTRY_TYPES.get(name, int)
        if type(value) is not kind:
            raise InputError(
                f"{path}: the summary's {name} must be {kind.__name__}, got {value!r:.80}"
            )
    return summary
