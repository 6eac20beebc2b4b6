"""What libraries raise for damaged inputs becomes one sentence with file, field and value."""

import gzip
import json
import shutil
import zlib
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import freehint as fh
from freehint import cli
from freehint.formats.traces.read import read_recorded_trace
from freehint.inputs import reading
from freehint.inputs.reading import json_of, read_toml
from freehint.reports.batch.batch import read_batch
from freehint.reports.reproduce import reproduce
from freehint.runs.run import METADATA_KEY, TABLES, Run
from freehint.runs.scenario_file import read_scenario
from freehint.sweeps.file import read_sweep
from freehint.sweeps.parts import RunParts


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
        "column 'zone' is there 2 times",
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


def test_a_setting_of_the_bench_is_no_scenario_and_its_reader_is_named(tmp_path):
    path = tmp_path / "share.json"
    path.write_text('{"freehint_bench": 1, "A": {}}')
    refused(r"share\.json: this is not TOML, but looks like JSON; .*Lab\.load", read_scenario, path)


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
    refused("policy.name must be a text of 1 to 200 characters, got ", fh.Policy, name, verb, verb)


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


# What make fuzz found.


def test_a_trace_of_plain_texts_is_replayed_as_one_of_dictionaries(tmp_path):
    table = pq.read_table(IDLE)
    for name in ("event", "comm", "gfp"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast("string"))
    path = tmp_path / "plain.trace.parquet"
    pq.write_table(table, path)
    plain, whole = read_recorded_trace(path), read_recorded_trace(IDLE)
    assert (plain.dtypes == whole.dtypes).all()
    assert (plain["event"].astype(str) == whole["event"].astype(str)).all()


@pytest.mark.parametrize("policy", ["v24", "none"])
def test_a_run_without_walks_or_waits_is_loaded_any_number_of_times(tmp_path, policy):
    scenario = fh.Scenario(memory="64MiB", policy=policy, duration_ns=1000, walk_at_ns=2000)
    run = fh.simulate(scenario)
    assert len(run.walks) == len(run.waits) == 0
    again = Run.load(run.save(tmp_path / "once"))
    twice = Run.load(again.save(tmp_path / "twice"))
    for table in TABLES[1:]:
        assert getattr(again, table).equals(getattr(twice, table)), table


@pytest.mark.parametrize("half", [b'"\\ud800"', b'{"a": "\\udfff"}'])
def test_half_a_character_is_refused(half):
    refused("a.json: this is not whole JSON: .*surrogates not allowed", json_of, half, "a.json")
    assert json_of(b'"\\ud83d\\ude00"', "a.json") == "\U0001f600"


@pytest.mark.parametrize("memory", ["nan", "7", "[1]", "true", "1979-05-27"])
def test_a_memory_is_a_text(tmp_path, memory):
    path = tmp_path / "a.toml"
    path.write_text(f"memory = {memory}\n")
    refused(r"a\.toml: memory must be a Memory, a snapshot's stem or a size", read_scenario, path)


def test_a_value_nested_too_deep_is_refused(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(f"seed = {'[' * 90}{']' * 90}\n")
    refused(r"a\.toml: seed must be nested at most 8 deep", read_scenario, path)


LONG = "x" * 20_000


def test_long_values_are_cut_in_messages(tmp_path):
    for read, text in (
        (read_sweep, f"{LONG} = 1"),
        (read_batch, f"{LONG} = 1"),
        (read_scenario, f'policy = "{LONG}"'),
        (read_sweep, f'[scenario]\npolicy = "{LONG}"'),
    ):
        path = tmp_path / "a.toml"
        path.write_text(text)
        with pytest.raises(fh.InputError, match=r"a\.toml: ") as caught:
            read(path)
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[scenario]\npolicy = "x"', "policy must be one of"),
        ("[scenario.ring]\nsize = 3", "ring.size must"),
        ('[grid]\npolicy = [{name = "x"}]', "its policy 'x', of kind None, is none of"),
        ('[grid]\npolicy = [{kind = "Walker", name = ["x"]}]', "policy.name must be a text"),
        ('[design]\nkind = "sobol"\nn = 2147483648\nranges = {seed = [1]}', "seed"),
        (
            '[design]\nkind = "latin_hypercube"\nn = 9223372036854775807\n'
            '[design.ranges]\npolicy = ["v24"]',
            "n must be a whole number in 1..1048576",
        ),
    ],
)
def test_a_refusal_of_a_sweep_names_its_file(tmp_path, text, sentence):
    path = tmp_path / "a.toml"
    path.write_text(text)
    refused(rf"a\.toml: .*{sentence}", read_sweep, str(path))


def test_knobs_are_a_tuple():
    for knobs in (7, None, ["capacity"]):
        walker = partial(fh.Walker, "mine", knobs=knobs)
        refused("policy.knobs must be a tuple of Knobs", walker)


# Parts of sweeps.

PARTS = {
    "no run": (lambda t: t.drop_columns(["run"]), "column 'run' must be there once"),
    "half a run": (with_column("run", [0.5], pa.float64()), "'run' must hold whole numbers"),
    "a run below 0": (with_column("run", [-1], pa.int64()), "row 0: run cannot be -1"),
    "no run's number": (with_column("run", [None], pa.int64()), "'run' must hold whole numbers"),
    "status": (with_column("status", ["x"], pa.string()), "row 0: status cannot be 'x'"),
    "error": (with_column("error", [1], pa.int64()), "'error' must hold texts, got int64"),
}


@pytest.mark.parametrize("case", PARTS)
@pytest.mark.parametrize("name", ["part-000000", "part-000001"])
def test_damaged_parts_of_a_sweep_are_one_sentence(tmp_path, case, name):
    held = RunParts(tmp_path / "runs", {"of": "it"})
    with held.open():
        held.add({0: {"run": 0, "status": "done", "error": ""}})
    if name == "part-000000":
        held.join(pd.DataFrame([{"run": 0, "status": "done", "error": ""}]))
    change, sentence = PARTS[case]
    rewrite(tmp_path / "runs", name, change)
    reader = held.finished if name == "part-000000" else held.held
    refused(rf"{name}\.parquet: .*{sentence}", reader)


def test_pandas_notes_in_the_table_of_a_sweep_are_not_read(tmp_path):
    held = RunParts(tmp_path / "runs.parquet", {"of": "it"})
    table = pd.DataFrame([{"run": 0, "status": "done", "error": "", "coverage": 0.5}])
    held.join(table)
    rewrite(tmp_path, "runs", with_metadata(b"pandas", b"{"))
    assert held.finished().equals(table)


# Trajectories.


@pytest.fixture(scope="module")
def trajectory():
    scenario = fh.Scenario(memory="64MiB", duration_ns=2_000_000, walk_at_ns=1_000_000)
    return fh.record(scenario, 2)


def payload(change, trajectory):
    """The trajectory's bytes with a change to their header."""
    raw = zlib.decompress(trajectory.to_bytes())
    length = int.from_bytes(raw[4:8], "little")
    header = json.loads(raw[8 : 8 + length])
    change(header)
    head = json.dumps(header).encode()
    raw, arrays = raw[:4] + len(head).to_bytes(4, "little") + head, raw[(15 + length) // 8 * 8 :]
    return zlib.compress(raw + bytes(-len(raw) % 8) + arrays, 1)


ENTRIES = {
    "no table": (lambda h: h.update(arrays=[]), "arrays must be a table"),
    "no meta": (lambda h: h.pop("meta"), "meta must be a table, got None"),
    "an array gone": (lambda h: h["arrays"].pop("why"), "array 'why' is missing"),
    "an entry gone": (lambda h: h["arrays"]["why"].pop("dtype"), "why: dtype must be one of"),
    "an object": (lambda h: h["arrays"]["why"].update(dtype="O"), "why: dtype must be one of"),
    "text": (lambda h: h["arrays"]["why"].update(offset="0"), "why: offset must be a whole"),
    "before": (lambda h: h["arrays"]["why"].update(offset=-8), "why: offset must be a whole"),
    "huge": (lambda h: h["arrays"]["why"].update(shape=[1 << 30, 1 << 30]), "shape must fit"),
    "negative": (lambda h: h["arrays"]["why"].update(shape=[-1]), "shape must have at most 3"),
    "deltas": (
        lambda h: h["arrays"]["why"].update(delta=True, shape=[]),
        "delta must be false here",
    ),
    "another type": (
        lambda h: h["arrays"]["why"].update(dtype="uint16", shape=[1]),
        r"array 'why' must have type uint8 and shape \(F\)",
    ),
    "a zone more": (lambda h: h["meta"]["zones"].append(h["meta"]["zones"][0]), "shape .F, Z."),
    "a zone without name": (lambda h: h["meta"]["zones"][0].pop("name"), "zone 0: .* have name"),
    "base": (lambda h: h["meta"].update(base_pfn=0.5), "base_pfn must be a whole number"),
    "policies": (lambda h: h["meta"].update(policies=[7]), "policies must be texts, got 7"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_a_damaged_trajectory_is_one_sentence(trajectory, case):
    change, sentence = ENTRIES[case]
    refused(f"^payload: .*{sentence}", fh.Trajectory.from_bytes, payload(change, trajectory))


@pytest.mark.parametrize(
    ("name", "value"), [("end", -1), ("from_head", 1 << 30), ("moment", -1), ("list", -1)]
)
def test_versions_of_a_trajectory_that_cannot_be_are_refused(trajectory, name, value):
    versions = trajectory.arrays[f"versions.{name}"].copy()
    versions[1] = value
    arrays = trajectory.arrays | {f"versions.{name}": versions}
    stored = fh.Trajectory(trajectory.meta, arrays).to_bytes()
    refused(r"^payload: arrays? 'versions\..*", fh.Trajectory.from_bytes, stored)


def test_a_trajectory_is_the_same_after_saving(trajectory):
    again = fh.Trajectory.from_bytes(trajectory.to_bytes())
    for moment in range(len(again)):
        assert again.lists_at(moment).equals(trajectory.lists_at(moment))


# Notebooks of batches.


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda n: n["cells"][0].pop("source"), "this is no notebook"),
        (lambda n: n["metadata"].clear(), "the notebook's parameters: No kernel name"),
    ],
)
def test_a_damaged_notebook_of_a_batch_is_one_sentence(tmp_path, change, sentence):
    cell = {"cell_type": "code", "execution_count": None, "id": "a", "outputs": []}
    cell |= {"metadata": {"tags": ["parameters"]}, "source": "seed = 1"}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}}
    notebook["cells"] = [cell]
    batch = tmp_path / "a.toml"
    batch.write_text('notebook = "a.ipynb"\nout = "out"\n[grid]\nseed = [1, 2]\n')
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook))
    assert len(read_batch(batch).runs) == 2
    change(notebook)
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook))
    refused(rf"a\.toml: .*{sentence}", read_batch, batch)


def test_a_snapshots_zones_that_are_no_texts_are_refused(tmp_path):
    for path in IDLE.parent.glob("idle20.T0.*"):
        shutil.copy(path, tmp_path)
    for values, kind in (([b"\xff"], pa.binary()), ([{"a": 1}], STRUCT)):
        rewrite(tmp_path, "idle20.T0.freelist", with_column("zone", values, kind))
        sentence = r"freelist\.parquet: column 'zone' must hold texts"
        refused(sentence, fh.load_snapshot, tmp_path / "idle20.T0")


@pytest.mark.parametrize("half", ["\ud800", "a\udce9b"])
def test_a_name_that_no_file_could_hold_is_refused(half):
    refused("memory must be a Memory, a snapshot's stem", fh.Scenario, half)
    refused("workload.trace must be the stem of a recording", fh.RecordedGuest, half)
    refused("policy.name must be a text", fh.Policy, half)


def test_a_long_setting_is_cut(capsys):
    assert cli.main(["simulate", "--set", LONG]) == 2
    assert cli.main(["simulate", "--seed", LONG]) == 2
    assert cli.main(["simulate", "--set", f"ring.size={'[' * 3000}"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and all(len(line) < 700 for line in said)


@pytest.mark.parametrize("name", [LONG, "a\\u0000b"])
def test_a_batchs_notebook_that_no_file_can_be_is_refused(tmp_path, name):
    path = tmp_path / "a.toml"
    path.write_text(f'notebook = "{name}"\nout = "out"\n')
    refused(r"a\.toml: notebook '.*there is no such file", read_batch, path)


def test_a_small_file_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1 << 20)
    bomb = tmp_path / "zoneinfo.gz"
    bomb.write_bytes(gzip.compress(bytes(2 << 20)))
    refused(f"{bomb}: unpacks to more than 1 MiB", reading.unpacked, bomb.read_bytes(), bomb)
    assert reading.unpacked(gzip.compress(b"zone"), bomb) == b"zone"


def test_a_table_of_more_values_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_VALUES", 100)
    file = tmp_path / "trace.parquet"
    pd.DataFrame({"a": [0] * 101}).to_parquet(file)
    refused(
        f"{file} must have at most 100 values, got 101",
        reading.table_of,
        file.read_bytes(),
        file,
    )


def test_a_refusal_is_one_line_that_can_be_read_whatever_it_quotes():
    assert str(fh.InputError("a.toml: got 'a\nb\x00\u2028'")) == r"a.toml: got 'a\nb\x00\u2028'"
    long = str(fh.InputError(f"a.toml: there is no key {'x' * 10**6}; there are b, c"))
    assert len(long) < 1500 and long.startswith("a.toml: there is") and long.endswith("are b, c")


def test_the_entries_of_a_summary_have_names(folder):
    path = folder / "summary.parquet"
    table = pq.read_table(path)
    names = ["migr\nated" if name == "migrated_pages" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names).replace_schema_metadata(table.schema.metadata), path)
    refused("an entry of the summary must be a name, got 'migr.nated'", Run.load, folder)


def test_a_table_whose_indices_lead_nowhere_is_refused(monkeypatch, tmp_path):
    """Such pages are in damaged files; arrow neither writes them nor notices them when it reads."""
    codes = pa.DictionaryArray.from_arrays(pa.array([31]), pa.array(["x"]), safe=False)
    damaged = SimpleNamespace(
        metadata=SimpleNamespace(num_rows=1, num_columns=1), read=lambda: pa.table({"a": codes})
    )
    monkeypatch.setattr(reading.pq, "ParquetFile", lambda source: damaged)
    refused("a.parquet: this is not whole parquet: .*31", reading.table_of, b"", "a.parquet")
