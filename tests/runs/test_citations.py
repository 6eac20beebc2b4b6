"""Run.citations: exactly what a run used, from one registry, as a table and as BibTeX."""

import re
from pathlib import Path

import pytest

import freehint as fh
from freehint.mm.profile import PROFILES
from freehint.policies import CALLED
from freehint.policies.call_walker import CallWalker
from freehint.policies.walker import Walker
from freehint.runs.cited import citations as rules
from freehint.runs.cited.sources import SOURCES

ROOT = Path(__file__).parents[2]
QUICK = {"memory": "64MiB", "duration_ns": 1_000_000}


def keys(**values) -> set:
    """The keys that a short run cites."""
    return set(fh.simulate(fh.Scenario(**QUICK | values)).citations().index)


@pytest.mark.parametrize("name", fh.POLICIES)
def test_every_policy_cites_something(name):
    table = fh.simulate(fh.Scenario(**QUICK, policy=name)).citations()
    mine = table[table["used_for"].str.contains(rf"policy {name}\b")]
    assert len(mine) and set(mine.index) <= set(SOURCES)


@pytest.mark.parametrize("name", PROFILES)
def test_every_kernel_cites_its_own_source(name):
    table = fh.simulate(fh.Scenario(**QUICK, kernel=name)).citations()
    assert f"linux{name}" in table.index
    assert not {f"linux{other}" for other in PROFILES if other != name} & set(table.index)
    assert set(table[table["used_for"] == f"kernel {name}"].index) == set(rules.KERNELS[name])


def test_policies_and_hosts_cite_different_things():
    five, rotate = keys(policy="five_step"), keys(policy="rotate_on_exit")
    assert five - rotate == {"tsirkin2018steps"}
    assert rotate - five == {"wang2018v24", "tsirkin2018rotate", "tsirkin2018lock"}
    gives_back = {"host": fh.HostConfig(discard=True)}
    hints, reports = (keys(policy=p, **gives_back) for p in ("balloon_alloc", "page_reporting"))
    assert hints - keys(policy="balloon_alloc") == {"firecracker"}
    assert reports - keys(policy="page_reporting") == {"qemudiscard"}
    # Nobody hints: no ring, and nothing to discard.
    none = keys(policy="none", **gives_back)
    assert not none & {"virtio1.3", "qemuballoon", "firecracker", "qemudiscard"}


@pytest.mark.parametrize("generation", rules.GENERATIONS)
def test_a_migration_cites_its_generation(generation):
    moved = keys(policy="v24", migration=fh.MigrationConfig(generation=generation))
    assert moved - keys(policy="v24") == set(rules.GENERATIONS[generation])


def test_a_walker_cites_each_knob_that_is_turned():
    v24 = keys(policy="v24")
    held = Walker("mine", rotate="never", resume="restart", lock="whole_walk", on_full="wait")
    assert keys(policy=held) - v24 == {"tsirkin2018lock"}
    assert keys(policy="v33") - v24 == {"wang2018v33"}
    table = fh.simulate(fh.Scenario(**QUICK, policy="restartable_cursor")).citations()
    assert "policy restartable_cursor (resume cursor)" in table.loc["wang2018restart", "used_for"]


def test_a_cost_that_was_changed_cites_nobody():
    default = keys(policy="v24")
    assert default - keys(policy="v24", costs=fh.Costs(write_ns=401)) == {"wrenger2025hyperalloc"}
    assert keys(policy="v24", costs=fh.Costs(report_ns=201)) == default  # assumed in any case


def test_recordings_are_cited_where_they_are_used():
    assert not any(key.startswith("freehint2026linux") for key in keys())
    assert "freehint2026linux6.1" in keys(memory="linux-6.1/traces/idle20.T0")
    assert "freehint2026linux6.12" in keys(memory="linux-6.12/traces/idle20.T0")
    recorded = fh.RecordedGuest("linux-6.1/traces/idle20")
    table = fh.simulate(fh.Scenario(workload=recorded, duration_ns=1_000_000)).citations()
    used_for = table.loc["freehint2026linux6.1", "used_for"]
    assert "load linux-6.1/traces/idle20" in used_for
    assert "freehint2026linux6.1" in keys(workload=fh.Program(state="freed", fill_MiB=1))


class Own(fh.Walker):
    """A user's kind of policy."""


def test_what_is_not_ours_is_said_and_not_cited():
    run = fh.simulate(fh.Scenario(**QUICK, policy=("v24", Own("own"))))
    table = run.citations()
    assert table.loc["", "used_for"] == "policy own"
    assert table.loc["", "citation"] == "not freehint's: cite its author"
    assert len(re.findall(r"^@", fh.bibtex(run), re.M)) == len(table) - 1


def test_runs_together_cite_each_source_once():
    runs = [fh.simulate(fh.Scenario(**QUICK, policy=p)) for p in ("v24", "five_step")]
    table = fh.citations(runs)
    assert table.index.is_unique
    assert set(table.index) == set(runs[0].citations().index) | set(runs[1].citations().index)
    assert fh.citations(runs[0]).equals(runs[0].citations())


def test_a_stored_run_cites_the_same(tmp_path):
    run = fh.simulate(fh.Scenario(**QUICK, policy="page_reporting"))
    run.save(tmp_path / "run")
    assert fh.Run.load(tmp_path / "run").citations().equals(run.citations())


def test_the_rules_name_what_there_is():
    """Every key is in the registry, every entry is used, every position and kind exists."""
    used = {"freehint", "virtio1.3", "qemuballoon", "qemudiscard", "firecracker"}
    for table in (rules.WALKER, rules.POLICY_KINDS, rules.KERNELS, rules.GENERATIONS):
        used |= {key for found in table.values() for key in found}
    used |= {*rules.RECORDINGS.values(), *rules.COSTS.values()}
    assert used == set(SOURCES)
    assert set(rules.KERNELS) == set(PROFILES)
    kinds = {type(policy).__name__ for policy in fh.POLICIES.values()}
    assert set(rules.POLICY_KINDS) == kinds | {kind.__name__ for kind in CALLED}
    knobs = [*Walker("a").knobs, *CallWalker("b").knobs]
    positions = {(knob.name, position) for knob in knobs for position in knob.positions}
    assert set(rules.WALKER) <= positions


def test_links_are_addresses_or_files_here():
    for key, source in SOURCES.items():
        assert source.link.startswith("https://") or (ROOT / source.link).exists(), key
        assert re.fullmatch(r"\d{4}(-\d\d-\d\d)?", source.date), key
        assert source.authors and source.title and source.where


def test_bibtex_is_whole():
    runs = [fh.simulate(fh.Scenario(**QUICK, policy=p)) for p in ("v24", "hold_the_lock")]
    text = fh.bibtex(runs)
    entries = text.split("\n\n")
    assert len(entries) == len(fh.citations(runs))
    for entry in entries:
        assert re.match(r"@(misc|inproceedings)\{[\w.]+,\n", entry)
        assert entry.count("{") == entry.count("}")
        for name, value in re.findall(r"^  (\w+) = \{(.*)\},?$", entry, re.M):
            assert name in ("url", "note") or not re.search(r"(?<!\\)[&%#_]", value), entry
        names = re.findall(r"^  (\w+) = ", entry, re.M)
        assert {"author", "title", "year"} <= set(names) and len(names) == len(set(names))
