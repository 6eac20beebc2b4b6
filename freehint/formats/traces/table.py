"""The table that every trace becomes, and the account of what was read.

Its columns are those of the recorded parquet (``data/README.md``); -1 means not applicable.  The
events are defined in include/trace/events/kmem.h.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from freehint.config import InputError
from freehint.mm.memory import (
    MAX_ORDER,
    MIGRATETYPE_NAMES,
)

TRACE_DTYPES = {
    "seq": "uint32",
    "ts_us": "int64",
    "cpu": "uint8",
    "event": "category",
    "pid": "int32",
    "comm": "category",
    "pfn": "int32",
    "order": "int8",
    "migratetype": "int8",
    "a": "int32",
    "b": "int32",
    "c": "int32",
    "gfp": "category",
}
TRACE_COLUMNS = tuple(TRACE_DTYPES)
# Whether a row was written in a softirq (1), a hardirq (2), or one inside the other (3).
IRQ_COLUMN, MOST_IRQ = "irq", 3  # only where the recorder wrote it
TEXT_COLUMNS = ("event", "comm", "gfp")
NUMBERS = ("pfn", "order", "migratetype", "a", "b", "c")
INT32_MAX = (1 << 31) - 1
LIMITS = {  # largest value of a column
    "ts_us": (1 << 63) - 1,
    "cpu": 255,
    "pid": INT32_MAX,
    "pfn": INT32_MAX,
    "order": MAX_ORDER - 1,
    "migratetype": len(MIGRATETYPE_NAMES) - 1,
    "a": INT32_MAX,
    "b": INT32_MAX,
    "c": INT32_MAX,
}

# Fields that each tracepoint must print: printed name -> column (include/trace/events/kmem.h and
# vmscan.h).
_PAGE = {"pfn": "pfn", "order": "order"}
_TYPED = {**_PAGE, "migratetype": "migratetype"}
KMEM_FIELDS = {
    "mm_page_alloc": {**_TYPED, "gfp_flags": "gfp"},
    "mm_page_free": _PAGE,
    "mm_page_free_batched": _PAGE,
    "mm_page_alloc_zone_locked": {**_TYPED, "percpu_refill": "a"},
    "mm_page_pcpu_drain": _TYPED,
    "mm_page_alloc_extfrag": {
        "pfn": "pfn",
        "alloc_order": "order",
        "alloc_migratetype": "migratetype",
        "fallback_order": "a",
        "fallback_migratetype": "b",
        "change_ownership": "c",
    },
    "mm_vmscan_write_folio": {"pfn": "pfn", "flags": "gfp"},
}
# Tracepoints whose lines one regular expression takes apart; it is tried on every line.
PLAIN_EVENTS = tuple(KMEM_FIELDS)[:5]
# Names that the recordings gave their kprobes; the kprobes' arguments have the columns' names.
PROBE_EVENTS = (
    *("free_direct", "free_ok", "drain", "bulk", "steal", "steal_ret", "move_block"),
    *("move_block_ret", "claim_block", "claim_block_ret", "set_pbmt", "isolate", "isolate_ret"),
    *("putback", "decay", "drain_zone", "bulk_alloc", "bulk_alloc_ret", "unreserve", "rep", "proc"),
    *("pcp_push", "pcp_pop", "bulk_pop", "prepared", "move_isolate"),
    *("turn", "turn_head", "kswapd_balance", "kswapd_balance_ret"),
)
# Rows of the recorder's module, and their fields; -1 in a field means not applicable.
WALKER_EVENTS = (
    *("w_walk_begin", "w_walk_end", "w_stroke_begin", "w_stroke_end", "w_list_begin", "w_list_end"),
    *("w_hold_begin", "w_hold_end", "w_report", "w_rotate", "w_first", "w_lap", "w_cursor"),
    *("w_used", "w_isolate", "w_putback", "w_interrupt", "w_withdraw", "w_consume"),
)
WALKER_FIELDS = {name: name for name in NUMBERS if name != "migratetype"} | {"mt": "migratetype"}
MARKER = "tracing_mark_write"
# Events of which the table has the text alone, in the column gfp, as it has a marker's.
TEXT_EVENTS = (
    *("mm_compaction_begin", "mm_compaction_end", "mm_compaction_isolate_freepages"),
    *("mm_compaction_fast_isolate_freepages", "mm_compaction_migratepages", "mark_victim"),
    *("mm_vmscan_kswapd_wake", "mm_vmscan_kswapd_sleep", "mm_vmscan_lru_shrink_inactive"),
    *("mm_vmscan_direct_reclaim_begin", "mm_vmscan_direct_reclaim_end"),
    "mm_vmscan_lru_shrink_active",
)

SHOWN = 5  # unmatched lines that the account quotes
SHOWN_CHARACTERS = 160


@dataclass
class TraceAccount:
    """An account: ``lines = events + comments + blank + lost_lines + unmatched + unknown``.

    Attributes
    ----------
    format : str
        "ftrace", "trace-cmd", "perf", "parquet" or "llfree".
    lines : int
        Lines of text, rows of parquet, or slots for records.
    events : int
        Rows of the table.
    comments, blank : int
        Comment and header lines; blank lines or unused slots.
    lost : dict of int to int
        Events that the recorder says it lost, per CPU.
    lost_lines, lost_uncounted : int
        Lines that report lost events, and those among them that give no number.
    overwritten : int
        Events overwritten before the file was read (ftrace's header: written minus in buffer).
    unmatched : int
        Lines that are not understood, a line cut off at the end of the file among them.
    unmatched_lines : list of (int, str)
        The first of them, with their line numbers from 1.
    unknown : dict of str to int
        Number of events of each kind that the table does not have, by the event's name.
    unknown_fields : dict of str to int
        Arguments of probes that no column holds, by "event.argument"; their rows are in the table.
    out_of_order : int
        Rows that are earlier than the previous row of the same CPU.
    replaced : int
        Characters that are not UTF-8, such as a comm's cut last one; U+FFFD replaces them.
    notes : list of str
        Sentences about anything else that is worth knowing.
    """

    format: str
    lines: int = 0
    events: int = 0
    comments: int = 0
    blank: int = 0
    lost: Counter = field(default_factory=Counter)
    lost_lines: int = 0
    lost_uncounted: int = 0
    overwritten: int = 0
    unmatched: int = 0
    unmatched_lines: list = field(default_factory=list)
    unknown: Counter = field(default_factory=Counter)
    unknown_fields: Counter = field(default_factory=Counter)
    out_of_order: int = 0
    replaced: int = 0
    notes: list = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """True if no event is known to be missing and every line was understood."""
        return not (self.lost_lines or self.overwritten or self.unmatched or self.notes)

    def quote(self, number: int, text: str) -> None:
        """Count a line as not understood, and keep its text if it is among the first."""
        self.unmatched += 1
        if len(self.unmatched_lines) < SHOWN:
            self.unmatched_lines.append((number, text[:SHOWN_CHARACTERS]))

    def __str__(self) -> str:
        said = [f"{self.format}: {self.events} events in {self.lines} lines"]
        said += [f"CPU {cpu} lost {n} events" for cpu, n in sorted(self.lost.items())]
        if self.lost_uncounted:
            said.append(f"{self.lost_uncounted} lines report lost events but no number")
        if self.overwritten:
            said.append(f"{self.overwritten} events were overwritten before the trace was read")
        said += [f"{n} events of unknown kind {name}" for name, n in self.unknown.most_common()]
        said += [f"no column for {name} ({n} rows)" for name, n in self.unknown_fields.items()]
        if self.out_of_order:
            said.append(f"{self.out_of_order} rows are earlier than the row before on their CPU")
        if self.replaced:
            said.append(f"{self.replaced} characters are not UTF-8 and became U+FFFD")
        if self.unmatched:
            said.append(f"{self.unmatched} lines are not understood")
        said += [f"  line {number}: {text!r}" for number, text in self.unmatched_lines]
        return "\n".join(said + self.notes)


class TraceTable(NamedTuple):
    """A trace as a table, and the account of its reading.

    table   : DataFrame    TRACE_COLUMNS, one row per event; -1 = not applicable
    account : TraceAccount counts of what was read
    """

    table: pd.DataFrame
    account: TraceAccount


def outside(path, where: str, number: int, column: str, value: int) -> InputError:
    """The error for a value outside the limits of its column, at a line or row of a file."""
    return InputError(f"{path}: {where} {number}: {column} {value} must lie in 0..{LIMITS[column]}")


def finish(trace: pd.DataFrame, account: TraceAccount) -> TraceTable:
    """Give the table the recorded types, and count its events and its rows out of order."""
    for name, dtype in TRACE_DTYPES.items():
        trace[name] = trace[name].astype(dtype)
    account.events = len(trace)
    by_cpu = trace["ts_us"].groupby(trace["cpu"].to_numpy()).diff()
    account.out_of_order = int((by_cpu < 0).sum())
    return TraceTable(trace, account)
