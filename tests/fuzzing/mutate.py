"""Mutations of inputs.  Each draws from a ``random.Random``, so the same stream gives the same.

A file is ``bytes``, or one of the things that can stand in a file's place: see NO_FILE.
"""

import copy
import csv
import gzip
import io
import json
import zlib
from functools import lru_cache
from pathlib import PurePath
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

# What may stand in a file's place.
MISSING, FOLDER, NOWHERE = "missing", "folder", "symlink to nowhere"
NO_FILE = (MISSING, FOLDER, NOWHERE)
UNREADABLE = (
    *(ValueError, TypeError, OverflowError, OSError, EOFError, IndexError, KeyError),
    *(RecursionError, zlib.error, csv.Error, pa.ArrowException),
)

HUGE = 10**5000
DEEPEST_COLUMN = 150  # arrow reads 100, and takes a GB to write 3,000
NASTY = (
    *(-1, 0, 1, 2, 3, 7, 64, 255, 256, 1 << 31, -(1 << 31), (1 << 31) - 1, (1 << 62)),
    *((1 << 63) - 1, 1 << 63, 1 << 64, -(1 << 63), HUGE, 0.5, -0.5, 640.9, 1e308),
    *(float("nan"), float("inf"), float("-inf"), True, False, None, "", "\0", "\n", "x" * 20_000),
    *("²", "٣", "1", "-1", "0x10", "nan", "../..", "<b>", "\ud800", [], {}, [[]], [1], ["x"]),
    *({"a": 1}, {"kind": "x"}, {"kind": None}),
)
WORDS = (
    *("-1", "0", "1", "2147483648", "9223372036854775807", "18446744073709551616", "9" * 5000),
    *("0.5", "640.9", "nan", "inf", "-inf", "1e400", "true", "null", "", "\0", "x" * 20_000),
    *("²", "٣", "-", "0x", "()", "(,", ">100000", '"', "'", "[", "é", "a b", "1_000", "+1"),
)
TOML_VALUES = (
    *("-1", "0", "1", "3", "2147483648", "9223372036854775807", "18446744073709551616"),
    *("9" * 5000, "0.5", "nan", "inf", "-inf", "true", '""', '"\\u0000"', '"x"', "[]", "{}"),
    *("[1]", "[[]]", '["v24"]', "[1, 1]", "[-1]", "[nan]", "[true]", "{a = 1}", '{kind = "x"}'),
    *("1979-05-27", "07:32:00", '"²"', '"../.."', "[{}]", '[{kind = "Walker"}]', "{low = 0}"),
    *("{low = 1, high = nan}", "{low = 2, high = 1}", '"' + "x" * 20_000 + '"', "[" * 3000),
    *("[" * 3000 + "]" * 3000, "{a=" * 3000 + "1" + "}" * 3000, '"<b>"', '"none"', "[[1, 2], 3]"),
)


def nasty(stream: Random, deepest: int = 3000):
    """A value that nobody expects."""
    if stream.random() < 0.02:
        return deep(deepest)
    return stream.choice(NASTY)


def deep(depth: int):
    """A list in a list in a list .."""
    found = []
    for _ in range(depth):
        found = [found]
    return found


def mutated(files: dict, stream: Random) -> dict:
    """Some files of an input, changed.

    Parameters
    ----------
    files : dict
        Name -> bytes.
    stream : Random

    Returns
    -------
    dict
        Name -> bytes or one of NO_FILE, of the changed files alone.
    """
    changed = {}
    for _ in range(1 if stream.random() < 0.8 else 2):
        name = stream.choice(sorted(files))
        before = changed.get(name, files[name])
        if before in NO_FILE:
            continue
        changed[name] = (
            stream.choice(NO_FILE) if stream.random() < 0.01 else content(name, before, stream)
        )
    return changed


def content(name: str, before: bytes, stream: Random) -> bytes:
    """The content of a file, changed in the way of its kind or as bytes."""
    if stream.random() < 0.1:
        return as_bytes(before, stream)
    kind = PurePath(name).suffix
    try:
        if kind == ".gz":
            inside = content(name.removesuffix(".gz"), _unzipped(before), stream)
            return gzip.compress(inside, 1, mtime=0)
        return KINDS.get(kind, as_bytes)(before, stream)
    except UNREADABLE:  # an earlier change broke its form, or no such table can be
        return as_bytes(before, stream)


@lru_cache(64)
def _unzipped(packed: bytes) -> bytes:
    return gzip.decompress(packed)


# Bytes.


def as_bytes(before: bytes, stream: Random) -> bytes:
    """Flip, cut, insert, double or splice."""
    what = stream.randrange(7)
    at, to = sorted(stream.randrange(len(before) + 1) for _ in range(2))
    if what == 0:
        after = bytearray(before)
        for _ in range(stream.randrange(1, 9)):
            if after:
                after[stream.randrange(len(after))] ^= 1 << stream.randrange(8)
        return bytes(after)
    if what == 1:
        return before[:at]
    if what == 2:
        return before[:at] + stream.randbytes(stream.randrange(1, 17)) + before[at:]
    if what == 3:
        return before[:to] + before[at:to] + before[to:]
    if what == 4:
        return before[:at] + before[to:]
    if what == 5:
        return b"" if stream.random() < 0.3 else before + before
    word = stream.choice((b"\0", b"\xff" * 8, b"\n", b"\xef\xbb\xbf", b"\x7f\xff\xff\xff"))
    return before[:at] + word + before[at + len(word) :]


# Texts.


def as_text(before: bytes, stream: Random) -> bytes:
    """Drop, double, swap or cut lines, or replace a word in a line."""
    lines = before.split(b"\n")
    at, other = stream.randrange(len(lines)), stream.randrange(len(lines))
    what = stream.randrange(10)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(other, lines[at])
    elif what == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif what == 3:
        lines = lines[:at]
    elif what == 4:
        lines[at] = lines[at][: stream.randrange(len(lines[at]) + 1)]
    else:
        lines[at] = _another_word(lines[at], stream)
    return b"\n".join(lines)


def _another_word(line: bytes, stream: Random) -> bytes:
    """A line with another value in place of a word or of a part of a word after ``=`` or ``:``."""
    signs = [n for n, c in enumerate(line) if c in b" =:,()|[]"]
    begin = stream.choice([-1, *signs]) + 1
    end = next((n for n in signs if n >= begin), len(line))
    return line[:begin] + stream.choice(WORDS).encode() + line[end:]


def as_toml(before: bytes, stream: Random) -> bytes:
    """Another value for a key, or a key dropped, doubled, renamed or moved."""
    lines = before.split(b"\n")
    keys = [n for n, line in enumerate(lines) if b"=" in line]
    if not keys or stream.random() < 0.1:
        return as_text(before, stream)
    at = stream.choice(keys)
    key, _, value = lines[at].partition(b"=")
    what = stream.randrange(12)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines[at] = stream.choice((b"x", b'"a.b"', b"a.b.c", b'""', b'"\\u0000"')) + b" =" + value
    elif what == 2:
        lines[at] = key.rstrip() + b".x =" + value
    elif what == 3:
        lines.insert(stream.randrange(len(lines)), lines.pop(at))
    elif what == 4:
        lines[at] = lines[stream.choice(keys)].partition(b"=")[0] + b"=" + value
    elif what == 5:
        lines[at] = key + b"=" + lines[stream.choice(keys)].partition(b"=")[2]
    elif what == 6:
        lines[at] = key + b"= [" + value + b", " + stream.choice(TOML_VALUES).encode() + b"]"
    else:
        lines[at] = key + b"= " + stream.choice(TOML_VALUES).encode()
    return b"\n".join(lines)


def as_csv(before: bytes, stream: Random) -> bytes:
    """Another value for a cell, or rows and columns dropped, doubled, swapped or renamed."""
    rows = list(csv.reader(io.StringIO(before.decode())))
    _change_table(rows, stream)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _change_table(rows: list, stream: Random) -> None:
    what = stream.randrange(10)
    at, other = stream.randrange(len(rows)), stream.randrange(len(rows))
    column = stream.randrange(len(rows[0]))
    if what == 0:
        del rows[at]
    elif what == 1:
        rows.insert(other, list(rows[at]))
    elif what == 2:
        for row in rows:
            row[column : column + 1] = []
    elif what == 3:
        rows[0][column] = stream.choice(WORDS)
    elif what == 4:
        for row in rows[1:]:
            row[column : column + 1] = [stream.choice(WORDS)]
    else:
        rows[at][column : column + 1] = [stream.choice(WORDS)]


# JSON.


def as_json(before: bytes, stream: Random) -> bytes:
    """Another value in a place of a JSON text, or an entry dropped, renamed or doubled."""
    found = _parsed(before)
    if stream.random() < 0.02:
        return b"[" * 50_000 if stream.random() < 0.5 else b"9" * 5000
    return _json_text(changed_value(copy.deepcopy(found), stream))


@lru_cache(64)
def _parsed(text: bytes):
    return json.loads(text)


def _json_text(value) -> bytes:
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):  # 10**5000, a list 3,000 deep
        return b'{"a": ' * 2000 + b"9" * 5000


def changed_value(value, stream: Random):
    """A JSON value with a change at a place drawn evenly among all its places."""
    places = list(_places(value))
    if not places:
        return nasty(stream)
    holder, key = stream.choice(places)
    what = stream.randrange(8)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif what == 1:
        holder[stream.choice(("x", "", "kind", "a.b", "\0"))] = holder.pop(key)
    elif what == 2 and isinstance(holder, list):
        holder.reverse()
    elif what == 2:
        holder[key] = copy.deepcopy(stream.choice(list(holder.values())))
    elif what == 3:
        holder[key] = [holder[key]] if stream.random() < 0.5 else {"a": holder[key]}
    elif what == 4 and isinstance(holder[key], int):
        holder[key] += stream.choice((-1, 1, 8, 1024, -1024))
    else:
        holder[key] = nasty(stream)
    return value


def _places(value):
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, one in inner:
        yield value, key
        yield from _places(one)


# Parquet.


@lru_cache(64)
def _table(content: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(content))


def parquet(table: pa.Table) -> bytes:
    """A table as the content of a parquet file."""
    out = io.BytesIO()
    pq.write_table(table, out, compression="none")
    return out.getvalue()


def as_parquet(before: bytes, stream: Random) -> bytes:
    """Another value or type in a column, or rows and columns dropped, doubled, swapped, renamed."""
    return parquet(_changed_table(_table(before), stream))


def _changed_table(table: pa.Table, stream: Random) -> pa.Table:
    names = table.column_names
    at = stream.randrange(len(names))
    what = stream.randrange(16)
    if what == 0:
        return table.drop_columns([names[at]])
    if what == 1:
        return table.append_column(names[at], table.column(stream.randrange(len(names))))
    if what == 2:
        other = stream.choice(("x", "", names[stream.randrange(len(names))], "\0"))
        return table.rename_columns([other if n == at else one for n, one in enumerate(names)])
    if what == 3:
        return table.set_column(at, names[at], table.column(stream.randrange(len(names))))
    if what == 4 and table.schema.metadata:
        return table.replace_schema_metadata(_changed_notes(table.schema.metadata, stream))
    if what in (5, 6, 7) and len(table):
        row, other = stream.randrange(len(table)), stream.randrange(len(table))
        if what == 5:
            return pa.concat_tables([table[:row], table[row + 1 :]])
        if what == 6:
            return pa.concat_tables([table[:row], table[other : other + 1], table[row:]])
        order = list(range(len(table)))
        order[row], order[other] = other, row
        return table.take(order)
    if what == 8:
        return table[: stream.randrange(len(table) + 1)]
    if what == 9:
        return table.set_column(at, names[at], _retyped(table.column(at), stream))
    values = table.column(at).to_pylist()
    if what == 10:
        values = [nasty(stream, DEEPEST_COLUMN)] * len(values)
        return table.set_column(at, names[at], pa.array(values))
    if values:
        row = stream.randrange(len(values))
        near = stream.random() < 0.5 and isinstance(values[row], int)
        values[row] = (
            values[row] + stream.choice((-1, 1, 8, 512)) if near else nasty(stream, DEEPEST_COLUMN)
        )
    kind = table.schema.field(at).type
    try:
        return table.set_column(at, names[at], pa.array(values, kind))
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return table.set_column(at, names[at], pa.array(values))


def _changed_notes(notes: dict, stream: Random) -> dict:
    name = stream.choice(sorted(notes))
    if stream.random() < 0.1:
        return {n: v for n, v in notes.items() if n != name}
    changed = as_json if stream.random() < 0.8 else as_bytes
    return notes | {name: changed(notes[name], stream)}


def _retyped(column, stream: Random):
    kind = stream.choice(
        (
            *(pa.string(), pa.binary(), pa.float64(), pa.int8(), pa.uint64(), pa.bool_()),
            *(pa.null(), pa.timestamp("ns"), pa.large_string(), pa.float32()),
        )
    )
    if kind == pa.null():
        return pa.nulls(len(column))
    if stream.random() < 0.3:
        return pa.array([{"a": one} for one in column.to_pylist()])
    return column.cast(kind, safe=False)


# Payloads of a player.


def as_payload(before: bytes, stream: Random) -> bytes:
    """Change the description or the arrays inside a trajectory's bytes."""
    raw = zlib.decompress(before)
    length = int.from_bytes(raw[4:8], "little")
    head, arrays = raw[8 : 8 + length], raw[(8 + length + 7) // 8 * 8 :]
    if stream.random() < 0.8:
        head = as_json(head, stream)
    else:
        arrays = as_bytes(arrays, stream)
    raw = raw[:4] + len(head).to_bytes(4, "little") + head
    return zlib.compress(raw + bytes(-len(raw) % 8) + arrays, 1)


KINDS = {
    ".fht": as_payload,
    ".json": as_json,
    ".toml": as_toml,
    ".csv": as_csv,
    ".parquet": as_parquet,
    ".txt": as_text,
}
