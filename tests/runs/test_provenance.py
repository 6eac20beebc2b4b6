"""Provenance: the sha256 of what was loaded, and a schema that stored runs must fit."""

import json
import shutil
from dataclasses import fields
from hashlib import sha256

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import freehint as fh
from freehint.cli import main
from freehint.engine.guest.recorded_trace import load_trace
from freehint.formats.digest import Files, memory_sha256
from freehint.mm.memory import copy_memory
from freehint.runs import simulate as simulating
from freehint.runs.provenance import SCHEMA, SCHEMA_VERSION, read_provenance
from freehint.runs.scenario_dict import scenario_of
from freehint.sweeps import one_run

MS = 1_000_000
FILES = ("freelist.parquet", "pcp.parquet", "pageblock.parquet", "meta.json")
SHORT = {"policy": "v24", "duration_ns": 5 * MS, "walk_at_ns": MS}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A recording of one's own in the working directory: its stem is ``guest``."""
    for path in fh.data("linux-6.1/traces/idle20.T0").parent.glob("idle20.*"):
        shutil.copy(path, tmp_path / path.name.replace("idle20", "guest"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digests(folder):
    """sha256 of every file of the recording, by name, as it is now."""
    return {p.name: sha256(p.read_bytes()).hexdigest() for p in folder.glob("guest.T*")} | {
        p.name: sha256(p.read_bytes()).hexdigest() for p in folder.glob("guest.trace.*")
    }


def change(path):
    """Change the bytes of a file, but not what they say."""
    path.write_bytes(path.read_bytes() + b"\n")


def recorded(run):
    return {one["file"]: one["sha256"] for one in run.provenance["inputs"]}


def test_a_file_changed_during_the_run_is_recorded_as_it_was_loaded(copied, monkeypatch):
    before = {name: digest for name, digest in digests(copied).items() if ".T0." in name}
    run_engine = simulating.run_engine

    def changing(*arguments):
        engine = run_engine(*arguments)
        change(copied / "guest.T0.meta.json")
        return engine

    monkeypatch.setattr(simulating, "run_engine", changing)
    run = fh.simulate(fh.Scenario(memory="guest.T0", **SHORT))
    assert recorded(run) == before != digests(copied)


def test_a_trace_changed_after_the_guest_was_made_is_recorded_as_it_was_loaded(copied):
    before = digests(copied)
    guest = fh.RecordedGuest("guest")
    change(copied / "guest.T1.meta.json")
    run = fh.simulate(fh.Scenario(workload=guest, **SHORT))
    assert recorded(run) == before
    # Made anew it is another guest, in the same process too.
    again = fh.simulate(fh.Scenario(workload=fh.RecordedGuest("guest"), **SHORT))
    assert recorded(again) == digests(copied) != before


def test_a_trace_is_made_once_while_its_files_stay_and_anew_when_one_changes(copied):
    first = load_trace(copied / "guest")
    assert load_trace(copied / "guest") is first
    # As long as before, at the same time as before: only the content tells.
    path = copied / "guest.T1.meta.json"
    text, told = path.read_text(), path.stat()
    path.write_text(text.replace("\n", " ", 1))
    assert (path.stat().st_size, path.read_text() != text) == (told.st_size, True)
    assert load_trace(copied / "guest") is not first


def test_a_t0_changed_after_the_guest_was_made_is_refused(copied):
    scenario = fh.Scenario(workload=fh.RecordedGuest("guest"), **SHORT)
    change(copied / "guest.T0.meta.json")
    with pytest.raises(fh.InputError, match=r"guest\.T0\.meta\.json: changed after the workload"):
        fh.simulate(scenario)


def test_a_file_changed_during_a_sweep_ends_the_sweep(copied, monkeypatch):
    scenario = fh.Scenario(memory="guest.T0", **SHORT)
    one_run._prepared.cache_clear()
    prepared = one_run.prepared_memory

    def changing(*arguments):
        change(copied / "guest.T0.meta.json")
        return prepared(*arguments)

    monkeypatch.setattr(one_run, "prepared_memory", changing)
    with pytest.raises(fh.InputError, match=r"guest\.T0\.meta\.json is not what it was when"):
        fh.sweep(scenario, {"policy": ["none"]}, [1])


def test_the_next_sweep_loads_what_has_changed_anew(copied):
    scenario = fh.Scenario(memory="guest.T0", **SHORT)
    fh.sweep(scenario, {"policy": ["none"]}, [1])
    change(copied / "guest.T0.meta.json")
    assert fh.sweep(scenario, {"policy": ["none"]}, [1])["status"].tolist() == ["done"]


def test_a_recorded_guest_in_another_process_is_the_same(copied):
    import pickle

    guest = fh.RecordedGuest("guest", speed=2.0)
    packed = pickle.dumps(guest)
    assert len(packed) < 1000 and pickle.loads(packed) == guest
    assert pickle.loads(packed).inputs == guest.inputs


def test_a_file_is_read_once_whatever_it_holds_by_then(tmp_path):
    path, files = tmp_path / "guest", Files()
    for content in (b"then", b"now"):
        path.write_bytes(content)
        assert files.read(path) == b"then"
    assert files.inputs == (("guest", sha256(b"then").hexdigest()),)


def test_a_memory_of_another_content_shape_or_type_has_another_sha256():
    memory = fh.make_memory("64MiB")
    other = copy_memory(memory)
    other.links[-1] += 1
    several = (
        memory,
        other,
        memory._replace(nr_free=memory.nr_free.reshape(-1)),
        memory._replace(frame=memory.frame.view(np.int16)),
    )
    assert len({memory_sha256(one) for one in several}) == len(several)
    assert memory_sha256(copy_memory(memory)) == memory_sha256(memory)


# The schema.


def stored(**values):
    run = fh.simulate(fh.Scenario(memory="64MiB", **SHORT | values))
    return json.loads(json.dumps(run.provenance))


def test_the_schema_is_one_and_asks_for_every_field_of_a_scenario():
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema_version"] == {"const": SCHEMA_VERSION}
    parameters = schema["properties"]["parameters"]
    wanted = [one.name for one in fields(fh.Scenario)]
    assert sorted(parameters["required"]) == sorted(parameters["properties"]) == sorted(wanted)


def test_every_run_fits_the_schema_and_makes_its_scenario_again(copied):
    for values in (
        {"policy": ("v24", "page_reporting"), "seed": 7},
        {"workload": fh.Program(state="freed", fill_MiB=8), "migration": fh.MigrationConfig()},
        {"workload": fh.RecordedGuest("guest"), "memory": "guest.T0", "kernel": "5.10"},
    ):
        scenario = fh.Scenario(**{"memory": "64MiB"} | SHORT | values)
        run = fh.simulate(scenario)
        found = read_provenance(json.dumps(run.provenance).encode(), "x")
        assert scenario_of(found["parameters"]) == scenario


DAMAGE = [
    (lambda p: p.pop("schema_version"), "schema_version must be 1, got .none, as in old runs"),
    (lambda p: p.update(schema_version=2), "schema_version must be 1, got 2; simulate"),
    (lambda p: p.pop("inputs"), "the provenance has no inputs"),
    (lambda p: p["parameters"].pop("seed"), r"the provenance has no parameters\.seed"),
    (
        lambda p: p["parameters"].update(seed="x"),
        r"""the provenance's parameters\.seed must have type "integer", got "x\"""",
    ),
    (lambda p: p["parameters"].update(duration_ns=0), r"duration_ns must have minimum 1, got 0"),
    (lambda p: p["parameters"]["workload"].pop("kind"), r"has no parameters\.workload\.kind"),
    (lambda p: p["parameters"].update(policy=[{}]), r"has no parameters\.policy\[0\]\.kind"),
    (lambda p: p["parameters"].update(policy=[3]), r"parameters\.policy\[0\] must have type"),
    (lambda p: p["libraries"].update(numpy=2.4), r"libraries\.numpy must have type .*, got 2\.4"),
    (
        lambda p: p["inputs"].append({"file": "a", "sha256": "no digest"}),
        r"inputs\[0\]\.sha256 must have pattern .* got \"no digest\"",
    ),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE)
def test_damaged_provenance_is_one_sentence(damage, sentence):
    found = stored()
    damage(found)
    with pytest.raises(fh.InputError, match=sentence) as error:
        read_provenance(json.dumps(found).encode(), "run/summary.parquet")
    text = str(error.value)
    assert text.startswith("run/summary.parquet: ") and "\n" not in text and len(text) < 400


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[1]", b"null", b"[" * 9999])
def test_what_is_no_provenance_is_one_sentence(content):
    with pytest.raises(fh.InputError, match=r"^run/summary\.parquet: the provenance "):
        read_provenance(content, "run/summary.parquet")


def test_load_and_report_refuse_a_run_of_before(tmp_path, capsys):
    run = fh.simulate(fh.Scenario(memory="64MiB", **SHORT))
    del run.provenance["schema_version"]
    folder = run.save(tmp_path / "run")
    with pytest.raises(fh.InputError, match=r"summary\.parquet: the provenance's schema_version"):
        fh.Run.load(folder)
    assert main(["report", str(folder), "-o", str(tmp_path / "out.html")]) == 2
    error = capsys.readouterr().err
    assert "schema_version must be 1" in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out.html").exists()
