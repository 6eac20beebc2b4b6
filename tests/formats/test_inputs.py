"""What libraries raise for damaged inputs becomes one sentence with file, field and value."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import freehint as fh
from freehint.formats.traces.read import read_recorded_trace
from freehint.inputs.reading import read_toml
from freehint.reports.reproduce import reproduce
from freehint.runs.run import METADATA_KEY, TABLES, Run
from freehint.runs.scenario_file import read_scenario


def refused(sentence, function, *arguments):
    with pytest.raises(fh.InputError, match=sentence) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)


# Stored runs.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = fh.simulate(fh.Scenario(memory="64MiB", duration_ns=5_000_000, walk_at_ns=1_000_000))
    return run.save(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def rewrite(folder, name, change):
    path = folder / f"{name}.parquet"
    table = pq.read_table(path)
    pq.write_table(change(table), path)
    return path


def with_column(name, values, kind):
    def change(table):
        column = pa.array((values * len(table))[: len(table)], kind)
        return table.set_column(table.column_names.index(name), name, column)

    return change


def with_metadata(key, value):
    return lambda table: table.replace_schema_metadata({**table.schema.metadata, key: value})


def test_pandas_notes_in_a_stored_run_are_not_read(folder):
    whole = Run.load(folder)
    for name in TABLES:
        for notes in (b"{", b"[]", b'{"columns": 3}', b"\xff"):
            rewrite(folder, name, with_metadata(b"pandas", notes))
            again = Run.load(folder)
            for table in TABLES:
                assert getattr(again, table).equals(getattr(whole, table)), table


STRUCT = pa.struct([("a", pa.int64())])
DAMAGE = {
    "column missing": ("locks", lambda t: t.drop_columns(["held_ns"]), "'held_ns' is missing"),
    "column twice": (
        "locks",
        lambda t: t.append_column("zone", t["zone"]),
        "Multiple matches.*zone",
    ),
    "texts": (
        "history",
        with_column("blocks", ["1"], pa.string()),
        "'blocks' must have type int64",
    ),
    "structs": ("history", with_column("blocks", [{"a": 1}], STRUCT), "'blocks' must have type"),
    "empty": (
        "history",
        with_column("blocks", [None], pa.int64()),
        "must have type int64, got flo",
    ),
    "dates": (
        "history",
        with_column("blocks", [1 << 30], pa.timestamp("s")),
        "column 'blocks' must have type int64, got datetime",
    ),
    "no row": ("summary", lambda t: t[:0], "the summary must have 1 row, got 0"),
    "two rows": ("summary", lambda t: pa.concat_tables([t, t]), "must have 1 row, got 2"),
    "no policy": ("summary", lambda t: t.drop_columns(["policy"]), "has no entry 'policy'"),
    "policy": ("summary", with_column("policy", [7], pa.int64()), "policy must be str, got 7"),
    "waits": ("summary", with_column("waits", ["7"], pa.string()), "waits must be int, got '7'"),
    "coverage": ("summary", with_column("coverage", [{"a": 1}], STRUCT), "coverage must be float"),
    "migration": (
        "summary",
        lambda t: t.append_column("migration", pa.array(["completed"])),
        "has no entry 'sent_bytes'",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_table_of_a_run_is_one_sentence(folder, case):
    name, change, sentence = DAMAGE[case]
    rewrite(folder, name, change)
    for reader in (Run.load, reproduce):
        refused(rf"{name}\.parquet: .*{sentence}", reader, folder)


@pytest.mark.parametrize("stored", [b"{", b"[" * 50_000, b"\xff\xfe", b"9" * 5000, b"null"])
def test_damaged_provenance_of_a_run_is_one_sentence(folder, stored):
    for name in TABLES:
        rewrite(folder, name, with_metadata(METADATA_KEY, stored))
    refused(r"summary\.parquet: the provenance", Run.load, folder)


def test_a_folder_instead_of_a_table_is_refused(folder):
    (folder / "locks.parquet").unlink()
    (folder / "locks.parquet").mkdir()
    refused(r"locks\.parquet: cannot be read: Is a directory", Run.load, folder)


# Traces.

IDLE = fh.data("linux-6.1/traces/idle20.trace.parquet")
TRACES = {
    "whole numbers": ("event", [7], pa.int64(), "'event' must hold texts, got int64"),
    "records": ("event", [{"a": 1}], STRUCT, "'event' must hold texts, got struct"),
    "lists": ("comm", [[1]], pa.list_(pa.int64()), "'comm' must hold texts, got list"),
    "texts": ("pfn", ["1"], pa.string(), "'pfn' must hold whole numbers, got string"),
    "halves": ("order", [0.5], pa.float64(), "'order' must hold whole numbers, got double"),
    "seq": ("seq", [{"a": 1}], STRUCT, "'seq' must hold whole numbers, got struct"),
}


@pytest.mark.parametrize("case", TRACES)
def test_a_trace_with_a_column_of_another_type_is_refused(tmp_path, case):
    name, values, kind, sentence = TRACES[case]
    path = tmp_path / "idle20.trace.parquet"
    pq.write_table(with_column(name, values, kind)(pq.read_table(IDLE)), path)
    for reader in (fh.read_trace, read_recorded_trace):
        refused(rf"idle20\.trace\.parquet: column {sentence}", reader, path)


def test_a_trace_whose_pandas_notes_are_damaged_is_read(tmp_path):
    table = pq.read_table(IDLE).replace_schema_metadata({b"pandas": b"{"})
    pq.write_table(table, tmp_path / "idle20.trace.parquet")
    read = fh.read_trace(tmp_path / "idle20.trace.parquet").table
    assert read.equals(fh.read_trace(IDLE).table) and len(read)


# TOML and names.


@pytest.mark.parametrize(
    "text", [f"seed = {'[' * 3000}{']' * 3000}", f"seed = {'9' * 5000}", "seed = ", "\udcff"]
)
def test_toml_that_cannot_be_read_is_refused(tmp_path, text):
    path = tmp_path / "some.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    for reader in (read_toml, read_scenario):
        refused(r"some\.toml: this is not (TOML|text): ", reader, path)


@pytest.mark.parametrize("name", ["a\0b", "n" * 5000])
def test_names_that_no_file_can_have_are_refused(tmp_path, name):
    for reader in (
        *(fh.load_snapshot, fh.read_trace, fh.memory_from_proc, Run.load, read_toml),
        *(read_scenario, fh.RecordedGuest, read_recorded_trace),
    ):
        refused("cannot be read: |no sample data is called", reader, tmp_path / name)


@pytest.mark.parametrize("name", [None, 7, "", np.str_])
def test_a_policy_has_a_name(name):
    verb = fh.POLICIES["v24"].fill
    refused("policy.name must be a text, got ", fh.Policy, name, verb, verb)


def test_a_recording_whose_trace_records_are_none_is_refused(tmp_path):
    for path in IDLE.parent.glob("idle20.*"):
        shutil.copy(path, tmp_path)
    meta = tmp_path / "idle20.T0.meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"trace": [7]}))
    refused(
        r"T0\.meta\.json: field 'trace' must list records, got 7",
        fh.RecordedGuest,
        tmp_path / "idle20",
    )
