"""Do the mechanisms act in the model as they did in the recorded guests, block by block?"""

import dataclasses
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.cli import main
from freehint.formats.traces.recording import load_recording
from freehint.mm.buddy import rmqueue_smallest
from freehint.mm.memory import MOVABLE
from freehint.policies.page_reporting import PageReporting
from freehint.replay.hints import predict_hints
from freehint.replay.prediction import Prediction
from freehint.replay.reporting import predict_reporting

HINTS = fh.data("linux-6.1/hints")
HINTS_612 = fh.data("linux-6.12/hints")
REPORTING = fh.data("linux-6.1/reporting")

# Blocks by zone, in order; UNMOVABLE pageblocks before, after the pass, as the guest told.
FIRST_PASS = {
    "linux-6.1/hints/freed": (
        "190 DMA32, 2 DMA, 2 DMA32",
        "DMA 1 -> 5 (told 5), DMA32 49 -> 433 (told 433)",
    ),
    # Later passes hinted more: the guest tells what they left.
    "linux-6.1/hints/frag": (
        "59 DMA32, 2 DMA",
        "DMA 1 -> 5 (told 5), DMA32 49 -> 167 (told 233)",
    ),
    "linux-6.12/hints/freed": (
        "187 DMA32, 2 DMA, 3 DMA32",
        "DMA 1 -> 5 (told 5), DMA32 51 -> 431 (told 431)",
    ),
}


@pytest.mark.parametrize("recording", FIRST_PASS)
def test_the_first_pass_of_hints_is_predicted_block_by_block(recording):
    found = predict_hints(fh.data(recording))
    runs, unmovable = FIRST_PASS[recording]
    assert found.good and found.facts["predicted"] == found.facts["measured"] == runs
    assert found.facts["UNMOVABLE pageblocks"] == unmovable
    assert len(found.blocks) == sum(int(run.split()[0]) for run in runs.split(", "))
    assert all(row[-2] == row[-1] > 0 for row in found.blocks)


@pytest.mark.parametrize("name", ["freed_off", "frag_off"])
def test_a_guest_without_hints_has_none_and_its_pageblocks_keep_their_types(name):
    found = predict_hints(HINTS_612 / name)
    assert (found.good, found.blocks, found.facts["hint"]) == (True, [], "off")
    for zone in found.facts["UNMOVABLE pageblocks"].split(", "):
        before, after, told = [int(n.strip("()")) for n in zone.split() if n.strip("()").isdigit()]
        assert before == after == told > 0


def test_a_recording_without_a_snapshot_says_so():
    found = predict_hints(HINTS / "frag_off")
    assert found == Prediction("frag_off", "there is no snapshot frag_off.T0")


# Wrong rules fail.


def walks_the_list_to_min(memory, state):
    """DMA32 until nothing is left, without a look at the low watermark or at DMA."""
    return 1 if memory.nr_free[1, 10].sum() > 12 else -1


def never_the_slow_path(memory, state):
    zone = fh.POLICIES["balloon_alloc"].next_zone(memory, state)
    free = int(memory.zones.nr_free_pages[zone]) - 1023
    return zone if free > memory.zones.watermark[zone, 1] else -1


def zones_from_below(memory, state):
    for zone in range(len(memory.zones)):
        free = int(memory.zones.nr_free_pages[zone]) - 1023
        if memory.nr_free[zone, 10].sum() and free > memory.zones.watermark[zone, 0]:
            return zone
    return -1


@pytest.mark.parametrize("wrong", [walks_the_list_to_min, never_the_slow_path, zones_from_below])
@pytest.mark.parametrize("where", [HINTS / "freed", HINTS_612 / "freed"], ids=["6.1", "6.12"])
def test_another_rule_for_the_zones_fails(where, wrong):
    policy = dataclasses.replace(fh.POLICIES["balloon_alloc"], next_zone=wrong)
    found = predict_hints(where, policy)
    assert not found.good and len(found.blocks) > 180


def from_the_tail(memory, state, zone, report, capacity):
    """Take the last block of the MOVABLE list instead of the first."""
    blocks = fh.free_lists(memory).query("order == 10 and migratetype == 1")
    node = int(blocks[blocks["zone"] == ("DMA", "DMA32")[zone]]["pfn"].iloc[-1])
    held = []
    while (taken := rmqueue_smallest(memory, zone, 10, MOVABLE)) != node - memory.base_pfn:
        held.append(taken)
    for back in reversed(held):
        fh.mm.buddy.free_block(memory, back, zone, 10, 0)
    report[0] = (taken, 10, 1)
    return 1, fh.Stroke.MORE


def test_another_end_of_the_list_fails():
    kept = lambda *_: 0  # noqa: E731
    policy = dataclasses.replace(fh.POLICIES["balloon_alloc"], fill=from_the_tail, drain=kept)
    found = predict_hints(HINTS / "frag", policy)
    assert not found.good


# Reporting


def test_every_pass_of_reporting_is_predicted_and_ends_with_t1s_lists_and_flags():
    found = predict_reporting(REPORTING / "fpr_fill")
    assert found.good
    assert found.facts == {
        "predicted": "32, 32 | 32, 32 | 25",
        "measured": "32, 32 | 32, 32 | 25",
        "misses between passes": "0",
        "T1 lists equal": "20 of 20",
        "T1 flagged": "183 of 187 (told 183 of 187)",
    }
    assert len(found.blocks) == 153


# What each wrong rule breaks: the blocks themselves, or only the lists that they leave.
WRONG = {
    "putback at the head": {"putback": "head"},
    "reports of 16": {"capacity": 16},
    "the largest order alone": {"report_order": 10},
    "smaller blocks too": {"report_order": 8},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_another_rule_for_reporting_fails(wrong):
    found = predict_reporting(REPORTING / "fpr_fill", PageReporting(**WRONG[wrong]))
    assert not found.good
    assert found.facts["T1 lists equal"] != "20 of 20"


def in_order_of_isolation(memory, state, zone, report, n, outcome):
    """Put back first the blocks that were isolated first."""
    turned = report.copy()
    turned[:n] = report[:n][::-1]
    return fh.POLICIES["page_reporting"].drain(memory, state, zone, turned, n, outcome)


def test_putback_in_the_order_of_isolation_predicts_every_block_and_fails_at_t1():
    policy = dataclasses.replace(fh.POLICIES["page_reporting"], drain=in_order_of_isolation)
    found = predict_reporting(REPORTING / "fpr_fill", policy)
    assert all(row[-2] == row[-1] for row in found.blocks)
    assert found.facts["T1 lists equal"] == "18 of 20"
    assert not found.good


# Damage, and the command line.


@pytest.fixture
def copy(tmp_path):
    def copied(where):
        folder = tmp_path / "copy"
        folder.mkdir(exist_ok=True)
        for path in where.parent.glob(f"{where.name}.*"):
            shutil.copy(path, folder)
        return folder / where.name

    return copied


def rewrite(path, change):
    table = pd.read_parquet(path)
    change(table)
    table.to_parquet(path)


def set_hint(stem, value):
    path = Path(f"{stem}.migration.json.gz")
    record = json.loads(gzip.decompress(path.read_bytes()))
    record["hint"] = value
    path.write_bytes(gzip.compress(json.dumps(record).encode()))


@pytest.mark.parametrize(
    ("kind", "folder", "rows"),
    [("hints", HINTS, 255), ("hints", HINTS_612, 192), ("reporting", REPORTING, 153)],
)
def test_validate_prints_writes_and_judges(kind, folder, rows, tmp_path, capsys):
    out = tmp_path / "table.parquet"
    assert main(["validate", kind, str(folder), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "the bar holds" in text and "MISSED" not in text
    table = pd.read_parquet(out)
    columns = ["recording", "pass", "position", "predicted_pfn", "measured_pfn"]
    assert [c for c in table.columns if c != "report"] == columns
    assert len(table) == rows and (table["predicted_pfn"] == table["measured_pfn"]).all()


def test_what_cannot_be_predicted_is_listed_with_the_reason_and_does_not_fail(copy, capsys):
    assert main(["validate", "reporting", str(REPORTING)]) == 0
    assert "not predictable: there is no snapshot fpr.T0" in capsys.readouterr().out
    assert main(["validate", "reporting", str(fh.data("linux-6.12/reporting"))]) == 0
    text = capsys.readouterr().out
    assert "not predictable: fpr.T0.freelist.parquet has no column 'reported'" in text
    assert "no recording here can be predicted" in text
    stem = copy(REPORTING / "fpr_fill")
    rewrite(f"{stem}.trace.parquet", lambda t: t.replace({"event": {"proc": "rep"}}, inplace=True))
    found = predict_reporting(stem)
    assert "has no row 'proc'" in found.reason and found.good


def test_hints_where_there_should_be_none_fail_and_are_shown(copy, tmp_path, capsys):
    stem = copy(HINTS / "frag")
    set_hint(stem, "off")
    out = tmp_path / "table.parquet"
    assert main(["validate", "hints", str(stem.parent), "--out", str(out)]) == 1
    assert "the bar is MISSED" in capsys.readouterr().out
    table = pd.read_parquet(out)
    assert len(table) == 61 and (table["predicted_pfn"] == -1).all()


def test_no_hints_where_there_should_be_some_fails(copy):
    stem = copy(HINTS_612 / "freed_off")
    set_hint(stem, "on")
    found = predict_hints(stem)
    assert not found.good and found.facts["measured"] == "none" and len(found.blocks) > 180


def test_one_block_that_is_another_fails_and_is_shown(copy, capsys):
    stem = copy(HINTS / "freed")

    def swap(table):
        hints = table.index[(table["event"] == "mm_page_alloc") & (table["order"] == 10)]
        one, other = hints[7], hints[8]
        table.loc[[one, other], "pfn"] = table.loc[[other, one], "pfn"].to_numpy()

    rewrite(f"{stem}.trace.parquet", swap)
    assert main(["validate", "hints", str(stem.parent)]) == 1
    shown = capsys.readouterr().out
    assert len([line for line in shown.splitlines() if line.split()[:2] == ["freed", "1"]]) == 2


def test_one_flag_that_is_another_fails_though_every_block_is_right(copy):
    stem = copy(REPORTING / "fpr_fill")

    def unflag(table):
        table.loc[table.index[table["reported"] == 1][0], "reported"] = 0

    rewrite(f"{stem}.T1.freelist.parquet", unflag)
    found = predict_reporting(stem)
    assert not found.good and all(row[-2] == row[-1] for row in found.blocks)
    assert found.facts["T1 lists equal"] == "19 of 20"


def test_without_t1_the_passes_are_predicted_all_the_same(copy):
    stem = copy(REPORTING / "fpr_fill")
    for path in stem.parent.glob("*.T1.*"):
        path.unlink()
    found = predict_reporting(stem)
    assert found.good and found.facts["predicted"].startswith("32, 32 | 32, 32 | 25")
    assert "T1 lists equal" not in found.facts
    with pytest.raises(fh.InputError, match=r"T1\.meta\.json: there is no such file"):
        load_recording(stem)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-60]), "is not whole gzip"),
        (lambda p: p.write_bytes(gzip.compress(b"[1]")), "field 'hint' must be 'on' or 'off'"),
        (lambda p: p.write_bytes(b"{}"), "field 'hint' must be 'on' or 'off', got None"),
    ],
)
def test_a_damaged_record_of_the_migration_is_refused(copy, damage, sentence, capsys):
    stem = copy(HINTS / "freed")
    damage(Path(f"{stem}.migration.json.gz"))
    assert main(["validate", "hints", str(stem.parent)]) == 2
    assert sentence in capsys.readouterr().err


def test_a_trace_that_ends_before_t0_is_refused(copy):
    stem = copy(HINTS / "freed")
    table = pd.read_parquet(f"{stem}.trace.parquet").iloc[:500]
    table.to_parquet(f"{stem}.trace.parquet")
    with pytest.raises(fh.InputError, match="ends at row 500, before T0 at row 755"):
        predict_hints(stem)


def test_a_pass_that_failed_at_once_predicts_none(copy):
    """The first allocation failed: nothing was hinted, and nothing may be predicted."""
    stem = copy(HINTS / "freed")
    path = Path(f"{stem}.T0.meta.json")
    meta = json.loads(path.read_text())
    pages = sum(zone["managed"] for zone in meta["zones"])
    for zone in meta["zones"]:
        zone["watermark"] = dict.fromkeys(("min", "low", "high"), pages)
    path.write_text(json.dumps(meta))

    trace = pd.read_parquet(f"{stem}.trace.parquet")
    end = trace.index[(trace["event"] == "mm_page_alloc") & (trace["pfn"] == 0)][0]
    trace = trace.drop(index=range(755, end)).assign(seq=lambda t: range(len(t)))
    trace.to_parquet(f"{stem}.trace.parquet")
    found = predict_hints(stem)
    assert found.good and found.blocks == []


@pytest.mark.parametrize("kind", ["hints", "reporting"])
def test_a_folder_without_recordings_is_named(kind, tmp_path, capsys):
    assert main(["validate", kind, str(tmp_path)]) == 2
    assert "holds no recording NAME.T0, NAME.trace" in capsys.readouterr().err
    assert main(["validate", kind, str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_the_validators_as_functions():
    table, good = fh.validate_reporting(REPORTING)
    assert good and len(table) == 153
    assert table.groupby("pass")["report"].max().tolist() == [2, 2, 1]
    wrong = dataclasses.replace(fh.POLICIES["balloon_alloc"], next_zone=walks_the_list_to_min)
    table, good = fh.validate_hints(HINTS_612, policy=wrong)
    assert not good and (np.array(table["predicted_pfn"]) != table["measured_pfn"]).any()
