"""The file or folder of a sweep: parts while it runs, one whole table when it is over.

Every part (``part-000001.parquet``, ..) holds the rows that came since the previous part, and
appears whole or not at all.  When all rows are there, they become one table in the order of the
runs.  It is the same, byte by byte, for every scheduler and after any number of interruptions.
If ``out`` is a file, say ``runs.parquet``, the table is that file, and the parts were in
``runs.parquet.parts``; if ``out`` is a folder, the table is ``part-000000.parquet`` in it.  The
other parts are then removed.
"""

import contextlib
import json
import os
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from freehint.config import InputError, require, shown, shown_json
from freehint.files import UNFINISHED, remove, take_lock, whole_file
from freehint.inputs.reading import frame_of, json_of, read_bytes, table_of
from freehint.sweeps.design import made_with
from freehint.sweeps.status import DONE, FAILED, REFUSED

METADATA_KEY = b"freehint_sweep"
# A part is written once a second at first, later after each hundredth of the time so far, and at
# least every half minute.  So a kill loses little work, and a long sweep makes few files.
SHORTEST_S, SHARE, LONGEST_S = 1.0, 0.01, 30.0
LOCK = ".lock"
# The workers of a killed sweep notice the kill and end within this time.
PATIENCE_S = 15


class RunParts:
    """The parts and the table of a sweep in ``out``.

    Parameters
    ----------
    out : str or Path
        A file that ends in .parquet, or a folder.
    facts : dict
        Everything that decides the table, as JSON.

    Raises
    ------
    InputError
        ``out`` is no path, holds something else, or cannot be written; the message names it.
    """

    def __init__(self, out, facts: dict):
        require(isinstance(out, str | Path), "out", "be a path", out)
        self.out = Path(out)
        self.facts = json.loads(json.dumps(facts))
        self.is_file = self.out.suffix == ".parquet"
        self.folder = self.out.with_name(f"{self.out.name}.parts") if self.is_file else self.out
        self.target = self.out if self.is_file else self.out / "part-000000.parquet"
        if self.out.exists() and self.is_file != self.out.is_file():
            there, wanted = ("folder", "file") if self.is_file else ("file", "folder")
            raise InputError(
                f"{self.out}: is a {there}, and a {wanted} is wanted: out is a file if it ends in"
                f" .parquet, else a folder"
            )
        self.waiting = {}
        self.begin = self.written = time.monotonic()

    def finished(self) -> pd.DataFrame | None:
        """The table if the sweep is over, else None; parts that were left are removed."""
        if not self.target.exists():
            return None
        table = frame_of(self._read(self.target), self.target)
        self._remove_parts()
        return table

    @contextlib.contextmanager
    def open(self):
        """Make the folder and lock it; at the end write the waiting rows, even after an error."""
        lock = self._lock()
        try:
            for path in self.folder.glob(f"{UNFINISHED}*"):  # A killed sweep left these.
                remove(path)
            yield self
        finally:
            self._flush()
            if not self._parts():
                self._leave_folder()
            os.close(lock)

    def _lock(self) -> int:
        """Make the folder and lock the file in it that is named LOCK.

        The process that held the lock before may have removed the file, and the folder with it,
        between our opening and our locking of it: then nobody else would meet our lock.
        """
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            except FileNotFoundError:
                continue  # The folder was removed between the two lines.
            except OSError as error:
                raise InputError(f"{self.out}: cannot be written: {error.strerror}") from None
            try:
                take_lock(lock, PATIENCE_S, f"{self.out}: another process runs this sweep")
                if _is_open_as(self.folder / LOCK, lock):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)

    # Parts.

    def _parts(self) -> list:
        found = sorted(self.folder.glob("part-*.parquet"))
        return [path for path in found if path != self.target]

    def held(self) -> dict:
        """Rows that are there already, {number: row}."""
        rows = {}
        for path in self._parts():
            for record in self._read(path).to_pylist():
                # A null stands for an entry that the row lacks: a summary has no None.
                rows[record["run"]] = {n: v for n, v in record.items() if v is not None}
        return rows

    def add(self, rows: dict) -> None:
        """Take rows, {number: row}, and write a part if enough time has passed."""
        self.waiting |= rows
        now = time.monotonic()
        pause = min(max(SHORTEST_S, SHARE * (now - self.begin)), LONGEST_S)
        if now - self.written >= pause:
            self._flush()

    def _flush(self) -> None:
        if not self.waiting:
            return
        rows = [self.waiting[number] for number in sorted(self.waiting)]
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
        last = max((int(path.stem[5:]) for path in self._parts()), default=0)
        self._write(pa.table(columns), self.folder / f"part-{last + 1:06d}.parquet")
        self.waiting = {}
        self.written = time.monotonic()

    # The table.

    def join(self, table: pd.DataFrame) -> None:
        """Write the whole table and remove the parts."""
        self._write(pa.Table.from_pandas(table, preserve_index=False), self.target)
        self.waiting = {}
        self._remove_parts()

    def _remove_parts(self) -> None:
        for path in self._parts():
            path.unlink(missing_ok=True)
        self._leave_folder()

    def _leave_folder(self) -> None:
        (self.folder / LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # The folder is not empty, or does not exist.
            self.folder.rmdir()

    def _write(self, arrow: pa.Table, path: Path) -> None:
        stored = {METADATA_KEY: json.dumps({**self.facts, **made_with()}).encode()}
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **stored})
        with whole_file(path) as temporary:
            pq.write_table(arrow, temporary, compression="zstd")

    def _read(self, path: Path) -> pa.Table:
        arrow = table_of(read_bytes(path), path)
        stored = (arrow.schema.metadata or {}).get(METADATA_KEY)
        if stored is None:
            raise InputError(f"{path}: exists already and is no table of a sweep")
        facts = json_of(stored, path, "the sweep's description")
        if not isinstance(facts, dict):
            raise InputError(f"{path}: the sweep's description is no table, but {facts!r:.80}")
        self._refuse_another(path, facts)
        _check_rows(arrow, path)
        return arrow

    def _refuse_another(self, path: Path, stored: dict) -> None:
        for name, value in self.facts.items():
            if stored.get(name) != value:
                raise InputError(
                    f"{path}: holds another sweep, with other {name}:"
                    f" {shown_json(stored.get(name))} there, {shown_json(value)} here"
                )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _check_rows(arrow: pa.Table, path: Path) -> None:
    """Refuse rows that do not say which run they are, and what became of it."""
    for name, kind, is_kind in (
        ("run", "whole numbers", pa.types.is_integer),
        ("status", "texts", _is_text),
        ("error", "texts", _is_text),
    ):
        if arrow.column_names.count(name) != 1:
            raise InputError(f"{path}: column {name!r} must be there once")
        column = arrow.column(name)
        if column.null_count or not (is_kind(column.type) or not len(column)):
            raise InputError(f"{path}: column {name!r} must hold {kind}, got {column.type}")
    for name, values, good in (
        ("run", arrow.column("run").to_pylist(), lambda value: value >= 0),
        ("status", arrow.column("status").to_pylist(), (DONE, FAILED, REFUSED).__contains__),
    ):
        for row, value in enumerate(values):
            if not good(value):
                raise InputError(f"{path}: row {row}: {name} cannot be {shown(value)}")


def _is_open_as(path: Path, descriptor: int) -> bool:
    """Does a path still name the file that is open?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
