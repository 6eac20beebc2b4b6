"""The report whose knobs turn without a kernel: every combination is in the file."""

import hashlib
import re
import zlib

import pytest

import freehint as fh
from freehint.cli import main
from freehint.config import InputError
from freehint.reports.knobs.combinations import combinations, own_key, read_knobs
from freehint.reports.knobs.report import MOMENTS, write_knobs_report
from freehint.runs.scenario_file import read_scenario
from lab import PLAYER, SHOWN, chromium, new_page

TOML = 'memory = "64MiB"\nduration_ns = 10_000_000\nwalk_at_ns = 1_000_000\npolicy = "v24"\n'
KNOBS = "policy.rotate=never,on_exit,policy.resume=restart,scan_for_first"
CANVASES = "#player canvas"
TITLE = "#player .fh-title strong"

# Keeps what the page compresses again for the player.
SPY = """const Real = CompressionStream;
window.CompressionStream = class {
  constructor(kind) {
    const real = new Real(kind), kept = window.kept = [];
    const keep = (chunk, out) => { kept.push(chunk.slice()); out.enqueue(chunk); };
    const spy = new TransformStream({transform: keep});
    spy.readable.pipeTo(real.writable);
    this.writable = spy.writable;
    this.readable = real.readable;
  }
};"""
SHA256 = """async () => [...new Uint8Array(
  await crypto.subtle.digest("SHA-256", await new Blob(kept).arrayBuffer()))]"""


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML)
    return path


def test_turning_a_knob_shows_that_combination_without_a_network(toml, tmp_path, capsys):
    path = tmp_path / "out.html"
    assert main(["report", "--knobs", KNOBS, str(toml), "-o", str(path)]) == 0
    assert "3 of 4 combinations are possible; 1 contradicts itself" in capsys.readouterr().out
    asked, errors = [], []
    with chromium() as browser:
        page = new_page(browser, offline=True, viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(SHOWN + SPY)
        page.goto(path.as_uri())
        page.wait_for_selector(PLAYER)
        assert page.locator(TITLE).inner_text() == "v24"
        assert page.locator("label.refused").inner_text() == "scan_for_first"
        before = page.evaluate("freehintShown", CANVASES)

        page.get_by_text("on_exit", exact=True).first.click()
        page.wait_for_function(f"document.querySelector('{TITLE}').innerText.includes('on_exit')")
        assert page.evaluate("freehintShown", CANVASES) != before
        changed = {"policy.rotate": "on_exit", "policy.name": "v24, rotate=on_exit"}
        seen = fh.record(read_scenario(toml).with_values(changed), MOMENTS)
        whole = hashlib.sha256(zlib.decompress(seen.to_bytes())).digest()
        assert bytes(page.evaluate(SHA256)) == whole
        held = f"{seen.run.summary['lock_held_max_ns'] / 1e3:.3g} µs"
        cells = page.locator("#table tr", has_text="lock held max").locator("td").all_inner_texts()
        assert cells[1] == held != cells[0]
        assert re.fullmatch(r"\+\d\.\d %", cells[2])

        page.locator(".all tbody tr").first.click()
        page.wait_for_function(f"document.querySelector('{TITLE}').innerText === 'v24'")
        page.get_by_text("scan_for_first", exact=True).first.click()
        assert "without rotation the first block reported" in page.locator("#said").inner_text()
        assert page.locator(TITLE).inner_text() == "v24"
        page.get_by_text("on_exit", exact=True).first.click()
        page.wait_for_function(f"document.querySelector('{TITLE}').innerText.includes('scan_for')")
        assert not page.locator("#said").is_visible()
        assert page.url.endswith("#1-1")
    assert [url for url in asked if not url.startswith((path.as_uri(), "data:", "blob:"))] == []
    assert errors == []


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ("policy.rotat", "did you mean policy.rotate?"),
        ("ring.size", "--knobs ring.size: give its values, as in ring.size=1,2"),
        ("policy.rotat=never", "there is no parameter 'policy.rotat'"),
        ("policy.rotate=never,often", "--knobs policy.rotate: .* got 'often'"),
        ("policy.resume=scan_for_first", "no combination is possible: policy.resume"),
        ("policy.order,policy.min_order,policy.capacity", "242 combinations.* at most 100"),
        ("policy.rotate,policy.rotate", "policy.rotate: is given twice"),
        ("policy.rotate=never,never", "'never' is given twice"),
        (",", "a knob has no name"),
    ],
)
def test_bad_knobs_are_one_sentence(toml, tmp_path, monkeypatch, capsys, knobs, sentence):
    monkeypatch.setattr("freehint.reports.knobs.combinations.MOST", 100)
    path = tmp_path / "out.html"
    assert main(["report", "--knobs", knobs, str(toml), "-o", str(path)]) == 2
    said = capsys.readouterr().err.strip()
    assert re.search(sentence, said) and "\n" not in said
    assert not path.exists()


@pytest.mark.parametrize("more", [["-p", "seeds=[1]"], ["--pdf"]])
def test_what_does_not_go_with_knobs_is_named(toml, tmp_path, capsys, more):
    arguments = ["report", "--knobs", KNOBS, str(toml), "-o", str(tmp_path / "out.html"), *more]
    assert main(arguments) == 2
    assert f"--knobs does not go with {more[0]}" in capsys.readouterr().err
    assert main(["report", "--knobs", KNOBS]) == 2
    assert "needs a scenario's TOML file" in capsys.readouterr().err


def test_a_file_that_would_be_too_large_is_refused_at_once(toml, tmp_path, monkeypatch):
    monkeypatch.setattr("freehint.reports.knobs.report.MOST_BYTES", 60_000)
    done = []
    with pytest.raises(InputError, match=r"2 of 3 runs need 0\.1 MB already"):
        write_knobs_report(toml, [KNOBS], tmp_path / "out.html", lambda n, of: done.append(n))
    assert done == [0, 1]
    assert not (tmp_path / "out.html").exists()


def test_names_and_values_share_the_comma():
    scenario = fh.Scenario(memory="64MiB")
    found = read_knobs(["policy.rotate,ring.size=64,256", "seed=1,2,memory=64MiB,a.b/c"], scenario)
    assert found == {
        "policy.rotate": ["never", "each_report", "on_exit"],
        "ring.size": [64, 256],
        "seed": [1, 2],
        "memory": ["64MiB", "a.b/c"],
    }


def test_rotate_resume_and_lock_have_44_combinations_that_are_possible():
    scenario = fh.Scenario(memory="64MiB", policy="rotate_on_exit")
    scenario = scenario.with_values({"policy.on_full": "lose"})
    levels = read_knobs(["policy.rotate,policy.resume,policy.lock"], scenario)
    found = combinations(scenario, levels)
    possible = [one for one in found if one.scenario is not None]
    assert (len(found), len(possible)) == (48, 44)
    assert all("scan_for_first" in one.refusal for one in found if one.scenario is None)
    own = next(one for one in found if one.key == own_key(scenario, levels, found))
    assert own.scenario == scenario
    names = {one.scenario.policy.name for one in possible}
    assert len(names) == 44 and "rotate_on_exit, lock=whole_walk" in names
