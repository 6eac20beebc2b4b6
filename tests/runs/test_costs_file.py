"""Costs files: read, recorded, refused in one sentence; and a source for every cost."""

import inspect
import json
import re
from hashlib import sha256

import jsonschema
import pytest

import freehint as fh
from freehint.cli import main
from freehint.engine.world.records import COST_DTYPE
from freehint.inputs.rules import rules_of
from freehint.reports.reproduce import reproduce
from freehint.runs.costs.file import SCHEMA, save_costs
from freehint.runs.costs.sources import ASSUMED, KINDS, PARTS, SOURCES
from freehint.runs.scenario_dict import told
from freehint.runs.scenario_file import read_scenario
from freehint.sweeps.file import read_sweep

ENTRY = {"value": 60, "unit": "ns", "p25": 58.5, "p75": 63, "n": 9, "bound": "", "how": "by hand"}
WHOLE = {"made": "2026-11-30", "cpu": "by hand", "costs": {"pcp_ns": ENTRY}}
SMALL = {"memory": "64MiB", "duration_ns": 2_000_000, "walk_at_ns": 0}


@pytest.fixture
def path(tmp_path):
    return save_costs(WHOLE, tmp_path / "costs.json")


def changed(path, change) -> None:
    """Rewrite a costs file."""
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def test_costs_that_a_file_lacks_keep_their_defaults(path):
    assert fh.load_costs(path) == fh.Costs(pcp_ns=60)


def test_a_run_records_the_file(path, tmp_path):
    run = fh.simulate(fh.Scenario(**SMALL, costs=fh.load_costs(path)))
    digest = sha256(path.read_bytes()).hexdigest()
    assert run.provenance["costs_file"] == {"file": "costs.json", "sha256": digest}
    assert run.provenance["parameters"]["costs"]["pcp_ns"] == 60
    folder = run.save(tmp_path / "run")
    path.unlink()  # parameters hold the numbers, so the run can be done again without it
    again = reproduce(folder)
    assert not again.reason and again.differences == ()
    other = fh.simulate(fh.Scenario(**SMALL))
    assert "costs_file" not in other.provenance


def test_files_of_scenarios_and_sweeps_name_a_costs_file(path, tmp_path):
    one, many = tmp_path / "run.toml", tmp_path / "sweep.toml"
    one.write_text(f'memory = "64MiB"\ncosts = "{path}"\n')
    assert read_scenario(one).costs.pcp_ns == 60 and read_scenario(one).costs.read_from
    many.write_text(f'[scenario]\nmemory = "64MiB"\ncosts = "{path}"\n[grid]\n"ring.size" = [8]\n')
    assert read_sweep(many).scenario.costs == fh.load_costs(path)
    one.write_text(f'costs = "{tmp_path / "none.json"}"\n')
    with pytest.raises(fh.InputError, match="there is no such file"):
        read_scenario(one)


def test_the_command_takes_a_costs_file(path, tmp_path, capsys):
    small = ["--memory", "64MiB", "--set", "duration_ns=2000000", "--set", "walk_at_ns=0"]
    out = tmp_path / "run"
    assert main(["simulate", *small, "--costs", str(path), "-o", str(out)]) == 0
    assert fh.Run.load(out).provenance["costs_file"]["file"] == "costs.json"
    capsys.readouterr()
    changed(path, lambda found: found.update(freehint_costs=2))
    assert main(["simulate", *small, "--costs", str(path), "-o", str(tmp_path / "other")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and str(path) in said.err
    assert not (tmp_path / "other").exists()


def in_entry(**values):
    return lambda found: found["costs"]["pcp_ns"].update(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.update(freehint_costs=7), r"freehint_costs.* must be 1, got 7"),
        (lambda found: found.pop("freehint_costs"), r"freehint_costs.* must be 1, got null"),
        (lambda found: found.update(freehint_costs=True), r"must be 1, got true"),
        (lambda found: found["costs"].update(pcp=ENTRY), r"no cost 'pcp'; .*mean 'pcp_ns'"),
        (lambda found: found.update(cost={}), r"no field 'cost' .*did you mean 'costs'"),
        (lambda found: found.pop("costs"), r"costs must be a JSON object, got None"),
        (lambda found: found.update(costs=[]), r"costs must be a JSON object, got \[\]"),
        (lambda found: found["costs"].update(pcp_ns=3), r"costs.pcp_ns must be a JSON object"),
        (in_entry(value=0.5), r"costs.pcp_ns.value must be a whole number in 0..\d+, got 0.5"),
        (in_entry(value=-1), r"costs.pcp_ns.value must be a whole number .*, got -1"),
        (in_entry(value=1 << 40), r"costs.pcp_ns.value must be a whole number .*, got \d+"),
        (in_entry(value=True), r"costs.pcp_ns.value must be a whole number .*, got True"),
        (in_entry(value="60"), r"costs.pcp_ns.value must be a whole number .*, got '60'"),
        (in_entry(unit="us"), r"costs.pcp_ns.unit must be 'ns', got 'us'"),
    ],
)
def test_what_is_no_costs_file_is_refused_in_one_sentence(change, words, path):
    changed(path, change)
    with pytest.raises(fh.InputError, match=rf"^{re.escape(str(path))}: .*{words}") as refused:
        fh.load_costs(path)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"freehint_costs": "1"}'])
def test_damage_is_refused(content, path):
    path.write_bytes(content)
    with pytest.raises(fh.InputError, match=re.escape(str(path))):
        fh.load_costs(path)


def test_a_file_is_written_whole_or_not_at_all(path, tmp_path):
    before = path.read_bytes()
    with pytest.raises(fh.InputError, match="no cost 'pcp'"):
        save_costs({"costs": {"pcp": ENTRY}}, path)
    with pytest.raises(fh.InputError, match="cannot be written"):
        save_costs(WHOLE, path / "below_a_file.json")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_the_schema_is_that_of_the_files(path):
    check = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    check.check_schema(check.schema)
    assert not list(check.iter_errors(json.loads(path.read_text())))
    changed(path, lambda found: found.update(cost={}))
    assert list(check.iter_errors(json.loads(path.read_text())))


def test_where_costs_come_from_is_no_parameter():
    costs = fh.Costs(read_from=("a", "b"))
    assert costs == fh.Costs() and "read_from" not in COST_DTYPE.names
    assert "read_from" not in told(costs) and "read_from" not in rules_of(fh.Costs)


def documented(kind) -> dict:
    """The text of each attribute in the docstring of a class, by name."""
    text = inspect.getdoc(kind).split("----------\n")[1]
    found = {}
    for names, said in re.findall(r"^(\w[\w, ]*) : .*\n((?:    .*\n?)+)", text, re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), said)
    return found


def test_every_cost_has_a_source_and_the_docstrings_agree():
    table = fh.cost_sources()
    assert set(table["source"]) == set(KINDS) and list(table.columns) == [
        *("value_ns", "source", "said")
    ]
    named = {name.removeprefix("costs.") for name in table.index if name.startswith("costs.")}
    assert named == set(rules_of(fh.Costs))
    for part, kind in PARTS.items():
        said = documented(kind)
        for name, row in table.iterrows():
            if name.startswith(f"{part}."):
                words = said[name.partition(".")[2]]
                assert (row["source"] == ASSUMED) == ("Assumed" in words), name
        for name, words in said.items():  # an assumed time that the table lacks
            if "Assumed" in words and name in rules_of(kind):
                assert f"{part}.{name}" in table.index, name


def test_each_source_is_one_sentence():
    for name, source in SOURCES.items():
        assert source.kind in KINDS and re.fullmatch(r"[A-Z0-9v].*\.", source.said), name
