"""Traces in every format become the same table, and nothing is dropped without being counted."""

import gzip
import random
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import polars as pl
import pytest

from freehint.config import InputError
from freehint.data import data
from freehint.formats.traces import text as trace_text
from freehint.formats.traces.read import read_recorded_trace, read_trace
from freehint.formats.traces.table import (
    KMEM_FIELDS,
    MARKER,
    PLAIN_EVENTS,
    TRACE_DTYPES,
    TraceAccount,
)

SAMPLES = Path(__file__).parents[1] / "samples"
IDLE = "linux-6.1/traces/idle20.trace.parquet"
LINE = "     Web Content-2214    [000] .....    12.000001: "


def columns_of(table: pd.DataFrame) -> pd.DataFrame:
    """The table with plain texts and one type for c, which is narrower in some recordings."""
    return table.astype(dict.fromkeys(("event", "comm", "gfp"), str) | {"c": "int32"})


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(columns_of(left), columns_of(right))


def all_counted(account) -> bool:
    seen = account.events + account.comments + account.blank + account.lost_lines
    return account.lines == seen + account.unmatched + account.unknown.total()


def text_file(folder: Path, *lines: str) -> Path:
    path = folder / "trace.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        read_trace(path)
    return str(error.value)


def as_ftrace(row) -> str:
    """A row of the table as ftrace prints it, with the fields that its event has."""
    if row.event == MARKER:
        says = row.gfp
    else:
        names = KMEM_FIELDS[row.event].items()
        values = {name: getattr(row, column) for name, column in names}
        values["pfn"] = f"0x{row.pfn:x}"
        says = " ".join(["page=00000000deadbeef", *(f"{n}={v}" for n, v in values.items())])
    second, us = divmod(row.ts_us, 1_000_000)
    task = f"{row.comm:>16}-{row.pid:<7d} [{row.cpu:03d}] ....."
    return f"{task} {second:5d}.{us:06d}: {row.event}: {says}"


# -- every format, the same table


@pytest.mark.parametrize(
    ("file", "kind", "comments"), [("trace_cmd.txt", "trace-cmd", 3), ("perf.txt", "perf", 4)]
)
def test_every_tool_prints_the_same_table(file, kind, comments):
    ftrace, other = read_trace(SAMPLES / "ftrace.txt"), read_trace(SAMPLES / file)
    same(ftrace.table, other.table)
    assert (ftrace.account.format, other.account.format) == ("ftrace", kind)
    assert (ftrace.account.comments, other.account.comments) == (12, comments)
    for account in (ftrace.account, other.account):
        assert account.whole and account.events == 9 and all_counted(account)


def test_what_the_events_say():
    table = read_trace(SAMPLES / "ftrace.txt").table
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == TRACE_DTYPES
    assert table["seq"].tolist() == list(range(9))
    assert set(table["comm"]) == {"Web Content", "kworker/u4:3-ev", "a - 7 b", "<idle>", "<...>"}
    assert set(table["cpu"]) == {0, 1}
    marker, extfrag, locked, alloc, failed, *_, probe, drain = table.itertuples(index=False)
    assert (marker.ts_us, marker.event, marker.pid, marker.gfp) == (12000001, MARKER, 2214, "FH T0")
    assert (marker.pfn, marker.order, marker.a) == (-1, -1, -1)
    assert (extfrag.pfn, extfrag.order, extfrag.migratetype) == (0x30000, 0, 0)
    assert (extfrag.a, extfrag.b, extfrag.c) == (10, 1, 1)
    assert (locked.a, locked.b, locked.c) == (1, -1, -1)
    assert alloc.gfp == "GFP_KERNEL_ACCOUNT|__GFP_ZERO"
    assert (failed.pfn, failed.order) == (0, 10)
    assert (probe.event, probe.pfn, probe.migratetype) == ("free_direct", 0x1A2D, 1)
    assert (drain.pid, drain.migratetype, drain.gfp) == (99999, 1, "")


def test_a_recording_survives_text(tmp_path):
    recorded = read_recorded_trace(data(IDLE))
    path = text_file(tmp_path, "# tracer: nop", *map(as_ftrace, recorded.itertuples()))
    trace = read_trace(path)
    assert trace.account.whole and trace.account.comments == 1
    same(trace.table, recorded)


def test_blocks_do_not_show(tmp_path, monkeypatch):
    """Lines cut by the block's end, and line numbers across blocks."""
    recorded = read_recorded_trace(data(IDLE))
    lines = list(map(as_ftrace, recorded.itertuples()))
    lines.insert(1000, "what is this")
    path = text_file(tmp_path, *lines)
    monkeypatch.setattr(trace_text, "BLOCK_BYTES", 4096)
    trace = read_trace(path)
    assert trace.account.unmatched_lines == [(1001, "what is this")]
    same(trace.table, recorded)


def test_the_recorded_parquet():
    trace = read_trace(data(IDLE))
    assert trace.account.whole and trace.account.events == trace.account.lines == 1209
    same(trace.table, read_recorded_trace(data(IDLE)))


@pytest.mark.parametrize("file", ["ftrace.txt", "perf.txt", "idle"])
def test_gzip(tmp_path, file):
    source = data(IDLE) if file == "idle" else SAMPLES / file
    # The name says nothing: only the content counts.
    packed = tmp_path / "trace.parquet"
    packed.write_bytes(gzip.compress(Path(source).read_bytes()))
    same(read_trace(packed).table, read_trace(source).table)
    packed.write_bytes(packed.read_bytes()[:-40])
    assert "not whole gzip" in refusal(packed)


def test_other_kernels_and_options(tmp_path):
    lines = (
        # Decimal pfn; options/record-tgid; no flags; 9 digits; a blank at the end.
        "a-1  (    7) [003]  1.000002003: mm_page_free: page=ffffea0000000040 pfn=26 order=0 ",
        "a-1  (-----) [003]  1.000003: mm_page_alloc_zone_locked: page=          (null) pfn=0"
        " order=0 migratetype=2 percpu_refill=0",
        # libtraceevent without the kernel's symbols prints the raw fields, in their own order.
        "a-1  [003]  1.000004: mm_page_alloc: [FAILED TO PARSE] pfn=0x1a order=1"
        " gfp_flags=0xcc0 migratetype=0",
        "a-1  [003] d..1.  1.000005: isolate_ret: (page_reporting_process+0x1d8/0x3c0 <-"
        " __isolate_free_page) a=512 gfp=0xcc0",
    )
    table, account = read_trace(text_file(tmp_path, *lines))
    assert account.whole and not account.unknown_fields
    assert table["ts_us"].tolist() == [1000002, 1000003, 1000004, 1000005]
    assert table["pfn"].tolist() == [26, 0, 26, -1]
    assert table["migratetype"].tolist() == [-1, 2, 0, -1]
    assert table["a"].tolist() == [-1, 0, -1, 512]
    assert table["gfp"].tolist() == ["", "", "0xcc0", "0xcc0"]


def test_perf_with_thread_and_process(tmp_path):
    line = " Web Content  2200/2214  [001]  12.000001: kmem:mm_page_free: page=0x1 pfn=0x2 order=0"
    row = read_trace(text_file(tmp_path, line)).table.iloc[0]
    assert (row["comm"], row["pid"], row["cpu"]) == ("Web Content", 2214, 1)


# -- two expressions for the usual lines, one table

COMMS = ("fhload", "Web Content", "kworker/u4:3-ev", "a - 7 b", "a-1 b", "x [1]", "", "café \ufffd")
COMMS += ("sixteen letters.", "-1", "(5) 4/")
PIDS = {
    "ftrace": ("-0 ", "-7    ", "-99999 (    7) ", "-7"),
    "perf": (" 7 ", " 9/8  ", " -1 ", "7 "),
}
PIDS["trace-cmd"] = PIDS["ftrace"]
CPUS = ("[000] ", "[001]  ", "[256] ")
FLAGS = ("..... ", "d..1.  ", "", "1d.. ", "[1] ", "a 1.000001: ")
TIMES = ("    12.000001: ", "12.000001002: ", "9999999999999.000001: ", "1.00001: ")
EVENTS = (*PLAIN_EVENTS, "kmem:mm_page_free", "mm_page_alloc_extfrag", MARKER, "drain")
PAGES = (
    "page=1 pfn=0x1f",
    "page=00000000 pfn=31",
    "page=1 pfn=0",
    "page=(null) pfn=0x7",
    "pfn=0x1",
)
PAGES += ("page=[1] pfn=1", "page=1 pfn=0xffffffffffffffffff", "page=1 pfn=0x80000000")
SAYS = (
    "",
    " migratetype=1",
    " migratetype=1 percpu_refill=1",
    " migratetype=1 gfp_flags=GFP_USER|4",
)
SAYS += (" ", " gfp_flags=0", f" migratetype={'9' * 20}", " migratetype=1 gfp_flags=[")
EDITS = ("", " ", "-", "[", "]", "(", ")", ".", ":", "=", "0", "9", "a", "\t")


def nearly_usual(stream: random.Random, kind: str) -> str:
    """A line of an event, or of something that differs from one by up to two edits."""
    parts = (COMMS, PIDS[kind], CPUS, FLAGS, TIMES, EVENTS, (": ", ":"), PAGES)
    parts += ((" order=0", " order=10", " order=11"), SAYS)
    # The first ones of each part are the likely ones, or few lines would be usual.
    line = "".join(stream.choice(part[:2] * 9 + part) for part in parts)
    for _ in range(stream.randrange(3)):
        at = stream.randrange(len(line))
        line = line[:at] + stream.choice(EDITS) + line[at + stream.randrange(4) :]
    return " " * stream.randrange(3) + line


@pytest.mark.parametrize("kind", ["ftrace", "trace-cmd", "perf"])
def test_the_fast_expression_changes_nothing(kind):
    """Rows before their limits are checked, and accounts: as without that expression."""
    stream = random.Random(25)
    lines = [nearly_usual(stream, kind) for _ in range(30_000)]
    block = "".join(f"{line}\n" for line in lines).encode()

    def read():
        account = TraceAccount(kind)
        return trace_text._read_block(Path("x"), block, account), account

    usual = trace_text.usual_pattern(kind)
    with patch.object(trace_text, "_checked", lambda path, rows, kind: rows):
        rows, account = read()
        with patch.object(trace_text, "usual_pattern", lambda kind: f"^never{usual[1:]}"):
            slow_rows, slow_account = read()
    assert rows.equals(slow_rows) and account == slow_account
    groups = trace_text._usual_groups(pl.DataFrame({"text": lines}), kind)
    assert 0.1 < groups.select(pl.col("pid").is_not_null().mean()).item() < 0.9


@pytest.mark.parametrize("file", ["ftrace.txt", "trace_cmd.txt", "perf.txt"])
def test_the_fast_expression_matches_the_usual_lines(file):
    kind = file.removesuffix(".txt").replace("_", "-")
    lines = pl.DataFrame({"text": (SAMPLES / file).read_text().splitlines()}).with_row_index("line")
    usual, rest = trace_text._rows(trace_text._usual_groups(lines, kind))
    slow, _ = trace_text._rows(trace_text._all_groups(rest, trace_text.plain_pattern(kind)))
    assert usual.height >= 4 and slow.height == 0


# -- what is counted


def test_a_damaged_trace_is_accounted_for():
    table, account = read_trace(SAMPLES / "damaged.txt")
    assert account.lost == {1: 134} and account.lost_lines == 4 and account.lost_uncounted == 1
    assert account.overwritten == 12
    assert account.unknown == {"sched_switch": 1, "kmem_cache_free": 1}
    assert account.unknown_fields == {"free_ok.page": 1}
    assert [number for number, _ in account.unmatched_lines] == [14, 15, 16, 18, 22]
    assert account.unmatched == 5 and "pfn=zz" in account.unmatched_lines[1][1]
    assert account.out_of_order == 1 and account.blank == 1
    assert account.lines == 22 and account.events == len(table) == 5
    assert all_counted(account) and not account.whole
    assert (table["order"].tolist(), table["a"].tolist()[2]) == ([0, 0, 4, -1, 0], 2)
    for said in ("CPU 1 lost 134", "line 15:", "no column for free_ok.page", "cut off"):
        assert said in str(account)


def test_text_that_looks_like_an_event_is_not_one():
    marker = read_trace(SAMPLES / "damaged.txt").table.iloc[3]
    assert marker["event"] == MARKER and marker["gfp"].startswith("x-1 ") and marker["pfn"] == -1


def test_perf_counts_lost_events(tmp_path):
    lines = (
        "   a - 7 b       7 [000]    12.000130: kmem:mm_page_free: page=0x1 pfn=0x2 order=0",
        "   a - 7 b       7 [001]    12.000131: PERF_RECORD_LOST lost 12",
        "\tffffffff812a5b40 free_unref_page+0x1 ([kernel.kallsyms])",
    )
    account = read_trace(text_file(tmp_path, *lines)).account
    assert account.lost == {1: 12} and account.unmatched_lines[0][0] == 3 and all_counted(account)


@pytest.mark.parametrize("cut", range(1, 31))
def test_a_last_line_cut_off_is_never_read(tmp_path, cut):
    """Even where the rest of ``order=10`` looks whole."""
    text = (LINE + "mm_page_free: page=1 pfn=0x1 order=10\n") * 2
    path = tmp_path / "trace"
    path.write_text(text[:-cut])
    table, account = read_trace(path)
    assert len(table) == 1 and account.unmatched_lines[0][0] == 2 and not account.whole
    assert account.lines == 2 and all_counted(account)


def test_only_a_line_cut_off(tmp_path):
    path = tmp_path / "trace"
    path.write_text(LINE + "mm_page_free: page=1 pfn=0x1 order=1")
    table, account = read_trace(path)
    assert len(table) == 0 and account.unmatched == account.lines == 1
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == TRACE_DTYPES


def test_a_comm_cut_within_a_character(tmp_path):
    path = tmp_path / "trace"
    line = (LINE + "mm_page_free: page=1 pfn=0x1 order=1\n").encode()
    path.write_bytes(line.replace(b"Web Content", b"caf\xc3\xa9 \xc3") + line)
    table, account = read_trace(path)
    assert table["comm"].tolist() == ["café \ufffd", "Web Content"]
    assert account.replaced == 1 and "not UTF-8" in str(account)


def test_a_number_beyond_64_bits_is_counted(tmp_path):
    path = text_file(tmp_path, LINE + "mm_page_free: page=1 pfn=0x123456789abcdef01234 order=1")
    assert read_trace(path).account.unmatched == 1


def test_a_header_alone_is_an_empty_trace(tmp_path):
    table, account = read_trace(text_file(tmp_path, "# tracer: nop", "#"))
    assert len(table) == 0 and account.comments == 2 and account.whole
    assert read_trace(text_file(tmp_path, "cpus=2")).account.format == "trace-cmd"


def test_windows_line_ends(tmp_path):
    path = tmp_path / "trace"
    path.write_bytes((LINE + "mm_page_free: page=1 pfn=0x1 order=1\r\n").encode())
    assert read_trace(path).account.whole


# -- what is refused


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("mm_page_free: page=1 pfn=0x1 order=11", "order 11 must lie in 0..10"),
        ("mm_page_free: page=1 pfn=0x1 order=-1", "order -1 must lie in 0..10"),
        ("mm_page_free: page=1 pfn=0x80000000 order=1", "pfn 2147483648 must lie in 0..2147483647"),
        ("mm_page_pcpu_drain: page=1 pfn=0x1 order=1 migratetype=6", "migratetype 6 must lie"),
        ("mm_page_pcpu_drain: page=1 pfn=0x1 order=1 migratetype=-2", "migratetype -2 must lie"),
        ("drain: (free_pcppages_bulk+0x0/0x290) a=0xffffffff", "a 4294967295 must lie"),
    ],
)
def test_numbers_that_cannot_be(tmp_path, says, why):
    path = text_file(tmp_path, LINE + "mm_page_free: page=1 pfn=0x1 order=0", "", LINE + says)
    assert refusal(path).startswith(f"{path}: line 3: {why}")


def test_a_cpu_that_does_not_fit(tmp_path):
    line = LINE.replace("[000]", "[256]") + "mm_page_free: page=1 pfn=0x1 order=0"
    assert "line 1: cpu 256 must lie in 0..255" in refusal(text_file(tmp_path, line))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (bytes(range(256)) * 100, "neither parquet nor an LLFree trace"),
        (b"\0", "neither parquet nor an LLFree trace"),
        (b"PAR1 and no more", "not whole parquet"),
        (b"\x1f\x8bxx", "not whole gzip"),
        (b"order,pfn\n1,2\n", "this is no trace: none of its first"),
        (b"\xff\xfe\x01" * 99, "this is no trace"),
        (b"x" * (trace_text.BLOCK_BYTES + 1), "longer than"),
        (b"# nop latency trace v1.1.5 on 6.1.0\n", "latency format"),
    ],
)
def test_files_that_are_no_trace(tmp_path, content, why):
    path = tmp_path / "file"
    path.write_bytes(content)
    sentence = refusal(path)
    assert sentence.startswith(f"{path}: ") and why in sentence and "\n" not in sentence


def test_no_file(tmp_path):
    assert "there is no such file" in refusal(tmp_path / "missing")
    assert "cannot be read: Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("order", 11, "row 7: order 11 must lie in 0..10"),
        ("order", -1, "row 7: mm_page_alloc has no order"),
        ("pfn", -2, "row 7: pfn -2 must lie"),
        ("seq", 9, "row 7: seq 9 follows a lost row"),
        ("cpu", 0.5, "column 'cpu' must hold whole numbers"),
    ],
)
def test_a_recording_with_a_wrong_number(tmp_path, column, value, why):
    table = read_recorded_trace(data(IDLE)).astype({column: type(value)})
    table.loc[7, column] = value
    table.to_parquet(tmp_path / "wrong.parquet")
    assert why in refusal(tmp_path / "wrong.parquet")


# -- LLFree's records


def llfree_page(cpu: int, *records) -> bytes:
    """A page as the kernel writes it: fields from the lowest of 128 bits upwards."""
    words = b""
    for time_us, pfn, alloc, order, gfp, pid in records:
        bits, at = 0, 0
        for value, width in zip(
            (time_us, pfn, alloc, order, gfp, pid), (38, 24, 1, 4, 29, 32), strict=True
        ):
            bits |= value << at
            at += width
        words += bits.to_bytes(16, "little")
    return (cpu.to_bytes(16, "little") + words).ljust(4096, b"\0")


def llfree_file(path: Path, promised: int, cores: int, max_pfn: int, *pages: bytes) -> Path:
    header = np.array([promised, cores, max_pfn], "<u4").tobytes().ljust(4096, b"\0")
    path.write_bytes(header + b"".join(pages))
    return path


MOVABLE_ALLOC = (1 << 28) | 0x08 | 0x02


def test_llfree_records_are_merged_by_time(tmp_path):
    pages = (
        llfree_page(1, (20, 0xABCDE, 1, 9, MOVABLE_ALLOC, 77), ((1 << 38) - 1, 5, 0, 10, 0, 1)),
        llfree_page(0, (10, 1, 1, 0, 0x10, 2), (30, 1, 0, 0, 0, 2)),
    )
    table, account = read_trace(llfree_file(tmp_path / "t.bin", 2, 2, 0xFFFFF, *pages))
    assert account.format == "llfree" and account.whole
    assert (account.lines, account.events, account.blank) == (510, 4, 506)
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == TRACE_DTYPES
    assert table["ts_us"].tolist() == [10, 20, 30, (1 << 38) - 1]
    assert table["cpu"].tolist() == [0, 1, 0, 1]
    assert table["event"].tolist() == ["mm_page_alloc"] * 2 + ["mm_page_free"] * 2
    assert table["pfn"].tolist() == [1, 0xABCDE, 1, 5]
    assert table["order"].tolist() == [0, 9, 0, 10]
    assert table["pid"].tolist() == [2, 77, 2, 1]
    assert table["migratetype"].tolist() == [2, 1, -1, -1]
    assert table["gfp"].tolist()[1:3] == ["__GFP_HIGHMEM|__GFP_MOVABLE|PAGE_CACHE", ""]


def test_llfree_pages_that_are_missing(tmp_path):
    page = llfree_page(0, (10, 1, 1, 0, 0, 2), (9, 2, 1, 0, 0, 2))
    table, account = read_trace(llfree_file(tmp_path / "t.bin", 3, 1, 99, page))
    assert "up to 510 records are missing" in account.notes[0] and not account.whole
    # A CPU's records stay in their order, whatever their times.
    assert table["pfn"].tolist() == [1, 2] and account.out_of_order == 1


@pytest.mark.parametrize(
    ("record", "cpu", "why"),
    [
        ((1, 1, 1, 11, 0, 0), 0, "page 1, record 1: order 11 must lie in 0..10"),
        ((1, 1, 1, 0, 0x18, 0), 0, "page 1, record 1: gfp has both __GFP_MOVABLE and"),
        ((1, 200, 1, 0, 0, 0), 0, "page 1, record 1: pfn 200 must lie in 0..99"),
        ((1, 1, 1, 0, 0, 1 << 31), 0, "page 1, record 1: pid 2147483648 must lie"),
        ((1, 1, 1, 0, 0, 0), 2, "page 1: cpu 2 must lie in 0..1"),
    ],
)
def test_llfree_numbers_that_cannot_be(tmp_path, record, cpu, why):
    page = llfree_page(cpu, (1, 1, 1, 0, 0, 0), record)
    assert why in refusal(llfree_file(tmp_path / "t.bin", 1, 2, 99, page))


def test_llfree_cut_within_a_page(tmp_path):
    path = llfree_file(tmp_path / "t.bin", 1, 2, 99, llfree_page(0, (1, 1, 1, 0, 0, 0)))
    path.write_bytes(path.read_bytes()[:-96])
    assert "the last of this file has 4000" in refusal(path)


# -- the benchmark


def test_the_benchmark_reads_what_it_writes(tmp_path):
    from benchmarks import traces

    path = tmp_path / "trace.txt"
    traces.write_trace(path, 5000)
    assert traces.regex_alone(path) == 5002  # with the header's lines
    table, account = read_trace(path)
    assert account.whole and len(table) == 5000 and set(table["event"]) <= set(traces.KINDS)
    rows = traces.measure_traces(lines=2000, rounds=2)
    assert [row.side for row in rows] == list(traces.SIDES)
    assert rows[0].ratio == 1 and all(row.peak_MiB >= row.before_MiB > 0 for row in rows)


@pytest.mark.parametrize("value", ["18446744073709551616", "9" * 30])
@pytest.mark.parametrize("event", ["mm_page_alloc", "mm_page_alloc_zone_locked"])
def test_a_migratetype_that_fits_no_number_is_not_dropped_silently(tmp_path, event, value):
    rest = "gfp_flags=0x0" if event == "mm_page_alloc" else "percpu_refill=1"
    line = f"{LINE}{event}: page=0x0 pfn=0x10 order=0 migratetype={value} {rest}"
    account = read_trace(text_file(tmp_path, line.replace(value, "1"), line)).account
    assert (account.events, account.unmatched) == (1, 1)
