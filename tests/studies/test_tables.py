"""Tables of the notebooks that hold several kernels side by side."""

import pandas as pd
import pytest

import freehint as fh
from freehint.studies.tables import (
    by_each_kernels_rules,
    by_kernels,
    cannot_tell,
    intervals_apart,
    rules_sentence,
)


def test_one_demand_by_the_rules_of_each_kernel():
    """frag holds memory on the pcp lists of kernels that keep more than single pages there."""
    table = by_kernels(["linux-6.1/traces/frag"], ["5.10", "6.1", "6.12"])
    assert table.index.tolist() == [("frag", kernel) for kernel in ("5.10", "6.1", "6.12")]
    hidden = table["out of sight"].tolist()
    assert 0 < hidden[0] < 0.01 < hidden[1] < hidden[2] < 0.5
    assert table["still good"].between(0.9, 1).all()


def test_two_recordings_of_one_name_are_refused():
    both = ["linux-6.1/traces/cache", "linux-7.3/traces/cache"]
    with pytest.raises(fh.InputError, match="recordings must have different names"):
        by_kernels(both, ["6.1"])


def test_a_walk_is_judged_at_its_time():
    """forkbulk takes few hints at once, and a third of them within 20 s."""
    stem = "linux-6.12/traces/forkbulk"
    early = by_kernels([stem], ["6.12"], later_ns=10**8)["still good"].item()
    late = by_kernels([stem], ["6.12"])["still good"].item()
    assert 0.95 < early < 1 and 0.5 < late < 0.8
    run = fh.simulate(
        fh.Scenario(
            workload=fh.RecordedGuest(stem),
            policy="restartable_cursor",
            walk_at_ns=5 * 10**9,
            duration_ns=25 * 10**9,
        )
    )
    assert late == run.summary["survival"]


def test_the_rules_of_another_kernel_are_told_apart_or_said_to_be_alike():
    crossed = by_each_kernels_rules({"7.3": "cache"}, ["6.1", "6.12", "7.3"])
    assert crossed.loc["7.3, cache", "rules of 6.1"] > 0
    assert cannot_tell(crossed) == ["6.12 on 7.3's cache"]
    stem = fh.data("linux-7.3/traces/cache")
    found = fh.replay(stem, "buddy", "probes", profile=fh.LINUX_6_1)
    sentence = rules_sentence("7.3", "6.1", found)
    assert sentence.startswith(f"By 6.1's rules {found.misses} of {found.scored:,} pages of 7.3's")


def test_kernels_differ_only_if_their_intervals_lie_apart():
    def decided(*intervals):
        table = pd.DataFrame(intervals, columns=["value", "half_width"])
        return table.assign(dispute=["a", "b"])

    # 0 lies in the first interval of one kernel alone, which is no difference between the two.
    both = {"6.1": decided((-55, 17), (3, 1)), "5.10": decided((-62, 71), (4, 1))}
    assert intervals_apart(both) == []
    both["7.3"] = decided((-50, 9), (5.5, 1))
    assert intervals_apart(both) == ["b"]
    assert intervals_apart({"6.1": decided((1, float("nan")), (2, float("nan")))}) == []
