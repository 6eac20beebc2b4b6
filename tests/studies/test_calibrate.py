"""What freehint calibrate measures is a costs file, and the lists that it times are sound."""

import json
import re

import jsonschema
import numpy as np
import pytest

import freehint as fh
from freehint.cli import main
from freehint.inputs.rules import rules_of
from freehint.runs.costs.file import SCHEMA, save_costs
from freehint.studies.costs import kernels
from freehint.studies.costs.calibrate import calibrate, calibration_table
from freehint.studies.costs.kernels import FREE, LINE, MAX_ORDER, NEXT
from freehint.studies.costs.measure import HUGE, of_slices

SMALL = {"nr_pages": 1 << 12, "nr_bytes": 2 * HUGE, "slices": 3}


@pytest.fixture(scope="module")
def measured():
    return calibrate(**SMALL)


def test_what_is_measured_is_a_costs_file(measured, tmp_path):
    found, missing = measured
    path = save_costs(found, tmp_path / "costs.json")
    told = json.loads(path.read_text())
    assert not list(
        jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(told)
    )
    costs = fh.load_costs(path)
    assert {"walk_block_ns", "rotate_ns", "pcp_ns", "buddy_ns", "write_ns"} <= set(found["costs"])
    for name, entry in found["costs"].items():
        assert getattr(costs, name) == entry["value"] == round(entry["value"])
        assert entry["p25"] <= entry["p75"] and entry["n"] >= 3
    assert set(found["costs"]) <= set(rules_of(fh.Costs)) and not set(found["costs"]) & set(missing)
    assert (
        found["beside"]["clear_huge_ns"]["value"] > 20 * found["beside"]["clear_page_ns"]["value"]
    )


def test_the_table_names_every_cost_once(measured):
    table = calibration_table(*measured)
    assert table.index.is_unique
    known = {re.sub("^(costs|Clearing).", "", name) for name in fh.cost_sources().index}
    assert known <= set(table.index) and (table["how"].str.len() > 5).all()
    assert (table.loc[list(measured[0]["costs"]), "measured"] != "-").all()
    assert table.loc["throttle_ns", "measured"] == "-"


def test_a_folder_for_the_file_is_refused_before_anything_is_measured(tmp_path, capsys):
    assert main(["calibrate", "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_median_and_quartiles():
    found = of_slices([4.0, 1.0, 3.0, 2.0, 100.0], "lower", "how")
    assert (found.p25, found.value, found.p75, found.n) == (2.0, 3.0, 4.0, 5)


def blocks_of(lines) -> list[int]:
    """Blocks on the list of each order; each entry is checked to head a block of that order."""
    found = []
    for order in range(MAX_ORDER + 1):
        head = kernels.head_of(lines, order)
        node, n = lines[head + NEXT], 0
        while node != head:
            assert lines[node + FREE] == order + 1 and node % (LINE << order) == 0
            node, n = lines[node + NEXT], n + 1
        found.append(n)
    return found


def test_the_allocator_that_is_timed_loses_no_page():
    nr_pages = 2 << MAX_ORDER
    lines = np.zeros((nr_pages + MAX_ORDER + 1) * LINE, np.int32)
    kernels.boot(lines)
    assert blocks_of(lines) == [0] * MAX_ORDER + [2]
    held = np.zeros(nr_pages - 100, np.int64)
    kernels.take_pages(lines, held)
    assert len(set(held)) == len(held) and not (held % LINE).any()
    assert sum(n << order for order, n in enumerate(blocks_of(lines))) == 100
    chance = np.random.default_rng(1)
    kernels.put_and_take(lines, held, chance.integers(0, len(held), 1000))
    assert sum(n << order for order, n in enumerate(blocks_of(lines))) == 100
    kernels.put_pages(lines, chance.permutation(held))
    assert blocks_of(lines) == [0] * MAX_ORDER + [2]  # all merged again


def test_lists_that_are_timed_keep_their_order():
    lines, nodes = np.zeros(9 * LINE, np.int32), np.array([5, 2, 7, 0, 4]) * LINE
    head = 8 * LINE
    kernels.chain(lines, head, nodes)
    assert kernels.walk(lines, head, 3) == 7 * LINE
    kernels.rotate(lines, head, 2)
    assert [kernels.walk(lines, head, n) // LINE for n in range(1, 6)] == [7, 0, 4, 5, 2]
