"""The report of one run: from a folder and from TOML; reproduced or not; offline, and as PDF."""

import json
import re
import shutil
import zlib

import pandas as pd
import pyarrow.parquet as pq
import pytest

import freehint as fh
from freehint.cli import main
from freehint.formats.digest import Input
from freehint.reports.reproduce import changed_inputs, differences, reproduce
from freehint.reports.run_report import write_run_report
from freehint.runs.run import METADATA_KEY
from freehint.runs.scenario_file import scenario_toml
from lab import MOMENT, PLAYER, chromium, new_page, open_offline
from own_policy import QUIET

SMALL = fh.Scenario(memory="64MiB", duration_ns=10_000_000, walk_at_ns=1_000_000)
MOVED = fh.Scenario(memory="64MiB").with_values(
    {
        "policy": "balloon_alloc",
        "workload.state": "freed",
        "workload.fill_MiB": 32,
        "migration.bandwidth_Bps": 50_000_000,
        "duration_ns": 3_000_000_000,
    }
)
TOML = """
memory = "64MiB"
duration_ns = 10_000_000
walk_at_ns = 1_000_000
policy = "v24"
[ring]
size = 64
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A stored run; tests that change it take a copy."""
    return fh.simulate(SMALL).save(tmp_path_factory.mktemp("stored") / "run")


@pytest.fixture
def copy(stored, tmp_path):
    return shutil.copytree(stored, tmp_path / "run")


def write_table(folder, name, change=None, provenance=None):
    """Write a stored table again, changed."""
    table = pq.read_table(folder / f"{name}.parquet")
    metadata = dict(table.schema.metadata)
    if change:
        rows = table.to_pandas()
        change(rows)
        table = table.from_pandas(rows, preserve_index=False)
    if provenance:
        facts = json.loads(metadata[METADATA_KEY])
        provenance(facts)
        metadata[METADATA_KEY] = json.dumps(facts).encode()
    pq.write_table(table.replace_schema_metadata(metadata), folder / f"{name}.parquet")


def change_provenance(folder, change):
    for path in folder.glob("*.parquet"):
        write_table(folder, path.stem, provenance=change)


# A stored run.


def test_a_stored_run_is_reproduced_exactly(stored, tmp_path, capsys):
    path = tmp_path / "deep" / "out.html"
    assert main(["report", str(stored), "-o", str(path)]) == 0
    assert "Reproduced exactly" in capsys.readouterr().out
    assert [p.name for p in path.parent.iterdir()] == ["out.html"]
    shown = open_offline(path, "run_report")
    assert (shown.requests, shown.errors) == ([], [])
    run = fh.Run.load(stored)
    for text in (
        "What does v24 tell the host",
        "Reproduced exactly",
        f"{100 * run.summary['coverage']:.3g} % of the memory it could walk",
        f"freehint report {stored} -o {path}",
        "Walks",
        "Physical memory",
        "To be cited",
        *run.citations()["link"],
    ):
        assert text in shown.text, text
    assert "workload.interval_ns" in path.read_text()  # folded away
    assert "workload.interval_ns" not in shown.text
    assert not re.findall(r"(?:src|href)=[\"'](https?:[^\"']+)", path.read_text())


def test_the_player_of_a_report_plays_offline(stored, tmp_path):
    path = tmp_path / "out.html"
    write_run_report(stored, path, moments=50)
    with chromium() as browser:
        page = new_page(browser, offline=True, viewport={"width": 1280, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_selector(PLAYER)
        assert page.evaluate("document.documentElement.scrollWidth") == 1280
        page.locator(PLAYER).focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert page.evaluate(MOMENT) == 1
        page.keyboard.press(" ")
        page.wait_for_function(f"{MOMENT} === 49")
        page.emulate_media(media="print")
        assert not page.locator(PLAYER).is_visible()
        assert page.locator(".paper .still").is_visible()


def test_a_tampered_summary_is_named_and_exits_1(copy, tmp_path, capsys):
    def more(rows):
        rows["hinted_pages"] += 1

    write_table(copy, "summary", more)
    assert main(["report", str(copy), "-o", str(tmp_path / "out.html")]) == 1
    assert "NOT reproduced: simulated again, the run differs in hinted_pages." in (
        capsys.readouterr().out
    )
    html = (tmp_path / "out.html").read_text()
    assert "<td>hinted_pages</td>" in html
    assert "everything else here was stored" in html


def test_a_tampered_table_is_named(copy):
    def more(rows):
        rows.loc[0, "pfn"] += 1

    write_table(copy, "reports", more)
    assert [what for what, _, _ in reproduce(copy, 2).differences] == ["table reports"]


def test_another_input_is_named_and_not_played(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = fh.data("linux-6.1/traces/idle20.T0")
    for path in source.parent.glob("idle20.T0.*"):
        shutil.copy(path, tmp_path / path.name.replace("idle20", "guest"))
    fh.simulate(SMALL.with_values({"memory": "guest.T0"})).save("run")
    assert main(["report", "run", "-o", "same.html"]) == 0
    meta = tmp_path / "guest.T0.meta.json"
    meta.write_text(meta.read_text() + "\n")
    assert main(["report", "run", "-o", "other.html"]) == 1
    assert "Not simulated again: sha256 of guest.T0.meta.json" in capsys.readouterr().out
    assert "fh-player" not in (tmp_path / "other.html").read_text()
    meta.unlink()
    assert main(["report", "run", "-o", "gone.html"]) == 0
    assert "guest.T0.meta.json: there is no such file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"memory": fh.make_memory("64MiB")}, "its memory was made by hand"),
        ({"policy": QUIET}, f"its policy &#x27;{QUIET.name}&#x27;, with the verb own_policy"),
    ],
)
def test_what_cannot_be_rebuilt_is_reported_from_its_tables(values, reason, tmp_path):
    run = fh.simulate(SMALL.with_values(values))
    run.save(tmp_path / "run")
    assert main(["report", str(tmp_path / "run"), "-o", str(tmp_path / "out.html")]) == 0
    html = (tmp_path / "out.html").read_text()
    assert f"Not simulated again: {reason}" in html
    assert "fh-player" not in html and "<h2>Figures</h2>" in html
    assert f"{run.summary['hinted_pages']:,}" in html


def test_a_verb_in_the_provenance_is_never_run(copy, tmp_path):
    """It is a name; only freehint's own are looked up, and none is imported."""

    def foreign(facts):
        facts["parameters"]["policy"]["fill"] = "os.system"

    change_provenance(copy, foreign)
    shown = write_run_report(copy, tmp_path / "out.html")
    assert "with the verb os.system" in shown.reason and shown.trajectory is None


def test_an_input_that_is_gone_changed_or_new_is_named():
    stored = [{"file": "gone", "sha256": "1"}, {"file": "changed", "sha256": "2"}]
    assert changed_inputs(stored, (Input("changed", "3"), Input("new", "4"))) == [
        ("sha256 of gone", "1", "not there"),
        ("sha256 of changed", "2", "3"),
        ("sha256 of new", "not there", "4"),
    ]


def test_a_name_with_an_angle_bracket_does_not_damage_the_page(copy, tmp_path):
    change_provenance(copy, lambda facts: facts["parameters"].update(memory="<i>guest"))
    write_run_report(copy, tmp_path / "out.html")
    html = (tmp_path / "out.html").read_text()
    assert "<dd>&lt;i&gt;guest</dd>" in html and "<i>guest" not in html


def test_the_same_run_has_no_differences_but_every_entry_counts():
    run = fh.simulate(SMALL)
    assert differences(run, fh.simulate(SMALL)) == []
    other = fh.simulate(SMALL.with_values({"seed": 2}))
    found = {what for what, _, _ in differences(run, other)}
    wanted = {name for name in run.summary.index if run.summary[name] != other.summary[name]}
    assert wanted and wanted == {what for what in found if not what.startswith("table ")}
    assert "table reports" in found


# A scenario's file.


def test_a_scenario_of_toml_is_simulated_and_reported(tmp_path, capsys):
    (tmp_path / "small.toml").write_text(TOML)
    run = fh.simulate(SMALL.with_values({"ring.size": 64}))
    shown = write_run_report(tmp_path / "small.toml", tmp_path / "out.html", moments=5)
    assert shown.run.summary.equals(run.summary)
    assert main(["simulate", str(tmp_path / "small.toml"), "-o", str(tmp_path / "run")]) == 0
    assert fh.Run.load(tmp_path / "run").summary.equals(run.summary)
    options = ["--policy", "none", "--seed", "3", "-o", str(tmp_path / "other")]
    assert main(["simulate", str(tmp_path / "small.toml"), *options]) == 0
    other = fh.Run.load(tmp_path / "other").provenance["parameters"]
    assert (other["policy"]["name"], other["seed"], other["ring"]["size"]) == ("none", 3, 64)


BAD = [
    ('policy = "v24"\n"policy.lock" = "whole_walk"\n"policy.on_full" = "stop"', "cannot go with"),
    ('[ring]\nsize = "big"', "bad.toml: ring.size must be a power of two"),
    ("[scenario]\nseed = 1", "bad.toml: there is no parameter 'scenario"),
    ("seed = ", "bad.toml: this is not TOML"),
    ('memory = "nothere"', "so memory 'nothere' is no snapshot"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_bad_toml_is_one_sentence_and_leaves_nothing(text, sentence, tmp_path, capsys):
    (tmp_path / "bad.toml").write_text(text)
    out = str(tmp_path / "out.html")
    assert main(["report", str(tmp_path / "bad.toml"), "-o", out, "--pdf"]) == 2
    err = capsys.readouterr().err
    assert sentence in err and len(err.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bad.toml"]


def test_bad_folders_are_one_sentence(copy, tmp_path, capsys):
    out = str(tmp_path / "out.html")

    def refused(sentence, source=copy):
        assert main(["report", str(source), "-o", out]) == 2
        assert sentence in capsys.readouterr().err

    refused("there is no such folder of a run", tmp_path / "nothing")
    refused("summary.parquet: there is no such file", tmp_path)
    write_table(copy, "locks", provenance=lambda facts: facts.update(python="2.7"))
    refused("locks.parquet: is the table of another run")
    change_provenance(copy, lambda facts: facts.update(parameters={}, python="2.7"))
    refused("summary.parquet: the provenance has no parameters.memory")
    assert main(["report", str(copy), "-p", "seeds=[1]"]) == 2
    assert "takes no parameters" in capsys.readouterr().err


# As PDF.


def pdf_texts(data: bytes) -> list:
    """Glyphs shown on each page's content, by counting what its text operators show."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", data, re.S)
    shown = []
    for stream in streams:
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue
        if b"BT" in content and b"begincmap" not in content:
            shown.append(sum(len(g) // 4 for g in re.findall(rb"<([0-9A-Fa-f]+)>", content)))
    return [glyphs for glyphs in shown if glyphs]


def test_a_report_with_a_migration_as_pdf(tmp_path, capsys):
    (tmp_path / "moved.toml").write_text(scenario_toml(MOVED))
    out = tmp_path / "out.html"
    assert main(["report", str(tmp_path / "moved.toml"), "-o", str(out), "--pdf"]) == 0
    assert f"pdf: {tmp_path / 'out.pdf'}" in capsys.readouterr().out
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"moved.toml", "out.html", "out.pdf"}
    html = out.read_text()
    assert "Rounds of the migration" in html and "no write was lost" in html
    for sent in fh.simulate(MOVED).rounds["sent_bytes"]:
        assert f"<td>{sent / 1e6:,.1f}</td>" in html
    pdf = (tmp_path / "out.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", pdf)) > 2
    # The headings are the outline's entries.
    for title in (b"Summary", b"Rounds of the migration", b"Provenance"):
        assert b"/Title (" + title + b")" in pdf, title
    assert sum(pdf_texts(pdf)) > 2_000


def test_without_chromium_nothing_is_written(stored, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    out = str(tmp_path / "out.html")
    for source in ([str(stored)], []):
        assert main(["report", *source, "-o", out, "--pdf"]) == 2
        assert "printed by Chromium, which is not installed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_chromium_that_fails_leaves_nothing(stored, tmp_path, monkeypatch, capsys):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "chromium").write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    (tools / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin")
    out = tmp_path / "out"
    assert main(["report", str(stored), "-o", str(out / "out.html"), "--pdf"]) == 1
    assert "Chromium could not print: no display" in capsys.readouterr().err
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(("moments", "where"), [(3, "just after"), (600, "half way through")])
def test_a_report_says_where_its_player_opens(moments, where, tmp_path):
    file = tmp_path / "walk.toml"
    # So large that no stroke gets a moment of its own.
    file.write_text(scenario_toml(SMALL.with_values({"memory": "128MiB"})))
    write_run_report(file, tmp_path / "walk.html", moments=moments)
    assert f"It opens {where} the first walk." in (tmp_path / "walk.html").read_text()


def test_a_walk_that_did_not_end_and_no_walk_are_reported(tmp_path):
    for policy, text in (("none", "told the host nothing"), ("v24", "did not finish")):
        file = tmp_path / f"{policy}.toml"
        scenario = SMALL.with_values({"policy": policy, "duration_ns": 1_010_000})
        file.write_text(scenario_toml(scenario))
        shown = write_run_report(file, tmp_path / f"{policy}.html", moments=3)
        assert isinstance(shown.run.walks, pd.DataFrame)
        assert text in (tmp_path / f"{policy}.html").read_text()
