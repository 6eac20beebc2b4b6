"""The verdicts: words that follow from numbers, one knob in each row."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import freehint as fh
from freehint.config import InputError, parameters
from freehint.policies.policy import VERBS
from freehint.replay.counterfactual import recorded_policy
from freehint.studies import disputes
from freehint.studies.disputes import ASKING_ROTATION, Dispute, Found
from freehint.studies.verdicts import DISPUTES, readable_verdicts
from freehint.sweeps.paired import NO_DIFFERENCE, ONE_SEED

ROOT = Path(__file__).parents[2]
COLUMNS = (
    "dispute claim verdict measure value half_width seeds unit evidence limits chapter".split()
)


def found(value, half_width, least=0.0) -> dict:
    """The row of a dispute in which this was found."""
    return replace(DISPUTES[0], find=lambda *_: Found(value, half_width, 10), least=least).row([])


def names_of_differences(one, other) -> set:
    """Parameters that both policies have, in which they differ; their names are left out."""
    both = {own.name for own in parameters(one)} & {own.name for own in parameters(other)}
    return {name for name in both - {"name"} if getattr(one, name) != getattr(other, name)}


def test_the_words_change_with_the_number():
    one = DISPUTES[0]
    assert found(5, 1)["verdict"] == one.above and found(-5, 1)["verdict"] == one.below
    assert found(5, 6)["verdict"] == found(-5, 6)["verdict"] == NO_DIFFERENCE
    assert ONE_SEED in found(5, np.nan)["verdict"]
    assert found(0.2, 0.1, least=1)["verdict"] == "no difference that counts (below 1 points)"
    assert found(5, 1, least=1)["verdict"] == one.above


@pytest.mark.parametrize("one", DISPUTES, ids=lambda one: one.dispute)
def test_a_dispute_has_one_knob_and_words_without_numbers(one: Dispute):
    assert not re.search(r"\d", one.above + one.below)
    assert len({one.above, one.below, NO_DIFFERENCE}) == 3
    assert (ROOT / "notebooks" / f"{one.chapter}.ipynb").is_file()
    if isinstance(one.changed, fh.Policy):
        differ = names_of_differences(one.changed, one.base)
        if type(one.changed) is type(one.base):
            assert differ == {one.knob}
        else:  # The scheme itself is the knob; it needs its own time of the report.
            assert differ <= {"report", *VERBS}
    else:
        assert one.changed != one.base


def test_the_disputes_are_those_of_the_thread():
    names = [one.dispute for one in DISPUTES]
    assert len(names) == len(set(names)) >= 10
    for word in ("rotation of a partial", "rotation of a whole", "cursor", "A and only A", "lock"):
        assert any(word in name for name in names)
    for word in ("five steps", "full ring", "high orders", "afterwards", "benchmark"):
        assert any(word in name for name in names)


def test_quotations_are_from_the_thread():
    """Each claim names who said it, and quotes."""
    for one in DISPUTES:
        assert re.match(r"(Tsirkin|Wang): \"", one.claim) and one.claim.count('"') % 2 == 0


def test_a_few_rows_over_seeds():
    table = fh.verdicts(range(1, 7), ["hold the lock: guest work", "full ring"])
    assert list(table) == COLUMNS
    work, ring = table.itertuples()
    assert work.value + work.half_width < 0 and work.verdict.startswith("Tsirkin: the guest gets")
    assert ring.value > 10 and ring.seeds == 6 and ring.verdict.startswith("Tsirkin: the ring")
    people = readable_verdicts(table)
    assert people.loc["full ring", "chapter"] == '<a href="07_the_ring.ipynb">07_the_ring</a>'
    assert re.fullmatch(r"-\d+\.?\d* ± \d+\.?\d* %", people["number (95 %)"].iloc[0])


def test_the_recordings_that_ask_for_rotation_are_all_of_them():
    """Those walks that begin at the head each time, list by list, and take nothing off a list.

    Without marks (mark0) a recording cannot tell one stay of a block from another.
    """
    folder = fh.data("linux-6.1/walkers")
    stems = sorted(folder / path.name.split(".")[0] for path in folder.glob("*.trace.parquet"))
    policies = {stem.name: recorded_policy(stem) for stem in stems if "five" not in stem.name}
    del policies["mark0"]
    asking = {n for n, p in policies.items() if (p.resume, p.lock) == ("restart", "list_by_list")}
    assert asking == set(ASKING_ROTATION)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seeds": []}, "seeds must be a list of different whole numbers"),
        ({"seeds": [1, 1]}, "seeds must be a list of different whole numbers"),
        ({"seeds": 3}, "seeds must be a list of different whole numbers"),
        ({"seeds": ["x"]}, "seeds"),
        ({"disputes": ["who"]}, "disputes must be one of"),
        ({"kernel": "2.6"}, "kernel must be one of 4.15, "),
    ],
)
def test_bad_input_is_one_sentence(given, words):
    with pytest.raises(InputError, match=words):
        fh.verdicts(**given)


def test_one_seed_decides_nothing():
    table = fh.verdicts([1], ["hold the lock: waits"])
    (row,) = table.itertuples()
    assert row.verdict == f"undecided: {ONE_SEED}" and np.isnan(row.half_width)
    ax = fh.figures.verdict_intervals(table)
    assert [list(dots.get_xdata()) for dots in ax.lines[1:]] == [[], [0.0]]  # grey, in the middle
    assert "±" not in readable_verdicts(table)["number (95 %)"].iloc[0]


def test_a_kernel_changes_the_simulated_rows_alone():
    """A dispute that recorded demand decides has no answer by the rules of another kernel."""
    names = ["rotation of a partial walk", "full ring"]
    ring = {k: fh.verdicts([1, 2], names, k).set_index("dispute") for k in (None, "5.10")}
    assert ring["5.10"]["seeds"].tolist() == [0, 2]
    words = "undecided: recordings of Linux 6.1 alone"
    assert ring["5.10"].loc[names[0], "verdict"] == words
    assert ring[None].loc[names[0], "verdict"].startswith("Tsirkin")
    assert ring[None].loc[names[1], "value"] != ring["5.10"].loc[names[1], "value"]


def test_a_run_that_failed_is_named_with_its_reason(monkeypatch):
    def fail(*_):
        raise MemoryError("all of it")

    monkeypatch.setattr("freehint.sweeps.one_run.run_engine", fail)
    dispute = next(one for one in DISPUTES if one.find is disputes.longest_wait)
    name = getattr(dispute.changed, "name", dispute.changed)
    with pytest.raises(RuntimeError, match=rf"{name}, seed 1: failed: MemoryError: all of it"):
        fh.verdicts([1], [dispute.dispute])
