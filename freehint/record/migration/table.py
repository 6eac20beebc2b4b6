"""What is written of a migration: the order's part of its record, and a row of migrations.csv."""

import csv
import io
from pathlib import Path

from freehint.config import InputError
from freehint.inputs.reading import csv_of, exists, read_bytes
from freehint.record.machine import MEMORY_LINE
from freehint.record.migration.move import MB, Migration
from freehint.record.workloads import NOTHING, Workload

TABLE = "migrations.csv"
# Its columns: those that the record has, too, and those of query-migrate and of its "ram".
OF_ORDER = ("qemu", "state", "hint", "cmdline", "bw_MBps", "downtime_limit_ms")
OF_LOAD = ("mem", "fill_MiB", "dirty_MiB", "rate_MiBps")
OF_QUERY = {
    "status": "status",
    "total_time_ms": "total-time",
    "downtime_ms": "downtime",
    "setup_time_ms": "setup-time",
}
OF_RAM = {
    "transferred_B": "transferred",
    "total_B": "total",
    "normal_pages": "normal",
    "duplicate_pages": "duplicate",
    "dirty_sync_count": "dirty-sync-count",
    "mbps": "mbps",
    "pages_per_second": "pages-per-second",
}
OF_RUN = (
    *("src_cpu_s", "checksum_ok", "guest_oops"),
    *("src_rss_before_KiB", "src_rss_after_KiB", "dst_rss_after_KiB"),
)
COLUMNS = (*OF_ORDER, "rep", *OF_LOAD, *OF_QUERY, *OF_RAM, "pages_sent", *OF_RUN)
OTHER = "other"


def record_of(
    migration: Migration, memory: int, before: Workload, beside: Workload, fill_mib: int
) -> dict:
    """What a migration's record has of the order.

    Parameters
    ----------
    migration : Migration
    memory : int
        Bytes of the guest.
    before, beside : Workload
        Before T0, and beside the migration.
    fill_mib : int
        MiB that the workload ``fill`` filled before T0; 0 if it was not run.

    Returns
    -------
    dict
        The state is "idle" if the guest did nothing, "freed" if it filled and freed memory, and
        else "other", which no row of a migrations.csv can tell.
    """
    state = OTHER
    if beside == NOTHING and (fill_mib or before == NOTHING):
        state = "freed" if fill_mib else "idle"
    return {
        "state": state,
        "hint": "on" if migration.hints else "off",
        "bw_MBps": migration.bandwidth / MB,
        "downtime_limit_ms": migration.downtime_limit,
        "rep": 0,
        "cmdline": MEMORY_LINE,
        "mem": f"{memory >> 20}M" if memory % (1 << 30) else f"{memory >> 30}G",
        "fill_MiB": fill_mib,
        "dirty_MiB": 0,
        "rate_MiBps": 0,
        "guest_cmd": before.command,
        "workload": beside.command,
    }


def check_table(folder: Path) -> None:
    """Refuse a folder whose migrations.csv has other columns.

    Raises
    ------
    InputError
        A column is missing or unknown, or the columns stand in another order.
    """
    path = folder / TABLE
    if not exists(path):
        return
    found = tuple(csv_of(read_bytes(path), path, {}))
    if found != COLUMNS:
        odd = sorted(set(found) ^ set(COLUMNS))
        what = f"column {odd[0]!r} is missing or unknown" if odd else "its columns have moved"
        raise InputError(f"{path}: no row can be added, for {what}")


def write_table(folder: Path, record: dict, out: Path) -> None:
    """Write a folder's migrations.csv, with a row for a migration more, to a file.

    Nothing is written for the state "other", and nothing if hints were on: then two fifths of
    what is sent are the trace's buffers, of which the table tells nothing.

    Parameters
    ----------
    folder : Path
        It may have a migrations.csv.
    record : dict
        That of the migration; its ``rep`` becomes the number of rows of the same run.
    out : Path
    """
    if record["state"] == OTHER or record["hint"] == "on":
        return
    path, text = folder / TABLE, ",".join(COLUMNS) + "\n"
    if exists(path):
        check_table(folder)
        content = read_bytes(path)
        table = csv_of(content, path, dict.fromkeys(COLUMNS, str))
        same = [*OF_ORDER, *OF_LOAD]
        mine = [str(record[name]) for name in same]
        record["rep"] = int((table[same] == mine).all(axis="columns").sum())
        text = content.decode().rstrip("\n") + "\n"
    query = record["query_migrate"]
    ram = query["ram"]
    row = {name: record[name] for name in (*OF_ORDER, "rep", *OF_LOAD, *OF_RUN)}
    row |= {name: query[key] for name, key in OF_QUERY.items()}
    row |= {name: ram[key] for name, key in OF_RAM.items()}
    row["pages_sent"] = ram["normal"] + ram["duplicate"]
    row["mbps"] = round(row["mbps"], 1)
    line = io.StringIO()
    csv.DictWriter(line, COLUMNS, lineterminator="\n").writerow(row)
    out.write_text(text + line.getvalue())
