"""The sentences on a comparison say what its table says."""

from dataclasses import replace

import pandas as pd

import freehint as fh
from freehint.reports.findings import losses, run_findings
from freehint.sweeps.paired import NO_DIFFERENCE, ONE_SEED, Measure, paired, sentence


def small(policies, seeds=(1, 2, 3), **values) -> pd.DataFrame:
    """Summaries of small runs."""
    base = fh.Scenario(memory="64MiB", duration_ns=30_000_000).with_values(values)
    return fh.sweep(base, {"policy": list(policies)}, seeds)


def test_a_sentence_on_several_seeds_tells_their_mean_and_its_interval():
    table = small(["v24"])
    table["coverage"] = [0.30, 0.34, 0.32]
    assert "told the host of 32.0 ± 5.0 % of the memory" in fh.findings(table)


def test_a_claim_on_a_knob_compares_runs_that_differ_in_it_alone(monkeypatch):
    """The two presets that rotate and that go on at a bookmark differ in two knobs."""
    table = small(["rotate_on_exit", "restartable_cursor"])
    assert "otat" not in fh.findings(table).replace("rotate_on_exit", "")
    assert "without it" not in fh.findings(table)
    rotates = replace(fh.POLICIES["restartable_cursor"], name="rotates", rotate="on_exit")
    monkeypatch.setitem(fh.POLICIES, "rotates", rotates)
    said = fh.findings(small(["rotates", "restartable_cursor"]))
    assert said.count("**rotate**: ") >= 4 and NO_DIFFERENCE in said
    assert "restartable_cursor and rotates" in said


def test_todays_sentence_on_rotation_was_noise():
    """The 2 pages that went stale with rotation, and 11 without, were those of a few seeds."""
    base = fh.Scenario(policy="restartable_cursor")
    table = fh.sweep(base, {"policy.rotate": ["never", "on_exit"]}, seeds=range(1, 11))
    by_seed = table.pivot(index="seed", columns="policy.rotate", values="stale_pages")
    differences = by_seed["on_exit"] - by_seed["never"]
    assert (differences > 0).any() and (differences < 0).any()
    (row,) = paired(table, ["stale_pages"], "never", "policy.rotate").itertuples()
    assert NO_DIFFERENCE in sentence(row, Measure("stale_pages", "stale pages"))


def test_what_the_guest_lost_is_told_by_each_policy_with_its_interval():
    scenario = fh.Scenario().with_values({"host.gap_ns": 10_000_000})
    policies = ["none", "five_step", "hold_the_lock"]
    table = fh.sweep(scenario, {"policy": policies}, seeds=range(1, 7))
    said = losses(table).splitlines()
    assert any(s.startswith("- allocations done: hold_the_lock ") for s in said)
    assert all("95 %" in s or NO_DIFFERENCE in s for s in said)
    one = losses(table[table["seed"] == 1])
    assert ONE_SEED in one and "95 %" not in one


def test_migrations_are_compared_seed_by_seed():
    table = small(
        ["none", "v24"],
        **{
            "workload.state": "freed",
            "workload.fill_MiB": 24,
            "migration.bandwidth_Bps": 1 << 28,
            "migration.start_at_ns": 5_000_000,
            "duration_ns": 1_000_000_000,
        },
    )
    table["sent_bytes"] = [100e6, 101e6, 102e6, 25e6, 26.5e6, 27e6]
    said = fh.migration_findings(table)
    assert "- Without hints 100 MB were sent in" in said
    sent = "- bytes sent: v24 26.2 MB, none 101 MB (-74.83 ± 0.72 MB, 95 %, 3 seeds)."
    assert sent in said
    table.loc[5, "migration"] = "active"
    assert "- **v24**: not every migration ended." in fh.migration_findings(table)
    assert "bytes sent" not in fh.migration_findings(table)


def test_a_guest_without_allocations_is_not_said_to_have_waited():
    still = fh.Scenario(
        memory="64MiB", workload=fh.Program(state="freed", fill_MiB=8), duration_ns=30_000_000
    )
    assert "The guest made no allocations." in run_findings(fh.simulate(still).summary)
    busy = run_findings(fh.simulate(still.with_values({"workload": fh.Workload()})).summary)
    assert "allocations the longest waited" in busy


def test_a_run_in_which_nothing_walks_says_why():
    late = fh.Scenario(memory="64MiB", duration_ns=2_000_000, walk_at_ns=3_000_000)
    said = run_findings(fh.simulate(late).summary)
    assert said.startswith("**v24** told the host nothing: no walk began within the run.")
    none = run_findings(fh.simulate(late.with_values({"policy": "none"})).summary)
    assert none.startswith("**none** told the host nothing. ")
