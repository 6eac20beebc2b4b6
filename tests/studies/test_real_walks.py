"""The counts of a walk's rows, by hand and on recordings of real kernels."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd

import freehint as fh
from freehint.replay.walkers import predict_walker
from freehint.studies import real_walks
from freehint.studies.real_walks import counted_walks, walk_counts

RUNS = ("recorded", "predicted exactly")
COLUMNS = ["event", "order", "a", "b", "c"]


def test_counts_by_hand():
    rows = [
        ("w_list_end", -1, 0, 3, 0),
        ("w_report", 9, 1, 1, 0),
        ("w_report", 9, 0, 2, 0),  # lost
        ("w_used", 9, 1, 1, 0),
        ("w_stroke_end", -1, 0, 2, 1),
        ("w_list_end", -1, 0, 5, 0),
        ("w_report", 9, 1, 1, 1),  # again in this walk
        ("w_stroke_end", -1, 1, 1, 1),
        ("w_walk_end", -1, 0, 2, 1),
        ("w_list_end", -1, 0, 1, 0),
        ("w_report", 9, 1, 1, 1),  # again, in another walk
        ("w_report", 8, 0, 3, 1),  # again, but lost
        ("w_used", 9, 0, 1, 0),
        ("w_stroke_end", -1, 0, 2, 1),
        ("w_walk_end", -1, 1, 1, 1),
    ]
    assert walk_counts(pd.DataFrame(rows, columns=COLUMNS)) == {
        **{"walks": 2, "strokes": 3, "reports": 3, "lost": 2, "duplicates": 2, "in_walk": 1},
        **{"hinted_MiB": 2, "stale": 1, "holds": 3, "most_in_a_hold": 5},
        **{"interrupts": 0, "put_back": 0, "withdrawn": 0},
    }


def test_a_hold_of_all_locks_is_one_and_a_hold_of_step_4_is_none():
    walk = [("w_list_end", -1, 0, 9, 0), ("w_hold_end", -1, 40, 0, 0)]
    whole = walk_counts(pd.DataFrame(walk, columns=COLUMNS))
    assert (whole["holds"], whole["most_in_a_hold"]) == (1, 40)
    steps = [*walk, ("w_putback", 9, 0, 1, 1), ("w_withdraw", -1, 3, 0, 0)]
    five = walk_counts(pd.DataFrame(steps, columns=COLUMNS))
    assert (five["holds"], five["most_in_a_hold"]) == (1, 9)
    assert (five["put_back"], five["withdrawn"]) == (1, 3)


def test_recorded_and_predicted_counts_are_equal():
    names = ("a_scan", "c_fivekeep0")
    found = [predict_walker(fh.data(f"linux-6.1/walkers/{name}")) for name in names]
    table = counted_walks(found)
    recorded, predicted = (table.xs(side, level="side") for side in ("recorded", "predicted"))
    assert recorded.equals(predicted)
    assert recorded.loc["a_scan", ["reports", "in_walk", "stale"]].tolist() == [214, 116, 0]
    five = recorded.loc["c_fivekeep0", ["interrupts", "put_back", "withdrawn", "stale"]]
    assert five.tolist() == [16, 357, 263, 0]


def test_a_recorded_walk_runs_again():
    stem = "linux-6.1/walkers/s6_rot"
    run = fh.simulate(real_walks.same_walk(stem))
    trace = pd.read_parquet(f"{fh.data(stem)}.trace.parquet")
    reports = trace[trace["event"] == "w_report"]
    assert set(run.reports["user"]) == {"simulated"}
    assert run.reports["pfn"].tolist() == reports["pfn"].tolist()  # Nobody has allocated yet.


def test_the_questions_that_recordings_ask():
    knobs = {"five_step": 0, "lock": 0, "resume": 0, "mark": 1}
    asked = {
        "rotation": {},
        "restart": {"resume": 2},
        "lock": {"lock": 1},
        "steps": {"five_step": 1},
    }
    found = {name: SimpleNamespace(knobs=knobs | more) for name, more in asked.items()}
    found["none"] = SimpleNamespace(knobs=knobs | {"mark": 0})
    for question in asked:
        assert real_walks.that_ask(question, [*found.values()]) == [found[question]]


def test_the_answers_come_from_the_rows_of_either_side():
    """A prediction that is wrong tells something else than the recording."""
    right = predict_walker(fh.data("linux-6.1/walkers/c_fivekeep0"))
    rows = right.rows.copy()
    first = rows.index[rows["predicted_event"] == "w_interrupt"][0]
    rows.loc[first, "predicted_event"] = "none"
    reuse = [(run, p, x) for run in RUNS for p, x in (("never", 0.8), ("on_exit", 0.1))]
    reuse = pd.DataFrame(reuse, columns=["run", "policy", "reused_128MiB"])
    laps = [("recorded", "A", 5, 9), (RUNS[1], "always", 5, 9), (RUNS[1], "shrinks", 0, 4)]
    laps = pd.DataFrame(laps, columns=["run", "policy", "duplicates_in_walk", "reports"])
    gain = pd.Series({"difference": 0.2, "half_width": 0.01})
    none = pd.DataFrame({"outcome": []})
    simulated = {"rotation": gain, "restart": none, "lock": none, "steps": none}
    table = real_walks.answers([replace(right, rows=rows)], reuse, laps, simulated)
    told = "0 stale of 480; step 5 came {} times and put back 357 blocks"
    assert table.loc["steps", "recorded"] == told.format(16)
    assert table.loc["steps", RUNS[1]] == told.format(15)
    assert table.loc["lock", "recorded"] == table.loc["lock", RUNS[1]] == "no recording asks it"
    assert "never: 80% to 80%; on_exit: 10% to 10%" in table.loc["rotation", "recorded"]
    assert table.loc["restart", RUNS[1]].endswith("always: 5, shrinks: 0")
    assert table.loc["restart", "recorded"].startswith("5 of 9 reports")
