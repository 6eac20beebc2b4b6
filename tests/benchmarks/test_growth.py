"""How cost grows: exponents of made-up costs, the results of tasks, and the shipped files."""

import json

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from benchmarks import shipped, stored
from benchmarks.growing import TASKS, number_of
from benchmarks.growth import taken
from freehint.studies import speed
from freehint.studies.speed import fitted


@pytest.mark.parametrize("exponent", [0, 0.5, 1, 2])
def test_the_exponent_of_a_power_law_is_found_and_its_error_is_nothing(exponent):
    sizes = np.array([1, 4, 16, 64, 256])
    found = fitted(sizes, 3 * sizes**exponent)
    assert found.exponent == pytest.approx(exponent, abs=1e-9)
    assert found.scale == pytest.approx(3) and found.error < 1e-9 and found.n == 5


def test_the_error_is_that_of_many_noisy_fits():
    chance, sizes = np.random.default_rng(1), 2.0 ** np.arange(10)
    fits = [fitted(sizes, sizes * np.exp(chance.normal(0, 0.2, 10))) for _ in range(500)]
    spread = np.std([found.exponent for found in fits])
    assert np.median([found.error for found in fits]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize(
    ("sizes", "costs"), [([1, 2], [1, 2]), ([1, 1, 2], [1, 2, 3]), ([1, 2, 3], [0, 1, 2])]
)
def test_what_cannot_be_fitted_is_refused(sizes, costs):
    with pytest.raises(ValueError, match="sizes"):
        fitted(sizes, costs)


@pytest.mark.parametrize("number", [i for i, t in enumerate(TASKS) if t.along != "runs of a sweep"])
def test_a_task_tells_its_size_time_and_memory(number, monkeypatch):
    monkeypatch.setattr("benchmarks.growth.TIMES", 1)
    smallest = TASKS[number].sizes[0]
    counted, seconds, mib = taken(number, smallest)
    assert seconds > 0 and (np.isnan(mib) or mib >= 1)
    assert counted == number_of(smallest) or TASKS[number].along == "migration rounds"


def test_what_is_shipped_is_whole_and_says_by_what_and_on_what():
    for name, command in (("bench", "make bench"), ("growth", "make growth")):
        table, sentence = speed.measured(name)
        assert len(table) > 20 and f"by `{command}" in sentence
        machine = json.loads(fh.data(f"speed/{name}.json").read_text())["machine"]
        assert machine["cpu"] in sentence
    along = speed.measured("growth")[0].groupby("along")["size"].nunique()
    assert len(along) == 5 and (along >= 3).all()


def test_docs_stored_result_and_shipped_table_tell_the_same_ratios():
    doc = shipped.DOC.read_text()
    table = speed.measured("bench")[0]
    rows = table[table["unit"] == "ratio"]
    machine = json.loads(fh.data("speed/bench.json").read_text())["machine"]
    kept = stored.of_machine(stored.load_all(), machine)["ratios"]
    assert len(kept) == len(rows[~rows["shared"]])
    for row in rows.itertuples():
        if not row.shared:  # Others are told, and nothing is compared with them.
            assert kept[f"{row.what}: {row.side}"]["ratio"] == pytest.approx(row.value, abs=6e-4)
        other = row.side.removesuffix(" / freehint")
        assert f"| {row.what} | {other} |" in doc and f"| {row.value:.2f} |" in doc


def test_docs_exponents_are_those_of_the_shipped_table():
    lines = shipped.exponents(speed.measured("growth")[0])
    assert "\n".join(lines) in shipped.DOC.read_text()
    made_up = pd.DataFrame(
        {"along": "size", "task": "walk", "size": [1, 2, 4], "size_label": ["1", "2", "4"],
         "seconds": [1.0, 2, 4], "MiB": [np.nan, 1, 2]}
    )  # fmt: skip
    assert shipped.exponents(made_up)[-1] == "| size | walk | 1 | 4 | 1.00 ± 0.00 |  |"


def test_shipping_writes_the_file_and_its_line_in_the_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "DATA", tmp_path)
    (tmp_path / "MANIFEST.sha256").write_text(f"{'0' * 64}  a.csv\n{'1' * 64}  z.csv\n")
    for text in ("old\n", "new\n"):
        path = shipped.ship("speed/b.csv", text)
    assert path.read_text() == "new\n"
    lines = (tmp_path / "MANIFEST.sha256").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["a.csv", "speed/b.csv", "z.csv"]
