"""Read traces from text: ftrace's ``trace`` and ``trace_pipe``, or output of trace-cmd and perf.

Polars takes the usual lines of the usual tracepoints apart with a fast regular expression, and each
distinct task, of which there are few, with another.  Lines that they do not match go to a slower
one, which knows every form of such lines.  The few that are left are parsed field by field, and
those that are still not understood are counted and quoted.  The text is read in blocks, so the
table, not the text, bounds the memory used.
"""

import re
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from freehint.config import InputError
from freehint.formats.traces.patterns import (
    COMMENT,
    LATENCY,
    LOST,
    OVERWRITTEN,
    PERF_LOST,
    any_pattern,
    plain_pattern,
    task_pattern,
    usual_pattern,
)
from freehint.formats.traces.table import (
    KMEM_FIELDS,
    LIMITS,
    MARKER,
    NUMBERS,
    PROBE_EVENTS,
    TEXT_COLUMNS,
    TEXT_EVENTS,
    TRACE_COLUMNS,
    TRACE_DTYPES,
    WALKER_EVENTS,
    WALKER_FIELDS,
    TraceAccount,
    TraceTable,
    finish,
    outside,
)

BLOCK_BYTES = 8 << 20
DETECT_BYTES = 1 << 20


def read_text(path: Path, content) -> TraceTable:
    """Read a trace from an open text file, for ``read_trace``."""
    account, chunks = None, []
    for block in _blocks(path, content):
        block, replaced = _as_utf8(block)
        account = account or TraceAccount(_detect(path, block))
        account.replaced += replaced
        cut = block[block.rfind(b"\n") + 1 :]
        block = block[: len(block) - len(cut)]
        if block:
            chunks.append(_read_block(path, block, account))
        if cut:
            # Its last number may lack digits, so the line cannot be trusted.
            account.lines += 1
            account.quote(account.lines, cut.decode())
            account.notes.append(f"line {account.lines} is cut off: the file ends within it")
    chunks = chunks or [_checked(path, pl.DataFrame({"line": []}), account.format)]
    table = pa.concat_tables(chunks).unify_dictionaries().to_pandas()
    table.insert(0, "seq", range(len(table)))
    return finish(table, account)


def _blocks(path: Path, content):
    """Yield whole lines, about BLOCK_BYTES at a time; only the file's last may be cut off."""
    rest = b""
    while data := content.read(BLOCK_BYTES):
        end = data.rfind(b"\n") + 1
        if not end:
            if len(data) == BLOCK_BYTES:
                raise InputError(f"{path}: a line is longer than {BLOCK_BYTES} bytes")
            rest += data
            continue
        yield rest + data[:end]
        rest = data[end:]
    if rest:
        yield rest


def _as_utf8(block: bytes) -> tuple[bytes, int]:
    """The block as valid UTF-8, and the number of characters that U+FFFD had to replace.

    The kernel cuts a comm after 15 bytes, maybe within a character.
    """
    if block.isascii():
        return block, 0
    before = block.count("\ufffd".encode())
    block = block.decode("utf-8", "replace").encode()
    return block, block.count("\ufffd".encode()) - before


def _detect(path: Path, block: bytes) -> str:
    """The format of a text, known from its first event or, without events, from its header."""
    text = block[:DETECT_BYTES].decode("utf-8", "replace")
    if LATENCY.search(text):
        raise InputError(
            f"{path}: this has ftrace's latency format, whose times are relative:"
            " record with 'echo 0 > options/latency-format'"
        )
    lines = text.split("\n")
    trace_cmd = any(re.match(r"(cpus|version) *= *[0-9]+$", line.strip()) for line in lines[:100])
    patterns = {kind: re.compile(any_pattern(kind)) for kind in ("ftrace", "perf")}
    for line in lines:
        for kind, pattern in patterns.items():
            if pattern.match(line.rstrip("\r")):
                return "trace-cmd" if trace_cmd and kind == "ftrace" else kind
    if trace_cmd:
        return "trace-cmd"
    if any(line.startswith("# tracer:") or re.match(LOST, line) for line in lines):
        return "ftrace"
    raise InputError(
        f"{path}: this is no trace: none of its first {len(lines)} lines is an event as ftrace,"
        f" trace-cmd report or perf script prints it; line 1 is {lines[0][:80]!r}"
    )


def _number(text: pl.Expr) -> pl.Expr:
    """Decimal digits as a number, or null if it does not fit 64 bits."""
    return text.cast(pl.Int64, strict=False)


def _from_groups() -> list[pl.Expr]:
    """The columns ts_us, cpu and pid from the patterns' groups sec, us, cpu and pid."""
    time = _number(pl.col("sec")) * 1_000_000 + _number(pl.col("us"))
    return [time.alias("ts_us"), _number(pl.col("cpu")), _number(pl.col("pid"))]


def _read_block(path: Path, block: bytes, account: TraceAccount) -> pa.Table:
    """Parse whole lines into a table, and enter the lines that it lacks into the account."""
    kind, first = account.format, account.lines + 1
    lines = pl.scan_lines(block, name="text", row_index_name="line", row_index_offset=first)
    lines = lines.collect()
    account.lines += lines.height
    usual, rest = _rows(_usual_groups(lines, kind))
    parts = [usual]
    if rest.height:
        plain, rest = _rows(_all_groups(rest, plain_pattern(kind)))
        parts.append(plain)
    if rest.height:
        parts += _read_odd(rest, account)
    if len(parts) > 1:
        usual = pl.concat(parts, how="diagonal").sort("line")
    return _checked(path, usual, kind)


def _all_groups(lines: pl.DataFrame, pattern: str) -> pl.DataFrame:
    """The lines, with a column for each group of a pattern."""
    groups = pl.col("text").str.extract_groups(pattern).alias("groups")
    return lines.with_columns(groups).unnest("groups")


def _usual_groups(lines: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The groups of the plain pattern for the usual lines, by the usual pattern; else null."""
    lines = _all_groups(lines, usual_pattern(kind))
    tasks = lines.select(pl.col("task").unique()).drop_nulls()
    groups = pl.col("task").str.extract_groups(task_pattern(kind)).alias("groups")
    tasks = tasks.with_columns(groups).unnest("groups").with_columns(_number(pl.col("pid")))
    return lines.join(tasks, on="task", how="left", maintain_order="left")


def _rows(groups: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the lines whose groups say all that their event has to, and the other lines."""
    has = {name: pl.col(name).is_not_null() for name in ("migratetype", "gfp", "a")}
    event, nothing = pl.col("event"), ~has["migratetype"]
    says_all = (
        pl.when(event == "mm_page_alloc")
        .then(has["migratetype"] & has["gfp"])
        .when(event == "mm_page_alloc_zone_locked")
        .then(has["migratetype"] & has["a"])
        .when(event == "mm_page_pcpu_drain")
        .then(has["migratetype"] & ~has["gfp"] & ~has["a"])
        .otherwise(nothing)
    )
    numbers = ("ts_us", "cpu", "pid", "pfn", "order")
    plain = pl.all_horizontal(event.is_not_null(), says_all, pl.col(numbers).is_not_null())
    hexadecimal = pl.col("hex").str.to_integer(base=16, strict=False, dtype=pl.Int64)
    columns = [n for n in TRACE_COLUMNS if n not in ("seq", "b", "c")]
    rows = groups.with_columns(
        *_from_groups(),
        pl.coalesce(hexadecimal, _number(pl.col("dec"))).alias("pfn"),
        *(_number(pl.col(name)) for name in ("order", "migratetype", "a")),
    )
    plain = rows.select(plain).to_series()
    return rows.select("line", *columns).filter(plain), rows.select("line", "text").filter(~plain)


def _checked(path: Path, rows: pl.DataFrame, kind: str) -> pa.Table:
    """Refuse impossible numbers, and give each column its type; texts become dictionaries."""
    for name, limit in LIMITS.items():
        if name not in rows.columns:
            continue
        least = -1 if name == "pid" and kind == "perf" else 0
        wrong = rows.filter((pl.col(name) < least) | (pl.col(name) > limit))
        if wrong.height:
            raise outside(path, "line", wrong["line"][0], name, wrong[name][0])
    columns = {}
    for name in TRACE_COLUMNS[1:]:
        if name in TEXT_COLUMNS:
            texts = rows[name] if name in rows.columns else pl.Series([""] * rows.height)
            columns[name] = texts.fill_null("").to_arrow().dictionary_encode()
        else:
            values = rows[name] if name in rows.columns else pl.repeat(-1, rows.height, eager=True)
            columns[name] = pa.array(values.fill_null(-1).to_numpy(), TRACE_DTYPES[name])
    return pa.table(columns)


def _read_odd(odd: pl.DataFrame, account: TraceAccount) -> list[pl.DataFrame]:
    """Find the events among the lines that the plain pattern does not match, and return them."""
    text, kind = pl.col("text"), account.format

    def take(condition: pl.Expr) -> pl.DataFrame:
        """Take the lines that fulfil a condition out of those that are left."""
        nonlocal odd
        fulfil = odd.select(condition).to_series()
        if not fulfil.any():  # spares the filters, for most blocks have few kinds of line
            return odd.clear()
        taken, odd = odd.filter(fulfil), odd.filter(~fulfil)
        return taken

    account.blank += take(text.str.strip_chars() == "").height
    comments = take(text.str.contains(COMMENT))
    account.comments += comments.height
    for kept, written in _groups(comments, OVERWRITTEN).iter_rows():
        account.overwritten += int(written) - int(kept)
    for pattern in (LOST, PERF_LOST):
        lost = _groups(take(text.str.contains(pattern)), pattern)
        account.lost_lines += lost.height
        for cpu, count in lost.select("cpu", "n").iter_rows():
            if count is None:
                account.lost_uncounted += 1
            else:
                account.lost[int(cpu)] += int(count)
    pattern = any_pattern(kind)
    unmatched = [take(~text.str.contains(pattern))]
    odd = odd.with_columns(text.str.extract_groups(pattern).alias("groups")).unnest("groups")
    odd = odd.with_columns(*_from_groups())
    # trace-cmd and perf print a marker as ftrace's event "print", with a function before its text.
    printed = (pl.col("event") == "print") & pl.col("said").str.starts_with(f"{MARKER}: ")
    odd = odd.with_columns(
        event=pl.when(printed).then(pl.lit(MARKER)).otherwise("event"),
        said=pl.when(printed).then(pl.col("said").str.slice(len(MARKER) + 2)).otherwise("said"),
    )
    rows = [take(pl.col("event").is_in((MARKER, *TEXT_EVENTS))).with_columns(gfp="said")]
    readers = [((event,), partial(_by_name, names=names)) for event, names in KMEM_FIELDS.items()]
    readers += [
        (WALKER_EVENTS, _walker_rows),
        (PROBE_EVENTS, partial(_probe_rows, account=account)),
    ]
    for events, reader in readers:
        lines = take(pl.col("event").is_in(events))
        if lines.height:
            good, bad = reader(lines)
            rows.append(good)
            unmatched.append(bad)
    for event, count in odd["event"].value_counts().iter_rows():
        account.unknown[event] += count
    missed = pl.concat([part.select("line", "text") for part in unmatched]).sort("line")
    for line, quoted in missed.iter_rows():
        account.quote(line, quoted)
    columns = ("line", *TRACE_COLUMNS)
    return [part.select(n for n in columns if n in part.columns) for part in rows if part.height]


def _groups(lines: pl.DataFrame, pattern: str) -> pl.DataFrame:
    """The groups that a pattern captures from the lines that it matches."""
    matching = lines.filter(pl.col("text").str.contains(pattern))
    return matching.select(pl.col("text").str.extract_groups(pattern).alias("g")).unnest("g")


def _value(name: str) -> pl.Expr:
    """The value after ``name=`` in an event's text, or null if there is none."""
    return pl.col("said").str.extract(rf"(?:^| ){name}=([^ ]*)")


def _integer(text: pl.Expr) -> pl.Expr:
    """A text such as 0x1a2b or -12 as a number; any other text gives null."""
    hexadecimal = text.str.extract("^0x([0-9a-f]+)$").str.to_integer(
        base=16, strict=False, dtype=pl.Int64
    )
    return pl.coalesce(hexadecimal, _number(text.str.extract("^(-?[0-9]+)$")))


def _by_name(lines: pl.DataFrame, names: dict) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of one tracepoint, with its fields in any order, and the lines that lack a field."""
    values = [
        (_value(name) if column == "gfp" else _integer(_value(name))).alias(column)
        for name, column in names.items()
    ]
    lines = lines.with_columns(values)
    good = pl.all_horizontal(pl.col(column).is_not_null() for column in names.values())
    good &= pl.all_horizontal(pl.col(n).is_not_null() for n in ("ts_us", "cpu", "pid"))
    return lines.filter(good), lines.filter(~good)


def _walker_rows(lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the recorder's module, and the lines that lack a field."""
    good, bad = _by_name(lines, WALKER_FIELDS)
    # Only -1 says that a field does not apply: any other number below 0 is refused later.
    applies = [pl.when(pl.col(name) != -1).then(name).alias(name) for name in NUMBERS]
    return good.with_columns(applies), bad


def _probe_rows(lines: pl.DataFrame, account: TraceAccount) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of kprobes, ``(function+0x0/0x90) name=value ..``, and the lines of another shape."""
    shape = pl.col("said").str.contains(r"^\([^)]+\)(?: [A-Za-z_][A-Za-z0-9_]*=[^ ]*)* *$")
    numbers = {name: _integer(_value(name)) for name in NUMBERS}
    readable = [_value(name).is_null() | number.is_not_null() for name, number in numbers.items()]
    good = pl.all_horizontal(shape, *readable)
    bad = lines.filter(~good)
    lines = lines.filter(good)
    arguments = lines.select(
        "event", pl.col("said").str.extract_all(r" [A-Za-z_][A-Za-z0-9_]*=").alias("name")
    ).explode("name")
    arguments = arguments.select("event", pl.col("name").str.strip_chars(" =")).drop_nulls()
    others = arguments.filter(~pl.col("name").is_in((*NUMBERS, "gfp")))
    for event, name, count in others.group_by("event", "name").len().sort(pl.all()).iter_rows():
        account.unknown_fields[f"{event}.{name}"] += count
    values = [number.alias(name) for name, number in numbers.items()]
    return lines.with_columns(*values, _value("gfp").alias("gfp")), bad
