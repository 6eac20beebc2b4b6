"""What the system and libraries raise for an input from outside, made one sentence here.

Every loader reads through these functions, so the same damage is told in the same words, and no
exception of the OS, gzip, json, tomllib or pyarrow leaves freehint.
"""

import contextlib
import gzip
import io
import json
import tomllib
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from freehint.config import InputError, require

if TYPE_CHECKING:
    import pandas as pd

# A few KiB in a file may stand for more than a machine has; nothing recorded comes near these.
MOST_BYTES = 1 << 30  # of a text, unpacked
MOST_VALUES = 1 << 31  # rows x columns of a table


def first_line(error) -> str:
    """The first line of an exception's text, or its kind if it has no text."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def os_reason(error) -> str:
    """What the OS says of a file that it cannot open."""
    return getattr(error, "strerror", None) or first_line(error)


@contextlib.contextmanager
def reading(path):
    """Refuse a file that the OS cannot read, in one sentence."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise InputError(f"{path}: cannot be read: {os_reason(error)}") from None


@contextlib.contextmanager
def unpacking(path):
    """Refuse a file that is not whole gzip, in one sentence."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: this is not whole gzip: {first_line(error)}") from None


def exists(path: Path) -> bool:
    """Is there such a file?  A name that no file can have is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_bytes(path) -> bytes:
    """The content of a file.

    Raises
    ------
    InputError
        The file is missing or cannot be read.
    """
    with reading(path):
        return Path(path).read_bytes()


def unpacked(content: bytes, path) -> bytes:
    """The content of a file that may be compressed with gzip."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    with unpacking(path), gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        found = file.read(MOST_BYTES + 1)
    if len(found) > MOST_BYTES:
        raise InputError(f"{path}: unpacks to more than {MOST_BYTES >> 20} MiB")
    return found


def text_of(content: bytes, path) -> str:
    """The content of a file as UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not text: {error}") from None


def json_of(content: bytes, path, what: str = "this"):
    """The value that a JSON text holds.

    Parameters
    ----------
    content : bytes
    path : str or Path
        The file, for the message.
    what : str
        The part of the file that the text is.

    Raises
    ------
    InputError
        It is no JSON, or is nested too deep.
    """
    try:
        found = json.loads(content)
        # A half of a surrogate pair is no character: it could be neither shown nor stored.
        json.dumps(found, ensure_ascii=False).encode()
        return found
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {what} is not whole JSON: {first_line(error)}") from None


def read_toml(path) -> dict:
    """Read a TOML file.

    Raises
    ------
    InputError
        The file cannot be read, is not TOML, or is nested too deep.
    """
    text = text_of(read_bytes(path), path)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: a number of 5,000 digits
        if text.lstrip().startswith("{"):
            opens = "fh.widgets.Lab.load opens a setting of the bench"
            raise InputError(f"{path}: this is not TOML, but looks like JSON; {opens}") from None
        raise InputError(f"{path}: this is not TOML: {first_line(error)}") from None


def table_of(source, path) -> pa.Table:
    """The table that a parquet file holds.

    Parameters
    ----------
    source : bytes or file
        The file's content.  Never its name, because arrow reads a folder or a name with ``=``
        as a data set.
    path : str or Path
        The file, for the message.

    Raises
    ------
    InputError
        It is not whole parquet, has too many values for memory, or has a column twice.
    """
    try:
        # Not pq.read_table, which takes three times as long for a small file.
        file = pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source)
        values = file.metadata.num_rows * file.metadata.num_columns
        require(values <= MOST_VALUES, f"{path}", f"have at most {MOST_VALUES} values", values)
        table = file.read()
        # Arrow follows offsets and indices of a damaged page without looking: it may crash later.
        table.validate(full=True)
    except InputError:
        raise
    except _ARROW_ERRORS as error:
        raise InputError(f"{path}: this is not whole parquet: {first_line(error)}") from None
    for name, times in Counter(table.column_names).items():
        if times > 1:
            raise InputError(f"{path}: column {name!r:.80} is there {times} times")
    return table


def frame_of(table: pa.Table, path) -> "pd.DataFrame":
    """A table as a DataFrame, from its columns alone: pandas' own notes in a file are not read.

    Raises
    ------
    InputError
        Pandas has no type for a column's values.
    """
    try:
        return table.replace_schema_metadata(None).to_pandas()
    except _ARROW_ERRORS as error:
        raise InputError(f"{path}: has a column that cannot be read: {first_line(error)}") from None


def csv_of(content: bytes, path, types: dict) -> "pd.DataFrame":
    """The table that a csv file holds; ``types`` gives the types of some columns by name."""
    import pandas as pd  # here, because not every table becomes a DataFrame

    try:
        return pd.read_csv(io.BytesIO(content), dtype=types)
    except (ValueError, OverflowError) as error:  # a ParserError is a ValueError too
        raise InputError(f"{path}: this is no table: {first_line(error)}") from None


# Arrow's own exceptions, and those of Python that its bindings raise for damaged files.
_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError)
