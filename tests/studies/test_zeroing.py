"""Shares of allocations that land on zeroed pages, and the price of a page that comes back."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.mm.check import check_memory
from freehint.mm.memory import MAX_ORDER, MOVABLE, free_list_head, list_nodes
from freehint.policies.page_reporting import PageReporting
from freehint.runs.costs.file import save_costs
from freehint.studies.costs.list_order import while_reporting
from freehint.studies.costs.price import (
    PUBLISHED_MS,
    page_price,
    price_beside_published,
    price_lines,
    published_lines,
)
from freehint.studies.costs.zeroed import RULES
from freehint.studies.costs.zeroed_guest import Guest, shuffle_lists
from freehint.studies.costs.zeroing import (
    PUBLISHED,
    SIZES,
    Way,
    after_reporting,
    churned,
    churning,
    in_time,
    told,
    ways,
)
from freehint.studies.costs.zeroing_tables import (
    after_lines,
    main,
    order_lines,
    time_lines,
    way_lines,
)
from freehint.units import PAGES_PER_MIB

AT_REST = {"at rest": "linux-6.1/traces/idle20.T1", "in pieces": "linux-6.1/traces/frag.T1"}


def guest(stem="linux-6.1/traces/idle20.T1", **knobs) -> Guest:
    return Guest(fh.load_snapshot(fh.data(stem)), replace(PageReporting(), **knobs))


def test_what_is_not_zeroed_is_used_first_and_a_program_that_leaves_hides_the_rest():
    table = after_reporting(AT_REST, mapped_MiB=64)
    assert (table["page"] >= table["block"]).all() and (table["block"] >= table["first"]).all()
    rested = table.loc["at rest"]
    unknown = rested.loc[("4 KiB", "first"), "unknown_MiB"]
    # Of what is not zeroed, zone DMA's 15 MiB and blocks of other types are not used first.
    assert 1 - unknown / 64 < rested.loc[("4 KiB", "first"), "page"] < 0.9
    assert rested.loc[("2 MiB", "first"), "block"] == 1
    assert (rested.xs("again", level="moment")["page"] < 0.1).all()
    # In pieces there are more small blocks than the program takes, and they go first.
    assert table.loc[("in pieces", "4 KiB", "first"), "page"] == 0
    published = table["published"].dropna()
    assert set(published) == set(PUBLISHED.values()) and len(published) == len(AT_REST)


def test_everything_that_can_be_reported_is():
    one = guest()
    passes, before = one.report_all(), int(one.memory.zones["nr_free_pages"].sum())
    assert passes > 2 and one.report() == 0  # a pass reports a part of a list
    assert guest(share=1).report_all() == 2
    check_memory(one.memory)
    blocks = one.map(8 * PAGES_PER_MIB, False)
    assert len(blocks) == 8 * PAGES_PER_MIB + 4  # a page table for each 2 MiB
    one.give_back(blocks)
    check_memory(one.memory)
    pcp = int(one.memory.pcp["count"].sum())
    start = int(guest().memory.pcp["count"].sum())
    assert int(one.memory.zones["nr_free_pages"].sum()) + pcp == before + start


def test_a_shuffled_list_has_the_same_blocks_in_another_order():
    memory = fh.load_snapshot(fh.data("linux-6.1/traces/idle20.T1"))
    head = free_list_head(memory, len(memory.zones) - 1, MAX_ORDER - 1, MOVABLE)
    before = list_nodes(memory, head)
    shuffle_lists(memory, np.random.default_rng(3))
    check_memory(memory)
    after = list_nodes(memory, head)
    assert len(before) > 50 and sorted(before) == sorted(after)
    assert before.tolist() != after.tolist()


def test_a_pass_leaves_what_is_not_reported_in_front():
    table = while_reporting([1, 2, 3], passes=(1, 2, 4), stem="linux-6.1/traces/idle20.T1")
    share = table.groupby(["order", "passes"])["block"].mean()
    assert share["tail"].equals(share["head"]) and share["tail"][1] < 0.05
    assert share["drawn"][1] > 0.2 and share["drawn"][2] > 2 * share["tail"][2]
    assert share["tail"][4] == share["drawn"][4] > 0.9
    reported = table.groupby("passes")["reported_MiB"]
    assert (reported.max() == reported.min()).all() and reported.max().is_monotonic_increasing
    lines = order_lines(table)
    assert len(lines) == 5 and lines[2].count("±") == 2 and "±" not in lines[4]


SOME = ("put back at the head", "shuffled", "four times as often")


def test_ways_are_paired_by_seed():
    kept = PageReporting().name
    some = {name: ways()[name] for name in (kept, *SOME)}
    table = churning([1, 2, 3], some, churn_MiB=768)
    assert len(table) == 2 * 3 * len(some) and table["lost"].min() >= 0
    assert (table["block"] <= table["page"]).all() and (table["first"] <= table["block"]).all()
    means = told(table)
    assert means.loc[("4 KiB", kept), "block_more"] != means.loc[("4 KiB", kept), "block_more"]
    # A pass turns what is not reported to the front, whichever end a block is put back to.
    assert means["block_more"].xs(SOME[0], level="way").abs().max() < 0.005
    often = means.xs(SOME[2], level="way")
    assert (often["block_more"] > often["block_more_half_width"]).all()
    # Halves of a split that lose the mark are nearly all of what pages of 4 KiB can gain.
    assert (means.loc["4 KiB", "first"] < means.loc["4 KiB", "block"] / 50).all()
    assert set(RULES) < set(means.columns)
    lines = way_lines(means, page_price(COSTS, CLEARING))
    row = means.iloc[0]
    fault_us, saved_us = 512 * 2.0 * row["page"], 512 * 0.5 * row["block"]
    assert lines[2].endswith(f"| - | {fault_us:.0f} | {saved_us:.0f} |") and len(lines) == 10


def test_the_engine_tells_the_same_share_in_time():
    kept, walker = PageReporting().name, fh.Walker("all")  # it walks from the first moment on
    timed = in_time([1, 2, 3], {kept: walker}, churn_MiB=768)
    assert list(timed["seed"]) == [1, 2, 3]
    means = told(churning([1, 2, 3], {kept: Way(walker)}, churn_MiB=768))
    assert timed["page"].mean() == pytest.approx(means["page"].iloc[0], abs=0.02)
    (line,) = time_lines(timed, means)[2:]
    assert line.startswith(f"| {kept} | ") and line.count("±") == 2


def test_a_way_gives_the_same_shares_again():
    shuffled = ways()["shuffled"]
    assert churned(shuffled, False, 5, 300) == churned(shuffled, False, 5, 300)
    assert churned(shuffled, False, 5, 300) != churned(shuffled, False, 6, 300)


COSTS = fh.Costs(fault_ns=2_000, huge_fault_ns=205_000)
CLEARING = fh.Clearing(clear_page_ns=500, clear_huge_ns=200_000)


def price(host, returned="whole", pages="2 MiB", **shares):
    table = page_price(COSTS, CLEARING, **shares)
    return table.xs((host, returned, pages), level=[0, 1, 2])


def test_knowing_saves_the_second_clearing_and_no_fault():
    for host, faults, all_ns in (("4KiB", 512, 512 * 2_000), ("thp", 1, 205_000)):
        table = price(host)
        off, on = table.loc["not used"], table.loc["used"]
        assert off["faults"] == on["faults"] == faults
        assert off["total_ns"] - on["total_ns"] == off["twice_ns"] == 200_000
        assert on["total_ns"] == on["fault_ns"] + on["host_clear_ns"] == all_ns
    assert price("4KiB")["host_clear_ns"].tolist() == [512 * 500] * 2
    assert price("4KiB", pages="4 KiB").loc["not used", "guest_clear_ns"] == 512 * 500
    assert price("thp", known=0.25).loc["used", "guest_clear_ns"] == 0.75 * 200_000


def test_parts_split_a_huge_page_and_hugetlb_takes_nothing_back():
    assert price("thp", "in parts").equals(price("4KiB"))
    table = price("hugetlb", "in parts")
    assert table["faults"].tolist() == [0, 0] and table["twice_ns"].tolist() == [0, 0]
    assert table["total_ns"].tolist() == [200_000, 200_000]  # it is not zeroed, so not known


def test_what_is_known_and_not_touched_does_not_fault():
    table = price("4KiB", touched=0.25)
    assert table["faults"].tolist() == [512, 128]
    assert price("thp", touched=0.25)["faults"].tolist() == [1, 1]
    assert price("thp", touched=0).loc["used", "total_ns"] == 0
    assert price("thp", touched=0, known=0).loc["used"].equals(price("thp").loc["not used"])


def test_published_times_stand_beside_the_price():
    table = price_beside_published(COSTS, CLEARING)
    published = table.loc["published"]
    assert len(published) == len(PUBLISHED_MS)
    assert published.loc["THP, RFC", "saved"] == pytest.approx(1 - 99 / 179)
    priced = table.loc["priced"]
    assert priced.loc["host of thp, written", "without_ms"] == pytest.approx(128 * 0.405)
    assert priced.loc["host of thp, written", "with_ms"] == pytest.approx(128 * 0.205)
    assert priced.loc["host of 4KiB, only mapped", "saved"] == 1


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "1", None, True])
@pytest.mark.parametrize("name", ["known", "touched"])
def test_shares_outside_are_refused_in_one_sentence(name, value):
    with pytest.raises(fh.InputError, match=rf"^{name} must be a number in 0.0..1.0, got "):
        page_price(**{name: value})


ENTRY = {"value": 60, "unit": "ns", "p25": 58, "p75": 63, "n": 9, "how": "by hand"}


def costs_file(tmp_path, beside):
    return save_costs({"costs": {"pcp_ns": ENTRY}, "beside": beside}, tmp_path / "costs.json")


def test_clearing_is_read_from_what_was_measured_beside(tmp_path):
    beside = {"clear_page_ns": ENTRY, "clear_huge_ns": ENTRY | {"value": 70}, "wake_ns": ENTRY}
    path = costs_file(tmp_path, beside)
    assert fh.load_clearing(path) == fh.Clearing(clear_page_ns=60, clear_huge_ns=70)


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({}, "beside.clear_page_ns must be measured, as freehint calibrate does, got None"),
        ({"clear_page_ns": 3}, "beside.clear_page_ns must be a JSON object with a value, got 3"),
        ({"clear_page_ns": ENTRY | {"value": -1}}, "beside.clear_page_ns.value must be a whole"),
        ({"clear_page_ns": ENTRY | {"unit": "us"}}, "beside.clear_page_ns.unit must be 'ns'"),
        ([], r"beside must be a JSON object, got \[\]"),
    ],
)
def test_clearing_that_was_not_measured_is_refused_in_one_sentence(beside, words, tmp_path):
    path = costs_file(tmp_path, {})
    path.write_text(json.dumps(json.loads(path.read_text()) | {"beside": beside}))
    with pytest.raises(fh.InputError, match=f"^{path}: {words}") as refused:
        fh.load_clearing(path)
    assert len(str(refused.value).splitlines()) == 1


def table_of(text: str, name: str) -> list[str]:
    """The lines of a table of docs/costs.md."""
    return text.split(f"<!-- zeroing: {name} -->\n")[1].split("\n<!-- end -->")[0].splitlines()


def test_the_tables_of_the_docs_are_those_of_make_zeroing():
    text = (Path(__file__).parents[2] / "docs" / "costs.md").read_text()
    assert table_of(text, "price") == price_lines(page_price())
    assert table_of(text, "published") == published_lines(price_beside_published())
    assert table_of(text, "after") == after_lines(after_reporting())
    assert table_of(text, "ways")[:2] == way_lines(pd.DataFrame(), page_price())
    policies = [line.split(" | ")[0] for line in table_of(text, "time")[2:]]
    assert policies == [f"| {name}" for name, policy in fh.POLICIES.items() if policy.fill]
    shown = [line.split(" | ")[:2] for line in table_of(text, "ways")[2:]]
    assert shown == [[f"| {pages}", way] for pages in SIZES.values() for way in ways()]


def test_the_command_refuses_a_file_in_one_sentence_before_it_computes(tmp_path, capsys):
    for paths in (
        ["a.json", "b.json"],
        [str(tmp_path / "none.json")],
        [str(costs_file(tmp_path, {}))],
    ):
        assert main(paths) == 2
        said = capsys.readouterr()
        assert said.out == "" and len(said.err.splitlines()) == 1


def test_the_measured_machine_of_the_docs_saves_what_they_say():
    text = (Path(__file__).parents[2] / "docs" / "costs.md").read_text()
    names = ("fault_ns", "huge_fault_ns", "clear_page_ns", "clear_huge_ns")
    found = [re.search(rf"\| {name} \| ([\d,]+) \|", text).group(1) for name in names]
    small, huge, page, block = (int(one.replace(",", "")) for one in found)
    costs = fh.Costs(fault_ns=small, huge_fault_ns=huge)
    clearing = fh.Clearing(clear_page_ns=page, clear_huge_ns=block)
    saved = 100 * price_beside_published(costs, clearing).loc["priced", "saved"]
    said = re.search(r"written pages save (\d+) % on huge pages and (\d+) % on small ones", text)
    hosts = (saved["host of thp, written"], saved["host of 4KiB, written"])
    assert [int(one) for one in said.groups()] == [round(one) for one in hosts]
