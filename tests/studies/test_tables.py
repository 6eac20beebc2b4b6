"""Tables of the notebooks that hold several kernels side by side."""

import freehint as fh
from freehint.studies.tables import by_kernels


def test_one_demand_by_the_rules_of_each_kernel():
    """frag holds memory on the pcp lists of kernels that keep more than single pages there."""
    table = by_kernels(["linux-6.1/traces/frag"], ["5.10", "6.1", "6.12"])
    assert table.index.tolist() == [("frag", kernel) for kernel in ("5.10", "6.1", "6.12")]
    hidden = table["out of sight"].tolist()
    assert 0 < hidden[0] < 0.01 < hidden[1] < hidden[2] < 0.5
    assert table["still good"].between(0.9, 1).all()


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
